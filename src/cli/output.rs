//! What commands write to standard output goes through here.

use std::io::{self, Write as _};

/// Writes `text` and a line end. A reader that has gone (`| head`) is no error: there is nobody left to tell.
///
/// # Errors
/// When standard output fails otherwise, such as a full disk behind it.
pub fn print(text: &str) -> io::Result<()> {
    offer(text).map(drop)
}

/// As [`print`]; says whether anybody still reads, for commands whose output may have no end.
///
/// # Errors
/// When standard output fails otherwise, such as a full disk behind it.
pub fn offer(text: &str) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    }
}
