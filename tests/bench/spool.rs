//! The spool, and what its events cost on the wire.

use std::sync::Arc;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use tandem::agent::upload::{Deadlines, Meter, Wire, pack};
use tandem::config::{Secret, Upload};
use tandem::event::{
    AgentSampled, Body, CellRun, ClockState, ConfigRolledBack, Origin, ProbeSampled, Radio, RoundTrips,
    RouterName, Sequence, SignalSampled, Span, TrafficSampled,
};
use tandem::gateway::{Admission, Gateway, Tls, Tokens, listen, router, serve};
use tandem::spool::{Appended, Draft, Spool};
use tandem::stream::Memory;

use super::figure::{Bench, figure};

pub fn run(bench: &Bench) {
    spool(bench);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    for minutes in [1, 5, 10, 15] {
        runtime.block_on(wire(bench, minutes));
    }
}

fn name() -> RouterName {
    "branch-0042".parse().expect("a router name")
}

/// Rates over a spool of 64 MiB on whatever disk holds the temporary files.
fn spool(bench: &Bench) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut spool = Spool::open(folder.path(), name(), 64 << 20).expect("the spool opens");
    let mut radio = RadioNoise::new(1);
    let status = stamp(
        Utc::now(),
        None,
        ConfigRolledBack { from_hash: "a".into(), hash: "b".into(), cause: "bench".into() },
    );
    bench.rate("spool.append.status", || {
        assert!(matches!(spool.append(status.clone()), Appended::Stored(_)));
        1
    });
    let sample = stamp(Utc::now(), Some("lte-dev-1"), radio.signal(60));
    bench.rate("spool.append.sample-batch", || {
        spool.append(sample.clone());
        1
    });
    let mut after = Sequence(0);
    bench.rate("spool.read", || {
        let batch = spool.read(after, 256 * 1024).expect("the spool reads");
        after = batch.events.last().map_or(Sequence(0), |last| last.sequence);
        batch.events.len() as u64
    });
}

/// Bytes on the wire of one router whose two links give what they do as delivered: a signal sample each 10 s, a traffic
/// interval each minute, round trips to two targets each hour, and the agent's own sample each 15 minutes. Sent every so
/// many minutes to the real gateway over TLS.
async fn wire(bench: &Bench, minutes: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let (options, stop) = central(folder.path()).await;
    let meter = Arc::new(Meter::default());
    let mut wire =
        Wire::new(&options, Deadlines::default(), Arc::clone(&meter)).expect("the options are good");
    let mut spool = Spool::open(&folder.path().join("spool"), name(), 4 << 20).expect("the spool opens");
    let mut links = [("lte-dev-1", RadioNoise::new(7)), ("lte-dev-2", RadioNoise::new(8))];
    let mut now = Utc::now().trunc_subsecs(3);
    let (mut sent, mut received, mut connecting, mut packed) = (0, 0, 0, 0);
    let exchanges = if bench.quick() { 3 } else { 60 };
    for exchange in 0..=exchanges {
        for (link, radio) in &mut links {
            spool.append(stamp(now, Some(link), radio.signal(minutes * 6)));
            spool.append(stamp(now, Some(link), radio.traffic(minutes)));
        }
        now += TimeDelta::minutes(minutes as i64);
        let minute = (exchange + 1) * minutes;
        let is_due = |period: usize| minute / period > (minute - minutes) / period;
        if is_due(PROBES_MINUTES) {
            for (link, radio) in &mut links {
                for target in ["192.0.2.53", "192.0.2.80"] {
                    spool.append(stamp(now, Some(link), radio.probes(target)));
                }
            }
        }
        if is_due(AGENT_MINUTES) {
            spool.append(stamp(now, None, links[0].1.agent()));
        }
        let batch = spool.read(Sequence(0), 256 * 1024).expect("the spool reads");
        let last = batch.events.last().expect("four events at least").sequence;
        let body = pack(&batch, batch.events.len()).expect("zstd packs");
        let bytes = body.len();
        let span = Span { epoch: batch.epoch, after: batch.after, last };
        let answer = wire.post(body, span).await.expect("the gateway answers");
        assert_eq!(answer.status, 200, "{answer:?}");
        spool.acknowledge(batch.epoch, last).expect("the spool trims");
        // The acknowledgement of the last packet is on its way.
        let counted = meter.take();
        if exchange == 0 {
            connecting = counted.0 + counted.1 - bytes as u64;
        } else {
            (sent, received, packed) = (sent + counted.0, received + counted.1, packed + bytes as u64);
        }
    }
    let _ = stop.send(());
    let samples = (exchanges * minutes * 12) as f64;
    let per_month = |bytes: u64| bytes as f64 / exchanges as f64 * (30 * 24 * 60 / minutes) as f64 / 1e6;
    figure(&format!("wire.packed.batches-of-{minutes}-min"), packed as f64 / exchanges as f64, "B/batch");
    figure(
        &format!("wire.exchange.batches-of-{minutes}-min"),
        (sent + received) as f64 / exchanges as f64,
        "B/batch",
    );
    figure(
        &format!("wire.signal-sample.batches-of-{minutes}-min"),
        (sent + received) as f64 / samples,
        "B/sample",
    );
    figure(&format!("wire.month.batches-of-{minutes}-min"), per_month(sent + received), "MB/month");
    if minutes == 1 {
        figure("wire.connect", connecting as f64, "B");
    }
}

/// A gateway with a certificate and a token of its own.
async fn central(folder: &std::path::Path) -> (Upload, tokio::sync::oneshot::Sender<()>) {
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".into()]).expect("a certificate");
    let (certificate, key, tokens) = (folder.join("cert.pem"), folder.join("key.pem"), folder.join("tokens"));
    std::fs::write(&certificate, signed.cert.pem()).expect("a file");
    std::fs::write(&key, signed.signing_key.serialize_pem()).expect("a file");
    let token = "6f1d2f0e8c5b4a7390de12ab";
    std::fs::write(&tokens, format!("[routers]\n{} = \"{token}\"\n", name())).expect("a file");
    let admission = Admission::Proven(Some(Tokens::load(&tokens).expect("tokens")));
    let listener = listen(([127, 0, 0, 1], 0).into(), &admission).expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let port = listener.local_addr().expect("a port").port();
    let gateway = Gateway::start(Arc::new(Memory::new(4)), admission).await.expect("the gateway starts");
    let tls = Tls { certificate: certificate.clone(), key, client_authority: None }.load().expect("TLS");
    let (stop, stopped) = tokio::sync::oneshot::channel();
    tokio::spawn(serve(listener, Some(tls), router(gateway), async { drop(stopped.await) }));
    let options = Upload {
        to: Some(format!("https://localhost:{port}")),
        token: Some(Secret::new(token)),
        ca_file: Some(certificate),
        ..Upload::default()
    };
    (options, stop)
}

fn stamp(time: DateTime<Utc>, subject: Option<&str>, body: impl Into<Body>) -> Draft {
    let uptime_ms = u64::try_from(time.timestamp_millis() % 10_000_000_000).unwrap_or(0);
    let origin = Origin {
        boot_id: "0f7b6a52-2f0a-4c8e-9a70-6d1e5b3f2c11".into(),
        uptime_ms,
        clock: ClockState::Synced,
    };
    Draft { time, subject: subject.map(str::to_owned), origin, body: body.into() }
}

/// As delivered: how long round trips are gathered, and how often the agent tells of itself.
const PROBES_MINUTES: usize = 60;
const AGENT_MINUTES: usize = 15;

/// Signal that wanders like that of a router that stands still, and traffic like an office's.
struct RadioNoise {
    random: fastrand::Rng,
    rsrp_dbm: f64,
}

impl RadioNoise {
    fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), rsrp_dbm: -97.0 }
    }

    /// Bell-shaped with this deviation.
    fn noise(&mut self, deviation: f64) -> f64 {
        ((0..12).map(|_| self.random.f64()).sum::<f64>() - 6.0) * deviation
    }

    fn signal(&mut self, samples: usize) -> SignalSampled {
        let run = CellRun {
            count: samples as u32,
            radio: Radio::Lte,
            band: Some(3),
            cell_id: Some(19_088_641),
            tac: Some(6699),
        };
        let mut sampled = SignalSampled { runs: vec![run], ..SignalSampled::default() };
        for index in 0..samples {
            self.rsrp_dbm += -0.1 * (self.rsrp_dbm + 97.0) + self.noise(1.0);
            let rsrq = -11.0 + self.noise(1.0);
            let snr = (9.0 + self.noise(2.0)) * 5.0;
            sampled.offset_ms.push(index as u32 * 10_000);
            sampled.rsrp_dbm.push(Some(self.rsrp_dbm.round() as i16));
            sampled.rssi_dbm.push(Some((self.rsrp_dbm - rsrq - 17.0).round() as i16));
            sampled.rsrq_db.push(Some(rsrq.round() as i16));
            sampled.snr_db.push(Some(snr.round() as f32 / 5.0));
        }
        sampled
    }

    fn traffic(&mut self, intervals: usize) -> TrafficSampled {
        let mut sampled = TrafficSampled::default();
        for index in 1..=intervals {
            let rx = (12.0 + self.noise(1.5)).exp() as u64;
            let tx = (10.5 + self.noise(1.5)).exp() as u64;
            sampled.offset_ms.push(index as u32 * 60_000);
            sampled.rx_bytes.push(rx);
            sampled.tx_bytes.push(tx);
            sampled.rx_packets.push(rx / 700 + 1);
            sampled.tx_packets.push(tx / 200 + 1);
        }
        sampled
    }

    /// An hour of heartbeats.
    fn probes(&mut self, target: &str) -> ProbeSampled {
        let mut round_trips = RoundTrips::default();
        for _ in 0..60 {
            round_trips.record((45_000.0 * self.noise(0.2).exp()) as u64);
        }
        ProbeSampled {
            target: target.into(),
            interval_ms: PROBES_MINUTES as u32 * 60_000,
            sent: 61,
            lost: 1,
            rtt_us: Some(round_trips.to_base64()),
        }
    }

    fn agent(&mut self) -> AgentSampled {
        AgentSampled {
            interval_ms: AGENT_MINUTES as u32 * 60_000,
            memory_bytes: 8_000_000 + self.random.u64(0..100) * 4096,
            cpu_ms: self.random.u64(500..900),
            spool_events: self.random.u64(0..12),
            spool_bytes: self.random.u64(100..130) * 4096,
            upload_lag_ms: self.random.u64(0..900_000),
            sent_bytes: self.random.u64(2_000..4_000),
            received_bytes: self.random.u64(400..800),
        }
    }
}
