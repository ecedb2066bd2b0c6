//! How values lie in the bytes of a TLV: integers, texts, lists, addresses, enums, and the [`layout!`] macro
//! that makes a struct of them. All integers are little-endian unless a name says otherwise.
//!
//! A *codec* is a type-level description (`List8<As<i8, RadioInterface>>`); its [`Codec::Value`] is the plain
//! Rust value that users see (`Vec<RadioInterface>`).

use std::marker::PhantomData;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use super::tlv::{EndedEarly, Hex, Reader};

/// One layout of bytes.
pub trait Codec {
    /// The value as Rust code uses it.
    type Value;

    /// Reads one value.
    ///
    /// # Errors
    /// [`EndedEarly`] when the bytes end before the value does.
    fn read(reader: &mut Reader<'_>) -> Result<Self::Value, EndedEarly>;

    /// Appends one value. What exceeds a count or a fixed width is cut off.
    fn write(value: &Self::Value, out: &mut Vec<u8>);

    /// The value for people: names instead of numbers where there are names.
    fn json(value: &Self::Value) -> Value;

    /// What zero bytes mean: the value behind a cleared validity flag.
    #[must_use]
    fn blank() -> Self::Value {
        Self::read(&mut Reader::new(&[0; 256])).expect("no layout has 256 fixed bytes")
    }
}

/// Fixed-width integers, widened so that enums need not know their width.
pub trait Int: Codec<Value = Self> + Copy {
    /// The number, sign kept; `u64` keeps its bits.
    fn widen(self) -> i64;
    /// The low bits of a number.
    fn narrow(number: i64) -> Self;
}

macro_rules! integers {
    ($($int:ty)*) => { $(
        impl Codec for $int {
            type Value = Self;

            fn read(reader: &mut Reader<'_>) -> Result<Self, EndedEarly> {
                Ok(Self::from_le_bytes(reader.array()?))
            }

            fn write(value: &Self, out: &mut Vec<u8>) {
                out.extend_from_slice(&value.to_le_bytes());
            }

            fn json(value: &Self) -> Value {
                json!(value)
            }
        }

        impl Int for $int {
            fn widen(self) -> i64 {
                self as i64
            }

            fn narrow(number: i64) -> Self {
                number as Self
            }
        }
    )* };
}
integers!(u8 u16 u32 u64 i8 i16 i32);

impl Codec for f32 {
    type Value = Self;

    fn read(reader: &mut Reader<'_>) -> Result<Self, EndedEarly> {
        Ok(Self::from_le_bytes(reader.array()?))
    }

    fn write(value: &Self, out: &mut Vec<u8>) {
        out.extend_from_slice(&value.to_le_bytes());
    }

    fn json(value: &Self) -> Value {
        json!(value)
    }
}

/// One byte, anything but 0 is true.
pub struct Bool;

impl Codec for Bool {
    type Value = bool;

    fn read(reader: &mut Reader<'_>) -> Result<bool, EndedEarly> {
        Ok(u8::read(reader)? != 0)
    }

    fn write(value: &bool, out: &mut Vec<u8>) {
        out.push(u8::from(*value));
    }

    fn json(value: &bool) -> Value {
        json!(value)
    }
}

/// A number with names: an open enum or a bit mask.
pub trait Coded: Copy {
    /// From the number on the wire; any number has a value.
    fn from_number(number: i64) -> Self;
    /// The number on the wire.
    fn number(self) -> i64;
    /// Its name or names; plain numbers where there is none.
    fn json(self) -> Value;
}

/// A named number `E` carried in an integer `I`.
pub struct As<I, E>(PhantomData<(I, E)>);

impl<I: Int, E: Coded> Codec for As<I, E> {
    type Value = E;

    fn read(reader: &mut Reader<'_>) -> Result<E, EndedEarly> {
        Ok(E::from_number(I::read(reader)?.widen()))
    }

    fn write(value: &E, out: &mut Vec<u8>) {
        I::write(&I::narrow(value.number()), out);
    }

    fn json(value: &E) -> Value {
        value.json()
    }
}

/// Text to the end of the TLV; trailing NULs are stripped, other encodings than UTF-8 read lossily.
pub struct Text;

impl Codec for Text {
    type Value = String;

    fn read(reader: &mut Reader<'_>) -> Result<String, EndedEarly> {
        Ok(text(reader.rest()))
    }

    fn write(value: &String, out: &mut Vec<u8>) {
        out.extend_from_slice(value.as_bytes());
    }

    fn json(value: &String) -> Value {
        json!(value)
    }
}

/// Text with a length before it, as `u8` or `u16`.
pub struct CountedText<I>(PhantomData<I>);
/// Text with a `u8` length before it.
pub type Text8 = CountedText<u8>;
/// Text with a `u16` length before it.
pub type Text16 = CountedText<u16>;

impl<I: Int> Codec for CountedText<I> {
    type Value = String;

    fn read(reader: &mut Reader<'_>) -> Result<String, EndedEarly> {
        Ok(text(counted::<I>(reader)?))
    }

    fn write(value: &String, out: &mut Vec<u8>) {
        write_counted::<I>(value.as_bytes(), out);
    }

    fn json(value: &String) -> Value {
        json!(value)
    }
}

/// Bytes with a length before them, as `u8` or `u16`.
pub struct CountedBytes<I>(PhantomData<I>);
/// Bytes with a `u8` length before them.
pub type Bytes8 = CountedBytes<u8>;
/// Bytes with a `u16` length before them.
pub type Bytes16 = CountedBytes<u16>;

impl<I: Int> Codec for CountedBytes<I> {
    type Value = Vec<u8>;

    fn read(reader: &mut Reader<'_>) -> Result<Vec<u8>, EndedEarly> {
        Ok(counted::<I>(reader)?.to_vec())
    }

    fn write(value: &Vec<u8>, out: &mut Vec<u8>) {
        write_counted::<I>(value, out);
    }

    fn json(value: &Vec<u8>) -> Value {
        json!(Hex(value).to_string())
    }
}

/// Digits packed two a byte, low nibble first, with a `u8` length before them: an ICCID as the card holds it.
pub struct Iccid8;

impl Codec for Iccid8 {
    type Value = Vec<u8>;

    fn read(reader: &mut Reader<'_>) -> Result<Vec<u8>, EndedEarly> {
        Bytes8::read(reader)
    }

    fn write(value: &Vec<u8>, out: &mut Vec<u8>) {
        Bytes8::write(value, out);
    }

    fn json(value: &Vec<u8>) -> Value {
        json!(swapped_digits(value))
    }
}

/// A list with its count before it.
pub struct List<I, C>(PhantomData<(I, C)>);
/// A list with a `u8` count before it.
pub type List8<C> = List<u8, C>;
/// A list with a `u16` count before it.
pub type List16<C> = List<u16, C>;

impl<I: Int, C: Codec> Codec for List<I, C> {
    type Value = Vec<C::Value>;

    fn read(reader: &mut Reader<'_>) -> Result<Self::Value, EndedEarly> {
        let count = I::read(reader)?.widen();
        (0..count).map(|_| C::read(reader)).collect()
    }

    fn write(value: &Self::Value, out: &mut Vec<u8>) {
        let count = value.len().min(most::<I>());
        I::write(&I::narrow(count as i64), out);
        value[..count].iter().for_each(|item| C::write(item, out));
    }

    fn json(value: &Self::Value) -> Value {
        value.iter().map(C::json).collect()
    }
}

/// A flag byte and then a value that is there in any case but means something only when the flag is set.
pub struct Valid<C>(PhantomData<C>);

impl<C: Codec> Codec for Valid<C> {
    type Value = Option<C::Value>;

    fn read(reader: &mut Reader<'_>) -> Result<Self::Value, EndedEarly> {
        let valid = Bool::read(reader)?;
        let value = C::read(reader)?;
        Ok(valid.then_some(value))
    }

    fn write(value: &Self::Value, out: &mut Vec<u8>) {
        Bool::write(&value.is_some(), out);
        match value {
            Some(value) => C::write(value, out),
            None => C::write(&C::blank(), out),
        }
    }

    fn json(value: &Self::Value) -> Value {
        value.as_ref().map_or(Value::Null, C::json)
    }
}

/// An IPv4 address as a little-endian number: 10.1.2.3 is `03 02 01 0a`.
pub struct Ipv4;

impl Codec for Ipv4 {
    type Value = Ipv4Addr;

    fn read(reader: &mut Reader<'_>) -> Result<Ipv4Addr, EndedEarly> {
        Ok(u32::read(reader)?.into())
    }

    fn write(value: &Ipv4Addr, out: &mut Vec<u8>) {
        u32::write(&(*value).into(), out);
    }

    fn json(value: &Ipv4Addr) -> Value {
        json!(value.to_string())
    }
}

/// An IPv6 address in network order.
pub struct Ipv6;

impl Codec for Ipv6 {
    type Value = Ipv6Addr;

    fn read(reader: &mut Reader<'_>) -> Result<Ipv6Addr, EndedEarly> {
        Ok(reader.array::<16>()?.into())
    }

    fn write(value: &Ipv6Addr, out: &mut Vec<u8>) {
        out.extend_from_slice(&value.octets());
    }

    fn json(value: &Ipv6Addr) -> Value {
        json!(value.to_string())
    }
}

/// Text of fixed width, padded with NUL. Texts that are no UTF-8 lose their foreign bytes.
pub struct Padded<const N: usize>;

impl<const N: usize> Codec for Padded<N> {
    type Value = String;

    fn read(reader: &mut Reader<'_>) -> Result<String, EndedEarly> {
        Ok(text(&reader.array::<N>()?))
    }

    fn write(value: &String, out: &mut Vec<u8>) {
        write_padded::<N>(value.as_bytes(), 0, out);
    }

    fn json(value: &String) -> Value {
        json!(value)
    }
}

/// Identity of a firmware image: 16 bytes, on most modems a NUL-padded text, on some a digest.
pub struct UniqueId;

impl Codec for UniqueId {
    type Value = [u8; 16];

    fn read(reader: &mut Reader<'_>) -> Result<[u8; 16], EndedEarly> {
        reader.array()
    }

    fn write(value: &[u8; 16], out: &mut Vec<u8>) {
        out.extend_from_slice(value);
    }

    fn json(value: &[u8; 16]) -> Value {
        json!(unique_id_text(value))
    }
}

/// An MCC or MNC as three ASCII digits; a two-digit MNC is padded with 0xFF on the wire and has two here.
pub struct Digits3;

impl Codec for Digits3 {
    type Value = String;

    fn read(reader: &mut Reader<'_>) -> Result<String, EndedEarly> {
        let digits = reader.array::<3>()?;
        Ok(digits.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| char::from(*byte)).collect())
    }

    fn write(value: &String, out: &mut Vec<u8>) {
        write_padded::<3>(value.as_bytes(), 0xFF, out);
    }

    fn json(value: &String) -> Value {
        json!(value)
    }
}

/// A PLMN as three BCD bytes (3GPP TS 24.008, 10.5.1.13): MCC and MNC digits as one text of five or six,
/// empty when the modem knows none.
pub struct Plmn;

impl Codec for Plmn {
    type Value = String;

    fn read(reader: &mut Reader<'_>) -> Result<String, EndedEarly> {
        let [a, b, c] = reader.array()?;
        let nibbles = [a & 15, a >> 4, b & 15, c & 15, c >> 4, b >> 4];
        Ok(nibbles.into_iter().filter(|nibble| *nibble != 15).map(hex_digit).collect())
    }

    fn write(value: &String, out: &mut Vec<u8>) {
        let mut nibbles = [15_u8; 6];
        for (nibble, digit) in nibbles.iter_mut().zip(value.chars()) {
            *nibble = digit.to_digit(16).map_or(15, |digit| digit as u8);
        }
        let [mcc1, mcc2, mcc3, mnc1, mnc2, mnc3] = nibbles;
        out.extend_from_slice(&[mcc1 | mcc2 << 4, mcc3 | mnc3 << 4, mnc1 | mnc2 << 4]);
    }

    fn json(value: &String) -> Value {
        json!(value)
    }
}

/// A 24-bit tracking area code, most significant byte first as in 3GPP TS 38.413.
pub struct Tac24;

impl Codec for Tac24 {
    type Value = u32;

    fn read(reader: &mut Reader<'_>) -> Result<u32, EndedEarly> {
        let [a, b, c] = reader.array()?;
        Ok(u32::from_be_bytes([0, a, b, c]))
    }

    fn write(value: &u32, out: &mut Vec<u8>) {
        out.extend_from_slice(&value.to_be_bytes()[1..]);
    }

    fn json(value: &u32) -> Value {
        json!(value)
    }
}

/// A 48-bit counter.
pub struct U48;

impl Codec for U48 {
    type Value = u64;

    fn read(reader: &mut Reader<'_>) -> Result<u64, EndedEarly> {
        let mut bytes = [0; 8];
        bytes[..6].copy_from_slice(&reader.array::<6>()?);
        Ok(u64::from_le_bytes(bytes))
    }

    fn write(value: &u64, out: &mut Vec<u8>) {
        out.extend_from_slice(&value.to_le_bytes()[..6]);
    }

    fn json(value: &u64) -> Value {
        json!(value)
    }
}

/// The digits of BCD bytes whose low nibble comes first (ICCID, IMSI file); filler is dropped.
#[must_use]
pub fn swapped_digits(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte & 15, byte >> 4])
        .filter(|nibble| *nibble != 15)
        .map(hex_digit)
        .collect()
}

/// BCD bytes, low nibble first, of a text of digits; an odd count is filled up with F.
#[must_use]
pub fn swapped_bcd(digits: &str) -> Vec<u8> {
    let nibbles: Vec<u8> =
        digits.chars().map(|digit| digit.to_digit(16).map_or(15, |digit| digit as u8)).collect();
    nibbles.chunks(2).map(|pair| pair[0] | pair.get(1).unwrap_or(&15) << 4).collect()
}

/// An image's identity as people write it: its text, or hex when it is none.
#[must_use]
pub fn unique_id_text(id: &[u8; 16]) -> String {
    let end = id.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    match id[..end].iter().all(u8::is_ascii_graphic) {
        true => text(id),
        false => Hex(id).to_string(),
    }
}

/// An image's identity from its text, NUL-padded, cut at 16 bytes.
#[must_use]
pub fn unique_id(text: &str) -> [u8; 16] {
    let mut id = [0; 16];
    id.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
    id
}

fn hex_digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).expect("a nibble is below 16")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
}

fn most<I: Int>() -> usize {
    (1 << (8 * size_of::<I>())) - 1
}

fn counted<'a, I: Int>(reader: &mut Reader<'a>) -> Result<&'a [u8], EndedEarly> {
    let count = I::read(reader)?.widen();
    reader.take(count as usize)
}

fn write_counted<I: Int>(bytes: &[u8], out: &mut Vec<u8>) {
    let count = bytes.len().min(most::<I>());
    I::write(&I::narrow(count as i64), out);
    out.extend_from_slice(&bytes[..count]);
}

fn write_padded<const N: usize>(bytes: &[u8], filler: u8, out: &mut Vec<u8>) {
    let mut field = [filler; N];
    field.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    out.extend_from_slice(&field);
}

/// Structs whose fields follow each other on the wire:
///
/// ```text
/// layout! {
///     /// LTE signal.
///     LteSignal { rssi_dbm: i8, rsrq_db: i8, rsrp_dbm: i16, snr: i16 }
/// }
/// ```
macro_rules! layout {
    ($( $(#[$meta:meta])* $name:ident { $( $(#[$field_meta:meta])* $field:ident: $codec:ty ),* $(,)? } )*) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: <$codec as $crate::qmi::layout::Codec>::Value, )*
        }

        impl $crate::qmi::layout::Codec for $name {
            type Value = Self;

            fn read(
                reader: &mut $crate::qmi::tlv::Reader<'_>,
            ) -> Result<Self, $crate::qmi::tlv::EndedEarly> {
                Ok(Self { $( $field: <$codec as $crate::qmi::layout::Codec>::read(reader)?, )* })
            }

            fn write(value: &Self, out: &mut Vec<u8>) {
                $( <$codec as $crate::qmi::layout::Codec>::write(&value.$field, out); )*
            }

            fn json(value: &Self) -> serde_json::Value {
                let mut object = serde_json::Map::new();
                $( object.insert(
                    stringify!($field).to_owned(),
                    <$codec as $crate::qmi::layout::Codec>::json(&value.$field),
                ); )*
                serde_json::Value::Object(object)
            }
        }

        impl Default for $name {
            fn default() -> Self {
                <Self as $crate::qmi::layout::Codec>::blank()
            }
        }
    )* };
}
pub(crate) use layout;

/// Numbers that mean one of several things. Numbers without a name stay as they are in `Other`.
macro_rules! open_enum {
    ($( $(#[$meta:meta])* $name:ident { $( $number:literal $variant:ident $nick:literal ),* $(,)? } )*) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)]
        pub enum $name {
            $( $variant, )*
            /// A number that has no name here.
            Other(i64),
        }

        impl $name {
            /// The name libqmi prints, if the number has one.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $( Self::$variant => Some($nick), )*
                    Self::Other(_) => None,
                }
            }
        }

        impl $crate::qmi::layout::Coded for $name {
            fn from_number(number: i64) -> Self {
                match number {
                    $( $number => Self::$variant, )*
                    other => Self::Other(other),
                }
            }

            fn number(self) -> i64 {
                match self {
                    $( Self::$variant => $number, )*
                    Self::Other(other) => other,
                }
            }

            fn json(self) -> serde_json::Value {
                self.name().map_or_else(|| $crate::qmi::layout::Coded::number(self).into(), Into::into)
            }
        }

        impl Default for $name {
            fn default() -> Self {
                $crate::qmi::layout::Coded::from_number(0)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.name() {
                    Some(name) => out.write_str(name),
                    None => write!(out, "{}", $crate::qmi::layout::Coded::number(*self)),
                }
            }
        }
    )* };
}
pub(crate) use open_enum;

/// Numbers whose bits mean something each. As JSON: the names of the bits that are set, and as a number the bits
/// without one.
macro_rules! mask {
    ($( $(#[$meta:meta])* $name:ident { $( $bits:literal $constant:ident $nick:literal ),* $(,)? } )*) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);

        #[allow(missing_docs)]
        impl $name {
            $( pub const $constant: Self = Self($bits); )*

            /// Whether all bits of `other` are set.
            #[must_use]
            pub fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }
        }

        impl $crate::qmi::layout::Coded for $name {
            fn from_number(number: i64) -> Self {
                Self(number as u64)
            }

            fn number(self) -> i64 {
                self.0 as i64
            }

            fn json(self) -> serde_json::Value {
                $crate::qmi::layout::mask_json(self.0, &[$( ($bits, $nick) ),*])
            }
        }

        impl std::ops::BitOr for $name {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }
    )* };
}
pub(crate) use mask;

pub(crate) fn mask_json(bits: u64, names: &[(u64, &'static str)]) -> Value {
    let set = names.iter().filter(|(bit, _)| *bit != 0 && bits & bit == *bit);
    let unnamed = set.clone().fold(bits, |left, (bit, _)| left & !bit);
    set.map(|(_, name)| json!(name)).chain((unnamed != 0).then(|| json!(unnamed))).collect()
}
