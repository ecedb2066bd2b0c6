//! The topics, as data.

use std::time::Duration;

use crate::event::Class;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A topic of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Status events, by router.
    Status,
    /// Sample events, by router.
    Samples,
    /// Latest fold of each router, so that a new node serves at once.
    State,
    /// Every transition, acknowledgement, silence and notification of an alert, by alert.
    Alerts,
    /// What could not be read, by router, and why.
    DeadLetters,
    /// How far the gateway has each router that does not vouch for its batches, by router.
    Acknowledged,
}

/// How long a topic keeps a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// For this time since central took it in.
    For(Duration),
    /// Until a newer one of the same key comes (compacted); a tombstone stays this long for slow readers.
    Latest {
        /// Life of a tombstone.
        tombstone: Duration,
    },
}

impl Topic {
    /// Every topic, in the order of its number.
    pub const ALL: [Self; 6] =
        [Self::Status, Self::Samples, Self::State, Self::Alerts, Self::DeadLetters, Self::Acknowledged];

    /// Its name, in every backend.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Status => "tandem.status",
            Self::Samples => "tandem.samples",
            Self::State => "tandem.state",
            Self::Alerts => "tandem.alerts",
            Self::DeadLetters => "tandem.dead-letters",
            Self::Acknowledged => "tandem.acknowledged",
        }
    }

    /// How long it keeps a record unless the operator says otherwise.
    #[must_use]
    pub const fn kept(self) -> Kept {
        match self {
            Self::Status | Self::Alerts => Kept::For(DAY.saturating_mul(400)),
            Self::Samples => Kept::For(DAY.saturating_mul(7)),
            Self::DeadLetters => Kept::For(DAY.saturating_mul(30)),
            Self::State | Self::Acknowledged => Kept::Latest { tombstone: DAY },
        }
    }

    /// Whether only the latest record of a key is kept.
    #[must_use]
    pub const fn is_compacted(self) -> bool {
        matches!(self.kept(), Kept::Latest { .. })
    }

    /// Whether the embedded backends find the records of one key without looking at the others. Samples are
    /// too many: an index over them would cost more than they do.
    #[must_use]
    pub const fn is_indexed(self) -> bool {
        !matches!(self, Self::Samples | Self::DeadLetters)
    }

    /// The topic of events of `class`.
    #[must_use]
    pub const fn of(class: Class) -> Self {
        match class {
            Class::Status => Self::Status,
            Class::Sample => Self::Samples,
        }
    }
}
