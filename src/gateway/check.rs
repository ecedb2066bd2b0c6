//! Each element of a batch read and turned into a record: an event for its topic, or a dead letter.
//!
//! Pure: bytes and the time of receipt in, records out.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::batch::{EVENTS_MAX, Shape};
use super::split::{Piece, split};
use super::{Refusal, sequence::Dropped};
use crate::event::{Body, Class, Envelope, Epoch, Event, EventError, RouterName, Sequence, Span};
use crate::stream::{CE_TYPE, Headers, Record, Topic};

/// Largest event; a larger one becomes a dead letter.
pub const EVENT_BYTES_MAX: usize = 256 * 1024;

const REASON_CHARS: usize = 400;

/// A batch ready to be stored.
#[derive(Debug)]
pub(super) struct Checked {
    /// Whose it is; unknown only when nobody was asked for a name and no event is readable.
    pub router: Option<RouterName>,
    pub span: Option<Span>,
    pub items: Vec<Item>,
}

/// One element of it.
#[derive(Debug)]
pub(super) struct Item {
    /// Which event it is, as far as can be told.
    pub place: Option<(Epoch, Sequence)>,
    /// `None` for a dead letter.
    pub class: Option<Class>,
    /// What the router says it gave up.
    pub dropped: Option<Dropped>,
    pub record: Record,
}

/// Reads `body` as a batch of `speaker`, or, where nobody had to say who speaks, of the router that its
/// events name.
pub(super) fn check(
    body: &[u8],
    shape: Shape,
    speaker: Option<&RouterName>,
    span: Option<Span>,
    now: DateTime<Utc>,
) -> Result<Checked, Refusal> {
    let pieces = match shape {
        Shape::Single => vec![Piece { at_byte: 0, bytes: body.trim_ascii() }],
        Shape::Batch => {
            split(body).map_err(|error| Refusal::Malformed(format!("batch is broken: {error}")))?
        }
    };
    if pieces.len() > EVENTS_MAX {
        return Err(Refusal::TooManyEvents);
    }
    let mut router = speaker.cloned();
    let mut read = Vec::with_capacity(pieces.len());
    for (element, piece) in pieces.iter().enumerate() {
        read.push(read_element(element, piece, speaker, &mut router)?);
    }
    infer_places(&mut read);
    if let Some(span) = span {
        check_span(span, &read)?;
    }
    let items = pieces
        .iter()
        .zip(read)
        .enumerate()
        .map(|(element, (piece, read))| read.into_item(element, piece, router.as_ref(), now))
        .collect();
    Ok(Checked { router, span, items })
}

/// What came of one element.
struct Read {
    place: Option<(Epoch, Sequence)>,
    kind: Option<String>,
    outcome: Result<(Class, Option<Dropped>), String>,
}

fn read_element(
    element: usize,
    piece: &Piece<'_>,
    speaker: Option<&RouterName>,
    router: &mut Option<RouterName>,
) -> Result<Read, Refusal> {
    if piece.bytes.len() > EVENT_BYTES_MAX {
        let reason = format!("{} bytes are more than {EVENT_BYTES_MAX}", piece.bytes.len());
        return Ok(Read::bad(piece, None, reason));
    }
    if let Some(event) = Event::from_usual_json(piece.bytes).filter(|event| event.sequence > Sequence(0)) {
        check_router(element, speaker, router, &event.router)?;
        return Ok(Read {
            place: Some((event.epoch, event.sequence)),
            kind: Some(event.body.kind().to_owned()),
            outcome: Ok((event.class(), dropped(&event))),
        });
    }
    let envelope = match Envelope::read(piece.bytes) {
        Ok(envelope) => envelope,
        Err(error) => return Ok(Read::bad(piece, None, error.to_string())),
    };
    let source_router = envelope.router().map_err(|error| Refusal::Malformed(error.to_string()))?;
    check_router(element, speaker, router, &source_router)?;
    let kind = envelope.kind.as_ref().to_owned();
    if envelope.sequence == Sequence(0) {
        return Ok(Read::bad(piece, Some(kind), "sequence is 0, it begins at 1".into()));
    }
    let place = Some((envelope.epoch, envelope.sequence));
    let class = envelope.class();
    let outcome = envelope.into_event().map(|event| (class, dropped(&event)));
    Ok(Read { place, kind: Some(kind), outcome: outcome.map_err(|error: EventError| error.to_string()) })
}

/// All elements come from one router; the first names it where nobody had to.
fn check_router(
    element: usize,
    speaker: Option<&RouterName>,
    router: &mut Option<RouterName>,
    source_router: &RouterName,
) -> Result<(), Refusal> {
    match router {
        None => *router = Some(source_router.clone()),
        Some(router) if router == source_router => {}
        Some(router) => return Err(stranger(element, speaker, router, source_router.clone())),
    }
    Ok(())
}

fn stranger(
    element: usize,
    speaker: Option<&RouterName>,
    router: &RouterName,
    source_router: RouterName,
) -> Refusal {
    match speaker {
        Some(speaker) => Refusal::Forbidden { speaker: speaker.clone(), source_router, element },
        None => Refusal::Malformed(format!(
            "element {element} comes from {source_router}, earlier ones from {router}; \
             send one batch for each router"
        )),
    }
}

fn dropped(event: &Event) -> Option<Dropped> {
    let Body::SpoolDropped(dropped) = &event.body else { return None };
    Some(Dropped {
        epoch: dropped.of_epoch.unwrap_or(event.epoch),
        first: dropped.first_sequence,
        last: dropped.last_sequence,
        count: dropped.count,
    })
}

impl Read {
    fn bad(piece: &Piece<'_>, kind: Option<String>, reason: String) -> Self {
        Self { place: salvage(piece.bytes), kind, outcome: Err(reason) }
    }

    fn into_item(
        self,
        element: usize,
        piece: &Piece<'_>,
        router: Option<&RouterName>,
        now: DateTime<Utc>,
    ) -> Item {
        let key = router.map_or("unknown", RouterName::as_str).to_owned();
        let mut headers: Headers = Headers::with_capacity(1);
        headers.extend(self.kind.map(|kind| (Cow::Borrowed(CE_TYPE), kind)));
        match self.outcome {
            Ok((class, dropped)) => {
                let value = Some(piece.bytes.to_vec());
                let record = Record { topic: Topic::of(class), key, headers, value, time: now };
                Item { place: self.place, class: Some(class), dropped, record }
            }
            Err(reason) => {
                let reason: String = reason.chars().take(REASON_CHARS).collect();
                let reason = format!("element {element} at byte {}: {reason}", piece.at_byte);
                let record = Record::dead_letter(key, headers, reason, piece.bytes, now);
                Item { place: self.place, class: None, dropped: None, record }
            }
        }
    }
}

/// Identity of an event that is readable otherwise not.
fn salvage(bytes: &[u8]) -> Option<(Epoch, Sequence)> {
    #[derive(Deserialize)]
    struct Identity {
        epoch: Epoch,
        sequence: Sequence,
    }
    let identity: Identity = serde_json::from_slice(bytes).ok()?;
    (identity.sequence > Sequence(0)).then_some((identity.epoch, identity.sequence))
}

/// Elements without a readable identity that stand between two neighbours with exactly as many numbers
/// between them are those numbers.
fn infer_places(read: &mut [Read]) {
    let known: Vec<(usize, Epoch, u64)> = read
        .iter()
        .enumerate()
        .filter_map(|(at, read)| read.place.map(|(epoch, sequence)| (at, epoch, sequence.0)))
        .collect();
    for pair in known.windows(2) {
        let [(left, epoch, low), (right, other_epoch, high)] = *pair else { continue };
        let unknown = (right - left - 1) as u64;
        if unknown > 0 && epoch == other_epoch && high.checked_sub(low) == Some(unknown + 1) {
            for (read, sequence) in read[left + 1..right].iter_mut().zip(low + 1..) {
                read.place = Some((epoch, Sequence(sequence)));
            }
        }
    }
}

/// What the router vouches for must fit what it sends, or it would vouch away what it still has.
fn check_span(span: Span, read: &[Read]) -> Result<(), Refusal> {
    let refuse =
        |what: String| Err(Refusal::Malformed(format!("span {span} does not fit the batch: {what}")));
    let mut highest = span.after;
    let mut all_known = true;
    for (element, read) in read.iter().enumerate() {
        match read.place {
            None => all_known = false,
            Some((epoch, sequence))
                if epoch == span.epoch && span.after < sequence && sequence <= span.last =>
            {
                highest = highest.max(sequence);
            }
            Some(_) if read.outcome.is_err() => {}
            Some((epoch, sequence)) => return refuse(format!("element {element} is {epoch}-{sequence}")),
        }
    }
    if all_known && highest != span.last {
        return refuse(format!("its last event is {highest}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
