//! One kept connection to central: a batch out, an answer back.
//!
//! HTTP/2 where central speaks it, for its headers cost a few bytes from the second request on; HTTP/1.1
//! otherwise. The answer is not trusted: its size is bounded, and no encoding is asked for or undone.
//!
//! A future of [`Wire::post`] may be dropped at any time: the connection is then not used again, and the batch
//! is sent again, which is harmless.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::meter::{Meter, Metered};
use crate::config::Upload;
use crate::event::{BATCH_MEDIA_TYPE, SPAN_HEADER, Span};

/// An acknowledgement takes 70 bytes, a problem document a few hundred.
const ANSWER_MAX_BYTES: usize = 16 * 1024;
/// Where the certificates of the system lie: Debian and OpenWrt, Fedora, BSD and Alpine.
const SYSTEM_ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// How long central may take.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// Name look-up, TCP and TLS together.
    pub connect: Duration,
    /// From the first byte sent to the last byte of the answer.
    pub answer: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { connect: Duration::from_secs(20), answer: Duration::from_secs(30) }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The connection could not be made.
    #[error("connect to {authority}: {cause}")]
    Connect {
        /// Host and port.
        authority: String,
        /// What went wrong.
        cause: String,
    },
    /// It broke, or the answer could not be read.
    #[error("exchange with {authority}: {cause}")]
    Exchange {
        /// Host and port.
        authority: String,
        /// What went wrong.
        cause: String,
    },
}

/// What central said.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Retry-After` as it came.
    pub retry_after: Option<String>,
    /// `Date` as it came: the clock that a date in `Retry-After` is told by.
    pub date: Option<String>,
    /// The body.
    pub body: Bytes,
}

/// The way to central.
pub struct Wire {
    host: String,
    port: u16,
    uri: Uri,
    tls: Option<TlsConnector>,
    headers: HeaderMap,
    meter: Arc<Meter>,
    deadlines: Deadlines,
    connection: Option<Connection>,
}

impl Wire {
    /// Reads certificates and token; connects to nobody yet.
    ///
    /// # Errors
    /// When `to` is no address, or a file cannot be read or used.
    pub fn new(options: &Upload, deadlines: Deadlines, meter: Arc<Meter>) -> anyhow::Result<Self> {
        use anyhow::Context as _;
        let to = options.to.as_deref().context("[upload] to is not set")?;
        let base: Uri = to.trim_end_matches('/').parse().with_context(|| format!("[upload] to = {to:?}"))?;
        let host = base.host().with_context(|| format!("[upload] to = {to:?} names no host"))?.to_owned();
        let tls = match base.scheme_str() {
            Some("https") => Some(TlsConnector::from(Arc::new(tls_config(options)?))),
            Some("http") => None,
            _ => anyhow::bail!("[upload] to = {to:?}: expected an address like https://central.example.net"),
        };
        let port = base.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
        let uri = format!("{}/v1/events", to.trim_end_matches('/')).parse().context("[upload] to")?;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(BATCH_MEDIA_TYPE));
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("zstd"));
        if let Some(token) = token(options)? {
            // Not marked as sensitive: that would send it in full with every request. The table it is
            // remembered in belongs to this connection alone.
            let bearer = HeaderValue::try_from(format!("Bearer {token}"))
                .context("the token is not one line of ASCII")?;
            headers.insert(header::AUTHORIZATION, bearer);
        }
        Ok(Self { host, port, uri, tls, headers, meter, deadlines, connection: None })
    }

    /// Sends a packed batch and waits for the answer. A kept connection that turns out to be dead is replaced
    /// once: carriers drop idle ones without a word.
    ///
    /// # Errors
    /// When nobody answers in time.
    pub async fn post(&mut self, body: Bytes, span: Span) -> Result<Answer, WireError> {
        if let Some(connection) = self.connection.take() {
            match self.exchange(connection, body.clone(), span).await {
                Err(error) => tracing::debug!(%error, "kept connection is dead, making another"),
                answered => return answered,
            }
        }
        let connection = tokio::time::timeout(self.deadlines.connect, self.connect())
            .await
            .unwrap_or_else(|_| Err(format!("no connection within {:?}", self.deadlines.connect)))
            .map_err(|cause| WireError::Connect { authority: self.authority(), cause })?;
        self.exchange(connection, body, span).await
    }

    /// Closes the connection.
    pub fn close(&mut self) {
        self.connection = None;
    }

    fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The connection is put back only after a whole answer.
    async fn exchange(
        &mut self,
        mut connection: Connection,
        body: Bytes,
        span: Span,
    ) -> Result<Answer, WireError> {
        let request = self.request(&connection, body, span);
        let answer = tokio::time::timeout(self.deadlines.answer, async {
            let response = connection.send(request).await?;
            let (parts, body) = response.into_parts();
            let text = |name: HeaderName| Some(parts.headers.get(name)?.to_str().ok()?.to_owned());
            let answer = Answer {
                status: parts.status.as_u16(),
                retry_after: text(header::RETRY_AFTER),
                date: text(header::DATE),
                body: Bytes::new(),
            };
            let body =
                Limited::new(body, ANSWER_MAX_BYTES).collect().await.map_err(|error| error.to_string())?;
            Ok(Answer { body: body.to_bytes(), ..answer })
        })
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {:?}", self.deadlines.answer)))
        .map_err(|cause: String| WireError::Exchange { authority: self.authority(), cause })?;
        self.connection = Some(connection);
        Ok(answer)
    }

    fn request(&self, connection: &Connection, body: Bytes, span: Span) -> Request<Full<Bytes>> {
        let mut request =
            Request::post(self.uri.clone()).body(Full::new(body)).expect("a request without headers");
        *request.headers_mut() = self.headers.clone();
        let span = HeaderValue::try_from(span.to_string()).expect("a span is digits and dashes");
        request.headers_mut().insert(HeaderName::from_static(SPAN_HEADER), span);
        if matches!(connection.sender, Sender::Http1(_)) {
            // HTTP/1.1 wants the path alone and the host as a header; HTTP/2 takes both from the address.
            if let Some(authority) =
                self.uri.authority().and_then(|host| HeaderValue::try_from(host.as_str()).ok())
            {
                request.headers_mut().insert(header::HOST, authority);
            }
            if let Some(path) = self.uri.path_and_query() {
                *request.uri_mut() = path.clone().into();
            }
        }
        request
    }

    async fn connect(&self) -> Result<Connection, String> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let socket = TcpStream::connect((host, self.port)).await.map_err(|error| error.to_string())?;
        socket.set_nodelay(true).map_err(|error| error.to_string())?;
        self.meter.connected();
        let socket = Metered::new(socket, Arc::clone(&self.meter));
        let Some(tls) = &self.tls else { return Connection::http1(socket).await };
        let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        let socket = tls.connect(name, socket).await.map_err(|error| error.to_string())?;
        if socket.get_ref().1.alpn_protocol() == Some(b"h2") {
            Connection::http2(socket).await
        } else {
            Connection::http1(socket).await
        }
    }
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// A connection and the task that moves its bytes, which ends with it.
struct Connection {
    sender: Sender,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    async fn http1<S>(socket: S) -> Result<Self, String>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, driver) =
            http1::handshake(TokioIo::new(socket)).await.map_err(|error| error.to_string())?;
        let driver = tokio::spawn(async { drop(driver.await) });
        Ok(Self { sender: Sender::Http1(sender), driver })
    }

    async fn http2<S>(socket: S) -> Result<Self, String>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, driver) = http2::Builder::new(TokioExecutor::new())
            // An answer is small: a large window would only be announced.
            .initial_stream_window_size(None)
            .initial_connection_window_size(None)
            .handshake(TokioIo::new(socket))
            .await
            .map_err(|error| error.to_string())?;
        let driver = tokio::spawn(async { drop(driver.await) });
        Ok(Self { sender: Sender::Http2(sender), driver })
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, String> {
        match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await.map_err(|error| told(&error))?;
                sender.send_request(request).await
            }
            Sender::Http2(sender) => {
                sender.ready().await.map_err(|error| told(&error))?;
                sender.send_request(request).await
            }
        }
        .map_err(|error| told(&error))
    }
}

/// An error with its causes.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

fn token(options: &Upload) -> anyhow::Result<Option<String>> {
    use anyhow::Context as _;
    match (&options.token, &options.token_file) {
        (Some(token), _) => Ok(Some(token.reveal().to_owned())),
        (None, Some(path)) => {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("read token {}", path.display()))?;
            Ok(Some(text.trim().to_owned()))
        }
        (None, None) => Ok(None),
    }
}

fn tls_config(options: &Upload) -> anyhow::Result<ClientConfig> {
    use anyhow::Context as _;
    let mut roots = RootCertStore::empty();
    let path = match &options.ca_file {
        Some(path) => path.clone(),
        None => SYSTEM_ROOTS
            .iter()
            .map(std::path::PathBuf::from)
            .find(|path| path.exists())
            .context("no certificates of the system found: set [upload] ca-file")?,
    };
    let read = || format!("read certificates {}", path.display());
    let (added, _) = roots.add_parsable_certificates(
        CertificateDer::pem_file_iter(&path)
            .with_context(read)?
            .collect::<Result<Vec<_>, _>>()
            .with_context(read)?,
    );
    anyhow::ensure!(added > 0, "{} holds no certificate that can be used", path.display());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("TLS versions")?
        .with_root_certificates(roots);
    let mut config = match (&options.cert_file, &options.key_file) {
        (Some(certificate), Some(key)) => {
            let chain = CertificateDer::pem_file_iter(certificate)
                .and_then(Iterator::collect)
                .with_context(|| format!("read certificate {}", certificate.display()))?;
            let key =
                PrivateKeyDer::from_pem_file(key).with_context(|| format!("read key {}", key.display()))?;
            builder.with_client_auth_cert(chain, key).context("[upload] cert-file and key-file")?
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
