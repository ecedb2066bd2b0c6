//! Live events: in order, each once, taken up where a client broke off, and bounded by the slowest client.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use tandem::central::LIVE_RECORDS;

use super::events::*;
use super::*;

/// A client of `/v1/events/live`.
struct Client {
    body: axum::body::BodyDataStream,
    text: String,
}

/// What a client is told: name of the event, id, data.
#[derive(Clone, Debug, Default, PartialEq)]
struct Told {
    name: String,
    id: String,
    data: Value,
}

impl Told {
    fn sequence(&self) -> u64 {
        self.data["event"]["sequence"].as_str().unwrap().parse().unwrap()
    }
}

impl Client {
    async fn open(bench: &Bench, query: &str, last: Option<&str>) -> Self {
        let mut request = Request::get(format!("/v1/events/live{query}"));
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let response = bench.app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        assert!(response.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("no-cache"));
        let mut client = Self { body: response.into_body().into_data_stream(), text: String::new() };
        while !client.text.contains("\n\n") {
            assert!(client.fill().await, "it begins with the time after which to come back");
        }
        assert!(client.text.contains("retry: 2000") || client.text.contains("retry:2000"), "{}", client.text);
        client.text = client.text.split_once("\n\n").unwrap().1.to_owned();
        client
    }

    async fn fill(&mut self) -> bool {
        let piece = tokio::time::timeout(Duration::from_secs(120), pin!(&mut self.body).next()).await;
        let Some(piece) = piece.expect("something within two minutes") else { return false };
        self.text += std::str::from_utf8(&piece.unwrap()).unwrap();
        true
    }

    /// The next event; `None` at the end. Comments are passed over.
    async fn next(&mut self) -> Option<Told> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let mut told = Told::default();
                for line in block.lines().filter(|line| !line.starts_with(':')) {
                    let (field, value) = line.split_once(':').unwrap();
                    let value = value.trim_start();
                    match field {
                        "id" => told.id = value.into(),
                        "event" => told.name = value.into(),
                        "data" => {
                            told.data = serde_json::from_str(value).unwrap_or(Value::String(value.into()))
                        }
                        _ => panic!("{line}"),
                    }
                }
                if told != Told::default() {
                    return Some(told);
                }
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    async fn take(&mut self, count: usize) -> Vec<Told> {
        let mut told = Vec::new();
        while told.len() < count {
            told.push(self.next().await.expect("the stream goes on"));
        }
        told
    }
}

/// Status events and samples of two routers, `first` and on.
async fn say(bench: &Bench, first: u64, count: u64) {
    let records = (first..first + count).flat_map(|n| {
        ["a", "b"].map(|router| {
            let body = if n % 2 == 0 { signal(-90) } else { up() };
            record(&event(router, n, Some("lte-dev-1"), body), after_s(n as i64))
        })
    });
    bench.stream.append(records.collect()).await.unwrap();
    bench.fold_all().await;
}

fn sequences(told: &[Told], router: &str) -> Vec<u64> {
    let source = format!("/routers/{router}");
    let mut sequences: Vec<_> =
        told.iter().filter(|told| told.data["event"]["source"] == *source).map(Told::sequence).collect();
    sequences.sort_unstable();
    sequences
}

#[tokio::test(start_paused = true)]
async fn events_come_as_they_are_folded_and_nothing_before() {
    let bench = Bench::new().await;
    say(&bench, 1, 10).await;
    let mut client = Client::open(&bench, "", None).await;
    let mut samples = Client::open(&bench, "?class=sample&router=b", None).await;
    say(&bench, 11, 10).await;
    let told = client.take(20).await;
    let wanted: Vec<u64> = (11..=20).collect();
    assert_eq!((sequences(&told, "a"), sequences(&told, "b")), (wanted.clone(), wanted));
    assert_eq!(sequences(&samples.take(5).await, "b"), [12, 14, 16, 18, 20]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_breaks_off_anywhere_misses_nothing_and_hears_nothing_twice() {
    let bench = Bench::new().await;
    say(&bench, 1, 4).await;
    let mut whole = Client::open(&bench, "", None).await;
    say(&bench, 5, 30).await;
    let all = whole.take(60).await;
    for cut in [1, 2, 17, 30, 59, 60] {
        let last = &all[cut - 1].id;
        let mut client = Client::open(&bench, "", Some(last)).await;
        let rest = client.take(60 - cut).await;
        for router in ["a", "b"] {
            let mut heard = sequences(&all[..cut], router);
            heard.extend(sequences(&rest, router));
            heard.sort_unstable();
            assert_eq!(heard, (5..=34).collect::<Vec<_>>(), "broken off after {cut} from {last}");
        }
    }
    // What is said between breaking off and coming back is replayed, what is said afterwards follows.
    let last = all.last().unwrap().id.clone();
    say(&bench, 35, 3).await;
    let mut client = Client::open(&bench, "?router=a", Some(&last)).await;
    say(&bench, 38, 3).await;
    let told = client.take(6).await;
    assert_eq!(sequences(&told, "a"), [35, 36, 37, 38, 39, 40]);
    // An id is a place in the stream: a central that began anew knows it too.
    let bench = bench.restart().await;
    let mut client = Client::open(&bench, "?router=a", Some(&last)).await;
    assert_eq!(sequences(&client.take(6).await, "a"), [35, 36, 37, 38, 39, 40]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_cut_off_and_takes_up_from_there() {
    let bench = Bench::new().await;
    say(&bench, 1, 1).await;
    let mut client = Client::open(&bench, "", None).await;
    say(&bench, 2, 3).await;
    let heard = client.take(6).await;
    let more = LIVE_RECORDS as u64;
    say(&bench, 5, more).await;
    let mut told = 0;
    while client.next().await.is_some() {
        told += 1;
    }
    assert!(told < LIVE_RECORDS, "{told} were kept for a client that did not read");
    let mut client = Client::open(&bench, "?router=a", Some(&heard[5].id)).await;
    let rest = client.take(more as usize).await;
    assert_eq!(sequences(&rest, "a"), (5..5 + more).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn who_was_away_too_long_is_told_to_look_again() {
    let bench = Bench::new().await;
    say(&bench, 1, 1).await;
    let mut client = Client::open(&bench, "", None).await;
    say(&bench, 2, 1).await;
    let last = client.take(1).await.remove(0).id;
    say(&bench, 3, 20_200).await;
    let mut client = Client::open(&bench, "", Some(&last)).await;
    let reset = client.next().await.unwrap();
    assert_eq!(reset.name, "reset");
    assert!(reset.data.as_str().unwrap().contains("fetch the views again"));
    for wrong in ["7", "0.0.x", "9.0.1", "0.0.1.2", "ünknown"] {
        let request = Request::get("/v1/events/live").header("Last-Event-ID", wrong.as_bytes());
        let answer = bench.app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let expected = if wrong.is_ascii() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
        assert_eq!(answer.status(), expected, "{wrong}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_is_kept_alive_and_ends_when_central_stops() {
    let bench = Bench::new().await;
    let mut client = Client::open(&bench, "", None).await;
    assert!(client.fill().await, "a comment now and then");
    assert!(client.text.starts_with(':'), "{}", client.text);
    bench.stop.send_replace(true);
    assert_eq!(client.next().await, None);
}
