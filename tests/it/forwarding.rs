//! Who the client is: headers of trusted proxies and of liars, the PROXY protocol, trace contexts.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use pointsman::testing::{Answer, Client, Config, H2Client, Origin, Proxy, Seen};
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};

use crate::binary::Binary;
use crate::http2::all_combinations;
use crate::raw::{Raw, exchange};
use crate::{LIMIT, all_to, eventually, get, origin};

/// The header after which requests come from 198.51.100.1.
const V1: &str = "PROXY TCP4 198.51.100.1 192.0.2.1 40000 443\r\n";
const REQUEST: &str =
    "GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 1.2.3.4\r\nconnection: close\r\n\r\n";

/// A proxy with these options on its listener, in front of an origin.
async fn listening(options: &str) -> (Proxy, Origin) {
    let app = origin("app").await;
    let proxy = Proxy::start(&all_to(&app).listener(options)).await;
    (proxy, app)
}

/// A connection from another address of this machine.
async fn connect_from(ip: [u8; 4], address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind(SocketAddr::from((Ipv4Addr::from(ip), 0)))
        .expect("all of 127.0.0.0/8 is this machine");
    socket.connect(address).await.expect("it listens")
}

/// All lines of a header.
fn lines<'a>(seen: &'a Seen, name: &str) -> Vec<&'a str> {
    let lines = seen.headers.get_all(name).iter();
    lines.map(|line| line.to_str().expect("text")).collect()
}

fn last(app: &Origin) -> Seen {
    app.last().expect("it reached the backend")
}

/// Waits until so many connections were closed because they broke the protocol.
async fn refused(proxy: &Proxy, count: f64) {
    let name = "pointsman_downstream_protocol_errors_total";
    let metrics = async || proxy.api().metrics().await.value(name, &[]);
    let close = async || metrics().await.filter(|now| (now - count).abs() < 1e-9);
    eventually(&format!("{count} connections are refused"), close).await;
}

const LIES: &[(&str, &str)] = &[
    ("x-forwarded-for", "1.2.3.4"),
    ("x-forwarded-for", "5.6.7.8"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "evil.example.com"),
    ("x-forwarded-port", "443"),
    ("x-forwarded-prefix", "/evil"),
    ("x-forwarded-client-cert", "Hash=1"),
    ("x-real-ip", "1.2.3.4"),
    ("forwarded", "for=1.2.3.4;proto=https"),
    ("forwarded", "for=\"open"),
    ("x_forwarded_for", "1.2.3.4"),
    ("x-forwarded_for", "1.2.3.4"),
    ("x_real_ip", "1.2.3.4"),
];

#[tokio::test]
async fn whatever_a_stranger_says_the_backend_is_told_the_truth() {
    let x = &["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"][..];
    for (options, told) in [
        ("trustedProxies: []", x.to_vec()),
        ("trustedProxies: [10.0.0.0/8]", x.to_vec()),
        ("forwardingHeaders: forwarded", vec!["forwarded"]),
        ("forwardingHeaders: both", [&["forwarded"], x].concat()),
    ] {
        let (proxy, app) = listening(options).await;
        let request = || get("/", LIES);
        let mut one = proxy.client().await.host("a");
        let mut two = proxy.h2_client().await.host("a");
        for answer in [one.send(request()).await, two.send(request()).await] {
            assert_eq!(answer.expect("an answer").status, 200);
            let seen = last(&app);
            for (name, truth) in [
                ("x-forwarded-for", "127.0.0.1"),
                ("x-forwarded-host", "a"),
                ("x-forwarded-proto", "http"),
                ("forwarded", "for=127.0.0.1;host=a;proto=http"),
            ] {
                let wanted = if told.contains(&name) {
                    vec![truth]
                } else {
                    vec![]
                };
                assert_eq!(lines(&seen, name), wanted, "{name} with {options}");
            }
            for (name, _) in LIES {
                assert!(
                    told.contains(name) || !seen.headers.contains_key(*name),
                    "{name} with {options}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_connection_header_cannot_take_the_truth_away() {
    for options in [
        "forwardingHeaders: both",
        "forwardingHeaders: both, trustedProxies: [127.0.0.1]",
    ] {
        let (proxy, app) = listening(options).await;
        let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close, forwarded, x-forwarded-for, \
                       x-forwarded-proto, x-real-ip\r\nx-forwarded-for: 127.0.0.1\r\n\r\n";
        let answer = exchange(proxy.address(), request).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let seen = last(&app);
        for name in ["forwarded", "x-forwarded-for", "x-forwarded-proto"] {
            assert_eq!(lines(&seen, name).len(), 1, "{name} with {options}");
        }
        assert!(lines(&seen, "x-forwarded-for")[0].ends_with("127.0.0.1"));
    }
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_and_its_neighbour_is_not() {
    let (proxy, app) = listening("trustedProxies: [127.0.0.2, 10.0.0.0/8]").await;
    let request = "GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 1.2.3.4, 198.51.100.1\r\n\
                   x-forwarded-proto: https\r\nX-Forwarded-For: 10.0.0.9\r\nx-real-ip: 1.2.3.4\r\n\
                   x-forwarded-host: shop.example.com\r\nforwarded: for=1.2.3.4\r\nconnection: close\r\n\r\n";
    for (from, told) in [
        (
            2,
            [
                "1.2.3.4, 198.51.100.1, 10.0.0.9, 127.0.0.2",
                "https",
                "shop.example.com",
                "198.51.100.1",
                "",
            ],
        ),
        (3, ["127.0.0.3", "http", "a", "", ""]),
    ] {
        let mut raw = Raw::over(connect_from([127, 0, 0, from], proxy.address()).await);
        raw.send(request).await;
        let answer = raw.rest().await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let seen = last(&app);
        let names = [
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-forwarded-host",
            "x-real-ip",
            "forwarded",
        ];
        for (name, value) in names.into_iter().zip(told) {
            assert_eq!(lines(&seen, name).join("|"), value, "{name} from {from}");
        }
    }
}

#[tokio::test]
async fn the_rfcs_header_is_extended_for_a_trusted_proxy() {
    let (proxy, app) = listening("trustedProxies: [127.0.0.1], forwardingHeaders: forwarded").await;
    let said = [
        ("host", "shop.example.com:8080"),
        ("forwarded", "for=1.2.3.4"),
        ("forwarded", "For=\"[2001:db8::7]:4711\";proto=https"),
        ("x-forwarded-for", "1.2.3.4"),
    ];
    proxy.send(get("/", &said)).await;
    let seen = last(&app);
    assert_eq!(
        lines(&seen, "forwarded"),
        ["for=1.2.3.4, For=\"[2001:db8::7]:4711\";proto=https, \
          for=127.0.0.1;host=\"shop.example.com:8080\";proto=http"]
    );
    assert!(!seen.headers.contains_key("x-forwarded-for"));
}

#[tokio::test]
async fn the_log_names_the_client_behind_trusted_proxies() {
    let app = origin("app").await;
    let config = all_to(&app).setting("accessLog: all");
    let binary = Binary::start(&config.listener("trustedProxies: [127.0.0.1, 10.0.0.0/8]")).await;
    for (path, chain) in [
        ("/one", "1.2.3.4, 198.51.100.1:80, 10.0.0.9"),
        ("/two", "1.2.3.4, garbage"),
        ("/three", ""),
    ] {
        let mut client = Client::connect(binary.address).await.expect("it listens");
        let request = get(path, &[("x-forwarded-for", chain)]);
        client.send(request).await.expect("an answer");
    }
    for (path, ip) in [
        ("/one", "198.51.100.1"),
        ("/two", "127.0.0.1"),
        ("/three", "127.0.0.1"),
    ] {
        let line: Value = serde_json::from_str(&binary.stdout.line(path).await).expect("JSON");
        assert_eq!(line["client_ip"], ip, "{path}");
    }
}

#[tokio::test]
async fn a_redirect_leads_back_the_way_the_client_came() {
    let app = origin("app").await;
    let config = Config::new().backend("app", app.address()).rule(
        "matches: [{path: {prefix: /old}}], filters: {redirect: {path: {replacePrefix: /new}}}",
    );
    let location = async |options: &str, headers: &[(&str, &str)]| {
        let proxy = Proxy::start(&config.clone().listener(options)).await;
        let answer: Answer = proxy.send(get("/old/x", headers)).await;
        let port = format!(":{}", proxy.address().port());
        answer
            .header("location")
            .map(|text| text.replace(&port, ":PORT"))
    };
    let said = [("host", "shop.example.com"), ("x-forwarded-proto", "https")];
    let balanced = [said[0], said[1], ("x-forwarded-port", "8443")];
    let trusting = "trustedProxies: [127.0.0.1]";
    for (options, headers, there) in [
        (
            "trustedProxies: []",
            &said[..],
            "http://shop.example.com:PORT/new/x",
        ),
        (trusting, &said, "https://shop.example.com/new/x"),
        (trusting, &balanced, "https://shop.example.com:8443/new/x"),
        (trusting, &said[..1], "http://shop.example.com:PORT/new/x"),
    ] {
        assert_eq!(
            location(options, headers).await.as_deref(),
            Some(there),
            "{options} {headers:?}"
        );
    }
}

#[tokio::test]
async fn a_redirect_behind_a_tcp_balancer_names_the_balancers_port() {
    let app = origin("app").await;
    let config = Config::new()
        .backend("app", app.address())
        .rule("filters: {redirect: {path: {full: /new}}}");
    let proxy = Proxy::start(&config.listener(REQUIRED)).await;
    for (port, location) in [(80, "http://a/new"), (8000, "http://a:8000/new")] {
        let header = format!("PROXY TCP4 198.51.100.1 192.0.2.1 40000 {port}\r\n");
        let answer = exchange(proxy.address(), &format!("{header}{REQUEST}")).await;
        let line = format!("\r\nlocation: {location}\r\n");
        assert!(answer.contains(&line), "{answer}");
    }
}

/// A header of version 2.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([0x20 | command, family]);
    header.extend(u16::try_from(rest.len()).expect("short").to_be_bytes());
    header.extend(rest);
    header
}

/// 198.51.100.1:40000 to 192.0.2.1:443, and an extension.
fn v2_ipv4() -> Vec<u8> {
    let mut rest = vec![198, 51, 100, 1, 192, 0, 2, 1, 0x9C, 0x40, 1, 0xBB];
    rest.extend(b"\x02\0\x04shop");
    v2(1, 0x11, &rest)
}

fn v2_ipv6() -> Vec<u8> {
    let ip = |text: &str| {
        text.parse::<std::net::Ipv6Addr>()
            .expect("address")
            .octets()
    };
    let mut rest = [ip("2001:db8::7"), ip("2001:db8::1")].concat();
    rest.extend([0x9C, 0x40, 1, 0xBB]);
    v2(1, 0x21, &rest)
}

const REQUIRED: &str = "proxyProtocol: required, trustedProxies: [127.0.0.1]";

#[tokio::test]
async fn a_proxy_header_names_the_client_of_the_connection() {
    let (proxy, app) = listening(REQUIRED).await;
    for (header, ip) in [
        (V1.as_bytes().to_vec(), "198.51.100.1"),
        (
            b"PROXY TCP6 2001:db8::7 ::1 40000 443\r\n".to_vec(),
            "2001:db8::7",
        ),
        (
            b"PROXY TCP6 ::ffff:198.51.100.1 ::1 40000 443\r\n".to_vec(),
            "198.51.100.1",
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (v2_ipv4(), "198.51.100.1"),
        (v2_ipv6(), "2001:db8::7"),
        // A health check of the balancer itself, and somebody without an address.
        (v2(0, 0, &[]), "127.0.0.1"),
        (v2(1, 0x31, &[0; 216]), "127.0.0.1"),
        (
            v2(
                1,
                0x11,
                &[&v2_ipv4()[16..28], b"\x04\x0F\xE0", &[0; 0xFE0]].concat(),
            ),
            "198.51.100.1",
        ),
    ] {
        let mut raw = Raw::connect(proxy.address()).await;
        raw.send_bytes(&[&header, REQUEST.as_bytes()].concat())
            .await;
        let answer = raw.rest().await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer} to {header:?}");
        assert_eq!(lines(&last(&app), "x-forwarded-for"), [ip], "{header:?}");
    }
    refused(&proxy, 0.0).await;
}

#[tokio::test]
async fn a_proxy_header_may_come_byte_by_byte_and_counts_for_every_request() {
    let (proxy, app) = listening(REQUIRED).await;
    for header in [V1.as_bytes().to_vec(), v2_ipv4()] {
        let mut raw = Raw::connect(proxy.address()).await;
        for byte in [&header, &b"GET /1 HTTP/1.1\r\nhost: a\r\n\r\n"[..]].concat() {
            raw.send_bytes(&[byte]).await;
            tokio::task::yield_now().await;
        }
        raw.head().await;
        raw.until("app").await;
        assert_eq!(lines(&last(&app), "x-forwarded-for"), ["198.51.100.1"]);
        raw.send(REQUEST).await;
        assert!(raw.rest().await.starts_with("HTTP/1.1 200"));
        assert_eq!(lines(&last(&app), "x-forwarded-for"), ["198.51.100.1"]);
    }
}

#[tokio::test]
async fn http2_may_follow_a_proxy_header_in_the_same_packet() {
    let (proxy, app) = listening(REQUIRED).await;
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    // GET, http, /, :authority = a; the stream ends with its head.
    let request = [0, 0, 6, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x84, 0x41, 1, b'a'];
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for (count, header) in (1..).zip([V1.as_bytes().to_vec(), v2_ipv6()]) {
        let mut raw = Raw::connect(proxy.address()).await;
        raw.send_bytes(&[&header, &preface[..], &settings, &request].concat())
            .await;
        app.wait_for(count, LIMIT).await.expect("it arrives");
        let seen = last(&app);
        assert_eq!(seen.header("via"), Some("2.0 pointsman"));
        let ip = if count == 1 {
            "198.51.100.1"
        } else {
            "2001:db8::7"
        };
        assert_eq!(lines(&seen, "x-forwarded-for"), [ip]);
    }
}

#[tokio::test]
async fn a_client_behind_a_proxy_header_is_trusted_only_if_it_is_a_proxy_itself() {
    let (proxy, app) =
        listening("proxyProtocol: required, trustedProxies: [127.0.0.1, 10.0.0.0/8]").await;
    for (header, chain) in [
        (V1, "198.51.100.1"),
        (
            "PROXY TCP4 10.0.0.9 192.0.2.1 40000 443\r\n",
            "1.2.3.4, 10.0.0.9",
        ),
        // It may speak for a stranger it cannot name.
        ("PROXY UNKNOWN\r\n", "127.0.0.1"),
    ] {
        let answer = exchange(proxy.address(), &format!("{header}{REQUEST}")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(lines(&last(&app), "x-forwarded-for"), [chain]);
    }
}

#[tokio::test]
async fn without_a_valid_proxy_header_there_is_no_answer_and_it_is_counted() {
    let (proxy, app) = listening(REQUIRED).await;
    let long = format!("PROXY UNKNOWN {}\r\n{REQUEST}", "x".repeat(200));
    let second = format!("\r\n{V1}{REQUEST}");
    let mut count = 0.0;
    for bytes in [
        REQUEST.as_bytes(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\0",
        b"PROXY TCP4 198.51.100.1 192.0.2.1 40000\r\n",
        b"PROXY TCP4 1.2.3.4.5 192.0.2.1 1 2\r\nGET / HTTP/1.1\r\n",
        long.as_bytes(),
        second.as_bytes(),
        &v2(2, 0x11, &[0; 12]),
        &v2(1, 0x11, &[0; 11]),
        &v2(1, 0x11, &[0; 5_000]),
    ] {
        let mut raw = Raw::connect(proxy.address()).await;
        raw.offer(bytes).await;
        let answer = raw.rest().await;
        assert_eq!(answer, "", "{:?}", String::from_utf8_lossy(bytes));
        count += 1.0;
    }
    refused(&proxy, count).await;
    assert_eq!(app.last().map(|seen| seen.uri), None);
    let doubled = exchange(proxy.address(), &format!("{V1}{V1}{REQUEST}")).await;
    assert!(doubled.starts_with("HTTP/1.1 400"), "{doubled}");
}

#[tokio::test]
async fn who_leaves_in_the_middle_of_a_proxy_header_is_counted_and_who_says_nothing_is_not() {
    let (proxy, _app) = listening(REQUIRED).await;
    for _ in 0..3 {
        drop(Raw::connect(proxy.address()).await);
    }
    let mut raw = Raw::connect(proxy.address()).await;
    raw.send("PROXY TC").await;
    drop(raw);
    refused(&proxy, 1.0).await;
}

#[tokio::test]
async fn a_proxy_header_has_to_be_there_in_time_however_slowly_it_drips() {
    let (proxy, _app) = listening(REQUIRED).await;
    let mut raw = Raw::connect(proxy.address()).await;
    let begun = Instant::now();
    let drip = async {
        for byte in V1.bytes() {
            raw.offer([byte]).await;
            tokio::time::sleep(Duration::from_millis(400)).await;
            if begun.elapsed() > Duration::from_secs(9) {
                break;
            }
        }
        raw.rest().await
    };
    assert_eq!(drip.await, "");
    let took = begun.elapsed();
    assert!(
        (Duration::from_secs(9)..Duration::from_secs(14)).contains(&took),
        "{took:?}"
    );
    refused(&proxy, 1.0).await;
}

#[tokio::test]
async fn only_trusted_proxies_may_send_a_proxy_header() {
    let (proxy, app) = listening("proxyProtocol: required, trustedProxies: [127.0.0.2]").await;
    let mut raw = Raw::connect(proxy.address()).await;
    raw.offer(&format!("{V1}{REQUEST}")).await;
    assert_eq!(raw.rest().await, "");
    refused(&proxy, 1.0).await;
    let mut raw = Raw::over(connect_from([127, 0, 0, 2], proxy.address()).await);
    raw.send(&format!("{V1}{REQUEST}")).await;
    assert!(raw.rest().await.starts_with("HTTP/1.1 200"));
    assert_eq!(app.count(), 1);
    // Without a list, whoever reaches the listener may.
    let (proxy, _app) = listening("proxyProtocol: required").await;
    let answer = exchange(proxy.address(), &format!("{V1}{REQUEST}")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_proxy_header_where_none_is_asked_for_is_a_bad_request() {
    let (proxy, app) = listening("trustedProxies: [127.0.0.1]").await;
    let answer = exchange(proxy.address(), &format!("{V1}{REQUEST}")).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let mut raw = Raw::connect(proxy.address()).await;
    raw.send_bytes(&[&v2_ipv4(), REQUEST.as_bytes()].concat())
        .await;
    let answer = raw.rest().await;
    assert!(!answer.contains("200 OK"), "{answer}");
    assert_eq!(app.count(), 0);
}

#[tokio::test]
async fn a_connection_that_owes_its_proxy_header_does_not_hold_up_the_end() {
    let (proxy, _app) = listening(REQUIRED).await;
    let mut silent = Raw::connect(proxy.address()).await;
    let mut slow = Raw::connect(proxy.address()).await;
    slow.send("PROXY").await;
    // Both are in the queue before the one that is answered.
    let answer = exchange(proxy.address(), &format!("{V1}{REQUEST}")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let begun = Instant::now();
    proxy.stop().await;
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(
        (silent.rest().await, slow.rest().await),
        (String::new(), String::new())
    );
}

/// What tracing systems send, odd values and repeated lines included.
const TRACES: &[(&str, &str)] = &[
    (
        "traceparent",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ),
    ("traceparent", "not-a-trace,  at all"),
    ("tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
    ("tracestate", ""),
    ("tracestate", "a=\"1;2\",,b"),
    ("baggage", "userId=alice,serverNode=DF%2028;k=v, x = y"),
    ("baggage", "second=line"),
    ("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1"),
    ("x-b3-traceid", "463ac35c9f6413ad48485a3953bb6124"),
    ("x-b3-sampled", "d"),
    ("uber-trace-id", "1:2:0:1"),
    (
        "x-cloud-trace-context",
        "105445aa7843bc8bf206b120001000/1;o=1",
    ),
    (
        "x-amzn-trace-id",
        "Root=1-67891233-abcdef012345678912345678",
    ),
    ("grpc-trace-bin", "AAAA"),
];

#[tokio::test]
async fn trace_contexts_pass_untouched_over_both_protocols() {
    let app = origin("app").await;
    for (down, up, mut client, _proxy) in all_combinations(&app).await {
        let request = get("/", TRACES).map(pointsman::testing::whole);
        let response = client.start(request).await.expect("an answer");
        assert_eq!(response.status(), 200);
        let seen = last(&app);
        for (name, _) in TRACES {
            let sent = TRACES
                .iter()
                .filter(|(one, _)| one == name)
                .map(|(_, value)| *value);
            let sent: Vec<_> = sent.collect();
            assert_eq!(lines(&seen, name), sent, "{name} from {down:?} to {up:?}");
        }
    }
}

#[tokio::test]
async fn none_is_made_up_where_there_is_no_trace() {
    let (proxy, app) = listening("trustedProxies: [127.0.0.1]").await;
    let mut client: H2Client = proxy.h2_client().await;
    client.get("/").await.expect("an answer");
    proxy.get("/").await;
    for (name, _) in TRACES {
        assert!(!last(&app).headers.contains_key(*name), "{name}");
    }
}
