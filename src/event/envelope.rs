//! The CloudEvents envelope around a [`Body`], in and out of JSON.

use chrono::{DateTime, Utc};
use serde::ser::{Error as _, SerializeStruct};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{Body, Class, ClockState, Epoch, RouterName, Sequence, Unknown, quick};

/// One event: identity and time around what happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The router that speaks.
    pub router: RouterName,
    /// The life of the spool it went through.
    pub epoch: Epoch,
    /// Its place in that life.
    pub sequence: Sequence,
    /// When it happened, by the router's wall clock; see [`Origin::clock`] for how far to trust it.
    pub time: DateTime<Utc>,
    /// The device-interface or other object it is about.
    pub subject: Option<String>,
    /// The clocks that do not lie.
    pub origin: Origin,
    /// What happened.
    pub body: Body,
}

/// Which run of the machine an event belongs to, and when in it. Stands in `data` beside the body's fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Origin {
    /// The kernel's `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// Milliseconds since that boot (`CLOCK_BOOTTIME`).
    pub uptime_ms: u64,
    /// Whether the wall clock was set from a trusted source when the event was written.
    pub clock: ClockState,
}

/// Why bytes are no event.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Not JSON, or an attribute is missing or malformed.
    #[error("event is not readable: {0}")]
    Malformed(#[from] serde_json::Error),
    /// `specversion` is another one.
    #[error("specversion {0:?} is not \"1.0\"")]
    SpecVersion(String),
    /// `source`, `partitionkey` and `id` contradict each other or the identity.
    #[error("attribute {attribute} is {found:?}, expected {expected:?}")]
    Contradiction {
        /// Name of the attribute.
        attribute: &'static str,
        /// What it says.
        found: String,
        /// What the identity asks for.
        expected: String,
    },
    /// `data` does not fit the type.
    #[error("data of {kind} is not readable: {error}")]
    Data {
        /// The event's type.
        kind: String,
        /// Where and why.
        error: serde_json::Error,
    },
}

/// The attributes of an event, its `data` unread: all that is needed to route it.
#[derive(Debug, Deserialize)]
pub struct Envelope<'a> {
    specversion: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    id: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    source: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    subject: Option<std::borrow::Cow<'a, str>>,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// The life of the spool.
    pub epoch: Epoch,
    /// Place in that life.
    pub sequence: Sequence,
    #[serde(borrow)]
    partitionkey: std::borrow::Cow<'a, str>,
    /// CloudEvents type, `io.tandem.<subject>.<verb>.v1`.
    #[serde(borrow, rename = "type")]
    pub kind: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl<'a> Envelope<'a> {
    /// Reads the attributes and checks that they agree with each other.
    ///
    /// # Errors
    /// When the bytes are not a CloudEvent of a router, or its attributes contradict each other.
    pub fn read(json: &'a [u8]) -> Result<Self, EventError> {
        let envelope: Self = serde_json::from_slice(json)?;
        if !specversion_is_known(&envelope.specversion) {
            return Err(EventError::SpecVersion(envelope.specversion.into_owned()));
        }
        let router = envelope.router()?;
        envelope.check("partitionkey", &envelope.partitionkey, router.as_str())?;
        if !id_is(&envelope.id, envelope.epoch, envelope.sequence) {
            envelope.check("id", &envelope.id, &Event::id_of(envelope.epoch, envelope.sequence))?;
        }
        Ok(envelope)
    }

    /// The router named by `source`.
    ///
    /// # Errors
    /// When the source names none.
    pub fn router(&self) -> Result<RouterName, EventError> {
        RouterName::from_source(&self.source).map_err(|_| EventError::Contradiction {
            attribute: "source",
            found: self.source.chars().take(80).collect(),
            expected: "/routers/<name>".into(),
        })
    }

    /// Which topic the event belongs to. Unknown types count as status: they are never thinned.
    #[must_use]
    pub fn class(&self) -> Class {
        Body::class_of(&self.kind)
    }

    /// Reads `data` too.
    ///
    /// # Errors
    /// When `data` does not fit the type.
    pub fn into_event(self) -> Result<Event, EventError> {
        let body = Body::read(&self.kind, self.data).map_err(|error| self.misfit(error))?;
        self.into_event_of(body)
    }

    /// The event with its `data` unread but for the origin: it is written out again as it came.
    ///
    /// # Errors
    /// When `data` has no origin.
    pub fn into_unread_event(self) -> Result<Event, EventError> {
        let (kind, data) = (self.kind.as_ref().to_owned(), self.data.get().to_owned());
        self.into_event_of(Body::Unknown(Unknown { kind, data }))
    }

    /// Reads `data` as that of one type.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn data<T: serde::de::DeserializeOwned>(&self) -> Result<T, EventError> {
        serde_json::from_str(self.data.get()).map_err(|error| self.misfit(error))
    }

    fn into_event_of(self, body: Body) -> Result<Event, EventError> {
        Ok(Event {
            router: self.router()?,
            epoch: self.epoch,
            sequence: self.sequence,
            time: self.time,
            origin: self.data()?,
            subject: self.subject.map(std::borrow::Cow::into_owned),
            body,
        })
    }

    fn misfit(&self, error: serde_json::Error) -> EventError {
        EventError::Data { kind: self.kind.as_ref().to_owned(), error }
    }

    fn check(&self, attribute: &'static str, found: &str, expected: &str) -> Result<(), EventError> {
        if found == expected {
            return Ok(());
        }
        let found = found.chars().take(80).collect();
        Err(EventError::Contradiction { attribute, found, expected: expected.to_owned() })
    }
}

pub(super) fn specversion_is_known(specversion: &str) -> bool {
    specversion == Event::SPECVERSION
}

/// Whether `id` is the one that this identity asks for: 16 hex digits, a hyphen, 20 digits.
pub(super) fn id_is(id: &str, epoch: Epoch, sequence: Sequence) -> bool {
    let parts = id.split_once('-').filter(|(left, _)| !left.bytes().any(|byte| byte.is_ascii_uppercase()));
    parts.is_some_and(|(left, right)| left.parse() == Ok(epoch) && right.parse() == Ok(sequence))
}

impl Event {
    const SPECVERSION: &str = "1.0";

    /// The CloudEvents `id`, unique within the source.
    #[must_use]
    pub fn id(&self) -> String {
        Self::id_of(self.epoch, self.sequence)
    }

    fn id_of(epoch: Epoch, sequence: Sequence) -> String {
        format!("{epoch}-{sequence}")
    }

    /// Reads one event.
    ///
    /// # Errors
    /// As [`Envelope::read`] and [`Envelope::into_event`].
    pub fn from_json(json: &[u8]) -> Result<Self, EventError> {
        match Self::from_usual_json(json) {
            Some(event) => Ok(event),
            None => Envelope::read(json)?.into_event(),
        }
    }

    /// Reads one event of a known type, written as our agents write them, in one pass. `None` says nothing against
    /// the bytes: read their [`Envelope`] then.
    #[must_use]
    pub fn from_usual_json(json: &[u8]) -> Option<Self> {
        quick::read(json)
    }

    /// The event as JSON, without line breaks.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an event has only string keys and finite numbers or null")
    }

    /// Which topic the event belongs to.
    #[must_use]
    pub fn class(&self) -> Class {
        self.body.class()
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Event", 10)?;
        out.serialize_field("specversion", Self::SPECVERSION)?;
        out.serialize_field("id", &self.id())?;
        out.serialize_field("source", &self.router.source())?;
        match &self.subject {
            Some(subject) => out.serialize_field("subject", subject)?,
            None => out.skip_field("subject")?,
        }
        out.serialize_field("time", &self.time)?;
        out.serialize_field("epoch", &self.epoch)?;
        out.serialize_field("sequence", &self.sequence)?;
        out.serialize_field("partitionkey", &self.router)?;
        out.serialize_field("type", self.body.kind())?;
        match &self.body {
            Body::Unknown(unknown) => {
                let data: &RawValue = serde_json::from_str(&unknown.data).map_err(S::Error::custom)?;
                out.serialize_field("data", data)?;
            }
            body => out.serialize_field("data", &Data { origin: &self.origin, body })?,
        }
        out.end()
    }
}

/// `data` as it is written: the origin's fields, then the body's.
#[derive(Serialize)]
struct Data<'a, B: Serialize> {
    #[serde(flatten)]
    origin: &'a Origin,
    #[serde(flatten)]
    body: B,
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Self::from_json(raw.get().as_bytes()).map_err(serde::de::Error::custom)
    }
}
