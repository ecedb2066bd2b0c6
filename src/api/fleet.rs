//! `GET /v1/fleet`: counts over all routers, and those worst off.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;

use super::answer::{Answer, AsOf, Parameters};
use super::status::RouterSummary;
use super::{Problem, Sources};
use crate::view::FleetCounts;

/// Routers listed as worst off.
const WORST: usize = 10;

#[derive(Serialize)]
struct Fleet<'a> {
    #[serde(flatten)]
    counts: &'a FleetCounts,
    worst: Vec<RouterSummary>,
}

pub async fn counts(
    State(sources): State<Sources>,
    Parameters(parameters): Parameters<AsOf>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let answer = sources
        .view(parameters.as_of.as_deref(), |fleet, now| {
            let worst =
                fleet.worst(WORST).into_iter().map(|ill| RouterSummary::of(ill.view, fleet)).collect();
            Answer::new(&Fleet { counts: fleet.counts(), worst }, fleet, now)
        })
        .await??;
    Ok(answer.respond(&headers))
}
