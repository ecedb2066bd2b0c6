//! Durations and byte sizes as an operator writes them: `"10s"`, `"1h30m"`, `"1MiB"`.

use std::time::Duration;

/// Longest duration a configuration may name; keeps sums with any clock away from overflow.
const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 3600);

/// Units of time in milliseconds, largest first.
const TIME_UNITS: [(&str, u64); 5] =
    [("d", 24 * 3_600_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Units of size in bytes, in the order in which printing tries them.
const SIZE_UNITS: [(&str, u64); 8] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1000),
    ("KB", 1000),
    ("B", 1),
];

/// Reads `"10s"`, `"250ms"`, `"1h30m"`, `"0s"`.
///
/// # Errors
/// A text that says what is expected.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("`{text}` is not a duration; write it like \"10s\", \"5m\", \"1h30m\" or \"250ms\"");
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total_ms: u64 = 0;
    let mut next_unit = 0;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?);
        let (unit, after) =
            after.split_at(after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len()));
        let at = TIME_UNITS.iter().position(|(name, _)| *name == unit).ok_or_else(wrong)?;
        if number.is_empty() || at < next_unit {
            return Err(wrong());
        }
        next_unit = at + 1;
        total_ms = number
            .parse::<u64>()
            .ok()
            .and_then(|count| count.checked_mul(TIME_UNITS[at].1))
            .and_then(|ms| total_ms.checked_add(ms))
            .filter(|ms| Duration::from_millis(*ms) <= MAX_DURATION)
            .ok_or_else(|| format!("`{text}` is longer than the 366 days allowed"))?;
        rest = after;
    }
    Ok(Duration::from_millis(total_ms))
}

/// The shortest form that [`parse_duration`] reads back; parts below a millisecond are cut off.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let mut rest_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest_ms == 0 {
        return "0s".into();
    }
    let mut text = String::new();
    for (unit, unit_ms) in TIME_UNITS {
        let count = rest_ms / unit_ms;
        rest_ms %= unit_ms;
        if count > 0 {
            text += &format!("{count}{unit}");
        }
    }
    text
}

/// Reads `"1MiB"`, `"9MB"`, `"512B"`, `"100kB"`.
///
/// # Errors
/// A text that says what is expected.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size; write it like \"1MiB\", \"9MB\", \"500kB\" or \"512B\"");
    let trimmed = text.trim();
    let (number, unit) = trimmed.split_at(trimmed.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?);
    let (_, unit_bytes) = SIZE_UNITS.iter().find(|(name, _)| *name == unit.trim_start()).ok_or_else(wrong)?;
    if number.is_empty() {
        return Err(wrong());
    }
    number
        .parse::<u64>()
        .ok()
        .and_then(|count| count.checked_mul(*unit_bytes))
        .filter(|bytes| i64::try_from(*bytes).is_ok())
        .ok_or_else(|| format!("`{text}` is larger than any disk"))
}

/// The shortest exact form that [`parse_size`] reads back.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    SIZE_UNITS
        .iter()
        .filter(|(_, unit_bytes)| bytes != 0 && bytes.is_multiple_of(*unit_bytes))
        .map(|(unit, unit_bytes)| format!("{}{unit}", bytes / unit_bytes))
        .min_by_key(String::len)
        .unwrap_or_else(|| "0B".into())
}

/// `#[serde(with)]` of a duration.
pub mod duration {
    use std::borrow::Cow;
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format_duration(*value))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        super::parse_duration(&Cow::<str>::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// `#[serde(with)]` of a list of durations.
pub mod durations {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct One(#[serde(with = "super::duration")] Duration);

    pub fn serialize<S: Serializer>(values: &[Duration], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().copied().map(One))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Duration>, D::Error> {
        Ok(Vec::<One>::deserialize(deserializer)?.into_iter().map(|one| one.0).collect())
    }
}

/// `#[serde(with)]` of a size in bytes.
pub mod size {
    use std::borrow::Cow;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format_size(*bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        super::parse_size(&Cow::<str>::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_read_as_written() {
        for (text, ms) in [("10s", 10_000), ("5m", 300_000), ("1h30m", 5_400_000), ("250ms", 250), ("0s", 0)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn wrong_durations_and_sizes_are_named() {
        for text in [
            "",
            "10",
            "s",
            "10 s",
            "ten s",
            "5m1h",
            "5m5m",
            "-1s",
            "1.5s",
            "10sec",
            "367d",
            "é",
            "99999999999999999999s",
        ] {
            assert!(parse_duration(text).is_err_and(|error| error.contains(&format!("`{text}`"))), "{text}");
        }
        for text in ["", "10", "MB", "1.5MB", "-1MB", "1mb", "99999999999GiB", "é"] {
            assert!(parse_size(text).is_err_and(|error| error.contains(&format!("`{text}`"))), "{text}");
        }
    }

    #[test]
    fn sizes_read_as_written() {
        for (text, bytes) in [("1MiB", 1 << 20), ("9MB", 9_000_000), ("0B", 0), ("512B", 512), ("3 kB", 3000)]
        {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    proptest! {
        #[test]
        fn printed_quantities_read_back(ms in 0u64..=366 * 86_400_000, bytes in 0u64..=i64::MAX as u64) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
            prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = (parse_duration(&text), parse_size(&text));
        }
    }
}
