//! The description of the API, made from the handlers and the shapes themselves.
//!
//! `docs/openapi.json` is a committed copy, so that a change of the API is seen in review.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use utoipa::OpenApi;

use super::handlers::{backends, compare, config, events, explain, health, routes, split};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Pointsman control API",
        description = "Look at what runs, move the points, watch it happen. Errors are \
                       problem+json (RFC 9457). Changes are answered when they are on the disk \
                       and serving.",
    ),
    paths(
        routes::list,
        routes::one,
        split::get,
        split::put,
        split::patch,
        split::delete,
        backends::list,
        backends::one,
        compare::compare,
        explain::explain,
        events::list,
        events::watch,
        config::get,
        config::put,
        config::reload,
        health::livez,
        health::readyz,
        health::healthz,
        health::metrics,
        openapi,
        openapi_v1,
    )
)]
struct Description;

static JSON: LazyLock<String> = LazyLock::new(|| {
    let mut text = Description::openapi()
        .to_pretty_json()
        .expect("the description is plain JSON");
    text.push('\n');
    text
});

/// The description as `docs/openapi.json` holds it.
pub(super) fn openapi_json() -> &'static str {
    &JSON
}

#[utoipa::path(
    get, path = "/openapi.json", tag = "description", operation_id = "openapi",
    summary = "This description",
    responses((status = 200, body = Object, content_type = "application/json"))
)]
pub(crate) async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], openapi_json()).into_response()
}

#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "description", operation_id = "openapiV1",
    summary = "This description, beside what it describes",
    responses((status = 200, body = Object, content_type = "application/json"))
)]
pub(crate) async fn openapi_v1() -> Response {
    openapi().await
}
