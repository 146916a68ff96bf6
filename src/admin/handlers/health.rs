//! For machines that watch over us: alive, ready, numbers.

use std::fmt::Write;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use crate::admin::context::Context;
use crate::admin::params::Params;
use crate::admin::problem::Answer;

#[utoipa::path(
    get, path = "/livez", tag = "health", operation_id = "livez", summary = "Is the process alive?",
    responses((status = 200, body = String, content_type = "text/plain"))
)]
pub(crate) async fn livez() -> &'static str {
    "ok\n"
}

#[utoipa::path(
    get, path = "/healthz", tag = "health", operation_id = "healthz",
    summary = "Is the process alive? The older name",
    responses((status = 200, body = String, content_type = "text/plain"))
)]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

#[utoipa::path(
    get, path = "/readyz", tag = "health", operation_id = "readyz",
    summary = "Should new connections come here?",
    params(("verbose" = Option<bool>, Query, description = "Say what was looked at")),
    responses(
        (status = 200, body = String, content_type = "text/plain"),
        (status = 503, body = String, content_type = "text/plain"),
    )
)]
pub(crate) async fn readyz(State(context): State<Context>, params: Params) -> Answer<Response> {
    let verbose = params.known(&["verbose"])?.flag("verbose")?;
    let missing = context.ready.missing();
    let mut text = String::new();
    for part in &missing {
        writeln!(text, "[-]{part} failed").expect("writing to a string");
    }
    let ready = missing.is_empty();
    if ready && verbose {
        text.push_str("[+]started ok\n[+]serving ok\n");
    }
    let (status, verdict) = match (ready, verbose) {
        (true, false) => (StatusCode::OK, "ok\n"),
        (true, true) => (StatusCode::OK, "readyz check passed\n"),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "readyz check failed\n"),
    };
    text.push_str(verdict);
    Ok((status, text).into_response())
}

#[utoipa::path(
    get, path = "/metrics", tag = "health", operation_id = "metrics",
    summary = "All numbers, for Prometheus",
    responses((status = 200, body = String, content_type = "text/plain"))
)]
pub(crate) async fn metrics(State(context): State<Context>) -> Response {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(CONTENT_TYPE, kind)], (context.exposition)()).into_response()
}
