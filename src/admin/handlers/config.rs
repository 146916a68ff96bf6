//! The base: the config under the overrides.

use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};

use super::tag::tagged;
use crate::admin::context::{Context, Peer};
use crate::admin::params::Params;
use crate::admin::problem::{Answer, Failure};
use crate::admin::{body, show, view};
use crate::store::{Applied, Origin};

#[utoipa::path(
    get, path = "/api/v1/config", tag = "config", operation_id = "getConfig",
    summary = "The config that serves, without the overrides",
    responses(
        (status = 200, body = view::Config, headers(("etag" = String))),
        (status = 304, description = "If-None-Match holds the current revision"),
    )
)]
pub(crate) async fn get(
    State(context): State<Context>,
    params: Params,
    headers: HeaderMap,
) -> Answer<Response> {
    params.known(&[])?;
    let desired = context.store.desired();
    let file = match context.store.origin() {
        Origin::File(path) => Some(path.display().to_string()),
        Origin::BuiltIn => None,
    };
    let revision = desired.revision.get();
    let config = view::Config {
        revision,
        file,
        last_reload_successful: context.store.last_reload_successful(),
        document: desired.base.document(),
        text: desired.base.text().to_owned(),
        parked: show::parked(&desired),
    };
    Ok(tagged(&headers, revision, Json(config)))
}

#[utoipa::path(
    put, path = "/api/v1/config", tag = "config", operation_id = "tryConfig",
    summary = "Judge a config",
    description = "A config that a file owns cannot be replaced here: edit the file and reload. \
                   With dryRun=true the body is judged, and the answer says what it would change.",
    params(("dryRun" = Option<bool>, Query, description = "Only say what would be")),
    request_body(content((String = "application/yaml"), (Object = "application/json"))),
    responses(
        (status = 200, body = view::ConfigChanged),
        (status = 409, body = view::Problem, content_type = "application/problem+json"),
        (status = 413, body = view::Problem, content_type = "application/problem+json"),
        (status = 415, body = view::Problem, content_type = "application/problem+json"),
        (status = 422, body = view::Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn put(
    State(context): State<Context>,
    params: Params,
    request: Request,
) -> Answer<Json<view::ConfigChanged>> {
    let params = params.known(&["dryRun"])?;
    if !params.flag("dryRun")? {
        let detail = match context.store.origin() {
            Origin::File(path) => format!(
                "the file {} owns the config: edit it, then POST /api/v1/reload; or add \
                 ?dryRun=true to have this one judged",
                path.display()
            ),
            Origin::BuiltIn => "the config is built in and cannot be replaced; add ?dryRun=true \
                                to have this one judged"
                .to_owned(),
        };
        return Err(Failure::new(StatusCode::CONFLICT, "config-owned", detail));
    }
    let actor = Peer::of(&request).actor(request.headers());
    let text = body::config(request).await?;
    let applied = context.store.judge(text, actor).await?;
    Ok(Json(changed(applied, true)))
}

#[utoipa::path(
    post, path = "/api/v1/reload", tag = "config", operation_id = "reload",
    summary = "Read the config file again",
    description = "All or nothing; the overrides stay.",
    params(("dryRun" = Option<bool>, Query, description = "Only say what would be")),
    responses(
        (status = 200, body = view::ConfigChanged),
        (status = 409, body = view::Problem, content_type = "application/problem+json"),
        (status = 422, body = view::Problem, content_type = "application/problem+json"),
        (status = 507, body = view::Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn reload(
    State(context): State<Context>,
    params: Params,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Answer<Json<view::ConfigChanged>> {
    body::none(&headers)?;
    let params = params.known(&["dryRun"])?;
    let dry_run = params.flag("dryRun")?;
    let applied = context.store.reload(peer.actor(&headers), dry_run).await?;
    Ok(Json(changed(applied, dry_run)))
}

fn changed(applied: Applied, dry_run: bool) -> view::ConfigChanged {
    let warnings = applied
        .desired
        .base
        .warnings()
        .iter()
        .map(|warning| view::ProblemDetail {
            pointer: warning.position(),
            message: warning.message.clone(),
            hint: warning.hint.clone(),
        });
    view::ConfigChanged {
        revision: applied.desired.revision.get(),
        dry_run,
        changes: applied.differences,
        warnings: warnings.collect(),
    }
}
