//! Keeps foreign web pages out.
//!
//! A browser on the operator's machine reaches the loopback address, and so does every page it
//! shows. Three laws: the `Host` must be one of ours (a page that rebinds its own name to
//! 127.0.0.1 still sends its own name), an `Origin` must be the API's own or a configured one, and
//! a request without such an origin that the browser itself calls cross-site is refused. Requests that change something must carry a
//! content type that no form can send; `body` sees to that.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::context::Context;
use super::problem::{Answer, Failure};

/// Refuses what a foreign page may have caused, and marks every answer as not to be kept.
pub(super) async fn guard(
    State(context): State<Context>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match check(&context, &request) {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert("cache-control", HeaderValue::from_static("no-store"));
    headers.insert(
        "x-content-type-options",
        HeaderValue::from_static("nosniff"),
    );
    response
}

fn check(context: &Context, request: &Request) -> Answer<()> {
    let host = host(request)?;
    if !is_ours(context, &host) {
        let detail = format!(
            "this is not {}; call the API by its address, localhost or a name configured for it",
            host.host()
        );
        return Err(Failure::new(
            StatusCode::MISDIRECTED_REQUEST,
            "foreign-host",
            detail,
        ));
    }
    check_origin(context, request.headers(), &host)
}

/// The one host that the request names.
fn host(request: &Request) -> Answer<Authority> {
    let bad = |detail: &str| Failure::bad_request("bad-host", detail);
    if let Some(authority) = request.uri().authority() {
        return Ok(authority.clone());
    }
    let mut all = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (all.next(), all.next()) else {
        return Err(bad("a request names exactly one Host"));
    };
    let authority = Authority::try_from(host.as_bytes());
    authority.map_err(|_| bad("the Host header does not hold a host"))
}

fn is_ours(context: &Context, authority: &Authority) -> bool {
    let text = authority.as_str();
    // A port that does not read would be a trick, and so would user information.
    let has_port = text.len() > authority.host().len();
    if text.contains('@') || (has_port && authority.port_u16().is_none()) {
        return false;
    }
    let host = authority.host().to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    if host == "localhost"
        || context
            .names
            .iter()
            .any(|name| name.eq_ignore_ascii_case(host))
    {
        return true;
    }
    let literal = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    let bound = context.address.ip();
    // A name can be rebound to us, an address cannot.
    literal
        .parse::<IpAddr>()
        .is_ok_and(|ip| ip.is_loopback() || ip == bound || bound.is_unspecified())
}

fn check_origin(context: &Context, headers: &HeaderMap, host: &Authority) -> Answer<()> {
    let foreign = |detail| {
        Err(Failure::new(
            StatusCode::FORBIDDEN,
            "foreign-origin",
            detail,
        ))
    };
    let allowed = |origin: &HeaderValue| {
        let Ok(origin) = origin.to_str() else {
            return false;
        };
        let authority = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"));
        authority.is_some_and(|own| own.eq_ignore_ascii_case(host.as_str()))
            || context
                .origins
                .iter()
                .any(|one| one.eq_ignore_ascii_case(origin))
    };
    let mut origins = headers.get_all(ORIGIN).iter().peekable();
    let named = origins.peek().is_some();
    if !origins.all(allowed) {
        return foreign("the Origin is not the API's own: other pages may not call it");
    }
    let crosses = headers
        .get_all("sec-fetch-site")
        .iter()
        .any(|site| site == "cross-site");
    if crosses && !named {
        return foreign("the browser says that another site caused this request");
    }
    Ok(())
}
