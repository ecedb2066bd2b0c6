//! What commands write to standard output goes through here.

use std::io::{self, Write as _};

/// Writes `text` and a line end. A reader that has gone (`| head`) is no error: there is nobody left to tell.
///
/// # Errors
/// When standard output fails otherwise, such as a full disk behind it.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
