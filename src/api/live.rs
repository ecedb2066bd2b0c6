//! `GET /v1/events/live`: events as they are folded, as Server-Sent Events.
//!
//! The id of each is the position in the stream behind it, so `Last-Event-ID` takes up where a client broke off:
//! what it missed is read from the stream, up to [`REPLAY_MAX`] records a partition. A client that reads too
//! slowly is cut off when it is as far behind as the fold's channel is long; it comes back by itself and is
//! replayed. An event named `reset` says that there is a gap: fetch the views again.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;

use super::answer::Parameters;
use super::events::Told;
use super::{Problem, Sources};
use crate::event::Class;
use crate::stream::{Limit, Position, Record, Shared, Topic};

/// Most records of a partition read again for a client that comes back.
pub const REPLAY_MAX: u64 = 10_000;
/// Records of it read at a time: bounds what a client costs that does not take them.
const REPLAY_BATCH: usize = 200;
const HEARTBEAT: Duration = Duration::from_secs(15);
/// What the client waits before it comes back.
const RETRY: Duration = Duration::from_secs(2);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiveParameters {
    router: Option<String>,
    class: Option<Class>,
}

type Item = Arc<(Position, Record)>;
/// Next offset of each partition, as told to this client.
type Places = BTreeMap<(Topic, u32), u64>;

pub async fn events(
    State(sources): State<Sources>,
    Parameters(parameters): Parameters<LiveParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // Subscribed first: what is folded from here on waits in the channel while the past is read.
    let live = sources.live.subscribe();
    let folded = places(&sources.fleet().freshness.position);
    let mut watcher = Watcher {
        live,
        stop: sources.stop.clone(),
        stream: sources.stream.clone(),
        parameters,
        places: folded.clone(),
        missed: Vec::new(),
        waiting: VecDeque::new(),
    };
    watcher.waiting.push_back(Event::default().retry(RETRY).comment("live"));
    if let Some(id) = headers.get("last-event-id").and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty())
    {
        let known = parse_id(id).ok_or_else(|| {
            Problem::bad_request(format!("Last-Event-ID {id:?} is not one that this API gave out"))
        })?;
        watcher.go_back_to(&known, &folded);
    }
    let events = stream::unfold(watcher, Watcher::next);
    let mut response = sse(events).into_response();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-cache, no-transform"));
    response.headers_mut().insert("x-accel-buffering", header::HeaderValue::from_static("no"));
    Ok(response)
}

fn sse<S>(events: S) -> impl IntoResponse
where
    S: Stream<Item = Result<Event, Infallible>> + Send + 'static,
{
    Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT))
}

struct Watcher {
    live: broadcast::Receiver<Item>,
    stop: watch::Receiver<bool>,
    stream: Shared,
    parameters: LiveParameters,
    places: Places,
    /// What the client missed, still to be read: partitions with the offset where the channel takes over.
    missed: Vec<((Topic, u32), u64)>,
    waiting: VecDeque<Event>,
}

impl Watcher {
    /// The next event; the end when the client is too slow or central stops.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some((Ok(event), self));
            }
            if let Some(&(place, end)) = self.missed.last() {
                if !self.read_missed(place, end).await {
                    return None;
                }
                continue;
            }
            let received = tokio::select! {
                received = self.live.recv() => received,
                _ = self.stop.wait_for(|stop| *stop) => return None,
            };
            match received {
                Ok(item) => self.take(&item.0, &item.1),
                Err(RecvError::Lagged(_) | RecvError::Closed) => return None,
            }
        }
    }

    /// Queues a record unless it was told before or is not wanted.
    fn take(&mut self, position: &Position, record: &Record) {
        let next = self.places.entry((position.topic, position.partition)).or_default();
        if position.offset < *next {
            return;
        }
        *next = position.offset + 1;
        let class_is = |class: Class| position.topic == Topic::of(class);
        let wanted = self.parameters.router.as_ref().is_none_or(|router| *router == record.key)
            && self.parameters.class.is_none_or(class_is);
        let told = Told::of(position, record).filter(|_| wanted);
        let text = told.and_then(|told| serde_json::to_string(&told).ok());
        self.waiting.extend(text.map(|text| Event::default().id(id(&self.places)).data(text)));
    }

    /// Has what lies between `known` and `folded` read before anything else.
    fn go_back_to(&mut self, known: &Places, folded: &Places) {
        for (&place, &end) in folded.iter().rev() {
            let from = known.get(&place).copied().unwrap_or(end).min(end);
            if end - from > REPLAY_MAX {
                let text = "too much was missed; fetch the views again";
                self.waiting.push_back(Event::default().event("reset").data(text));
            } else if from < end {
                self.places.insert(place, from);
                self.missed.push((place, end));
            }
        }
    }

    /// Queues a batch of what was missed of one partition; false when it cannot be read.
    async fn read_missed(&mut self, place: (Topic, u32), end: u64) -> bool {
        let (topic, partition) = place;
        let offset = self.places[&place];
        let stream = self.stream.clone();
        let limit =
            Limit { key: self.parameters.router.as_deref(), records: REPLAY_BATCH, ..Limit::default() };
        let batch = match stream.read(Position { topic, partition, offset }, limit).await {
            Ok(batch) => batch,
            Err(error) => {
                tracing::error!(%error, "what a client missed cannot be read");
                return false;
            }
        };
        for stored in batch.records.iter().filter(|stored| stored.offset < end) {
            self.take(&Position { topic, partition, offset: stored.offset }, &stored.record);
        }
        let next = if batch.next > offset { batch.next.min(end) } else { end };
        self.places.insert(place, next);
        if next == end {
            self.missed.pop();
        }
        true
    }
}

/// The places of the view, by topic and partition.
fn places(position: &BTreeMap<String, u64>) -> Places {
    let parse = |(place, offset): (&String, &u64)| {
        let (name, partition) = place.split_once('/')?;
        let topic = Topic::ALL.into_iter().find(|topic| topic.name() == name)?;
        Some(((topic, partition.parse().ok()?), *offset))
    };
    position.iter().filter_map(parse).collect()
}

/// `0.0.17-1.0.230`: topic, partition, next offset of each.
fn id(places: &Places) -> String {
    let part = |((topic, partition), offset): (&(Topic, u32), &u64)| {
        let number = Topic::ALL.iter().position(|known| known == topic).expect("ALL holds every topic");
        format!("{number}.{partition}.{offset}")
    };
    places.iter().map(part).collect::<Vec<_>>().join("-")
}

fn parse_id(id: &str) -> Option<Places> {
    let part = |part: &str| {
        let mut numbers = part.split('.');
        let topic = *Topic::ALL.get(numbers.next()?.parse::<usize>().ok()?)?;
        let place = (topic, numbers.next()?.parse().ok()?);
        let offset = numbers.next()?.parse().ok()?;
        numbers.next().is_none().then_some((place, offset))
    };
    id.split('-').map(part).collect()
}
