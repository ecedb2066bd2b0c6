//! Who gets which frame: one modem, several clients on its control port. Pure.
//!
//! - CTL has one client id for all, so CTL transactions get an id of ours and back.
//! - Other requests pass unchanged; their answer goes to whoever asked.
//! - An indication goes to each client that owns the client id it is addressed to, or one of that service when it is for
//!   all. Once each, where libqmi's proxy sends one copy for each owned id.
//! - Client ids belong to a connection from allocation, or from first use, until release or its end. They are not released at
//!   its end: `qmicli --client-no-release-cid` counts on that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::qmi::ctl::{AllocateCid, ReleaseCid, Sync};
use crate::qmi::frame::BROADCAST;
use crate::qmi::{Frame, Kind, Request as _, Service};

/// Requests that may wait for their answer at once, over all connections; CTL transaction ids are 8 bits wide.
const MAX_PENDING: usize = 200;

/// An unanswered request is forgotten after this long: as long as libqmi's own proxy waits.
pub const PENDING_FOR: Duration = Duration::from_secs(300);

/// A connection to the proxy.
pub type ConnectionId = u64;

#[derive(Debug)]
struct Pending {
    connection: ConnectionId,
    transaction: u16,
    since: Instant,
}

/// The table of who waits for what and owns which client id.
#[derive(Debug, Default)]
pub struct Switch {
    owned: BTreeMap<ConnectionId, BTreeSet<(u8, u8)>>,
    ctl: BTreeMap<u8, Pending>,
    requests: BTreeMap<(u8, u8, u16), Pending>,
    last_ctl: u8,
}

impl Switch {
    /// A client has come.
    pub fn connect(&mut self, connection: ConnectionId) {
        self.owned.entry(connection).or_default();
    }

    /// A client has gone; nobody waits for its answers any more.
    pub fn disconnect(&mut self, connection: ConnectionId) {
        self.owned.remove(&connection);
        // CTL entries stay, so that their transaction ids are not used again before the answer came.
        self.requests.retain(|_, pending| pending.connection != connection);
    }

    /// Takes a frame of a client; gives what to write to the modem. `None`: the frame is dropped, because it is no request,
    /// too many wait already, or it would take the other clients' ids away (CTL Sync).
    pub fn client_frame(&mut self, connection: ConnectionId, frame: Frame, now: Instant) -> Option<Frame> {
        if frame.kind != Kind::Request || !self.owned.contains_key(&connection) {
            return None;
        }
        self.expire(now);
        if self.ctl.len() + self.requests.len() >= MAX_PENDING {
            return None;
        }
        let pending = Pending { connection, transaction: frame.transaction, since: now };
        if frame.service == Service::Ctl {
            if frame.message == Sync::ID && self.owned.len() > 1 {
                return None;
            }
            let transaction = self.next_ctl_transaction()?;
            self.ctl.insert(transaction, pending);
            return Some(Frame { transaction: transaction.into(), ..frame });
        }
        let owned = self.owned.get_mut(&connection).expect("looked up above");
        owned.insert((frame.service.number(), frame.client));
        self.requests.insert((frame.service.number(), frame.client, frame.transaction), pending);
        Some(frame)
    }

    /// Takes a frame of the modem; says which clients get it and in which form.
    pub fn modem_frame(&mut self, frame: Frame) -> Vec<(ConnectionId, Frame)> {
        match (frame.kind, frame.service) {
            (Kind::Response, Service::Ctl) => self.ctl_answer(frame).into_iter().collect(),
            (Kind::Response, service) => {
                let key = (service.number(), frame.client, frame.transaction);
                self.requests.remove(&key).map(|pending| (pending.connection, frame)).into_iter().collect()
            }
            (Kind::Indication, service) => {
                let is_addressed = |(of, client): &(u8, u8)| {
                    *of == service.number() && (frame.client == BROADCAST || frame.client == *client)
                };
                // CTL indications (Sync: the modem has restarted) concern everyone.
                let all = service == Service::Ctl;
                self.owned
                    .iter()
                    .filter(|(_, owned)| all || owned.iter().any(is_addressed))
                    .map(|(connection, _)| (*connection, frame.clone()))
                    .collect()
            }
            (Kind::Request, _) => Vec::new(),
        }
    }

    /// Forgets requests that nobody will answer any more.
    pub fn expire(&mut self, now: Instant) {
        let is_young = |pending: &Pending| now.saturating_duration_since(pending.since) < PENDING_FOR;
        self.ctl.retain(|_, pending| is_young(pending));
        self.requests.retain(|_, pending| is_young(pending));
    }

    fn ctl_answer(&mut self, frame: Frame) -> Option<(ConnectionId, Frame)> {
        let pending = self.ctl.remove(&(frame.transaction as u8))?;
        let owned = self.owned.get_mut(&pending.connection)?;
        if frame.message == AllocateCid::ID
            && let Ok(answer) = frame.read_answer::<AllocateCid>()
        {
            owned.insert((answer.allocation_info.service.number(), answer.allocation_info.cid));
        }
        if frame.message == ReleaseCid::ID
            && let Ok(answer) = frame.read_answer::<ReleaseCid>()
        {
            owned.remove(&(answer.release_info.service.number(), answer.release_info.cid));
        }
        Some((pending.connection, Frame { transaction: pending.transaction, ..frame }))
    }

    fn next_ctl_transaction(&mut self) -> Option<u8> {
        (0..u8::MAX).find_map(|_| {
            self.last_ctl = self.last_ctl.checked_add(1).unwrap_or(1);
            (!self.ctl.contains_key(&self.last_ctl)).then_some(self.last_ctl)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qmi::ctl::{AllocateCidResponse, ClientId, ReleaseCidResponse};
    use crate::qmi::{Done, ProtocolError, dms};
    use proptest::prelude::*;

    fn allocated(switch: &mut Switch, connection: ConnectionId, service: Service, cid: u8, now: Instant) {
        let request = Frame::request(0, 7, &AllocateCid { service });
        let forwarded = switch.client_frame(connection, request, now).unwrap();
        let answer = AllocateCidResponse { allocation_info: ClientId { service, cid } };
        let answers = switch.modem_frame(forwarded.success(&answer));
        assert_eq!(answers.len(), 1);
        assert_eq!((answers[0].0, answers[0].1.transaction), (connection, 7));
    }

    fn two_clients() -> (Switch, Instant) {
        let (mut switch, now) = (Switch::default(), Instant::now());
        switch.connect(1);
        switch.connect(2);
        (switch, now)
    }

    #[test]
    fn equal_ctl_transactions_of_two_clients_find_their_way_back() {
        let (mut switch, now) = two_clients();
        let request = Frame::request(0, 1, &AllocateCid { service: Service::Dms });
        let first = switch.client_frame(1, request.clone(), now).unwrap();
        let second = switch.client_frame(2, request, now).unwrap();
        assert_ne!(first.transaction, second.transaction);
        let answer = |cid| AllocateCidResponse { allocation_info: ClientId { service: Service::Dms, cid } };
        let to = |answers: Vec<(ConnectionId, Frame)>| answers[0].0;
        assert_eq!(to(switch.modem_frame(second.success(&answer(2)))), 2);
        assert_eq!(to(switch.modem_frame(first.success(&answer(1)))), 1);
        assert!(switch.modem_frame(first.success(&answer(1))).is_empty(), "an answer nobody waits for");
    }

    #[test]
    fn an_answer_goes_to_the_asker_only() {
        let (mut switch, now) = two_clients();
        allocated(&mut switch, 1, Service::Dms, 1, now);
        allocated(&mut switch, 2, Service::Dms, 2, now);
        let request = Frame::request(2, 9, &dms::GetModel {});
        let forwarded = switch.client_frame(2, request.clone(), now).unwrap();
        assert_eq!(forwarded, request);
        let answers = switch.modem_frame(forwarded.refusal(ProtocolError::Internal, &Done));
        assert_eq!(answers.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn indications_reach_the_owners_once_each() {
        let (mut switch, now) = two_clients();
        allocated(&mut switch, 1, Service::Dms, 1, now);
        allocated(&mut switch, 1, Service::Dms, 2, now);
        allocated(&mut switch, 2, Service::Nas, 1, now);
        let report = |client| {
            let mut frame = Frame::request(client, 0, &dms::GetModel {});
            frame.kind = Kind::Indication;
            frame
        };
        let to =
            |answers: Vec<(ConnectionId, Frame)>| answers.into_iter().map(|(to, _)| to).collect::<Vec<_>>();
        assert_eq!(to(switch.modem_frame(report(2))), [1]);
        assert_eq!(to(switch.modem_frame(report(BROADCAST))), [1]);
        assert!(to(switch.modem_frame(report(9))).is_empty());
        // A released id brings nothing more.
        for cid in [1, 2] {
            let id = ClientId { service: Service::Dms, cid };
            let request = Frame::request(0, 3, &ReleaseCid { release_info: id.clone() });
            let forwarded = switch.client_frame(1, request, now).unwrap();
            switch.modem_frame(forwarded.success(&ReleaseCidResponse { release_info: id }));
        }
        assert!(to(switch.modem_frame(report(BROADCAST))).is_empty());
    }

    #[test]
    fn sync_is_kept_from_a_shared_modem() {
        let (mut switch, now) = two_clients();
        let sync = Frame::request(0, 1, &Sync {});
        assert_eq!(switch.client_frame(1, sync.clone(), now), None);
        switch.disconnect(2);
        assert!(switch.client_frame(1, sync, now).is_some());
    }

    #[test]
    fn unanswered_requests_are_bounded_and_forgotten_in_time() {
        let (mut switch, now) = two_clients();
        let request = |transaction| Frame::request(1, transaction, &dms::GetModel {});
        let taken = (1..=1000).filter(|t| switch.client_frame(1, request(*t), now).is_some()).count();
        assert_eq!(taken, MAX_PENDING);
        assert!(switch.client_frame(2, request(1), now + PENDING_FOR).is_some());
    }

    proptest! {
        #[test]
        fn no_frame_goes_where_nobody_is(
            steps in proptest::collection::vec((0u64..4, 0u8..6, any::<u8>(), any::<u8>(), any::<u16>()), 0..200),
        ) {
            let (mut switch, now) = (Switch::default(), Instant::now());
            let mut connected = BTreeSet::new();
            for (connection, action, service, client, transaction) in steps {
                let mut frame = Frame::request(client, transaction, &dms::GetModel {});
                frame.service = Service::from(service % 4);
                match action {
                    0 => { switch.connect(connection); connected.insert(connection); }
                    1 => { switch.disconnect(connection); connected.remove(&connection); }
                    2 => {
                        let forwarded = switch.client_frame(connection, frame, now);
                        prop_assert!(forwarded.is_none() || connected.contains(&connection));
                    }
                    _ => {
                        frame.kind = if action == 3 { Kind::Indication } else { Kind::Response };
                        for (to, _) in switch.modem_frame(frame) {
                            prop_assert!(connected.contains(&to));
                        }
                    }
                }
            }
        }
    }
}
