//! A simulated modem at the wire: what a QMI control port and an AT port of a real one would say.
//!
//! ```text
//! scenario (faults by time) ─▶ modem (pure: frames and lines in, frames and lines out) ◀─ trace ◀─ radio or CSV
//!                                ▲
//!                              port: a pty, a socket or memory; one task per modem
//! sysfs: the folders in which discovery finds such modems
//! ```
//!
//! Everything follows from a seed, a scenario and what clients say; nothing here reads a clock but `port`.

pub mod modem;
pub mod port;
pub mod radio;
pub mod scenario;
pub mod sysfs;
pub mod trace;
