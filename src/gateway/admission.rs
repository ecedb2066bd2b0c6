//! Who speaks: the router that a token or a client certificate names.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::SystemTime;

use axum::http::{HeaderMap, header};
use axum_server::tls::TlsInfo;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::Refusal;
use crate::event::RouterName;

/// Shortest token taken in clear: 16 characters of base64 are 96 bits.
const TOKEN_CHARS_MIN: usize = 16;

/// How routers prove who they are.
#[derive(Debug)]
pub enum Admission {
    /// They need not: a batch is from whom its events say. Only behind a loopback address (see
    /// [`super::listen`]).
    Open,
    /// By client certificate, or by token where there are any.
    Proven(Option<Tokens>),
}

/// The tokens of a file, read again by [`Admission::refresh`]:
///
/// ```toml
/// [routers]
/// branch-0042 = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
/// branch-0043 = "a-token-in-clear-of-16-characters-or-more"
/// ```
#[derive(Debug)]
pub struct Tokens {
    path: PathBuf,
    table: RwLock<(Option<SystemTime>, Arc<Table>)>,
}

/// Router by SHA-256 of its token. Finding a digest in a table may take longer or shorter, but tells at most
/// about the digest of a guess, never about a token.
type Table = HashMap<[u8; 32], RouterName>;

/// Why a file of tokens is not taken.
#[derive(Debug, thiserror::Error)]
pub enum AdmissionError {
    /// Cannot be read.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Not as it should be.
    #[error("{}: {detail}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        detail: String,
    },
}

impl Admission {
    /// The router that speaks; `None` when nobody needs to say.
    pub(super) fn who_speaks(
        &self,
        headers: &HeaderMap,
        tls: Option<&TlsInfo>,
        now: DateTime<Utc>,
    ) -> Result<Option<RouterName>, Refusal> {
        let Self::Proven(tokens) = self else { return Ok(None) };
        let certificate = tls.and_then(|tls| tls.peer_certificates.first());
        let by_certificate = certificate.map(|der| router_of_certificate(der, now)).transpose()?;
        let by_token = bearer(headers).map(|token| router_of_token(token, tokens.as_ref())).transpose()?;
        match (by_certificate, by_token) {
            (Some(certificate), Some(token)) if certificate != token => {
                Err(Refusal::TwoSpeakers { certificate, token })
            }
            (Some(router), _) | (None, Some(router)) => Ok(Some(router)),
            (None, None) => Err(Refusal::Unauthorized(
                "send the router's token as 'Authorization: Bearer …', or connect with its client certificate"
                    .into(),
            )),
        }
    }

    /// Reads the tokens again when their file has changed. A file that cannot be taken changes nothing.
    pub fn refresh(&self) {
        let Self::Proven(Some(tokens)) = self else { return };
        match tokens.refresh() {
            Ok(false) => {}
            Ok(true) => tracing::info!(file = %tokens.path.display(), "tokens read again"),
            Err(error) => tracing::warn!(%error, "tokens not read again, the old ones stay in force"),
        }
    }
}

impl Tokens {
    /// Reads a file of tokens.
    ///
    /// # Errors
    /// When it cannot be read, or is not as it should be.
    pub fn load(path: &Path) -> Result<Self, AdmissionError> {
        let modified = modified(path);
        let table = read(path)?;
        Ok(Self { path: path.into(), table: RwLock::new((modified, Arc::new(table))) })
    }

    fn refresh(&self) -> Result<bool, AdmissionError> {
        let modified = modified(&self.path);
        if self.table.read().expect("nothing panics under this lock").0 == modified {
            return Ok(false);
        }
        let table = read(&self.path)?;
        *self.table.write().expect("nothing panics under this lock") = (modified, Arc::new(table));
        Ok(true)
    }

    fn find(&self, token: &str) -> Option<RouterName> {
        let table = Arc::clone(&self.table.read().expect("nothing panics under this lock").1);
        table.get(&digest(token)).cloned()
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

fn read(path: &Path) -> Result<Table, AdmissionError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| AdmissionError::Unreadable { path: path.into(), error })?;
    parse(&text).map_err(|detail| AdmissionError::Malformed { path: path.into(), detail })
}

fn parse(text: &str) -> Result<Table, String> {
    #[derive(Deserialize)]
    struct File {
        routers: BTreeMap<String, String>,
    }
    // The text of a TOML error shows the line, and the line holds a token: only its message is told.
    let file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        format!("line {line}: {}", error.message())
    })?;
    let mut table = Table::with_capacity(file.routers.len());
    for (name, token) in file.routers {
        let router: RouterName =
            name.parse().map_err(|error: crate::event::RouterNameError| error.to_string())?;
        let digest = match token.strip_prefix("sha256:") {
            Some(hex) => digest_from_hex(hex)
                .ok_or_else(|| format!("routers.{name}: 'sha256:' is not followed by 64 hex digits"))?,
            None if token.chars().count() < TOKEN_CHARS_MIN => {
                return Err(format!("routers.{name}: a token has at least {TOKEN_CHARS_MIN} characters"));
            }
            None => digest(&token),
        };
        if let Some(other) = table.insert(digest, router) {
            return Err(format!("routers.{name}: has the same token as {other}"));
        }
    }
    Ok(table)
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn digest_from_hex(hex: &str) -> Option<[u8; 32]> {
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, place) in digest.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&hex[place..place + 2], 16).ok()?;
    }
    Some(digest)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?;
    // Anything but a bearer token is a token nobody has.
    let text = value.to_str().unwrap_or_default();
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    Some(if scheme.eq_ignore_ascii_case("bearer") { token.trim() } else { "" })
}

fn router_of_token(token: &str, tokens: Option<&Tokens>) -> Result<RouterName, Refusal> {
    tokens.and_then(|tokens| tokens.find(token)).ok_or_else(|| {
        Refusal::Unauthorized("the token is not known; ask who runs central for this router's token".into())
    })
}

/// The first DNS name of the certificate, or without any its common name, is the router's name. That the
/// certificate is signed by the client authority was checked when the connection was made; its time is
/// checked again, for connections live long.
fn router_of_certificate(der: &[u8], now: DateTime<Utc>) -> Result<RouterName, Refusal> {
    let unauthorized = |text: String| Refusal::Unauthorized(text);
    let (_, certificate) = X509Certificate::from_der(der)
        .map_err(|error| unauthorized(format!("the client certificate cannot be read: {error}")))?;
    let validity = certificate.validity();
    let now_s = now.timestamp();
    if now_s < validity.not_before.timestamp() || validity.not_after.timestamp() < now_s {
        return Err(unauthorized(format!(
            "the client certificate is valid from {} to {}; renew it",
            validity.not_before, validity.not_after
        )));
    }
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let dns = alternative.iter().flat_map(|names| &names.value.general_names).find_map(|name| match name {
        GeneralName::DNSName(name) => Some(*name),
        _ => None,
    });
    let common = certificate.subject().iter_common_name().find_map(|name| name.as_str().ok());
    let name = dns.or(common).unwrap_or_default();
    name.parse().map_err(|error| unauthorized(format!("the client certificate names no router: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_taken_in_clear_or_as_digest() {
        let clear = "a-token-in-clear-of-16-characters-or-more";
        let hex: String = digest("another token of good length").iter().map(|b| format!("{b:02x}")).collect();
        let table = parse(&format!("[routers]\na = \"{clear}\"\n\"b.c\" = \"sha256:{hex}\"\n")).unwrap();
        assert_eq!(table[&digest(clear)].as_str(), "a");
        assert_eq!(table[&digest("another token of good length")].as_str(), "b.c");
    }

    #[test]
    fn a_bad_file_is_told_with_its_place_and_without_its_tokens() {
        let cases = [
            ("", "missing field `routers`"),
            ("[router]\na = \"0123456789abcdef\"", "missing field `routers`"),
            ("[routers]\na = 0123456789abcdef", "line 2"),
            ("[routers]\na = \"0123456789abcde\"", "routers.a: a token has at least 16"),
            ("[routers]\na = \"sha256:0123456789abcdef\"", "routers.a: 'sha256:' is not followed"),
            ("[routers]\n\"a/b\" = \"0123456789abcdef\"", "\"a/b\" is not"),
            (
                "[routers]\na = \"0123456789abcdef\"\nb = \"0123456789abcdef\"",
                "routers.b: has the same token as a",
            ),
        ];
        for (text, wanted) in cases {
            let error = parse(text).unwrap_err();
            assert!(error.contains(wanted), "{text:?}: {error}");
            assert!(!error.contains("0123456789abcde"), "{error}");
        }
    }

    #[test]
    fn tokens_are_read_again_when_the_file_changes_and_kept_when_it_is_bad() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.toml");
        let write = |text: &str, second| {
            std::fs::write(&path, text).unwrap();
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(second);
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        };
        write("[routers]\na = \"the-first-token-of-a\"", 1);
        let tokens = Tokens::load(&path).unwrap();
        assert!(!tokens.refresh().unwrap());
        write("[routers]\na = \"the-second-token-of-a\"", 2);
        assert!(tokens.refresh().unwrap());
        assert_eq!(tokens.find("the-first-token-of-a"), None);
        assert_eq!(tokens.find("the-second-token-of-a").unwrap().as_str(), "a");
        write("[routers]\na = short", 3);
        assert!(tokens.refresh().unwrap_err().to_string().contains("tokens.toml: line 2"));
        assert!(tokens.find("the-second-token-of-a").is_some());
    }
}
