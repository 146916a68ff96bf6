//! Bodies of requests: bounded, in time, and of a type that no web form can send.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::problem::{Answer, Failure};

/// Largest body in bytes.
pub(super) const BODY_MAX: usize = 256 * 1024;
/// How long a client may take to send one. Tests have less patience.
const BODY_TIMEOUT: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 10 });

const JSON: &[&str] = &["application/json"];
const CONFIG: &[&str] = &["application/json", "application/yaml"];

/// The body as JSON of one shape.
pub(super) async fn json<T: DeserializeOwned>(request: Request) -> Answer<T> {
    let bytes = read(request, JSON).await?;
    serde_json::from_slice(&bytes).map_err(|why| {
        Failure::bad_request(
            "bad-json",
            format!("the body is not what was expected: {why}"),
        )
    })
}

/// The body as the text of a config: YAML, of which JSON is a part.
pub(super) async fn config(request: Request) -> Answer<String> {
    let bytes = read(request, CONFIG).await?;
    String::from_utf8(bytes.into())
        .map_err(|_| Failure::bad_request("bad-text", "the body is not UTF-8 text"))
}

/// For calls that need no body: a body that came all the same must be harmless.
pub(super) fn none(headers: &HeaderMap) -> Answer<()> {
    let empty = headers
        .get(CONTENT_LENGTH)
        .is_none_or(|length| length == "0");
    if empty && !headers.contains_key(TRANSFER_ENCODING) {
        return Ok(());
    }
    check_type(headers, JSON)
}

async fn read(request: Request, types: &[&str]) -> Answer<Bytes> {
    check_type(request.headers(), types)?;
    let body: Body = request.into_body();
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_MAX).collect());
    match collected.await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(why)) if why.is::<LengthLimitError>() => Err(Failure::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body-too-large",
            format!("a body has at most {BODY_MAX} bytes"),
        )),
        Ok(Err(why)) => Err(Failure::bad_request(
            "bad-body",
            format!("the body broke off: {why}"),
        )),
        Err(_) => Err(Failure::new(
            StatusCode::REQUEST_TIMEOUT,
            "slow-body",
            format!(
                "the body did not arrive within {} s",
                BODY_TIMEOUT.as_secs()
            ),
        )),
    }
}

fn check_type(headers: &HeaderMap, types: &[&str]) -> Answer<()> {
    let given = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let essence = given.split(';').next().unwrap_or("").trim();
    if types.iter().any(|one| one.eq_ignore_ascii_case(essence)) {
        return Ok(());
    }
    let detail = format!("send the body with content-type: {}", types.join(" or "));
    Err(Failure::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "bad-content-type",
        detail,
    ))
}
