use super::*;
use crate::stream::{DEAD_LETTER_BYTES, LENGTH, REASON, ROUTER};

const EPOCH: &str = "00c0ffee00c0ffee";

fn event(router: &str, sequence: u64) -> String {
    event_with(
        router,
        sequence,
        "io.tandem.link.changed.v1",
        r#""from":"connecting","to":"connected","cause":"x""#,
    )
}

fn event_with(router: &str, sequence: u64, kind: &str, fields: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{EPOCH}-{sequence:020}","source":"/routers/{router}","time":"2026-11-24T00:00:00Z","epoch":"{EPOCH}","sequence":"{sequence:020}","partitionkey":"{router}","type":"{kind}","data":{{"boot_id":"b","uptime_ms":1,"clock":"synced",{fields}}}}}"#
    )
}

fn checked(elements: &[&str], speaker: Option<&str>, span: Option<&str>) -> Result<Checked, Refusal> {
    let body = format!("[{}]", elements.join(",\n"));
    let speaker = speaker.map(|name| name.parse().unwrap());
    check(body.as_bytes(), Shape::Batch, speaker.as_ref(), span.map(|text| text.parse().unwrap()), Utc::now())
}

fn places(checked: &Checked) -> Vec<Option<u64>> {
    checked.items.iter().map(|item| item.place.map(|(_, sequence)| sequence.0)).collect()
}

fn reason(item: &Item) -> &str {
    item.record.header(REASON).unwrap()
}

#[test]
fn events_go_to_the_topic_of_their_class_as_they_came() {
    let status = event("r1", 1);
    let probe = r#""target":"t","interval_ms":1,"sent":1,"lost":0"#;
    let sample = event_with("r1", 2, "io.tandem.probe.sampled.v1", probe);
    let unknown = event_with("r1", 3, "io.tandem.moon.phased.v9", r#""phase":"full""#);
    let checked = checked(&[&status, &sample, &unknown], Some("r1"), None).unwrap();
    let topics: Vec<Topic> = checked.items.iter().map(|item| item.record.topic).collect();
    assert_eq!(topics, [Topic::Status, Topic::Samples, Topic::Status]);
    for (item, json) in checked.items.iter().zip([status, sample, unknown]) {
        assert_eq!(item.record.value.as_deref().unwrap(), json.as_bytes());
        assert_eq!(item.record.key, "r1");
        assert!(json.contains(item.record.kind().unwrap()));
    }
}

#[test]
fn bad_events_become_dead_letters_that_say_why_and_where() {
    let wrong_data = event_with("r1", 3, "io.tandem.link.changed.v1", r#""from":"connecting""#);
    let wrong_id = event("r1", 5).replacen("-00000000000000000005", "-00000000000000000006", 1);
    let zero = event("r1", 0);
    let large =
        event("r1", 7).replace("\"cause\":\"x\"", &format!("\"cause\":\"{}\"", "x".repeat(EVENT_BYTES_MAX)));
    let elements =
        [&event("r1", 1), "{\"a\":}", &wrong_data, "42", &wrong_id, &zero, &large, &event("r1", 8)];
    let checked = checked(&elements, Some("r1"), None).unwrap();
    assert_eq!(places(&checked), [Some(1), Some(2), Some(3), Some(4), Some(5), Some(6), Some(7), Some(8)]);
    let wanted = [
        (1, "element 1 at byte "),
        (2, "data of io.tandem.link.changed.v1 is not readable: missing field `to`"),
        (3, "element 3 at byte "),
        (4, "attribute id is "),
        (5, "sequence is 0"),
        (6, "are more than"),
    ];
    for (element, text) in wanted {
        let item = &checked.items[element];
        assert!(reason(item).contains(text), "{}", reason(item));
        assert_eq!((item.record.topic, item.class), (Topic::DeadLetters, None));
        assert_eq!(item.record.header(ROUTER), Some("r1"));
    }
    assert_eq!(checked.items[1].record.value.as_deref().unwrap(), b"{\"a\":}");
    let kept = checked.items[6].record.value.as_ref().unwrap();
    assert_eq!(kept.len(), DEAD_LETTER_BYTES);
    assert_eq!(checked.items[6].record.header(LENGTH), Some(large.len().to_string().as_str()));
}

#[test]
fn a_router_speaks_for_itself_only() {
    let error = checked(&[&event("r1", 1), &event("r2", 2)], Some("r1"), None).unwrap_err();
    assert!(matches!(&error, Refusal::Forbidden { element: 1, .. }), "{error}");
    // Also when what it says for the other one is not readable.
    let broken = event_with("r2", 2, "io.tandem.link.changed.v1", r#""from":"connecting""#);
    assert!(matches!(checked(&[&broken], Some("r1"), None), Err(Refusal::Forbidden { element: 0, .. })));
    // Where nobody is asked, a batch is still that of one router.
    let open = checked(&[&event("r3", 1)], None, None).unwrap();
    assert_eq!(open.router.unwrap().as_str(), "r3");
    let error = checked(&[&event("r1", 1), &event("r2", 2)], None, None).unwrap_err();
    assert!(error.to_string().contains("send one batch for each router"), "{error}");
}

#[test]
fn a_span_must_fit_what_is_sent() {
    let span = |after: u64, last: u64| format!("{EPOCH}-{after:020}-{last:020}");
    let events = [event("r1", 5), event("r1", 9)];
    let elements = [events[0].as_str(), events[1].as_str()];
    assert!(checked(&elements, Some("r1"), Some(&span(4, 9))).is_ok());
    assert!(checked(&elements, Some("r1"), Some(&span(0, 9))).is_ok(), "holes are vouched for");
    for wrong in [span(5, 9), span(4, 8), span(4, 10), span(4, 9).replacen('c', "d", 1)] {
        let error = checked(&elements, Some("r1"), Some(&wrong)).unwrap_err();
        assert!(
            matches!(&error, Refusal::Malformed(text) if text.contains("does not fit")),
            "{wrong}: {error}"
        );
    }
    assert!(checked(&[elements[0], "{"], Some("r1"), Some(&span(4, 9))).is_err(), "not an array any more");
    assert!(checked(&[elements[0], "{}"], Some("r1"), Some(&span(4, 9))).is_ok(), "{{}} may be the last");
    assert!(checked(&[], Some("r1"), Some(&span(9, 9))).is_ok());
    assert!(checked(&[], Some("r1"), Some(&span(8, 9))).is_err());
}

#[test]
fn what_the_router_gave_up_is_handed_on() {
    let fields = r#""class":"sample","first_sequence":2,"last_sequence":8,"count":3,"cause":"full""#;
    let checked = checked(&[&event_with("r1", 9, "io.tandem.spool.dropped.v1", fields)], None, None).unwrap();
    let epoch = EPOCH.parse().unwrap();
    assert_eq!(checked.items[0].dropped, Some(Dropped { epoch, first: 2, last: 8, count: 3 }));
}
