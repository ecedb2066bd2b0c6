//! Identities: networks, cards and firmware images, as digits and texts.

use serde_json::{Value, json};

use super::super::tlv::{EndedEarly, Hex, Reader};
use super::{Bytes8, Codec, text, write_padded};

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written<C: Codec>(value: &C::Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        C::write(value, &mut bytes);
        bytes
    }

    fn read<C: Codec>(bytes: &[u8]) -> C::Value {
        C::read(&mut Reader::new(bytes)).unwrap()
    }

    #[test]
    fn networks_with_two_and_three_digits_and_none() {
        for (text, bytes) in [("00101", [0x00, 0xF1, 0x10]), ("310410", [0x13, 0x00, 0x14]), ("", [0xFF; 3])]
        {
            assert_eq!(written::<Plmn>(&text.to_owned()), bytes);
            assert_eq!(read::<Plmn>(&bytes), text);
        }
        assert_eq!(written::<Digits3>(&"01".to_owned()), [0x30, 0x31, 0xFF]);
        assert_eq!(read::<Digits3>(&[0x30, 0x31, 0xFF]), "01");
    }

    #[test]
    fn an_image_identity_is_its_text_or_hex() {
        assert_eq!(unique_id_text(&unique_id("002.079_000")), "002.079_000");
        assert_eq!(unique_id_text(&unique_id("sixteen-bytes-and-more")), "sixteen-bytes-an");
        assert_eq!(unique_id_text(&[0xAB; 16]), "ab".repeat(16));
        assert_eq!(unique_id_text(&[0; 16]), "");
    }

    proptest! {
        #[test]
        fn digits_survive_packing(digits in "[0-9]{0,22}") {
            prop_assert_eq!(swapped_digits(&swapped_bcd(&digits)), digits);
        }

        #[test]
        fn networks_survive(network in "[0-9]{5,6}") {
            prop_assert_eq!(read::<Plmn>(&written::<Plmn>(&network)), network);
        }
    }
}
