//! What is changed on the way: headers, host, path; and who is sent elsewhere.

use pointsman::testing::{Answer, Behaviour, Config, Origin, Proxy, Seen};

use crate::{behaving, get, in_front_of, origin};

/// The answer to a GET for `path`, asked of `shop.example.com`, when a rule redirects.
async fn redirected(path: &str, matches: &str, redirect: &str) -> Answer {
    let rule = format!("name: moved, matches: [{matches}], filters: {{redirect: {{{redirect}}}}}");
    let proxy = Proxy::start(&Config::new().rule(&rule)).await;
    proxy.send(get(path, &[("host", "shop.example.com")])).await
}

async fn location(path: &str, matches: &str, redirect: &str) -> String {
    let answer = redirected(path, matches, redirect).await;
    assert_eq!(answer.status, 302, "{}", answer.text());
    answer
        .header("location")
        .expect("a redirect says where")
        .to_owned()
}

/// Asks a proxy with this rule for `path`; gives back the answer and what the backend saw.
async fn through(rule: &str, path: &str, headers: &[(&str, &str)]) -> (Answer, Seen) {
    let answering = Behaviour::Headers(vec![
        ("x-old".to_owned(), "1".to_owned()),
        ("x-list".to_owned(), "app".to_owned()),
        ("server".to_owned(), "secret".to_owned()),
    ]);
    let app = behaving(answering).await;
    let config = Config::new().backend("app", app.address()).rule(rule);
    let answer = Proxy::start(&config).await.send(get(path, headers)).await;
    (answer, app.last().expect("it reached the backend"))
}

fn all<'a>(headers: &'a http::HeaderMap, name: &str) -> Vec<&'a str> {
    headers
        .get_all(name)
        .iter()
        .map(|value| value.to_str().expect("text"))
        .collect()
}

#[tokio::test]
async fn a_redirect_keeps_what_it_does_not_name() {
    let everything = "scheme: https, hostname: www.example.com, port: 8443";
    assert_eq!(
        location("/a?b=c", "", everything).await,
        "https://www.example.com:8443/a?b=c"
    );
    assert_eq!(
        location("/a?b=c", "", "scheme: https").await,
        "https://shop.example.com/a?b=c"
    );
}

#[tokio::test]
async fn a_redirect_without_a_port_keeps_the_listeners() {
    let rule = "name: moved, filters: {redirect: {hostname: www.example.com}}";
    let proxy = Proxy::start(&Config::new().rule(rule)).await;
    let answer = proxy.get("/a").await;
    let to = format!("http://www.example.com:{}/a", proxy.address().port());
    assert_eq!(answer.header("location"), Some(&*to));
    assert_eq!(
        (answer.header("content-length"), answer.text()),
        (Some("0"), String::new())
    );
}

#[tokio::test]
async fn a_redirect_replaces_the_path_or_its_prefix() {
    let prefix = "{path: {prefix: /old}}";
    let to = "scheme: https, path: {replacePrefix: /new}";
    assert_eq!(
        location("/old/x?q=1", prefix, to).await,
        "https://shop.example.com/new/x?q=1"
    );
    assert_eq!(
        location("/old", prefix, to).await,
        "https://shop.example.com/new"
    );
    let full = "scheme: https, path: {full: /index.html}";
    assert_eq!(
        location("/old/x", prefix, full).await,
        "https://shop.example.com/index.html"
    );
}

#[tokio::test]
async fn a_redirect_has_the_status_it_was_given() {
    for status in [301, 302, 303, 307, 308] {
        let answer = redirected("/", "", &format!("scheme: https, status: {status}")).await;
        assert_eq!(answer.status.as_u16(), status);
    }
}

#[tokio::test]
async fn a_rule_edits_the_headers_of_requests() {
    let rule = "name: everyone, split: [{backend: app}], filters: {requestHeaders: \
                {remove: [X-Debug], set: {x-env: prod}, add: {x-list: pointsman}}}";
    let sent = [
        ("x-debug", "1"),
        ("x-env", "test"),
        ("x-env", "dev"),
        ("x-list", "client"),
    ];
    let (_, seen) = through(rule, "/", &sent).await;
    assert_eq!(all(&seen.headers, "x-debug"), [""; 0]);
    assert_eq!(all(&seen.headers, "x-env"), ["prod"]);
    assert_eq!(all(&seen.headers, "x-list"), ["client", "pointsman"]);
}

#[tokio::test]
async fn a_rule_edits_the_headers_of_responses() {
    let rule = "name: everyone, split: [{backend: app}], filters: {responseHeaders: \
                {remove: [server], set: {x-old: new}, add: {x-list: pointsman}}}";
    let (answer, _) = through(rule, "/", &[]).await;
    assert_eq!(all(&answer.headers, "server"), [""; 0]);
    assert_eq!(all(&answer.headers, "x-old"), ["new"]);
    assert_eq!(all(&answer.headers, "x-list"), ["app", "pointsman"]);
}

#[tokio::test]
async fn an_entry_of_a_split_edits_headers_after_its_rule() {
    let rule = "name: everyone, \
                filters: {requestHeaders: {set: {x-who: rule}}, responseHeaders: {set: {x-who: rule}}}, \
                split: [{backend: app, requestHeaders: {set: {x-who: entry}}, \
                responseHeaders: {set: {x-who: entry}, add: {x-list: entry}}}]";
    let (answer, seen) = through(rule, "/", &[]).await;
    assert_eq!(all(&seen.headers, "x-who"), ["entry"]);
    assert_eq!(all(&answer.headers, "x-who"), ["entry"]);
    assert_eq!(all(&answer.headers, "x-list"), ["app", "entry"]);
}

#[tokio::test]
async fn the_edits_of_one_entry_leave_the_other_alone() {
    let (a, b) = (origin("a").await, origin("b").await);
    let rule = "name: everyone, split: [{backend: a, responseHeaders: {set: {x-version: a}}}, {backend: b}]";
    let config = Config::new()
        .backend("a", a.address())
        .backend("b", b.address())
        .rule(rule);
    let proxy = Proxy::start(&config).await;
    let mut client = proxy.client().await;
    for _ in 0..20 {
        let answer = client.get("/").await.expect("an answer");
        let wanted = Some("a").filter(|_| answer.header("x-origin") == Some("a"));
        assert_eq!(answer.header("x-version"), wanted);
    }
    assert!(a.count() > 0 && b.count() > 0);
}

#[tokio::test]
async fn a_rewrite_changes_host_and_prefix_and_tells_the_host_the_client_asked_for() {
    let rule = "name: everyone, matches: [{path: {prefix: /shop}}], split: [{backend: app}], \
                filters: {rewrite: {hostname: legacy.internal, path: {replacePrefix: /v2}}}";
    let (_, seen) = through(rule, "/shop/cart?id=1", &[("host", "shop.example.com")]).await;
    assert_eq!(seen.uri.to_string(), "/v2/cart?id=1");
    assert_eq!(seen.header("host"), Some("legacy.internal"));
    assert_eq!(seen.header("x-forwarded-host"), Some("shop.example.com"));
}

#[tokio::test]
async fn a_rewrite_replaces_the_whole_path_and_keeps_the_query() {
    let rule = "name: everyone, split: [{backend: app}], \
                filters: {rewrite: {path: {full: /index.html}}}";
    let (_, seen) = through(rule, "/a/b?c=d", &[]).await;
    assert_eq!(seen.uri.to_string(), "/index.html?c=d");
}

#[tokio::test]
async fn a_prefix_can_be_rewritten_to_the_root() {
    let rule = "name: everyone, matches: [{path: {prefix: /api}}], split: [{backend: app}], \
                filters: {rewrite: {path: {replacePrefix: /}}}";
    for (path, to) in [
        ("/api", "/"),
        ("/api/", "/"),
        ("/api/x", "/x"),
        ("/api?q=1", "/?q=1"),
    ] {
        let (_, seen) = through(rule, path, &[]).await;
        assert_eq!(seen.uri.to_string(), to, "{path}");
    }
}

#[tokio::test]
async fn an_h2c_backend_sees_the_rewritten_host_as_its_authority() {
    let app: Origin = origin("app").await;
    let rule =
        "name: everyone, split: [{backend: app}], filters: {rewrite: {hostname: b.internal}}";
    let proxy = Proxy::start(&crate::backend_with(&app, "protocol: h2c").rule(rule)).await;
    proxy.get("/x").await;
    let seen = app.last().expect("it reached the backend");
    assert_eq!(seen.uri.to_string(), "http://b.internal/x");
}

#[tokio::test]
async fn what_no_filter_touches_arrives_as_it_was_sent() {
    let app = origin("app").await;
    let proxy = in_front_of(&app).await;
    let path = "/a%2Fb/%E2%82%AC//c/./d?x=%20&y=+&z";
    proxy
        .send(get(path, &[("x-a", "1"), ("x-a", "2"), ("x-empty", "")]))
        .await;
    let seen = app.last().expect("it reached the backend");
    assert_eq!(seen.uri.to_string(), path);
    assert_eq!(all(&seen.headers, "x-a"), ["1", "2"]);
    assert_eq!(seen.header("x-empty"), Some(""));
}
