//! Climbs one rung of the recovery ladder. What needs the modem's QMI uses the open driver, or opens the control port for it:
//! a ladder is mostly climbed because the port failed. The higher rungs need no QMI at all.
//!
//! May be given up at any time: a modem that resets leaves the bus before it answers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::event::{IpFamily, Rung};
use crate::modem::driver::{Driver, DriverError, OpenOptions, at_reset};
use crate::modem::sysfs::Slot;
use crate::modem::usb_power;

/// What reboots the router in order: the first of these that is installed.
const REBOOT: [&[&str]; 2] = [&["systemctl", "reboot"], &["reboot"]];
/// How long the request for a reboot may take to be accepted.
const REBOOT_DEADLINE: Duration = Duration::from_secs(30);

/// What a rung may need.
pub struct Climber {
    /// The open driver, while there is one.
    pub driver: Option<Arc<Driver>>,
    /// Where the modem is.
    pub slot: Option<Slot>,
    /// How to open it.
    pub options: OpenOptions,
    /// Folder shaped like `/sys`.
    pub sysfs: PathBuf,
    /// Whether the router may be rebooted.
    pub reboot: bool,
}

impl Climber {
    /// Climbs `rung`.
    ///
    /// # Errors
    /// In words: why it could not be climbed.
    pub async fn climb(self, rung: Rung) -> Result<(), String> {
        let told = |error: DriverError| error.to_string();
        match rung {
            Rung::Redial => {
                let families = self.options.families.clone();
                self.with_driver(async |driver| redial(driver, &families).await).await
            }
            Rung::RadioCycle => {
                self.with_driver(async |driver| {
                    driver.set_radio(false).await?;
                    driver.set_radio(true).await
                })
                .await
            }
            Rung::QmiReset => self.with_driver(async |driver| driver.reset_operating_mode().await).await,
            Rung::AtReset => at_reset(&self.slot()?, &self.options.serial).await.map_err(told),
            Rung::UsbPower => {
                let (sysfs, place) = (self.sysfs.clone(), self.slot()?.usb_path);
                // On its own, for the modem goes away by this, and with it the link's interest in the answer.
                let cycle = tokio::spawn(async move { usb_power::cycle(&sysfs, &place).await });
                cycle.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
            }
            Rung::Reboot if self.reboot => first_that_works(&REBOOT).await,
            Rung::Reboot => Err("recovery.reboot is off".into()),
            Rung::Unknown => Err("this release knows no such rung".into()),
        }
    }

    fn slot(&self) -> Result<Slot, String> {
        self.slot.clone().ok_or_else(|| "there is no modem".into())
    }

    async fn with_driver(
        &self,
        work: impl AsyncFnOnce(&Driver) -> Result<(), DriverError>,
    ) -> Result<(), String> {
        let told = |error: DriverError| error.to_string();
        if let Some(driver) = &self.driver {
            return work(driver).await.map_err(told);
        }
        let (driver, _notices) = Driver::open(&self.slot()?, &self.options).await.map_err(told)?;
        let result = work(&driver).await.map_err(told);
        driver.close(true).await;
        result
    }
}

async fn redial(driver: &Driver, families: &[IpFamily]) -> Result<(), DriverError> {
    for family in families {
        driver.disconnect(*family).await?;
    }
    Ok(())
}

async fn first_that_works(commands: &[&[&str]]) -> Result<(), String> {
    let mut why = String::new();
    for words in commands {
        match timeout(REBOOT_DEADLINE, Command::new(words[0]).args(&words[1..]).output()).await {
            Ok(Ok(output)) if output.status.success() => return Ok(()),
            Ok(Ok(output)) => {
                let said = String::from_utf8_lossy(&output.stderr);
                why = format!("{}: {}: {}", words.join(" "), output.status, said.trim());
            }
            Ok(Err(error)) => why = format!("{}: {error}", words.join(" ")),
            Err(_) => why = format!("{}: no answer", words.join(" ")),
        }
    }
    Err(why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn climber(sysfs: &Path) -> Climber {
        let slot = Slot { usb_path: "1-4".into(), ..Slot::by_path("wwan0", Path::new("/none"), Vec::new()) };
        let options = OpenOptions::default();
        Climber { driver: None, slot: Some(slot), options, sysfs: sysfs.to_owned(), reboot: false }
    }

    #[tokio::test(start_paused = true)]
    async fn the_usb_port_goes_on_again_even_when_nobody_waits_for_it() {
        let sysfs = tempfile::tempdir().unwrap();
        let switch = sysfs.path().join("bus/usb/devices/1-4/authorized");
        std::fs::create_dir_all(switch.parent().unwrap()).unwrap();
        let shows = |text: &str| std::fs::read_to_string(&switch).unwrap() == text;
        std::fs::write(&switch, "1").unwrap();
        climber(sysfs.path()).climb(Rung::UsbPower).await.unwrap();
        assert!(shows("1"));
        let given_up = timeout(Duration::from_secs(1), climber(sysfs.path()).climb(Rung::UsbPower)).await;
        assert!(given_up.is_err() && shows("0"), "it stays off as long as it must");
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(shows("1"));
    }

    #[tokio::test]
    async fn what_cannot_be_climbed_says_why() {
        let sysfs = tempfile::tempdir().unwrap();
        for (rung, why) in [
            (Rung::Reboot, "recovery.reboot is off"),
            (Rung::UsbPower, "1-4/authorized"),
            (Rung::AtReset, "no serial port for AT commands"),
            (Rung::QmiReset, "/none"),
        ] {
            let mut climber = climber(sysfs.path());
            climber.options.access = crate::modem::port::Access::Direct;
            let error = climber.climb(rung).await.unwrap_err();
            assert!(error.contains(why), "{rung:?}: {error}");
        }
        let gone = Climber { slot: None, ..climber(sysfs.path()) };
        assert_eq!(gone.climb(Rung::AtReset).await.unwrap_err(), "there is no modem");
    }

    #[tokio::test]
    async fn the_first_command_that_works_is_enough() {
        first_that_works(&[&["no-such-program-here"], &["true"]]).await.unwrap();
        let error = first_that_works(&[&["false", "x"]]).await.unwrap_err();
        assert!(error.starts_with("false x: exit status: 1"), "{error}");
    }
}
