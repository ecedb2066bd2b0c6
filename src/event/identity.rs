//! Who speaks and in which place of its sequence: router name, epoch, sequence.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A router's name: 1 to 63 characters out of `a-z A-Z 0-9 . _ -`, first one alphanumeric. It is a key of
/// the stream, a part of a path and of a file name, so nothing else is let in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterName(std::sync::Arc<str>);

/// Why a text is no router name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "router name {0:?} is not 1 to 63 characters of letters, digits, '.', '_', '-' that begin with a letter or digit"
)]
pub struct RouterNameError(pub String);

impl RouterName {
    const LENGTH_MAX: usize = 63;
    const SOURCE_PREFIX: &str = "/routers/";

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The CloudEvents `source` of this router.
    #[must_use]
    pub fn source(&self) -> String {
        format!("{}{}", Self::SOURCE_PREFIX, self.0)
    }

    /// The router that a CloudEvents `source` names.
    ///
    /// # Errors
    /// When the source is not `/routers/` followed by a router name.
    pub fn from_source(source: &str) -> Result<Self, RouterNameError> {
        source.strip_prefix(Self::SOURCE_PREFIX).ok_or_else(|| RouterNameError(source.to_owned()))?.parse()
    }
}

impl std::borrow::Borrow<str> for RouterName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for RouterName {
    type Err = RouterNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let starts_well = text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
        if starts_well && text.len() <= Self::LENGTH_MAX && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(RouterNameError(text.chars().take(80).collect()))
        }
    }
}

impl fmt::Display for RouterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for RouterName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RouterName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Parsed(std::marker::PhantomData))
    }
}

/// The life of one spool: a random number drawn when the spool is created, written as 16 hex digits. A spool
/// that had to be set aside is followed by a new epoch, whose sequence begins at 1 again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Epoch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        u64::from_str_radix(text, 16)
            .ok()
            .filter(|_| digits)
            .map(Self)
            .ok_or_else(|| format!("epoch {text:?} is not 16 hex digits"))
    }
}

/// A place in the contiguous count of one epoch, from 1. On the wire: 20 digits, zero padded, so that the
/// order of the texts is the order of the numbers (CloudEvents sequence extension).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}", self.0)
    }
}

impl FromStr for Sequence {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.len() == 20 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse()
            .ok()
            .filter(|_| digits)
            .map(Self)
            .ok_or_else(|| format!("sequence {text:?} is not 20 digits"))
    }
}

/// Reads a value from its text without copying it first.
struct Parsed<T>(std::marker::PhantomData<T>);

impl<T: FromStr<Err: fmt::Display>> serde::de::Visitor<'_> for Parsed<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

macro_rules! as_text {
    ($($type:ty, $description:literal, $pattern:literal);+ $(;)?) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Parsed(std::marker::PhantomData))
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "description": $description, "pattern": $pattern })
            }
        }
    )+};
}

as_text! {
    Epoch, "The life of one spool, 16 hex digits.", "^[0-9a-f]{16}$";
    Sequence, "Place in the contiguous count of one epoch, 20 digits.", "^[0-9]{20}$";
}
