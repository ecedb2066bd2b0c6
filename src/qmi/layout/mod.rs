//! How values lie in the bytes of a TLV: integers, texts, lists, addresses, enums, and the `layout!` macro
//! that makes a struct of them. All integers are little-endian unless a name says otherwise.
//!
//! A *codec* is a type-level description (`List8<As<i8, RadioInterface>>`); its [`Codec::Value`] is the plain
//! Rust value that users see (`Vec<RadioInterface>`).

mod digits;
mod named;

use std::marker::PhantomData;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

pub use digits::{Digits3, Iccid8, Plmn, UniqueId, swapped_bcd, swapped_digits, unique_id, unique_id_text};
pub use named::{As, Coded};
pub(crate) use named::{mask, mask_json, open_enum};

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
