//! Where requests can go, and how busy it is there.

use axum::Json;
use axum::extract::{Path, State};

use crate::admin::context::Context;
use crate::admin::params::Params;
use crate::admin::problem::{Answer, Failure};
use crate::admin::{show, view};

#[utoipa::path(
    get, path = "/api/v1/backends", tag = "backends", operation_id = "listBackends",
    summary = "Every backend with its endpoints and load",
    responses((status = 200, body = view::Page<view::Backend>))
)]
pub(crate) async fn list(
    State(context): State<Context>,
    params: Params,
) -> Answer<Json<view::Page<view::Backend>>> {
    params.known(&[])?;
    let desired = context.store.desired();
    let items = show::backends(&context, &desired);
    Ok(Json(view::Page {
        revision: desired.revision.get(),
        items,
        parked: Vec::new(),
    }))
}

#[utoipa::path(
    get, path = "/api/v1/backends/{backend}", tag = "backends", operation_id = "getBackend",
    summary = "One backend with its endpoints and load",
    params(("backend" = String, Path)),
    responses(
        (status = 200, body = view::Backend),
        (status = 404, body = view::Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn one(
    State(context): State<Context>,
    Path(name): Path<String>,
    params: Params,
) -> Answer<Json<view::Backend>> {
    params.known(&[])?;
    let all = show::backends(&context, &context.store.desired());
    let one = all.into_iter().find(|backend| backend.name == name);
    one.map(Json).ok_or_else(|| {
        let detail = format!("there is no backend {name:?}; GET /api/v1/backends lists them");
        Failure::not_found("unknown-backend", detail)
    })
}
