//! The points themselves: live weights of one split.

use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::ETAG;
use jiff::{SignedDuration, Timestamp};

use super::routes::unknown_route;
use super::tag::{condition, tagged};
use crate::admin::context::{Context, Peer};
use crate::admin::params::Params;
use crate::admin::problem::{Answer, Failure};
use crate::admin::{body, show, view};
use crate::config::parse_duration;
use crate::model::{RouteName, RuleId, RuleName, Weight};
use crate::store::{Applied, Change, Desired, Fault, Refusal, ResetSplit, Scope, SetSplit};

#[utoipa::path(
    get, path = "/api/v1/routes/{route}/rules/{rule}/split", tag = "splits",
    operation_id = "getSplit", summary = "A split: weights wanted and observed",
    params(("route" = String, Path), ("rule" = String, Path)),
    responses(
        (status = 200, body = view::Split, headers(("etag" = String))),
        (status = 304, description = "If-None-Match holds the current revision"),
        (status = 404, body = view::Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get(
    State(context): State<Context>,
    Path((route, rule)): Path<(String, String)>,
    params: Params,
    headers: HeaderMap,
) -> Answer<Response> {
    params.known(&[])?;
    let desired = context.store.desired();
    let id = find(&desired, &route, &rule)?;
    let split = show::split(&context, &desired, &id).ok_or_else(|| unknown_rule(&id))?;
    Ok(tagged(&headers, split.revision, Json(split)))
}

#[utoipa::path(
    put, path = "/api/v1/routes/{route}/rules/{rule}/split", tag = "splits",
    operation_id = "setSplit", summary = "Set every weight of a split",
    description = "Answered when the change is on the disk and serving.",
    params(
        ("route" = String, Path), ("rule" = String, Path),
        ("dryRun" = Option<bool>, Query, description = "Only say what would be"),
        ("if-match" = Option<String>, Header, description = "Refuse when the split changed since"),
        ("x-pointsman-actor" = Option<String>, Header, description = "Who asks; for the history"),
    ),
    request_body = view::SplitChange,
    responses(
        (status = 200, body = view::SplitChanged, headers(("etag" = String))),
        (status = 400, body = view::Problem, content_type = "application/problem+json"),
        (status = 404, body = view::Problem, content_type = "application/problem+json"),
        (status = 409, body = view::Problem, content_type = "application/problem+json"),
        (status = 412, body = view::Problem, content_type = "application/problem+json"),
        (status = 413, body = view::Problem, content_type = "application/problem+json"),
        (status = 415, body = view::Problem, content_type = "application/problem+json"),
        (status = 422, body = view::Problem, content_type = "application/problem+json"),
        (status = 507, body = view::Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn put(
    State(context): State<Context>,
    Path(path): Path<(String, String)>,
    params: Params,
    request: Request,
) -> Answer<Response> {
    set(context, path, params, request, Scope::Whole).await
}

#[utoipa::path(
    patch, path = "/api/v1/routes/{route}/rules/{rule}/split", tag = "splits",
    operation_id = "changeSplit", summary = "Set some weights of a split",
    description = "The weights that are not named stay. Answered when the change is on the disk \
                   and serving.",
    params(
        ("route" = String, Path), ("rule" = String, Path),
        ("dryRun" = Option<bool>, Query, description = "Only say what would be"),
        ("if-match" = Option<String>, Header, description = "Refuse when the split changed since"),
        ("x-pointsman-actor" = Option<String>, Header, description = "Who asks; for the history"),
    ),
    request_body = view::SplitChange,
    responses(
        (status = 200, body = view::SplitChanged, headers(("etag" = String))),
        (status = 400, body = view::Problem, content_type = "application/problem+json"),
        (status = 404, body = view::Problem, content_type = "application/problem+json"),
        (status = 409, body = view::Problem, content_type = "application/problem+json"),
        (status = 412, body = view::Problem, content_type = "application/problem+json"),
        (status = 413, body = view::Problem, content_type = "application/problem+json"),
        (status = 415, body = view::Problem, content_type = "application/problem+json"),
        (status = 422, body = view::Problem, content_type = "application/problem+json"),
        (status = 507, body = view::Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn patch(
    State(context): State<Context>,
    Path(path): Path<(String, String)>,
    params: Params,
    request: Request,
) -> Answer<Response> {
    set(context, path, params, request, Scope::Part).await
}

#[utoipa::path(
    delete, path = "/api/v1/routes/{route}/rules/{rule}/split", tag = "splits",
    operation_id = "resetSplit", summary = "Drop the live weights: back to the config's",
    params(
        ("route" = String, Path), ("rule" = String, Path),
        ("dryRun" = Option<bool>, Query, description = "Only say what would be"),
        ("reason" = Option<String>, Query, description = "Why; for the history"),
        ("if-match" = Option<String>, Header, description = "Refuse when the split changed since"),
        ("x-pointsman-actor" = Option<String>, Header, description = "Who asks; for the history"),
    ),
    responses(
        (status = 200, body = view::SplitChanged, headers(("etag" = String))),
        (status = 204, description = "A parked override was dropped"),
        (status = 404, body = view::Problem, content_type = "application/problem+json"),
        (status = 409, body = view::Problem, content_type = "application/problem+json"),
        (status = 412, body = view::Problem, content_type = "application/problem+json"),
        (status = 507, body = view::Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn delete(
    State(context): State<Context>,
    Path((route, rule)): Path<(String, String)>,
    params: Params,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Answer<Response> {
    body::none(&headers)?;
    let params = params.known(&["dryRun", "reason"])?;
    let reset = ResetSplit {
        rule: find(&context.store.desired(), &route, &rule)?,
        condition: condition(&headers)?,
        actor: peer.actor(&headers),
        reason: params.one("reason")?.map(str::to_owned),
        dry_run: params.flag("dryRun")?,
    };
    let (rule, dry_run) = (reset.rule.clone(), reset.dry_run);
    apply(&context, &rule, Change::ResetSplit(reset), dry_run).await
}

async fn set(
    context: Context,
    (route, rule): (String, String),
    params: Params,
    request: Request,
    scope: Scope,
) -> Answer<Response> {
    let params = params.known(&["dryRun"])?;
    let dry_run = params.flag("dryRun")?;
    let desired = context.store.desired();
    let rule = find(&desired, &route, &rule)?;
    let condition = condition(request.headers())?;
    let actor = Peer::of(&request).actor(request.headers());
    let asked: view::SplitChange = body::json(request).await?;
    let now = Timestamp::now();
    let (expires_at, late) = match asked.expires_in.as_deref().map(|text| end(text, now)) {
        None => (None, None),
        Some(Ok(at)) => (Some(at), None),
        Some(Err(fault)) => (None, Some(fault)),
    };
    let weights = asked
        .weights
        .into_iter()
        .map(|(name, number)| (name, weight(&number)));
    let set = SetSplit {
        rule: rule.clone(),
        scope,
        weights: weights.collect(),
        condition,
        actor,
        reason: asked.reason,
        expires_at,
        dry_run,
    };
    if let Some(late) = late {
        let mut faults = desired.faults(&set, now);
        faults.push(late);
        return Err(Failure::faults(faults));
    }
    apply(&context, &rule, Change::SetSplit(set), dry_run).await
}

async fn apply(
    context: &Context,
    rule: &RuleId,
    change: Change,
    dry_run: bool,
) -> Answer<Response> {
    let Applied {
        desired,
        differences,
        warnings,
        events,
    } = match context.store.apply(change).await {
        Ok(applied) => applied,
        Err(refusal) => return Err(refused(context, rule, refusal)),
    };
    let Some(split) = show::split(context, &desired, rule) else {
        return Ok(http::StatusCode::NO_CONTENT.into_response());
    };
    let tag = format!("\"{}\"", split.revision);
    let body = view::SplitChanged {
        split,
        dry_run,
        event: events.last().map(|event| event.id),
        changes: differences,
        warnings,
    };
    if dry_run {
        // The tag of a state that does not exist would only mislead.
        return Ok(Json(body).into_response());
    }
    Ok(([(ETAG, tag)], Json(body)).into_response())
}

fn refused(context: &Context, rule: &RuleId, refusal: Refusal) -> Failure {
    let stale = matches!(refusal, Refusal::Stale { .. });
    let failure = Failure::from(refusal);
    match show::split(context, &context.store.desired(), rule) {
        Some(split) if stale => failure.with_current(split),
        Some(_) | None => failure,
    }
}

/// A weight, or why the number is none.
fn weight(number: &serde_json::Number) -> Result<Weight, String> {
    let no = || {
        format!(
            "a weight is a whole number from 0 to {}, not {number}",
            Weight::MAX
        )
    };
    number
        .as_u64()
        .and_then(|share| Weight::new(share).ok())
        .ok_or_else(no)
}

/// When an override is over that is set now.
fn end(text: &str, now: Timestamp) -> Result<Timestamp, Fault> {
    let fault = |message: String| Fault {
        pointer: "/expiresIn".into(),
        message,
        hint: Some("give a duration such as 30m".into()),
    };
    let duration: Duration = parse_duration(text).map_err(fault)?;
    SignedDuration::try_from(duration)
        .and_then(|duration| now.checked_add(duration))
        .map_err(|_| fault(format!("{text} is longer than the calendar")))
}

/// The rule of that name; it may also be one that only a parked override remembers.
fn find(desired: &Desired, route: &str, rule: &str) -> Answer<RuleId> {
    let known = |id: &RuleId| id.route.as_str() == route;
    let mut ids = desired
        .rules()
        .map(|(rule, _)| &rule.id)
        .chain(desired.parked.keys());
    if !ids.any(known) {
        return Err(unknown_route(route));
    }
    let named = RouteName::parse(route).ok().zip(RuleName::parse(rule).ok());
    let id = named.map(|(route, rule)| RuleId { route, rule });
    id.filter(|id| desired.rule(id).is_some() || desired.parked.contains_key(id))
        .ok_or_else(|| {
            let detail = format!(
                "route {route} has no rule {rule:?}; GET /api/v1/routes/{route} lists them"
            );
            Failure::not_found("unknown-rule", detail)
        })
}

fn unknown_rule(id: &RuleId) -> Failure {
    Failure::from(Refusal::UnknownRule(id.clone()))
}
