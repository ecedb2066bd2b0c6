//! The SIM: card, PIN and identities. Through UIM where the modem has it, else through DMS.

use std::time::Duration;

use super::{Driver, DriverError, exchange, said};
use crate::config::Secret;
use crate::event::{CardState, PinState, SimChanged};
use crate::modem::qmi::RequestError;
use crate::qmi::layout::swapped_digits;
use crate::qmi::{ProtocolError, Refusal, dms, uim};

/// Fewer tries than this are left for a person.
const MIN_PIN_RETRIES: u8 = 3;

/// How long a card stays without power to forget everything.
const CARD_OFF: Duration = Duration::from_secs(1);

/// No application is provisioned (card status, index fields).
const NO_APPLICATION: u16 = 0xFFFF;

impl Driver {
    /// Card, PIN state and, of a card that is ready, its identities.
    ///
    /// # Errors
    /// [`DriverError`] when the modem does not answer; a card that cannot be read is a state, not an error.
    pub async fn sim_status(&self) -> Result<SimChanged, DriverError> {
        let mut sim = self.card().await?;
        sim.slot = self.active_slot().await?.map(|(slot, _)| slot);
        if sim.card == CardState::Absent {
            return Ok(sim);
        }
        sim.iccid = self.iccid().await?;
        if sim.card == CardState::Ready {
            sim.imsi = self.imsi().await?;
            let msisdn = said(self.dms(dms::GetMsisdn {}).await)?;
            sim.msisdn = msisdn.map(|told| told.msisdn).filter(|number| !number.is_empty());
        }
        Ok(sim)
    }

    /// Gives the PIN: once, through one transport, and only with three tries left or more. A card that asks for none is fine.
    ///
    /// # Errors
    /// [`DriverError::PinRetriesLow`], [`DriverError::PinRefused`], or any other.
    pub async fn verify_pin(&self, pin: &Secret) -> Result<(), DriverError> {
        let sim = self.card().await?;
        if sim.pin != Some(PinState::EnabledNotVerified) {
            return Ok(());
        }
        match sim.pin_retries {
            Some(left) if left >= MIN_PIN_RETRIES => {}
            left => return Err(DriverError::PinRetriesLow { left: left.unwrap_or(0) }),
        }
        match self.clients.uim {
            Some(cid) => self.verify_by_uim(cid, pin).await,
            None => self.verify_by_dms(pin).await,
        }
    }

    /// Takes the power of the card in use off and on again, which is all that helps one that the modem or the network has
    /// called illegal by mistake. Not to be given up half way: the card would stay off.
    ///
    /// # Errors
    /// [`DriverError`] when the modem cannot or does not answer.
    pub async fn power_cycle_sim(&self) -> Result<(), DriverError> {
        let Some(cid) = self.clients.uim else {
            return Err(DriverError::refused::<uim::PowerOffSim>(ProtocolError::NotSupported));
        };
        let slot = self.slot_in_use().await?;
        exchange(&self.qmi, cid, uim::PowerOffSim { slot }, self.deadlines.slow).await?;
        tokio::time::sleep(CARD_OFF).await;
        exchange(&self.qmi, cid, uim::PowerOnSim { slot }, self.deadlines.slow).await.map(|_| ())
    }

    /// Asks to be told when the provider refreshes the card. Firmware that cannot is fine.
    pub(super) async fn register_refresh(&self, cid: u8) -> Result<(), DriverError> {
        let session_type = match self.slot_in_use().await? {
            2 => uim::SessionType::CardSlot2,
            _ => uim::SessionType::CardSlot1,
        };
        let session = uim::Session { session_type, ..uim::Session::default() };
        let register = uim::RefreshRegisterAll { session, register: true };
        said(exchange(&self.qmi, cid, register, self.deadlines.quick).await).map(|_| ())
    }

    /// Lets a refresh go on that [`Notice::CardRefresh`](super::Notice::CardRefresh) said waits for us.
    ///
    /// # Errors
    /// [`DriverError`] when the modem does not answer. A refresh that is over already is fine.
    pub async fn complete_refresh(&self, session_type: uim::SessionType) -> Result<(), DriverError> {
        let Some(cid) = self.clients.uim else { return Ok(()) };
        let session = uim::Session { session_type, ..uim::Session::default() };
        let complete = uim::RefreshComplete { session, success: true };
        said(exchange(&self.qmi, cid, complete, self.deadlines.quick).await).map(|_| ())
    }

    async fn verify_by_uim(&self, cid: u8, pin: &Secret) -> Result<(), DriverError> {
        let verify = uim::VerifyPin {
            session: primary_session(),
            info: uim::PinInfo { pin_id: uim::PinId::Pin1, pin_value: pin.reveal().to_owned() },
            response_in_indication_token: None,
        };
        match self.qmi.request(cid, verify, self.deadlines.slow).await {
            Err(RequestError::Refusal(Refusal::Refused { error, details })) if is_wrong_pin(error) => {
                let left = details.retries_remaining.map(|retries| retries.verify_retries_left);
                Err(DriverError::PinRefused { left })
            }
            result => result.map(|_| ()).map_err(DriverError::of::<uim::VerifyPin>),
        }
    }

    async fn verify_by_dms(&self, pin: &Secret) -> Result<(), DriverError> {
        let info = dms::PinInfo { pin_id: dms::UimPinId::Pin, pin: pin.reveal().to_owned() };
        let verify = dms::UimVerifyPin { info };
        match self.qmi.request(self.clients.dms, verify, self.deadlines.slow).await {
            Err(RequestError::Refusal(Refusal::Refused { error, details })) if is_wrong_pin(error) => {
                let left = details.pin_retries_status.map(|retries| retries.verify_retries_left);
                Err(DriverError::PinRefused { left })
            }
            result => result.map(|_| ()).map_err(DriverError::of::<dms::UimVerifyPin>),
        }
    }

    async fn card(&self) -> Result<SimChanged, DriverError> {
        if let Some(cid) = self.clients.uim {
            match exchange(&self.qmi, cid, uim::GetCardStatus {}, self.deadlines.quick).await {
                Ok(uim::CardStatus { card_status }) => return Ok(card_of(card_status.as_ref())),
                Err(error) if error.is_unsupported() => {}
                Err(error) => return Err(error),
            }
        }
        let state = said(self.dms(dms::UimGetState {}).await)?.map(|told| told.state);
        let pin = said(self.dms(dms::UimGetPinStatus {}).await)?.and_then(|told| told.pin1_status);
        Ok(card_by_dms(state, pin.as_ref()))
    }

    /// The active physical slot, from 1, and its card's ICCID. Single-slot modems know no slots.
    async fn active_slot(&self) -> Result<Option<(u8, String)>, DriverError> {
        let Some(cid) = self.clients.uim else { return Ok(None) };
        let told = said(exchange(&self.qmi, cid, uim::GetSlotStatus {}, self.deadlines.quick).await)?;
        let slots = told.and_then(|told| told.physical_slot_status).unwrap_or_default();
        let active =
            slots.iter().zip(1..).find(|(slot, _)| slot.physical_slot_status == uim::SlotState::Active);
        Ok(active.map(|(slot, number)| (number, swapped_digits(&slot.iccid))))
    }

    /// The active physical slot; 1 where the modem knows no slots.
    async fn slot_in_use(&self) -> Result<u8, DriverError> {
        Ok(self.active_slot().await?.map_or(1, |(slot, _)| slot))
    }

    async fn iccid(&self) -> Result<Option<String>, DriverError> {
        if let Some(told) = said(self.dms(dms::UimGetIccid {}).await)?
            && !told.iccid.is_empty()
        {
            return Ok(Some(told.iccid));
        }
        if let Some((_, iccid)) = self.active_slot().await?
            && !iccid.is_empty()
        {
            return Ok(Some(iccid));
        }
        self.file(0x2FE2, &[0x00, 0x3F]).await.map(|bytes| bytes.map(|bytes| swapped_digits(&bytes)))
    }

    async fn imsi(&self) -> Result<Option<String>, DriverError> {
        if let Some(told) = said(self.dms(dms::UimGetImsi {}).await)?
            && !told.imsi.is_empty()
        {
            return Ok(Some(told.imsi));
        }
        // 3GPP TS 31.102, 4.2.2: length, then parity and the first digit in one byte.
        let bytes = self.file(0x6F07, &[0x00, 0x3F, 0xFF, 0x7F]).await?;
        Ok(bytes.filter(|bytes| bytes.len() > 1).map(|bytes| swapped_digits(&bytes[1..])[1..].to_owned()))
    }

    async fn file(&self, file_id: u16, path: &[u8]) -> Result<Option<Vec<u8>>, DriverError> {
        let Some(cid) = self.clients.uim else { return Ok(None) };
        let read = uim::ReadTransparent {
            session: primary_session(),
            file: uim::File { file_id, file_path: path.to_vec() },
            read_information: uim::ReadInformation { offset: 0, length: 0 },
            response_in_indication_token: None,
            encrypt_data: None,
        };
        let told = said(exchange(&self.qmi, cid, read, self.deadlines.slow).await)?;
        Ok(told.and_then(|told| told.read_result).filter(|bytes| !bytes.is_empty()))
    }
}

fn primary_session() -> uim::Session {
    uim::Session { session_type: uim::SessionType::PrimaryGwProvisioning, application_identifier: Vec::new() }
}

fn is_wrong_pin(error: ProtocolError) -> bool {
    matches!(error, ProtocolError::IncorrectPin | ProtocolError::PinBlocked | ProtocolError::PinAlwaysBlocked)
}

fn blank(card: CardState) -> SimChanged {
    SimChanged {
        card,
        slot: None,
        iccid: None,
        imsi: None,
        msisdn: None,
        pin: None,
        pin_retries: None,
        puk_retries: None,
    }
}

/// What the card status says about the primary application, or the first one where none is provisioned.
fn card_of(status: Option<&uim::Cards>) -> SimChanged {
    let Some(status) = status else { return blank(CardState::Absent) };
    let index = status.index_gw_primary;
    let (slot, application) =
        if index == NO_APPLICATION { (0, 0) } else { (usize::from(index >> 8), usize::from(index & 0xFF)) };
    let Some(card) = status.cards.get(slot) else { return blank(CardState::Absent) };
    match card.card_state {
        uim::CardState::Absent => return blank(CardState::Absent),
        uim::CardState::Error => return blank(CardState::Error),
        _ => {}
    }
    let Some(application) = card.applications.get(application) else { return blank(CardState::Present) };
    let (pin, pin_retries, puk_retries) = match application.upin_replaces_pin1 {
        true => (card.upin_state, card.upin_retries, card.upuk_retries),
        false => (application.pin1_state, application.pin1_retries, application.puk1_retries),
    };
    use uim::CardApplicationState as State;
    let state = match application.state {
        State::Ready => CardState::Ready,
        State::Pin1OrUpinPinRequired => CardState::PinRequired,
        State::Puk1OrUpinPukRequired => CardState::PukRequired,
        State::Pin1Blocked => CardState::Blocked,
        State::Illegal => CardState::Illegal,
        _ => CardState::Present,
    };
    let pin = match pin {
        uim::PinState::Disabled => Some(PinState::Disabled),
        uim::PinState::EnabledNotVerified => Some(PinState::EnabledNotVerified),
        uim::PinState::EnabledVerified => Some(PinState::EnabledVerified),
        uim::PinState::Blocked => Some(PinState::Blocked),
        uim::PinState::PermanentlyBlocked => Some(PinState::PermanentlyBlocked),
        _ => None,
    };
    SimChanged { pin, pin_retries: Some(pin_retries), puk_retries: Some(puk_retries), ..blank(state) }
}

/// The same from the older messages of DMS.
fn card_by_dms(state: Option<dms::UimState>, pin: Option<&dms::PinStatus>) -> SimChanged {
    use dms::UimPinStatus as Status;
    let (card, pin_state) = match (state, pin.map(|pin| pin.current_status)) {
        (Some(dms::UimState::NotPresent), _) => (CardState::Absent, None),
        (_, Some(Status::EnabledNotVerified)) => (CardState::PinRequired, Some(PinState::EnabledNotVerified)),
        (_, Some(Status::Blocked)) => (CardState::PukRequired, Some(PinState::Blocked)),
        (_, Some(Status::PermanentlyBlocked)) => (CardState::Blocked, Some(PinState::PermanentlyBlocked)),
        (Some(dms::UimState::InitializationCompleted), Some(Status::Disabled)) => {
            (CardState::Ready, Some(PinState::Disabled))
        }
        (Some(dms::UimState::InitializationCompleted), Some(Status::EnabledVerified)) => {
            (CardState::Ready, Some(PinState::EnabledVerified))
        }
        (Some(dms::UimState::InitializationCompleted), _) => (CardState::Ready, None),
        (Some(dms::UimState::LockedOrFailed), _) => (CardState::Error, None),
        _ => (CardState::Present, None),
    };
    SimChanged {
        pin: pin_state,
        pin_retries: pin.map(|pin| pin.verify_retries_left),
        puk_retries: pin.map(|pin| pin.unblock_retries_left),
        ..blank(card)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cards(index: u16, state: uim::CardApplicationState, pin: uim::PinState) -> uim::Cards {
        let application = uim::Application {
            state,
            pin1_state: pin,
            pin1_retries: 3,
            puk1_retries: 10,
            ..uim::Application::default()
        };
        let card = uim::Card {
            card_state: uim::CardState::Present,
            applications: vec![application],
            ..uim::Card::default()
        };
        uim::Cards { index_gw_primary: index, cards: vec![card], ..uim::Cards::default() }
    }

    #[test]
    fn each_card_is_told_by_its_state() {
        use uim::CardApplicationState as State;
        for (state, card) in [
            (State::Ready, CardState::Ready),
            (State::Detected, CardState::Present),
            (State::CheckPersonalizationState, CardState::Present),
            (State::Pin1OrUpinPinRequired, CardState::PinRequired),
            (State::Puk1OrUpinPukRequired, CardState::PukRequired),
            (State::Pin1Blocked, CardState::Blocked),
            (State::Illegal, CardState::Illegal),
        ] {
            let sim = card_of(Some(&cards(0, state, uim::PinState::EnabledVerified)));
            assert_eq!((sim.card, sim.pin), (card, Some(PinState::EnabledVerified)));
            assert_eq!((sim.pin_retries, sim.puk_retries), (Some(3), Some(10)));
        }
        assert_eq!(card_of(None).card, CardState::Absent);
        assert_eq!(card_of(Some(&uim::Cards::default())).card, CardState::Absent);
    }

    #[test]
    fn without_a_provisioned_application_the_first_one_speaks() {
        use uim::CardApplicationState as State;
        let pin = uim::PinState::EnabledNotVerified;
        let sim = card_of(Some(&cards(NO_APPLICATION, State::Pin1OrUpinPinRequired, pin)));
        assert_eq!(sim.pin, Some(PinState::EnabledNotVerified));
        let sim = card_of(Some(&cards(0x0001, State::Ready, pin)));
        assert_eq!(sim.card, CardState::Present, "an application that is not there");
    }
}
