//! Bytes that telemetry takes on the wire: those of the socket, TLS included, as they pass, and an estimate of
//! the packet headers around them. A router pays for both.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// IPv4 and TCP headers with timestamps; IPv6 takes 20 more.
const HEADER_BYTES: u64 = 52;
/// Payload of a full segment on a usual LTE link.
const SEGMENT_BYTES: u64 = 1388;
/// SYN, SYN-ACK, ACK and the two FINs with their acknowledgements, each way about half.
const CONNECTION_BYTES: u64 = 3 * 60;

/// Counts for one router, shared by its connections.
#[derive(Debug, Default)]
pub struct Meter {
    sent_bytes: AtomicU64,
    received_bytes: AtomicU64,
}

impl Meter {
    /// Takes what was counted since the last call: bytes sent, bytes received.
    pub fn take(&self) -> (u64, u64) {
        (self.sent_bytes.swap(0, Ordering::Relaxed), self.received_bytes.swap(0, Ordering::Relaxed))
    }

    /// Counts what another told of its connections.
    #[cfg(feature = "kafka")]
    pub(super) fn add(&self, sent: u64, received: u64) {
        self.passed(&self.sent_bytes, &self.received_bytes, usize::try_from(sent).unwrap_or(usize::MAX));
        self.passed(&self.received_bytes, &self.sent_bytes, usize::try_from(received).unwrap_or(usize::MAX));
    }

    pub(super) fn connected(&self) {
        self.sent_bytes.fetch_add(CONNECTION_BYTES, Ordering::Relaxed);
        self.received_bytes.fetch_add(CONNECTION_BYTES, Ordering::Relaxed);
    }

    /// A write or read of `bytes` is so many packets one way and an acknowledgement for two of them the other.
    fn passed(&self, there: &AtomicU64, back: &AtomicU64, bytes: usize) {
        let bytes = bytes as u64;
        if bytes > 0 {
            let packets = bytes.div_ceil(SEGMENT_BYTES);
            there.fetch_add(bytes + packets * HEADER_BYTES, Ordering::Relaxed);
            back.fetch_add(packets.div_ceil(2) * HEADER_BYTES, Ordering::Relaxed);
        }
    }
}

/// A socket whose bytes are counted.
#[derive(Debug)]
pub struct Metered<S> {
    socket: S,
    meter: Arc<Meter>,
}

impl<S> Metered<S> {
    pub fn new(socket: S, meter: Arc<Meter>) -> Self {
        Self { socket, meter }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let polled = Pin::new(&mut self.socket).poll_read(cx, into);
        let meter = &self.meter;
        meter.passed(&meter.received_bytes, &meter.sent_bytes, into.filled().len() - before);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = &polled {
            self.meter.passed(&self.meter.sent_bytes, &self.meter.received_bytes, *written);
        }
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write_vectored(cx, pieces);
        if let Poll::Ready(Ok(written)) = &polled {
            self.meter.passed(&self.meter.sent_bytes, &self.meter.received_bytes, *written);
        }
        polled
    }

    /// Passed on, because TLS then sends its records as one packet instead of one each.
    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
