//! AT commands, replies and unsolicited lines (ITU-T V.250, 3GPP TS 27.007 and 27.005).
//!
//! Pure: lines go in, values come out. One command is outstanding at a time, for a modem's AT channel has
//! no transaction numbers. Nothing here opens a port or waits.

mod cause;
mod command;
mod reply;

pub use cause::{CallEnd, name_of_cause};
pub use command::{Command, CommandError, MAX_COMMAND_LEN, redact};
pub use reply::{Exchange, FinalResult, Lines, MAX_LINE_LEN, MAX_REPLY_LINES, Reply};
