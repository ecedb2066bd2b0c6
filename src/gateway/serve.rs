//! The listener: HTTP or HTTPS, with bounds on connections and on patience.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use axum_server::accept::{Accept, TcpConfigAcceptor, TcpKeepaliveConfig, TcpSocketConfig};
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use futures_util::future::BoxFuture;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Admission;

/// What a listener puts up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at the same time; further ones are closed at once. A router keeps one.
    pub connections: usize,
    /// Time for a new connection to send the headers of its first request.
    pub first_request: Duration,
    /// Time for the headers of a further request, idle time included: longer than a router's pause between two
    /// batches, because a new TLS handshake costs it more bytes than a batch.
    pub next_request: Duration,
    /// Time for a TLS handshake over a bad radio link.
    pub handshake: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 150_000,
            first_request: Duration::from_secs(15),
            next_request: Duration::from_secs(2700),
            handshake: Duration::from_secs(20),
        }
    }
}

/// Idle time after which the kernel asks whether the other side still lives. Rarely, for a router pays for
/// the answer.
const KEEPALIVE: Duration = Duration::from_secs(3600);

/// Time that requests under way get when the server stops.
const GRACE: Duration = Duration::from_secs(10);

/// The files of HTTPS.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Certificate chain of this server, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// Authority that signs the certificates of routers, PEM. Without it routers need a token.
    pub client_authority: Option<PathBuf>,
}

/// Why HTTPS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be used.
    #[error("{}: {detail}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// Open to everybody on an address that others reach.
    #[error(
        "refusing to listen on {0} without knowing who speaks: give tokens or a client authority, \
         or listen on a loopback address"
    )]
    Exposed(SocketAddr),
    /// The address cannot be had.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
}

/// Takes `address`, unless that would let anybody speak for any router.
///
/// # Errors
/// When `admission` is open and the address is not loopback, or the address cannot be had.
pub fn listen(address: SocketAddr, admission: &Admission) -> Result<TcpListener, TlsError> {
    if matches!(admission, Admission::Open) && !address.ip().is_loopback() {
        return Err(TlsError::Exposed(address));
    }
    TcpListener::bind(address).map_err(|error| TlsError::Listen { address, error })
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When one of them cannot be used; names it.
    pub fn load(&self) -> Result<RustlsConfig, TlsError> {
        Ok(RustlsConfig::from_config(Arc::new(self.read()?)))
    }

    /// Reads the files again when they are other than at `seen`. Files that cannot be used change nothing.
    pub(super) fn refresh(&self, config: &RustlsConfig, seen: &mut Seen) {
        let now = self.seen();
        if *seen == now {
            return;
        }
        *seen = now;
        match self.read() {
            Ok(fresh) => {
                config.reload_from_config(Arc::new(fresh));
                tracing::info!(file = %self.certificate.display(), "certificates read again");
            }
            Err(error) => tracing::warn!(%error, "certificates not read again, the old ones stay in force"),
        }
    }

    /// When each of the files was last changed.
    pub(super) fn seen(&self) -> Seen {
        [Some(&self.certificate), Some(&self.key), self.client_authority.as_ref()]
            .map(|path| std::fs::metadata(path?).and_then(|metadata| metadata.modified()).ok())
    }

    fn read(&self) -> Result<rustls::ServerConfig, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| told(&self.certificate, error))?;
        let clients = match &self.client_authority {
            None => versions.with_no_client_auth(),
            Some(path) => {
                let mut roots = rustls::RootCertStore::empty();
                for certificate in certificates(path)? {
                    roots.add(certificate).map_err(|error| told(path, error))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .allow_unauthenticated()
                    .build()
                    .map_err(|error| told(path, error))?;
                versions.with_client_cert_verifier(verifier)
            }
        };
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| told(&self.key, error))?;
        let mut config = clients
            .with_single_cert(certificates(&self.certificate)?, key)
            .map_err(|error| told(&self.certificate, error))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// Times of change of the files of HTTPS.
pub(super) type Seen = [Option<SystemTime>; 3];

fn told(path: &Path, error: impl std::fmt::Display) -> TlsError {
    TlsError::File { path: path.into(), detail: error.to_string() }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Vec<_> =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(|error| told(path, error))?;
    if certificates.is_empty() { Err(told(path, "no certificate in it")) } else { Ok(certificates) }
}

/// Serves `app` until `stop` resolves, then lets requests under way finish.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    tls: Option<RustlsConfig>,
    app: axum::Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    serve_within(Limits::default(), listener, tls, app, stop).await
}

/// [`serve`] with other limits than the usual ones.
///
/// # Errors
/// When the listener fails.
pub async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    tls: Option<RustlsConfig>,
    app: axum::Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    allow_many_files();
    let handle = Handle::new();
    let stopping = handle.clone();
    let watch = tokio::spawn(async move {
        stop.await;
        stopping.graceful_shutdown(Some(GRACE));
    });
    let counted = Counted::new(limits.connections);
    let server = patient(axum_server::from_tcp(listener)?, limits).handle(handle);
    let service = app.into_make_service();
    let outcome = match tls {
        None => server.acceptor(counted).serve(service).await,
        Some(config) => {
            let acceptor = RustlsAcceptor::new(config).handshake_timeout(limits.handshake).acceptor(counted);
            server.acceptor(acceptor).serve(service).await
        }
    };
    watch.abort();
    outcome
}

/// Each connection is an open file, and the usual limit of 1,024 is there for programs that use `select`.
fn allow_many_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

fn patient(server: Server<SocketAddr>, limits: Limits) -> Server<SocketAddr> {
    let mut server = server.first_request_timeout(limits.first_request);
    server.http_builder().http1().header_read_timeout(limits.next_request);
    server.http_builder().http2().max_concurrent_streams(16);
    server
}

/// Sets socket options and refuses connections beyond [`Limits::connections`].
#[derive(Clone)]
struct Counted {
    options: TcpConfigAcceptor,
    places: Arc<Semaphore>,
}

impl Counted {
    fn new(connections: usize) -> Self {
        let keepalive = TcpKeepaliveConfig::new().time(KEEPALIVE);
        let options = TcpConfigAcceptor::new(TcpSocketConfig::new().nodelay(true).keepalive(keepalive));
        Self { options, places: Arc::new(Semaphore::new(connections)) }
    }
}

impl<S: Send + 'static> Accept<TcpStream, S> for Counted {
    type Stream = CountedStream;
    type Service = S;
    type Future = BoxFuture<'static, io::Result<(CountedStream, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let accepted = self.options.accept(stream, service);
        Box::pin(async move {
            let place = place.map_err(|_| io::Error::other("too many connections"))?;
            let (stream, service) = accepted.await?;
            Ok((CountedStream { stream, _place: place }, service))
        })
    }
}

/// A connection that gives its place back when it ends.
struct CountedStream {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl AsyncRead for CountedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
