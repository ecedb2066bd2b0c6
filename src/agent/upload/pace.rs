//! When to upload next, and how much at once.
//!
//! Pure: time and chance are arguments.
//!
//! ```text
//! status event ──▶ 200 ms of company ──▶ send ──▶ stored ──▶ more? at once : samples wait for the next beat
//!                                         │
//!                                         ├─▶ busy, broken, silent ──▶ 1, 2, 4 … 300 s, or as Retry-After says
//!                                         ├─▶ too large            ──▶ half of it, at once
//!                                         └─▶ refused              ──▶ half of it, at once; a single event that
//!                                                                      is refused is given up
//! ```

use std::time::{Duration, Instant};

/// What a status event waits for the ones that come with it.
const COMPANY: Duration = Duration::from_millis(200);
/// So long after a beat all samples are in the spool.
const GATHERED: Duration = Duration::from_secs(1);
/// And so much longer some routers wait, for those that were switched on together.
const SPREAD: Duration = Duration::from_secs(20);
/// First and longest wait after a failure.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// Longest wait that central may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// While nothing answers, a status event brings the next attempt this close to the one before.
const STATUS_RETRY: Duration = Duration::from_secs(10);

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There was nothing to send.
    Nothing,
    /// Central has everything that was sent, or a part of it.
    Stored {
        /// Whether more waits in the spool.
        more: bool,
    },
    /// Not now: busy, broken, or nobody answers.
    Later(Option<Duration>),
    /// `413`: a batch of so many events was too large.
    TooLarge {
        /// Events in the batch.
        events: usize,
    },
    /// `400`: a batch of so many events cannot be read.
    Refused {
        /// Events in the batch.
        events: usize,
    },
}

/// What follows for the batch itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stays in the spool until it is stored.
    Keep,
    /// It was a single event, and central will never take it.
    GiveUp,
}

/// The pace of one router.
#[derive(Clone, Debug)]
pub struct Pace {
    interval: Duration,
    /// A moment at which samples are handed over, as they are a whole number of intervals before and after it.
    beat: Instant,
    samples_at: Instant,
    status_at: Option<Instant>,
    /// No attempt before; the flag says that central asked for it.
    not_before: Option<(Instant, bool)>,
    attempted_at: Option<Instant>,
    failures: u32,
    /// Events given up since central last took something.
    given_up: u32,
    events_max: usize,
}

impl Pace {
    /// Most events of one batch.
    pub const EVENTS_MAX: usize = 512;

    /// Samples come into the spool each `interval`, of which one ended at `beat`; what is there already goes at
    /// once.
    #[must_use]
    pub fn new(interval: Duration, beat: Instant, now: Instant) -> Self {
        Self {
            interval,
            beat,
            samples_at: now,
            status_at: None,
            not_before: None,
            attempted_at: None,
            failures: 0,
            given_up: 0,
            events_max: Self::EVENTS_MAX,
        }
    }

    /// From the next batch on samples wait this long.
    pub fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// Events that the next batch may have.
    #[must_use]
    pub fn events_max(&self) -> usize {
        self.events_max
    }

    /// Attempts in a row that failed.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// A status event is in the spool.
    pub fn status_written(&mut self, now: Instant) {
        self.status_at.get_or_insert(now + COMPANY);
        if let Some((not_before, false)) = &mut self.not_before {
            let soon = self.attempted_at.map_or(now, |attempted| attempted + STATUS_RETRY);
            *not_before = (*not_before).min(soon.max(now));
        }
    }

    /// When to try next.
    #[must_use]
    pub fn next(&self) -> Instant {
        let due = self.status_at.map_or(self.samples_at, |status| status.min(self.samples_at));
        self.not_before.map_or(due, |(not_before, _)| due.max(not_before))
    }

    /// An attempt ended; `chance` (0 to 1) spreads the waits of routers that failed together.
    pub fn ended(&mut self, outcome: Outcome, now: Instant, chance: f64) -> Verdict {
        self.attempted_at = Some(now);
        match outcome {
            Outcome::Nothing => self.rest(now, chance),
            Outcome::Stored { more } => {
                self.failures = 0;
                self.given_up = 0;
                self.events_max = (self.events_max * 2).min(Self::EVENTS_MAX);
                self.rest(now, chance);
                if more {
                    self.samples_at = now;
                }
            }
            Outcome::Later(asked) => {
                self.failures = self.failures.saturating_add(1);
                let wait =
                    asked.map_or_else(|| backoff(self.failures, chance), |asked| asked.min(RETRY_AFTER_MAX));
                self.retry(now, wait, asked.is_some());
            }
            Outcome::TooLarge { events } | Outcome::Refused { events } if events > 1 => {
                self.events_max = events / 2;
                self.retry(now, Duration::ZERO, false);
            }
            Outcome::TooLarge { .. } | Outcome::Refused { .. } => {
                // A central that refuses everything must not empty the spool at the speed of the network.
                let wait = if self.given_up == 0 { Duration::ZERO } else { backoff(self.given_up, chance) };
                self.given_up = self.given_up.saturating_add(1);
                self.events_max = 1;
                self.retry(now, wait, true);
                return Verdict::GiveUp;
            }
        }
        Verdict::Keep
    }

    fn rest(&mut self, now: Instant, chance: f64) {
        self.status_at = None;
        self.not_before = None;
        let interval_ns = self.interval.as_nanos().max(1);
        let beats_ns = (now.saturating_duration_since(self.beat).as_nanos() / interval_ns + 1) * interval_ns;
        let next_beat = self.beat + Duration::from_nanos(u64::try_from(beats_ns).unwrap_or(u64::MAX));
        self.samples_at = next_beat + GATHERED + SPREAD.min(self.interval / 10).mul_f64(chance);
    }

    fn retry(&mut self, now: Instant, wait: Duration, asked: bool) {
        self.samples_at = now;
        self.status_at = None;
        self.not_before = Some((now + wait, asked));
    }
}

/// Doubles from attempt to attempt up to its bound, half of it by chance.
fn backoff(failures: u32, chance: f64) -> Duration {
    let (first, longest) = BACKOFF;
    first.saturating_mul(1 << (failures.saturating_sub(1)).min(16)).min(longest).mul_f64(0.5 + 0.5 * chance)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn pace() -> (Pace, Instant) {
        let now = Instant::now();
        let mut pace = Pace::new(MINUTE, now - MINUTE / 4, now);
        assert_eq!(pace.next(), now, "what is in the spool at start goes at once");
        pace.ended(Outcome::Nothing, now, 0.5);
        (pace, now)
    }

    #[test]
    fn samples_wait_for_the_beat_and_a_status_event_only_for_company() {
        let (mut pace, now) = pace();
        let beat = now - MINUTE / 4;
        let after = GATHERED + MINUTE / 20;
        assert_eq!(pace.next(), beat + MINUTE + after);
        pace.status_written(now + MINUTE / 2);
        assert_eq!(pace.next(), now + MINUTE / 2 + COMPANY);
        pace.status_written(now + MINUTE / 2 + COMPANY / 2);
        assert_eq!(pace.next(), now + MINUTE / 2 + COMPANY, "more of them do not put it off");
        pace.ended(Outcome::Stored { more: false }, now + MINUTE / 2 + COMPANY, 0.5);
        assert_eq!(pace.next(), beat + MINUTE + after, "nor do they put off the samples");
        pace.ended(Outcome::Stored { more: false }, beat + MINUTE + after, 0.5);
        assert_eq!(pace.next(), beat + 2 * MINUTE + after);
        pace.ended(Outcome::Stored { more: true }, now + 2 * MINUTE, 0.5);
        assert_eq!(pace.next(), now + 2 * MINUTE);
    }

    #[test]
    fn failures_wait_longer_and_longer_up_to_a_bound() {
        let (mut pace, mut now) = pace();
        let mut waits = Vec::new();
        for _ in 0..12 {
            pace.ended(Outcome::Later(None), now, 1.0);
            waits.push((pace.next() - now).as_secs());
            now = pace.next();
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        pace.ended(Outcome::Stored { more: false }, now, 1.0);
        pace.ended(Outcome::Later(None), now, 0.0);
        assert_eq!(pace.next() - now, Duration::from_millis(500));
    }

    #[test]
    fn a_status_event_shortens_a_back_off_but_not_what_central_asked_for() {
        let (mut pace, now) = pace();
        for _ in 0..9 {
            pace.ended(Outcome::Later(None), now, 1.0);
        }
        pace.status_written(now + Duration::from_secs(1));
        assert_eq!(pace.next(), now + STATUS_RETRY);
        pace.ended(Outcome::Later(Some(MINUTE)), now, 1.0);
        pace.status_written(now + Duration::from_secs(1));
        assert_eq!(pace.next(), now + MINUTE);
        pace.ended(Outcome::Later(Some(Duration::from_secs(1 << 40))), now, 1.0);
        assert_eq!(pace.next(), now + RETRY_AFTER_MAX);
    }

    #[test]
    fn halves_find_the_one_bad_event_and_those_behind_it_pass() {
        let (mut pace, now) = pace();
        let mut spool: Vec<u32> = (0..1000).collect();
        let bad = |event: u32| event == 700 || event == 701;
        let mut given_up = Vec::new();
        for _ in 0..200 {
            let sent = spool.len().min(pace.events_max());
            if sent == 0 {
                break;
            }
            if spool[..sent].iter().any(|event| bad(*event)) {
                if pace.ended(Outcome::Refused { events: sent }, now, 0.5) == Verdict::GiveUp {
                    given_up.push(spool.remove(0));
                }
            } else {
                spool.drain(..sent);
                pace.ended(Outcome::Stored { more: !spool.is_empty() }, now, 0.5);
            }
        }
        assert_eq!((spool.len(), given_up), (0, vec![700, 701]));
    }

    #[test]
    fn a_central_that_refuses_everything_empties_the_spool_slowly() {
        let (mut pace, start) = pace();
        let mut now = start;
        for _ in 0..20 {
            assert_eq!(pace.ended(Outcome::Refused { events: 1 }, now, 1.0), Verdict::GiveUp);
            now = pace.next();
        }
        assert!(now - start > Duration::from_secs(3000));
    }

    proptest! {
        #[test]
        fn whatever_happens_an_attempt_follows_in_time(
            outcomes in prop::collection::vec((0..6u8, 0u64..10_000, 1usize..600, 0.0..1.0f64), 1..60)
        ) {
            let (mut pace, mut now) = pace();
            for (kind, seconds, events, chance) in outcomes {
                let outcome = match kind {
                    0 => Outcome::Nothing,
                    1 => Outcome::Stored { more: seconds % 2 == 0 },
                    2 => Outcome::Later(None),
                    3 => Outcome::Later(Some(Duration::from_secs(seconds))),
                    4 => Outcome::TooLarge { events },
                    _ => Outcome::Refused { events },
                };
                let verdict = pace.ended(outcome, now, chance);
                prop_assert_eq!(verdict == Verdict::GiveUp, kind >= 4 && events == 1);
                prop_assert!((1..=Pace::EVENTS_MAX).contains(&pace.events_max()));
                prop_assert!(pace.next() <= now + RETRY_AFTER_MAX);
                now = pace.next().max(now);
                pace.status_written(now);
            }
        }
    }
}
