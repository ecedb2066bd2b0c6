//! A frame as a person reads it: every TLV by name with its fields, what is unknown as hex. For support engineers who
//! have a capture and no modem.

use serde::Serialize;
use serde_json::{Value, json};

use super::frame::{Frame, FrameError, Kind};
use super::layout::Coded;
use super::message::{MessageSpec, RESULT, TlvSpec};
use super::names::message_name;
use super::tlv::Hex;
use super::{ProtocolError, Service};

/// One frame, or why there is none.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Description {
    /// A whole frame.
    Frame(Box<FrameDescription>),
    /// Bytes or text that are none.
    Broken {
        /// Where and what.
        error: Fault,
        /// What was given.
        raw: String,
    },
}

/// Where and why reading stopped.
#[derive(Debug, Serialize)]
pub struct Fault {
    /// `hex`: the text was no hex. `frame`: the bytes were no frame.
    #[serde(rename = "where")]
    pub place: &'static str,
    /// What is wrong, in words.
    pub what: String,
    /// Characters (`hex`) or bytes (`frame`) before the fault.
    pub offset: usize,
}

/// What a frame says.
#[derive(Debug, Serialize)]
pub struct FrameDescription {
    service: Value,
    client: u8,
    transaction: u16,
    message: Option<&'static str>,
    message_id: String,
    direction: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
    tlvs: Vec<TlvDescription>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    leftover: String,
}

#[derive(Debug, Serialize)]
struct TlvDescription {
    r#type: String,
    name: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    leftover: String,
}

impl Description {
    /// Whether there was no frame.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        matches!(self, Self::Broken { .. })
    }
}

/// Describes a line of hex: plain, with spaces or colons, or as libqmi logs it. `None` for lines that hold no bytes by
/// intent: empty ones, `#` comments and the other lines of a libqmi log.
#[must_use]
pub fn describe_line(line: &str) -> Option<Description> {
    let text = hex_part(line.trim())?;
    Some(match parse_hex(text) {
        Ok(bytes) => describe(&bytes),
        Err((offset, what)) => broken(Fault { place: "hex", what, offset }, line.trim().to_owned()),
    })
}

/// Describes the frame at the start of `bytes`; bytes behind it are left over.
#[must_use]
pub fn describe(bytes: &[u8]) -> Description {
    let decoded = match Frame::decode(bytes) {
        Err(FrameError::Length { declared, present }) if declared < present => {
            Frame::decode(&bytes[..declared]).map(|frame| (frame, &bytes[declared..]))
        }
        decoded => decoded.map(|frame| (frame, &bytes[bytes.len()..])),
    };
    match decoded {
        Ok((frame, leftover)) => Description::Frame(Box::new(describe_frame(&frame, leftover))),
        Err(error) => {
            let fault = Fault { place: "frame", what: error.to_string(), offset: error.offset() };
            broken(fault, Hex(bytes).to_string())
        }
    }
}

fn broken(error: Fault, raw: String) -> Description {
    Description::Broken { error, raw }
}

fn describe_frame(frame: &Frame, leftover: &[u8]) -> FrameDescription {
    let spec = message_spec(frame);
    let indication = frame.kind == Kind::Indication;
    let result = frame.result().filter(|_| frame.kind == Kind::Response);
    let tlvs = frame.tlvs.iter().filter(|(tlv_type, _)| result.is_none() || *tlv_type != RESULT);
    FrameDescription {
        service: frame.service.json(),
        client: frame.client,
        transaction: frame.transaction,
        message: spec
            .map(|spec| spec.name)
            .or_else(|| message_name(frame.service, frame.message, indication)),
        message_id: format!("0x{:04x}", frame.message),
        direction: match frame.kind {
            Kind::Request => "request",
            Kind::Response => "response",
            Kind::Indication => "indication",
        },
        result: result.map(describe_result),
        tlvs: tlvs.map(|(tlv_type, value)| describe_tlv(frame, spec, tlv_type, value)).collect(),
        missing: missing(frame, spec, result),
        leftover: Hex(leftover).to_string(),
    }
}

fn describe_result(error: ProtocolError) -> Value {
    let status = if error == ProtocolError::None { "success" } else { "failure" };
    json!({ "status": status, "code": error.code(), "name": error.name() })
}

fn describe_tlv(frame: &Frame, spec: Option<&MessageSpec>, tlv_type: u8, bytes: &[u8]) -> TlvDescription {
    let known = spec.and_then(|spec| tlv_specs(spec, frame.kind).find(|known| known.tlv_type == tlv_type));
    let described = known.map(|known| (known.describe)(bytes));
    let raw = || Some(Hex(bytes).to_string());
    let (value, error, raw, left) = match described {
        Some(Ok((value, left))) => (Some(value), None, None, left),
        Some(Err(error)) => (None, Some(error.to_string()), raw(), 0),
        None => (None, None, raw(), 0),
    };
    let leftover = Hex(&bytes[bytes.len() - left..]).to_string();
    let name = match (known, frame.kind, tlv_type) {
        (None, Kind::Response, RESULT) => Some("Result"),
        _ => known.map(|known| known.name),
    };
    TlvDescription { r#type: format!("0x{tlv_type:02x}"), name, value, error, raw, leftover }
}

/// Mandatory TLVs that are not there. A refused request owes none.
fn missing(frame: &Frame, spec: Option<&MessageSpec>, result: Option<ProtocolError>) -> Vec<String> {
    let refused = result.is_some_and(|error| error != ProtocolError::None);
    let owed = spec.into_iter().flat_map(|spec| tlv_specs(spec, frame.kind)).filter(|_| !refused);
    let mut missing: Vec<String> = owed
        .filter(|known| known.mandatory && frame.tlvs.raw(known.tlv_type).is_none())
        .map(|known| format!("0x{:02x} {}", known.tlv_type, known.name))
        .collect();
    if frame.kind == Kind::Response && frame.tlvs.raw(RESULT).is_none() {
        missing.insert(0, format!("0x{RESULT:02x} Result"));
    }
    missing
}

fn message_spec(frame: &Frame) -> Option<&'static MessageSpec> {
    let indication = frame.kind == Kind::Indication;
    let fits = |spec: &&MessageSpec| spec.id == frame.message && spec.indication.is_some() == indication;
    Service::messages(frame.service).iter().find(fits)
}

fn tlv_specs(spec: &MessageSpec, kind: Kind) -> impl Iterator<Item = &'static TlvSpec> {
    let (first, second) = match kind {
        Kind::Request => (&spec.request, &None),
        Kind::Response => (&spec.response, &spec.failure),
        Kind::Indication => (&spec.indication, &None),
    };
    first.iter().chain(second).flat_map(|body| body.tlvs)
}

/// Where the bytes stand in a line: behind `data =` in a libqmi log, else everywhere.
fn hex_part(line: &str) -> Option<&str> {
    let log = line.starts_with("<<<") || line.starts_with(">>>") || line.starts_with('[');
    match line.rsplit_once("data") {
        Some((_, data)) if log => data.trim_start().strip_prefix('='),
        _ => (!log && !line.is_empty() && !line.starts_with('#')).then_some(line),
    }
}

/// The bytes of a hex text; spaces, colons, commas and `0x` may stand between bytes.
fn parse_hex(text: &str) -> Result<Vec<u8>, (usize, String)> {
    let mut bytes = Vec::new();
    let mut high = None;
    let mut characters = text.chars().enumerate().peekable();
    while let Some((offset, character)) = characters.next() {
        let prefix = character == '0' && characters.peek().is_some_and(|(_, next)| matches!(next, 'x' | 'X'));
        if prefix && high.is_none() {
            characters.next();
            continue;
        }
        match (character.to_digit(16), high.take()) {
            (Some(digit), None) => high = Some(digit as u8),
            (Some(digit), Some(high)) => bytes.push(high << 4 | digit as u8),
            (None, Some(_)) => return Err((offset, "half a byte: an odd number of hex digits".to_owned())),
            (None, None) if matches!(character, ':' | ',' | '-') || character.is_whitespace() => {}
            (None, None) => return Err((offset, format!("{character:?} is no hex digit"))),
        }
    }
    match high {
        Some(_) => Err((text.chars().count(), "half a byte: an odd number of hex digits".to_owned())),
        None => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::qmi::golden;

    fn read(line: &str) -> Value {
        serde_json::to_value(describe_line(line).expect("a line with bytes")).unwrap()
    }

    fn golden_line(action: &str) -> (Value, Value) {
        let (_, request, response) =
            golden::EXCHANGES.iter().find(|(name, _, _)| *name == action).expect("a golden exchange");
        (read(request), read(response))
    }

    fn value(description: &Value, tlv_type: &str) -> Value {
        let tlvs = description["tlvs"].as_array().unwrap();
        tlvs.iter().find(|tlv| tlv["type"] == tlv_type).expect("the TLV is there")["value"].clone()
    }

    #[test]
    fn signal_info_reads_as_qmicli_reads_it() {
        let (request, response) = golden_line("--nas-get-signal-info");
        assert_eq!(
            request,
            json!({
                "service": "nas", "client": 1, "transaction": 1, "message": "Get Signal Info",
                "message_id": "0x004f", "direction": "request", "tlvs": [],
            })
        );
        assert_eq!(
            response,
            json!({
                "service": "nas", "client": 1, "transaction": 1, "message": "Get Signal Info",
                "message_id": "0x004f", "direction": "response",
                "result": { "status": "success", "code": 0, "name": "None" },
                "tlvs": [
                    { "type": "0x14", "name": "LTE Signal Strength",
                      "value": { "rssi": -62, "rsrq": -11, "rsrp": -95, "snr": 134 } },
                    { "type": "0x17", "name": "5G Signal Strength", "value": { "rsrp": -101, "snr": 75 } },
                    { "type": "0x18", "name": "5G Signal Strength Extended", "value": -11 },
                ],
            })
        );
    }

    #[test]
    fn a_refused_call_names_both_reasons() {
        let (_, response) = golden_line("--wds-start-network=apn=internet");
        assert_eq!(response["result"], json!({ "status": "failure", "code": 14, "name": "CallFailed" }));
        assert_eq!(value(&response, "0x10"), "generic-unspecified");
        let reason =
            json!({ "type": 6, "type_name": "3gpp", "reason": 33, "reason_name": "option-unsubscribed" });
        assert_eq!(value(&response, "0x11"), reason);
    }

    #[test]
    fn golden_frames_leave_nothing_unknown_missing_or_over() {
        for (name, bytes) in golden::all() {
            let text = serde_json::to_string(&describe(&bytes)).unwrap();
            for sign in
                ["\"name\":null", "leftover\":", "missing\":", "error\":", "raw\":", "\"message\":null"]
            {
                assert!(!text.contains(sign), "{name}: {sign} in {text}");
            }
        }
    }

    #[test]
    fn unknown_and_overlong_tlvs_and_bytes_behind_the_frame_are_kept_as_hex() {
        let line = "01 16 00 80 03 01 02 01 00 4f 00 0a 00 77 02 00 ab cd 12 02 00 c2 99 99 99";
        let frame = read(line);
        assert_eq!(frame["tlvs"][0], json!({ "type": "0x77", "name": null, "raw": "abcd" }));
        let overlong =
            json!({ "type": "0x12", "name": "GSM Signal Strength", "value": -62, "leftover": "99" });
        assert_eq!(frame["tlvs"][1], overlong);
        assert_eq!(frame["leftover"], "9999");
        assert_eq!(frame["missing"], json!(["0x02 Result"]));
    }

    #[test]
    fn a_tlv_shorter_than_its_layout_keeps_its_bytes_and_says_why() {
        let frame = read("0112008003ff0400005100060014 0300 c2f5a1");
        let tlv = &frame["tlvs"][0];
        assert_eq!((&tlv["name"], &tlv["raw"]), (&json!("LTE Signal Strength"), &json!("c2f5a1")));
        assert_eq!(tlv["error"], "ended too early: 2 bytes wanted at offset 2, 1 left");
    }

    #[test]
    fn numbers_without_a_name_stay_numbers() {
        let frame = read("0117008001010201002200 0b00 02040000000000 01010063".replace("  ", "").as_str());
        assert_eq!(value(&frame, "0x01"), 99);
        let frame = read("010c 00 00 55 01 00 0100 3412 0000");
        assert_eq!(frame["service"], 0x55);
        assert_eq!((&frame["message"], &frame["message_id"]), (&Value::Null, &json!("0x1234")));
    }

    #[test]
    fn messages_known_by_name_only_have_their_name() {
        assert_eq!(read("010c0000030100010085000000")["message"], "Incremental Network Scan");
        assert_eq!(read("010c000003010001001e000000")["message"], "Get Supported Messages");
        assert_eq!(read("010c0080ff")["error"]["where"], "frame");
    }

    #[test]
    fn hex_may_be_written_in_many_ways() {
        let plain = read("010c0000020100010023000000").to_string();
        for line in [
            "01:0C:00:00:02:01:00:01:00:23:00:00:00",
            "  01 0c 00 00 02 01 00 01 00 23 00 00 00\t",
            "<<<<<<   data   = 01:0C:00:00:02:01:00:01:00:23:00:00:00",
            "<<<<<< RAW:  data = 01:0C:00:00:02:01:00:01:00:23:00:00:00",
            "0x01 0x0c 0x00 0x00 0x02 0x01 0x00 0x01 0x00 0x23 0x00 0x00 0x00",
            "01,0c,00,00,02,01,00,01,00,23,00,00,00",
        ] {
            assert_eq!(read(line).to_string(), plain, "{line}");
        }
        for line in
            ["", "# note", "<<<<<< RAW:", "<<<<<<   length = 13", "[01 Jan 2026] [Debug] sent message..."]
        {
            assert!(describe_line(line).is_none(), "{line}");
        }
    }

    #[test]
    fn broken_lines_say_where_and_what() {
        let fault = |line: &str| read(line)["error"].clone();
        let hex = |what: &str, offset: usize| json!({ "where": "hex", "what": what, "offset": offset });
        assert_eq!(fault("01 0g"), hex("half a byte: an odd number of hex digits", 4));
        assert_eq!(fault("01 zz"), hex("'z' is no hex digit", 3));
        assert_eq!(fault("010"), hex("half a byte: an odd number of hex digits", 3));
        let frame = |what: &str, offset: usize| json!({ "where": "frame", "what": what, "offset": offset });
        assert_eq!(fault("02"), frame("offset 0: 0x02 is not the marker 0x01", 0));
        assert_eq!(fault("010c00"), frame("header ended too early: 7 bytes wanted at offset 0, 3 left", 0));
        let cut = frame("offset 1: QMUX length says 19 bytes, 18 are there", 1);
        assert_eq!(fault("0112008003ff04000051000600120200c2ff"), cut);
    }

    proptest! {
        #[test]
        fn any_bytes_and_any_text_have_a_description(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            text in ".{0,120}",
        ) {
            serde_json::to_string(&describe(&bytes)).unwrap();
            serde_json::to_string(&describe_line(&text)).unwrap();
        }
    }
}
