//! Recent signal, in memory as in a snapshot: of each field of each point the difference to the point before it, as a
//! signed LEB128 number. Points that follow each other differ in little, and a hundred thousand routers' are kept, and
//! read before central answers.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::link::SignalPoint;
use super::packed::Octets;

/// The latest points in order, at most [`Points::KEPT_MAX`]. Written as octets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Points(Box<[u8]>);

impl Points {
    /// Points kept: five minutes at the usual interval.
    pub const KEPT_MAX: usize = 30;
    /// Octets of the longest number.
    const NUMBER_BYTES_MAX: usize = 10;

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The points, earliest first. Octets that are none end them.
    pub fn iter(&self) -> impl Iterator<Item = SignalPoint> {
        let mut rest = &*self.0;
        let mut before = [0_i64; SignalPoint::NUMBERS];
        let next = move || {
            for number in &mut before {
                *number = number.wrapping_add(read(&mut rest)?);
            }
            Some(SignalPoint::from_numbers(before))
        };
        std::iter::from_fn(next).take(Self::KEPT_MAX)
    }

    /// Takes in `points`, in whatever order they come.
    pub(super) fn add(&mut self, points: impl Iterator<Item = SignalPoint>) {
        let mut kept = Vec::with_capacity(2 * Self::KEPT_MAX);
        kept.extend(self.iter());
        for point in points {
            let at = kept.partition_point(|known: &SignalPoint| known.key() <= point.key());
            kept.insert(at, point);
            if kept.len() > Self::KEPT_MAX {
                kept.remove(0);
            }
        }
        self.0 = packed(&kept);
    }
}

fn packed(points: &[SignalPoint]) -> Box<[u8]> {
    let mut bytes = Vec::with_capacity(points.len() * 2 * SignalPoint::NUMBERS);
    let mut before = [0; SignalPoint::NUMBERS];
    for point in points {
        let now = point.to_numbers();
        for (now, before) in now.iter().zip(before) {
            write(&mut bytes, now.wrapping_sub(before));
        }
        before = now;
    }
    bytes.into_boxed_slice()
}

impl Serialize for Points {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Points {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let octets = deserializer.deserialize_bytes(Octets)?;
        if octets.len() > Points::KEPT_MAX * SignalPoint::NUMBERS * Points::NUMBER_BYTES_MAX {
            return Err(D::Error::custom("too many points of signal"));
        }
        Ok(Self(octets))
    }
}

/// Seven bits an octet, the lowest first; the eighth says that more follow.
fn write(bytes: &mut Vec<u8>, mut number: i64) {
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        // The rest is only sign.
        if (number == 0 && low & 0x40 == 0) || (number == -1 && low & 0x40 != 0) {
            return bytes.push(low);
        }
        bytes.push(low | 0x80);
    }
}

/// The number at the front; `None` when it does not end. Bits beyond the 64th are lost.
fn read(bytes: &mut &[u8]) -> Option<i64> {
    let (mut number, mut shift) = (0, 0);
    loop {
        let (low, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= i64::from(low & 0x7f).checked_shl(shift).unwrap_or(0);
        shift += 7;
        if low & 0x80 == 0 {
            let sign = if low & 0x40 == 0 { 0 } else { (-1_i64).checked_shl(shift).unwrap_or(0) };
            return Some(number | sign);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::value::BytesDeserializer;

    use super::*;

    fn point() -> impl Strategy<Value = SignalPoint> {
        any::<(i64, u16, i64, u32, i16, i16)>().prop_map(|(order, index, ms, boot, rsrp, snr)| {
            SignalPoint::from_numbers([order, index.into(), ms, boot.into(), rsrp.into(), snr.into()])
        })
    }

    proptest! {
        #[test]
        fn any_points_are_kept_in_order_and_come_back(points in prop::collection::vec(point(), 0..80)) {
            let mut kept = Points::default();
            let (first, second) = points.split_at(points.len() / 2);
            kept.add(first.iter().copied());
            kept.add(second.iter().copied());
            let mut wanted = points;
            wanted.sort_by_key(SignalPoint::key);
            let wanted = wanted.split_off(wanted.len().saturating_sub(Points::KEPT_MAX));
            prop_assert_eq!(kept.iter().collect::<Vec<_>>(), wanted);
            let cbor = cbor4ii::serde::to_vec(Vec::new(), &kept).unwrap();
            prop_assert_eq!(cbor4ii::serde::from_slice::<Points>(&cbor).unwrap(), kept);
        }

        #[test]
        fn any_bytes_are_points_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..2_500)) {
            let octets = BytesDeserializer::<serde::de::value::Error>::new(&bytes);
            if let Ok(points) = Points::deserialize(octets) {
                prop_assert!(points.iter().count() <= Points::KEPT_MAX);
            }
        }
    }

    #[test]
    fn a_point_that_follows_takes_few_octets() {
        let numbers = |n: i64| [(1 << 48) + n / 6, n % 6, 1_790_000_000_000 + n * 10_000, 0, -93, 134];
        let bytes = |count| {
            let mut points = Points::default();
            points.add((0..count).map(|n| SignalPoint::from_numbers(numbers(n))));
            points.0.len()
        };
        assert!((bytes(30) - bytes(1)) / 29 <= 8, "{} for 30", bytes(30));
    }
}
