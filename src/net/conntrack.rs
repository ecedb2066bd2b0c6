//! Forgets the flows that left by an uplink, by the mark that they carry.
//!
//! One request to the kernel (`IPCTNL_MSG_CT_DELETE` with a mark and a mask, Linux 4.0) in place of the `conntrack` program: that
//! reads the whole table and deletes entry by entry, costs a process in the middle of a switch, and may not be installed.

use std::io;
use std::time::Duration;

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use tokio::time::timeout;

use super::state::MARK_MASK;
use super::words::Problem;

/// `NFNL_SUBSYS_CTNETLINK` and `IPCTNL_MSG_CT_DELETE`.
const DELETE: u16 = (1 << 8) | 2;
/// `NLM_F_REQUEST` and `NLM_F_ACK`.
const FLAGS: u16 = 1 | 4;
/// `NLMSG_ERROR`.
const ERROR: u16 = 2;
/// `CTA_MARK`.
const MARK: u16 = 8;
/// `CTA_MARK_MASK`.
const MASK: u16 = 21;
/// The kernel walks the whole table.
const DEADLINE: Duration = Duration::from_secs(5);

/// Deletes the entries of flows that carry one of `marks`. All others stay.
///
/// # Errors
/// [`Problem::Conntrack`].
pub async fn forget(marks: Vec<u32>) -> Result<(), Problem> {
    let problem = |error: io::Error| Problem::Conntrack(error.to_string());
    // The kernel works while we send: not on the thread that everything else waits for.
    let work = tokio::task::spawn_blocking(move || delete(&marks));
    match timeout(DEADLINE, work).await {
        Ok(Ok(result)) => result.map_err(problem),
        Ok(Err(error)) => Err(problem(io::Error::other(error))),
        Err(_) => Err(problem(io::ErrorKind::TimedOut.into())),
    }
}

fn delete(marks: &[u32]) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    for (number, mark) in marks.iter().enumerate() {
        socket.send(&request(*mark, number as u32 + 1), 0)?;
        let (answer, _) = socket.recv_from_full()?;
        result(&answer)?;
    }
    Ok(())
}

/// `nlmsghdr`, `nfgenmsg` and two attributes. The netlink part is in the order of the machine, the values in that of the network.
fn request(mark: u32, sequence: u32) -> Vec<u8> {
    let mut message = Vec::with_capacity(36);
    message.extend(36_u32.to_ne_bytes());
    message.extend(DELETE.to_ne_bytes());
    message.extend(FLAGS.to_ne_bytes());
    message.extend(sequence.to_ne_bytes());
    message.extend(0_u32.to_ne_bytes());
    message.extend([0; 4]); // every family, version 0
    for (kind, value) in [(MARK, mark), (MASK, MARK_MASK)] {
        message.extend(8_u16.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(value.to_be_bytes());
    }
    message
}

/// The answer: `NLMSG_ERROR` with 0 is success.
fn result(answer: &[u8]) -> io::Result<()> {
    let part = |at: usize, length: usize| answer.get(at..at + length);
    let kind = part(4, 2).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    let code = part(16, 4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match (kind, code) {
        (Some(ERROR), Some(0)) => Ok(()),
        // No entry has the mark, says an older kernel.
        (Some(ERROR), Some(code)) if code == -(nix::errno::Errno::ENOENT as i32) => Ok(()),
        (Some(ERROR), Some(code)) => Err(io::Error::from_raw_os_error(code.saturating_neg())),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_request_names_our_bits_of_the_mark_alone() {
        let message = request(0x0002_0000, 1);
        assert_eq!(message.len(), 36);
        assert_eq!(message[20..], [8, 0, 8, 0, 0, 2, 0, 0, 8, 0, 21, 0, 0, 0xff, 0, 0]);
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = result(&bytes);
        }
    }
}
