//! Reads the stream once and feeds the views: the live one, kept in memory, and those of the past, made from a
//! snapshot and the events after it. It never writes to the stream and holds nothing that could not be folded
//! again.
//!
//! One task, [`Central::follow`]: it reads, folds and takes snapshots. It may be stopped at any time; what it
//! had not put into a snapshot is folded again at the next start.

mod fold;
mod snapshot;

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use tokio::sync::{Mutex, broadcast, watch};
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::stream::{self, Position, Record, Topic};
use crate::view::FleetView;

pub use snapshot::Snapshots;

/// A record as it was folded, with its place, for those who watch live.
pub type Live = Arc<(Position, Record)>;

/// Records that a watcher may be behind the fold. One that is further behind is told that it lagged.
pub const LIVE_RECORDS: usize = 4096;

/// Least time between two snapshots for a restart; more when writing one takes long ([`SNAPSHOT_SHARE`]).
const SNAPSHOT_EVERY: Duration = Duration::from_secs(60);
/// Writing snapshots takes at most one part in this many of the time.
const SNAPSHOT_SHARE: u32 = 20;
/// How long the fold waits for the next record before it looks at the time.
const PATIENCE: Duration = Duration::from_secs(1);
/// Pause after a failed read.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(2);
/// Views of the past kept for the next question.
const PAST_KEPT: usize = 4;

/// The views of one central.
pub struct Central {
    stream: stream::Shared,
    snapshots: Snapshots,
    fleet: Arc<RwLock<FleetView>>,
    live: broadcast::Sender<Live>,
    past: Mutex<Vec<(DateTime<Utc>, Arc<FleetView>)>>,
}

impl Central {
    /// Takes up the fold of `stream` where the latest snapshot in `folder` left it. A snapshot that is damaged,
    /// of another release or of another stream is left aside and logged; then the fold begins anew.
    ///
    /// # Errors
    /// When the folder or the stream cannot be read.
    pub async fn open(stream: stream::Shared, folder: &Path) -> anyhow::Result<Arc<Self>> {
        let snapshots = Snapshots::open(folder)?;
        let read = snapshots.clone();
        let fleet = match tokio::task::spawn_blocking(move || read.read_latest()).await? {
            Ok(Some(fleet)) if fold::fits(&*stream, &fleet).await? => fleet,
            Ok(Some(_)) => {
                warn!("the latest snapshot is of another stream; folding anew");
                FleetView::default()
            }
            Ok(None) => FleetView::default(),
            Err(error) => {
                warn!(error = format!("{error:#}"), "folding anew");
                FleetView::default()
            }
        };
        info!(routers = fleet.counts().routers, position = ?fleet.freshness.position, "views taken up");
        Ok(Arc::new(Self {
            stream,
            snapshots,
            fleet: Arc::new(RwLock::new(fleet)),
            live: broadcast::Sender::new(LIVE_RECORDS),
            past: Mutex::default(),
        }))
    }

    /// The live view. Locked for writing only while a batch is folded.
    #[must_use]
    pub fn fleet(&self) -> Arc<RwLock<FleetView>> {
        self.fleet.clone()
    }

    /// Where every record is sent once it is folded.
    #[must_use]
    pub fn live(&self) -> broadcast::Sender<Live> {
        self.live.clone()
    }

    /// Follows the stream until `stop` turns true, then writes a last snapshot.
    pub async fn follow(&self, mut stop: watch::Receiver<bool>) {
        let mut snapshot_due = Instant::now() + SNAPSHOT_EVERY;
        while !*stop.borrow() {
            let step = async {
                if let Err(error) = self.step().await {
                    error!(error = format!("{error:#}"), "the stream cannot be read; trying again");
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                }
            };
            tokio::select! {
                () = step => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
            if Instant::now() >= snapshot_due {
                let began = Instant::now();
                self.write_latest().await;
                snapshot_due = Instant::now() + SNAPSHOT_EVERY.max(began.elapsed() * SNAPSHOT_SHARE);
            }
        }
        self.write_latest().await;
    }

    /// Folds what there is to read, a batch of each partition, or waits for more. Returns whether the end was
    /// reached.
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub async fn step(&self) -> anyhow::Result<bool> {
        let freshness = self.read().freshness.clone();
        let positions = fold::positions(&*self.stream, &freshness).await?;
        // Snapshots lie on the hours of the stream, so that a fold made anew leaves the same ones behind.
        let hour_ends = freshness.stream_moved_at.and_then(next_hour);
        let mut read = fold::read(&*self.stream, &positions, hour_ends).await?;
        if read.is_empty() && read.stopped {
            self.write_dated().await;
            read = fold::read(&*self.stream, &positions, None).await?;
            // Only up to the end of the hour that the next record begins.
            read.keep_before(read.first_time().and_then(next_hour));
        }
        let at_end = read.is_empty();
        let events = read.events();
        {
            let mut fleet = self.fleet.write().unwrap_or_else(PoisonError::into_inner);
            read.fold_into(&events, &mut fleet);
            fleet.freshness.caught_up |= at_end;
            fleet.settle(Utc::now());
        }
        for live in read.records {
            // Nobody watching is no error.
            let _ = self.live.send(live);
        }
        if at_end {
            self.stream.wait(&positions, PATIENCE).await?;
        }
        Ok(at_end)
    }

    /// The view as it was at `time`: of the records that central had taken in by then, folded anew from the
    /// nearest snapshot. Later arrivals are not in it. When the samples since the snapshot are too many
    /// ([`fold::PAST_SAMPLES_MAX`]), they are left out and the view says so (`samples_as_of`).
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub async fn as_of(&self, time: DateTime<Utc>) -> anyhow::Result<Arc<FleetView>> {
        let mut kept = self.past.lock().await;
        let settled = self.read().freshness.stream_moved_at.is_some_and(|moved_at| moved_at > time);
        if settled && let Some((_, view)) = kept.iter().find(|(kept, _)| *kept == time) {
            return Ok(view.clone());
        }
        let fleet = Arc::new(self.fold_until(time).await?);
        if settled {
            kept.truncate(PAST_KEPT - 1);
            kept.insert(0, (time, fleet.clone()));
        }
        Ok(fleet)
    }

    async fn fold_until(&self, time: DateTime<Utc>) -> anyhow::Result<FleetView> {
        let snapshots = self.snapshots.clone();
        let nearest = move || -> anyhow::Result<Option<FleetView>> {
            for path in snapshots.before(time)? {
                match snapshot::read(&path) {
                    Ok(fleet) => return Ok(Some(fleet)),
                    Err(error) => warn!(error = format!("{error:#}"), "left aside; taking an earlier one"),
                }
            }
            Ok(None)
        };
        let nearest = tokio::task::spawn_blocking(nearest).await??;
        let mut fleet = match nearest {
            Some(fleet) if fold::fits(&*self.stream, &fleet).await? => fleet,
            _ => FleetView::default(),
        };
        fold::until(&*self.stream, &mut fleet, time).await?;
        fleet.freshness.caught_up = true;
        fleet.settle(time);
        Ok(fleet)
    }

    async fn write_latest(&self) {
        self.write(|snapshots, fleet| snapshots.write_latest(fleet)).await;
    }

    async fn write_dated(&self) {
        self.write(|snapshots, fleet| {
            snapshots.write_dated(fleet)?;
            snapshots.thin(fleet.freshness.stream_moved_at.unwrap_or_default())
        })
        .await;
    }

    /// Writes outside the lock; a snapshot that cannot be written costs time at the next start, no more.
    async fn write(&self, write: fn(&Snapshots, &FleetView) -> anyhow::Result<()>) {
        let (snapshots, fleet) = (self.snapshots.clone(), self.read().clone());
        let written = tokio::task::spawn_blocking(move || write(&snapshots, &fleet)).await;
        if let Err(error) = written.context("the writer ended").and_then(|written| written) {
            error!(error = format!("{error:#}"), "no snapshot");
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, FleetView> {
        self.fleet.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of the hour that `time` lies in.
fn next_hour(time: DateTime<Utc>) -> Option<DateTime<Utc>> {
    Some(time.duration_trunc(TimeDelta::hours(1)).ok()? + TimeDelta::hours(1))
}

/// The topics with events.
const TOPICS: [Topic; 2] = [Topic::Status, Topic::Samples];
