//! `GET /v1/routers` and `GET /v1/routers/{name}`.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, AsOf, Name, Parameters};
use super::status::{RouterStatus, RouterSummary};
use super::{Problem, Sources};
use crate::view::{RouterState, RouterView};

const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListParameters {
    state: Option<String>,
    carrier: Option<String>,
    reason: Option<String>,
    q: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
    as_of: Option<String>,
}

#[derive(Serialize)]
struct List {
    routers: Vec<RouterSummary>,
    cursor: Option<String>,
}

/// Routers by name, page by page. The cursor is the last name of a page: routers that come, go or change
/// meanwhile make no other appear twice or be left out.
pub async fn list(
    State(sources): State<Sources>,
    Parameters(parameters): Parameters<ListParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let filter = Filter::new(&parameters)?;
    let limit = parameters.limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Problem::bad_request(format!("limit={limit} is not 1 to {LIMIT_MAX}")));
    }
    let answer = sources
        .view(parameters.as_of.as_deref(), |fleet, now| {
            let mut found = fleet
                .routers_after(parameters.cursor.as_deref())
                .map(|view| (view, fleet.state_of(view)))
                .filter(|(view, state)| filter.wants(view, *state))
                .map(|(view, _)| RouterSummary::of(view, fleet));
            let routers: Vec<_> = found.by_ref().take(limit).collect();
            let more = routers.len() == limit && found.next().is_some();
            let cursor = routers.last().filter(|_| more).map(|last| last.name.to_string());
            Answer::new(&List { routers, cursor }, fleet, now)
        })
        .await??;
    Ok(answer.respond(&headers))
}

/// All that is known of one router.
pub async fn one(
    State(sources): State<Sources>,
    Name(name): Name,
    Parameters(parameters): Parameters<AsOf>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let answer = sources
        .view(parameters.as_of.as_deref(), |fleet, now| {
            let view = fleet.router(&name).ok_or_else(|| no_router(&name))?;
            Answer::new(&RouterStatus::of(view, fleet), fleet, now)
        })
        .await??;
    Ok(answer.respond(&headers))
}

/// The problem of a router nobody heard of.
pub fn no_router(name: &str) -> Problem {
    Problem::not_found(format!(
        "no router {name:?} has spoken to this central; /v1/routers lists those that did"
    ))
}

struct Filter<'a> {
    states: Option<Vec<RouterState>>,
    carrier: Option<&'a str>,
    reason: Option<&'a str>,
    text: Option<String>,
}

impl<'a> Filter<'a> {
    fn new(parameters: &'a ListParameters) -> Result<Self, Problem> {
        let states =
            parameters.state.as_deref().map(|names| names.split(',').map(state).collect()).transpose()?;
        Ok(Self {
            states,
            carrier: parameters.carrier.as_deref(),
            reason: parameters.reason.as_deref(),
            text: parameters.q.as_deref().map(str::to_lowercase),
        })
    }

    fn wants(&self, view: &RouterView, state: RouterState) -> bool {
        let has = |wanted: Option<&str>, of: &dyn Fn(&crate::view::LinkView) -> Option<String>| {
            wanted
                .is_none_or(|wanted| view.links.iter().any(|link| of(link).is_some_and(|own| own == wanted)))
        };
        self.states.as_ref().is_none_or(|states| states.contains(&state))
            && has(self.carrier, &|link| link.carrier_name().map(str::to_owned))
            && has(self.reason, &|link| link.failing().map(|failure| failure.value.reason.clone()))
            && self.text.as_ref().is_none_or(|text| says(view, text))
    }
}

/// Whether `text` (lower case) stands in the router's name or one of its labels.
fn says(view: &RouterView, text: &str) -> bool {
    let labels = view.labels.iter().flat_map(|labels| &labels.value).map(|(_, value)| &**value);
    std::iter::once(view.name.as_str()).chain(labels).any(|own| own.to_lowercase().contains(text))
}

fn state(name: &str) -> Result<RouterState, Problem> {
    RouterState::ALL.into_iter().find(|state| state.name() == name).ok_or_else(|| {
        let known = RouterState::ALL.map(RouterState::name).join(", ");
        Problem::bad_request(format!("state={name:?} is not one of {known}"))
    })
}
