//! Numbers that mean "not available" become `None`: -128, -32768 and all ones are no values, and a chart of -3276.8 dBm
//! or 4.29 billion errors is what becomes of them otherwise.

/// Integers of which one value stands for "not available".
pub trait Sentinel: Copy + PartialEq {
    /// That value.
    const NOT_AVAILABLE: Self;
}

macro_rules! sentinels {
    ($($int:ty: $value:expr),*) => { $( impl Sentinel for $int { const NOT_AVAILABLE: Self = $value; } )* };
}
sentinels!(u8: u8::MAX, u16: u16::MAX, u32: u32::MAX, u64: u64::MAX, i8: i8::MIN, i16: i16::MIN, i32: i32::MIN);

/// The value, unless it is the one that stands for "not available".
#[must_use]
pub fn known<T: Sentinel>(value: impl Into<Option<T>>) -> Option<T> {
    value.into().filter(|value| *value != T::NOT_AVAILABLE)
}
