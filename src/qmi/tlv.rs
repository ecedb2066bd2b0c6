//! Type-length-value items: the small reader every layout is read with, and the TLV area of a message.

use std::fmt;

use super::layout::Codec;

/// Longest TLV area that still fits a frame: its length field counts 5 bytes of QMUX and 7 of SDU header too.
pub const MAX_TLV_BYTES: usize = 65_535 - 12;

/// The bytes ended before the value did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("ended too early: {wanted} bytes wanted at offset {offset}, {left} left")]
pub struct EndedEarly {
    /// Where the value began, from the start of the bytes given.
    pub offset: usize,
    /// How many bytes it needs.
    pub wanted: usize,
    /// How many there were.
    pub left: usize,
}

/// Reads bytes from front to back; never past the end.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// Bytes read so far.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The bytes not read yet.
    #[must_use]
    pub fn left(&self) -> &'a [u8] {
        &self.bytes[self.offset..]
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`EndedEarly`] when fewer are left; nothing is consumed then.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], EndedEarly> {
        let left = self.left();
        let taken =
            left.get(..count).ok_or(EndedEarly { offset: self.offset, wanted: count, left: left.len() })?;
        self.offset += count;
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    /// [`EndedEarly`] when fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], EndedEarly> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("take gives exactly N bytes"))
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        let rest = self.left();
        self.offset = self.bytes.len();
        rest
    }
}

/// The TLVs of one message in wire order, known to fill their area exactly.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Tlvs {
    bytes: Vec<u8>,
}

impl Tlvs {
    /// No TLV.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes over a TLV area.
    ///
    /// # Errors
    /// [`EndedEarly`] when the last TLV is longer than the area.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, EndedEarly> {
        let mut reader = Reader::new(&bytes);
        while !reader.left().is_empty() {
            next(&mut reader)?;
        }
        Ok(Self { bytes })
    }

    /// Type and value of each TLV.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        let mut reader = Reader::new(&self.bytes);
        std::iter::from_fn(move || next(&mut reader).ok())
    }

    /// The value bytes of the first TLV of this type.
    #[must_use]
    pub fn raw(&self, tlv_type: u8) -> Option<&[u8]> {
        self.iter().find(|(found, _)| *found == tlv_type).map(|(_, value)| value)
    }

    /// The value of a TLV; `None` when it is absent or shorter than its layout. Bytes after the layout are
    /// ignored: newer firmware makes TLVs longer.
    #[must_use]
    pub fn get<C: Codec>(&self, tlv_type: u8) -> Option<C::Value> {
        C::read(&mut Reader::new(self.raw(tlv_type)?)).ok()
    }

    /// Appends a TLV. One that does not fit the frame any more is left out: the frame stays valid and the other
    /// side says what it misses.
    pub fn push(&mut self, tlv_type: u8, value: &[u8]) {
        let Ok(length) = u16::try_from(value.len()) else { return };
        if self.bytes.len() + 3 + value.len() <= MAX_TLV_BYTES {
            self.bytes.push(tlv_type);
            self.bytes.extend_from_slice(&length.to_le_bytes());
            self.bytes.extend_from_slice(value);
        }
    }

    /// Appends a TLV of the given layout.
    pub fn put<C: Codec>(&mut self, tlv_type: u8, value: &C::Value) {
        let mut bytes = Vec::new();
        C::write(value, &mut bytes);
        self.push(tlv_type, &bytes);
    }

    /// The same TLVs, highest type first: the order in which libqmi writes requests.
    #[must_use]
    pub fn descending(&self) -> Self {
        let mut items: Vec<_> = self.iter().collect();
        items.sort_by_key(|(tlv_type, _)| std::cmp::Reverse(*tlv_type));
        let mut sorted = Self { bytes: Vec::with_capacity(self.bytes.len()) };
        for (tlv_type, value) in items {
            sorted.push(tlv_type, value);
        }
        sorted
    }

    /// Appends all TLVs of `more`.
    pub fn extend(&mut self, more: &Self) {
        for (tlv_type, value) in more.iter() {
            self.push(tlv_type, value);
        }
    }

    /// The area as it stands on the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether there is no TLV.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl fmt::Debug for Tlvs {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_map().entries(self.iter().map(|(tlv_type, value)| (tlv_type, Hex(value)))).finish()
    }
}

fn next<'a>(reader: &mut Reader<'a>) -> Result<(u8, &'a [u8]), EndedEarly> {
    let [tlv_type, low, high] = reader.array()?;
    Ok((tlv_type, reader.take(usize::from(u16::from_le_bytes([low, high])))?))
}

/// Bytes shown as lower-case hex without separators.
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for Hex<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}
