//! The rate of a terminal as the kernel has it. Rates that are set as numbers show in `termios2` alone, which C libraries
//! hide; Python asks the kernel itself.

use std::path::Path;
use std::process::Command;

const ASK: &str = "import fcntl, os, struct, sys
port = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
told = fcntl.ioctl(port, 0x802C542A, bytes(44))
print(struct.unpack_from('I', told, 40)[0])";

/// Bits a second, of what is sent.
pub fn rate_of(port: &Path) -> u32 {
    let output = Command::new("python3").args(["-c", ASK]).arg(port).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}
