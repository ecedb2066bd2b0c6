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

use super::answer::Parameters;
use super::events::Told;
use super::{Problem, Sources};
use crate::event::Class;
use crate::stream::{Limit, Position, Record, Topic};

/// Most records of a partition read again for a client that comes back.
pub const REPLAY_MAX: u64 = 10_000;
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
    let mut watcher = Watcher { live, parameters, places: folded.clone(), waiting: VecDeque::new() };
    watcher.waiting.push_back(Event::default().retry(RETRY).comment("live"));
    if let Some(id) = headers.get("last-event-id").and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty())
    {
        let known = parse_id(id).ok_or_else(|| {
            Problem::bad_request(format!("Last-Event-ID {id:?} is not one that this API gave out"))
        })?;
        watcher.replay(&sources, &known, &folded).await?;
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
    parameters: LiveParameters,
    places: Places,
    waiting: VecDeque<Event>,
}

impl Watcher {
    /// The next event; the end when the client is too slow or central stops.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some((Ok(event), self));
            }
            match self.live.recv().await {
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

    /// Queues what lies between `known` and `folded`.
    async fn replay(&mut self, sources: &Sources, known: &Places, folded: &Places) -> Result<(), Problem> {
        for (&(topic, partition), &end) in folded {
            let from = known.get(&(topic, partition)).copied().unwrap_or(end).min(end);
            if end - from > REPLAY_MAX {
                self.waiting.push_back(
                    Event::default().event("reset").data("too much was missed; fetch the views again"),
                );
                continue;
            }
            self.places.insert((topic, partition), from);
        }
        for (&(topic, partition), &end) in folded {
            let mut offset = self.places[&(topic, partition)];
            while offset < end {
                let limit = Limit { key: self.parameters.router.as_deref(), ..Limit::default() };
                let batch = sources.stream.read(Position { topic, partition, offset }, limit).await;
                let batch = batch.map_err(Problem::internal)?;
                for stored in batch.records.iter().filter(|stored| stored.offset < end) {
                    self.take(&Position { topic, partition, offset: stored.offset }, &stored.record);
                }
                if batch.next <= offset {
                    break;
                }
                offset = batch.next;
            }
            self.places.insert((topic, partition), end);
        }
        Ok(())
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
