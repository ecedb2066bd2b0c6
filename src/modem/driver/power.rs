//! The radio on and off, and the modem reset.

use std::time::Duration;

use super::{Driver, DriverError, exchange, said};
use crate::at::Command;
use crate::config::Serial;
use crate::modem::serial;
use crate::modem::sysfs::Slot;
use crate::qmi::ProtocolError;
use crate::qmi::dms::{self, OperatingMode};

/// Reads of the operating mode after switching the radio on, half a second apart.
const ONLINE_CHECKS: u32 = 6;
const ONLINE_PAUSE: Duration = Duration::from_millis(500);

/// Time for a serial reset to be acknowledged, at least: some firmware does other things first.
const AT_RESET_DEADLINE: Duration = Duration::from_secs(10);

/// USB vendor of Sierra Wireless, and of Dell, who sells the same modems.
const SIERRA: [u16; 2] = [0x1199, 0x413c];

impl Driver {
    /// Switches the radio on where it is off; unlocks it first where its maker has locked it.
    ///
    /// # Errors
    /// [`DriverError::RadioOff`] with the modem's reason: hardware switch, firmware and carrier image that do not fit.
    pub async fn ensure_online(&self) -> Result<(), DriverError> {
        let before = self.dms(dms::GetOperatingMode {}).await?;
        if before.mode == OperatingMode::Online {
            return Ok(());
        }
        if before.hardware_restricted_mode == Some(true) {
            return Err(DriverError::RadioOff {
                reason: "the hardware switch (W_DISABLE) holds it off".into(),
            });
        }
        match self.set_mode(OperatingMode::Online).await {
            // Sierra's answer while its FCC lock is closed.
            Err(error) if error.protocol() == Some(ProtocolError::Internal) && self.is_sierra() => {
                said(self.dms(dms::SetFccAuthentication {}).await)?;
                self.set_mode(OperatingMode::Online).await?;
            }
            result => result?,
        }
        let mut now = before;
        for _ in 0..ONLINE_CHECKS {
            now = self.dms(dms::GetOperatingMode {}).await?;
            if now.mode == OperatingMode::Online {
                return Ok(());
            }
            tokio::time::sleep(ONLINE_PAUSE).await;
        }
        let offline = now.offline_reason.map(crate::qmi::layout::Coded::json);
        let reason = offline.map_or_else(String::new, |reason| format!(", offline reason {reason}"));
        Err(DriverError::RadioOff { reason: format!("operating mode {}{reason}", now.mode) })
    }

    /// The operating mode.
    ///
    /// # Errors
    /// [`DriverError`] when the modem does not answer.
    pub async fn operating_mode(&self) -> Result<OperatingMode, DriverError> {
        Ok(self.dms(dms::GetOperatingMode {}).await?.mode)
    }

    /// Switches the radio on or off. Off ends every call and the registration.
    ///
    /// # Errors
    /// [`DriverError`] when the modem refuses or does not answer.
    pub async fn set_radio(&self, on: bool) -> Result<(), DriverError> {
        self.set_mode(if on { OperatingMode::Online } else { OperatingMode::LowPower }).await
    }

    /// Resets the modem over QMI (offline, then reset). It leaves the bus and comes back; this driver is of no use afterwards.
    ///
    /// # Errors
    /// [`DriverError`] when the modem refuses. Silence after the reset is success.
    pub async fn reset_operating_mode(&self) -> Result<(), DriverError> {
        said(self.set_mode(OperatingMode::Offline).await)?;
        match self.set_mode(OperatingMode::Reset).await {
            Err(DriverError::Timeout { .. } | DriverError::Gone(_)) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn is_sierra(&self) -> bool {
        is_sierra(&self.slot)
    }

    async fn set_mode(&self, mode: OperatingMode) -> Result<(), DriverError> {
        let set = dms::SetOperatingMode { mode };
        match exchange(&self.qmi, self.clients.dms, set, self.deadlines.slow).await {
            Err(error) if error.protocol() == Some(ProtocolError::NoEffect) => Ok(()),
            result => result.map(|_| ()),
        }
    }
}

/// Resets a modem over its serial port, for when QMI is silent.
///
/// # Errors
/// [`DriverError::Serial`] when no port takes the command. A port that goes away by it is success.
pub async fn at_reset(slot: &Slot, settings: &Serial) -> Result<(), DriverError> {
    let text = if is_sierra(slot) { "AT!RESET" } else { "AT+CFUN=1,1" };
    let command = Command::new(text).expect("a fixed text that begins with AT");
    if slot.at_ports.is_empty() {
        return Err(DriverError::Serial(format!("{} has no serial port for AT commands", slot.netdev)));
    }
    let mut port = serial::open_first(&slot.at_ports, settings.baud_rate).await?;
    let reply = match port.execute(&command, settings.timeout.max(AT_RESET_DEADLINE)).await {
        // It went before it could answer.
        Err(serial::SerialError::Gone { .. }) => return Ok(()),
        reply => reply?,
    };
    if reply.result.is_ok() {
        return Ok(());
    }
    Err(DriverError::Serial(format!("{command} was answered with {}", reply.result)))
}

fn is_sierra(slot: &Slot) -> bool {
    SIERRA.contains(&slot.vendor_id)
}
