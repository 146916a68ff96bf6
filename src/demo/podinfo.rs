//! What an embedded origin answers: the HTTP surface of podinfo, as far as a proxy can notice.
//!
//! podinfo is the service everybody's canary tutorial uses, so its paths and JSON are what a
//! newcomer expects to curl. The fault switch stands where podinfo's has its own, and spares the
//! probes, because a version that fails its users while it passes its probes is the case a
//! progressive delivery exists for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::fault::{DELAY_MAX, Fault, Switch};

/// Every answer names the version that made it.
pub(crate) const VERSION_HEADER: HeaderName = HeaderName::from_static("x-podinfo-version");

/// The largest body `PUT /fault` reads.
const FAULT_BODY_MAX: usize = 4 * 1024;

/// A small answer, or the request's own body on its way back.
pub(crate) type Body = Either<Full<Bytes>, Incoming>;

/// One version of podinfo: its identity and its two switches.
#[derive(Debug)]
pub(crate) struct Podinfo {
    version: String,
    version_header: HeaderValue,
    hostname: String,
    ready: AtomicBool,
    faults: Switch,
}

impl Podinfo {
    /// A version that is ready and healthy. `None` when `version` cannot stand in a header.
    pub(crate) fn new(version: &str, hostname: &str) -> Option<Self> {
        Some(Self {
            version: version.to_owned(),
            version_header: HeaderValue::from_str(version).ok()?,
            hostname: hostname.to_owned(),
            ready: AtomicBool::new(true),
            faults: Switch::default(),
        })
    }

    /// Answers one request, after the fault switch had its say.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let head = *request.method() == Method::HEAD;
        let mut response = match self.fault(request.uri().path()).await {
            Some(failure) => failure,
            None => self.route(request).await,
        };
        response
            .headers_mut()
            .insert(VERSION_HEADER, self.version_header.clone());
        if head {
            without_body(response)
        } else {
            response
        }
    }

    /// Waits and fails as the switch says; control paths and probes are spared.
    async fn fault(&self, path: &str) -> Option<Response<Body>> {
        if path == "/fault" || path == "/healthz" || path.starts_with("/readyz") {
            return None;
        }
        let verdict = self.faults.next();
        if !verdict.delay.is_zero() {
            tokio::time::sleep(verdict.delay).await;
        }
        verdict
            .fails
            .then(|| problem(StatusCode::INTERNAL_SERVER_ERROR, "injected fault"))
    }

    async fn route(&self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let segments: Vec<&str> = path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .collect();
        let method = request.method().clone();
        let reads = method == Method::GET || method == Method::HEAD;
        let writes = method == Method::POST || method == Method::PUT;
        match segments.as_slice() {
            [] | ["api", "info"] if reads => json_answer(StatusCode::OK, &self.info()),
            ["version"] if reads => json_answer(
                StatusCode::OK,
                &json!({"commit": "unknown", "version": self.version}),
            ),
            ["headers"] => json_answer(StatusCode::OK, &headers_json(request.headers())),
            ["status", code] => status(code),
            ["delay", seconds] => delay(seconds).await,
            ["healthz"] if reads => json_answer(StatusCode::OK, &json!({"status": "OK"})),
            ["readyz"] if reads => self.readiness(),
            ["readyz", "enable"] if reads || writes => self.set_ready(true),
            ["readyz", "disable"] if reads || writes => self.set_ready(false),
            ["fault"] => self.fault_switch(request).await,
            ["echo"] if writes => echo(request),
            ["echo"] => not_allowed("POST, PUT"),
            [] | ["api", "info"] | ["version" | "healthz" | "readyz"] => not_allowed("GET, HEAD"),
            _ => problem(StatusCode::NOT_FOUND, "not found"),
        }
    }

    /// What `/` and `/api/info` tell, under podinfo's own keys.
    fn info(&self) -> Value {
        let tasks = tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks();
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        json!({
            "hostname": self.hostname,
            "version": self.version,
            "revision": "unknown",
            "color": "#34577c",
            "logo": "https://raw.githubusercontent.com/stefanprodan/podinfo/gh-pages/cuddle_clap.gif",
            "message": format!("greetings from podinfo v{}", self.version),
            "goos": std::env::consts::OS,
            "goarch": std::env::consts::ARCH,
            "runtime": concat!("pointsman ", env!("CARGO_PKG_VERSION")),
            "num_goroutine": tasks.to_string(),
            "num_cpu": cpus.to_string(),
        })
    }

    fn readiness(&self) -> Response<Body> {
        if self.ready.load(Ordering::Relaxed) {
            json_answer(StatusCode::OK, &json!({"status": "OK"}))
        } else {
            json_answer(
                StatusCode::SERVICE_UNAVAILABLE,
                &json!({"status": "NOT READY"}),
            )
        }
    }

    fn set_ready(&self, ready: bool) -> Response<Body> {
        self.ready.store(ready, Ordering::Relaxed);
        json_answer(StatusCode::ACCEPTED, &json!({"status": "OK"}))
    }

    async fn fault_switch(&self, request: Request<Incoming>) -> Response<Body> {
        match *request.method() {
            Method::GET | Method::HEAD => json_answer(StatusCode::OK, &json!(self.faults.fault())),
            Method::DELETE => self.set_fault(Fault::default()),
            Method::PUT | Method::POST => {
                let body = Limited::new(request.into_body(), FAULT_BODY_MAX)
                    .collect()
                    .await;
                let Ok(body) = body else {
                    return problem(StatusCode::PAYLOAD_TOO_LARGE, "a fault is a small document");
                };
                match serde_json::from_slice(&body.to_bytes()) {
                    Ok(fault) => self.set_fault(fault),
                    Err(error) => problem(StatusCode::BAD_REQUEST, &error.to_string()),
                }
            }
            _ => not_allowed("GET, PUT, POST, DELETE"),
        }
    }

    fn set_fault(&self, fault: Fault) -> Response<Body> {
        match self.faults.set(fault) {
            Ok(()) => json_answer(StatusCode::OK, &json!(fault)),
            Err(reason) => problem(StatusCode::BAD_REQUEST, reason),
        }
    }
}

/// Streams the request's body back; its length is passed on when it is known.
fn echo(request: Request<Incoming>) -> Response<Body> {
    let content_type = request.headers().get(CONTENT_TYPE).cloned();
    let mut response = Response::new(Either::Right(request.into_body()));
    *response.status_mut() = StatusCode::ACCEPTED;
    let default = || HeaderValue::from_static("application/octet-stream");
    response
        .headers_mut()
        .insert(CONTENT_TYPE, content_type.unwrap_or_else(default));
    response
}

/// Answers with the asked status. Interim (1xx) statuses are no answers, so they are refused.
fn status(code: &str) -> Response<Body> {
    let asked = code.parse().ok().filter(|code| (200..=599).contains(code));
    match asked.and_then(|code| StatusCode::from_u16(code).ok()) {
        Some(status @ (StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)) => {
            let mut response = Response::new(Either::Left(Full::default()));
            *response.status_mut() = status;
            response
        }
        Some(status) => json_answer(status, &json!({"status": status.as_u16()})),
        None => problem(
            StatusCode::BAD_REQUEST,
            "a status is a number from 200 to 599",
        ),
    }
}

async fn delay(seconds: &str) -> Response<Body> {
    let parsed = seconds
        .parse()
        .ok()
        .and_then(|s| Duration::try_from_secs_f64(s).ok());
    match parsed.filter(|delay| *delay <= DELAY_MAX) {
        Some(delay) => {
            tokio::time::sleep(delay).await;
            json_answer(StatusCode::OK, &json!({"delay": delay.as_secs_f64()}))
        }
        None => problem(
            StatusCode::BAD_REQUEST,
            "a delay is a number of seconds from 0 to 60",
        ),
    }
}

/// Name → values, as podinfo prints its headers.
fn headers_json(headers: &HeaderMap) -> Value {
    let mut lists: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        lists.entry(name.as_str()).or_default().push(text);
    }
    json!(lists)
}

fn not_allowed(allow: &'static str) -> Response<Body> {
    let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// podinfo's own shape of an error.
fn problem(status: StatusCode, message: &str) -> Response<Body> {
    json_answer(
        status,
        &json!({"code": status.as_u16(), "message": message}),
    )
}

fn json_answer(status: StatusCode, value: &Value) -> Response<Body> {
    let mut text = value.to_string();
    text.push('\n');
    let length = HeaderValue::from(text.len());
    let mut response = Response::new(Either::Left(Full::from(text)));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response
}

/// HEAD: the same head, nothing after it.
fn without_body(response: Response<Body>) -> Response<Body> {
    response.map(|_| Either::Left(Full::default()))
}
