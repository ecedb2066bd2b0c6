//! Pure: client ids and what each client asked to be told. Ids live in the modem: whoever forgets to release one leaks it.

use std::collections::BTreeMap;

use super::nas::SignalWatch;
use crate::qmi::Service;
use crate::qmi::uim::{EventRegistrationFlag, SessionType};
use crate::sim::scenario::Family;

/// Most client ids of NAS, as on many modems.
pub const MAX_NAS_CLIENTS: u8 = 10;
/// Most client ids of any other service.
pub const MAX_CLIENTS: u8 = 24;

/// One client id and its subscriptions.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Client {
    /// Held by nobody since a fault.
    pub leaked: bool,
    /// NAS: wants Serving System.
    pub(super) serving_system: bool,
    /// NAS: wants System Info.
    pub(super) system_info: bool,
    /// NAS: wants Network Reject.
    pub(super) network_reject: bool,
    /// NAS: which changes of the signal it wants.
    pub(super) signal: SignalWatch,
    /// WDS: the family of its requests; IPv4 until it says otherwise.
    pub(super) family: Option<Family>,
    /// WDS: wants Extended IP Config.
    pub(super) ip_config: bool,
    /// UIM: wants these.
    pub(super) uim_events: EventRegistrationFlag,
    /// UIM: wants to be told of refreshes of this session.
    pub(super) refresh: Option<SessionType>,
    /// DMS: wants the operating mode.
    pub(super) operating_mode: bool,
    /// DMS: wants the state of the card.
    pub(super) uim_state: bool,
}

/// All client ids of a modem.
#[derive(Debug, Clone, Default)]
pub struct Clients {
    clients: BTreeMap<(u8, u8), Client>,
}

impl Clients {
    /// The lowest free id of a service, taken; `None` when all are.
    pub(super) fn allocate(&mut self, service: Service) -> Option<u8> {
        let most = if service == Service::Nas { MAX_NAS_CLIENTS } else { MAX_CLIENTS };
        let free = (1..=most).find(|id| !self.contains(service, *id))?;
        self.clients.insert((service.number(), free), Client::default());
        Some(free)
    }

    /// Gives an id back; false when it was not taken.
    pub(super) fn release(&mut self, service: Service, id: u8) -> bool {
        self.clients.remove(&(service.number(), id)).is_some()
    }

    /// Gives every id back.
    pub(super) fn clear(&mut self) {
        self.clients.clear();
    }

    /// Takes what is left of a service.
    pub(super) fn leak(&mut self, service: Service) {
        while let Some(id) = self.allocate(service) {
            self.clients.insert((service.number(), id), Client { leaked: true, ..Client::default() });
        }
    }

    /// Gives back what [`Clients::leak`] took.
    pub(super) fn find_leaked(&mut self) {
        self.clients.retain(|_, client| !client.leaked);
    }

    /// Whether an id is taken.
    #[must_use]
    pub fn contains(&self, service: Service, id: u8) -> bool {
        self.clients.contains_key(&(service.number(), id))
    }

    /// The ids taken of a service.
    #[must_use]
    pub fn of(&self, service: Service) -> Vec<u8> {
        self.iter(service).map(|(id, _)| id).collect()
    }

    /// How many ids are taken in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether none is taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    pub(super) fn iter(&self, service: Service) -> impl Iterator<Item = (u8, &Client)> {
        let service = service.number();
        self.clients.range((service, 0)..=(service, u8::MAX)).map(|((_, id), client)| (*id, client))
    }

    pub(super) fn iter_mut(&mut self, service: Service) -> impl Iterator<Item = (u8, &mut Client)> {
        let service = service.number();
        self.clients.range_mut((service, 0)..=(service, u8::MAX)).map(|((_, id), client)| (*id, client))
    }

    pub(super) fn get_mut(&mut self, service: Service, id: u8) -> Option<&mut Client> {
        self.clients.get_mut(&(service.number(), id))
    }
}
