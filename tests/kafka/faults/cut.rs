//! A network that is cut in silence: nobody is told, packets go nowhere. The brokers have networks of their own for it.

use std::io::Write as _;
use std::process::{Command, Stdio};

use tandem::stream::Topic;

use super::cluster::Cluster;
use super::setting::{SOME, Setting};
use super::{namespace, until};

const TEST: &str = "cut::what_a_cut_network_held_up_goes_on_when_it_is_mended";

/// Packets that go nowhere, until it goes.
struct Cut;

impl Cut {
    /// All to and from one broker.
    fn off(broker: u32) -> Self {
        let name = format!("broker{broker}");
        Self::between(("prerouting priority -300", &name), ("postrouting priority 300", &name))
    }

    /// All between central and the brokers, which hear each other.
    fn central_off() -> Self {
        Self::between(("input priority 0", "broker*"), ("output priority 0", "broker*"))
    }

    fn between((from, from_name): (&str, &str), (to, to_name): (&str, &str)) -> Self {
        nft(&format!(
            "table inet cut {{
                chain from {{
                    type filter hook {from}
                    iifname \"{from_name}\" drop
                }}
                chain to {{
                    type filter hook {to}
                    oifname \"{to_name}\" drop
                }}
            }}"
        ));
        Self
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        nft("delete table inet cut");
    }
}

fn nft(rules: &str) {
    let mut child = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{rules}\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{rules}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_cut_network_held_up_goes_on_when_it_is_mended() {
    // The brokers inside are others. Those outside would only be in their way.
    let mut turn = if namespace::is_inside() { None } else { Some(Cluster::turn().await) };
    if let Some(cluster) = &mut turn {
        cluster.take();
    }
    if !namespace::in_namespace(TEST) {
        return;
    }
    assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
    let cluster = Cluster::take().await;

    let setting = Setting::start(&cluster, 2).await;
    let leader = cluster.leader(&setting.place, Topic::Status, 0).await;
    let cut = Cut::off(leader);
    cluster.until_another_leads(leader, &setting.place, Topic::Status, 0).await;
    setting.routers.until_heard(SOME).await;
    drop(cut);
    cluster.until_whole().await;
    setting.judge("network cut around a broker that leads until another does").await;

    let setting = Setting::start(&cluster, 2).await;
    let before = setting.routers.unanswered();
    let cut = Cut::central_off();
    until("routers wait in vain", async || setting.routers.unanswered() >= before + 24).await;
    drop(cut);
    setting.routers.until_heard(SOME).await;
    setting.judge("network cut between central and all brokers until routers give up waiting").await;
}
