//! Clients that hold connections without saying anything: cut off, while others are served.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tandem::gateway::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::events::status;
use super::*;

const FIRST: Duration = Duration::from_millis(800);
const NEXT: Duration = Duration::from_millis(1_200);
const HANDSHAKE: Duration = Duration::from_millis(600);
/// A cut that comes later is none.
const LATE: Duration = Duration::from_secs(20);

/// A gateway on a port of its own that is easily offended.
async fn served(connections: usize, tls: Option<gateway::Tls>) -> SocketAddr {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = gateway::listen(([127, 0, 0, 1], 0).into(), &Admission::Open).unwrap();
    let address = listener.local_addr().unwrap();
    let app = Bench::open().await.app;
    let limits = Limits { connections, first_request: FIRST, next_request: NEXT, handshake: HANDSHAKE };
    let tls = tls.map(|tls| tls.load().unwrap());
    tokio::spawn(gateway::serve_within(limits, listener, tls, app, std::future::pending()));
    address
}

/// A whole request; what is answered.
async fn request(connection: &mut TcpStream) -> std::io::Result<String> {
    let body = batch(&[status("r1", 1)]);
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: g\r\nContent-Type: {BATCH_MEDIA_TYPE}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all((head + &body).as_bytes()).await?;
    let mut answer = vec![0; 4096];
    let length = connection.read(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

/// How long it takes until the other side has closed.
async fn until_closed(connection: &mut TcpStream) -> Duration {
    let began = Instant::now();
    let mut rest = [0; 1024];
    loop {
        let read = tokio::time::timeout(LATE, connection.read(&mut rest)).await;
        match read.expect("the other side closes") {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                assert!(
                    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
                    "{error}"
                );
                break;
            }
        }
    }
    began.elapsed()
}

#[tokio::test]
async fn who_says_nothing_is_cut_off() {
    let address = served(100, None).await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    let took = until_closed(&mut silent).await;
    assert!(took >= FIRST / 2 && took < LATE, "{took:?}");
}

#[tokio::test]
async fn who_drips_headers_is_cut_off_while_others_are_served() {
    let address = served(100, None).await;
    let mut slow = TcpStream::connect(address).await.unwrap();
    let (mut read, mut write) = slow.split();
    let dripping = async {
        write.write_all(b"POST /v1/events HTTP/1.1\r\nHost: g\r\n").await.unwrap();
        for n in 0_u64.. {
            if write.write_all(format!("X-{n}: drip\r\n").as_bytes()).await.is_err() {
                return;
            }
            let mut quick = TcpStream::connect(address).await.unwrap();
            let answer = request(&mut quick).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut rest = Vec::new();
    tokio::select! {
        () = dripping => {}
        closed = tokio::time::timeout(LATE, read.read_to_end(&mut rest)) => {
            let _ = closed.expect("headers that never end are not waited for");
        }
    }
}

#[tokio::test]
async fn who_keeps_a_connection_without_using_it_is_cut_off_later() {
    let address = served(100, None).await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    for _ in 0..3 {
        assert!(request(&mut idle).await.unwrap().starts_with("HTTP/1.1 200"));
    }
    let took = until_closed(&mut idle).await;
    assert!(took > FIRST && took < LATE, "longer than a new one: {took:?}");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_at_once_and_places_come_back() {
    let address = served(2, None).await;
    let mut first = TcpStream::connect(address).await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    assert!(request(&mut first).await.unwrap().starts_with("HTTP/1.1 200"));
    assert!(request(&mut second).await.unwrap().starts_with("HTTP/1.1 200"));
    let mut third = TcpStream::connect(address).await.unwrap();
    let took = until_closed(&mut third).await;
    assert!(took < FIRST, "{took:?}");
    assert!(request(&mut first).await.unwrap().starts_with("HTTP/1.1 200"), "those inside stay");
    drop(second);
    let deadline = Instant::now() + LATE;
    loop {
        let mut again = TcpStream::connect(address).await.unwrap();
        if request(&mut again).await.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
            break;
        }
        assert!(Instant::now() < deadline, "the place of one that left is not given to another");
    }
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let (servers, clients) = (super::tls::authority("servers"), super::tls::authority("clients"));
    let tls = super::tls::files(folder.path(), &servers, &clients);
    let address = served(100, Some(tls)).await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    let took = until_closed(&mut silent).await;
    assert!(took >= HANDSHAKE / 2 && took < LATE, "{took:?}");
    let mut gibberish = TcpStream::connect(address).await.unwrap();
    gibberish.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(until_closed(&mut gibberish).await < LATE);
}
