//! The host's side of transactions, without a port and without a clock.
//!
//! Order of calls: [`Client::request`] queues a frame and gives a [`Key`]; write what [`Client::poll_transmit`] gives,
//! one frame a write; feed what the port reads to [`Client::handle_bytes`]; when [`Client::next_deadline`] has come
//! call [`Client::handle_timeout`]; after each of them take [`Client::poll_event`] until it is empty.
//!
//! An answer belongs to the request with its service, client, transaction *and* message id. Everything else that
//! looks like an answer (stale bytes from before the port was opened, answers after their deadline, other
//! programs' answers) is counted and ignored. It never panics, never blocks, and holds a bounded amount.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use super::Service;
use super::frame::{Deframer, Frame, Kind};
use super::message::Request;

/// Requests that may wait for their answer; one more is refused. Below 255, so that a free transaction id is
/// always found, even for CTL.
pub const MAX_IN_FLIGHT: usize = 64;
/// Indications that may wait to be taken; when there are more the oldest goes and is counted.
pub const MAX_INDICATIONS: usize = 256;
/// So many requests without an answer, one after the other, mean that the port is dead.
pub const DEAD_AFTER_TIMEOUTS: u32 = 10;

/// Names one request of one [`Client`]; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u64);

/// Too many requests wait for their answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_IN_FLIGHT} requests are already waiting for the modem")]
pub struct TooManyInFlight;

/// What came of the bytes and of the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The response to a request.
    Answer {
        /// The request.
        key: Key,
        /// The response; read it with [`Frame::read_answer`].
        frame: Frame,
    },
    /// No response before the deadline.
    TimedOut {
        /// The request.
        key: Key,
    },
    /// Something the modem said unasked. May arrive twice: the proxy sends broadcasts once per client id.
    Indication(Frame),
    /// [`DEAD_AFTER_TIMEOUTS`] requests in a row went unanswered. Said once, and again only after an answer.
    Dead,
}

/// What went wrong on the way without harming anything; for logs and `agent.sampled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Responses that no request waits for, and requests sent to us.
    pub unmatched: u64,
    /// Indications dropped because nobody took them.
    pub dropped_indications: u64,
    /// Bytes skipped because the framing was lost.
    pub skipped_bytes: u64,
    /// Frames dropped whole because their inside was broken.
    pub broken_frames: u64,
}

struct Waiting {
    key: Key,
    service: Service,
    client: u8,
    transaction: u16,
    message: u16,
    deadline: Instant,
}

/// Transactions over one control port.
#[derive(Default)]
pub struct Client {
    deframer: Deframer,
    waiting: Vec<Waiting>,
    transmit: VecDeque<Vec<u8>>,
    results: VecDeque<Event>,
    indications: VecDeque<Frame>,
    last_transaction: BTreeMap<(Service, u8), u16>,
    last_key: u64,
    timeouts_in_a_row: u32,
    unmatched: u64,
    dropped_indications: u64,
}

impl Client {
    /// Nothing sent, nothing waiting.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Queues a request of this client id (0 for CTL) that is to be answered before `deadline`.
    ///
    /// # Errors
    /// [`TooManyInFlight`]: nothing was queued.
    pub fn request<R: Request>(
        &mut self,
        client: u8,
        request: &R,
        deadline: Instant,
    ) -> Result<Key, TooManyInFlight> {
        if self.waiting.len().max(self.transmit.len()) >= MAX_IN_FLIGHT {
            return Err(TooManyInFlight);
        }
        let transaction = self.next_transaction(R::SERVICE, client);
        self.transmit.push_back(Frame::request(client, transaction, request).encode());
        self.last_key += 1;
        let key = Key(self.last_key);
        let (service, message) = (R::SERVICE, R::ID);
        self.waiting.push(Waiting { key, service, client, transaction, message, deadline });
        Ok(key)
    }

    /// Forgets a request: its answer, should it come, is ignored.
    pub fn cancel(&mut self, key: Key) {
        self.waiting.retain(|waiting| waiting.key != key);
    }

    /// Takes in bytes as the port gave them: whole frames, parts or several.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        self.deframer.push(bytes);
        while let Some(frame) = self.deframer.next_frame() {
            self.handle_frame(frame);
        }
    }

    /// Gives up on requests whose deadline has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        let Self { waiting, results, timeouts_in_a_row, .. } = self;
        waiting.retain(|request| {
            if request.deadline > now {
                return true;
            }
            results.push_back(Event::TimedOut { key: request.key });
            *timeouts_in_a_row = timeouts_in_a_row.saturating_add(1);
            if *timeouts_in_a_row == DEAD_AFTER_TIMEOUTS {
                results.push_back(Event::Dead);
            }
            false
        });
    }

    /// The next frame to write, whole and in one write.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmit.pop_front()
    }

    /// What happened; answers and timeouts before indications.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.results.pop_front().or_else(|| self.indications.pop_front().map(Event::Indication))
    }

    /// When [`Client::handle_timeout`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.waiting.iter().map(|waiting| waiting.deadline).min()
    }

    /// Requests that wait for their answer.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.waiting.len()
    }

    /// Requests that went unanswered since the last answer.
    #[must_use]
    pub fn timeouts_in_a_row(&self) -> u32 {
        self.timeouts_in_a_row
    }

    /// What was ignored, dropped and skipped so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            unmatched: self.unmatched,
            dropped_indications: self.dropped_indications,
            skipped_bytes: self.deframer.skipped(),
            broken_frames: self.deframer.broken(),
        }
    }

    fn handle_frame(&mut self, frame: Frame) {
        match frame.kind {
            Kind::Indication => self.handle_indication(frame),
            Kind::Response => self.handle_response(frame),
            Kind::Request => self.unmatched += 1,
        }
    }

    fn handle_indication(&mut self, frame: Frame) {
        if self.indications.len() == MAX_INDICATIONS {
            self.indications.pop_front();
            self.dropped_indications += 1;
        }
        self.indications.push_back(frame);
    }

    fn handle_response(&mut self, frame: Frame) {
        let belongs = |waiting: &Waiting| {
            (waiting.service, waiting.client, waiting.transaction, waiting.message)
                == (frame.service, frame.client, frame.transaction, frame.message)
        };
        let Some(index) = self.waiting.iter().position(belongs) else {
            self.unmatched += 1;
            return;
        };
        let key = self.waiting.remove(index).key;
        self.timeouts_in_a_row = 0;
        self.results.push_back(Event::Answer { key, frame });
    }

    /// Counts 1, 2, 3 … per client id, past the largest to 1 again, and past those still waiting.
    fn next_transaction(&mut self, service: Service, client: u8) -> u16 {
        let largest = if service == Service::Ctl { u16::from(u8::MAX) } else { u16::MAX };
        let last = self.last_transaction.entry((service, client)).or_insert(0);
        loop {
            *last = if *last >= largest { 1 } else { *last + 1 };
            let taken = self.waiting.iter().any(|waiting| {
                (waiting.service, waiting.client, waiting.transaction) == (service, client, *last)
            });
            if !taken {
                return *last;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::qmi::{ctl, dms, nas};

    const SECOND: Duration = Duration::from_secs(1);

    fn answer_to(request: &[u8], operating_mode: dms::OperatingMode) -> Frame {
        let body = dms::GetOperatingModeResponse { mode: operating_mode, ..Default::default() };
        Frame::decode(request).unwrap().success(&body)
    }

    fn ask(client: &mut Client, client_id: u8, deadline: Instant) -> (Key, Vec<u8>) {
        let key = client.request(client_id, &dms::GetOperatingMode {}, deadline).unwrap();
        (key, client.poll_transmit().expect("a request is sent"))
    }

    fn events(client: &mut Client) -> Vec<Event> {
        std::iter::from_fn(|| client.poll_event()).collect()
    }

    #[test]
    fn answers_in_any_order_find_their_requests() {
        let (mut client, deadline) = (Client::new(), Instant::now() + SECOND);
        let (first, asked_first) = ask(&mut client, 1, deadline);
        let (second, asked_second) = ask(&mut client, 1, deadline);
        let (other, asked_other) = ask(&mut client, 2, deadline);
        for (key, request) in [(other, asked_other), (second, asked_second), (first, asked_first)] {
            let frame = answer_to(&request, dms::OperatingMode::Online);
            client.handle_bytes(&frame.encode());
            assert_eq!(events(&mut client), [Event::Answer { key, frame }]);
        }
        assert_eq!((client.in_flight(), client.next_deadline()), (0, None));
    }

    #[test]
    fn an_answer_with_another_message_client_or_transaction_is_not_ours() {
        let (mut client, deadline) = (Client::new(), Instant::now() + SECOND);
        let (_, request) = ask(&mut client, 1, deadline);
        let right = answer_to(&request, dms::OperatingMode::Online);
        let wrong = [
            Frame { message: right.message + 1, ..right.clone() },
            Frame { client: 2, ..right.clone() },
            Frame { transaction: 9, ..right.clone() },
            Frame { service: Service::Nas, ..right.clone() },
            Frame { kind: Kind::Request, ..right.clone() },
        ];
        wrong.iter().for_each(|frame| client.handle_bytes(&frame.encode()));
        assert_eq!(events(&mut client), []);
        assert_eq!(client.counts().unmatched, 5);
        client.handle_bytes(&right.encode());
        assert_eq!(events(&mut client).len(), 1);
    }

    #[test]
    fn an_answer_after_its_deadline_is_ignored() {
        let (mut client, now) = (Client::new(), Instant::now());
        let (key, request) = ask(&mut client, 1, now + SECOND);
        client.handle_timeout(now);
        assert_eq!(events(&mut client), []);
        assert_eq!(client.next_deadline(), Some(now + SECOND));
        client.handle_timeout(now + SECOND);
        assert_eq!(events(&mut client), [Event::TimedOut { key }]);
        client.handle_bytes(&answer_to(&request, dms::OperatingMode::Online).encode());
        assert_eq!(events(&mut client), []);
        assert_eq!(client.counts().unmatched, 1);
    }

    #[test]
    fn ten_timeouts_in_a_row_mean_a_dead_port_and_an_answer_starts_the_count_again() {
        let (mut client, now) = (Client::new(), Instant::now());
        let expire = |client: &mut Client, times: u32| {
            let mut seen = Vec::new();
            for _ in 0..times {
                ask(client, 1, now);
                client.handle_timeout(now);
                seen.extend(events(client));
            }
            seen.iter().filter(|event| **event == Event::Dead).count()
        };
        assert_eq!(expire(&mut client, 9), 0);
        let (_, request) = ask(&mut client, 1, now + SECOND);
        client.handle_bytes(&answer_to(&request, dms::OperatingMode::Online).encode());
        assert_eq!(expire(&mut client, 9), 0);
        assert_eq!(expire(&mut client, 1), 1);
        assert_eq!(expire(&mut client, 30), 0, "said once");
        assert_eq!(client.timeouts_in_a_row(), 40);
    }

    #[test]
    fn ctl_transactions_wrap_past_zero_and_past_those_in_flight() {
        let (mut client, now) = (Client::new(), Instant::now());
        let sync = |client: &mut Client, deadline| {
            client.request(0, &ctl::Sync {}, deadline).unwrap();
            Frame::decode(&client.poll_transmit().unwrap()).unwrap().transaction
        };
        assert_eq!(sync(&mut client, now + SECOND), 1, "stays in flight");
        for round in 0..600_u16 {
            let transaction = sync(&mut client, now);
            assert_eq!(transaction, round % 254 + 2);
            client.handle_timeout(now);
            events(&mut client);
        }
    }

    #[test]
    fn other_services_count_in_sixteen_bits_and_wrap_past_zero() {
        let mut client = Client::new();
        client.last_transaction.insert((Service::Dms, 1), u16::MAX - 1);
        let transactions = [(); 3].map(|()| client.next_transaction(Service::Dms, 1));
        assert_eq!(transactions, [u16::MAX, 1, 2]);
    }

    #[test]
    fn the_table_of_requests_is_bounded_and_cancelling_makes_room() {
        let (mut client, deadline) = (Client::new(), Instant::now());
        let keys: Vec<_> = (0..MAX_IN_FLIGHT).map(|_| ask(&mut client, 1, deadline).0).collect();
        assert_eq!(client.request(1, &dms::GetModel {}, deadline), Err(TooManyInFlight));
        client.cancel(keys[3]);
        assert!(client.request(1, &dms::GetModel {}, deadline).is_ok());
    }

    #[test]
    fn unwritten_requests_are_bounded_too() {
        let (mut client, now) = (Client::new(), Instant::now());
        for _ in 0..MAX_IN_FLIGHT {
            client.request(1, &dms::GetModel {}, now).unwrap();
            client.handle_timeout(now);
        }
        assert_eq!(client.request(1, &dms::GetModel {}, now), Err(TooManyInFlight));
    }

    #[test]
    fn of_too_many_indications_the_oldest_go_and_answers_stay() {
        let (mut client, deadline) = (Client::new(), Instant::now());
        let (key, request) = ask(&mut client, 1, deadline);
        client.handle_bytes(&answer_to(&request, dms::OperatingMode::Online).encode());
        for rssi in 0..300_i64 {
            let signal = nas::SignalInfo { gsm_signal_strength: Some(rssi as i8), ..Default::default() };
            client.handle_bytes(&Frame::indication(1, &signal).encode());
        }
        let events = events(&mut client);
        assert!(matches!(&events[0], Event::Answer { key: found, .. } if *found == key));
        assert_eq!(events.len(), 1 + MAX_INDICATIONS);
        assert_eq!(client.counts().dropped_indications, 300 - MAX_INDICATIONS as u64);
        let Event::Indication(frame) = &events[1] else { panic!("indications follow") };
        let oldest = frame.read_indication::<nas::SignalInfo>().unwrap().unwrap();
        assert_eq!(oldest.gsm_signal_strength, Some((300 - MAX_INDICATIONS) as u8 as i8));
    }

    proptest! {
        #[test]
        fn split_joined_and_surrounded_by_noise_every_answer_arrives(
            sizes in prop::collection::vec(1_usize..40, 1..60),
            noise in prop::collection::vec(2_u8..=255, 0..20),
        ) {
            let (mut client, deadline) = (Client::new(), Instant::now());
            let mut stream = noise.clone();
            for _ in 0..20 {
                let (_, request) = ask(&mut client, 1, deadline);
                stream.extend(answer_to(&request, dms::OperatingMode::LowPower).encode());
                stream.extend(&noise);
            }
            let mut rest = &stream[..];
            for size in sizes.iter().cycle() {
                let (now, later) = rest.split_at((*size).min(rest.len()));
                client.handle_bytes(now);
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(events(&mut client).len(), 20);
            prop_assert_eq!(client.counts().skipped_bytes as usize, 21 * noise.len());
        }

        #[test]
        fn any_bytes_at_any_time_do_no_harm(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..20),
        ) {
            let (mut client, now) = (Client::new(), Instant::now());
            ask(&mut client, 1, now);
            for chunk in &chunks {
                client.handle_bytes(chunk);
            }
            client.handle_timeout(now);
            prop_assert_eq!(client.in_flight(), 0);
            // A start of a frame inside the noise may swallow one answer, never a second.
            client.handle_bytes(&[0xFF; 70_000]);
            let (key, request) = ask(&mut client, 1, now + SECOND);
            events(&mut client);
            let frame = answer_to(&request, dms::OperatingMode::Online);
            client.handle_bytes(&frame.encode());
            prop_assert_eq!(events(&mut client), [Event::Answer { key, frame }]);
        }
    }
}
