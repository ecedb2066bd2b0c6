//! An event read in one pass over its bytes.
//!
//! [`Envelope`](super::Envelope) reads the attributes first and `data` when it is asked for, which goes over `data`
//! three times. Events as our agents write them, the attributes in their order, without spaces and escapes, `data` last,
//! are read here with each byte looked at once. Whatever is otherwise is no error: it is left to the envelope, which
//! knows what to say about it.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, de};

use super::envelope::{id_is, specversion_is_known};
use super::{Body, ClockState, Epoch, Event, Origin, RouterName, Sequence};

/// The event in `json`; `None` when it is not one that is read in one pass.
pub(super) fn read(json: &[u8]) -> Option<Event> {
    let mut rest = std::str::from_utf8(json).ok()?;
    let specversion = attribute(&mut rest, "{\"specversion\":\"")?;
    let id = attribute(&mut rest, ",\"id\":\"")?;
    let source = attribute(&mut rest, ",\"source\":\"")?;
    let subject = attribute(&mut rest, ",\"subject\":\"");
    let time: DateTime<Utc> = attribute(&mut rest, ",\"time\":\"")?.parse().ok()?;
    let epoch: Epoch = attribute(&mut rest, ",\"epoch\":\"")?.parse().ok()?;
    let sequence: Sequence = attribute(&mut rest, ",\"sequence\":\"")?.parse().ok()?;
    let partitionkey = attribute(&mut rest, ",\"partitionkey\":\"")?;
    let kind = attribute(&mut rest, ",\"type\":\"")?;
    let data = rest.strip_prefix(",\"data\":")?.strip_suffix('}')?;
    let router = RouterName::from_source(source).ok()?;
    let agrees =
        specversion_is_known(specversion) && router.as_str() == partitionkey && id_is(id, epoch, sequence);
    if !agrees {
        return None;
    }
    let mut data = serde_json::Deserializer::from_str(data);
    let (origin, body) = Data { kind }.deserialize(&mut data).ok()?;
    // Attributes behind the data are not ours.
    data.end().ok()?;
    Some(Event { router, epoch, sequence, time, subject: subject.map(str::to_owned), origin, body })
}

/// The text of the attribute that `rest` begins with, when that is `start` and has no escapes in it; `rest` goes on
/// behind it.
fn attribute<'a>(rest: &mut &'a str, start: &str) -> Option<&'a str> {
    let after = rest.strip_prefix(start)?;
    let end = after.bytes().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20))?;
    let (text, after) = after.split_at(end);
    *rest = after.strip_prefix('"')?;
    Some(text)
}

/// Says that the event is left to the envelope.
fn other<E: Error>() -> E {
    E::custom("not as our agents write events")
}

/// Text that is only copied when it has escapes in it.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

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
