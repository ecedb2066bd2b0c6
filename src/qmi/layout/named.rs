//! Numbers with names: open enums and bit masks.

use std::marker::PhantomData;

use serde_json::{Value, json};

use super::super::tlv::{EndedEarly, Reader};
use super::{Codec, Int};

/// A number with names: an open enum or a bit mask.
pub trait Coded: Copy {
    /// From the number on the wire; any number has a value.
    fn from_number(number: i64) -> Self;
    /// The number on the wire.
    fn number(self) -> i64;
    /// Its name or names; plain numbers where there is none.
    fn json(self) -> Value;
}

/// A named number `E` carried in an integer `I`.
pub struct As<I, E>(PhantomData<(I, E)>);

impl<I: Int, E: Coded> Codec for As<I, E> {
    type Value = E;

    fn read(reader: &mut Reader<'_>) -> Result<E, EndedEarly> {
        Ok(E::from_number(I::read(reader)?.widen()))
    }

    fn write(value: &E, out: &mut Vec<u8>) {
        I::write(&I::narrow(value.number()), out);
    }

    fn json(value: &E) -> Value {
        value.json()
    }
}

/// Numbers that mean one of several things. Numbers without a name stay as they are in `Other`.
macro_rules! open_enum {
    ($( $(#[$meta:meta])* $name:ident { $( $number:literal $variant:ident $nick:literal ),* $(,)? } )*) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)]
        pub enum $name {
            $( $variant, )*
            /// A number that has no name here.
            Other(i64),
        }

        impl $name {
            /// The name libqmi prints, if the number has one.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $( Self::$variant => Some($nick), )*
                    Self::Other(_) => None,
                }
            }
        }

        impl $crate::qmi::layout::Coded for $name {
            fn from_number(number: i64) -> Self {
                match number {
                    $( $number => Self::$variant, )*
                    other => Self::Other(other),
                }
            }

            fn number(self) -> i64 {
                match self {
                    $( Self::$variant => $number, )*
                    Self::Other(other) => other,
                }
            }

            fn json(self) -> serde_json::Value {
                self.name().map_or_else(|| $crate::qmi::layout::Coded::number(self).into(), Into::into)
            }
        }

        impl Default for $name {
            fn default() -> Self {
                $crate::qmi::layout::Coded::from_number(0)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.name() {
                    Some(name) => out.write_str(name),
                    None => write!(out, "{}", $crate::qmi::layout::Coded::number(*self)),
                }
            }
        }
    )* };
}
pub(crate) use open_enum;

/// Numbers whose bits mean something each. As JSON: the names of the bits that are set, and as a number the bits
/// without one.
macro_rules! mask {
    ($( $(#[$meta:meta])* $name:ident { $( $bits:literal $constant:ident $nick:literal ),* $(,)? } )*) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);

        #[allow(missing_docs)]
        impl $name {
            $( pub const $constant: Self = Self($bits); )*

            /// Whether all bits of `other` are set.
            #[must_use]
            pub fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }
        }

        impl $crate::qmi::layout::Coded for $name {
            fn from_number(number: i64) -> Self {
                Self(number as u64)
            }

            fn number(self) -> i64 {
                self.0 as i64
            }

            fn json(self) -> serde_json::Value {
                $crate::qmi::layout::mask_json(self.0, &[$( ($bits, $nick) ),*])
            }
        }

        impl std::ops::BitOr for $name {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }
    )* };
}
pub(crate) use mask;

pub(crate) fn mask_json(bits: u64, names: &[(u64, &'static str)]) -> Value {
    let set = names.iter().filter(|(bit, _)| *bit != 0 && bits & bit == *bit);
    let unnamed = set.clone().fold(bits, |left, (bit, _)| left & !bit);
    set.map(|(_, name)| json!(name)).chain((unnamed != 0).then(|| json!(unnamed))).collect()
}
