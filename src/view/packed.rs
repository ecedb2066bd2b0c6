//! A word that is read seldom, in as little room as it takes: a hundred thousand routers' are kept, read from snapshots
//! before central answers, and asked for one router at a time.

use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A `T` as CBOR (RFC 8949). Written as octets.
#[derive(Clone, Debug, PartialEq)]
pub struct Packed<T>(Box<[u8]>, PhantomData<T>);

impl<T: Serialize + DeserializeOwned> Packed<T> {
    /// Packs `value`.
    #[must_use]
    pub fn of(value: &T) -> Self {
        let cbor = cbor4ii::serde::to_vec(Vec::new(), value).expect("there is room");
        Self(cbor.into(), PhantomData)
    }

    /// What was packed; `None` when the octets, which a snapshot brought, are none.
    #[must_use]
    pub fn unpack(&self) -> Option<T> {
        cbor4ii::serde::from_slice(&self.0).ok()
    }
}

impl<T> Serialize for Packed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de, T> Deserialize<'de> for Packed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Octets).map(|octets| Self(octets, PhantomData))
    }
}

/// Reads octets without taking more room than they need.
pub(super) struct Octets;

impl Visitor<'_> for Octets {
    type Value = Box<[u8]>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("octets")
    }

    fn visit_bytes<E: Error>(self, octets: &[u8]) -> Result<Box<[u8]>, E> {
        Ok(octets.into())
    }
}
