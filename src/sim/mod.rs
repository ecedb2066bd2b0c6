//! A simulated modem at the wire: what a QMI control port and an AT port of a real one would say.
//!
//! ```text
//! scenario (faults by time) ─▶ modem (pure: frames and lines in, frames and lines out) ◀─ trace ◀─ radio or CSV
//!                                ▲
//!                              port: a pty, a socket or memory; one task per modem
//! sysfs: the folders in which discovery finds such modems
//! ```
//!
//! The way of its data, where there is a kernel for it (root, or a network namespace of one's own):
//!
//! ```text
//! router's kernel ─ TUN `wwp…` ─▶ carrier (passes what the modem's session carries; late, lost or never) ─▶ TUN ─ carrier's kernel
//!                                    └── impairment (pure: what happens to a packet)
//! ```
//!
//! Everything follows from a seed, a scenario and what clients say; nothing here reads a clock but `port`.

pub mod carrier;
pub mod impairment;
pub mod modem;
pub mod packet;
pub mod port;
pub mod radio;
pub mod scenario;
pub mod sysfs;
pub mod trace;
pub mod tun;
