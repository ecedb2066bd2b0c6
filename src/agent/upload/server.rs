//! The server that central is, and a connection to it: HTTP/2 where it is spoken, for its headers cost a few bytes from
//! the second request on; HTTP/1.1 otherwise.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use h2::client as http2;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::meter::{Meter, Metered};
use crate::config::Upload;

/// Where the certificates of the system lie: Debian and OpenWrt, Fedora, BSD and Alpine.
const SYSTEM_ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Asks for what is at `path` of the server at `address`, once: status and body, of which no more than `most` bytes are
/// taken.
///
/// # Errors
/// When the address is none, or nobody answers in time.
pub async fn get(address: &str, path: &str, most: usize, limit: Duration) -> anyhow::Result<(u16, Bytes)> {
    let server = Server::new(address, || tls_config(&Upload::default()))?;
    let exchange = async {
        let mut connection = server.connect(&Arc::default(), limit).await?;
        let request = server.request(Method::GET, path, &connection, Bytes::new())?;
        connection.exchange(request, most).await
    };
    let answer =
        timeout(limit, exchange).await.unwrap_or_else(|_| Err(format!("no answer within {limit:?}")));
    let answer = answer.map_err(anyhow::Error::msg)?;
    Ok((answer.status().as_u16(), answer.into_body()))
}

/// Where a server is and how it is spoken to.
pub struct Server {
    base: String,
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
}

impl Server {
    /// The server at `address`, such as `https://central.example.net`; `tls` is asked for where that needs it. Connects
    /// to nobody yet.
    ///
    /// # Errors
    /// When `address` is none, or `tls` fails.
    pub fn new(address: &str, tls: impl FnOnce() -> anyhow::Result<ClientConfig>) -> anyhow::Result<Self> {
        let base = address.trim_end_matches('/').to_owned();
        let uri: Uri = base.parse()?;
        let host = uri.host().context("it names no host")?.to_owned();
        let tls = match uri.scheme_str() {
            Some("https") => Some(TlsConnector::from(Arc::new(tls()?))),
            Some("http") => None,
            _ => anyhow::bail!("expected an address like https://central.example.net"),
        };
        let port = uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
        Ok(Self { base, host, port, tls })
    }

    /// Host and port.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// A request for `path` in the form that `connection` wants.
    ///
    /// # Errors
    /// When `path` is none.
    pub fn request(
        &self,
        method: Method,
        path: &str,
        connection: &Connection,
        body: Bytes,
    ) -> Result<Request<Bytes>, String> {
        let uri: Uri = format!("{}{path}", self.base).parse().map_err(|error| format!("{path}: {error}"))?;
        let mut request = Request::new(body);
        *request.method_mut() = method;
        if let (Sender::Http1(_), Some(authority), Some(path)) =
            (&connection.sender, uri.authority(), uri.path_and_query())
        {
            // HTTP/1.1 wants the path alone and the host as a header; HTTP/2 takes both from the address.
            if let Ok(host) = HeaderValue::try_from(authority.as_str()) {
                request.headers_mut().insert(header::HOST, host);
            }
            *request.uri_mut() = path.clone().into();
        } else {
            *request.uri_mut() = uri;
        }
        Ok(request)
    }

    /// Connects, within `limit`; what passes is counted.
    ///
    /// # Errors
    /// When nobody answers, or TLS is not agreed on.
    pub async fn connect(&self, meter: &Arc<Meter>, limit: Duration) -> Result<Connection, String> {
        timeout(limit, self.connect_now(meter))
            .await
            .unwrap_or_else(|_| Err(format!("no connection within {limit:?}")))
    }

    async fn connect_now(&self, meter: &Arc<Meter>) -> Result<Connection, String> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let socket = TcpStream::connect((host, self.port)).await.map_err(|error| error.to_string())?;
        socket.set_nodelay(true).map_err(|error| error.to_string())?;
        meter.connected();
        let socket = Metered::new(socket, Arc::clone(meter));
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
    Http2(http2::SendRequest<Bytes>),
}

/// A connection and the task that moves its bytes, which ends with it.
pub struct Connection {
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
        let handshake = http2::Builder::new().enable_push(false).handshake(socket).await;
        let (sender, driver) = handshake.map_err(|error| told(&error))?;
        let driver = tokio::spawn(async { drop(driver.await) });
        Ok(Self { sender: Sender::Http2(sender), driver })
    }

    /// Sends a request and waits for all of the answer, of which no more than `most` bytes are taken.
    ///
    /// # Errors
    /// When the connection breaks, or the answer is too long. It is then not to be used again.
    pub async fn exchange(
        &mut self,
        request: Request<Bytes>,
        most: usize,
    ) -> Result<Response<Bytes>, String> {
        match &mut self.sender {
            Sender::Http1(sender) => exchange_http1(sender, request, most).await,
            Sender::Http2(sender) => exchange_http2(sender, request, most).await,
        }
    }
}

async fn exchange_http1(
    sender: &mut http1::SendRequest<Full<Bytes>>,
    request: Request<Bytes>,
    most: usize,
) -> Result<Response<Bytes>, String> {
    sender.ready().await.map_err(|error| told(&error))?;
    let answer = sender.send_request(request.map(Full::new)).await.map_err(|error| told(&error))?;
    let (parts, body) = answer.into_parts();
    let body = Limited::new(body, most).collect().await.map_err(|error| error.to_string())?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}

/// Header and body are handed over together, so that they leave in one packet.
async fn exchange_http2(
    sender: &http2::SendRequest<Bytes>,
    request: Request<Bytes>,
    most: usize,
) -> Result<Response<Bytes>, String> {
    let told = |error: h2::Error| told(&error);
    let mut sender = sender.clone().ready().await.map_err(told)?;
    let (parts, body) = request.into_parts();
    let (answer, mut way) =
        sender.send_request(Request::from_parts(parts, ()), body.is_empty()).map_err(told)?;
    if !body.is_empty() {
        way.send_data(body, true).map_err(told)?;
    }
    let (parts, mut body) = answer.await.map_err(told)?.into_parts();
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(told)?;
        if bytes.len() + piece.len() > most {
            return Err(format!("the answer has more than {most} bytes"));
        }
        bytes.extend_from_slice(&piece);
        body.flow_control().release_capacity(piece.len()).map_err(told)?;
    }
    Ok(Response::from_parts(parts, bytes.into()))
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

/// Trusts what `options` name, the authorities of the system without, and shows the certificate that they name.
///
/// # Errors
/// When a file cannot be read or used.
pub fn tls_config(options: &Upload) -> anyhow::Result<ClientConfig> {
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
            let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
                .and_then(Iterator::collect)
                .with_context(|| format!("read certificate {}", certificate.display()))?;
            anyhow::ensure!(!chain.is_empty(), "{} holds no certificate", certificate.display());
            let secret =
                PrivateKeyDer::from_pem_file(key).with_context(|| format!("read key {}", key.display()))?;
            builder.with_client_auth_cert(chain, secret).with_context(|| {
                format!("certificate {} with key {}", certificate.display(), key.display())
            })?
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
