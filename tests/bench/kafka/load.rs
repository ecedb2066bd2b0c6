//! A fleet that talks for a minute: each router sends a batch of samples now and then, some a failure, and halfway the carrier of
//! 40 % fails. Then the gateway is given as much as it takes, and a node that was not there starts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::Utc;
use tandem::central::Central;
use tandem::event::{Event, RoundTrips};
use tandem::stream::{Kafka, KafkaSettings};
use tandem::view::FleetView;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use crate::broker::Broker;
use crate::process::{Process, cpu_s};
use crate::target::{Counts, Packed, Target};
use crate::{Options, figure, fleet};

const PARTITIONS: u32 = 12;
/// Connections to the gateway; each carries the routers of its number.
const CONNECTIONS: usize = 64;
/// A router sends once in this time unless told otherwise. Ten minutes are what the agent does by itself.
const EVERY_S: f64 = 60.0;
/// One event in so many is followed on its way to the view.
const FOLLOWED: u64 = 16;
/// Signal samples a second of 100,000 routers.
const FLEET_SAMPLES: f64 = 20_000.0;
const PATIENCE: Duration = Duration::from_secs(120);
/// All of it takes so long at most, beside the time that the routers talk.
const BESIDE: Duration = Duration::from_secs(600);
/// Batches on their way to the gateway at a time, when it is given as much as it takes.
const SENDERS: usize = 256;
/// The latency stands for all events when no more than one in so many was missed.
const MISSED_ONE_IN: u64 = 100;
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Runs, to a deadline.
pub async fn run_in_time(options: &Options) {
    let every_s: f64 = options.value("--every").unwrap_or(EVERY_S);
    let seconds = options.value("--seconds").unwrap_or(if options.has("--quick") { 6.0 } else { every_s });
    let deadline = BESIDE + Duration::from_secs_f64(seconds);
    tokio::time::timeout(deadline, run(options, seconds, every_s)).await.expect("all of it is done in time");
}

async fn run(options: &Options, seconds: f64, every_s: f64) {
    let quick = options.has("--quick");
    let routers = options.value("--routers").unwrap_or(if quick { 500 } else { 100_000 });
    let to_kafka = options.value::<String>("--to").is_some_and(|to| to == "kafka");
    let broker = Broker::start();
    let place = broker.place("load", PARTITIONS);
    let folders = [(); 3].map(|()| tempfile::tempdir().expect("a folder"));
    let gateway = Process::start(&place, "gateway", folders[0].path());
    let fold = Process::start(&place, "fold", folders[1].path());
    let target = Arc::new(if to_kafka {
        Target::Kafka(Box::new(Kafka::open(place.clone()).await.expect("a stream")))
    } else {
        Target::Gateway(reqwest::Client::new(), format!("{}/v1/events", gateway.url()))
    });

    // The node that serves is in this process, so that the moment when an event is in the view is seen.
    let stream = Arc::new(Kafka::open(place.clone()).await.expect("a stream"));
    let central = Central::open(stream, folders[2].path()).await.expect("a central");
    let (stop, stopped) = watch::channel(false);
    let following = {
        let (central, stopped) = (central.clone(), stopped.clone());
        tokio::spawn(async move { central.follow(stopped).await })
    };
    let watching = tokio::spawn(follow_some(central.live().subscribe(), stopped));

    let before = [cpu_s(broker.pid), gateway.cpu_s(), fold.cpu_s()];
    let began = Instant::now();
    let counts = talk(&target, routers, seconds, every_s).await;
    let took_s = began.elapsed().as_secs_f64();
    let after = [cpu_s(broker.pid), gateway.cpu_s(), fold.cpu_s()];
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;

    let ended = Instant::now();
    until_in_view(&central, counts.events.load(Ordering::Relaxed), routers).await;
    figure("load_catch_up", ended.elapsed().as_secs_f64(), "s");
    stop.send_replace(true);
    following.await.expect("it stops");
    let (latency, missed) = watching.await.expect("it stops");

    figure("load_routers", routers as f64, "routers");
    figure("load_seconds", took_s, "s");
    figure("load_events", count(&counts.events), "events");
    figure("load_events_rate", count(&counts.events) / took_s, "events/s");
    figure("load_samples_rate", count(&counts.samples) / took_s, "samples/s");
    figure("load_batches_rate", count(&counts.batches) / took_s, "batches/s");
    figure("load_bytes_rate", count(&counts.bytes) / took_s / 1e6, "MB/s");
    figure("load_unanswered", count(&counts.unanswered), "requests");
    figure("load_generator_late", count(&counts.late_ms), "ms");
    for ((name, before), after) in ["broker", "gateway", "fold"].into_iter().zip(before).zip(after) {
        figure(&format!("{name}_cpu"), (after - before) / took_s * 100.0, "% of a core");
    }
    if !to_kafka {
        let samples_per_core = count(&counts.samples) / (after[1] - before[1]).max(0.01);
        figure("gateway_cpu_for_20000_samples", FLEET_SAMPLES / samples_per_core * 100.0, "% of a core");
    }
    figure("gateway_memory", gateway.resident_bytes() / 1e6, "MB");
    figure("fold_memory", fold.resident_bytes() / 1e6, "MB");
    figure("event_to_view_p50", latency.quantile_us(0.5) as f64 / 1e3, "ms");
    figure("event_to_view_p99", latency.quantile_us(0.99) as f64 / 1e3, "ms");
    figure("event_to_view_events", latency.count() as f64, "events");
    figure("event_to_view_missed", missed as f64, "events");
    println!("event_to_view\t{}\tHdrHistogram V2, us", latency.to_base64());
    let told = counts.events.load(Ordering::Relaxed);
    assert!(missed <= told / MISSED_ONE_IN, "{missed} of {told} events were missed by the one who watches");

    if !to_kafka {
        saturate(&target, &gateway, routers, if quick { 2_000 } else { 50_000 }).await;
    }
    restart(&place).await;
}

/// Waits until everything sent is in the view, once.
async fn until_in_view(central: &Central, told: u64, routers: usize) {
    let fleet = central.fleet();
    let sum = |of: &dyn Fn(&FleetView) -> u64| of(&fleet.read().expect("nobody panics"));
    let received =
        |fleet: &FleetView| fleet.routers_after(None).map(|view| view.completeness().received).sum::<u64>();
    let hit = |fleet: &FleetView| fleet.counts().reasons.get(fleet::OUTAGE).copied().unwrap_or_default();
    let wanted_hit = (0..routers).filter(|router| fleet::is_hit(*router)).count() as u64;
    let began = Instant::now();
    while sum(&received) < told || sum(&hit) < wanted_hit {
        assert!(began.elapsed() < PATIENCE, "{} in view, {} hit", sum(&received), sum(&hit));
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    assert_eq!(sum(&received), told, "each event counts once");
    assert_eq!(sum(&hit), wanted_hit, "the outage is seen whole");
}

/// Gives the gateway `batches`, the first of as many routers from number `from` on, as fast as it takes them.
async fn saturate(target: &Arc<Target>, gateway: &Process, from: usize, batches: usize) {
    // Packed before the clock runs: routers do that themselves.
    let mut shares: Vec<Vec<Packed>> = (0..SENDERS).map(|_| Vec::new()).collect();
    let mut events = 0;
    for router in from..from + batches {
        let batch = fleet::batch(router, 1, Utc::now(), EVERY_S);
        events += batch.len();
        shares[router % SENDERS].push(Packed::of(&batch));
    }
    let counts = Arc::new(Counts::default());
    let (began, cpu_before_s) = (Instant::now(), gateway.cpu_s());
    let senders: Vec<_> = shares
        .into_iter()
        .map(|share| {
            let (target, counts) = (Arc::clone(target), Arc::clone(&counts));
            tokio::spawn(async move {
                for batch in &share {
                    target.send_packed(batch, &counts).await;
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.expect("it sends");
    }
    let (took_s, cpu_s) = (began.elapsed().as_secs_f64(), gateway.cpu_s() - cpu_before_s);
    figure("gateway_to_kafka_events_rate", events as f64 / took_s, "events/s");
    figure("gateway_to_kafka_events_per_cpu_second", events as f64 / cpu_s.max(0.01), "events/s");
    figure("gateway_to_kafka_unanswered", counts.unanswered.load(Ordering::Relaxed) as f64, "requests");
}

/// A node that was not there, from its start to what it tells of routers.
async fn restart(place: &KafkaSettings) {
    let folder = tempfile::tempdir().expect("a folder");
    let began = Instant::now();
    let node = Process::start(place, "api", folder.path());
    node.until_it_tells_of_routers(PATIENCE).await;
    figure("load_restart_to_first_answer", began.elapsed().as_secs_f64(), "s");
}

/// Times from events to their place in the view; and how many were too fast to follow.
async fn follow_some(
    mut live: tokio::sync::broadcast::Receiver<tandem::central::Live>,
    mut stopped: watch::Receiver<bool>,
) -> (RoundTrips, u64) {
    let (mut latency, mut missed) = (RoundTrips::default(), 0);
    loop {
        let came = tokio::select! {
            came = live.recv() => came,
            _ = stopped.wait_for(|stop| *stop) => return (latency, missed),
        };
        match came {
            Ok(live) if live.0.offset.is_multiple_of(FOLLOWED) => {
                let event = Event::from_json(live.1.value.as_deref().unwrap_or_default()).expect("an event");
                let took = (Utc::now() - event.time).num_microseconds().unwrap_or_default();
                latency.record(u64::try_from(took).unwrap_or_default());
            }
            Ok(_) => {}
            Err(RecvError::Lagged(records)) => missed += records,
            Err(RecvError::Closed) => return (latency, missed),
        }
    }
}

/// Has all routers send what they have to say within `seconds`.
async fn talk(target: &Arc<Target>, routers: usize, seconds: f64, every_s: f64) -> Arc<Counts> {
    let counts = Arc::new(Counts::default());
    let began = tokio::time::Instant::now();
    let connections: Vec<_> = (0..CONNECTIONS)
        .map(|connection| {
            let mut due: Vec<(f64, usize, bool)> = Vec::new();
            for router in (connection..routers).step_by(CONNECTIONS) {
                let offset = router as f64 / routers as f64;
                let mut at_s = offset * every_s.min(seconds);
                while at_s < seconds {
                    due.push((at_s, router, false));
                    at_s += every_s;
                }
                if fleet::is_hit(router) {
                    due.push((seconds / 2.0 + offset * seconds / 6.0, router, true));
                }
            }
            due.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (target, counts) = (Arc::clone(target), Arc::clone(&counts));
            tokio::spawn(async move {
                let mut next = vec![1_u64; routers.div_ceil(CONNECTIONS)];
                for (at_s, router, is_outage) in due {
                    let due = began + Duration::from_secs_f64(at_s);
                    tokio::time::sleep_until(due).await;
                    let late_ms = u64::try_from(due.elapsed().as_millis()).unwrap_or(u64::MAX);
                    counts.late_ms.fetch_max(late_ms, Ordering::Relaxed);
                    let first = &mut next[router / CONNECTIONS];
                    let events = if is_outage {
                        fleet::outage(router, *first, Utc::now())
                    } else {
                        counts.samples.fetch_add(fleet::samples(every_s), Ordering::Relaxed);
                        fleet::batch(router, *first, Utc::now(), every_s)
                    };
                    *first += events.len() as u64;
                    target.send(&events, &counts).await;
                }
            })
        })
        .collect();
    for connection in connections {
        connection.await.expect("it sends");
    }
    counts
}
