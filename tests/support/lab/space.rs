//! Network namespaces with names that only this process and its children see.

use std::fs::File;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Once};
use std::thread;

use nix::sched::{CloneFlags, setns};

/// A network namespace. It ends with the process: its name stands in a mount namespace that nobody else has.
#[derive(Clone, Debug)]
pub struct Space {
    name: String,
    file: Arc<File>,
}

impl Space {
    /// Makes room for names. Only inside `in_namespace`, where `/run` is our own to cover.
    pub fn prepare() {
        static COVERED: Once = Once::new();
        COVERED.call_once(|| {
            run(Command::new("mount").args(["-t", "tmpfs", "lab", "/run"]));
            // What a program here takes for the host's must not be the host's.
            std::fs::write("/run/resolv.conf", "nameserver 192.0.2.53\n").unwrap();
            if std::path::Path::new("/etc/resolv.conf").exists() {
                run(Command::new("mount").args(["--bind", "/run/resolv.conf", "/etc/resolv.conf"]));
            }
        });
    }

    /// A new namespace of this name.
    pub fn create(name: &str) -> Self {
        run(Command::new("ip").args(["netns", "add", name]));
        let file = Arc::new(File::open(format!("/run/netns/{name}")).unwrap());
        let space = Self { name: name.into(), file };
        space.ip("link set lo up");
        // Addresses of IPv6 are there at once: nobody else could have them.
        space.sysctl(&[("net/ipv6/conf/all/accept_dad", "0"), ("net/ipv6/conf/default/accept_dad", "0")]);
        space
    }

    /// What `ip` calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its file, to open devices in it.
    pub fn file(&self) -> Arc<File> {
        self.file.clone()
    }

    /// Does something in the namespace: sockets made and processes started there stay there.
    pub fn enter<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(&*self.file, CloneFlags::CLONE_NEWNET).unwrap();
                act()
            });
            inside.join().unwrap()
        })
    }

    /// A thread that lives in the namespace.
    pub fn spawn<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> T + Send + 'static,
    ) -> thread::JoinHandle<T> {
        let file = self.file.clone();
        thread::spawn(move || {
            setns(&*file, CloneFlags::CLONE_NEWNET).unwrap();
            act()
        })
    }

    /// Runs `ip` with these lines, one command each.
    pub fn ip(&self, lines: &str) {
        let mut child = Command::new("ip")
            .args(["-n", &self.name, "-batch", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{lines}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Loads rules into `nft`.
    pub fn nft(&self, rules: &str) {
        let output = self.output(Command::new("nft").arg(rules));
        assert!(output.status.success(), "{rules}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Sets kernel parameters, named by their path below `/proc/sys`.
    pub fn sysctl(&self, values: &[(&str, &str)]) {
        self.enter(|| {
            for (path, value) in values {
                std::fs::write(format!("/proc/sys/{path}"), value).unwrap_or_else(|e| panic!("{path}: {e}"));
            }
        });
    }

    /// Runs a command in the namespace.
    pub fn output(&self, command: &mut Command) -> Output {
        self.enter(|| command.output().unwrap())
    }

    /// What a command line that needs no quotes prints in the namespace. It must succeed.
    pub fn ask(&self, line: &str) -> String {
        let mut words = line.split_whitespace();
        let output = self.output(Command::new(words.next().unwrap()).args(words));
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
