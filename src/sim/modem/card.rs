//! Pure: the SIM card in its slot: there or not, powered or not, its PIN and PUK.

use crate::qmi::ProtocolError;

/// The PUK of every simulated card.
pub const PUK: &str = "12345678";
const PIN_TRIES: u8 = 3;
const PUK_TRIES: u8 = 10;

/// What the modem can do with the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardCondition {
    /// No card in the slot in use.
    Absent,
    /// There, without power.
    Off,
    /// There, not read yet.
    Initialising,
    /// Asks for its PIN.
    PinRequired,
    /// Asks for its PUK.
    PukRequired,
    /// Used up its PUK.
    Blocked,
    /// Refused by the network.
    Illegal,
    /// Ready.
    Ready,
}

/// State of PIN 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pin {
    /// Not asked for.
    Disabled,
    /// Asked for.
    NotVerified,
    /// Given.
    Verified,
    /// Too many wrong ones.
    Blocked,
    /// The PUK is used up too.
    PermanentlyBlocked,
}

/// The card and the slots. The card sits in slot 1; slot 2 is empty.
#[derive(Debug, Clone)]
pub struct Card {
    /// PIN 1 of the card.
    code: String,
    pin: Pin,
    pin_tries: u8,
    puk_tries: u8,
    powered: bool,
    /// Slot in use, 1 or 2.
    slot: u8,
    pub(super) pulled: bool,
    pub(super) slow: bool,
    pub(super) illegal: bool,
    pub(super) stuck: bool,
    cycles: u32,
}

impl Card {
    pub(super) fn new(code: Option<&str>) -> Self {
        Self {
            code: code.unwrap_or("1234").to_owned(),
            pin: if code.is_some() { Pin::NotVerified } else { Pin::Disabled },
            pin_tries: PIN_TRIES,
            puk_tries: PUK_TRIES,
            powered: true,
            slot: 1,
            pulled: false,
            slow: false,
            illegal: false,
            stuck: false,
            cycles: 0,
        }
    }

    /// What the modem can do with it.
    #[must_use]
    pub fn condition(&self) -> CardCondition {
        if self.pulled || self.slot != 1 {
            return CardCondition::Absent;
        }
        match self.pin {
            _ if !self.powered => CardCondition::Off,
            _ if self.slow => CardCondition::Initialising,
            Pin::NotVerified => CardCondition::PinRequired,
            Pin::Blocked => CardCondition::PukRequired,
            Pin::PermanentlyBlocked => CardCondition::Blocked,
            Pin::Disabled | Pin::Verified if self.illegal || self.stuck => CardCondition::Illegal,
            Pin::Disabled | Pin::Verified => CardCondition::Ready,
        }
    }

    /// State of PIN 1.
    #[must_use]
    pub fn pin(&self) -> Pin {
        self.pin
    }

    /// Tries left for PIN 1 and for its PUK.
    #[must_use]
    pub fn tries_left(&self) -> (u8, u8) {
        (self.pin_tries, self.puk_tries)
    }

    /// Slot in use, from 1.
    #[must_use]
    pub fn slot(&self) -> u8 {
        self.slot
    }

    /// How often its power was switched on again.
    #[must_use]
    pub fn power_cycles(&self) -> u32 {
        self.cycles
    }

    /// The card lost its power: the PIN is due again.
    pub(super) fn power_cycle(&mut self) {
        self.powered = true;
        self.stuck = false;
        if self.pin == Pin::Verified {
            self.pin = Pin::NotVerified;
        }
    }

    pub(super) fn power(&mut self, on: bool) {
        if on && !self.powered {
            self.cycles += 1;
            self.stuck = false;
        }
        self.powered = on;
        if !on && self.pin == Pin::Verified {
            self.pin = Pin::NotVerified;
        }
    }

    /// From now on the PIN is asked for.
    pub(super) fn require_pin(&mut self) {
        if matches!(self.pin, Pin::Disabled | Pin::Verified) {
            self.pin = Pin::NotVerified;
        }
    }

    pub(super) fn switch(&mut self, slot: u8) -> Result<(), ProtocolError> {
        match slot {
            slot if slot == self.slot => Err(ProtocolError::NoEffect),
            1 | 2 => {
                self.slot = slot;
                self.power_cycle();
                Ok(())
            }
            _ => Err(ProtocolError::InvalidArgument),
        }
    }

    /// Why card files cannot be read now.
    pub(super) fn reachable(&self) -> Result<(), ProtocolError> {
        match self.condition() {
            CardCondition::Absent => Err(ProtocolError::NoSim),
            CardCondition::Off | CardCondition::Initialising => Err(ProtocolError::UimUninitialized),
            _ => Ok(()),
        }
    }

    /// Why files behind the PIN cannot be read now.
    pub(super) fn unlocked(&self) -> Result<(), ProtocolError> {
        self.reachable()?;
        match self.condition() {
            CardCondition::Ready | CardCondition::Illegal => Ok(()),
            _ => Err(ProtocolError::AccessDenied),
        }
    }

    pub(super) fn verify(&mut self, code: &str) -> Result<(), ProtocolError> {
        self.reachable()?;
        match self.pin {
            Pin::Disabled => Err(ProtocolError::NoEffect),
            Pin::Blocked => Err(ProtocolError::PinBlocked),
            Pin::PermanentlyBlocked => Err(ProtocolError::PinAlwaysBlocked),
            Pin::Verified | Pin::NotVerified => {
                self.try_code(code)?;
                self.pin = Pin::Verified;
                Ok(())
            }
        }
    }

    pub(super) fn protect(&mut self, enabled: bool, code: &str) -> Result<(), ProtocolError> {
        self.reachable()?;
        match self.pin {
            Pin::Blocked => return Err(ProtocolError::PinBlocked),
            Pin::PermanentlyBlocked => return Err(ProtocolError::PinAlwaysBlocked),
            Pin::Disabled if !enabled => return Err(ProtocolError::NoEffect),
            _ => self.try_code(code)?,
        }
        self.pin = if enabled { Pin::Verified } else { Pin::Disabled };
        Ok(())
    }

    pub(super) fn change(&mut self, old: &str, new: &str) -> Result<(), ProtocolError> {
        if self.pin == Pin::Disabled {
            return Err(ProtocolError::InvalidOperation);
        }
        acceptable(new)?;
        self.verify(old)?;
        self.code = new.to_owned();
        Ok(())
    }

    pub(super) fn unblock(&mut self, puk: &str, new: &str) -> Result<(), ProtocolError> {
        self.reachable()?;
        if self.pin == Pin::PermanentlyBlocked {
            return Err(ProtocolError::PinAlwaysBlocked);
        }
        acceptable(new)?;
        if puk != PUK {
            self.puk_tries -= 1;
            if self.puk_tries == 0 {
                self.pin = Pin::PermanentlyBlocked;
                return Err(ProtocolError::PinAlwaysBlocked);
            }
            return Err(ProtocolError::IncorrectPin);
        }
        (self.pin_tries, self.puk_tries) = (PIN_TRIES, PUK_TRIES);
        self.code = new.to_owned();
        self.pin = Pin::Verified;
        Ok(())
    }

    fn try_code(&mut self, code: &str) -> Result<(), ProtocolError> {
        acceptable(code)?;
        if code == self.code {
            self.pin_tries = PIN_TRIES;
            return Ok(());
        }
        self.pin_tries -= 1;
        if self.pin_tries == 0 {
            self.pin = Pin::Blocked;
            return Err(ProtocolError::PinBlocked);
        }
        Err(ProtocolError::IncorrectPin)
    }
}

/// A PIN has four to eight digits (3GPP TS 31.101, 9.5.1); others do not reach the card.
fn acceptable(code: &str) -> Result<(), ProtocolError> {
    let digits = (4..=8).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_digit());
    if digits { Ok(()) } else { Err(ProtocolError::InvalidArgument) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ProtocolError::{IncorrectPin, InvalidArgument, NoEffect, PinAlwaysBlocked, PinBlocked};

    #[test]
    fn three_wrong_pins_ask_for_the_puk_and_ten_wrong_puks_end_the_card() {
        let mut card = Card::new(Some("4321"));
        assert_eq!(card.condition(), CardCondition::PinRequired);
        assert_eq!(card.verify("12"), Err(InvalidArgument));
        assert_eq!((card.verify("1111"), card.tries_left()), (Err(IncorrectPin), (2, 10)));
        assert_eq!((card.verify("4321"), card.tries_left()), (Ok(()), (3, 10)));
        assert_eq!(card.condition(), CardCondition::Ready);
        card.power_cycle();
        assert_eq!([card.verify("1111"), card.verify("1111")], [Err(IncorrectPin); 2]);
        assert_eq!(card.verify("1111"), Err(PinBlocked));
        assert_eq!((card.condition(), card.verify("4321")), (CardCondition::PukRequired, Err(PinBlocked)));
        assert_eq!((card.unblock(PUK, "0000"), card.condition()), (Ok(()), CardCondition::Ready));
        card.power_cycle();
        assert_eq!(card.verify("0000"), Ok(()));
        for _ in 0..9 {
            assert_eq!(card.unblock("00000000", "1111"), Err(IncorrectPin));
        }
        assert_eq!(card.unblock("00000000", "1111"), Err(PinAlwaysBlocked));
        assert_eq!(
            (card.unblock(PUK, "1111"), card.condition()),
            (Err(PinAlwaysBlocked), CardCondition::Blocked)
        );
    }

    #[test]
    fn a_card_without_pin_gets_one_and_loses_it() {
        let mut card = Card::new(None);
        assert_eq!(card.verify("1234"), Err(NoEffect));
        assert_eq!(card.protect(true, "1234"), Ok(()));
        card.power_cycle();
        assert_eq!(card.condition(), CardCondition::PinRequired);
        assert_eq!((card.change("1234", "9999"), card.protect(false, "9999")), (Ok(()), Ok(())));
        card.power_cycle();
        assert_eq!(card.condition(), CardCondition::Ready);
        assert_eq!((card.switch(1), card.switch(3)), (Err(NoEffect), Err(InvalidArgument)));
        assert_eq!((card.switch(2), card.condition()), (Ok(()), CardCondition::Absent));
    }
}
