//! Power of a modem's USB port: kept on while the modem is used, and taken off and on as the last rung before a reboot, for
//! a modem that answers nothing.
//!
//! Where the hub can switch its port (`PORT/disable`, Linux 6.0) that is used; else the device is deauthorised, which ends its
//! drivers and makes them start afresh, without cutting power.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{sleep, timeout};

/// How long the port stays off: capacitors of a modem hold it up for a second or two.
const OFF: Duration = Duration::from_secs(5);

/// Why the port could not be switched.
#[derive(Debug, thiserror::Error)]
pub enum UsbPowerError {
    /// Not a place in the USB tree.
    #[error("{0:?} is no place in the USB tree")]
    Place(String),
    /// A switch could not be used.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The switch.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Switches the port at `usb_path` (such as `1-4`) off and on again, under the sysfs folder `root`.
///
/// # Errors
/// [`UsbPowerError`] names the switch that did not work.
pub async fn cycle(root: &Path, usb_path: &str) -> Result<(), UsbPowerError> {
    let devices = root.join("bus/usb/devices");
    let port = port_switch(usb_path).ok_or_else(|| UsbPowerError::Place(usb_path.to_owned()))?;
    let port = devices.join(port);
    let (switch, off, on) = match port.exists() {
        true => (port, "1", "0"),
        false => (devices.join(usb_path).join("authorized"), "0", "1"),
    };
    write(&switch, off)?;
    let off = SwitchedOff { switch, on };
    sleep(OFF).await;
    off.end()
}

/// How long the kernel may take to wake a device up.
const AWAKE: Duration = Duration::from_secs(2);

/// Keeps the modem at `usb_path` from being suspended by the kernel (`power/control`), under the sysfs folder `root`: many lose
/// what they were about to say, or come back without answering.
///
/// # Errors
/// [`UsbPowerError`] names the switch that did not work in time.
pub async fn keep_awake(root: &Path, usb_path: &str) -> Result<(), UsbPowerError> {
    port_switch(usb_path).ok_or_else(|| UsbPowerError::Place(usb_path.to_owned()))?;
    let path = root.join("bus/usb/devices").join(usb_path).join("power/control");
    let switch = path.clone();
    // The write waits for a device that sleeps to wake up.
    let written = tokio::task::spawn_blocking(move || write(&switch, "on"));
    match timeout(AWAKE, written).await {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => Err(UsbPowerError::Write { path, source: io::Error::other(error) }),
        Err(_) => Err(UsbPowerError::Write { path, source: io::ErrorKind::TimedOut.into() }),
    }
}

/// A port that is off. However this ends, the port is on afterwards.
struct SwitchedOff {
    switch: PathBuf,
    on: &'static str,
}

impl SwitchedOff {
    fn end(self) -> Result<(), UsbPowerError> {
        write(&self.switch, self.on)
    }
}

impl Drop for SwitchedOff {
    fn drop(&mut self) {
        if let Err(error) = write(&self.switch, self.on) {
            tracing::error!(%error, "a USB port stays off");
        }
    }
}

/// `1-4` hangs on port 4 of root hub `usb1`, `1-4.2` on port 2 of hub `1-4`.
fn port_switch(usb_path: &str) -> Option<PathBuf> {
    let (bus, ports) = usb_path.split_once('-')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(bus) || !ports.split('.').all(is_number) {
        return None;
    }
    Some(match usb_path.rsplit_once('.') {
        Some((hub, port)) => Path::new(&format!("{hub}:1.0")).join(format!("{hub}-port{port}/disable")),
        None => Path::new(&format!("{bus}-0:1.0")).join(format!("usb{bus}-port{ports}/disable")),
    })
}

fn write(path: &Path, text: &str) -> Result<(), UsbPowerError> {
    let file = fs::File::options().write(true).truncate(true).open(path);
    file.and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()))
        .map_err(|source| UsbPowerError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switch(root: &Path, file: &str) -> PathBuf {
        let path = root.join("bus/usb/devices").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "?").unwrap();
        path
    }

    #[tokio::test(start_paused = true)]
    async fn the_hubs_switch_is_preferred_and_both_end_switched_on() {
        let root = tempfile::tempdir().unwrap();
        let authorized = switch(root.path(), "1-4.2/authorized");
        cycle(root.path(), "1-4.2").await.unwrap();
        assert_eq!(fs::read_to_string(&authorized).unwrap(), "1");
        fs::write(&authorized, "?").unwrap();
        let port = switch(root.path(), "1-4:1.0/1-4-port2/disable");
        cycle(root.path(), "1-4.2").await.unwrap();
        assert_eq!(fs::read_to_string(&port).unwrap(), "0");
        assert_eq!(fs::read_to_string(&authorized).unwrap(), "?");
        let port = switch(root.path(), "1-0:1.0/usb1-port4/disable");
        cycle(root.path(), "1-4").await.unwrap();
        assert_eq!(fs::read_to_string(&port).unwrap(), "0");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cycle_that_is_given_up_leaves_the_port_on() {
        let root = tempfile::tempdir().unwrap();
        let authorized = switch(root.path(), "1-4/authorized");
        let cycle = cycle(root.path(), "1-4");
        assert!(tokio::time::timeout(Duration::from_secs(1), cycle).await.is_err());
        assert_eq!(fs::read_to_string(&authorized).unwrap(), "1");
    }

    #[tokio::test]
    async fn a_modem_is_kept_awake_where_the_kernel_can_suspend_it() {
        let root = tempfile::tempdir().unwrap();
        let control = switch(root.path(), "1-4.2/power/control");
        keep_awake(root.path(), "1-4.2").await.unwrap();
        assert_eq!(fs::read_to_string(&control).unwrap(), "on");
        let error = keep_awake(root.path(), "1-9").await.unwrap_err().to_string();
        assert!(error.contains("1-9/power/control"), "{error}");
        assert!(matches!(keep_awake(root.path(), "../x").await, Err(UsbPowerError::Place(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_is_none_or_gone_is_named() {
        let root = tempfile::tempdir().unwrap();
        for place in ["", "1", "../../etc", "1-4/../x", "usb1"] {
            assert!(matches!(cycle(root.path(), place).await, Err(UsbPowerError::Place(_))), "{place}");
        }
        let error = cycle(root.path(), "1-9").await.unwrap_err().to_string();
        assert!(error.contains("1-9/authorized"), "{error}");
    }
}
