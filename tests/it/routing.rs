//! Which rule takes which request.

use http::{Method, StatusCode};
use pointsman::testing::{Config, Origin, Proxy};

use crate::raw::exchange;
use crate::{fault, get, origin};

/// The inside of a rule that says its name in the answer.
fn rule(name: &str, matches: &str) -> String {
    format!(
        "name: {name}, matches: [{matches}], split: [{{backend: app}}], \
         filters: {{responseHeaders: {{set: {{x-rule: {name}}}}}}}"
    )
}

/// The same as a route of its own for some hosts.
fn route(name: &str, hosts: &str) -> String {
    format!(
        "name: {name}, hosts: [{hosts}], rules: [{{{}}}]",
        rule(name, "")
    )
}

/// A proxy with these rules in the route `app`.
async fn rules(rules: &[(&str, &str)]) -> (Origin, Proxy) {
    let app = origin("app").await;
    let config = Config::new().backend("app", app.address());
    let config = rules.iter().fold(config, |config, (name, matches)| {
        config.rule(&rule(name, matches))
    });
    let proxy = Proxy::start(&config).await;
    (app, proxy)
}

/// The rule that took it; `none` for 404.
async fn taken(proxy: &Proxy, method: Method, path: &str, headers: &[(&str, &str)]) -> String {
    let mut request = get(path, headers);
    *request.method_mut() = method;
    let answer = proxy.send(request).await;
    if answer.status == StatusCode::NOT_FOUND {
        assert_eq!(fault(&answer), (404, "no_route"));
        return "none".to_owned();
    }
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
        .header("x-rule")
        .expect("every rule says its name")
        .to_owned()
}

async fn path_taken(proxy: &Proxy, path: &str) -> String {
    taken(proxy, Method::GET, path, &[]).await
}

async fn header_taken(proxy: &Proxy, name: &str, value: &str) -> String {
    taken(proxy, Method::GET, "/", &[(name, value)]).await
}

#[tokio::test]
async fn an_exact_host_goes_before_a_wildcard_and_a_wildcard_before_any() {
    let app = origin("app").await;
    let config = Config::new()
        .backend("app", app.address())
        .rule(&rule("any", ""))
        .route(&route("wildcard", "\"*.example.com\""))
        .route(&route("narrow", "\"*.b.example.com\""))
        .route(&route("exact", "a.example.com"));
    let proxy = Proxy::start(&config).await;
    for (host, taker) in [
        ("a.example.com", "exact"),
        ("A.Example.COM:8080", "exact"),
        ("other.example.com", "wildcard"),
        ("two.levels.example.com", "wildcard"),
        ("x.b.example.com", "narrow"),
        ("example.com", "any"),
        ("127.0.0.1:1", "any"),
    ] {
        assert_eq!(header_taken(&proxy, "host", host).await, taker, "{host}");
    }
}

#[tokio::test]
async fn a_host_that_no_route_names_is_answered_404() {
    let app = origin("app").await;
    let config = Config::new()
        .backend("app", app.address())
        .route(&route("only", "a.example.com"));
    let proxy = Proxy::start(&config).await;
    assert_eq!(header_taken(&proxy, "host", "b.example.com").await, "none");
    assert_eq!(header_taken(&proxy, "host", "a.example.com").await, "only");
    assert_eq!(app.count(), 1, "what has no route reaches no backend");
}

#[tokio::test]
async fn an_exact_path_goes_before_a_regex_and_the_longest_prefix_is_last() {
    let (_app, proxy) = rules(&[
        ("root", "{path: {prefix: /}}"),
        ("api", "{path: {prefix: /api}}"),
        ("v1", "{path: {prefix: /api/v1/}}"),
        ("regex", "{path: {regex: \"/api/v[0-9]+/info\"}}"),
        ("exact", "{path: {exact: /api/v2/info}}"),
    ])
    .await;
    for (path, taker) in [
        ("/api/v2/info?a=b", "exact"),
        ("/api/v1/info", "regex"),
        ("/api/v1/other", "v1"),
        ("/api/v1", "v1"),
        ("/api", "api"),
        ("/api/x", "api"),
        ("/apis", "root"),
        ("/", "root"),
    ] {
        assert_eq!(path_taken(&proxy, path).await, taker, "{path}");
    }
}

#[tokio::test]
async fn paths_are_compared_in_their_normal_form() {
    let (_app, proxy) = rules(&[
        ("admin", "{path: {prefix: /admin}}"),
        ("root", "{path: {prefix: /}}"),
    ])
    .await;
    for path in [
        "/x/../admin",
        "//admin/users",
        "/./admin",
        "/%61dmin",
        "/admin/",
    ] {
        assert_eq!(path_taken(&proxy, path).await, "admin", "{path}");
    }
    assert_eq!(path_taken(&proxy, "/admin/../public").await, "root");
}

#[tokio::test]
async fn a_method_takes_its_requests_and_leaves_the_others() {
    let (_app, proxy) = rules(&[("all", ""), ("write", "{method: POST}, {method: PUT}")]).await;
    assert_eq!(taken(&proxy, Method::POST, "/", &[]).await, "write");
    assert_eq!(taken(&proxy, Method::PUT, "/", &[]).await, "write");
    assert_eq!(taken(&proxy, Method::DELETE, "/", &[]).await, "all");
}

#[tokio::test]
async fn headers_match_exactly_by_prefix_by_regex_and_by_presence() {
    let (_app, proxy) = rules(&[
        ("exact", "{headers: [{name: x-a, exact: insider}]}"),
        ("prefix", "{headers: [{name: X-B, prefix: Mozilla/}]}"),
        ("regex", "{headers: [{name: x-c, regex: \"(de|en).*\"}]}"),
        ("present", "{headers: [{name: x-d, present: true}]}"),
    ])
    .await;
    for (name, value, taker) in [
        ("X-A", "insider", "exact"),
        ("x-a", "Insider", "none"),
        ("x-b", "Mozilla/5.0", "prefix"),
        ("x-b", "curl/8", "none"),
        ("x-c", "en-GB", "regex"),
        ("x-c", "not en", "none"),
        ("x-d", "", "present"),
    ] {
        assert_eq!(
            header_taken(&proxy, name, value).await,
            taker,
            "{name}: {value}"
        );
    }
}

#[tokio::test]
async fn query_parameters_match_decoded_and_by_their_first_value() {
    let (_app, proxy) = rules(&[
        ("exact", "{query: [{name: v, exact: \"a b\"}]}"),
        ("prefix", "{query: [{name: p, prefix: \"6.\"}]}"),
        ("regex", "{query: [{name: r, regex: \"[0-9]+\"}]}"),
        ("present", "{query: [{name: flag, present: true}]}"),
    ])
    .await;
    for (path, taker) in [
        ("/?v=a+b", "exact"),
        ("/?v=a%20b&v=c", "exact"),
        ("/?v=c&v=a+b", "none"),
        ("/?p=6.2.0", "prefix"),
        ("/?r=42", "regex"),
        ("/?r=42x", "none"),
        ("/?flag", "present"),
        ("/?flags", "none"),
    ] {
        assert_eq!(path_taken(&proxy, path).await, taker, "{path}");
    }
}

#[tokio::test]
async fn cookies_match_among_others() {
    let (_app, proxy) = rules(&[
        ("exact", "{cookies: [{name: canary, exact: always}]}"),
        ("prefix", "{cookies: [{name: group, prefix: beta-}]}"),
        ("regex", "{cookies: [{name: cell, regex: \"[ab]\"}]}"),
        ("present", "{cookies: [{name: staff, present: true}]}"),
    ])
    .await;
    for (cookie, taker) in [
        ("a=b; canary=always; c=d", "exact"),
        ("a=b; canary=never", "none"),
        ("group=beta-7", "prefix"),
        ("cell=b", "regex"),
        ("cell=c", "none"),
        ("staff=", "present"),
    ] {
        assert_eq!(
            header_taken(&proxy, "cookie", cookie).await,
            taker,
            "{cookie}"
        );
    }
}

#[tokio::test]
async fn all_conditions_of_a_match_must_hold_and_any_match_will_do() {
    let (_app, proxy) = rules(&[(
        "both",
        "{path: {prefix: /a}, method: GET, headers: [{name: x-a, exact: \"1\"}]}, {path: {exact: /b}}",
    )])
    .await;
    assert_eq!(
        taken(&proxy, Method::GET, "/a/b", &[("x-a", "1")]).await,
        "both"
    );
    assert_eq!(
        taken(&proxy, Method::POST, "/a/b", &[("x-a", "1")]).await,
        "none"
    );
    assert_eq!(path_taken(&proxy, "/a/b").await, "none");
    assert_eq!(path_taken(&proxy, "/b").await, "both");
}

#[tokio::test]
async fn among_equal_paths_method_then_headers_then_query_decide() {
    let (_app, proxy) = rules(&[
        ("plain", ""),
        ("query", "{query: [{name: q, present: true}]}"),
        ("header", "{headers: [{name: x-a, present: true}]}"),
        (
            "headers",
            "{headers: [{name: x-a, present: true}, {name: x-b, present: true}]}",
        ),
        ("method", "{method: POST}"),
    ])
    .await;
    let everything = [("x-a", "1"), ("x-b", "1")];
    assert_eq!(
        taken(&proxy, Method::POST, "/?q=1", &everything).await,
        "method"
    );
    assert_eq!(
        taken(&proxy, Method::GET, "/?q=1", &everything).await,
        "headers"
    );
    assert_eq!(
        taken(&proxy, Method::GET, "/?q=1", &everything[..1]).await,
        "header"
    );
    assert_eq!(path_taken(&proxy, "/?q=1").await, "query");
    assert_eq!(path_taken(&proxy, "/").await, "plain");
}

#[tokio::test]
async fn between_equals_the_one_that_is_written_first_wins() {
    let (_app, proxy) = rules(&[
        ("first", "{headers: [{name: x-b, present: true}]}"),
        ("second", "{headers: [{name: x-a, present: true}]}"),
    ])
    .await;
    let both = [("x-a", "1"), ("x-b", "1")];
    assert_eq!(taken(&proxy, Method::GET, "/", &both).await, "first");
    assert_eq!(taken(&proxy, Method::GET, "/", &both[..1]).await, "second");
}

#[tokio::test]
async fn an_absolute_target_decides_the_host() {
    let app = origin("app").await;
    let config = Config::new()
        .backend("app", app.address())
        .route(&route("only", "a.example.com"));
    let proxy = Proxy::start(&config).await;
    let request =
        "GET http://a.example.com/x HTTP/1.1\r\nhost: b.example.com\r\nconnection: close\r\n\r\n";
    let answer = exchange(proxy.address(), request).await;
    assert!(answer.contains("x-rule: only"), "{answer}");
    let seen = app.last().expect("it was sent on");
    assert_eq!(
        (seen.header("host"), seen.uri.path()),
        (Some("a.example.com"), "/x")
    );
}
