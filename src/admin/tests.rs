//! The control API over real sockets: every call, every refusal.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::openapi::openapi_json;
use super::*;
use crate::config::Base;
use crate::metrics::Registry;
use crate::ready::{Pending, Ready};
use crate::store::{Origin, Store, StoreOptions};

const CONFIG: &str = r#"
apiVersion: pointsman.dev/v1
listeners:
  - {name: web, address: "127.0.0.1:0"}
routes:
  - name: podinfo
    hosts: [podinfo.example.com]
    rules:
      - name: insiders
        matches: [{headers: [{name: x-canary, exact: insider}]}]
        split: [{backend: canary}]
      - name: everyone
        split: [{backend: primary, weight: 95}, {backend: canary, weight: 5}]
  - name: old
    hosts: [old.example.com]
    rules:
      - name: gone
        filters: {redirect: {hostname: new.example.com}}
backends:
  - {name: primary, endpoints: ["127.0.0.1:9898"]}
  - {name: canary, endpoints: [], protocol: h2c}
"#;

const SPLIT: &str = "/api/v1/routes/podinfo/rules/everyone/split";
const JSON: (&str, &str) = ("content-type", "application/json");

type Headers<'a> = &'a [(&'a str, &'a str)];

/// A control API on a port of its own, with everything behind it.
struct Api {
    address: SocketAddr,
    store: Store,
    file: PathBuf,
    pending: Pending,
    end: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
    _dir: TempDir,
}

/// What came back.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut named = lines.filter(|(given, _)| given.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.trim())
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|why| panic!("{why}: {self:?}"))
    }

    #[track_caller]
    fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()
    }

    /// Checks that this is a problem of that kind.
    #[track_caller]
    fn problem(&self, status: u16, kind: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["type"], kind, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert!(
            !problem["detail"].as_str().expect("text").is_empty(),
            "{problem}"
        );
        problem
    }
}

impl Api {
    async fn start() -> Self {
        Self::start_with(&["pointsman.internal"]).await
    }

    async fn start_with(names: &[&str]) -> Self {
        let dir = TempDir::new().expect("directory");
        let file = dir.path().join("config.yaml");
        std::fs::write(&file, CONFIG).expect("write");
        let (store, _) = Store::open(StoreOptions {
            state_dir: Some(dir.path().join("state")),
            base: Base::load(&file).unwrap_or_else(|problems| panic!("{problems:?}")),
            origin: Origin::File(file.clone()),
        })
        .unwrap_or_else(|why| panic!("{why}"));
        let (drain, _) = crate::drain::channel();
        let ready = Ready::new(Arc::new(drain));
        let pending = ready.pending("listeners");
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let origins = ["https://ops.example.com".to_owned()];
        let numbers = || "pointsman_build_info 1\n".to_owned();
        let context = Context::new(
            store.clone(),
            Registry::new(1),
            numbers,
            ready,
            &names,
            &origins,
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("address");
        let (end, ended) = oneshot::channel();
        let served = tokio::spawn(serve(listener, context, async { drop(ended.await) }));
        Self {
            address,
            store,
            file,
            pending,
            end,
            served,
            _dir: dir,
        }
    }

    async fn call(&self, method: &str, path: &str, headers: Headers<'_>, body: &str) -> Reply {
        let mut text = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            text += &format!("host: {}\r\n", self.address);
        }
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            text += &format!("content-length: {}\r\n", body.len());
        }
        text += "\r\n";
        text += body;
        let raw = self.raw(text.as_bytes()).await;
        let (head, body) = raw
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("{raw:?}"));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .expect("a status");
        Reply {
            status,
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("connects");
        // A refusal may come before everything is sent; what came back is what counts.
        drop(stream.write_all(bytes).await);
        let mut reply = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut reply));
        drop(read.await.expect("an answer in time"));
        String::from_utf8(reply).expect("text")
    }

    async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, &[], "").await
    }

    async fn put(&self, body: &Value) -> Reply {
        self.call("PUT", SPLIT, &[JSON], &body.to_string()).await
    }

    async fn end(self) {
        self.end.send(()).expect("it runs");
        self.served.await.expect("no panic").expect("served");
    }
}

#[tokio::test]
async fn the_api_shows_what_runs() {
    let api = Api::start().await;
    let routes = api.get("/api/v1/routes").await.ok();
    assert_eq!(routes["items"][0]["name"], "podinfo");
    assert_eq!(routes["items"][0]["hosts"], json!(["podinfo.example.com"]));
    assert_eq!(routes["items"][0]["rules"][1]["name"], "everyone");
    assert_eq!(
        routes["items"][1]["rules"][0]["redirect"],
        "302 new.example.com{path}"
    );
    assert_eq!(routes["revision"], 1);
    let route = api.get("/api/v1/routes/podinfo").await.ok();
    assert_eq!(route, routes["items"][0]);

    let reply = api.get(SPLIT).await;
    assert_eq!(reply.header("etag"), Some("\"1\""));
    let split = reply.ok();
    assert_eq!(split["weights"], json!({"primary": 95, "canary": 5}));
    assert_eq!(split["entries"][0]["backend"], "primary");
    assert_eq!(split["entries"][0]["desired"], 0.95);
    assert_eq!(split["entries"][0]["observed"], Value::Null);
    assert_eq!(split["entries"][0]["last1m"]["successRatio"], Value::Null);
    assert_eq!(split["override"], Value::Null);

    let backends = api.get("/api/v1/backends").await.ok();
    assert_eq!(backends["items"][0]["name"], "canary");
    assert_eq!(backends["items"][0]["state"], "empty");
    assert_eq!(backends["items"][0]["protocol"], "h2c");
    assert_eq!(
        backends["items"][1]["endpoints"][0]["address"],
        "127.0.0.1:9898"
    );
    let one = api.get("/api/v1/backends/primary").await.ok();
    assert_eq!(
        one["usedBy"],
        json!([{"route": "podinfo", "rule": "everyone", "weight": 95}])
    );
    api.end().await;
}

#[tokio::test]
async fn weights_are_set_changed_and_dropped() {
    let api = Api::start().await;
    let reply = api
        .put(&json!({"weights": {"primary": 50, "canary": 50}, "reason": "v2"}))
        .await;
    assert_eq!(reply.header("etag"), Some("\"2\""));
    let changed = reply.ok();
    assert_eq!(
        changed["changes"],
        json!(["primary 95 → 50, canary 5 → 50"])
    );
    assert_eq!(changed["dryRun"], false);
    assert_eq!(changed["event"], 2);
    assert_eq!(changed["override"]["actor"], "api:127.0.0.1");
    assert_eq!(changed["override"]["reason"], "v2");
    assert_eq!(changed["entries"][0]["baseWeight"], 95);

    let actor = ("x-pointsman-actor", "cli:alice");
    let body = json!({"weights": {"canary": 0}, "expiresIn": "30m"}).to_string();
    let changed = api.call("PATCH", SPLIT, &[JSON, actor], &body).await.ok();
    assert_eq!(changed["weights"], json!({"primary": 50, "canary": 0}));
    assert_eq!(changed["override"]["actor"], "cli:alice");
    assert!(changed["override"]["expiresAt"].is_string());

    let changed = api
        .call("DELETE", &format!("{SPLIT}?reason=done"), &[], "")
        .await
        .ok();
    assert_eq!(changed["weights"], json!({"primary": 95, "canary": 5}));
    assert_eq!(changed["override"], Value::Null);

    let events = api.get("/api/v1/events").await.ok();
    let events = events["items"].as_array().expect("a list");
    let kinds: Vec<_> = events
        .iter()
        .map(|event| event["kind"].as_str().expect("text"))
        .collect();
    assert_eq!(kinds, ["Started", "SplitSet", "SplitSet", "SplitReset"]);
    assert_eq!(events[3]["reason"], "done");
    assert_eq!(
        (&events[2]["route"], &events[2]["rule"]),
        (&json!("podinfo"), &json!("everyone"))
    );
    let page = api.get("/api/v1/events?after=1&limit=2").await.ok();
    let ids: Vec<_> = page["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|e| &e["id"])
        .collect();
    assert_eq!(ids, [2, 3]);
    api.end().await;
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_and_changes_nothing() {
    let api = Api::start().await;
    let body = json!({"weights": {"primary": 0, "canary": 0}}).to_string();
    let reply = api
        .call("PUT", &format!("{SPLIT}?dryRun=true"), &[JSON], &body)
        .await;
    assert_eq!(reply.header("etag"), None);
    let would = reply.ok();
    assert_eq!(would["dryRun"], true);
    assert_eq!(would["event"], Value::Null);
    assert_eq!(would["weights"], json!({"primary": 0, "canary": 0}));
    assert!(
        would["warnings"][0]
            .as_str()
            .expect("text")
            .contains("closed")
    );
    assert_eq!(api.get(SPLIT).await.header("etag"), Some("\"1\""));
    assert_eq!(
        api.get("/api/v1/events").await.ok()["items"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    api.end().await;
}

#[tokio::test]
async fn a_stale_change_is_refused_with_the_state_of_now() {
    let api = Api::start().await;
    let body = json!({"weights": {"primary": 1, "canary": 1}}).to_string();
    let put = async |tag: &str| {
        api.call("PUT", SPLIT, &[JSON, ("if-match", tag)], &body)
            .await
    };
    put("\"1\"").await.ok();
    let problem = put("\"1\"").await.problem(412, "stale");
    assert_eq!(problem["current"]["revision"], 2);
    assert_eq!(
        problem["current"]["weights"],
        json!({"primary": 1, "canary": 1})
    );
    put("\"7\", \"2\"").await.ok();
    put("*").await.ok();
    put("W/\"4\"").await.problem(412, "stale");
    put("\"other\"").await.problem(412, "stale");
    put("4").await.problem(400, "bad-etag");
    let stale = api
        .call("DELETE", SPLIT, &[("if-match", "\"1\"")], "")
        .await;
    stale.problem(412, "stale");

    let reply = api
        .call("GET", SPLIT, &[("if-none-match", "\"4\"")], "")
        .await;
    assert_eq!((reply.status, &*reply.body), (304, ""));
    assert_eq!(
        api.call("GET", SPLIT, &[("if-none-match", "\"1\"")], "")
            .await
            .status,
        200
    );
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_clients_exactly_one_wins_a_revision() {
    let api = Arc::new(Api::start().await);
    let clients: Vec<_> = (0..50)
        .map(|client| {
            let api = Arc::clone(&api);
            let body = json!({"weights": {"primary": client, "canary": 1}}).to_string();
            tokio::spawn(async move {
                api.call("PUT", SPLIT, &[JSON, ("if-match", "\"1\"")], &body)
                    .await
                    .status
            })
        })
        .collect();
    let mut statuses = Vec::new();
    for client in clients {
        statuses.push(client.await.expect("no panic"));
    }
    statuses.sort_unstable();
    assert_eq!(statuses[0], 200);
    assert!(
        statuses[1..].iter().all(|status| *status == 412),
        "{statuses:?}"
    );
}

#[tokio::test]
async fn everything_wrong_with_the_weights_is_told_at_once() {
    let api = Api::start().await;
    let body = r#"{"weights": {"canary": -1, "nobody": 1.5, "a/b": 1000001}, "expiresIn": "soon"}"#;
    let problem = api
        .call("PUT", SPLIT, &[JSON], body)
        .await
        .problem(422, "bad-change");
    let errors = problem["errors"].as_array().expect("a list");
    let told: Vec<_> = errors
        .iter()
        .map(|error| {
            let text = |key: &str| error[key].as_str().expect("text").to_owned();
            (text("pointer"), text("message"))
        })
        .collect();
    let law = "a weight is a whole number from 0 to 1000000, not";
    let has = |pointer: &str, message: &str| {
        assert!(
            told.iter()
                .any(|one| one.0 == pointer && one.1.contains(message)),
            "{told:?}"
        );
    };
    has("/weights/canary", &format!("canary: {law} -1"));
    has("/weights/nobody", "nobody is not in this split");
    has("/weights/nobody", &format!("nobody: {law} 1.5"));
    has("/weights/a~1b", &format!("a/b: {law} 1000001"));
    has("/weights", "the weight of primary is missing");
    has("/expiresIn", "soon");
    assert_eq!(
        api.get(SPLIT).await.header("etag"),
        Some("\"1\""),
        "nothing changed"
    );
    api.end().await;
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn bad_calls_are_refused_by_name() {
    let api = Api::start().await;
    let no_rule = "/api/v1/routes/podinfo/rules/nobody/split";
    let no_route = "/api/v1/routes/Nobody/rules/x/split";
    let redirect = "/api/v1/routes/old/rules/gone/split";
    let good = r#"{"weights": {"primary": 1, "canary": 1}}"#;
    let long = format!(r#"{{"reason": "{}"}}"#, "x".repeat(256 * 1024));
    let deep = "[".repeat(100_000);
    let form = ("content-type", "application/x-www-form-urlencoded");
    let plain = ("content-type", "text/plain");
    type Case<'a> = (&'a str, &'a str, Headers<'a>, &'a str, u16, &'a str);
    let cases: &[Case<'_>] = &[
        ("GET", "/nowhere", &[], "", 404, "unknown-path"),
        (
            "GET",
            "/api/v1/routes/nobody",
            &[],
            "",
            404,
            "unknown-route",
        ),
        ("GET", "/api/v1/routes/%ff", &[], "", 400, "bad-request"),
        ("GET", no_rule, &[], "", 404, "unknown-rule"),
        ("GET", no_route, &[], "", 404, "unknown-route"),
        (
            "GET",
            "/api/v1/backends/nobody",
            &[],
            "",
            404,
            "unknown-backend",
        ),
        ("PUT", no_rule, &[JSON], good, 404, "unknown-rule"),
        ("PUT", redirect, &[JSON], good, 409, "no-split"),
        ("POST", SPLIT, &[JSON], good, 405, "method-not-allowed"),
        ("GET", "/api/v1/reload", &[], "", 405, "method-not-allowed"),
        ("OPTIONS", SPLIT, &[], "", 405, "method-not-allowed"),
        ("PUT", SPLIT, &[form], good, 415, "bad-content-type"),
        ("PUT", SPLIT, &[plain], good, 415, "bad-content-type"),
        ("PUT", SPLIT, &[], good, 415, "bad-content-type"),
        (
            "POST",
            "/api/v1/reload",
            &[form],
            "a=b",
            415,
            "bad-content-type",
        ),
        ("DELETE", SPLIT, &[plain], "a=b", 415, "bad-content-type"),
        ("PUT", SPLIT, &[JSON], "{", 400, "bad-json"),
        ("PUT", SPLIT, &[JSON], "[]", 400, "bad-json"),
        ("PUT", SPLIT, &[JSON], &deep, 400, "bad-json"),
        (
            "PUT",
            SPLIT,
            &[JSON],
            r#"{"weights": {"canary": 1e400}}"#,
            400,
            "bad-json",
        ),
        (
            "PUT",
            SPLIT,
            &[JSON],
            r#"{"weights": {"canary": "5"}}"#,
            400,
            "bad-json",
        ),
        (
            "PUT",
            SPLIT,
            &[JSON],
            r#"{"weights": {"canary": NaN}}"#,
            400,
            "bad-json",
        ),
        (
            "PUT",
            SPLIT,
            &[JSON],
            r#"{"weights": {"canary": 1, "canary": 2}}"#,
            400,
            "bad-json",
        ),
        (
            "PUT",
            SPLIT,
            &[JSON],
            r#"{"weights": {}, "extra": 1}"#,
            400,
            "bad-json",
        ),
        (
            "PUT",
            SPLIT,
            &[JSON],
            r#"{"reason": "no weights"}"#,
            400,
            "bad-json",
        ),
        (
            "PATCH",
            SPLIT,
            &[JSON],
            r#"{"weights": {}}"#,
            422,
            "bad-change",
        ),
        ("PUT", SPLIT, &[JSON], &long, 413, "body-too-large"),
        (
            "PUT",
            &format!("{SPLIT}?dryrun=true"),
            &[JSON],
            good,
            400,
            "bad-parameter",
        ),
        (
            "PUT",
            &format!("{SPLIT}?dryRun=maybe"),
            &[JSON],
            good,
            400,
            "bad-parameter",
        ),
        (
            "GET",
            "/api/v1/events?limit=0",
            &[],
            "",
            400,
            "bad-parameter",
        ),
        (
            "GET",
            "/api/v1/events?limit=1001",
            &[],
            "",
            400,
            "bad-parameter",
        ),
        (
            "GET",
            "/api/v1/events?after=x",
            &[],
            "",
            400,
            "bad-parameter",
        ),
        (
            "GET",
            "/api/v1/watch",
            &[("last-event-id", "x")],
            "",
            400,
            "bad-parameter",
        ),
        ("GET", "/api/v1/compare", &[], "", 400, "bad-parameter"),
        (
            "GET",
            "/api/v1/compare?route=podinfo&window=2m",
            &[],
            "",
            400,
            "bad-parameter",
        ),
        (
            "GET",
            "/api/v1/compare?route=nobody",
            &[],
            "",
            404,
            "unknown-route",
        ),
        (
            "GET",
            "/api/v1/compare?route=podinfo&b=x",
            &[],
            "",
            404,
            "unknown-backend",
        ),
        ("GET", "/api/v1/explain", &[], "", 400, "bad-parameter"),
        (
            "GET",
            "/api/v1/explain?url=%20",
            &[],
            "",
            400,
            "bad-parameter",
        ),
        (
            "GET",
            "/api/v1/explain?url=/&header=x",
            &[],
            "",
            400,
            "bad-parameter",
        ),
        ("PUT", "/api/v1/config", &[JSON], "{}", 409, "config-owned"),
        (
            "PUT",
            "/api/v1/config?dryRun=true",
            &[JSON],
            "{}",
            422,
            "bad-config",
        ),
    ];
    for (method, path, headers, body, status, kind) in cases {
        let reply = api.call(method, path, headers, body).await;
        let shown: String = body.chars().take(60).collect();
        assert_eq!(reply.status, *status, "{method} {path} {shown}: {reply:?}");
        reply.problem(*status, kind);
    }
    let reply = api.call("POST", SPLIT, &[JSON], good).await;
    let allow = reply.header("allow").expect("says what is allowed");
    assert!(
        ["GET", "PUT", "PATCH", "DELETE"]
            .iter()
            .all(|one| allow.contains(one)),
        "{allow}"
    );
    assert_eq!(
        api.get(SPLIT).await.header("etag"),
        Some("\"1\""),
        "nothing changed"
    );
    api.end().await;
}

#[tokio::test]
async fn foreign_hosts_are_kept_out() {
    let api = Api::start().await;
    let own = format!("127.0.0.1:{}", api.address.port());
    let hosts: &[(&str, u16)] = &[
        (&own, 200),
        ("127.0.0.1", 200),
        ("localhost:1234", 200),
        ("LOCALHOST.", 200),
        ("[::1]:7070", 200),
        ("pointsman.internal:7070", 200),
        ("evil.example.com", 421),
        ("evil.example.com:7070", 421),
        ("127.0.0.1.evil.example.com", 421),
        ("localhost.evil.example.com", 421),
        ("10.0.0.1", 421),
        ("127.0.0.1@evil.example.com", 421),
        ("localhost:evil", 421),
        ("", 400),
    ];
    for (host, status) in hosts {
        let reply = api
            .call("GET", "/api/v1/routes", &[("host", host)], "")
            .await;
        assert_eq!(reply.status, *status, "{host}: {reply:?}");
        assert_eq!(reply.header("access-control-allow-origin"), None);
        if *status == 421 {
            reply.problem(421, "foreign-host");
        }
    }
    let two = api
        .call(
            "GET",
            "/livez",
            &[("host", &own), ("host", "evil.example.com")],
            "",
        )
        .await;
    two.problem(400, "bad-host");
    let none = api.raw(b"GET /livez HTTP/1.0\r\n\r\n").await;
    assert!(none.starts_with("HTTP/1.0 400"), "{none}");
    let absolute = b"GET http://evil.example.com/livez HTTP/1.1\r\nhost: localhost\r\n\
                     connection: close\r\n\r\n";
    assert!(api.raw(absolute).await.starts_with("HTTP/1.1 421"));

    api.end().await;
}

#[tokio::test]
async fn foreign_origins_are_kept_out() {
    let api = Api::start().await;
    let port = api.address.port();
    let own_origin = format!("http://127.0.0.1:{port}");
    let other_port = format!("http://127.0.0.1:{}", port ^ 1);
    let pages: &[(Headers<'_>, u16)] = &[
        (&[("origin", &own_origin)], 200),
        (
            &[
                ("origin", "https://ops.example.com"),
                ("sec-fetch-site", "cross-site"),
            ],
            200,
        ),
        (&[("origin", &other_port)], 403),
        (&[("origin", "http://evil.example.com")], 403),
        (&[("origin", "null")], 403),
        (
            &[
                ("origin", &own_origin),
                ("origin", "http://evil.example.com"),
            ],
            403,
        ),
        (&[("sec-fetch-site", "cross-site")], 403),
        (&[("sec-fetch-site", "same-origin")], 200),
    ];
    for (headers, status) in pages {
        let reply = api.call("POST", "/api/v1/reload", headers, "").await;
        assert_eq!(reply.status, *status, "{headers:?}: {reply:?}");
        if *status == 403 {
            reply.problem(403, "foreign-origin");
        }
    }
    api.end().await;
}

#[tokio::test]
async fn the_config_is_shown_judged_and_read_again() {
    let api = Api::start().await;
    let config = api.get("/api/v1/config").await.ok();
    assert_eq!(config["file"], api.file.display().to_string());
    assert_eq!(config["text"], CONFIG);
    assert_eq!(config["document"]["routes"][0]["name"], "podinfo");
    assert_eq!(config["lastReloadSuccessful"], true);

    let yaml = ("content-type", "application/yaml");
    let other = CONFIG.replace("weight: 95", "weight: 90");
    let would = api
        .call("PUT", "/api/v1/config?dryRun=true", &[yaml], &other)
        .await
        .ok();
    let difference = "rule podinfo/everyone weighs primary 90, canary 5 (was primary 95, canary 5)";
    assert_eq!(would["changes"], json!([difference]));
    assert_eq!(api.get("/api/v1/config").await.ok()["text"], CONFIG);

    std::fs::write(&api.file, &other).expect("write");
    let would = api
        .call("POST", "/api/v1/reload?dryRun=true", &[], "")
        .await
        .ok();
    assert_eq!(would["changes"], json!([difference]));
    let done = api.call("POST", "/api/v1/reload", &[], "").await.ok();
    assert_eq!(done["changes"], json!([difference]));
    assert_eq!(done["revision"], 2);

    std::fs::write(
        &api.file,
        CONFIG.replace("backend: primary", "backend: nobody"),
    )
    .expect("write");
    let problem = api
        .call("POST", "/api/v1/reload", &[], "")
        .await
        .problem(422, "bad-config");
    let pointer = problem["errors"][0]["pointer"].as_str().expect("text");
    assert!(pointer.contains("config.yaml:13:"), "{problem}");
    assert_eq!(
        api.get("/api/v1/config").await.ok()["lastReloadSuccessful"],
        false
    );

    api.put(&json!({"weights": {"primary": 50, "canary": 50}}))
        .await
        .ok();
    std::fs::write(
        &api.file,
        CONFIG.replace(", {backend: canary, weight: 5}", ""),
    )
    .expect("write");
    let problem = api
        .call("POST", "/api/v1/reload", &[], "")
        .await
        .problem(409, "override-in-use");
    let hint = &problem["errors"][0]["hint"];
    assert_eq!(hint, "pointsman weight reset podinfo/everyone");
    api.end().await;
}

#[tokio::test]
async fn explain_tells_every_match_and_where_the_request_goes() {
    let api = Api::start().await;
    let url = "/api/v1/explain?url=http://podinfo.example.com/x";
    let told = api.get(url).await.ok();
    assert_eq!(told["outcome"], "split");
    assert_eq!(told["rule"], "everyone");
    assert_eq!(told["considered"][0]["rule"], "insiders");
    assert_eq!(told["considered"][0]["verdict"], "broken");
    assert_eq!(told["considered"][0]["broken"], "header x-canary = insider");
    assert_eq!(told["considered"][1]["verdict"], "answers");
    assert_eq!(
        told["shares"][1],
        json!({
            "backend": "canary", "share": 0.05, "problem": "503: the backend has no endpoints"
        })
    );
    let told = api
        .get(&format!("{url}&method=POST&header=x-canary:%20insider"))
        .await
        .ok();
    assert_eq!(told["rule"], "insiders");
    assert_eq!(told["considered"][1]["verdict"], "outranked");
    let told = api
        .get("/api/v1/explain?url=https://old.example.com/a?b=c")
        .await
        .ok();
    assert_eq!(told["outcome"], "redirect");
    assert_eq!(told["redirect"], "https://new.example.com/a?b=c");
    let told = api.get("/api/v1/explain?url=/x").await.ok();
    assert_eq!(told["outcome"], "404");
    let told = api
        .get("/api/v1/explain?url=/x&header=host:podinfo.example.com")
        .await
        .ok();
    assert_eq!(told["outcome"], "split");
    api.put(&json!({"weights": {"primary": 0, "canary": 0}}))
        .await
        .ok();
    assert_eq!(api.get(url).await.ok()["outcome"], "closed");
    api.end().await;
}

#[tokio::test]
async fn two_versions_are_compared() {
    let api = Api::start().await;
    let compared = api.get("/api/v1/compare?route=podinfo").await.ok();
    assert_eq!(compared["rule"], "everyone");
    assert_eq!(compared["window"], "1m");
    assert_eq!(compared["a"]["backend"], "primary");
    assert_eq!(compared["b"]["weight"], 5);
    assert_eq!(compared["b"]["samples"], 0);
    let query = "route=podinfo&rule=everyone&a=canary&b=primary&window=5m";
    let compared = api.get(&format!("/api/v1/compare?{query}")).await.ok();
    assert_eq!(compared["a"]["backend"], "canary");
    api.end().await;
}

#[tokio::test]
async fn health_is_told_to_machines() {
    let api = Api::start().await;
    for path in ["/livez", "/healthz"] {
        assert_eq!(api.get(path).await.body, "ok\n");
    }
    let reply = api.get("/readyz").await;
    assert_eq!(
        (reply.status, &*reply.body),
        (503, "[-]listeners failed\nreadyz check failed\n")
    );
    let numbers = api.get("/metrics").await;
    assert_eq!(numbers.body, "pointsman_build_info 1\n");
    assert_eq!(
        numbers.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let Api {
        address,
        store,
        file,
        pending,
        end,
        served,
        _dir,
    } = api;
    drop(pending);
    let ready = Ready::new(Arc::new(crate::drain::channel().0));
    let api = Api {
        address,
        store,
        file,
        pending: ready.pending("x"),
        end,
        served,
        _dir,
    };
    let reply = api.get("/readyz").await;
    assert_eq!((reply.status, &*reply.body), (200, "ok\n"));
    let reply = api.get("/readyz?verbose").await;
    assert_eq!(
        reply.body,
        "[+]started ok\n[+]serving ok\nreadyz check passed\n"
    );
    api.end().await;
}

/// A client of `/watch` that reads until it has seen what it waits for.
struct Watch(TcpStream);

impl Watch {
    async fn start(api: &Api, last: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(api.address).await.expect("connects");
        let last = last
            .map(|id| format!("last-event-id: {id}\r\n"))
            .unwrap_or_default();
        let head = format!(
            "GET /api/v1/watch HTTP/1.1\r\nhost: {}\r\n{last}\r\n",
            api.address
        );
        stream.write_all(head.as_bytes()).await.expect("sends");
        let mut watch = Self(stream);
        let head = watch.until("\r\n\r\n").await;
        assert!(head.contains("text/event-stream"), "{head}");
        watch
    }

    async fn until(&mut self, what: &str) -> String {
        let mut seen = Vec::new();
        let read = async {
            while !String::from_utf8_lossy(&seen).contains(what) {
                let byte = self.0.read_u8().await;
                seen.push(byte.unwrap_or_else(|_| panic!("ended before {what:?}")));
            }
        };
        tokio::time::timeout(Duration::from_secs(10), read)
            .await
            .expect("in time");
        String::from_utf8(seen).expect("text")
    }
}

#[tokio::test]
async fn a_watcher_hears_changes_and_goes_on_where_it_was() {
    let api = Api::start().await;
    let mut live = Watch::start(&api, None).await;
    api.put(&json!({"weights": {"primary": 1, "canary": 1}}))
        .await
        .ok();
    let heard = live.until("}\n\n").await;
    assert!(heard.contains("id: 2\nevent: SplitSet\n"), "{heard}");
    assert!(heard.contains("\"kind\":\"SplitSet\""), "{heard}");
    api.put(&json!({"weights": {"primary": 2, "canary": 1}}))
        .await
        .ok();
    let mut back = Watch::start(&api, Some("1")).await;
    let heard = back.until("id: 3").await;
    assert!(heard.contains("id: 2\n"), "{heard}");
    let mut lost = Watch::start(&api, Some("99")).await;
    let heard = lost.until("\n\n").await;
    assert!(heard.contains("id: 3\nevent: resync\n"), "{heard}");
    // The end does not wait for those who watch.
    tokio::time::timeout(Duration::from_secs(4), api.end())
        .await
        .expect("in time");
}

#[tokio::test]
async fn watchers_are_counted() {
    let api = Api::start().await;
    let mut watchers = Vec::new();
    for _ in 0..64 {
        watchers.push(Watch::start(&api, None).await);
    }
    let reply = api.get("/api/v1/watch").await;
    assert_eq!(reply.header("retry-after"), Some("1"));
    reply.problem(503, "too-many-watchers");
    api.end().await;
}

#[tokio::test]
async fn idle_and_slow_clients_do_not_use_up_the_api() {
    let api = Api::start().await;
    let mut idle = Vec::new();
    for at in 0..256 {
        let mut stream = TcpStream::connect(api.address).await.expect("connects");
        let half: &[u8] = if at % 2 == 0 { b"" } else { b"GET /livez HTT" };
        stream.write_all(half).await.expect("sends");
        idle.push(stream);
    }
    let mut stream = TcpStream::connect(api.address).await.expect("connects");
    let head = format!(
        "GET /livez HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
        api.address
    );
    stream.write_all(head.as_bytes()).await.expect("sends");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.expect("an answer");
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    api.end().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let api = Api::start().await;
    let mut stream = TcpStream::connect(api.address).await.expect("connects");
    let head = format!(
        "PUT {SPLIT} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
         content-length: 10\r\n\r\n{{",
        api.address
    );
    stream.write_all(head.as_bytes()).await.expect("sends");
    let mut reply = vec![0; 16];
    stream.read_exact(&mut reply).await.expect("an answer");
    assert_eq!(reply, b"HTTP/1.1 408 Req");
}

#[tokio::test]
async fn the_description_lists_every_call_and_no_other() {
    let api = Api::start().await;
    let described = api.get("/openapi.json").await.ok();
    assert_eq!(described, api.get("/api/v1/openapi.json").await.ok());
    assert_eq!(described["openapi"], "3.1.0");
    let paths = described["paths"].as_object().expect("paths");
    let mut routed: Vec<_> = router::table()
        .into_iter()
        .map(|(path, _)| path.to_owned())
        .collect();
    routed.sort();
    let mut listed: Vec<_> = paths.keys().cloned().collect();
    listed.sort();
    assert_eq!(routed, listed);
    for (path, calls) in paths {
        let path = path
            .replace("{route}", "podinfo")
            .replace("{rule}", "x")
            .replace("{backend}", "x");
        for method in ["get", "put", "patch", "delete", "post"] {
            if path == "/api/v1/watch" && method == "get" {
                continue;
            }
            let reply = api.call(&method.to_uppercase(), &path, &[], "").await;
            let answers = reply.status != 405;
            assert_eq!(
                answers,
                calls.get(method).is_some(),
                "{method} {path}: {reply:?}"
            );
        }
    }
    api.end().await;
}

/// Bring the copy up to date with `UPDATE_GOLDEN=1 cargo test the_committed_description`.
#[test]
fn the_committed_description_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, openapi_json()).expect("write");
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == openapi_json(),
        "docs/openapi.json is not what the code describes"
    );
}
