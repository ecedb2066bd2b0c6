//! Records as CloudEvents of the [Kafka binding](https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/kafka-protocol-binding.md),
//! and back. Pure.
//!
//! Inside, a record's value is the event's JSON as the router sent it, and those bytes are evidence. Outside it
//! is one of three, told apart by the header `content-type`:
//!
//! - **Binary** (`application/json`): the value is `data`, byte by byte; each attribute is a header `ce_…`. Taken
//!   for an event whose JSON is exactly what [`join`] makes of those headers and that value: attributes in the
//!   order of [`ORDER`], no space between them. All our routers write so, and so nothing is lost.
//! - **Structured** (`application/cloudevents+json`): the value is the whole event. Taken for an event in any other
//!   spelling (spaces, another order, attributes that we do not know), because its bytes could not be made again.
//! - **Neither**: what is no event (folds, counts, dead letters) is written as it is.
//!
//! Either form keeps [`CE_TYPE`], so a reader chooses without parsing. Records that others write in binary mode are
//! read too: their attributes become the event's, unknown ones last.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{CE_TYPE, Headers};

/// Header that tells the form.
pub(super) const CONTENT_TYPE: &str = "content-type";
const BINARY: &str = "application/json";
const STRUCTURED: &str = "application/cloudevents+json";
const PREFIX: &str = "ce_";

/// Attributes in the order in which an event is written; all are texts.
const ORDER: [&str; 9] =
    ["specversion", "id", "source", "subject", "time", "epoch", "sequence", "partitionkey", "type"];
/// Their headers.
const HEADERS: [&str; 9] = [
    "ce_specversion",
    "ce_id",
    "ce_source",
    "ce_subject",
    "ce_time",
    "ce_epoch",
    "ce_sequence",
    "ce_partitionkey",
    "ce_type",
];
const SPECVERSION: usize = 0;
const TYPE: usize = 8;

/// What to add to a record to make it a CloudEvent outside.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outside<'a> {
    pub headers: Vec<(&'static str, Cow<'a, str>)>,
    pub value: &'a [u8],
}

#[derive(Deserialize)]
struct Attributes<'a> {
    #[serde(borrow)]
    specversion: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(borrow, default)]
    subject: Option<Cow<'a, str>>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    epoch: Cow<'a, str>,
    #[serde(borrow)]
    sequence: Cow<'a, str>,
    #[serde(borrow)]
    partitionkey: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// How a record with these headers and this value goes out.
pub(super) fn outside<'a>(headers: &Headers, value: &'a [u8]) -> Outside<'a> {
    let as_it_is = Outside { headers: Vec::new(), value };
    let ours = |name: &str| name == CONTENT_TYPE || (name.starts_with(PREFIX) && name != CE_TYPE);
    let mut kinds = headers.iter().filter(|(name, _)| name == CE_TYPE).map(|(_, value)| value.as_str());
    let (Some(kind), None) = (kinds.next(), kinds.next()) else { return as_it_is };
    if value.first() != Some(&b'{') || headers.iter().any(|(name, _)| ours(name)) {
        return as_it_is;
    }
    let Ok(event) = serde_json::from_slice::<Attributes<'a>>(value) else {
        return match serde_json::from_slice::<Loose<'a>>(value) {
            Ok(event) if event.kind == kind => structured(value),
            _ => as_it_is,
        };
    };
    if event.kind != kind {
        return as_it_is;
    }
    let values = [
        Some(event.specversion),
        Some(event.id),
        Some(event.source),
        event.subject,
        Some(event.time),
        Some(event.epoch),
        Some(event.sequence),
        Some(event.partitionkey),
        Some(event.kind),
    ];
    let data = event.data.get().as_bytes();
    if join(values.each_ref().map(Option::as_deref), &[], data) != value {
        return structured(value);
    }
    let mut headers = Vec::with_capacity(ORDER.len());
    // CE_TYPE is there already.
    for (name, value) in HEADERS.into_iter().zip(values).take(TYPE) {
        headers.extend(value.map(|value| (name, value)));
    }
    headers.push((CONTENT_TYPE, BINARY.into()));
    Outside { headers, value: data }
}

/// An event that we would not write so, but is one.
#[derive(Deserialize)]
struct Loose<'a> {
    #[serde(borrow, rename = "specversion")]
    _specversion: Cow<'a, str>,
    #[serde(borrow, rename = "id")]
    _id: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
}

fn structured(value: &[u8]) -> Outside<'_> {
    Outside { headers: vec![(CONTENT_TYPE, STRUCTURED.into())], value }
}

/// Headers and value of a record as they were inside.
pub(super) fn inside<'a>(
    headers: impl Iterator<Item = (&'a str, &'a [u8])> + Clone,
    value: Option<&[u8]>,
) -> (Headers, Option<Vec<u8>>) {
    match (usual(headers.clone()), value) {
        (Some(attributes), Some(data)) => {
            let kind = attributes[TYPE].unwrap_or_default().to_owned();
            (vec![(Cow::Borrowed(CE_TYPE), kind)], Some(join(attributes, &[], data)))
        }
        _ => inside_any(headers, value),
    }
}

/// The attributes of an event as our routers' are written, binary and without any other header: nearly all records
/// are, and a node reads millions. `None`: of another form, maybe.
fn usual<'a>(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Option<[Option<&'a str>; 9]> {
    let mut attributes = [None; 9];
    let mut content_type = None;
    for (name, value) in headers {
        let value = std::str::from_utf8(value).ok()?;
        let place = match HEADERS.iter().position(|own| *own == name) {
            Some(at) => &mut attributes[at],
            None if name == CONTENT_TYPE => &mut content_type,
            None => return None,
        };
        if place.replace(value).is_some() {
            return None;
        }
    }
    let is_event = attributes[SPECVERSION].is_some() && attributes[TYPE].is_some();
    (is_event && content_type == Some(BINARY)).then_some(attributes)
}

fn inside_any<'a>(
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    value: Option<&[u8]>,
) -> (Headers, Option<Vec<u8>>) {
    let mut attributes: [Option<Cow<'a, str>>; 9] = Default::default();
    let mut extensions: Vec<(&str, Cow<'a, str>)> = Vec::new();
    let mut content_type = None;
    let mut all: Vec<(&'a str, Cow<'a, str>)> = Vec::with_capacity(12);
    for (name, value) in headers {
        let text = String::from_utf8_lossy(value);
        if let Some(at) = HEADERS.iter().position(|own| *own == name) {
            attributes[at] = Some(text.clone());
        } else if let Some(extension) = name.strip_prefix(PREFIX) {
            extensions.push((extension, text.clone()));
        } else if name == CONTENT_TYPE {
            content_type = Some(text.clone());
        }
        all.push((name, text));
    }
    let media_type = content_type.as_deref().map(|text| text.split(';').next().unwrap_or_default().trim());
    let is_event = attributes[SPECVERSION].is_some() && attributes[TYPE].is_some();
    let kept = |name: &str, binary: bool| {
        name == CE_TYPE || !(name == CONTENT_TYPE || (binary && name.starts_with(PREFIX)))
    };
    let (binary, value) = match (media_type, value) {
        (Some(BINARY), Some(data)) if is_event => {
            let attributes = attributes.each_ref().map(Option::as_deref);
            (true, Some(join(attributes, &extensions, data)))
        }
        (Some(STRUCTURED), Some(value)) => (false, Some(value.to_vec())),
        (_, value) => {
            let headers = all.into_iter().map(|(name, value)| (owned(name), value.into_owned())).collect();
            return (headers, value.map(<[u8]>::to_vec));
        }
    };
    let headers = all.into_iter().filter(|(name, _)| kept(name, binary));
    (headers.map(|(name, value)| (owned(name), value.into_owned())).collect(), value)
}

fn owned(name: &str) -> Cow<'static, str> {
    if name == CE_TYPE { Cow::Borrowed(CE_TYPE) } else { Cow::Owned(name.to_owned()) }
}

/// The event's JSON: attributes that are there in the order of [`ORDER`], then `extensions`, then `data` last.
fn join(values: [Option<&str>; 9], extensions: &[(&str, Cow<'_, str>)], data: &[u8]) -> Vec<u8> {
    let known = ORDER.iter().zip(values).filter_map(|(name, value)| Some((*name, value?)));
    let other = extensions.iter().map(|(name, value)| (*name, value.as_ref()));
    let mut json = Vec::with_capacity(320 + data.len());
    json.push(b'{');
    for (name, value) in known.chain(other) {
        text(&mut json, name);
        json.push(b':');
        text(&mut json, value);
        json.push(b',');
    }
    json.extend_from_slice(b"\"data\":");
    json.extend_from_slice(data);
    json.push(b'}');
    json
}

fn text(json: &mut Vec<u8>, text: &str) {
    // All octets, without a way out in between: the compiler looks at many at once then.
    let is_plain = |plain, byte| plain & (byte >= 0x20) & (byte != b'"') & (byte != b'\\');
    if text.bytes().fold(true, is_plain) {
        json.push(b'"');
        json.extend_from_slice(text.as_bytes());
        json.push(b'"');
    } else {
        serde_json::to_writer(json, text).expect("a text is written to memory");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"specversion":"1.0","id":"00000000000000aa-00000000000000000001","source":"/routers/branch-0042","subject":"lte-dev-1","time":"2026-11-02T08:00:00.123Z","epoch":"00000000000000aa","sequence":"00000000000000000001","partitionkey":"branch-0042","type":"io.tandem.link.changed.v1","data":{"boot_id":"b","to":"connected"}}"#;

    fn kind() -> Headers {
        vec![(CE_TYPE.into(), "io.tandem.link.changed.v1".into())]
    }

    fn there_and_back(headers: &Headers, value: &[u8]) -> (Headers, Vec<u8>) {
        let outside = outside(headers, value);
        let own = headers.iter().map(|(name, value)| (name.as_ref(), value.as_bytes()));
        let added = outside.headers.iter().map(|(name, value)| (*name, value.as_bytes()));
        let all = own.chain(added);
        let (headers, value) = inside(all.clone(), Some(outside.value));
        assert_eq!(
            inside_any(all, Some(outside.value)),
            (headers.clone(), value.clone()),
            "the quick way is no other"
        );
        (headers, value.unwrap())
    }

    #[test]
    fn an_event_is_its_attributes_and_its_data() {
        let (headers, value) = (kind(), EVENT.as_bytes());
        let outside = outside(&headers, value);
        assert_eq!(outside.value, br#"{"boot_id":"b","to":"connected"}"#);
        let wanted = [
            ("ce_specversion", "1.0"),
            ("ce_id", "00000000000000aa-00000000000000000001"),
            ("ce_source", "/routers/branch-0042"),
            ("ce_subject", "lte-dev-1"),
            ("ce_time", "2026-11-02T08:00:00.123Z"),
            ("ce_epoch", "00000000000000aa"),
            ("ce_sequence", "00000000000000000001"),
            ("ce_partitionkey", "branch-0042"),
            ("content-type", "application/json"),
        ];
        assert_eq!(outside.headers, wanted.map(|(name, value)| (name, Cow::Borrowed(value))));
        assert_eq!(there_and_back(&headers, value), (kind(), value.to_vec()));
    }

    #[test]
    fn whatever_is_written_comes_back_byte_by_byte() {
        let spaced = EVENT.replace(",\"data\"", ", \"data\"");
        let escaped = EVENT.replace("lte-dev-1", "\\u006cte");
        let quoted = EVENT.replace("lte-dev-1", r#"a\"b\\c\nd"#);
        let extended = EVENT.replace(",\"type\"", ",\"traceparent\":\"00-a\",\"type\"");
        let missing = EVENT.replace("\"epoch\":\"00000000000000aa\",", "");
        let twice = EVENT.replace("\"partitionkey\"", "\"id\":\"x\",\"partitionkey\"");
        for (text, form) in [
            (EVENT, Some(BINARY)),
            (&quoted, Some(BINARY)),
            (&spaced, Some(STRUCTURED)),
            (&escaped, Some(STRUCTURED)),
            (&extended, Some(STRUCTURED)),
            (&missing, Some(STRUCTURED)),
            (&twice, None),
            ("{}", None),
            ("x", None),
            ("", None),
            ("{\"specversion\":", None),
        ] {
            let headers = kind();
            let out = outside(&headers, text.as_bytes());
            let found = out.headers.iter().find(|(name, _)| *name == CONTENT_TYPE);
            assert_eq!(found.map(|(_, value)| value.as_ref()), form, "{text}");
            assert_eq!(there_and_back(&headers, text.as_bytes()), (kind(), text.as_bytes().to_vec()));
        }
        for headers in [
            vec![],
            vec![("ce_type".into(), "another".into())],
            vec![("ce_id".into(), "x".into()), kind().remove(0)],
            vec![kind().remove(0), ("tandem_reason".into(), String::new())],
            vec![kind().remove(0), kind().remove(0)],
        ] {
            assert_eq!(there_and_back(&headers, EVENT.as_bytes()), (headers, EVENT.as_bytes().to_vec()));
        }
    }

    #[test]
    fn a_foreign_event_in_binary_mode_is_read() {
        let headers = [
            ("ce_source", "/routers/r"),
            ("ce_type", "t"),
            ("ce_traceparent", "00-\"a"),
            ("ce_specversion", "1.0"),
            ("content-type", "application/json; charset=utf-8"),
            ("note", "theirs"),
        ];
        let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
        let (headers, value) = inside(headers, Some(br#"{"a":1}"#));
        assert_eq!(headers, [("ce_type".into(), "t".to_owned()), ("note".into(), "theirs".to_owned())]);
        let json: serde_json::Value = serde_json::from_slice(&value.unwrap()).unwrap();
        let wanted = serde_json::json!({"specversion": "1.0", "source": "/routers/r", "type": "t",
            "traceparent": "00-\"a", "data": {"a": 1}});
        assert_eq!(json, wanted);
    }

    #[test]
    fn a_record_without_headers_or_value_is_left_as_it_is() {
        assert_eq!(inside(std::iter::empty(), Some(b"x")), (vec![], Some(b"x".to_vec())));
        assert_eq!(inside(std::iter::empty(), None), (vec![], None));
        let headers = [("ce_specversion", "1.0"), ("ce_type", "t"), ("content-type", "application/json")];
        let headers = || headers.iter().map(|(name, value)| (*name, value.as_bytes()));
        let (kept, value) = inside(headers(), None);
        assert_eq!((kept.len(), value), (3, None));
        let bytes = [("odd", &[0xff, b'a'][..])];
        assert_eq!(inside(bytes.into_iter(), None).0, [("odd".into(), "\u{fffd}a".to_owned())]);
    }
}
