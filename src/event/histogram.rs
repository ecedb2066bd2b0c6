//! Round-trip times as an [HdrHistogram](https://hdrhistogram.github.io/HdrHistogram/): V2 compressed encoding in
//! base64, so that histograms of any routers and minutes add up without error.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};

/// Round-trip times in microseconds, two significant digits, 1 µs to 60 s; longer ones count as 60 s.
#[derive(Clone, Debug, PartialEq)]
pub struct RoundTrips(Histogram<u32>);

/// Why a text is no histogram.
#[derive(Debug, thiserror::Error)]
pub enum HistogramError {
    /// Not base64.
    #[error("histogram is not base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// Not HdrHistogram V2.
    #[error("histogram is not HdrHistogram V2: {0}")]
    Encoding(String),
}

impl Default for RoundTrips {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, Self::LONGEST_US, Self::DIGITS).expect("bounds are valid"))
    }
}

impl RoundTrips {
    const LONGEST_US: u64 = 60_000_000;
    const DIGITS: u8 = 2;
    /// Largest encoding accepted from outside: a full histogram of these bounds is far below it.
    const ENCODED_MAX: usize = 16 * 1024;

    /// Counts one round trip.
    pub fn record(&mut self, round_trip_us: u64) {
        self.0.saturating_record(round_trip_us);
    }

    /// Adds all of `other`.
    pub fn add(&mut self, other: &Self) {
        for value in other.0.iter_recorded() {
            let count = value.count_since_last_iteration();
            self.0.saturating_record_n(value.value_iterated_to(), u32::try_from(count).unwrap_or(u32::MAX));
        }
    }

    /// How many round trips were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The value below which `quantile` (0 to 1) of the round trips lie, in microseconds.
    #[must_use]
    pub fn quantile_us(&self, quantile: f64) -> u64 {
        self.0.value_at_quantile(quantile)
    }

    /// V2 compressed encoding, base64.
    #[must_use]
    pub fn to_base64(&self) -> String {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&self.0, &mut bytes).expect("writing to memory does not fail");
        STANDARD.encode(bytes)
    }

    /// Reads what [`Self::to_base64`] or another HdrHistogram wrote (V2, compressed or not).
    ///
    /// # Errors
    /// When the text is too long, not base64, or not such a histogram.
    pub fn from_base64(text: &str) -> Result<Self, HistogramError> {
        if text.len() > Self::ENCODED_MAX {
            return Err(HistogramError::Encoding(format!("{} characters are too many", text.len())));
        }
        let bytes = STANDARD.decode(text)?;
        let read: Histogram<u32> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|error| HistogramError::Encoding(format!("{error:?}")))?;
        let mut own = Self::default();
        own.add(&Self(read));
        Ok(own)
    }
}
