//! The upload against a central that does everything a central must not: whatever it answers, every event
//! arrives, in order, under the identity it was given, and nothing is trimmed that was not stored.
#![cfg(feature = "agent")]

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tandem::agent::Emission;
use tandem::agent::emit::Stamper;
use tandem::agent::journal::Journal;
use tandem::agent::upload::{self, Deadlines, Progress};
use tandem::config::{Privacy, Secret, Upload};
use tandem::event::{
    Acknowledgement, Body, Class, ConfigRolledBack, Epoch, Event, Sequence, SignalSampled, Span,
};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// No test waits longer than this for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// What central answers to a batch; it stores only what it acknowledges.
#[derive(Clone, Debug)]
enum Reply {
    /// Stores all.
    Store,
    /// Stores the first so many.
    StorePart(u64),
    /// Stores all, but the answer breaks off.
    StoreAndCut,
    /// Stores all and says nothing.
    StoreAndHang,
    /// A status with headers.
    Refuse(u16, &'static str),
    /// A body that is no acknowledgement.
    Say(&'static str),
    /// Acknowledges another epoch.
    OtherEpoch,
    /// Acknowledges what was never sent.
    Future,
    /// A packed body that never ends.
    Bomb,
    /// `400` as long as this content is in the batch.
    RefuseWith(&'static str),
    /// `413` as long as the batch has more events.
    RefuseAbove(usize),
}

/// One batch as it came.
#[derive(Clone, Debug)]
struct Received {
    at: Instant,
    head: String,
    events: Vec<Event>,
}

#[derive(Default)]
struct Central {
    script: Mutex<VecDeque<Reply>>,
    received: Mutex<Vec<Received>>,
    stored: Mutex<BTreeMap<(Epoch, Sequence), Event>>,
    count: watch::Sender<usize>,
}

impl Central {
    /// Answers with `script`, then stores everything.
    async fn start(script: impl IntoIterator<Item = Reply>) -> (Arc<Self>, Upload) {
        let central = Arc::new(Self { script: Mutex::new(script.into_iter().collect()), ..Self::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = Some(format!("http://{}", listener.local_addr().unwrap()));
        let serving = Arc::clone(&central);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let central = Arc::clone(&serving);
                tokio::spawn(async move { central.serve(socket).await });
            }
        });
        let options = Upload { to, token: Some(Secret::new("t0ken")), ..Upload::default() };
        (central, options)
    }

    async fn serve(&self, socket: TcpStream) -> Option<()> {
        let mut socket = BufReader::new(socket);
        loop {
            let (head, body) = read_request(&mut socket).await?;
            let json = zstd::decode_all(body.as_slice()).ok()?;
            let events: Vec<Event> = serde_json::from_slice(&json).unwrap();
            let received = Received { at: Instant::now(), head, events: events.clone() };
            self.received.lock().unwrap().push(received);
            let reply = self.next_reply(&events);
            let last = events.last()?;
            let (epoch, all) = (last.epoch, last.sequence);
            let answer = match reply {
                Reply::Store => self.store(&events, epoch, all),
                Reply::StorePart(count) => self.store(&events, epoch, events[count as usize - 1].sequence),
                Reply::StoreAndCut => self.store(&events, epoch, all)[..60].to_owned(),
                Reply::StoreAndHang => {
                    self.store(&events, epoch, all);
                    std::future::pending().await
                }
                Reply::Refuse(status, headers) => {
                    format!("HTTP/1.1 {status} No\r\n{headers}content-length: 0\r\n\r\n")
                }
                Reply::RefuseWith(_) => "HTTP/1.1 400 No\r\ncontent-length: 0\r\n\r\n".into(),
                Reply::RefuseAbove(_) => "HTTP/1.1 413 No\r\ncontent-length: 0\r\n\r\n".into(),
                Reply::Say(text) => ok(text),
                Reply::OtherEpoch => acknowledge(Epoch(epoch.0 ^ 1), all),
                Reply::Future => acknowledge(epoch, Sequence(all.0 + 1)),
                Reply::Bomb => return self.explode(socket).await,
            };
            socket.write_all(answer.as_bytes()).await.ok()?;
            if matches!(reply, Reply::StoreAndCut) {
                return None;
            }
        }
    }

    /// The next line of the script; conditions stay until they no longer apply.
    fn next_reply(&self, events: &[Event]) -> Reply {
        let mut script = self.script.lock().unwrap();
        match script.front() {
            None => Reply::Store,
            Some(Reply::RefuseWith(bad)) if !events.iter().any(|event| content(event) == *bad) => {
                Reply::Store
            }
            Some(Reply::RefuseAbove(count)) if events.len() <= *count => Reply::Store,
            Some(reply @ (Reply::RefuseWith(_) | Reply::RefuseAbove(_))) => reply.clone(),
            Some(_) => script.pop_front().unwrap(),
        }
    }

    fn store(&self, events: &[Event], epoch: Epoch, last: Sequence) -> String {
        let mut stored = self.stored.lock().unwrap();
        for event in events.iter().filter(|event| event.sequence <= last) {
            let first = stored.entry((event.epoch, event.sequence)).or_insert_with(|| event.clone());
            assert_eq!(first, event, "one identity, two events");
        }
        self.count.send_replace(stored.len());
        acknowledge(epoch, last)
    }

    async fn explode(&self, mut socket: BufReader<TcpStream>) -> Option<()> {
        let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1000000000000\r\n\r\n";
        socket.write_all(head.as_bytes()).await.ok()?;
        loop {
            socket.write_all(&[0x1f; 65536]).await.ok()?;
        }
    }

    async fn wait_for(&self, events: usize) {
        let mut count = self.count.subscribe();
        let waited = timeout(PATIENCE, count.wait_for(|count| *count >= events)).await;
        assert!(waited.is_ok(), "only {} of {events} events came", self.stored.lock().unwrap().len());
    }

    fn contents(&self) -> Vec<String> {
        self.stored.lock().unwrap().values().map(content).collect()
    }

    fn batches(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

async fn read_request(socket: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if socket.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let length = head.to_ascii_lowercase();
    let length = length.split("content-length: ").nth(1)?.split("\r\n").next()?.parse().ok()?;
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await.ok()?;
    Some((head, body))
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn acknowledge(epoch: Epoch, sequence: Sequence) -> String {
    ok(&serde_json::to_string(&Acknowledgement { epoch, sequence }).unwrap())
}

fn content(event: &Event) -> String {
    match &event.body {
        Body::ConfigRolledBack(rolled_back) => rolled_back.cause.clone(),
        Body::SpoolDropped(dropped) => format!("dropped {} {}", dropped.first_sequence, dropped.cause),
        other => other.kind().to_owned(),
    }
}

fn status(cause: &str) -> Emission {
    let body = ConfigRolledBack { from_hash: "a".into(), hash: "b".into(), cause: cause.into() }.into();
    Emission { subject: None, time: None, body }
}

fn sample() -> Emission {
    Emission { subject: None, time: None, body: SignalSampled::default().into() }
}

fn journal(folder: &Path) -> Journal {
    let stamper = Stamper::new("boot".into(), Privacy::default());
    Journal::start(folder, "branch-0042".parse().unwrap(), 1 << 20, stamper).unwrap().0
}

/// A running upload.
struct Running {
    task: JoinHandle<()>,
    progress: watch::Receiver<Progress>,
    stop: watch::Sender<bool>,
}

impl Running {
    fn start(options: &Upload, journal: &Journal) -> Self {
        let (options, journal) = (options.clone(), journal.clone());
        let (stop, stopped) = watch::channel(false);
        let (publish, progress) = watch::channel(Progress::default());
        let deadlines = Deadlines { answer: Duration::from_millis(400), ..Deadlines::default() };
        let task = tokio::spawn(upload::run(options, deadlines, journal, publish, stopped));
        Self { task, progress, stop }
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        timeout(PATIENCE, self.task).await.expect("it stops when told").unwrap();
    }

    /// Waits for a fault, and gives it.
    async fn fault(&mut self) -> String {
        let faulty = timeout(PATIENCE, self.progress.wait_for(|progress| progress.fault.is_some())).await;
        faulty.expect("a fault is told").unwrap().fault.clone().unwrap()
    }
}

/// Five events through a central that begins with `script`: they all arrive, and the spool is trimmed.
async fn survives(script: Vec<Reply>) -> (Arc<Central>, Vec<Option<String>>) {
    let folder = tempfile::tempdir().unwrap();
    let (central, options) = Central::start(script).await;
    let journal = journal(folder.path());
    let contents = ["one", "two", "three", "four", "five"];
    for content in contents {
        journal.emit_durably(status(content)).await.unwrap();
    }
    let mut running = Running::start(&options, &journal);
    let mut faults = Vec::new();
    let mut seen = running.progress.clone();
    let watching = tokio::spawn(async move {
        while seen.changed().await.is_ok() {
            faults.push(seen.borrow_and_update().fault.clone());
        }
        faults
    });
    central.wait_for(contents.len()).await;
    let done = |progress: &Progress| progress.acknowledged_at.is_some() && progress.fault.is_none();
    timeout(PATIENCE, running.progress.wait_for(done)).await.unwrap().unwrap();
    running.stop().await;
    assert_eq!(central.contents(), contents);
    let depth = journal.depth().await.unwrap();
    assert_eq!((depth.status_events, depth.acknowledged), (0, Sequence(5)));
    (central, watching.await.unwrap())
}

fn told(faults: &[Option<String>], text: &str) -> bool {
    faults.iter().flatten().any(|fault| fault.contains(text))
}

#[tokio::test]
async fn a_batch_says_who_sends_it_what_it_covers_and_how_it_is_packed() {
    let (central, faults) = survives(vec![]).await;
    assert!(faults.iter().all(Option::is_none), "{faults:?}");
    let batches = central.batches();
    assert_eq!(batches.len(), 1);
    let head = &batches[0].head;
    for line in [
        "POST /v1/events HTTP/1.1",
        "content-type: application/cloudevents-batch+json",
        "content-encoding: zstd",
        "authorization: Bearer t0ken",
        "host: 127.0.0.1:",
    ] {
        assert!(head.contains(line), "{line} is not in {head}");
    }
    let span: Span = head.split("tandem-span: ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
    assert_eq!((span.after, span.last), (Sequence(0), Sequence(5)));
}

#[tokio::test]
async fn a_busy_central_is_asked_again_when_it_said() {
    let (central, faults) = survives(vec![Reply::Refuse(429, "Retry-After: 1\r\n")]).await;
    let batches = central.batches();
    assert!(batches[1].at - batches[0].at >= Duration::from_secs(1));
    assert!(told(&faults, "429"), "{faults:?}");
}

#[tokio::test]
async fn a_date_in_retry_after_is_read_by_the_clock_of_central() {
    let headers = "date: Mon, 02 Nov 2026 08:00:00 GMT\r\nretry-after: Mon, 02 Nov 2026 08:00:01 GMT\r\n";
    let (central, _) = survives(vec![Reply::Refuse(503, headers)]).await;
    let batches = central.batches();
    let waited = batches[1].at - batches[0].at;
    assert!(waited >= Duration::from_secs(1) && waited < Duration::from_secs(10), "{waited:?}");
}

#[tokio::test]
async fn a_broken_central_is_asked_again() {
    for (reply, fault) in [
        (Reply::Refuse(500, ""), "central answers 500"),
        (Reply::Refuse(401, ""), "central answers 401"),
        (Reply::Say("<html>hello</html>"), "no acknowledgement"),
        (Reply::Say("{\"epoch\":1}"), "no acknowledgement"),
    ] {
        let (_, faults) = survives(vec![reply.clone()]).await;
        assert!(told(&faults, fault), "{reply:?}: {faults:?}");
    }
}

#[tokio::test]
async fn an_answer_that_acknowledges_too_much_trims_nothing() {
    for reply in [Reply::OtherEpoch, Reply::Future] {
        let (central, faults) = survives(vec![reply.clone()]).await;
        assert!(told(&faults, "was the last one sent"), "{reply:?}: {faults:?}");
        assert_eq!(central.batches()[1].events.len(), 5, "{reply:?}");
    }
}

#[tokio::test]
async fn a_bomb_is_cut_off() {
    let (_, faults) = survives(vec![Reply::Bomb]).await;
    assert!(told(&faults, "limit"), "{faults:?}");
}

#[tokio::test]
async fn what_was_stored_without_a_word_is_sent_again_under_the_same_identity() {
    for reply in [Reply::StoreAndHang, Reply::StoreAndCut] {
        let (central, faults) = survives(vec![reply.clone()]).await;
        let batches = central.batches();
        assert_eq!(batches[0].events, batches[1].events, "{reply:?}");
        assert!(told(&faults, "exchange with"), "{reply:?}: {faults:?}");
    }
}

#[tokio::test]
async fn a_part_is_trimmed_and_the_rest_follows_at_once() {
    let (central, _) = survives(vec![Reply::StorePart(2)]).await;
    let batches = central.batches();
    assert_eq!(batches[1].events.len(), 3);
    assert!(batches[1].at - batches[0].at < Duration::from_secs(5));
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_sent_in_parts() {
    let (central, _) = survives(vec![Reply::RefuseAbove(2)]).await;
    assert!(central.batches().iter().any(|batch| batch.events.len() == 2));
}

#[tokio::test]
async fn the_one_event_that_central_refuses_blocks_nobody_and_is_declared() {
    let folder = tempfile::tempdir().unwrap();
    let (central, options) = Central::start([Reply::RefuseWith("bad")]).await;
    let journal = journal(folder.path());
    for content in ["one", "two", "bad", "four", "five", "six"] {
        journal.emit_durably(status(content)).await.unwrap();
    }
    let running = Running::start(&options, &journal);
    central.wait_for(6).await;
    running.stop().await;
    assert_eq!(central.contents(), ["one", "two", "four", "five", "six", "dropped 3 refused"]);
}

#[tokio::test]
async fn a_status_event_leaves_at_once_with_the_samples_that_wait() {
    let folder = tempfile::tempdir().unwrap();
    let (central, options) = Central::start([]).await;
    let journal = journal(folder.path());
    let running = Running::start(&options, &journal);
    for _ in 0..3 {
        journal.emit(sample()).await;
    }
    let before = Instant::now();
    journal.emit(status("one")).await;
    journal.emit(status("two")).await;
    central.wait_for(5).await;
    assert!(before.elapsed() < Duration::from_secs(10));
    assert!(central.batches().len() <= 2, "status events are sent one by one");
    running.stop().await;
}

#[tokio::test]
async fn stopping_sends_the_last_words() {
    let folder = tempfile::tempdir().unwrap();
    let (central, options) = Central::start([]).await;
    let journal = journal(folder.path());
    let mut running = Running::start(&options, &journal);
    journal.emit(status("first")).await;
    central.wait_for(1).await;
    timeout(PATIENCE, running.progress.wait_for(|progress| progress.acknowledged_at.is_some()))
        .await
        .unwrap()
        .unwrap();
    journal.emit(status("stopping")).await;
    running.stop().await;
    assert_eq!(central.contents(), ["first", "stopping"]);
}

#[tokio::test]
async fn stopping_does_not_wait_for_a_central_that_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path());
    let options = Upload { to: Some("http://127.0.0.1:9".into()), ..Upload::default() };
    let mut running = Running::start(&options, &journal);
    journal.emit(status("first")).await;
    assert!(running.fault().await.contains("connect to 127.0.0.1:9"));
    running.stop().await;
    assert_eq!(journal.depth().await.unwrap().status_events, 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_named_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(&folder.path().join("spool"));
    journal.emit_durably(status("first")).await.unwrap();
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let (certificate, key) = (signed.cert.pem(), signed.signing_key.serialize_pem());
    let good = [("ca", &*certificate), ("cert", &certificate), ("key", &key), ("token", "t0ken\n")];
    let paths = good.map(|(name, _)| folder.path().join(format!("{name}.file")));
    let mut cases = Vec::new();
    for broken in 0..good.len() {
        cases.extend(
            [None, Some(""), Some("one\ntwo\n")].map(|content| ("https://127.0.0.1:9", broken, content)),
        );
        if cfg!(feature = "kafka") {
            cases.push(("kafka://127.0.0.1:9?sasl.username=us", broken, None));
        }
    }
    for (to, broken, content) in cases {
        for (path, (_, text)) in paths.iter().zip(good) {
            std::fs::write(path, text).unwrap();
        }
        match content {
            None => std::fs::remove_file(&paths[broken]).unwrap(),
            Some(text) => std::fs::write(&paths[broken], text).unwrap(),
        }
        let [ca_file, cert_file, key_file, token_file] = paths.clone().map(Some);
        let to = Some(to.to_owned());
        let options = Upload { to, ca_file, cert_file, key_file, token_file, ..Upload::default() };
        let mut running = Running::start(&options, &journal);
        let fault = running.fault().await;
        for (at, path) in paths.iter().enumerate() {
            let named = fault.contains(path.to_str().unwrap());
            assert_eq!(named, at == broken, "{} {content:?}: {fault}", good[broken].0);
        }
        running.stop().await;
    }
    assert_eq!(journal.depth().await.unwrap().status_events, 1);
}

#[tokio::test]
async fn a_file_that_comes_later_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (central, options) = Central::start([]).await;
    let journal = journal(&folder.path().join("spool"));
    journal.emit_durably(status("first")).await.unwrap();
    let file = folder.path().join("token");
    let options = Upload { token: None, token_file: Some(file.clone()), ..options };
    let mut running = Running::start(&options, &journal);
    assert!(running.fault().await.contains(file.to_str().unwrap()));
    std::fs::write(&file, "l8ter\n").unwrap();
    central.wait_for(1).await;
    assert!(central.batches()[0].head.to_ascii_lowercase().contains("authorization: bearer l8ter"));
    running.stop().await;
}

#[tokio::test]
async fn a_restart_in_the_middle_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (central, options) = Central::start([Reply::StorePart(3), Reply::StoreAndHang]).await;
    {
        let journal = journal(folder.path());
        for number in 0..10 {
            journal.emit_durably(status(&format!("{number}"))).await.unwrap();
        }
        let running = Running::start(&options, &journal);
        central.wait_for(10).await;
        running.task.abort();
        let _ = running.task.await;
    }
    let journal = loop {
        // The thread of the first journal lets go of the spool when its last handle is gone.
        let stamper = Stamper::new("boot".into(), Privacy::default());
        match Journal::start(folder.path(), "branch-0042".parse().unwrap(), 1 << 20, stamper) {
            Ok((journal, _)) => break journal,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    journal.emit_durably(status("10")).await.unwrap();
    let running = Running::start(&options, &journal);
    central.wait_for(11).await;
    running.stop().await;
    assert_eq!(central.contents(), (0..=10).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn beyond_the_budget_status_goes_and_samples_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let (central, options) = Central::start([]).await;
    let journal = journal(folder.path());
    journal.emit(sample()).await;
    journal.emit_durably(status("one")).await.unwrap();
    let options = Upload { monthly_budget_bytes: 1, ..options };
    let usage = serde_json::json!({ "month": null, "sent_bytes": 10, "received_bytes": 0 });
    journal.remember("upload.usage", usage.to_string()).await.unwrap();
    let running = Running::start(&options, &journal);
    central.wait_for(2).await;
    assert!(running.progress.borrow().usage.sent_bytes >= 10);
    running.stop().await;
    assert_eq!(central.contents(), ["one", "dropped 1 budget"]);
    assert!(central.stored.lock().unwrap().values().all(|event| event.class() == Class::Status));
}

/// The real gateway over TLS: what is in the spool ends up in its stream, with the token of the router.
#[cfg(feature = "central")]
#[tokio::test]
async fn the_real_gateway_takes_it_over_tls_and_a_stranger_gets_nothing() {
    use tandem::gateway::{Admission, Gateway, Tls, Tokens, listen, router, serve};
    use tandem::stream::Memory;

    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let certificate = file("cert.pem", &signed.cert.pem());
    let key = file("key.pem", &signed.signing_key.serialize_pem());
    let tokens = file("tokens", "[routers]\nbranch-0042 = \"6f1d2f0e8c5b4a7390de12ab\"\n");
    let admission = Admission::Proven(Some(Tokens::load(&tokens).unwrap()));
    let listener = listen(([127, 0, 0, 1], 0).into(), &admission).unwrap();
    listener.set_nonblocking(true).unwrap();
    let to = Some(format!("https://localhost:{}", listener.local_addr().unwrap().port()));
    let gateway = Gateway::start(Arc::new(Memory::new(1)), admission).await.unwrap();
    let tls = Tls { certificate: certificate.clone(), key, client_authority: None }.load().unwrap();
    tokio::spawn(serve(listener, Some(tls), router(Arc::clone(&gateway)), std::future::pending()));

    let journal = journal(&folder.path().join("spool"));
    journal.emit(sample()).await;
    journal.emit_durably(status("one")).await.unwrap();
    let options = Upload {
        to,
        token: Some(Secret::new("6f1d2f0e8c5b4a7390de12ab")),
        ca_file: Some(certificate),
        ..Upload::default()
    };
    let stranger = Upload { ca_file: Some(file("other.pem", &other.cert.pem())), ..options.clone() };
    let unknown = Upload { token: Some(Secret::new("ffffffffffffffffffffffff")), ..options.clone() };
    for (wrong, fault) in [(stranger, "certificate"), (unknown, "401")] {
        let mut running = Running::start(&wrong, &journal);
        let told = |progress: &Progress| progress.fault.as_ref().is_some_and(|told| told.contains(fault));
        let waited = timeout(PATIENCE, running.progress.wait_for(told)).await.map(|told| told.is_ok());
        assert!(waited.unwrap_or(false), "{fault}: {:?}", running.progress.borrow().fault);
        running.stop().await;
    }
    assert_eq!(gateway.figures().status_events, 0);

    let mut running = Running::start(&options, &journal);
    let done = |progress: &Progress| progress.acknowledged_at.is_some();
    timeout(PATIENCE, running.progress.wait_for(done)).await.unwrap().unwrap();
    running.stop().await;
    let figures = gateway.figures();
    assert_eq!((figures.status_events, figures.sample_events, figures.doubles), (1, 1, 0));
    assert_eq!(journal.depth().await.unwrap().acknowledged, Sequence(2));
}
