//! When to look at sysfs again: kernel uevents, and a timer beside them.
//!
//! A uevent is only a hint that something changed. What there is, [`super::sysfs`] says. So a lost message, an overrun
//! socket or a kernel that says nothing costs time, never truth.

use std::io;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use netlink_sys::{
    AsyncSocket as _, AsyncSocketExt as _, SocketAddr, TokioSocket, protocols::NETLINK_KOBJECT_UEVENT,
};
use tokio::time::{Instant, Interval, MissedTickBehavior};

/// Multicast group of the kernel's own uevents; group 2 is udev's, in another format.
const KERNEL_GROUP: u32 = 1;

/// How long the stream of uevents must be silent before a re-scan: one modem makes dozens in a burst.
const QUIET: Duration = Duration::from_millis(200);

/// Longest wait for that silence.
const LONGEST_BURST: Duration = Duration::from_secs(2);

/// One kernel uevent, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uevent {
    /// What happened: `add`, `remove`, `bind`, `change` and so on.
    pub action: String,
    /// The device, below `/sys`.
    pub devpath: String,
    /// Its subsystem: `usb`, `usbmisc`, `net`, `tty` and so on.
    pub subsystem: String,
    /// Node below `/dev`, or the name of the network interface.
    pub name: Option<String>,
}

impl Uevent {
    /// Reads one message: `ACTION@DEVPATH`, then `KEY=VALUE`, each ended by NUL. `None` for anything else,
    /// udev's messages included.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = bytes.split(|byte| *byte == 0).filter_map(|field| std::str::from_utf8(field).ok());
        let (action, devpath) = fields.next()?.split_once('@')?;
        if action.is_empty() || !devpath.starts_with('/') {
            return None;
        }
        let (mut subsystem, mut name) = (None, None);
        for (key, value) in fields.filter_map(|field| field.split_once('=')) {
            match key {
                "SUBSYSTEM" => subsystem = Some(value.to_owned()),
                "DEVNAME" | "INTERFACE" if name.is_none() => name = Some(value.to_owned()),
                _ => {}
            }
        }
        Some(Self { action: action.to_owned(), devpath: devpath.to_owned(), subsystem: subsystem?, name })
    }

    /// True when a modem may have come, gone or changed.
    #[must_use]
    pub fn concerns_modems(&self) -> bool {
        matches!(self.subsystem.as_str(), "usb" | "usbmisc" | "usb-serial" | "net" | "tty" | "wwan")
    }
}

/// Why it is time to look at sysfs again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// The kernel said so; the first message of a burst.
    Uevent(Uevent),
    /// Messages were lost.
    Overrun,
    /// Time has passed.
    Timer,
    /// The socket failed; only the timer is left.
    SocketLost(io::ErrorKind),
}

/// A stream of [`Hint`]s.
pub struct Hotplug {
    socket: Option<TokioSocket>,
    timer: Interval,
}

impl Hotplug {
    /// Listens to the kernel, with a hint at least every `rescan`.
    ///
    /// # Errors
    /// When the netlink socket cannot be opened; [`Hotplug::timer_only`] works all the same.
    pub fn open(rescan: Duration) -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_KOBJECT_UEVENT)?;
        socket.socket_mut().bind(&SocketAddr::new(0, KERNEL_GROUP))?;
        tracing::debug!(fd = socket.as_raw_fd(), "listening for kernel uevents");
        Ok(Self { socket: Some(socket), timer: timer(rescan) })
    }

    /// A hint every `rescan` and no other.
    #[must_use]
    pub fn timer_only(rescan: Duration) -> Self {
        Self { socket: None, timer: timer(rescan) }
    }

    /// Waits for the next reason to look. A burst of uevents is one reason. Safe to cancel.
    pub async fn next(&mut self) -> Hint {
        let hint = tokio::select! {
            _ = self.timer.tick() => return Hint::Timer,
            hint = message(self.socket.as_ref()) => hint,
        };
        match hint {
            Hint::SocketLost(_) => self.socket = None,
            _ => self.wait_for_silence().await,
        }
        self.timer.reset();
        hint
    }

    async fn wait_for_silence(&mut self) {
        let end = Instant::now() + LONGEST_BURST;
        while Instant::now() < end {
            match tokio::time::timeout(QUIET, message(self.socket.as_ref())).await {
                Ok(Hint::SocketLost(_)) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }
}

fn timer(rescan: Duration) -> Interval {
    let rescan = rescan.max(Duration::from_millis(1));
    let mut timer = tokio::time::interval_at(Instant::now() + rescan, rescan);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}

/// The next message that concerns modems; waits for ever without a socket.
async fn message(socket: Option<&TokioSocket>) -> Hint {
    let Some(socket) = socket else { return std::future::pending().await };
    loop {
        match socket.recv_from_full().await {
            // Only the kernel has port 0; anyone else may be lying.
            Ok((bytes, from)) if from.port_number() == 0 => {
                if let Some(event) = Uevent::parse(&bytes).filter(Uevent::concerns_modems) {
                    return Hint::Uevent(event);
                }
            }
            Ok(_) => {}
            Err(error) => return failure(&error),
        }
    }
}

fn failure(error: &io::Error) -> Hint {
    match error.raw_os_error() {
        Some(code) if code == nix::errno::Errno::ENOBUFS as i32 => Hint::Overrun,
        _ => Hint::SocketLost(error.kind()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ADD: &[u8] =
        b"add@/devices/pci0000:00/0000:00:15.0/usb1/1-4/1-4:1.8/usbmisc/cdc-wdm1\0ACTION=add\0\
        DEVPATH=/devices/pci0000:00/0000:00:15.0/usb1/1-4/1-4:1.8/usbmisc/cdc-wdm1\0SUBSYSTEM=usbmisc\0\
        MAJOR=180\0MINOR=177\0DEVNAME=cdc-wdm1\0SEQNUM=2271\0";

    #[test]
    fn kernel_messages_are_read_and_others_are_not() {
        let event = Uevent::parse(ADD).unwrap();
        assert_eq!((event.action.as_str(), event.subsystem.as_str()), ("add", "usbmisc"));
        assert!(event.devpath.ends_with("/1-4:1.8/usbmisc/cdc-wdm1"));
        assert_eq!(event.name.as_deref(), Some("cdc-wdm1"));
        assert!(event.concerns_modems());
        let battery = Uevent::parse(b"change@/devices/battery\0SUBSYSTEM=power_supply\0").unwrap();
        assert!(!battery.concerns_modems());
        for other in
            [&b"libudev\0\xfe\xed\xca\xfe"[..], b"", b"\0\0", b"add@", b"@/x\0SUBSYSTEM=usb\0", b"add@/x\0"]
        {
            assert_eq!(Uevent::parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn an_overrun_asks_for_a_rescan_and_any_other_error_ends_the_socket() {
        assert_eq!(failure(&io::Error::from_raw_os_error(105)), Hint::Overrun);
        assert_eq!(
            failure(&io::Error::from(io::ErrorKind::PermissionDenied)),
            Hint::SocketLost(io::ErrorKind::PermissionDenied)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_timer_hints_also_without_a_socket() {
        let mut hotplug = Hotplug::timer_only(Duration::from_secs(30));
        let start = Instant::now();
        for round in 1..=3 {
            assert_eq!(hotplug.next().await, Hint::Timer);
            assert_eq!(start.elapsed().as_secs(), 30 * round);
        }
    }

    #[tokio::test]
    async fn the_kernels_socket_opens_and_the_timer_runs_beside_it() {
        let mut hotplug = Hotplug::open(Duration::from_millis(20)).unwrap();
        let hint = tokio::time::timeout(Duration::from_secs(5), hotplug.next()).await.unwrap();
        assert!(matches!(hint, Hint::Timer | Hint::Uevent(_)), "{hint:?}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 0..ADD.len()) {
            let _ = Uevent::parse(&bytes);
            let _ = Uevent::parse(&ADD[..cut]);
            let _ = Uevent::parse(&[&ADD[..cut], &bytes].concat());
        }
    }
}
