//! The far side: servers that answer at the same addresses through every carrier and the wired circuit. They say from
//! which address a client came, so a client knows which way its packets went.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::{Instant, sleep_until};

use super::Space;

/// Answers DNS and ping.
pub const NAME_SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 53));
/// Answers the rest, and ping.
pub const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 80));
/// As [`SERVER`].
pub const SERVER_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0x80));
/// UDP: sends each datagram back, with the client's address as text before it, ended by a space.
pub const REFLECT: u16 = 7;
/// TCP: `GET /BYTES/RATE` gives that many bytes, at that many a second.
pub const DOWNLOAD: u16 = 80;
const DNS: u16 = 53;

/// Starts all servers in the current runtime; they end with it.
pub fn start(space: &Space) {
    for address in [SERVER, SERVER_V6] {
        tokio::spawn(reflect(udp(space, SocketAddr::new(address, REFLECT))));
        tokio::spawn(downloads(tcp(space, SocketAddr::new(address, DOWNLOAD))));
    }
    tokio::spawn(names(udp(space, SocketAddr::new(NAME_SERVER, DNS))));
}

/// A UDP socket in a namespace.
pub fn udp(space: &Space, address: SocketAddr) -> UdpSocket {
    let socket = space.enter(|| std::net::UdpSocket::bind(address).unwrap());
    socket.set_nonblocking(true).unwrap();
    UdpSocket::from_std(socket).unwrap()
}

/// A TCP listener in a namespace.
pub fn tcp(space: &Space, address: SocketAddr) -> TcpListener {
    let socket = space.enter(|| std::net::TcpListener::bind(address).unwrap());
    socket.set_nonblocking(true).unwrap();
    TcpListener::from_std(socket).unwrap()
}

async fn reflect(socket: UdpSocket) {
    let mut buffer = [0; 2048];
    loop {
        // An earlier answer may have met a dead end, which is told here.
        let Ok((len, from)) = socket.recv_from(&mut buffer).await else { continue };
        let mut answer = format!("{} ", from.ip()).into_bytes();
        answer.extend(&buffer[..len]);
        let _ = socket.send_to(&answer, from).await;
    }
}

async fn downloads(listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        tokio::spawn(download(stream));
    }
}

async fn download(mut stream: TcpStream) -> Option<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") && request.len() < 4096 {
        request.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8(request).ok()?;
    let mut parts = text.split(' ').nth(1)?.trim_start_matches('/').split('/');
    let size: usize = parts.next()?.parse().ok()?;
    let rate: usize = parts.next().and_then(|rate| rate.parse().ok()).unwrap_or(usize::MAX);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    let (start, tick) = (Instant::now(), Duration::from_millis(20));
    let (mut sent, mut ticks) = (0, 0);
    while sent < size {
        let part = (rate / 50).clamp(1, 65_536).min(size - sent);
        stream.write_all(&vec![b'.'; part]).await.ok()?;
        sent += part;
        if rate != usize::MAX {
            ticks += 1;
            sleep_until(start + tick * ticks).await;
        }
    }
    stream.shutdown().await.ok()
}

/// Every name has the address of [`SERVER`] (RFC 1035, 4.1).
async fn names(socket: UdpSocket) {
    let mut buffer = [0; 512];
    loop {
        let Ok((len, from)) = socket.recv_from(&mut buffer).await else { continue };
        // Header, labels of one name with the empty one at the end, type and class.
        let Some(name_len) = buffer[..len].get(12..).and_then(|rest| rest.iter().position(|byte| *byte == 0))
        else {
            continue;
        };
        let Some(question) = buffer[..len].get(..12 + name_len + 5) else { continue };
        // The question back, as an answer without errors that holds one address.
        let mut answer = question.to_vec();
        answer[2..4].copy_from_slice(&[0x81, 0x80]);
        answer[6..12].copy_from_slice(&[0, 1, 0, 0, 0, 0]);
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 80]);
        let _ = socket.send_to(&answer, from).await;
    }
}
