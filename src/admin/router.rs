//! Which handler answers which call.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use super::browser;
use super::context::Context;
use super::handlers::{backends, compare, config, events, explain, health, routes, split};
use super::openapi;
use super::problem::Failure;

/// Longest text of a rejection that is passed on.
const DETAIL_MAX: usize = 4 * 1024;

/// Every path, with what it answers to. `openapi` describes the same ones; a test compares.
pub(super) fn table() -> Vec<(&'static str, MethodRouter<Context>)> {
    vec![
        ("/api/v1/routes", get(routes::list)),
        ("/api/v1/routes/{route}", get(routes::one)),
        (
            "/api/v1/routes/{route}/rules/{rule}/split",
            get(split::get)
                .put(split::put)
                .patch(split::patch)
                .delete(split::delete),
        ),
        ("/api/v1/backends", get(backends::list)),
        ("/api/v1/backends/{backend}", get(backends::one)),
        ("/api/v1/compare", get(compare::compare)),
        ("/api/v1/explain", get(explain::explain)),
        ("/api/v1/events", get(events::list)),
        ("/api/v1/watch", get(events::watch)),
        ("/api/v1/config", get(config::get).put(config::put)),
        ("/api/v1/reload", post(config::reload)),
        ("/api/v1/openapi.json", get(openapi::openapi_v1)),
        ("/openapi.json", get(openapi::openapi)),
        ("/metrics", get(health::metrics)),
        ("/livez", get(health::livez)),
        ("/healthz", get(health::healthz)),
        ("/readyz", get(health::readyz)),
    ]
}

pub(super) fn router(context: Context) -> Router {
    let mut router = Router::new();
    for (path, methods) in table() {
        router = router.route(path, methods);
    }
    router
        .fallback(unknown)
        .layer(middleware::from_fn(problems_only))
        .layer(middleware::from_fn_with_state(
            context.clone(),
            browser::guard,
        ))
        .with_state(context)
}

async fn unknown(request: Request) -> Failure {
    let detail = format!(
        "there is nothing at {}; see /openapi.json",
        request.uri().path()
    );
    Failure::not_found("unknown-path", detail)
}

/// Turns the framework's own refusals (method, path encoding) into problems.
async fn problems_only(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let response = next.run(request).await;
    let status = response.status();
    let kind = response.headers().get(CONTENT_TYPE);
    let is_problem = kind.is_some_and(|kind| kind == "application/problem+json");
    if !status.is_client_error() || is_problem {
        return response;
    }
    let failure = if status == StatusCode::METHOD_NOT_ALLOWED {
        let detail = format!("this path does not answer to {method}, but to what Allow says");
        Failure::new(status, "method-not-allowed", detail)
    } else {
        Failure::new(status, "bad-request", text(response.into_body()).await)
    };
    failure.into_response()
}

async fn text(body: Body) -> String {
    let bytes = to_bytes(body, DETAIL_MAX).await.unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
