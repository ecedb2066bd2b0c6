//! A modem's network interface taken up and down by the kernel's route socket (rtnetlink, `RTM_NEWLINK`): the one thing that
//! framing needs of it.

use std::fs;
use std::io;
use std::path::Path;

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

/// `IFF_UP` of `/sys/class/net/IF/flags` and of `ifinfomsg`.
const IFF_UP: u32 = 1;
const RTM_NEWLINK: u16 = 16;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
/// `nlmsghdr` and `ifinfomsg`.
const MESSAGE_LEN: usize = 32;

/// Whether the interface whose sysfs folder this is, is up (administratively).
///
/// # Errors
/// When its flags cannot be read.
pub fn is_up(folder: &Path) -> io::Result<bool> {
    let text = fs::read_to_string(folder.join("flags"))?;
    let flags = u32::from_str_radix(text.trim().trim_start_matches("0x"), 16)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(flags & IFF_UP != 0)
}

/// Takes it up or down. Its addresses stay, its routes go when it goes down.
///
/// # Errors
/// When it is gone, or we may not.
pub fn set_up(folder: &Path, up: bool) -> io::Result<()> {
    let text = fs::read_to_string(folder.join("ifindex"))?;
    let index: i32 =
        text.trim().parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&request(index, up), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    match acknowledged(&answer) {
        Some(0) => Ok(()),
        Some(error) => Err(io::Error::from_raw_os_error(error)),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer is not understood")),
    }
}

fn request(index: i32, up: bool) -> [u8; MESSAGE_LEN] {
    let mut message = [0; MESSAGE_LEN];
    message[..4].copy_from_slice(&32_u32.to_ne_bytes());
    message[4..6].copy_from_slice(&RTM_NEWLINK.to_ne_bytes());
    message[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
    message[8..12].copy_from_slice(&1_u32.to_ne_bytes());
    message[20..24].copy_from_slice(&index.to_ne_bytes());
    message[24..28].copy_from_slice(&(if up { IFF_UP } else { 0 }).to_ne_bytes());
    message[28..32].copy_from_slice(&IFF_UP.to_ne_bytes());
    message
}

/// The error number in an acknowledgement, 0 for success.
fn acknowledged(answer: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let error = i32::from_ne_bytes(answer.get(16..20)?.try_into().ok()?);
    (kind == NLMSG_ERROR).then_some(error.saturating_neg())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_as_the_kernel_writes_them() {
        let folder = tempfile::tempdir().unwrap();
        for (text, up) in [("0x1003\n", true), ("0x1002\n", false), ("0x91", true)] {
            fs::write(folder.path().join("flags"), text).unwrap();
            assert_eq!(is_up(folder.path()).unwrap(), up, "{text}");
        }
        fs::write(folder.path().join("flags"), "up").unwrap();
        assert!(is_up(folder.path()).is_err());
    }

    #[test]
    fn an_interface_that_is_not_there_is_an_error_of_the_kernel() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ifindex"), "2147483000\n").unwrap();
        let error = set_up(folder.path(), true).unwrap_err().raw_os_error();
        // No such device; or, without the right to ask, not permitted.
        assert!(matches!(error, Some(19 | 1)), "{error:?}");
    }

    #[test]
    fn no_answer_makes_it_panic() {
        for length in 0..40 {
            assert!(acknowledged(&vec![2; length]).is_none());
        }
    }
}
