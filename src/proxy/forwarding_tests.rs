//! Who is believed about what: vectors, and whatever a liar may think of.

use std::net::Ipv4Addr;

use http::header::HOST;
use proptest::prelude::*;

use super::*;
use crate::model::Network;

const PEER: &str = "192.0.2.7";

fn trusting(headers: ForwardingHeaders, networks: &[&str]) -> Rc<Trust> {
    let parse = |text: &&str| Network::parse(text).expect("a network");
    Rc::new(Trust {
        proxies: networks.iter().map(parse).collect(),
        headers,
        proxy_protocol: ProxyProtocol::Off,
    })
}

fn client(peer: &str, headers: ForwardingHeaders, networks: &[&str]) -> Client {
    Client::new(
        peer.parse().expect("address"),
        8080,
        &trusting(headers, networks),
    )
}

/// A client at [`PEER`] that nobody trusts.
fn stranger(headers: ForwardingHeaders) -> Client {
    client(PEER, headers, &["10.0.0.0/8", "fd00::/8"])
}

/// A proxy at 10.0.0.1 that is trusted.
fn trusted(headers: ForwardingHeaders) -> Client {
    client("10.0.0.1", headers, &["10.0.0.0/8", "fd00::/8"])
}

fn map(headers: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("value");
        (name.parse::<HeaderName>().expect("name"), value)
    };
    headers.iter().map(pair).collect()
}

/// All headers, as `name: value`, sorted by name.
fn told(client: &Client, headers: &[(&str, &str)]) -> Vec<String> {
    let mut headers = map(headers);
    pass(&mut headers, client);
    let mut lines: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    lines.sort();
    lines
}

/// As `headers::prepare` does it.
fn pass(headers: &mut HeaderMap, client: &Client) {
    while let Some(name) = headers.keys().find(|name| client.takes_off(name)).cloned() {
        headers.remove(name);
    }
    let host = headers.get(HOST).cloned();
    apply(headers, client, host);
}

const LIES: &[(&str, &str)] = &[
    ("host", "shop.example.com:81"),
    ("forwarded", "for=1.2.3.4;proto=https"),
    ("forwarded", "for=\"open"),
    ("x-forwarded", "for=1.2.3.4"),
    ("x-forwarded-client-cert", "Hash=1"),
    ("x-forwarded-for", "1.2.3.4"),
    ("x-forwarded-for", "5.6.7.8"),
    ("x-forwarded-host", "evil.example.com"),
    ("x-forwarded-port", "443"),
    ("x-forwarded-prefix", "/evil"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-proto", "wss"),
    ("x-forwarded_for", "1.2.3.4"),
    ("x-other", "stays"),
    ("x-real-ip", "1.2.3.4"),
    ("x-real_ip", "1.2.3.4"),
    ("x_forwarded-for", "1.2.3.4"),
    ("x_forwarded_for", "1.2.3.4"),
    ("x_forwarded_proto", "https"),
    ("x_real_ip", "1.2.3.4"),
];

#[test]
fn what_a_stranger_says_about_itself_is_replaced_in_every_spelling() {
    let (host, stays) = ("host: shop.example.com:81", "x-other: stays");
    let x = [
        "x-forwarded-for: 192.0.2.7",
        "x-forwarded-host: shop.example.com:81",
        "x-forwarded-proto: http",
    ];
    let element = "forwarded: for=192.0.2.7;host=\"shop.example.com:81\";proto=http";
    assert_eq!(
        told(&stranger(ForwardingHeaders::XForwarded), LIES),
        [host, x[0], x[1], x[2], stays]
    );
    assert_eq!(
        told(&stranger(ForwardingHeaders::Forwarded), LIES),
        [element, host, stays]
    );
    assert_eq!(
        told(&stranger(ForwardingHeaders::Both), LIES),
        [element, host, x[0], x[1], x[2], stays]
    );
}

#[test]
fn a_request_without_a_host_claims_none() {
    assert_eq!(
        told(
            &stranger(ForwardingHeaders::Both),
            &[("x-forwarded-host", "evil.example.com")]
        ),
        [
            "forwarded: for=192.0.2.7;proto=http",
            "x-forwarded-for: 192.0.2.7",
            "x-forwarded-proto: http"
        ]
    );
}

#[test]
fn an_ipv6_client_is_quoted_where_the_rfc_wants_it() {
    let client = client("2001:db8::7", ForwardingHeaders::Both, &[]);
    let lines = told(&client, &[("host", "a")]);
    assert_eq!(
        lines[0],
        "forwarded: for=\"[2001:db8::7]\";host=a;proto=http"
    );
    assert_eq!(lines[2], "x-forwarded-for: 2001:db8::7");
}

#[test]
fn a_trusted_proxy_joins_the_chain_and_what_it_says_is_kept() {
    let proxy = trusted(ForwardingHeaders::XForwarded);
    let said = [
        ("host", "internal:81"),
        ("x-forwarded-for", "1.2.3.4, 198.51.100.1"),
        ("x-forwarded-for", " 10.0.0.9 "),
        ("x-forwarded-host", "evil.example.com"),
        ("x-forwarded-host", "shop.example.com"),
        ("x-forwarded-port", "8443"),
        ("x-forwarded-prefix", "/shop"),
        ("x-forwarded-proto", "gopher"),
        ("x-forwarded-proto", "https"),
        ("x-real-ip", "1.2.3.4"),
        ("forwarded", "for=1.2.3.4"),
        ("x_forwarded_for", "1.2.3.4"),
    ];
    assert_eq!(
        told(&proxy, &said),
        [
            "host: internal:81",
            "x-forwarded-for: 1.2.3.4, 198.51.100.1, 10.0.0.9, 10.0.0.1",
            "x-forwarded-host: shop.example.com",
            "x-forwarded-port: 8443",
            "x-forwarded-prefix: /shop",
            "x-forwarded-proto: https",
            "x-real-ip: 198.51.100.1",
        ]
    );
    assert_eq!(
        told(
            &proxy,
            &[
                ("host", "a"),
                ("x-forwarded-for", ""),
                ("x-forwarded-proto", "")
            ]
        ),
        [
            "host: a",
            "x-forwarded-for: 10.0.0.1",
            "x-forwarded-host: a",
            "x-forwarded-proto: http"
        ]
    );
}

#[test]
fn forwarded_is_extended_when_it_is_well_formed_and_replaced_when_not() {
    let proxy = trusted(ForwardingHeaders::Forwarded);
    let x = [
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "https"),
        ("x-real-ip", "1.2.3.4"),
    ];
    for (lines, whole) in [
        (&[][..], ""),
        (
            &["for=198.51.100.1;proto=https"],
            "for=198.51.100.1;proto=https, ",
        ),
        (
            &["for=\"[2001:db8::7]:80\"", "for=_x, "],
            "for=\"[2001:db8::7]:80\", for=_x,, ",
        ),
        (&["for=\"198.51.100.1"], ""),
        (&["for=198.51.100.1", "nonsense"], ""),
    ] {
        let lines = lines.iter().map(|line| ("forwarded", *line));
        let said: Vec<_> = lines.chain(x).chain([("host", "a")]).collect();
        let element = format!("forwarded: {whole}for=10.0.0.1;host=a;proto=http");
        assert_eq!(told(&proxy, &said), [element, "host: a".to_owned()]);
    }
}

#[test]
fn with_both_the_rfcs_header_is_translated_from_the_other() {
    let proxy = trusted(ForwardingHeaders::Both);
    let said = [
        ("host", "a"),
        ("forwarded", "for=1.1.1.1"),
        (
            "x-forwarded-for",
            "1.2.3.4, junk, [2001:db8::7]:80, 10.0.0.9",
        ),
        ("x-forwarded-host", "shop.\"example.com"),
        ("x-forwarded-proto", "https"),
    ];
    assert_eq!(
        told(&proxy, &said)[0],
        "forwarded: for=1.2.3.4, for=unknown, \
         for=\"[2001:db8::7]\";host=\"shop.\\\"example.com\";proto=https, for=10.0.0.9, \
         for=10.0.0.1;host=a;proto=http"
    );
}

#[test]
fn the_client_is_the_right_most_address_that_is_no_trusted_proxy() {
    let long = "10.0.0.3, ".repeat(5_000);
    let past_the_limit = format!("198.51.100.1, {}", "10.0.0.3, ".repeat(hops::HOPS_MAX));
    for (chain, ip) in [
        (&[][..], "10.0.0.1"),
        (&["198.51.100.1"], "198.51.100.1"),
        (&["1.2.3.4, 198.51.100.1"], "198.51.100.1"),
        (
            &["1.2.3.4, 198.51.100.1, 10.0.0.9, fd00::5"],
            "198.51.100.1",
        ),
        (
            &["1.2.3.4", "198.51.100.1:4711, [fd00::5]:80"],
            "198.51.100.1",
        ),
        (&["1.2.3.4,[2001:db8::7]:443"], "2001:db8::7"),
        // What stands left of garbage could be anybody's.
        (&["1.2.3.4, unknown"], "10.0.0.1"),
        (&["1.2.3.4, garbage, 10.0.0.9"], "10.0.0.9"),
        (&["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        (&[" , ,"], "10.0.0.1"),
        (&["::ffff:198.51.100.1, ::ffff:10.0.0.5"], "198.51.100.1"),
        (&[&long], "10.0.0.3"),
        (&[&past_the_limit], "10.0.0.3"),
    ] {
        let lines: Vec<_> = chain
            .iter()
            .map(|line| ("x-forwarded-for", *line))
            .collect();
        for mode in [ForwardingHeaders::XForwarded, ForwardingHeaders::Both] {
            assert_eq!(client_ip(&map(&lines), &trusted(mode)), ip, "{chain:?}");
            assert_eq!(client_ip(&map(&lines), &stranger(mode)), PEER, "{chain:?}");
        }
        let deaf = trusted(ForwardingHeaders::Forwarded);
        assert_eq!(client_ip(&map(&lines), &deaf), "10.0.0.1", "{chain:?}");
    }
}

#[test]
fn forwarded_names_the_client_where_it_is_the_one_that_is_believed() {
    for (chain, ip, entrance_) in [
        (
            "for=198.51.100.1;proto=https, for=10.0.0.9;proto=http",
            "198.51.100.1",
            ("https", 443),
        ),
        (
            "for=1.2.3.4;proto=https, for=\"198.51.100.1:80\";proto=http",
            "198.51.100.1",
            ("http", 80),
        ),
        (
            "for=1.2.3.4;proto=https, for=198.51.100.1",
            "198.51.100.1",
            ("http", 8080),
        ),
        (
            "for=1.2.3.4;proto=https, for=_hidden",
            "10.0.0.1",
            ("http", 8080),
        ),
        (
            "for=1.2.3.4;proto=https, for=\"",
            "10.0.0.1",
            ("http", 8080),
        ),
        ("proto=https", "10.0.0.1", ("http", 8080)),
    ] {
        let headers = map(&[
            ("forwarded", chain),
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-proto", "https"),
        ]);
        let proxy = trusted(ForwardingHeaders::Forwarded);
        assert_eq!(client_ip(&headers, &proxy), ip, "{chain}");
        assert_eq!(entrance(&headers, &proxy), entrance_, "{chain}");
        let nobody = stranger(ForwardingHeaders::Forwarded);
        assert_eq!(entrance(&headers, &nobody), ("http", 8080), "{chain}");
        assert_eq!(
            client_ip(&headers, &trusted(ForwardingHeaders::Both)),
            "1.1.1.1"
        );
    }
}

#[test]
fn the_way_in_is_what_a_trusted_proxy_says_it_is() {
    for (headers, way) in [
        (&[][..], ("http", 8080)),
        (&[("x-forwarded-proto", "https")], ("https", 443)),
        (
            &[("x-forwarded-proto", "WSS"), ("x-forwarded-port", "8443")],
            ("https", 8443),
        ),
        (
            &[("x-forwarded-proto", "http"), ("x-forwarded-port", "x")],
            ("http", 80),
        ),
        (
            &[("x-forwarded-proto", "gopher"), ("x-forwarded-port", "70")],
            ("http", 8080),
        ),
        (
            &[
                ("x-forwarded-proto", "http"),
                ("x-forwarded-proto", "https"),
            ],
            ("https", 443),
        ),
    ] {
        let headers = map(headers);
        assert_eq!(
            entrance(&headers, &trusted(ForwardingHeaders::XForwarded)),
            way
        );
        assert_eq!(
            entrance(&headers, &stranger(ForwardingHeaders::XForwarded)),
            ("http", 8080)
        );
    }
}

#[test]
fn a_proxy_header_puts_another_client_in_the_place_of_the_peer() {
    let proxy = trusted(ForwardingHeaders::XForwarded);
    let lie = [("host", "a"), ("x-forwarded-for", "1.2.3.4")];
    let source = |text: &str| {
        let address = text.parse().expect("address");
        Some(Source {
            address,
            entrance: 80,
        })
    };
    let seen_for = |client: &Client| told(client, &lie)[1].clone();
    let named = proxy.introduced(source("198.51.100.1:40000"));
    assert_eq!(seen_for(&named), "x-forwarded-for: 198.51.100.1");
    assert_eq!(client_ip(&map(&lie), &named), "198.51.100.1");
    let layered = proxy.introduced(source("10.0.0.9:40000"));
    assert_eq!(seen_for(&layered), "x-forwarded-for: 1.2.3.4, 10.0.0.9");
    assert_eq!(entrance(&map(&lie), &named), ("http", 80));
    let unnamed = proxy.introduced(None);
    assert_eq!(seen_for(&unnamed), "x-forwarded-for: 10.0.0.1");
    assert!(proxy.may_introduce() && !stranger(ForwardingHeaders::Both).may_introduce());
    assert!(client(PEER, ForwardingHeaders::Both, &[]).may_introduce());
}

#[test]
fn headers_of_others_are_none_of_our_business() {
    let client = stranger(ForwardingHeaders::Forwarded);
    for name in [
        "x",
        "x-",
        "x_",
        "xforwarded-for",
        "x-forward",
        "x-real-ipx",
        "f",
        "forwarded-for",
        "true-client-ip",
        "traceparent",
        "x-b3-traceid",
    ] {
        let name: HeaderName = name.parse().expect("name");
        assert!(!client.takes_off(&name), "{name}");
    }
}

/// Lines that a liar, or chance, would send.
fn lies() -> impl Strategy<Value = Vec<(HeaderName, HeaderValue)>> {
    let names = LIES.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    let name = prop::sample::select(names).prop_map(|name| name.parse().expect("name"));
    let words = "((for=|proto=|host=|by=)?(\"?[0-9a-f.:\\[\\]]{0,20}\"?|unknown|_x|https?|10\\.0\\.0\\.[0-9]|\"|\\\\)[,; ]{0,2}){0,8}";
    let bytes = prop::collection::vec(prop_oneof![0x20_u8..=0x7E, 0x80_u8..=0xFF], 0..200);
    let value = prop_oneof![words.prop_map(String::into_bytes), bytes];
    let value =
        value.prop_map(|bytes| HeaderValue::from_bytes(&bytes).expect("no control characters"));
    prop::collection::vec((name, value), 0..12)
}

fn modes() -> impl Strategy<Value = ForwardingHeaders> {
    prop::sample::select(vec![
        ForwardingHeaders::XForwarded,
        ForwardingHeaders::Forwarded,
        ForwardingHeaders::Both,
    ])
}

/// The one line of a header, if it is written in this mode; else there must be none.
fn only<'a>(headers: &'a HeaderMap, name: &str, written: bool) -> Option<&'a [u8]> {
    let lines: Vec<_> = headers.get_all(name).iter().collect();
    assert_eq!(lines.len(), usize::from(written), "{name}: {lines:?}");
    lines.first().map(|line| line.as_bytes())
}

/// What stands behind the last comma.
fn right_most(list: &[u8]) -> &[u8] {
    list.rsplit(|byte| *byte == b',')
        .next()
        .unwrap_or_default()
        .trim_ascii()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Nothing a stranger sends changes what the backend is told, or what is logged.
    #[test]
    fn whatever_a_stranger_claims_the_backend_sees_its_own_address_alone(
        lies in lies(), mode in modes(), ip in any::<u32>(),
    ) {
        let ip = Ipv4Addr::from_bits(ip);
        prop_assume!(ip.octets()[0] != 10);
        let client = client(&ip.to_string(), mode, &["10.0.0.0/8", "fd00::/8"]);
        let mut headers: HeaderMap = lies.into_iter().filter(|(name, _)| name != HOST).collect();
        headers.insert(HOST, HeaderValue::from_static("a"));
        prop_assert_eq!(&*client_ip(&headers, &client), ip.to_string());
        prop_assert_eq!(entrance(&headers, &client), ("http", 8080));
        pass(&mut headers, &client);
        let (ip, element) = (ip.to_string(), format!("for={ip};host=a;proto=http"));
        for (name, truth, written) in [
            ("x-forwarded-for", &*ip, mode.writes_x()),
            ("x-forwarded-proto", "http", mode.writes_x()),
            ("x-forwarded-host", "a", mode.writes_x()),
            ("forwarded", &*element, mode.writes_forwarded()),
        ] {
            if let Some(told) = only(&headers, name, written) {
                prop_assert_eq!(told, truth.as_bytes());
            }
        }
        let known = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded", "host", "x-other"];
        for name in headers.keys() {
            prop_assert!(known.contains(&name.as_str()), "{}", name);
        }
    }

    /// Whatever is in a chain, the trusted proxy itself is its right end, and whoever reads it as
    /// we do finds the same client.
    #[test]
    fn whatever_is_in_a_chain_its_right_end_is_the_peer(lies in lies(), mode in modes()) {
        let client = trusted(mode);
        let mut headers: HeaderMap = lies.into_iter().filter(|(name, _)| name != HOST).collect();
        headers.insert(HOST, HeaderValue::from_static("a"));
        let found = client.find(&headers);
        entrance(&headers, &client);
        pass(&mut headers, &client);
        if let Some(list) = only(&headers, "x-forwarded-for", mode.writes_x()) {
            prop_assert_eq!(right_most(list), b"10.0.0.1");
            let chain = headers.get_all("x-forwarded-for");
            let behind = hops::client(hops::x_forwarded_for(&chain), [10, 0, 0, 2].into(), &client.trust);
            prop_assert_eq!(behind.ip, found.ip);
        }
        if let Some(list) = only(&headers, "forwarded", mode.writes_forwarded()) {
            prop_assert_eq!(right_most(list), b"for=10.0.0.1;host=a;proto=http");
            let chain = hops::forwarded(&headers.get_all("forwarded"));
            let chain = chain.expect("what we write is well-formed");
            let behind = hops::client(chain, [10, 0, 0, 2].into(), &client.trust);
            prop_assert_eq!(behind.ip, found.ip);
        }
        for (name, _) in &headers {
            prop_assert!(!name.as_str().contains('_'), "{}", name);
        }
    }
}
