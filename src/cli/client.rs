//! One HTTP request to the control API, with every limit it needs.
//!
//! hyper's client and nothing more: plain HTTP, two seconds to connect, ten to answer, 64 MiB of
//! answer. What goes wrong is told in the words of the person who typed the command.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, IF_MATCH, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client as Legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::exit::{Exit, Failure};
use super::url::Server;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A change is answered when it is on disk, so slow disks need patience.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Ten thousand routes take about ten megabytes.
const ANSWER_LENGTH_MAX: usize = 64 << 20;

/// A request to be sent.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// Path and query, from the root of the control address.
    pub(super) path: &'a str,
    pub(super) body: Option<Vec<u8>>,
    /// Revision that the change is based on.
    pub(super) if_match: Option<u64>,
}

impl<'a> Call<'a> {
    pub(super) fn get(path: &'a str) -> Self {
        Self {
            method: Method::GET,
            path,
            body: None,
            if_match: None,
        }
    }
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// A client of one control API.
#[derive(Debug)]
pub(super) struct Client {
    server: Server,
    http: Legacy<HttpConnector, Full<Bytes>>,
    patience: Duration,
}

impl Client {
    pub(super) fn new(server: Server) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        Self {
            server,
            http: Legacy::builder(TokioExecutor::new()).build(connector),
            patience: ANSWER_TIMEOUT,
        }
    }

    pub(super) const fn server(&self) -> &Server {
        &self.server
    }

    /// # Errors
    /// When no whole answer came; an answer that is an error is an answer.
    pub(super) async fn send(&self, call: Call<'_>) -> Result<Answer, Failure> {
        let changes = call.method != Method::GET;
        let request = self.request(call)?;
        match tokio::time::timeout(self.patience, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(self.too_late(changes)),
        }
    }

    fn request(&self, call: Call<'_>) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::builder()
            .method(call.method)
            .uri(format!("{}{}", self.server, call.path))
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, concat!("pointsman/", env!("CARGO_PKG_VERSION")))
            .header("x-pointsman-actor", actor());
        if let Some(revision) = call.if_match {
            request = request.header(IF_MATCH, format!("\"{revision}\""));
        }
        if call.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = Full::from(call.body.unwrap_or_default());
        let bad = |error| Failure::usage(format!("{} is no usable address: {error}", self.server));
        request.body(body).map_err(bad)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
        let response = match self.http.request(request).await {
            Ok(response) => response,
            Err(error) if error.is_connect() => return Err(self.unreachable(&error)),
            Err(error) => return Err(self.broken(&deepest(&error))),
        };
        let status = response.status();
        match Limited::new(response.into_body(), ANSWER_LENGTH_MAX)
            .collect()
            .await
        {
            Ok(body) => Ok(Answer {
                status,
                body: body.to_bytes(),
            }),
            Err(error) => Err(Failure::new(format!(
                "the answer of {} is cut short: {error}",
                self.server
            ))),
        }
    }

    fn unreachable(&self, error: &hyper_util::client::legacy::Error) -> Failure {
        Failure::new(format!(
            "cannot reach the control API at {} ({})",
            self.server,
            reason(error)
        ))
        .exit(Exit::Unreachable)
        .hint(
            "start one with `pointsman run -c FILE`, or name another with --server URL or \
             POINTSMAN_SERVER",
        )
    }

    fn broken(&self, why: &dyn fmt::Display) -> Failure {
        Failure::new(format!("{} did not answer in HTTP: {why}", self.server))
            .hint("is this the address of the control API, and not of the proxy?")
    }

    fn too_late(&self, changes: bool) -> Failure {
        let failure = Failure::new(format!(
            "{} did not answer within {:?}",
            self.server, self.patience
        ))
        .exit(Exit::TimedOut);
        if changes {
            failure.note("The change may have been made or not: look with `pointsman get routes`.")
        } else {
            failure
        }
    }
}

/// Who is typing, for the history.
fn actor() -> HeaderValue {
    let user = ["USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    let by_number = || format!("cli:uid-{}", rustix::process::getuid().as_raw());
    let named = user.map_or_else(by_number, |user| format!("cli:{user}"));
    HeaderValue::try_from(named).unwrap_or_else(|_| HeaderValue::from_static("cli:unknown"))
}

/// Why a connection was not made, in a few words.
fn reason(error: &hyper_util::client::legacy::Error) -> String {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            let kind = io.kind();
            return if kind == io::ErrorKind::ConnectionRefused {
                "connection refused".to_owned()
            } else if kind == io::ErrorKind::TimedOut {
                format!("no connection within {} seconds", CONNECT_TIMEOUT.as_secs())
            } else {
                io.to_string()
            };
        }
        source = cause.source();
    }
    deepest(error).to_string()
}

fn deepest<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a dyn std::error::Error {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[tokio::test]
    async fn a_server_that_never_answers_is_left_in_time() {
        // The kernel accepts; nobody reads.
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let mut client = Client::new(address.to_string().parse().expect("a server"));
        client.patience = Duration::from_millis(20);
        let failure = client.send(Call::get("/")).await.expect_err("no answer");
        assert_eq!(failure.exit, Exit::TimedOut);
        assert!(!failure.to_string().contains("change"), "{failure}");
        let change = Call {
            method: Method::DELETE,
            ..Call::get("/")
        };
        let failure = client.send(change).await.expect_err("no answer");
        assert!(
            failure.to_string().contains("may have been made"),
            "{failure}"
        );
    }

    #[tokio::test]
    async fn an_answer_without_end_is_cut_off() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            use std::io::{Read as _, Write as _};
            let (mut stream, _) = listener.accept().expect("a client");
            // An answer before the question would be another mistake.
            let question = stream.read(&mut [0; 4096]).expect("a question");
            assert!(question > 0);
            let head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
            stream.write_all(head).expect("an open connection");
            let chunk = vec![b' '; 1 << 20];
            while stream.write_all(&chunk).is_ok() {}
        });
        let client = Client::new(address.to_string().parse().expect("a server"));
        let failure = client.send(Call::get("/")).await.expect_err("too long");
        assert_eq!(failure.exit, Exit::Error);
        assert!(
            failure.to_string().contains("cut short: length limit"),
            "{failure}"
        );
    }
}
