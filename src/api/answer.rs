//! What every read shares: its parameters, how fresh it is, its `ETag`.

use std::hash::{DefaultHasher, Hasher};

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Problem;
use crate::view::FleetView;

/// Query parameters; one that is unknown or malformed is a problem that names it.
pub struct Parameters<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(parameters) = Query::<T>::from_request_parts(parts, state).await?;
        Ok(Self(parameters))
    }
}

/// The name in the path; one that is no text is a problem.
pub struct Name(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(name) = path.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
        Ok(Self(name))
    }
}

/// A read that takes no parameter but the time.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AsOf {
    /// RFC 3339, or back from now: `-90s`, `-15m`, `-1h`, `-2d`.
    pub as_of: Option<String>,
}

/// The moment that `text` names: RFC 3339, or a span back from `now`. Not in the future.
///
/// # Errors
/// When it names none; the problem names the parameter.
pub fn moment(parameter: &str, text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Problem> {
    let absolute = || DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc());
    let back = || now.checked_sub_signed(span(text.strip_prefix('-')?)?);
    let time = absolute().or_else(back).ok_or_else(|| {
        Problem::bad_request(format!(
            "{parameter}={text:?} is no time; write RFC 3339 such as 2026-11-02T08:00:00Z (a '+' in it as %2B), \
             or a span back from now such as -90s, -15m, -1h, -2d"
        ))
    })?;
    if time > now {
        let now = now.to_rfc3339_opts(SecondsFormat::Secs, true);
        return Err(Problem::bad_request(format!("{parameter}={text:?} is in the future; here it is {now}")));
    }
    Ok(time)
}

fn span(text: &str) -> Option<TimeDelta> {
    let unit = text.chars().next_back()?;
    let count: i64 = text[..text.len() - unit.len_utf8()].parse().ok().filter(|count| *count >= 0)?;
    match unit {
        's' => TimeDelta::try_seconds(count),
        'm' => TimeDelta::try_minutes(count),
        'h' => TimeDelta::try_hours(count),
        'd' => TimeDelta::try_days(count),
        _ => None,
    }
}

/// How fresh an answer is; stands beside what it tells.
#[derive(Serialize)]
pub struct Fresh {
    /// The moment it describes.
    as_of: DateTime<Utc>,
    /// How far it is behind the stream.
    lag_ms: i64,
    /// When central took in the last event that is in it.
    stream_moved_at: Option<DateTime<Utc>>,
    /// Where samples end earlier than the rest: there.
    #[serde(skip_serializing_if = "Option::is_none")]
    samples_as_of: Option<DateTime<Utc>>,
    /// Next offset of each partition.
    position: std::collections::BTreeMap<String, u64>,
}

/// The JSON of an answer.
pub struct Answer {
    body: String,
    etag: String,
}

impl Answer {
    /// `content` (a JSON object) with how fresh `fleet` is at `now`.
    ///
    /// # Errors
    /// Never for the types of this API.
    pub fn new(content: &impl Serialize, fleet: &FleetView, now: DateTime<Utc>) -> Result<Self, Problem> {
        let freshness = &fleet.freshness;
        let fresh = Fresh {
            as_of: now,
            lag_ms: freshness.lag_ms(now),
            stream_moved_at: freshness.stream_moved_at,
            samples_as_of: freshness.samples_as_of,
            position: freshness.position.clone(),
        };
        let told = serde_json::to_string(content).map_err(Problem::internal)?;
        let fresh = serde_json::to_string(&fresh).map_err(Problem::internal)?;
        // Both are objects: the second goes on inside the first.
        let body = match told.strip_prefix('{') {
            Some("}") | None => format!("{{\"freshness\":{fresh}}}"),
            Some(rest) => format!("{{\"freshness\":{fresh},{rest}"),
        };
        Ok(Self { body, etag: etag(&told) })
    }

    /// The response: not modified when the client knows it already.
    #[must_use]
    pub fn respond(self, request: &HeaderMap) -> Response {
        let known = request.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        let headers = [(header::ETAG, self.etag.as_str()), (header::CACHE_CONTROL, "no-cache")];
        if known.is_some_and(|known| known.split(',').any(|tag| tag.trim() == self.etag || tag.trim() == "*"))
        {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, [(header::CONTENT_TYPE, "application/json")], self.body).into_response()
    }
}

fn etag(told: &str) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(told.as_bytes());
    format!("W/\"{:016x}\"", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_absolute_or_back_from_now_and_never_ahead() {
        let now: DateTime<Utc> = "2026-11-02T08:00:00Z".parse().unwrap();
        let read = |text: &str| moment("as_of", text, now).map_err(|problem| format!("{problem:?}"));
        assert_eq!(read("2026-11-02T07:00:00+01:00").unwrap(), now - TimeDelta::hours(2));
        assert_eq!(read("-15m").unwrap(), now - TimeDelta::minutes(15));
        for wrong in [
            "",
            "-",
            "-h",
            "--1h",
            "1h",
            "-1w",
            "-1é",
            "-99999999999999999999d",
            "yesterday",
            "2027-01-01T00:00:00Z",
        ] {
            assert!(read(wrong).unwrap_err().contains("as_of"), "{wrong}");
        }
        assert!(read("-9999999999d").is_err());
    }
}
