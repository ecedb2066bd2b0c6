//! What stands still and goes on: a broker that leads, all of them, a fold beyond its session, a node that serves.

use nix::sys::signal::Signal;
use tandem::stream::{Kafka, Topic};

use super::cluster::Cluster;
use super::judge::read_state;
use super::setting::{SOME, Setting};
use super::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stands_still_and_goes_on_as_if_it_led_doubles_nothing() {
    let cluster = Cluster::take().await;
    let setting = Setting::start(&cluster, 2).await;
    let leader = cluster.leader(&setting.place, Topic::Status, 0).await;
    let paused = cluster.pause(leader);
    cluster.until_another_leads(leader, &setting.place, Topic::Status, 0).await;
    setting.routers.until_heard(SOME).await;
    drop(paused);
    cluster.until_whole().await;
    setting.judge("SIGSTOP of a broker that leads until another does").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_slow_holds_up_and_loses_nothing() {
    let cluster = Cluster::take().await;
    let setting = Setting::start(&cluster, 2).await;
    let leader = cluster.leader(&setting.place, Topic::Status, 0).await;
    let slow = cluster.slow(leader);
    setting.routers.until_heard(4 * SOME).await;
    drop(slow);
    cluster.until_whole().await;
    setting.judge("slow broker that leads: runs a tenth of the time").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_answers_nobody_for_a_while_loses_nothing() {
    let cluster = Cluster::take().await;
    let setting = Setting::start(&cluster, 2).await;
    let paused = cluster.pause_all();
    let before = setting.routers.unanswered();
    until("routers wait in vain", async || setting.routers.unanswered() >= before + 24).await;
    for process in setting.processes() {
        until("it says that it is of no use", async || {
            let (status, said) = process.readiness().await.unwrap_or_default();
            status == 503 && said["faults"][0].as_str().is_some_and(|fault| fault.contains("127.0.0.1:"))
        })
        .await;
    }
    drop(paused);
    setting.routers.until_heard(SOME).await;
    cluster.until_whole().await;
    for process in setting.processes() {
        until("it is ready again", async || {
            process.readiness().await.is_some_and(|(status, _)| status == 200)
        })
        .await;
    }
    setting.judge("SIGSTOP of all brokers until routers give up waiting").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fold_that_wakes_after_it_was_put_out_changes_nothing() {
    let cluster = Cluster::take().await;
    let setting = Setting::start(&cluster, 2).await;
    let stream = Kafka::open(setting.place.clone()).await.unwrap();
    let told = setting.routers.count();
    let counts = async || -> Option<Vec<u64>> {
        let state = read_state(&stream).await.filter(|state| state.len() == told)?;
        Some(state.values().map(|view| view.completeness().received).collect())
    };
    // Both have a share, so that something is taken from the one that sleeps.
    until("all routers are in the state", async || counts().await.is_some()).await;
    setting.folds[0].signal(Signal::SIGSTOP);
    setting.node.signal(Signal::SIGSTOP);
    setting.routers.until_heard(SOME).await;
    let mut before = Vec::new();
    until("the state is read", async || {
        before = counts().await.unwrap_or_default();
        !before.is_empty()
    })
    .await;
    until("the other fold has taken over", async || {
        counts().await.is_some_and(|now| now.iter().zip(&before).all(|(now, before)| now > before))
    })
    .await;
    setting.folds[0].signal(Signal::SIGCONT);
    setting.node.signal(Signal::SIGCONT);
    setting.judge("SIGSTOP of a fold beyond its session, and of a node that serves").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_folds_and_serves_lags_by_thousands_and_catches_up() {
    /// Batches of each router.
    const MANY: u64 = 50;
    let cluster = Cluster::take().await;
    let setting = Setting::start(&cluster, 2).await;
    let lagging = || setting.folds.iter().chain([&setting.node]);
    lagging().for_each(|process| process.signal(Signal::SIGSTOP));
    setting.routers.until_heard(MANY).await;
    lagging().for_each(|process| process.signal(Signal::SIGCONT));
    setting.judge("SIGSTOP of all folds and the node through thousands of events").await;
}
