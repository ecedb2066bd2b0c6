//! An event read in one pass over its bytes.
//!
//! [`Envelope`](super::Envelope) reads the attributes first and `data` when it is asked for, which goes over `data`
//! three times. Events as our agents write them, `type` before `data` and each key once, are read here with each
//! byte looked at once. Whatever is otherwise is no error: it is left to the envelope, which knows what to
//! say about it.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, de};

use super::envelope::{id_is, specversion_is_known};
use super::{Body, ClockState, Event, Origin, RouterName};

/// The event in `json`; `None` when it is not one that is read in one pass.
pub(super) fn read(json: &[u8]) -> Option<Event> {
    serde_json::from_slice::<Quick>(json).ok().map(|quick| quick.0)
}

struct Quick(Event);

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Attribute {
    SpecVersion,
    Id,
    Source,
    Subject,
    Time,
    Epoch,
    Sequence,
    PartitionKey,
    Type,
    Data,
    #[serde(other)]
    Other,
}

/// Text that is only copied when it has escapes in it.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Quick {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Attributes)
    }
}

struct Attributes;

impl<'de> Visitor<'de> for Attributes {
    type Value = Quick;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Quick, A::Error> {
        let (mut specversion, mut id, mut source, mut partitionkey) = (None, None, None, None);
        let (mut epoch, mut sequence, mut kind, mut data) = (None, None, None::<Text<'de>>, None);
        let mut time: Option<DateTime<Utc>> = None;
        let mut subject: Option<Option<String>> = None;
        while let Some(attribute) = map.next_key()? {
            match attribute {
                Attribute::SpecVersion => once(&mut specversion, &mut map)?,
                Attribute::Id => once(&mut id, &mut map)?,
                Attribute::Source => once(&mut source, &mut map)?,
                Attribute::Subject => once(&mut subject, &mut map)?,
                Attribute::Time => once(&mut time, &mut map)?,
                Attribute::Epoch => once(&mut epoch, &mut map)?,
                Attribute::Sequence => once(&mut sequence, &mut map)?,
                Attribute::PartitionKey => once(&mut partitionkey, &mut map)?,
                Attribute::Type => once(&mut kind, &mut map)?,
                Attribute::Data => {
                    let Some(Text(kind)) = &kind else { return Err(other()) };
                    if data.replace(map.next_value_seed(Data { kind })?).is_some() {
                        return Err(other());
                    }
                }
                Attribute::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let whole = || {
            let (Text(specversion), Text(id), Text(source)) = (specversion?, id?, source?);
            let (epoch, sequence, Text(partitionkey)) = (epoch?, sequence?, partitionkey?);
            let router = RouterName::from_source(&source).ok()?;
            let agrees = specversion_is_known(&specversion)
                && router.as_str() == partitionkey
                && id_is(&id, epoch, sequence);
            let (origin, body) = data.filter(|_| agrees)?;
            Some(Event { router, epoch, sequence, time: time?, subject: subject.flatten(), origin, body })
        };
        whole().map(Quick).ok_or_else(other)
    }
}

/// Reads a value that may come only once.
fn once<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    place: &mut Option<T>,
    map: &mut A,
) -> Result<(), A::Error> {
    match place.replace(map.next_value()?) {
        None => Ok(()),
        Some(_) => Err(other()),
    }
}

/// Says that the event is left to the envelope.
fn other<E: Error>() -> E {
    E::custom("not as our agents write events")
}

/// `data` of an event of type `kind`.
struct Data<'a> {
    kind: &'a str,
}

impl<'de> DeserializeSeed<'de> for Data<'_> {
    type Value = (Origin, Body);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Data<'_> {
    type Value = (Origin, Body);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("data of an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields { map, boot_id: None, uptime_ms: None, clock: None };
        let body = Body::read_fields(self.kind, MapAccessDeserializer::new(&mut fields))?;
        match (fields.boot_id, fields.uptime_ms, fields.clock) {
            (Some(boot_id), Some(uptime_ms), Some(clock)) => Ok((Origin { boot_id, uptime_ms, clock }, body)),
            _ => Err(other()),
        }
    }
}

/// The fields of `data` without those of the origin, which it keeps for itself.
struct Fields<A> {
    map: A,
    boot_id: Option<String>,
    uptime_ms: Option<u64>,
    clock: Option<ClockState>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for &mut Fields<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        loop {
            let Some(Text(key)) = self.map.next_key()? else { return Ok(None) };
            let again = match &*key {
                "boot_id" => self.boot_id.replace(self.map.next_value()?).is_some(),
                "uptime_ms" => self.uptime_ms.replace(self.map.next_value()?).is_some(),
                "clock" => self.clock.replace(self.map.next_value()?).is_some(),
                _ => {
                    let key: de::value::CowStrDeserializer<'_, A::Error> = key.into_deserializer();
                    return seed.deserialize(key).map(Some);
                }
            };
            if again {
                return Err(other());
            }
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}
