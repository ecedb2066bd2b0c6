//! One kept connection to central: a batch out, an answer back.
//!
//! The answer is not trusted: its size is bounded, and no encoding is asked for or undone.
//!
//! A future of [`Wire::post`] may be dropped at any time: the connection is then not used again, and the batch
//! is sent again, which is harmless.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request};

use super::meter::Meter;
use super::server::{Connection, Server, tls_config};
use crate::config::Upload;
use crate::event::{BATCH_MEDIA_TYPE, SPAN_HEADER, Span};

/// An acknowledgement takes 70 bytes, a problem document a few hundred.
const ANSWER_MAX_BYTES: usize = 16 * 1024;

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
    server: Server,
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
        let server =
            Server::new(to, || tls_config(options)).with_context(|| format!("[upload] to = {to:?}"))?;
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
        Ok(Self { server, headers, meter, deadlines, connection: None })
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
        let connection = self.server.connect(&self.meter, self.deadlines.connect).await;
        let connection =
            connection.map_err(|cause| WireError::Connect { authority: self.server.authority(), cause })?;
        self.exchange(connection, body, span).await
    }

    /// Closes the connection.
    pub fn close(&mut self) {
        self.connection = None;
    }

    /// The connection is put back only after a whole answer.
    async fn exchange(
        &mut self,
        mut connection: Connection,
        body: Bytes,
        span: Span,
    ) -> Result<Answer, WireError> {
        let told = async {
            let request = self.request(&connection, body, span)?;
            connection.exchange(request, ANSWER_MAX_BYTES).await
        };
        let told = tokio::time::timeout(self.deadlines.answer, told).await;
        let told = told.unwrap_or_else(|_| Err(format!("no answer within {:?}", self.deadlines.answer)));
        let response =
            told.map_err(|cause| WireError::Exchange { authority: self.server.authority(), cause })?;
        let text = |name: HeaderName| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let answer = Answer {
            status: response.status().as_u16(),
            retry_after: text(header::RETRY_AFTER),
            date: text(header::DATE),
            body: response.into_body(),
        };
        self.connection = Some(connection);
        Ok(answer)
    }

    fn request(&self, connection: &Connection, body: Bytes, span: Span) -> Result<Request<Bytes>, String> {
        let mut request = self.server.request(Method::POST, "/v1/events", connection, body)?;
        request.headers_mut().extend(self.headers.clone());
        let span = HeaderValue::try_from(span.to_string()).expect("a span is digits and dashes");
        request.headers_mut().insert(HeaderName::from_static(SPAN_HEADER), span);
        Ok(request)
    }
}

pub(super) fn token(options: &Upload) -> anyhow::Result<Option<String>> {
    use anyhow::Context as _;
    match (&options.token, &options.token_file) {
        (Some(token), _) => Ok(Some(token.reveal().to_owned())),
        (None, Some(path)) => {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("read token {}", path.display()))?;
            let token = text.trim();
            let is_line = !token.is_empty() && !token.contains(char::is_control);
            anyhow::ensure!(is_line, "token {}: expected one line", path.display());
            Ok(Some(token.to_owned()))
        }
        (None, None) => Ok(None),
    }
}
