use proptest::prelude::*;

use super::*;

fn event(body: Body) -> Event {
    Event {
        router: "branch-0042".parse().unwrap(),
        epoch: Epoch(0xab),
        sequence: Sequence(7),
        time: "2026-11-02T08:01:00.250Z".parse().unwrap(),
        subject: Some("lte-dev-1".into()),
        origin: Origin { boot_id: "b".into(), uptime_ms: 1, clock: ClockState::Unsynced },
        body,
    }
}

fn stepped() -> Event {
    event(
        ClockStepped {
            from: "1970-01-01T00:00:09Z".parse().unwrap(),
            to: "2026-11-02T08:01:00Z".parse().unwrap(),
        }
        .into(),
    )
}

#[test]
fn the_envelope_comes_first_and_type_stands_beside_data() {
    assert_eq!(
        String::from_utf8(stepped().to_json()).unwrap(),
        concat!(
            r#"{"specversion":"1.0","id":"00000000000000ab-00000000000000000007","source":"/routers/branch-0042","#,
            r#""subject":"lte-dev-1","time":"2026-11-02T08:01:00.250Z","epoch":"00000000000000ab","#,
            r#""sequence":"00000000000000000007","partitionkey":"branch-0042","type":"io.tandem.clock.stepped.v1","#,
            r#""data":{"boot_id":"b","uptime_ms":1,"clock":"unsynced","from":"1970-01-01T00:00:09Z","#,
            r#""to":"2026-11-02T08:01:00Z"}}"#,
        )
    );
}

#[test]
fn an_event_says_where_it_contradicts_itself() {
    let good = String::from_utf8(stepped().to_json()).unwrap();
    for (from, to, reason) in [
        (r#""1.0""#, r#""0.3""#, r#"specversion "0.3" is not "1.0""#),
        (
            r#"key":"branch-0042""#,
            r#"key":"other""#,
            r#"attribute partitionkey is "other", expected "branch-0042""#,
        ),
        (
            "/routers/branch",
            "/vans/branch",
            r#"attribute source is "/vans/branch-0042", expected "/routers/<name>""#,
        ),
        (r#""id":"0"#, r#""id":"1"#, "attribute id is"),
        (r#""sequence":"0"#, r#""sequence":""#, "is not 20 digits"),
        (r#""to":"2026-11"#, r#""to":"2026-13"#, "data of io.tandem.clock.stepped.v1 is not readable"),
        (r#""boot_id":"b","#, "", "missing field `boot_id`"),
    ] {
        assert!(good.contains(from), "{from}");
        let error = Event::from_json(good.replacen(from, to, 1).as_bytes()).unwrap_err().to_string();
        assert!(error.contains(reason), "{from} -> {to}: {error}");
    }
}

#[test]
fn a_newer_release_may_add_fields_and_words() {
    let text = String::from_utf8(stepped().to_json()).unwrap().replace(r#""from""#, r#""why":"ntp","from""#);
    assert_eq!(Event::from_json(text.as_bytes()).unwrap(), stepped());
    let state: LinkState = serde_json::from_str(r#""hibernating""#).unwrap();
    assert_eq!(state, LinkState::Unknown);
}

#[test]
fn router_names_are_safe_as_keys_and_paths() {
    for bad in ["", ".", "../x", "a b", "a/b", "ä", "-a", "a\n", &"x".repeat(64)] {
        assert!(bad.parse::<RouterName>().is_err(), "{bad:?}");
    }
    for good in ["a", "branch-0042", "A.b_c-1", &"x".repeat(63)] {
        assert_eq!(RouterName::from_source(&format!("/routers/{good}")).unwrap().as_str(), good);
    }
}

#[test]
fn round_trips_add_up_over_the_wire() {
    let (mut one, mut two) = (RoundTrips::default(), RoundTrips::default());
    (1..=50).for_each(|ms| one.record(ms * 1000));
    (51..=100).for_each(|ms| two.record(ms * 1000));
    one.add(&RoundTrips::from_base64(&two.to_base64()).unwrap());
    assert_eq!(one.count(), 100);
    let p50 = one.quantile_us(0.5);
    assert!((49_500..=50_500).contains(&p50), "{p50}");
    for bad in ["", "!", "AAAA", &"A".repeat(20_000)] {
        assert!(RoundTrips::from_base64(bad).is_err(), "{bad:.10}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Event::from_json(&bytes);
    }

    #[test]
    fn no_mutation_makes_the_reader_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut json = stepped().to_json();
        let at = at.index(json.len());
        json[at] = byte;
        if let Ok(event) = Event::from_json(&json) {
            prop_assert_eq!(Event::from_json(&event.to_json()).unwrap(), event);
        }
    }

    #[test]
    fn no_text_makes_the_histogram_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        use base64::Engine as _;
        let _ = RoundTrips::from_base64(&base64::engine::general_purpose::STANDARD.encode(bytes));
    }

    #[test]
    fn signal_columns_survive(rsrp in proptest::collection::vec(proptest::option::of(-140i16..-43), 0..40),
                              snr in proptest::collection::vec(proptest::option::of(-200i16..300), 0..40)) {
        let sampled = SignalSampled {
            rsrp_dbm: rsrp, snr_db: snr.iter().map(|s| s.map(|s| f32::from(s) / 10.0)).collect(), ..Default::default()
        };
        let event = event(sampled.into());
        prop_assert_eq!(Event::from_json(&event.to_json()).unwrap(), event);
    }
}

/// Texts that differ from `json` in what a reader in one pass might take otherwise.
fn variants(json: &str) -> Vec<String> {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    let mut reversed = value.as_object().unwrap().clone();
    let data = reversed.remove("data").unwrap();
    let id = value["id"].as_str().unwrap();
    vec![
        serde_json::to_string_pretty(&value).unwrap(),
        format!("{{\"data\":{data},{}", &serde_json::to_string(&reversed).unwrap()[1..]),
        json.replacen("{\"specversion\"", "{\"extension\":[{\"data\":1}],\"specversion\"", 1),
        json.replacen("\"boot_id\"", "\"boot_id\":\"twice\",\"boot_id\"", 1),
        json.replacen("\"boot_id\"", "\"boot\\u005fid\"", 1),
        json.replacen("\"uptime_ms\"", "\"uptime\"", 1),
        json.replacen("\"clock\":\"synced\"", "\"clock\":\"sundial\"", 1),
        json.replacen("\"type\"", "\"type\":\"io.tandem.moon.risen.v1\",\"type\"", 1),
        json.replacen("\"1.0\"", "\"2.0\"", 1),
        json.replacen("\"/routers/", "\"/router/", 1),
        json.replacen("\"partitionkey\":\"", "\"partitionkey\":\"x", 1),
        json.replacen(id, &id.replacen('0', "1", 1), 1),
        json.replacen(id, &id.to_uppercase(), 1),
        json.replacen("\"data\":{", "\"data\":{\"later\":{\"field\":[1,2]},", 1),
        json.replacen("\"data\":{", "\"data\":[{", 1),
        json.replacen("\"data\":", "\"datum\":", 1),
        json[..json.len() - 1].to_owned(),
        format!("{json} x"),
        format!(" {json}\n"),
    ]
}

#[test]
fn one_pass_reads_what_the_envelope_reads_and_nothing_else() {
    let told = |event: Result<Event, EventError>| event.map_err(|error| error.to_string());
    let mut quick = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/events")).unwrap() {
        let path = entry.unwrap().path();
        let whole: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let plain = Event::from_json(whole.to_string().as_bytes()).unwrap();
        let json = String::from_utf8(plain.to_json()).unwrap();
        quick += usize::from(super::quick::read(json.as_bytes()).is_some());
        for text in variants(&json).iter().chain([&json]) {
            let by_envelope = Envelope::read(text.as_bytes()).and_then(Envelope::into_event);
            if let Some(event) = super::quick::read(text.as_bytes()) {
                assert_eq!(told(Ok(event)), told(by_envelope), "{}: {text}", path.display());
            } else {
                assert_eq!(told(Event::from_json(text.as_bytes())), told(by_envelope), "{text}");
            }
        }
    }
    assert!(quick >= Body::KINDS.len(), "{quick}: every kind as our agents write it is read in one pass");
}
