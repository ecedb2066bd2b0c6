//! `tandem central` as a program: over TLS with tokens, ended and begun again, and what it says when it cannot begin.

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Client;

use super::events::status;
use super::started::{Started, central, start};
use super::tls::{Authority, authority, files};
use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// One that listens; killed with the value.
struct Program {
    child: Child,
    port: u16,
}

impl Program {
    fn start(data: &Path, arguments: &[&str]) -> Self {
        let Started { child, address, lines } = start(central(data).args(arguments));
        let address: std::net::SocketAddr = address.parse().unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, port: address.port() }
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// SIGTERM. Connections that are kept without use hold up nothing.
    async fn stop(mut self) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM).unwrap();
        let end = Instant::now() + Duration::from_secs(9);
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it does not end when told");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Trusts the authority of the servers alone.
fn client(servers: &Authority) -> Client {
    let authority = reqwest::Certificate::from_pem(servers.as_ref().pem().as_bytes()).unwrap();
    Client::builder().no_proxy().tls_certs_only([authority]).timeout(PATIENCE).build().unwrap()
}

async fn answer(client: &Client, url: &str) -> (u16, Value) {
    let response = client.get(url).send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
}

#[tokio::test]
async fn the_program_takes_events_over_tls_by_token_and_knows_them_after_a_restart() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let (servers, clients) = (authority("servers"), authority("clients"));
    let tls = files(folder.path(), &servers, &clients);
    let tokens = folder.path().join("tokens.toml");
    std::fs::write(&tokens, format!("[routers]\nr1 = \"{TOKEN_1}\"\n")).unwrap();
    let words = [&tokens, &tls.certificate, &tls.key].map(|path| path.to_str().unwrap());
    let arguments = ["--tokens", words[0], "--tls-cert", words[1], "--tls-key", words[2]];
    let (data, client) = (folder.path().join("data"), client(&servers));

    let program = Program::start(&data, &arguments);
    let post = |token: &str| {
        let request = client.post(program.url("/v1/events")).bearer_auth(token);
        request.header(header::CONTENT_TYPE, BATCH_MEDIA_TYPE).body(batch(&[status("r1", 1)])).send()
    };
    assert_eq!(post("another-token-altogether").await.unwrap().status(), 401);
    assert_eq!(post(TOKEN_1).await.unwrap().status(), 200);
    let end = Instant::now() + PATIENCE;
    while answer(&client, &program.url("/v1/routers/r1")).await.0 != 200 {
        assert!(Instant::now() < end, "it is never told of r1");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (ready, told) = answer(&client, &program.url("/readyz")).await;
    assert_eq!(
        (ready, &told["ready"], &told["faults"]),
        (200, &true.into(), &Value::Array(Vec::new())),
        "{told}"
    );

    let second = central(&data).output().unwrap();
    let text = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success() && text.contains("in use by another process"), "{text}");
    assert!(text.contains(data.to_str().unwrap()), "{text}");
    program.stop().await;

    let again = Program::start(&data, &arguments);
    let (found, router) = answer(&client, &again.url("/v1/routers/r1")).await;
    assert_eq!((found, &router["completeness"]["received"]), (200, &1.into()), "{router}");
    again.stop().await;
}

#[test]
fn what_it_cannot_begin_with_is_named_and_nothing_is_begun() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (broken, pem) =
        (write("tokens.toml", "[routers]\nr1 = 7\n"), write("server.pem", "no certificate\n"));
    for (arguments, named) in [
        (&["--tokens", &broken][..], &["tokens.toml"][..]),
        (&["--tokens", "/none/tokens"], &["/none/tokens"]),
        (&["--tls-cert", &pem, "--tls-key", &pem], &["server.pem"]),
        (&["--tls-cert", &pem], &["--tls-key"]),
        (&["--role", "fold"], &["--stream"]),
        (&["--listen", "0.0.0.0:0"], &["0.0.0.0:0", "--tls-cert"]),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
        command.args(["central", "--data"]).arg(folder.path().join("data"));
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let output = command.args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(named.iter().all(|named| text.contains(named)), "{arguments:?}: {text}");
    }
}
