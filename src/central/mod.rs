//! Reads the stream once and feeds the views: the live one, kept in memory, and those of the past, made from a
//! snapshot and the events after it. It appends nothing to the stream and holds nothing that could not be folded
//! again; it removes from the stream what a topic keeps no longer.
//!
//! One task, [`Central::follow`]: it reads and folds, and beside that takes snapshots and has old records expire.
//! It may be stopped at any time; what it had not put into a snapshot is folded again at the next start.

mod fold;
#[cfg(feature = "kafka")]
mod part;
mod retention;
#[cfg(feature = "kafka")]
mod share;
mod snapshot;
mod state;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use tokio::sync::{Mutex, broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::stream::{self, Position, Record, Topic};
use crate::view::FleetView;
use fold::Reader;

#[cfg(feature = "kafka")]
pub use share::{Progress as ShareProgress, READER as FOLD_READER, Share};
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
/// How long the stream may not be readable before others had better be asked.
const UNREADY_AFTER: Duration = Duration::from_secs(10);
/// Who reads what came in longer ago than this, and not the end, is behind.
const BEHIND: TimeDelta = TimeDelta::seconds(10);
/// How often the stream is asked to let go of what it keeps no longer.
const EXPIRE_EVERY: Duration = Duration::from_secs(15 * 60);
/// Least time between two walks over all routers for the silent ones.
const SETTLE_EVERY: Duration = Duration::from_secs(1);
/// A snapshot is kept where fewer records lie behind it than one for this many of its routers.
const SHARING: u64 = 4;
/// Views of the past kept for the next question.
const PAST_KEPT: usize = 4;

/// What was read for questions about the past, kept for the next one. Views share the routers that are the same.
#[derive(Default)]
struct Past {
    /// The last snapshot that is worth sharing, by its path: whoever asks for one moment asks for others of that hour.
    snapshot: Option<(PathBuf, FleetView)>,
    /// Views, latest first.
    views: Vec<(DateTime<Utc>, Arc<FleetView>)>,
}

/// The views of one central.
pub struct Central {
    stream: stream::Shared,
    snapshots: Snapshots,
    fleet: Arc<RwLock<FleetView>>,
    live: broadcast::Sender<Live>,
    past: Mutex<Past>,
    /// Whose turn it is to write a snapshot.
    writing: Arc<Mutex<()>>,
    settled_at: Mutex<Option<Instant>>,
    /// Since when the stream cannot be read, and why.
    trouble: std::sync::Mutex<Option<(Instant, String)>>,
}

impl Central {
    /// Takes up the fold of `stream` where the latest snapshot in `folder` left it. A snapshot that is damaged,
    /// of another release or of another stream is left aside and logged, and the one before it is taken; without
    /// any the fold begins anew. Where folds write the state of the fleet and more has come in since the snapshot than
    /// there are routers, it begins with the state.
    ///
    /// # Errors
    /// When the folder or the stream cannot be read.
    pub async fn open(stream: stream::Shared, folder: &Path) -> anyhow::Result<Arc<Self>> {
        let snapshots = Snapshots::open(folder, stream.identity())?;
        let fleet = match nearest(&*stream, snapshots.clone(), None).await? {
            Some((_, fleet)) => fleet,
            None => {
                warn_of_gone(&*stream).await?;
                FleetView::default()
            }
        };
        let left = fold::records_after(&*stream, &fleet).await?;
        let is_near = left.is_some_and(|left| left <= fleet.counts().routers);
        let state = if is_near { None } else { state::fleet(&*stream).await? };
        let fleet = match state {
            Some(state) if state.freshness.stream_moved_at > fleet.freshness.stream_moved_at => {
                if fold::fits(&*stream, &state).await? { state } else { fleet }
            }
            _ => fleet,
        };
        info!(routers = fleet.counts().routers, position = ?fleet.freshness.position, "views taken up");
        Ok(Arc::new(Self {
            stream,
            snapshots,
            fleet: Arc::new(RwLock::new(fleet)),
            live: broadcast::Sender::new(LIVE_RECORDS),
            past: Mutex::default(),
            writing: Arc::default(),
            settled_at: Mutex::default(),
            trouble: std::sync::Mutex::default(),
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
        tokio::select! {
            // None ends by itself.
            () = self.fold_on() => {}
            () = self.snapshot_on() => {}
            () = self.expire_on() => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        self.write_latest().await;
    }

    async fn fold_on(&self) {
        let positions = fold::positions(&*self.stream, &self.read().freshness.clone());
        if let Err(error) = self.stream.read_ahead(&positions).await {
            error!(%error, "the stream is read without reading ahead");
        }
        loop {
            let outcome = match self.step().await {
                Ok(true) => self.wait().await,
                outcome => outcome.map(drop),
            };
            self.note(outcome.as_ref().err());
            if let Err(error) = outcome {
                error!(error = format!("{error:#}"), "the stream cannot be read; trying again");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }

    async fn snapshot_on(&self) {
        let mut pause = SNAPSHOT_EVERY;
        loop {
            tokio::time::sleep(pause).await;
            let began = Instant::now();
            self.write_latest().await;
            pause = SNAPSHOT_EVERY.max(began.elapsed() * SNAPSHOT_SHARE);
        }
    }

    fn note(&self, error: Option<&anyhow::Error>) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let since = trouble.as_ref().map_or_else(Instant::now, |(since, _)| *since);
        *trouble = error.map(|error| (since, format!("the stream cannot be read: {error:#}")));
    }

    /// Whether the views follow the stream.
    ///
    /// # Errors
    /// Why they do not, once that has lasted for [`UNREADY_AFTER`]: a cluster elects a leader in less.
    pub fn ready(&self) -> Result<(), String> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match &*trouble {
            Some((since, text)) if since.elapsed() >= UNREADY_AFTER => Err(text.clone()),
            _ => Ok(()),
        }
    }

    async fn expire_on(&self) {
        loop {
            tokio::time::sleep(EXPIRE_EVERY).await;
            if let Err(error) = self.expire(Utc::now()).await {
                error!(error = format!("{error:#}"), "old records stay in the stream; trying again later");
            }
        }
    }

    /// Has the stream let go of what it keeps no longer at `now`, in pieces between which others append and
    /// read; returns how many records went. While the fold is behind, nothing goes: it has yet to read it.
    ///
    /// # Errors
    /// When records cannot be removed.
    pub async fn expire(&self, now: DateTime<Utc>) -> anyhow::Result<u64> {
        if !self.read().freshness.caught_up {
            return Ok(0);
        }
        let gone = retention::expire(&*self.stream, now).await?;
        if gone > 0 {
            info!(records = gone, "expired");
        }
        Ok(gone)
    }

    /// Waits for more to read, for [`PATIENCE`] at most.
    async fn wait(&self) -> anyhow::Result<()> {
        let freshness = self.read().freshness.clone();
        let positions = fold::positions(&*self.stream, &freshness);
        self.stream.wait(&positions, PATIENCE).await?;
        Ok(())
    }

    /// Folds what there is to read, a batch of each partition, without waiting. Returns whether the end was
    /// reached.
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub async fn step(&self) -> anyhow::Result<bool> {
        let freshness = self.read().freshness.clone();
        let positions = fold::positions(&*self.stream, &freshness);
        // Snapshots lie on the hours of the stream, so that a fold made anew leaves the same ones behind.
        let hour_ends = freshness.stream_moved_at.and_then(next_hour);
        let mut read = fold::read(&*self.stream, &positions, hour_ends, Reader::Following).await?;
        if read.is_empty() && read.stopped {
            self.begin_dated().await;
            read = fold::read(&*self.stream, &positions, None, Reader::Following).await?;
        }
        // Only up to the end of the hour that the first record lies in.
        read.keep_before(read.first_time().and_then(next_hour));
        let failed = read.failed.take();
        let at_end = read.is_empty() && failed.is_none();
        let events = read.events();
        let settles = self.settles_now().await;
        {
            let mut fleet = self.fleet.write().unwrap_or_else(PoisonError::into_inner);
            read.fold_into(&events, &mut fleet);
            // Reading what is new is not being behind; reading what came in long ago is, however it came about.
            let behind =
                fleet.freshness.stream_moved_at.is_some_and(|moved_at| Utc::now() - moved_at > BEHIND);
            fleet.freshness.caught_up = at_end || (fleet.freshness.caught_up && !behind);
            if settles {
                fleet.settle(Utc::now());
            }
        }
        if self.live.receiver_count() > 0 {
            for live in read.records {
                // Nobody watching any more is no error.
                let _ = self.live.send(Arc::new(live));
            }
        }
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(at_end),
        }
    }

    /// The view as it was at `time`: of the records that central had taken in by then, folded anew from the
    /// nearest snapshot. Later arrivals are not in it. When the samples since the snapshot are too many
    /// ([`fold::PAST_SAMPLES_MAX`]), they are left out and the view says so (`samples_as_of`).
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub async fn as_of(&self, time: DateTime<Utc>) -> anyhow::Result<Arc<FleetView>> {
        let mut past = self.past.lock().await;
        let settled = self.read().freshness.stream_moved_at.is_some_and(|moved_at| moved_at > time);
        if settled && let Some((_, view)) = past.views.iter().find(|(kept, _)| *kept == time) {
            return Ok(view.clone());
        }
        let fleet = Arc::new(self.fold_until(time, &mut past.snapshot).await?);
        if settled {
            past.views.truncate(PAST_KEPT - 1);
            past.views.insert(0, (time, fleet.clone()));
        }
        Ok(fleet)
    }

    /// `kept`: the snapshot that was kept of the question before, and afterwards that of this one.
    async fn fold_until(
        &self,
        time: DateTime<Utc>,
        kept: &mut Option<(PathBuf, FleetView)>,
    ) -> anyhow::Result<FleetView> {
        // The one that is of no use is let go of before the next one needs the room.
        let nearest_path = self.snapshots.before(time)?.into_iter().next();
        let snapshot = match kept.take().filter(|(path, _)| Some(path) == nearest_path.as_ref()) {
            Some(snapshot) => Some(snapshot),
            None => nearest(&*self.stream, self.snapshots.clone(), Some(time)).await?,
        };
        let (path, mut fleet) = snapshot.map_or_else(Default::default, |(path, fleet)| (Some(path), fleet));
        let rest = fold::Rest::until(&*self.stream, &fleet.freshness, time).await?;
        // Where many routers change there is little to share, and taking them over costs more than it saves.
        if let Some(path) = path.filter(|_| rest.records() < fleet.counts().routers / SHARING) {
            *kept = Some((path, fleet.clone()));
        }
        rest.fold_into(&*self.stream, &mut fleet).await?;
        fleet.freshness.caught_up = true;
        fleet.settle(time);
        Ok(fleet)
    }

    /// Whether it is time to look for silent routers again.
    async fn settles_now(&self) -> bool {
        let mut settled_at = self.settled_at.lock().await;
        let due = settled_at.is_none_or(|settled_at| settled_at.elapsed() >= SETTLE_EVERY);
        if due {
            *settled_at = Some(Instant::now());
        }
        due
    }

    async fn write_latest(&self) {
        let written = self.begin(|snapshots, fleet| snapshots.write_latest(fleet)).await;
        // It says itself what went wrong.
        let _ = written.await;
    }

    /// Goes on while the view as it is now is written. No later one is written before.
    async fn begin_dated(&self) {
        let written = self.begin(|snapshots, fleet| {
            snapshots.write_dated(fleet)?;
            snapshots.thin(fleet.freshness.stream_moved_at.unwrap_or_default())
        });
        drop(written.await);
    }

    /// Begins to write the view as it is once the one before is written, which is what this waits for; others fold on
    /// meanwhile. A snapshot that cannot be written costs time at the next start, no more.
    async fn begin(&self, write: fn(&Snapshots, &FleetView) -> anyhow::Result<()>) -> JoinHandle<()> {
        let turn = Arc::clone(&self.writing).lock_owned().await;
        let (snapshots, fleet) = (self.snapshots.clone(), self.read().clone());
        tokio::task::spawn_blocking(move || {
            if let Err(error) = write(&snapshots, &fleet) {
                error!(error = format!("{error:#}"), "no snapshot");
            }
            drop(turn);
        })
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, FleetView> {
        self.fleet.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The latest usable snapshot of `stream`, with its path, that holds nothing taken in after `time`.
async fn nearest(
    stream: &dyn stream::Stream,
    snapshots: Snapshots,
    time: Option<DateTime<Utc>>,
) -> anyhow::Result<Option<(PathBuf, FleetView)>> {
    let paths = match time {
        Some(time) => snapshots.before(time)?,
        None => snapshots.all()?,
    };
    for path in paths {
        let (snapshots, read) = (snapshots.clone(), path.clone());
        match tokio::task::spawn_blocking(move || snapshots.read(&read)).await? {
            Ok(fleet) if fold::fits(stream, &fleet).await? => return Ok(Some((path, fleet))),
            Ok(_) => warn!(path = %path.display(), "a snapshot of another stream; left aside"),
            Err(error) => warn!(error = format!("{error:#}"), "left aside; taking an earlier one"),
        }
    }
    Ok(None)
}

/// Says what a fold that begins anew cannot know.
async fn warn_of_gone(stream: &dyn stream::Stream) -> anyhow::Result<()> {
    for topic in TOPICS {
        if stream.bounds(topic).await?.iter().any(|bounds| bounds.first > 0) {
            warn!(
                topic = topic.name(),
                "folding anew without the records that expired: their events will be counted as missing"
            );
        }
    }
    Ok(())
}

/// The end of the hour that `time` lies in.
fn next_hour(time: DateTime<Utc>) -> Option<DateTime<Utc>> {
    Some(time.duration_trunc(TimeDelta::hours(1)).ok()? + TimeDelta::hours(1))
}

/// The topics with events.
const TOPICS: [Topic; 2] = [Topic::Status, Topic::Samples];
