//! `GET /v1/routers/{name}/events`: what one router said, newest first, as it said it.

use std::borrow::Cow;
use std::collections::VecDeque;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::answer::{Answer, Name, Parameters, moment};
use super::{Problem, Sources, routers};
use crate::event::{Body, Class};
use crate::stream::{CE_TYPE, Limit, Position, Record, Stored, Stream, Topic};

const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1000;
/// Offsets looked at by one request; then it answers what it has, with a cursor to go on from.
const SCAN_MAX: u64 = 2_000_000;
/// Offsets of the first window, back from the end; each further window is [`WINDOW_GROWTH`] times as wide.
const WINDOW: u64 = 2_000;
const WINDOW_GROWTH: u64 = 8;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventParameters {
    r#type: Option<String>,
    class: Option<Class>,
    link: Option<String>,
    from: Option<String>,
    to: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
    as_of: Option<String>,
}

#[derive(Serialize)]
struct List {
    events: Vec<Told>,
    cursor: Option<String>,
}

/// An event with its place in the stream.
#[derive(Serialize)]
pub struct Told {
    position: String,
    received_at: DateTime<Utc>,
    event: Box<RawValue>,
}

impl Told {
    /// The event in `record`; `None` when it holds no JSON.
    pub fn of(position: &Position, record: &Record) -> Option<Self> {
        let text = std::str::from_utf8(record.value.as_deref()?).ok()?;
        Some(Self {
            position: format!("{}/{}:{}", position.topic.name(), position.partition, position.offset),
            received_at: record.time,
            event: RawValue::from_string(text.to_owned()).ok()?,
        })
    }
}

/// Events of one router in the order in which central took them in, the newest first. Without `type` and
/// `class` those of class status. The cursor is a place in the stream: events that arrive meanwhile do not shift the pages.
pub async fn list(
    State(sources): State<Sources>,
    Name(name): Name,
    Parameters(parameters): Parameters<EventParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if sources.fleet().router(&name).is_none() {
        return Err(routers::no_router(&name));
    }
    let now = Utc::now();
    let search = Search::new(&name, &parameters, now)?;
    let stream = &*sources.stream;
    let (mut events, mut cursor) = (Vec::new(), None);
    let partition = stream.partition_of(search.topic, &name);
    if search.cursor.is_none_or(|(wanted, _)| wanted == partition) {
        let page = search.page(stream, partition).await.map_err(Problem::internal)?;
        let place = |stored: &Stored| Position { topic: search.topic, partition, offset: stored.offset };
        events
            .extend(page.records.iter().rev().filter_map(|stored| Told::of(&place(stored), &stored.record)));
        cursor = page.reached.map(|offset| format!("{partition}.{offset}"));
    }
    let answer = Answer::new(&List { events, cursor }, &sources.fleet(), search.as_of.unwrap_or(now))?;
    Ok(answer.respond(&headers))
}

struct Search<'a> {
    router: &'a str,
    topic: Topic,
    /// CloudEvents types wanted; all when empty.
    kinds: Vec<String>,
    link: Option<&'a str>,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    as_of: Option<DateTime<Utc>>,
    limit: usize,
    /// Partition, and the offset that the page lies before.
    cursor: Option<(u32, u64)>,
}

struct Page {
    /// Oldest first.
    records: VecDeque<Stored>,
    /// Where the next page ends; none when there is no more.
    reached: Option<u64>,
}

impl<'a> Search<'a> {
    fn new(router: &'a str, parameters: &'a EventParameters, now: DateTime<Utc>) -> Result<Self, Problem> {
        let kinds = parameters.r#type.as_deref().map_or(Ok(vec![]), kinds)?;
        let of_kinds = kinds.first().map(|kind| Body::class_of(kind));
        let class = parameters.class.or(of_kinds).unwrap_or(Class::Status);
        if kinds.iter().any(|kind| Body::class_of(kind) != class) {
            return Err(Problem::bad_request(
                "type and class name both status and sample events; ask for them one after the other",
            ));
        }
        let limit = parameters.limit.unwrap_or(LIMIT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Problem::bad_request(format!("limit={limit} is not 1 to {LIMIT_MAX}")));
        }
        let time =
            |name, text: &Option<String>| text.as_deref().map(|text| moment(name, text, now)).transpose();
        let (to, as_of) = (time("to", &parameters.to)?, time("as_of", &parameters.as_of)?);
        Ok(Self {
            router,
            topic: Topic::of(class),
            kinds,
            link: parameters.link.as_deref(),
            from: time("from", &parameters.from)?,
            to: [to, as_of].into_iter().flatten().min(),
            as_of,
            limit,
            cursor: parameters.cursor.as_deref().map(cursor).transpose()?,
        })
    }

    /// The last records before the cursor that are wanted, found in windows that reach further and further back.
    async fn page(&self, stream: &dyn Stream, partition: u32) -> Result<Page, crate::stream::StreamError> {
        let bounds = stream.bounds(self.topic).await?[partition as usize];
        let first = match self.from {
            Some(from) => stream.offset_at(self.topic, partition, from).await?,
            None => bounds.first,
        };
        let last = match self.to {
            Some(to) => {
                stream.offset_at(self.topic, partition, to + chrono::TimeDelta::milliseconds(1)).await?
            }
            None => bounds.next,
        };
        let last = self.cursor.map_or(last, |(_, before)| before.min(last));
        let mut records = VecDeque::new();
        let (mut end, mut width) = (last, WINDOW);
        while end > first && records.len() < self.limit && last - end < SCAN_MAX {
            let begin = end.saturating_sub(width).max(first);
            let position = Position { topic: self.topic, partition, offset: begin };
            for stored in self.window(stream, position, end).await?.into_iter().rev() {
                if records.len() == self.limit {
                    break;
                }
                records.push_front(stored);
            }
            (end, width) = (begin, width.saturating_mul(WINDOW_GROWTH));
        }
        let full = records.len() == self.limit;
        let reached = records.front().filter(|_| full).map_or(end, |oldest| oldest.offset);
        Ok(Page { records, reached: Some(reached).filter(|reached| *reached > first) })
    }

    /// The wanted records from `position` up to `end`; the last [`Self::limit`] of them.
    async fn window(
        &self,
        stream: &dyn Stream,
        mut position: Position,
        end: u64,
    ) -> Result<VecDeque<Stored>, crate::stream::StreamError> {
        let mut found = VecDeque::new();
        while position.offset < end {
            let batch = stream.read(position, Limit { key: Some(self.router), ..Limit::default() }).await?;
            for stored in
                batch.records.into_iter().filter(|stored| stored.offset < end && self.wants(&stored.record))
            {
                if found.len() == self.limit {
                    found.pop_front();
                }
                found.push_back(stored);
            }
            if batch.next <= position.offset {
                break;
            }
            position.offset = batch.next;
        }
        Ok(found)
    }

    fn wants(&self, record: &Record) -> bool {
        #[derive(Deserialize)]
        struct Subject<'a> {
            #[serde(borrow, default)]
            subject: Option<Cow<'a, str>>,
        }
        let kind = record.header(CE_TYPE).unwrap_or_default();
        let subject_is = |link: &str| {
            let read = serde_json::from_slice::<Subject>(record.value.as_deref().unwrap_or_default());
            read.is_ok_and(|read| read.subject.as_deref() == Some(link))
        };
        (self.kinds.is_empty() || self.kinds.iter().any(|wanted| wanted == kind))
            && self.link.is_none_or(subject_is)
    }
}

/// Types as written in full or without `io.tandem.` and `.v1`, separated by commas.
fn kinds(text: &str) -> Result<Vec<String>, Problem> {
    let full = |name: &str| {
        let known = Body::KINDS.iter().map(|(kind, _)| *kind);
        known.into_iter().find(|kind| *kind == name || short(kind) == name).map(str::to_owned)
    };
    text.split(',')
        .map(|name| {
            full(name).ok_or_else(|| {
                let known: Vec<_> = Body::KINDS.iter().map(|(kind, _)| short(kind)).collect();
                Problem::bad_request(format!("type={name:?} is not one of {}", known.join(", ")))
            })
        })
        .collect()
}

fn short(kind: &str) -> &str {
    kind.strip_prefix("io.tandem.").and_then(|kind| kind.strip_suffix(".v1")).unwrap_or(kind)
}

fn cursor(text: &str) -> Result<(u32, u64), Problem> {
    text.split_once('.')
        .and_then(|(partition, offset)| Some((partition.parse().ok()?, offset.parse().ok()?)))
        .ok_or_else(|| Problem::bad_request(format!("cursor={text:?} is not one that this API gave out")))
}
