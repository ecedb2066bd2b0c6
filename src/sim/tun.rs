//! Opens TUN devices in a network namespace: the interface appears there, its packets are read and written here.

use std::fs::File;
use std::io;
use std::thread;

use nix::sched::{CloneFlags, setns};
use tokio::runtime::Handle;
use tokio_tun::Tun;

/// Makes the TUN device `name` in `namespace` (an open `/proc/…/ns/net` or `/run/netns/…`), for packets without any
/// header before them. It is gone when the value is dropped. Needs a runtime, and the right to administer that namespace.
///
/// # Errors
/// `AlreadyExists` or `ResourceBusy` where an interface has that name; otherwise what the kernel says.
pub fn open(namespace: &File, name: &str, mtu_bytes: u16, up: bool) -> io::Result<Tun> {
    let runtime = Handle::current();
    // A device belongs to the namespace of the thread that makes it, and stays there. The thread ends at once.
    thread::scope(|scope| {
        let maker = scope.spawn(|| {
            setns(namespace, CloneFlags::CLONE_NEWNET)?;
            let _entered = runtime.enter();
            let builder = Tun::builder().name(name).mtu(i32::from(mtu_bytes)).close_on_exec();
            let builder = if up { builder.up() } else { builder };
            let made = builder.build().map_err(io::Error::other)?;
            made.into_iter().next().ok_or_else(|| io::ErrorKind::NotFound.into())
        });
        maker.join().unwrap_or_else(|_| Err(io::Error::other("the thread that opens a TUN device panicked")))
    })
}
