//! A JSON array of events into its elements, also when some of them are no JSON.
//!
//! A well-formed array is split by the JSON parser. Otherwise elements are told apart by their brackets and
//! quotes, so that a broken one costs nobody but itself. Where a broken element leaves a bracket or quote
//! open, it is taken to end where the next event begins ([`EVENT_START`]).

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// How an event begins as our own spools write it.
const EVENT_START: &[u8] = br#"{"specversion""#;

/// Elements that swallow their neighbours are searched for the next event this often, then the batch is
/// refused: bounds the work on a hostile body.
const RESYNC_MAX: usize = 32;

/// One element, whole or not, with its place in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub at_byte: usize,
    pub bytes: &'a [u8],
}

/// Why the array as a whole cannot be split.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at_byte}: {what}")]
pub(super) struct SplitError {
    pub at_byte: usize,
    pub what: &'static str,
}

/// The elements of the array that `body` holds.
pub(super) fn split(body: &[u8]) -> Result<Vec<Piece<'_>>, SplitError> {
    match serde_json::from_slice::<Vec<&RawValue>>(body) {
        Ok(elements) => Ok(elements
            .into_iter()
            .map(|element| {
                let bytes = element.get().as_bytes();
                Piece { at_byte: bytes.as_ptr().addr() - body.as_ptr().addr(), bytes }
            })
            .collect()),
        Err(_) => split_broken(body),
    }
}

fn split_broken(body: &[u8]) -> Result<Vec<Piece<'_>>, SplitError> {
    let mut at = skip_space(body, 0);
    if body.get(at) != Some(&b'[') {
        return Err(SplitError { at_byte: at, what: "not a JSON array of events" });
    }
    at = skip_space(body, at + 1);
    let mut pieces = Vec::new();
    let mut resyncs = 0;
    if body.get(at) != Some(&b']') {
        loop {
            let (piece, end) = element(body, at, &mut resyncs)?;
            pieces.push(piece);
            match body.get(end) {
                Some(b',') => at = skip_space(body, end + 1),
                _ => {
                    at = end;
                    break;
                }
            }
        }
    }
    match skip_space(body, at + 1) {
        end if end == body.len() => Ok(pieces),
        end => Err(SplitError { at_byte: end, what: "more text behind the end of the array" }),
    }
}

/// The element that begins at `start`, and the place of the comma or bracket behind it.
fn element<'a>(body: &'a [u8], start: usize, resyncs: &mut usize) -> Result<(Piece<'a>, usize), SplitError> {
    let end = end_of_element(body, start);
    let bytes = body[start..end.unwrap_or(body.len())].trim_ascii_end();
    let piece = Piece { at_byte: start, bytes };
    if let Some(end) = end
        && serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
    {
        return Ok((piece, end));
    }
    // Back over the comma; without one the text is part of the element after all.
    let before_next = find(bytes, 1, EVENT_START).map(|at| bytes[..at].trim_ascii_end());
    if let Some(bytes) = before_next.and_then(|before| before.strip_suffix(b",")) {
        if *resyncs == RESYNC_MAX {
            return Err(SplitError { at_byte: start, what: "too many elements before it are broken" });
        }
        *resyncs += 1;
        return Ok((Piece { at_byte: start, bytes: bytes.trim_ascii_end() }, start + bytes.len()));
    }
    let what = "the array does not end behind this element";
    end.map(|end| (piece, end)).ok_or(SplitError { at_byte: start, what })
}

/// Place of the comma or closing bracket behind the element at `start`, by brackets and quotes alone.
fn end_of_element(body: &[u8], start: usize) -> Option<usize> {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for (at, byte) in body.iter().enumerate().skip(start) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' | b'[' => depth += 1,
            b',' | b']' if depth == 0 => return Some(at),
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

fn find(bytes: &[u8], from: usize, needle: &[u8]) -> Option<usize> {
    bytes.get(from..)?.windows(needle.len()).position(|window| window == needle).map(|at| at + from)
}

fn skip_space(body: &[u8], from: usize) -> usize {
    let rest = body.get(from..).unwrap_or_default();
    from.min(body.len()) + (rest.len() - rest.trim_ascii_start().len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(body: &str) -> Vec<&str> {
        let pieces = split(body.as_bytes()).unwrap();
        for piece in &pieces {
            assert_eq!(&body.as_bytes()[piece.at_byte..][..piece.bytes.len()], piece.bytes);
        }
        pieces.into_iter().map(|piece| std::str::from_utf8(piece.bytes).unwrap()).collect()
    }

    #[test]
    fn a_broken_element_costs_nobody_but_itself() {
        let cases: &[(&str, &[&str])] = &[
            ("[]", &[]),
            (" [ ] ", &[]),
            ("[1, {\"a\": [2, 3]}]", &["1", "{\"a\": [2, 3]}"]),
            ("[{\"a\":1},{\"b\":},{\"c\":3}]", &["{\"a\":1}", "{\"b\":}", "{\"c\":3}"]),
            ("[{\"a\":1},oops ,{\"c\":3}]", &["{\"a\":1}", "oops", "{\"c\":3}"]),
            ("[{\"a\":1},,{\"c\":3}]", &["{\"a\":1}", "", "{\"c\":3}"]),
            ("[{\"a\":\"]},[\\\"\"},nul]", &["{\"a\":\"]},[\\\"\"}", "nul"]),
            (
                "[{\"specversion\":\"1.0\",\"a\":1},{\"specversion\":\"1.0\",\"b\":\"open}, {\"specversion\":\"1.0\",\"c\":3}]",
                &[
                    "{\"specversion\":\"1.0\",\"a\":1}",
                    "{\"specversion\":\"1.0\",\"b\":\"open}",
                    "{\"specversion\":\"1.0\",\"c\":3}",
                ],
            ),
            (
                "[{\"specversion\":{\"open\":1,{\"specversion\":\"1.0\"},{\"specversion\":\"1.0\"}]",
                &["{\"specversion\":{\"open\":1", "{\"specversion\":\"1.0\"}", "{\"specversion\":\"1.0\"}"],
            ),
        ];
        for (body, wanted) in cases {
            assert_eq!(&texts(body), wanted, "{body}");
        }
    }

    #[test]
    fn an_array_that_does_not_end_is_refused_with_the_place() {
        for (body, at_byte) in [
            ("", 0),
            ("  {\"a\":1}", 2),
            ("[", 1),
            ("[{\"a\":1},{\"b\":", 9),
            ("[{\"a\":1}", 1),
            ("[{\"a\":1}] x", 10),
            ("[1] [2]", 4),
        ] {
            let error = split(body.as_bytes()).unwrap_err();
            assert_eq!(error.at_byte, at_byte, "{body}: {error}");
        }
    }

    #[test]
    fn a_body_made_of_openings_is_refused_in_time() {
        let body = [b"[".as_slice(), &br#"{"specversion","#.repeat(200_000)].concat();
        let started = std::time::Instant::now();
        split(&body).unwrap_err();
        assert!(started.elapsed() < std::time::Duration::from_secs(5));
    }

    proptest! {
        #[test]
        fn any_bytes_are_split_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = split(&body);
        }

        #[test]
        fn any_brackets_are_split_or_refused(body in "[\\[\\]{},:\"a \\\\1]{0,60}") {
            if let Ok(pieces) = split(body.as_bytes()) {
                let ends: Vec<usize> = pieces.iter().map(|piece| piece.at_byte + piece.bytes.len()).collect();
                prop_assert!(pieces.iter().skip(1).zip(&ends).all(|(piece, end)| piece.at_byte > *end));
            }
        }
    }
}
