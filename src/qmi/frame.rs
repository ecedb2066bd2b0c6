//! QMUX frames: header, SDU header and TLVs of one message, and their recovery from a stream of bytes.
//!
//! ```text
//! off  0 marker 0x01 | 1 length u16 (frame size - 1) | 3 QMUX flags: 0x00 host, 0x80 modem
//!      4 service     | 5 client id                   | 6 SDU flags
//!      7 transaction: u8 for CTL, u16 for all others | message id u16 | TLV bytes u16 | TLVs
//! ```
//! The SDU flags overlap: 0x02 is *indication* for CTL and *response* for every other service.

use super::Service;
use super::cause::ProtocolError;
use super::message::{Body, Indication, Missing, Request, result_of, with_result};
use super::tlv::{EndedEarly, Hex, Reader, Tlvs};

const MARKER: u8 = 0x01;
const FROM_MODEM: u8 = 0x80;
/// Client id that addresses all clients of a service.
pub const BROADCAST: u8 = 0xFF;
/// The shortest frame: CTL without TLVs.
const SHORTEST: usize = 12;

/// What a message is to its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Host asks modem.
    Request,
    /// Modem answers.
    Response,
    /// Modem speaks unasked.
    Indication,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The service.
    pub service: Service,
    /// The client of that service; 0 for CTL, [`BROADCAST`] for indications to all.
    pub client: u8,
    /// Request, response or indication.
    pub kind: Kind,
    /// Transaction id, 0 in indications. CTL has one byte for it.
    pub transaction: u16,
    /// Message id.
    pub message: u16,
    /// Its TLVs.
    pub tlvs: Tlvs,
}

/// Bytes that are no frame. Offsets count from the frame's first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The first byte is not the marker.
    #[error("offset 0: 0x{0:02x} is not the marker 0x01")]
    Marker(u8),
    /// Shorter than its own header.
    #[error("header {0}")]
    Header(EndedEarly),
    /// The QMUX length and the number of bytes differ.
    #[error("offset 1: QMUX length says {declared} bytes, {present} are there")]
    Length {
        /// Frame size by its header.
        declared: usize,
        /// Bytes there are.
        present: usize,
    },
    /// The SDU's flags are those of no kind of message.
    #[error("offset 6: SDU flags 0x{0:02x} are none of request, response, indication")]
    Flags(u8),
    /// The TLV area does not fill the frame.
    #[error("offset {offset}: TLV area says {declared} bytes, {present} are there")]
    TlvArea {
        /// Where the area begins.
        offset: usize,
        /// Its size by the SDU header.
        declared: usize,
        /// Bytes there are.
        present: usize,
    },
    /// A TLV is longer than the area.
    #[error("TLV area at offset {area}: {cause}")]
    Tlv {
        /// Where the area begins.
        area: usize,
        /// Where in the area, and what was missing.
        cause: EndedEarly,
    },
}

impl FrameError {
    /// Where in the frame the fault lies.
    #[must_use]
    pub fn offset(&self) -> usize {
        match self {
            Self::Marker(_) => 0,
            Self::Header(cause) => cause.offset,
            Self::Length { .. } => 1,
            Self::Flags(_) => 6,
            Self::TlvArea { offset, .. } => *offset,
            Self::Tlv { area, cause } => area + cause.offset,
        }
    }
}

/// Why a response holds no value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal<F> {
    /// The modem said no.
    #[error("refused by the modem: {error} ({})", .error.code())]
    Refused {
        /// Its error code.
        error: ProtocolError,
        /// What it said besides.
        details: F,
    },
    /// The modem said yes but left out what the answer is about.
    #[error("malformed response: {0}")]
    Malformed(#[from] Missing),
}

impl Frame {
    /// A request; its TLVs in descending order, as libqmi writes them.
    #[must_use]
    pub fn request<R: Request>(client: u8, transaction: u16, request: &R) -> Self {
        let tlvs = request.to_tlvs().descending();
        Self { service: R::SERVICE, client, kind: Kind::Request, transaction, message: R::ID, tlvs }
    }

    /// The answer to this request when it succeeds.
    #[must_use]
    pub fn success<B: Body>(&self, body: &B) -> Self {
        self.answer(ProtocolError::None, &body.to_tlvs())
    }

    /// The answer to this request when it is refused.
    #[must_use]
    pub fn refusal<B: Body>(&self, error: ProtocolError, details: &B) -> Self {
        self.answer(error, &details.to_tlvs())
    }

    /// The answer to this request with the result and these TLVs.
    #[must_use]
    pub fn answer(&self, error: ProtocolError, body: &Tlvs) -> Self {
        Self { kind: Kind::Response, tlvs: with_result(error, body), ..self.clone() }
    }

    /// An indication, to one client or to all ([`BROADCAST`]).
    #[must_use]
    pub fn indication<I: Indication>(client: u8, indication: &I) -> Self {
        let tlvs = indication.to_tlvs();
        Self { service: I::SERVICE, client, kind: Kind::Indication, transaction: 0, message: I::ID, tlvs }
    }

    /// The result TLV of a response; `None` when it is absent or malformed.
    #[must_use]
    pub fn result(&self) -> Option<ProtocolError> {
        result_of(&self.tlvs)
    }

    /// Reads this frame as the answer to an `R`.
    ///
    /// # Errors
    /// [`Refusal`]: the modem's error with what it said besides, or the mandatory TLV that is missing.
    pub fn read_answer<R: Request>(&self) -> Result<R::Response, Refusal<R::Failure>> {
        match self.result().ok_or(Missing { tlv_type: super::message::RESULT, name: "Result" })? {
            ProtocolError::None => Ok(R::Response::from_tlvs(&self.tlvs)?),
            error => Err(Refusal::Refused { error, details: R::Failure::from_tlvs(&self.tlvs)? }),
        }
    }

    /// Reads this frame as an `I`; `None` when it is something else.
    ///
    /// # Errors
    /// [`Missing`] when a mandatory TLV is not there.
    pub fn read_indication<I: Indication>(&self) -> Option<Result<I, Missing>> {
        let same = self.kind == Kind::Indication && (self.service, self.message) == (I::SERVICE, I::ID);
        same.then(|| I::from_tlvs(&self.tlvs))
    }

    /// Reads this frame as an `R`; `None` when it is something else.
    ///
    /// # Errors
    /// [`Missing`] when a mandatory TLV is not there.
    pub fn read_request<R: Request>(&self) -> Option<Result<R, Missing>> {
        let same = self.kind == Kind::Request && (self.service, self.message) == (R::SERVICE, R::ID);
        same.then(|| R::from_tlvs(&self.tlvs))
    }

    /// The frame as bytes. Of a CTL transaction id the low byte counts.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let tlvs = self.tlvs.as_bytes();
        let size = tlv_offset(self.service) + tlvs.len();
        let mut bytes = Vec::with_capacity(size);
        bytes.push(MARKER);
        bytes.extend_from_slice(&two(size - 1));
        bytes.push(if self.kind == Kind::Request { 0 } else { FROM_MODEM });
        bytes.push(self.service.number());
        bytes.push(self.client);
        bytes.push(flags(self.service, self.kind));
        match self.service {
            Service::Ctl => bytes.push(self.transaction as u8),
            _ => bytes.extend_from_slice(&self.transaction.to_le_bytes()),
        }
        bytes.extend_from_slice(&self.message.to_le_bytes());
        bytes.extend_from_slice(&two(tlvs.len()));
        bytes.extend_from_slice(tlvs);
        bytes
    }

    /// Reads exactly one frame.
    ///
    /// # Errors
    /// [`FrameError`] says where and what; a frame that fails any check is void as a whole.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let mut reader = Reader::new(bytes);
        let header = |reader: &mut Reader<'_>| -> Result<_, EndedEarly> {
            let [_, low, high, _, service, client, flags] = reader.array()?;
            let transaction = match service {
                0 => u16::from(reader.array::<1>()?[0]),
                _ => u16::from_le_bytes(reader.array()?),
            };
            let message = u16::from_le_bytes(reader.array()?);
            let area = u16::from_le_bytes(reader.array()?);
            Ok((u16::from_le_bytes([low, high]), service, client, flags, transaction, message, area))
        };
        if let Some(marker) = bytes.first().filter(|byte| **byte != MARKER) {
            return Err(FrameError::Marker(*marker));
        }
        let (length, service, client, flags, transaction, message, area) =
            header(&mut reader).map_err(FrameError::Header)?;
        let (declared, offset) = (usize::from(length) + 1, reader.offset());
        if declared != bytes.len() {
            return Err(FrameError::Length { declared, present: bytes.len() });
        }
        let service = Service::from(service);
        let kind = kind(service, flags).ok_or(FrameError::Flags(flags))?;
        let tlvs = reader.rest();
        if tlvs.len() != usize::from(area) {
            let (declared, present) = (usize::from(area), tlvs.len());
            return Err(FrameError::TlvArea { offset, declared, present });
        }
        let tlvs = Tlvs::parse(tlvs.to_vec()).map_err(|cause| FrameError::Tlv { area: offset, cause })?;
        Ok(Self { service, client, kind, transaction, message, tlvs })
    }
}

impl std::fmt::Display for Frame {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Hex(&self.encode()).fmt(out)
    }
}

fn tlv_offset(service: Service) -> usize {
    if service == Service::Ctl { SHORTEST } else { SHORTEST + 1 }
}

fn two(size: usize) -> [u8; 2] {
    u16::try_from(size).expect("the TLV area is bounded so that a frame's length fits").to_le_bytes()
}

fn flags(service: Service, kind: Kind) -> u8 {
    match (service, kind) {
        (_, Kind::Request) => 0x00,
        (Service::Ctl, Kind::Response) => 0x01,
        (Service::Ctl, Kind::Indication) | (_, Kind::Response) => 0x02,
        (_, Kind::Indication) => 0x04,
    }
}

fn kind(service: Service, flags_found: u8) -> Option<Kind> {
    [Kind::Request, Kind::Response, Kind::Indication]
        .into_iter()
        .find(|kind| flags(service, *kind) == flags_found)
}

/// Frames out of a stream: joins what was split, splits what was joined.
///
/// Bytes that cannot begin a frame are skipped up to the next plausible header and counted. A header is
/// plausible when its marker, its QMUX flags and both of its lengths agree, so that a lost byte does not make
/// the reader wait for 64 KiB that never come.
#[derive(Debug, Default)]
pub struct Deframer {
    buffer: Vec<u8>,
    skipped: u64,
    broken: u64,
}

impl Deframer {
    /// Adds bytes as they were read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame. `None`: more bytes are needed.
    pub fn next_frame(&mut self) -> Option<Frame> {
        loop {
            self.skip_implausible();
            let size = declared_size(&self.buffer)?;
            if self.buffer.len() < size {
                return None;
            }
            match Frame::decode(&self.buffer[..size]) {
                Ok(frame) => {
                    self.buffer.drain(..size);
                    return Some(frame);
                }
                // What follows may be a whole frame that only seems to belong to this one: look behind the marker.
                Err(_) => {
                    self.buffer.drain(..1);
                    self.broken += 1;
                }
            }
        }
    }

    /// Bytes skipped because no frame begins with them: the framing was lost.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Frames dropped because their inside was broken; their bytes count as skipped.
    #[must_use]
    pub fn broken(&self) -> u64 {
        self.broken
    }

    /// Bytes waiting for the rest of their frame: at most one frame after [`Deframer::next_frame`] gave `None`.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    fn skip_implausible(&mut self) {
        let start = (0..self.buffer.len()).find(|start| plausible(&self.buffer[*start..]));
        let skip = start.unwrap_or(self.buffer.len());
        self.buffer.drain(..skip);
        self.skipped += skip as u64;
    }
}

fn declared_size(bytes: &[u8]) -> Option<usize> {
    Some(usize::from(u16::from_le_bytes([*bytes.get(1)?, *bytes.get(2)?])) + 1)
}

/// Whether a frame may begin here, as far as there are bytes to tell.
fn plausible(bytes: &[u8]) -> bool {
    let at = |offset: usize| bytes.get(offset).copied();
    let offset = if at(4) == Some(0) { SHORTEST } else { SHORTEST + 1 };
    at(0).is_none_or(|marker| marker == MARKER)
        && at(3).is_none_or(|flags| matches!(flags, 0 | FROM_MODEM))
        && declared_size(bytes).is_none_or(|size| {
            let area = at(offset - 2).zip(at(offset - 1)).map(|(low, high)| u16::from_le_bytes([low, high]));
            size >= SHORTEST && area.is_none_or(|area| size == offset + usize::from(area))
        })
}
