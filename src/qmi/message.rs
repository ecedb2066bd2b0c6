//! What a message is: its id, its TLVs, which answer belongs to it. The two macros here are the one place where a
//! message is described; agent, simulator and `tandem qmi decode` all work from that description.

use serde_json::Value;

use super::Service;
use super::cause::ProtocolError;
use super::layout::{As, Codec};
use super::tlv::{EndedEarly, Reader, Tlvs};

/// TLV of every response: status and error code.
pub const RESULT: u8 = 0x02;

/// A TLV that a message cannot do without was absent or cut short.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("mandatory TLV 0x{tlv_type:02x} ({name}) is missing or cut short")]
pub struct Missing {
    /// Its type.
    pub tlv_type: u8,
    /// Its name.
    pub name: &'static str,
}

/// The TLVs of one direction of a message.
pub trait Body: Sized {
    /// All TLVs that may occur.
    const TLVS: &'static [TlvSpec];

    /// Reads the TLVs known here. Optional TLVs that are malformed read as absent.
    ///
    /// # Errors
    /// [`Missing`] when a mandatory TLV is absent or malformed.
    fn from_tlvs(tlvs: &Tlvs) -> Result<Self, Missing>;

    /// Its TLVs, lowest type first.
    fn to_tlvs(&self) -> Tlvs;
}

/// A request and what belongs to it.
pub trait Request: Body {
    /// The service it goes to.
    const SERVICE: Service;
    /// Message id within the service.
    const ID: u16;
    /// Name as libqmi's documentation has it.
    const NAME: &'static str;
    /// TLVs of the answer when it succeeds.
    type Response: Body;
    /// TLVs of the answer when it is refused.
    type Failure: Body;
}

/// A message the modem sends by itself.
pub trait Indication: Body {
    /// The service it comes from.
    const SERVICE: Service;
    /// Message id within the service.
    const ID: u16;
    /// Name as libqmi's documentation has it.
    const NAME: &'static str;
}

/// A value for people, and how many bytes stood behind its layout.
pub type Described = Result<(Value, usize), EndedEarly>;

/// One TLV of a message.
#[derive(Debug)]
pub struct TlvSpec {
    /// Its type.
    pub tlv_type: u8,
    /// Its name as libqmi's documentation has it.
    pub name: &'static str,
    /// Whether the message is void without it.
    pub mandatory: bool,
    /// Its value for people, and how many bytes behind the layout were left over.
    pub describe: fn(&[u8]) -> Described,
}

/// One direction of a message, for whoever needs no types.
#[derive(Debug)]
pub struct BodySpec {
    /// Its TLVs.
    pub tlvs: &'static [TlvSpec],
    /// Reads into the typed body and writes that again.
    pub rewrite: fn(&Tlvs) -> Result<Tlvs, Missing>,
}

/// One message id of a service.
#[derive(Debug)]
pub struct MessageSpec {
    /// Message id.
    pub id: u16,
    /// Its name.
    pub name: &'static str,
    /// Host to modem.
    pub request: Option<BodySpec>,
    /// Modem to host, on success.
    pub response: Option<BodySpec>,
    /// Modem to host, when refused.
    pub failure: Option<BodySpec>,
    /// Modem to host, unasked.
    pub indication: Option<BodySpec>,
}

impl BodySpec {
    /// The description of `B`.
    #[must_use]
    pub const fn of<B: Body>() -> Self {
        Self { tlvs: B::TLVS, rewrite: |tlvs| B::from_tlvs(tlvs).map(|body| body.to_tlvs()) }
    }
}

/// Nothing but the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Done;

impl Body for Done {
    const TLVS: &'static [TlvSpec] = &[];

    fn from_tlvs(_: &Tlvs) -> Result<Self, Missing> {
        Ok(Self)
    }

    fn to_tlvs(&self) -> Tlvs {
        Tlvs::new()
    }
}

/// The result TLV: error 0 is success.
pub(crate) fn result_of(tlvs: &Tlvs) -> Option<ProtocolError> {
    let mut reader = Reader::new(tlvs.raw(RESULT)?);
    let status = u16::read(&mut reader).ok()?;
    let error = As::<u16, ProtocolError>::read(&mut reader).ok()?;
    Some(if status == 0 { ProtocolError::None } else { error })
}

/// A result TLV, then `body`.
pub(crate) fn with_result(error: ProtocolError, body: &Tlvs) -> Tlvs {
    let mut value = Vec::new();
    u16::write(&u16::from(error != ProtocolError::None), &mut value);
    As::<u16, ProtocolError>::write(&error, &mut value);
    let mut tlvs = Tlvs::new();
    tlvs.push(RESULT, &value);
    tlvs.extend(body);
    tlvs
}

/// Whether a TLV must be there: the two wrappers of TLV layouts.
pub trait Presence {
    /// What the struct holds.
    type Value;
    /// Whether the message is void without it.
    const MANDATORY: bool;
    /// Reads it.
    ///
    /// # Errors
    /// [`Missing`] when it is mandatory and not there.
    fn read(tlvs: &Tlvs, tlv_type: u8, name: &'static str) -> Result<Self::Value, Missing>;
    /// Appends it, if there is one.
    fn write(value: &Self::Value, tlv_type: u8, tlvs: &mut Tlvs);
    /// Absent, or what zero bytes mean.
    fn blank() -> Self::Value;
    /// Its value for people.
    ///
    /// # Errors
    /// [`EndedEarly`] when the bytes end before the layout does.
    fn describe(bytes: &[u8]) -> Described;
}

/// A mandatory TLV.
pub struct Must<C>(std::marker::PhantomData<C>);
/// An optional TLV.
pub struct May<C>(std::marker::PhantomData<C>);

impl<C: Codec> Presence for Must<C> {
    type Value = C::Value;
    const MANDATORY: bool = true;

    fn read(tlvs: &Tlvs, tlv_type: u8, name: &'static str) -> Result<C::Value, Missing> {
        tlvs.get::<C>(tlv_type).ok_or(Missing { tlv_type, name })
    }

    fn write(value: &C::Value, tlv_type: u8, tlvs: &mut Tlvs) {
        tlvs.put::<C>(tlv_type, value);
    }

    fn blank() -> C::Value {
        C::blank()
    }

    fn describe(bytes: &[u8]) -> Described {
        describe::<C>(bytes)
    }
}

impl<C: Codec> Presence for May<C> {
    type Value = Option<C::Value>;
    const MANDATORY: bool = false;

    fn read(tlvs: &Tlvs, tlv_type: u8, _: &'static str) -> Result<Option<C::Value>, Missing> {
        Ok(tlvs.get::<C>(tlv_type))
    }

    fn write(value: &Option<C::Value>, tlv_type: u8, tlvs: &mut Tlvs) {
        if let Some(value) = value {
            tlvs.put::<C>(tlv_type, value);
        }
    }

    fn blank() -> Option<C::Value> {
        None
    }

    fn describe(bytes: &[u8]) -> Described {
        describe::<C>(bytes)
    }
}

fn describe<C: Codec>(bytes: &[u8]) -> Described {
    let mut reader = Reader::new(bytes);
    let value = C::read(&mut reader)?;
    Ok((C::json(&value), reader.left().len()))
}

/// Structs of TLVs, lowest type first:
///
/// ```text
/// body! {
///     /// Answer to [`StartNetwork`].
///     StartNetworkResponse {
///         0x01 "Packet Data Handle" packet_data_handle: Must<u32>,
///     }
/// }
/// ```
macro_rules! body {
    ($( $(#[$meta:meta])* $name:ident {
        $( $(#[$field_meta:meta])* $tlv_type:literal $label:literal $field:ident: $presence:ty ),* $(,)?
    } )*) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $(
                #[doc = concat!("TLV ", stringify!($tlv_type), ", ", $label, ".")]
                $(#[$field_meta])*
                pub $field: <$presence as $crate::qmi::message::Presence>::Value,
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: <$presence as $crate::qmi::message::Presence>::blank(), )* }
            }
        }

        impl $crate::qmi::message::Body for $name {
            const TLVS: &'static [$crate::qmi::message::TlvSpec] = &[$(
                $crate::qmi::message::TlvSpec {
                    tlv_type: $tlv_type,
                    name: $label,
                    mandatory: <$presence as $crate::qmi::message::Presence>::MANDATORY,
                    describe: <$presence as $crate::qmi::message::Presence>::describe,
                },
            )*];

            fn from_tlvs(
                #[allow(unused)] tlvs: &$crate::qmi::tlv::Tlvs,
            ) -> Result<Self, $crate::qmi::message::Missing> {
                Ok(Self { $(
                    $field: <$presence as $crate::qmi::message::Presence>::read(tlvs, $tlv_type, $label)?,
                )* })
            }

            fn to_tlvs(&self) -> $crate::qmi::tlv::Tlvs {
                #[allow(unused_mut)]
                let mut tlvs = $crate::qmi::tlv::Tlvs::new();
                $( <$presence as $crate::qmi::message::Presence>::write(&self.$field, $tlv_type, &mut tlvs); )*
                tlvs
            }
        }
    )* };
}
pub(crate) use body;

/// All messages of a service: requests with their answers, then indications. Makes `MESSAGES`.
macro_rules! service {
    (
        $service:ident
        requests { $( $id:literal $label:literal $request:ident => $response:ty $(, failure $failure:ty)?; )* }
        indications { $( $indication_id:literal $indication_label:literal $indication:ident; )* }
    ) => {
        $(
            impl $crate::qmi::message::Request for $request {
                const SERVICE: $crate::qmi::Service = $crate::qmi::Service::$service;
                const ID: u16 = $id;
                const NAME: &'static str = $label;
                type Response = $response;
                type Failure = $crate::qmi::message::or_done!($($failure)?);
            }
        )*
        $(
            impl $crate::qmi::message::Indication for $indication {
                const SERVICE: $crate::qmi::Service = $crate::qmi::Service::$service;
                const ID: u16 = $indication_id;
                const NAME: &'static str = $indication_label;
            }
        )*

        /// Every message of this service that is described here.
        pub static MESSAGES: &[$crate::qmi::message::MessageSpec] = &[
            $( $crate::qmi::message::MessageSpec {
                id: $id,
                name: $label,
                request: Some($crate::qmi::message::BodySpec::of::<$request>()),
                response: Some($crate::qmi::message::BodySpec::of::<$response>()),
                failure: Some($crate::qmi::message::BodySpec::of::<
                    $crate::qmi::message::or_done!($($failure)?),
                >()),
                indication: None,
            }, )*
            $( $crate::qmi::message::MessageSpec {
                id: $indication_id,
                name: $indication_label,
                request: None,
                response: None,
                failure: None,
                indication: Some($crate::qmi::message::BodySpec::of::<$indication>()),
            }, )*
        ];
    };
}
pub(crate) use service;

macro_rules! or_done {
    () => {
        $crate::qmi::message::Done
    };
    ($failure:ty) => {
        $failure
    };
}
pub(crate) use or_done;
