//! Pure: answers of the UIM service.

use super::{Answer, CardCondition, Modem, No, Pin};
use crate::qmi::layout::swapped_bcd;
use crate::qmi::message::Request;
use crate::qmi::uim::{
    self, CardApplicationPersonalizationState, CardApplicationState, CardApplicationType, CardError,
    CardProtocol, CardState, EventRegistrationFlag, PhysicalCardState, PinState, RefreshEvent, RefreshMode,
    RefreshStage, SlotState,
};
use crate::qmi::{Done, Frame, ProtocolError, Service};

/// Index of a provisioned application that is none.
const NO_SESSION: u16 = 0xFFFF;
/// Application identifier of a USIM (ETSI TS 101 220), as a card from stock has it.
const USIM_AID: [u8; 16] =
    [0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x02, 0xFF, 0xFF, 0xFF, 0xFF, 0x89, 0x01, 0x02, 0x00, 0x00];
const FILE_ICCID: u16 = 0x2FE2;
const FILE_IMSI: u16 = 0x6F07;
const WELL_DONE: uim::CardResult = uim::CardResult { sw1: 0x90, sw2: 0x00 };
const NOT_FOUND: uim::CardResult = uim::CardResult { sw1: 0x6A, sw2: 0x82 };

/// A refresh of the card under way.
#[derive(Debug)]
pub(super) struct Refresh {
    /// What the card has afterwards.
    imsi: String,
    /// Clients that have not said that they are done.
    waited_for: Vec<u8>,
}

impl Modem {
    pub(super) fn uim(&mut self, frame: &Frame) {
        match frame.message {
            uim::GetCardStatus::ID => {
                self.answer(frame, |modem, _, _: uim::GetCardStatus| Ok(modem.card_status()));
            }
            uim::RegisterEvents::ID => self.answer(frame, |modem, id, request: uim::RegisterEvents| {
                let known = EventRegistrationFlag::CARD_STATUS | EventRegistrationFlag::PHYSICAL_SLOT_STATUS;
                let granted = EventRegistrationFlag(request.event_registration_mask.0 & known.0);
                modem.client(Service::Uim, id).uim_events = granted;
                Ok(uim::RegisterEventsResponse { event_registration_mask: Some(granted) })
            }),
            uim::VerifyPin::ID => self.answer(frame, |modem, _, request: uim::VerifyPin| {
                let result =
                    pin_1(request.info.pin_id).and_then(|()| modem.card.verify(&request.info.pin_value));
                modem.pin_answer(result, |retries_remaining| uim::VerifyPinFailure { retries_remaining })?;
                Ok(uim::VerifyPinResponse { card_result: Some(WELL_DONE), ..Default::default() })
            }),
            uim::SetPinProtection::ID => self.answer(frame, |modem, _, request: uim::SetPinProtection| {
                let info = &request.info;
                let result =
                    pin_1(info.pin_id).and_then(|()| modem.card.protect(info.pin_enabled, &info.pin_value));
                modem.pin_answer(result, |retries_remaining| uim::SetPinProtectionFailure {
                    retries_remaining,
                })?;
                Ok(uim::SetPinProtectionResponse::default())
            }),
            uim::UnblockPin::ID => self.answer(frame, |modem, _, request: uim::UnblockPin| {
                let info = &request.info;
                let result = pin_1(info.pin_id).and_then(|()| modem.card.unblock(&info.puk, &info.new_pin));
                modem.pin_answer(result, |retries_remaining| uim::UnblockPinFailure { retries_remaining })?;
                Ok(uim::UnblockPinResponse { card_result: Some(WELL_DONE), ..Default::default() })
            }),
            uim::ChangePin::ID => self.answer(frame, |modem, _, request: uim::ChangePin| {
                let info = &request.info;
                let result =
                    pin_1(info.pin_id).and_then(|()| modem.card.change(&info.old_pin, &info.new_pin));
                modem.pin_answer(result, |retries_remaining| uim::ChangePinFailure { retries_remaining })?;
                Ok(uim::ChangePinResponse { card_result: Some(WELL_DONE), ..Default::default() })
            }),
            _ => self.uim_slots(frame),
        }
    }

    fn uim_slots(&mut self, frame: &Frame) {
        match frame.message {
            uim::GetSlotStatus::ID => {
                self.answer(frame, |modem, _, _: uim::GetSlotStatus| Ok(modem.slot_status()));
            }
            uim::SwitchSlot::ID => self.answer(frame, |modem, _, request: uim::SwitchSlot| {
                if request.logical_slot != 1 {
                    return Err(ProtocolError::InvalidArgument.into());
                }
                modem.card.switch(u8::try_from(request.physical_slot).unwrap_or(0))?;
                modem.card_changed();
                Ok(Done)
            }),
            uim::PowerOffSim::ID => {
                self.answer(frame, |modem, _, request: uim::PowerOffSim| {
                    modem.power_card(request.slot, false)
                });
            }
            uim::PowerOnSim::ID => {
                self.answer(frame, |modem, _, request: uim::PowerOnSim| modem.power_card(request.slot, true));
            }
            uim::ChangeProvisioningSession::ID => {
                self.answer(frame, |modem, _, request: uim::ChangeProvisioningSession| {
                    modem.card.reachable()?;
                    modem.card.power(request.session_change.activate);
                    modem.card_changed();
                    Ok(Done)
                });
            }
            uim::RefreshRegisterAll::ID => {
                self.answer(frame, |modem, id, request: uim::RefreshRegisterAll| {
                    modem.client(Service::Uim, id).refresh =
                        request.register.then_some(request.session.session_type);
                    Ok(Done)
                });
            }
            uim::RefreshComplete::ID => {
                self.answer(frame, |modem, id, _: uim::RefreshComplete| modem.refresh_completed(id));
            }
            uim::ReadTransparent::ID => self.answer(frame, Self::read_transparent),
            _ => self.refuse(frame, ProtocolError::InvalidQmiCommand),
        }
    }

    /// The card or its slot changed: everybody who asked is told, and registration follows.
    pub(super) fn card_changed(&mut self) {
        let wants = |flag| move |client: &super::Client| client.uim_events.contains(flag);
        let wanting = self.clients_that(Service::Uim, wants(EventRegistrationFlag::CARD_STATUS));
        let status = self.card_status();
        self.indicate(&status, &wanting);
        let wanting = self.clients_that(Service::Uim, wants(EventRegistrationFlag::PHYSICAL_SLOT_STATUS));
        let slots = self.slot_status();
        self.indicate(&slots, &wanting);
        self.indicate_uim_state();
        self.at_card_changed();
        self.settle();
    }

    /// The provider refreshes the card: those who registered are told and waited for.
    pub(super) fn begin_refresh(&mut self, imsi: String) {
        let waited_for = self.clients_that(Service::Uim, |client| client.refresh.is_some());
        self.indicate_refresh(RefreshStage::Start, &waited_for);
        self.refresh = Some(Refresh { imsi, waited_for });
        self.refresh_if_all_are_done();
    }

    fn refresh_completed(&mut self, client: u8) -> Result<Done, No<Done>> {
        let refresh = self.refresh.as_mut().ok_or(ProtocolError::InvalidOperation)?;
        refresh.waited_for.retain(|waited_for| *waited_for != client);
        self.refresh_if_all_are_done();
        Ok(Done)
    }

    fn refresh_if_all_are_done(&mut self) {
        if let Some(refresh) = self.refresh.take_if(|refresh| refresh.waited_for.is_empty()) {
            self.identity.imsi = refresh.imsi;
            let told = self.clients_that(Service::Uim, |client| client.refresh.is_some());
            self.indicate_refresh(RefreshStage::EndWithSuccess, &told);
        }
    }

    fn indicate_refresh(&mut self, stage: RefreshStage, clients: &[u8]) {
        for id in clients {
            let Some(session_type) = self.client(Service::Uim, *id).refresh else { continue };
            let files = vec![uim::File { file_id: FILE_IMSI, file_path: vec![0x00, 0x3F, 0xFF, 0x7F] }];
            let application_identifier = Vec::new();
            let mode = RefreshMode::Fcn;
            let event = RefreshEvent { stage, mode, session_type, application_identifier, files };
            self.indicate(&uim::Refresh { event: Some(event) }, &[*id]);
        }
    }

    fn power_card(&mut self, slot: u8, on: bool) -> Result<Done, No<Done>> {
        if slot != self.card.slot() {
            return Err(ProtocolError::InvalidArgument.into());
        }
        if self.card.condition() == CardCondition::Absent {
            return Err(ProtocolError::NoSim.into());
        }
        self.card.power(on);
        self.card_changed();
        Ok(Done)
    }

    fn pin_answer<F>(
        &mut self,
        result: Result<(), ProtocolError>,
        failure: impl FnOnce(Option<uim::Retries>) -> F,
    ) -> Result<(), No<F>> {
        self.card_changed();
        let (verify_retries_left, unblock_retries_left) = self.card.tries_left();
        let retries = uim::Retries { verify_retries_left, unblock_retries_left };
        result.map_err(|error| No(error, failure(Some(retries))))
    }

    fn card_status(&self) -> uim::CardStatus {
        let condition = self.card.condition();
        let (pin1_retries, puk1_retries) = self.card.tries_left();
        let state = match condition {
            CardCondition::Ready => CardApplicationState::Ready,
            CardCondition::PinRequired => CardApplicationState::Pin1OrUpinPinRequired,
            CardCondition::PukRequired => CardApplicationState::Puk1OrUpinPukRequired,
            CardCondition::Blocked => CardApplicationState::Pin1Blocked,
            CardCondition::Illegal => CardApplicationState::Illegal,
            CardCondition::Absent | CardCondition::Off | CardCondition::Initialising => {
                CardApplicationState::Detected
            }
        };
        let ready = condition == CardCondition::Ready;
        let usim = uim::Application {
            application_type: CardApplicationType::Usim,
            state,
            personalization_state: match ready {
                true => CardApplicationPersonalizationState::Ready,
                false => CardApplicationPersonalizationState::Unknown,
            },
            aid: USIM_AID.to_vec(),
            pin1_state: pin_state(self.card.pin()),
            pin1_retries,
            puk1_retries,
            pin2_state: PinState::EnabledNotVerified,
            pin2_retries: 3,
            puk2_retries: 10,
            ..Default::default()
        };
        let (card_state, error_code, applications) = match condition {
            CardCondition::Absent => (CardState::Absent, CardError::Unknown, Vec::new()),
            CardCondition::Off => (CardState::Error, CardError::PowerDown, Vec::new()),
            // A slow card shows no application yet.
            CardCondition::Initialising => (CardState::Present, CardError::Unknown, Vec::new()),
            _ => (CardState::Present, CardError::Unknown, vec![usim]),
        };
        let provisioned = !applications.is_empty();
        let card = uim::Card { card_state, error_code, applications, ..Default::default() };
        let cards = uim::Cards {
            index_gw_primary: if provisioned { 0 } else { NO_SESSION },
            index_1x_primary: NO_SESSION,
            index_gw_secondary: NO_SESSION,
            index_1x_secondary: NO_SESSION,
            cards: vec![card],
        };
        uim::CardStatus { card_status: Some(cards) }
    }

    fn slot_status(&self) -> uim::SlotStatus {
        let slot = |number| {
            let present = number == 1 && !self.card.pulled;
            let active = self.card.slot() == number;
            let readable = present && active && self.card.reachable().is_ok();
            uim::PhysicalSlotStatus {
                physical_card_status: if present {
                    PhysicalCardState::Present
                } else {
                    PhysicalCardState::Absent
                },
                physical_slot_status: if active { SlotState::Active } else { SlotState::Inactive },
                logical_slot: u8::from(active),
                iccid: if readable { swapped_bcd(&self.identity.iccid) } else { Vec::new() },
            }
        };
        let information = |number: u8| uim::PhysicalSlotInformation {
            card_protocol: if number == 1 && !self.card.pulled {
                CardProtocol::Uicc
            } else {
                CardProtocol::Unknown
            },
            valid_applications: u8::from(number == 1 && !self.card.pulled),
            ..Default::default()
        };
        uim::SlotStatus {
            physical_slot_status: Some(vec![slot(1), slot(2)]),
            physical_slot_information: Some(vec![information(1), information(2)]),
            slot_eid: None,
        }
    }

    fn read_transparent(&mut self, _: u8, request: uim::ReadTransparent) -> Answer<uim::ReadTransparent> {
        let content = match request.file.file_id {
            FILE_ICCID => {
                self.card.reachable()?;
                swapped_bcd(&self.identity.iccid)
            }
            FILE_IMSI => {
                self.card.unlocked()?;
                imsi_file(&self.identity.imsi)
            }
            _ => {
                self.card.reachable()?;
                let card_result = Some(NOT_FOUND);
                return Ok(uim::ReadTransparentResponse { card_result, ..Default::default() });
            }
        };
        let (offset, length) = (request.read_information.offset, request.read_information.length);
        let rest = content.get(usize::from(offset)..).ok_or(ProtocolError::InvalidArgument)?;
        let wanted = if length == 0 { rest.len() } else { rest.len().min(length.into()) };
        let (card_result, read_result) = (Some(WELL_DONE), Some(rest[..wanted].to_vec()));
        Ok(uim::ReadTransparentResponse { card_result, read_result, ..Default::default() })
    }
}

/// EF_IMSI (3GPP TS 31.102, 4.2.2): a length, then a nibble of parity before the digits.
fn imsi_file(imsi: &str) -> Vec<u8> {
    let parity = if imsi.len() % 2 == 1 { '9' } else { '1' };
    let digits = swapped_bcd(&format!("{parity}{imsi}"));
    let mut file = vec![digits.len() as u8];
    file.extend(digits);
    file
}

fn pin_1(id: uim::PinId) -> Result<(), ProtocolError> {
    if id == uim::PinId::Pin1 { Ok(()) } else { Err(ProtocolError::InvalidPinId) }
}

fn pin_state(pin: Pin) -> PinState {
    match pin {
        Pin::Disabled => PinState::Disabled,
        Pin::NotVerified => PinState::EnabledNotVerified,
        Pin::Verified => PinState::EnabledVerified,
        Pin::Blocked => PinState::Blocked,
        Pin::PermanentlyBlocked => PinState::PermanentlyBlocked,
    }
}
