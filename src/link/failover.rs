//! Which uplinks carry the traffic, as far as their states tell. A pure choice; what it costs to move is
//! weighed elsewhere.

use crate::config::Policy;
use crate::event::{LinkState, UplinkSelected, UplinkStopped};

/// One uplink, as the choice sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// Name of its device-interface.
    pub name: String,
    /// State of the link.
    pub state: LinkState,
    /// Why it is in that state.
    pub cause: String,
    /// Rank, lowest first.
    pub priority: u32,
}

/// The uplinks that carry traffic under `policy`, in the order given. While none is connected, suspect ones
/// still do: a doubtful way out is better than none.
#[must_use]
pub fn carrying(policy: Policy, uplinks: &[Uplink]) -> Vec<String> {
    let in_state = |state| uplinks.iter().filter(move |uplink| uplink.state == state).collect::<Vec<_>>();
    let mut able = in_state(LinkState::Connected);
    if able.is_empty() {
        able = in_state(LinkState::Suspect);
    }
    if policy != Policy::ActiveActive {
        let best = able.iter().map(|uplink| uplink.priority).min();
        able.retain(|uplink| Some(uplink.priority) == best);
        able.truncate(1);
    }
    able.into_iter().map(|uplink| uplink.name.clone()).collect()
}

/// What changed from `before` to `now`, as an event; `None` when nothing did.
#[must_use]
pub fn selected(
    before: &[String],
    now: &[String],
    uplinks: &[Uplink],
    correlation_id: String,
) -> Option<UplinkSelected> {
    if before == now {
        return None;
    }
    let stopped = before.iter().filter(|name| !now.contains(name)).map(|name| UplinkStopped {
        uplink: name.clone(),
        cause: uplinks.iter().find(|uplink| uplink.name == *name).map_or_else(
            || "no longer configured".into(),
            |uplink| match uplink.state {
                LinkState::Connected => "a better uplink is back".into(),
                _ => uplink.cause.clone(),
            },
        ),
    });
    Some(UplinkSelected {
        carrying: now.to_vec(),
        stopped: stopped.collect(),
        detection_to_route_ms: None,
        correlation_id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uplinks(states: [LinkState; 2]) -> Vec<Uplink> {
        let [one, two] = states;
        let uplink =
            |name: &str, state, priority| Uplink { name: name.into(), state, cause: "why".into(), priority };
        vec![uplink("a", one, 500), uplink("b", two, 300)]
    }

    #[test]
    fn each_policy_chooses_its_uplinks() {
        use LinkState::{Connected as Up, Suspect, Waiting};
        for (policy, states, wanted) in [
            (Policy::ActiveActive, [Up, Up], vec!["a", "b"]),
            (Policy::ActiveActive, [Up, Suspect], vec!["a"]),
            (Policy::ActiveActive, [Waiting, Suspect], vec!["b"]),
            (Policy::ActiveActive, [Waiting, Waiting], vec![]),
            (Policy::Failover, [Up, Up], vec!["b"]),
            (Policy::Failover, [Up, Waiting], vec!["a"]),
            (Policy::LastResort, [Suspect, Suspect], vec!["b"]),
        ] {
            assert_eq!(carrying(policy, &uplinks(states)), wanted, "{policy:?} {states:?}");
        }
    }

    #[test]
    fn what_stopped_says_why() {
        let now = uplinks([LinkState::Waiting, LinkState::Connected]);
        let event = selected(&["a".into(), "b".into()], &["b".into()], &now, "c-1".into()).unwrap();
        assert_eq!(event.stopped, [UplinkStopped { uplink: "a".into(), cause: "why".into() }]);
        assert_eq!(selected(&["b".into()], &["b".into()], &now, "c-2".into()), None);
    }
}
