//! Filters: header edits, redirects, rewrites.

use http::header::{self, HeaderName};
use http::uri::PathAndQuery;
use http::{HeaderValue, StatusCode};
use serde_saphyr::Location;

use super::matches::header_name;
use super::problem::Report;
use super::schema::{self, At, Number, Pairs};
use crate::routing::{Filters, HeaderEdits, HostPattern, Match, PathEdit, PathMatch};
use crate::routing::{Redirect, Rewrite};

/// Headers that frame a message or belong to one connection: the proxy writes them itself, and an
/// edit could make two parties see two different messages.
const RESERVED: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Compiles the filters of a rule. `matches` are those of the rule, for `replacePrefix`.
pub(super) fn compile(
    written: Option<&schema::Filters>,
    matches: &[Match],
    report: &mut Report,
) -> Filters {
    let Some(written) = written else {
        return Filters::default();
    };
    if let (Some(redirect), Some(rewrite)) = (&written.redirect, &written.rewrite) {
        report
            .error(
                "conflict",
                rewrite.place,
                "a redirected request goes to no backend, so `rewrite` has no effect",
            )
            .hint("keep one of `redirect` and `rewrite`")
            .also(redirect.place, "the redirect");
    }
    Filters {
        request: header_edits(written.request_headers.as_ref(), report),
        response: header_edits(written.response_headers.as_ref(), report),
        redirect: written
            .redirect
            .as_ref()
            .map(|one| redirect(one, matches, report)),
        rewrite: written
            .rewrite
            .as_ref()
            .map(|one| rewrite(one, matches, report)),
    }
}

/// Compiles changes to headers.
pub(super) fn header_edits(
    written: Option<&schema::HeaderEdits>,
    report: &mut Report,
) -> HeaderEdits {
    let Some(written) = written else {
        return HeaderEdits::default();
    };
    let remove = written.remove.iter().flatten();
    HeaderEdits {
        set: pairs(written.set.as_ref(), report),
        add: pairs(written.add.as_ref(), report),
        remove: remove.filter_map(|name| editable(name, report)).collect(),
    }
}

fn pairs(written: Option<&Pairs>, report: &mut Report) -> Vec<(HeaderName, HeaderValue)> {
    let mut found: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (name, value) in written.iter().flat_map(|pairs| &pairs.0) {
        let parsed = HeaderValue::from_str(value);
        if parsed.is_err() {
            report
                .error(
                    "bad-header",
                    value.place,
                    "this cannot be the value of a header",
                )
                .hint("visible ASCII characters and spaces, no line breaks");
        }
        let Some(name_read) = editable(name, report) else {
            continue;
        };
        if found.iter().any(|(other, _)| *other == name_read) {
            let message = format!(
                "the header `{}` is written twice: case does not matter",
                name.value
            );
            report
                .error("duplicate-key", name.place, message)
                .hint("keep one of the two");
        }
        found.extend(parsed.ok().map(|value| (name_read, value)));
    }
    found
}

fn editable(name: &At<String>, report: &mut Report) -> Option<HeaderName> {
    let read = header_name(name, report)?;
    if read == header::HOST {
        report
            .error(
                "reserved-header",
                name.place,
                "`host` cannot be edited as a header",
            )
            .hint("use the filter `rewrite: {hostname: …}`");
        return None;
    }
    if RESERVED.contains(&read.as_str()) {
        let message = format!("`{read}` belongs to the connection; the proxy writes it itself");
        report
            .error("reserved-header", name.place, message)
            .hint("leave this header out");
        return None;
    }
    Some(read)
}

fn redirect(written: &At<schema::Redirect>, matches: &[Match], report: &mut Report) -> Redirect {
    let schema::Redirect {
        scheme,
        hostname,
        port,
        path,
        status,
    } = &written.value;
    if scheme.is_none() && hostname.is_none() && port.is_none() && path.is_none() {
        report
            .error(
                "loop",
                written.place,
                "this redirect sends clients back to where they came from",
            )
            .hint("change one of `scheme`, `hostname`, `port` and `path`");
    }
    let scheme = scheme.as_ref().and_then(|scheme| match scheme.as_str() {
        known @ ("http" | "https") => Some(known.into()),
        other => {
            let message = format!("`{other}` is not a scheme to redirect to");
            report
                .error("bad-scheme", scheme.place, message)
                .hint("write `http` or `https`");
            None
        }
    });
    let hostname = hostname
        .as_ref()
        .and_then(|name| precise_host(name, report));
    let port = port.as_ref().and_then(|port| match port.value {
        Number::Natural(number @ 1..=65_535) => u16::try_from(number).ok(),
        _ => {
            report.error(
                "bad-number",
                port.place,
                "a port is a number from 1 to 65535",
            );
            None
        }
    });
    let path = path
        .as_ref()
        .and_then(|path| path_edit(path, matches, report));
    let status = status.as_ref().and_then(|status| match status.value {
        Number::Natural(301) => Some(StatusCode::MOVED_PERMANENTLY),
        Number::Natural(302) => Some(StatusCode::FOUND),
        Number::Natural(303) => Some(StatusCode::SEE_OTHER),
        Number::Natural(307) => Some(StatusCode::TEMPORARY_REDIRECT),
        Number::Natural(308) => Some(StatusCode::PERMANENT_REDIRECT),
        _ => {
            report
                .error("bad-number", status.place, "this status is no redirect")
                .hint("301, 302, 303, 307 or 308");
            None
        }
    });
    Redirect {
        scheme,
        host: hostname,
        port,
        path,
        status: status.unwrap_or(StatusCode::FOUND),
    }
}

fn rewrite(written: &At<schema::Rewrite>, matches: &[Match], report: &mut Report) -> Rewrite {
    if written.hostname.is_none() && written.path.is_none() {
        report
            .error(
                "empty-filter",
                written.place,
                "this rewrite changes nothing",
            )
            .hint("add `hostname` or `path`, or remove it");
    }
    let host = written
        .hostname
        .as_ref()
        .and_then(|name| precise_host(name, report));
    let path = written
        .path
        .as_ref()
        .and_then(|path| path_edit(path, matches, report));
    Rewrite {
        host: host.and_then(|host| HeaderValue::from_str(&host).ok()),
        path,
    }
}

fn precise_host(written: &At<String>, report: &mut Report) -> Option<Box<str>> {
    match HostPattern::parse(written) {
        Ok(HostPattern::Exact(name)) => Some(name),
        Ok(HostPattern::Any | HostPattern::Below(_)) => {
            report
                .error(
                    "bad-host",
                    written.place,
                    "a wildcard is not a host to go to",
                )
                .hint("name one host");
            None
        }
        Err(why) => {
            report.error("bad-host", written.place, why.to_string());
            None
        }
    }
}

fn path_edit(
    written: &At<schema::PathEdit>,
    matches: &[Match],
    report: &mut Report,
) -> Option<PathEdit> {
    match &written.value {
        schema::PathEdit::Full(path) => {
            check_path(path, path.place, report)?;
            Some(PathEdit::Full(path.value.as_str().into()))
        }
        schema::PathEdit::ReplacePrefix(path) => {
            if matches
                .iter()
                .any(|one| !matches!(one.path, PathMatch::Prefix(_)))
            {
                report
                    .error(
                        "prefix-needed",
                        path.place,
                        "there is a match of this rule that has no prefix to replace",
                    )
                    .hint("match by `prefix` only, or use `full`");
            }
            if path.is_empty() {
                return Some(PathEdit::Prefix("".into()));
            }
            check_path(path, path.place, report)?;
            Some(PathEdit::Prefix(
                path.strip_suffix('/').unwrap_or(path).into(),
            ))
        }
    }
}

fn check_path(path: &str, place: Location, report: &mut Report) -> Option<()> {
    let good =
        path.starts_with('/') && !path.contains(['?', '#']) && path.parse::<PathAndQuery>().is_ok();
    if !good {
        let message = format!("`{path}` is not a path");
        report
            .error("bad-path", place, message)
            .hint("a path starts with `/`, ends before `?` and `#`, and has no spaces");
    }
    good.then_some(())
}
