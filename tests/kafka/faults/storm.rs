//! Folds that join and leave, in order and not, while events come.

use super::cluster::Cluster;
use super::process::Process;
use super::setting::{SOME, Setting};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folds_that_come_and_go_count_each_event_once() {
    let cluster = Cluster::take().await;
    let mut setting = Setting::start(&cluster, 1).await;
    for round in 0..6 {
        let first = Process::start(&setting.place, "fold");
        let second = Process::start(&setting.place, "fold");
        setting.routers.until_heard(1).await;
        let third = std::mem::replace(&mut setting.folds[0], second);
        if round % 3 == 0 {
            third.kill()
        } else {
            third.stop().await
        }
        setting.routers.until_heard(1).await;
        if round % 2 == 0 {
            first.stop().await
        } else {
            setting.folds.push(first)
        }
        while setting.folds.len() > 2 {
            setting.folds.remove(1).stop().await;
        }
    }
    setting.routers.until_heard(SOME).await;
    setting.judge("rebalance storm: 12 folds join, 10 leave, 2 of them by kill -9").await;
}
