//! Backends that speak HTTP/2 and mean no good, or leave while they are asked.

use h2::frame::Reason;
use pointsman::testing::{Config, Proxy};
use tokio::task::JoinSet;

use super::wire::*;
use crate::{fault, get as ask};

async fn in_front(backend: &Backend) -> Proxy {
    in_front_with(backend, "").await
}

async fn in_front_with(backend: &Backend, settings: &str) -> Proxy {
    let address = backend.address;
    let config = Config::new().backend_of(&format!(
        "name: app, endpoints: [\"{address}\"], protocol: h2c{settings}"
    ));
    Proxy::start(&config.split(&[("app", 1)])).await
}

fn post(length: usize) -> http::Request<bytes::Bytes> {
    let body = bytes::Bytes::from(vec![b'x'; length]);
    http::Request::post("/").body(body).expect("valid")
}

/// Does `first` on the first connection; answers how many bytes came, on all others.
async fn only_first_time<F>(
    first: impl Fn(Peer, Asked) -> F + Send + Sync + Clone + 'static,
) -> Backend
where
    F: Future<Output = ()> + Send + 'static,
{
    Backend::serving(&[], move |number, mut peer| {
        let first = first.clone();
        async move {
            if number == 1 {
                if let Some(asked) = peer.asked().await {
                    first(peer, asked).await;
                }
                return;
            }
            while let Some(asked) = peer.asked().await {
                let mut body = String::new();
                if !asked.end {
                    let Ending::Answer(_, all) = peer.ending(asked.stream).await else {
                        return;
                    };
                    body = all;
                }
                peer.answer(asked.stream, &body.len().to_string()).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn what_a_backend_has_not_looked_at_is_sent_again_body_and_all() {
    for length in [0, 5, 30_000] {
        let goes = only_first_time(|mut peer, _| async move {
            peer.offer(&goaway(0, Reason::NO_ERROR)).await;
            peer.closes().await;
        })
        .await;
        let refuses = only_first_time(|mut peer, asked| async move {
            let no = reset(asked.stream, Reason::REFUSED_STREAM);
            let leaves = goaway(asked.stream, Reason::NO_ERROR);
            peer.offer(&[no, leaves].concat()).await;
            peer.closes().await;
        })
        .await;
        for backend in [goes, refuses] {
            let proxy = in_front(&backend).await;
            let answer = proxy.send(post(length)).await;
            assert_eq!(
                (answer.status.as_u16(), answer.text()),
                (200, length.to_string())
            );
            assert_eq!(backend.connections(), 2);
            let answer = proxy.send(post(1)).await;
            assert_eq!(answer.text(), "1");
        }
    }
}

#[tokio::test]
async fn a_body_that_was_half_there_is_sent_again_with_its_rest() {
    let (tell, mut told) = tokio::sync::mpsc::channel(1);
    let backend = Backend::serving(&[], move |number, mut peer| {
        let tell = tell.clone();
        async move {
            let asked = peer.asked().await.expect("a request");
            assert_eq!(peer.piece(asked.stream).await, "one ");
            if number == 1 {
                peer.offer(&goaway(0, Reason::NO_ERROR)).await;
                return peer.closes().await;
            }
            tell.send(()).await.expect("somebody listens");
            assert_eq!(peer.piece(asked.stream).await, "two");
            let (trailers, end) = peer.trailers(asked.stream).await;
            assert!(end && trailers["x-sum"] == "42");
            peer.answer(asked.stream, "whole").await;
        }
    })
    .await;
    let proxy = in_front(&backend).await;
    let mut peer = Peer::client(proxy.address()).await;
    peer.send(&[request(1, 0, "POST", &[]), data(1, 0, b"one ")].concat())
        .await;
    told.recv().await.expect("it is sent again");
    let rest = [
        data(1, 0, b"two"),
        headers(1, END_STREAM, &[("x-sum", "42")]),
    ];
    peer.send(&rest.concat()).await;
    assert_eq!(
        peer.ending(1).await,
        Ending::Answer(200, "whole".to_owned())
    );
}

#[tokio::test]
async fn a_connection_that_nobody_uses_is_closed_politely() {
    let (tell, mut told) = tokio::sync::mpsc::channel(1);
    let backend = Backend::serving(&[], move |_, mut peer| {
        let tell = tell.clone();
        async move {
            peer.serve("ok").await;
            tell.send(peer.goodbye).await.expect("somebody listens");
        }
    })
    .await;
    let proxy = in_front_with(&backend, ", timeouts: {idle: 1s}").await;
    assert_eq!(proxy.get("/").await.text(), "ok");
    let end = tokio::time::timeout(crate::LIMIT, told.recv()).await;
    let goodbye = end.expect("it is closed").expect("it says so");
    assert_eq!(goodbye.map(|(_, reason)| reason), Some(Reason::NO_ERROR));
    assert_eq!(proxy.get("/").await.text(), "ok");
    assert_eq!(backend.connections(), 2);
}

#[tokio::test]
async fn what_is_refused_twice_is_a_bad_gateway() {
    let backend = Backend::serving(&[], |_, mut peer| async move {
        while let Some(asked) = peer.asked().await {
            peer.offer(&reset(asked.stream, Reason::REFUSED_STREAM))
                .await;
        }
    })
    .await;
    let proxy = in_front(&backend).await;
    let answer = proxy.get("/").await;
    assert_eq!(fault(&answer), (502, "upstream_reset"));
    assert_eq!(backend.connections(), 2);
}

#[tokio::test]
async fn a_body_of_which_too_much_is_gone_is_not_sent_again() {
    let backend = only_first_time(|mut peer, asked| async move {
        let mut bytes = 0;
        while bytes < 60_000 {
            bytes += peer.piece(asked.stream).await.len();
        }
        peer.offer(&goaway(0, Reason::NO_ERROR)).await;
        peer.closes().await;
    })
    .await;
    let proxy = in_front(&backend).await;
    let answer = proxy.send(post(200_000)).await;
    assert_eq!(fault(&answer), (502, "upstream_reset"));
    assert_eq!(proxy.send(post(200)).await.text(), "200");
}

#[tokio::test]
async fn what_a_leaving_backend_has_begun_it_finishes_and_the_rest_goes_elsewhere() {
    let backend = Backend::serving(&[], |number, mut peer| async move {
        if number > 1 {
            return peer.serve("new").await;
        }
        let first = peer.asked().await.expect("a request");
        let second = peer.asked().await.expect("another");
        peer.offer(&goaway(first.stream, Reason::NO_ERROR)).await;
        assert!(second.stream > first.stream);
        // Whatever else comes here was sent after the goodbye.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        peer.answer(first.stream, "old").await;
        assert!(peer.asked().await.is_none(), "a request after GOAWAY");
    })
    .await;
    let proxy = in_front(&backend).await;
    let mut peer = Peer::client(proxy.address()).await;
    peer.send(&[get(1), get(3)].concat()).await;
    assert_eq!(peer.ending(3).await, Ending::Answer(200, "new".to_owned()));
    peer.send(&get(5)).await;
    assert_eq!(peer.ending(5).await, Ending::Answer(200, "new".to_owned()));
    assert_eq!(peer.ending(1).await, Ending::Answer(200, "old".to_owned()));
    assert_eq!(backend.connections(), 2);
}

#[tokio::test]
async fn a_reset_says_that_the_backend_did_look_and_is_not_repeated() {
    for reason in [
        Reason::CANCEL,
        Reason::INTERNAL_ERROR,
        Reason::NO_ERROR,
        Reason::PROTOCOL_ERROR,
    ] {
        let backend = only_first_time(move |mut peer, asked| async move {
            peer.offer(&reset(asked.stream, reason)).await;
            peer.serve("same connection").await;
        })
        .await;
        let proxy = in_front(&backend).await;
        let answer = proxy.get("/").await;
        assert_eq!(fault(&answer), (502, "upstream_reset"), "{reason:?}");
        assert_eq!(proxy.get("/").await.text(), "same connection");
        assert_eq!(backend.connections(), 1);
    }
}

#[tokio::test]
async fn a_used_connection_that_breaks_costs_a_repeatable_request_nothing() {
    let backend = || {
        Backend::serving(&[], |number, mut peer| async move {
            if number > 1 {
                return peer.serve("new").await;
            }
            let first = peer.asked().await.expect("a request");
            peer.answer(first.stream, "old").await;
            peer.asked().await.expect("another");
        })
    };
    let app = backend().await;
    let proxy = in_front(&app).await;
    assert_eq!(proxy.get("/").await.text(), "old");
    assert_eq!(proxy.get("/").await.text(), "new");
    let app = backend().await;
    let proxy = in_front(&app).await;
    assert_eq!(proxy.get("/").await.text(), "old");
    let answer = proxy.send(post(1)).await;
    assert_eq!(
        fault(&answer),
        (502, "upstream_reset"),
        "nobody knows whether it was done"
    );
}

#[tokio::test]
async fn a_body_that_is_still_known_is_repeated_where_that_does_no_harm() {
    let backend = Backend::serving(&[], |number, mut peer| async move {
        while let Some(asked) = peer.asked().await {
            if asked.end {
                peer.answer(asked.stream, "ready").await;
                continue;
            }
            assert_eq!(peer.piece(asked.stream).await, "hello");
            if number == 1 {
                return;
            }
            peer.answer(asked.stream, "done").await;
        }
    })
    .await;
    let proxy = in_front(&backend).await;
    assert_eq!(proxy.get("/").await.text(), "ready");
    let put = http::Request::put("/").body(bytes::Bytes::from("hello"));
    let answer = proxy.send(put.expect("valid")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.text()),
        (200, "done".to_owned())
    );
    assert_eq!(backend.connections(), 2);
}

#[tokio::test]
async fn a_backend_that_leaves_again_and_again_loses_no_request() {
    let backend = Backend::serving(&[], |_, mut peer| async move {
        for _ in 0..9 {
            let Some(asked) = peer.asked().await else {
                return;
            };
            peer.answer(asked.stream, "ok").await;
        }
        let Some(last) = peer.asked().await else {
            return;
        };
        // Whatever else is under way to this connection is above the last stream.
        peer.offer(&goaway(last.stream, Reason::NO_ERROR)).await;
        peer.answer(last.stream, "ok").await;
        peer.closes().await;
    })
    .await;
    let proxy = in_front(&backend).await;
    let mut all = JoinSet::new();
    for _ in 0..4 {
        let mut client = proxy.client().await;
        all.spawn(async move {
            for at in 0..100 {
                let answer = client.send(post(at)).await.expect("an answer");
                assert_eq!(
                    (answer.status.as_u16(), answer.text()),
                    (200, "ok".to_owned())
                );
            }
        });
    }
    all.join_all().await;
    let connections = backend.connections();
    assert!((40..60).contains(&connections), "{connections} connections");
}

/// So many requests at the same time; their statuses.
async fn together(proxy: &Proxy, count: usize) -> Vec<u16> {
    let mut all = JoinSet::new();
    for _ in 0..count {
        let mut client = proxy.client().await;
        all.spawn(async move { client.get("/").await.expect("an answer").status.as_u16() });
    }
    all.join_all().await
}

#[tokio::test]
async fn a_backend_that_allows_few_streams_gets_no_more_and_nobody_is_refused() {
    let backend = Backend::serving(&[(MAX_CONCURRENT_STREAMS, 2)], |_, mut peer| async move {
        // Two at a time: answered when both are here, or when nobody else comes.
        let soon = std::time::Duration::from_millis(50);
        loop {
            let Some(one) = peer.asked().await else {
                return;
            };
            let other = tokio::time::timeout(soon, peer.asked()).await;
            if let Ok(Some(other)) = other {
                let third = tokio::time::timeout(soon, peer.asked()).await;
                assert!(third.is_err(), "a third stream was opened");
                peer.answer(other.stream, "ok").await;
            }
            peer.answer(one.stream, "ok").await;
        }
    })
    .await;
    let proxy = in_front(&backend).await;
    // Settings are known from here on.
    assert_eq!(together(&proxy, 1).await, [200]);
    assert_eq!(together(&proxy, 40).await, [200; 40]);
    assert_eq!(
        backend.connections(),
        8,
        "as many connections as are allowed"
    );
}

#[tokio::test]
async fn a_backend_that_allows_no_streams_is_busy_and_nobody_waits_for_ever() {
    let backend = Backend::serving(&[(MAX_CONCURRENT_STREAMS, 0)], |_, mut peer| async move {
        while let Some(asked) = peer.asked().await {
            peer.offer(&reset(asked.stream, Reason::REFUSED_STREAM))
                .await;
        }
    })
    .await;
    let proxy = in_front_with(&backend, ", timeouts: {connect: 300ms}").await;
    let mut busy = 0;
    for status in together(&proxy, 20).await {
        assert!([502, 503].contains(&status), "{status}");
        busy += usize::from(status == 503);
    }
    assert!(
        busy > 0 && backend.connections() <= 9,
        "{busy} of {}",
        backend.connections()
    );
    assert_eq!(fault(&proxy.get("/").await), (503, "upstream_busy"));
}

#[tokio::test]
async fn answers_that_are_malformed_are_a_bad_gateway_and_harm_no_other_stream() {
    let answers: [&'static [(&str, &str)]; 9] = [
        &[("x", "no status")],
        &[(":status", "200"), ("connection", "close")],
        &[(":status", "200"), ("transfer-encoding", "chunked")],
        &[(":status", "200"), ("content-length", "x")],
        &[
            (":status", "200"),
            ("content-length", "1"),
            ("content-length", "2"),
        ],
        &[(":status", "200"), ("x", " a")],
        &[(":status", "200"), (":status", "200")],
        &[("x", "1"), (":status", "200")],
        &[(":status", "200"), ("content-length", "5")],
    ];
    for fields in answers {
        let backend = Backend::serving(&[], move |_, mut peer| async move {
            while let Some(asked) = peer.asked().await {
                match asked.path.as_str() {
                    "/odd" => peer.offer(&headers(asked.stream, END_STREAM, fields)).await,
                    _ => peer.answer(asked.stream, "ok").await,
                }
            }
        })
        .await;
        let proxy = in_front(&backend).await;
        let answer = proxy.get("/odd").await;
        assert_eq!(fault(&answer), (502, "upstream_protocol"), "{fields:?}");
        assert_eq!(proxy.get("/").await.text(), "ok");
        assert_eq!(backend.connections(), 1, "{fields:?}");
    }
}

#[tokio::test]
async fn a_backend_that_breaks_the_protocol_is_left_and_the_next_request_finds_another_connection()
{
    let bombs = [
        (
            "a name in upper case",
            headers(1, END_STREAM, &[(":status", "200"), ("X-Upper", "1")]),
        ),
        (
            "a value with a newline",
            headers(1, END_STREAM, &[(":status", "200"), ("x", "a\r\nb: c")]),
        ),
        ("DATA before the head", data(3, 0, b"x")),
        ("a frame that is too large", data(1, 0, &[0; 16 * 1024 + 1])),
        (
            "a promise",
            frame(
                PUSH_PROMISE,
                4,
                1,
                &[&[0, 0, 0, 2], block(&[(":method", "GET")]).as_slice()].concat(),
            ),
        ),
        (
            "headers without end",
            [
                frame(HEADERS, 0, 1, &[]),
                frame(CONTINUATION, 0, 1, &[]).repeat(1000),
            ]
            .concat(),
        ),
        (
            "nonsense",
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec(),
        ),
    ];
    for (what, bomb) in bombs {
        let backend = only_first_time(move |mut peer, _| {
            let bomb = bomb.clone();
            async move {
                peer.offer(&bomb).await;
                peer.closes().await;
            }
        })
        .await;
        let proxy = in_front(&backend).await;
        let answer = proxy.get("/").await;
        assert_eq!(fault(&answer), (502, "upstream_protocol"), "{what}");
        assert_eq!(proxy.send(post(3)).await.text(), "3", "{what}");
    }
}

#[tokio::test]
async fn interim_answers_come_before_and_a_switch_is_never_one() {
    let backend = Backend::serving(&[], |_, mut peer| async move {
        while let Some(asked) = peer.asked().await {
            let interim = if asked.path == "/101" { "101" } else { "103" };
            peer.offer(&headers(asked.stream, 0, &[(":status", interim)]))
                .await;
            peer.answer(asked.stream, "ok").await;
        }
    })
    .await;
    let proxy = in_front(&backend).await;
    assert_eq!(proxy.get("/").await.text(), "ok");
    let answer = proxy.get("/101").await;
    assert!(answer.status == 502 || answer.text() == "ok", "{answer:?}");
}

#[tokio::test]
async fn a_head_as_large_as_one_of_http1_passes_and_a_larger_one_does_not() {
    let backend = Backend::serving(&[], |_, mut peer| async move {
        while let Some(asked) = peer.asked().await {
            let length: usize = asked.path[1..].parse().expect("a number");
            let large = "x".repeat(1000);
            let mut fields = vec![(":status", "200")];
            fields.extend(std::iter::repeat_n(("x", large.as_str()), length));
            let whole = block(&fields);
            let (first, rest) = whole.split_at(whole.len().min(16_384));
            let mut bytes = frame(HEADERS, END_STREAM, asked.stream, first);
            for piece in rest.chunks(16_384) {
                bytes.extend(frame(CONTINUATION, 0, asked.stream, piece));
            }
            bytes.extend(frame(CONTINUATION, END_HEADERS, asked.stream, &[]));
            peer.offer(&bytes).await;
        }
    })
    .await;
    let proxy = in_front(&backend).await;
    let send = async |path: &str| proxy.send(ask(path, &[])).await;
    assert_eq!(send("/50").await.status, 200);
    assert_eq!(fault(&send("/66").await), (502, "upstream_protocol"));
    assert_eq!(send("/1").await.status, 200);
    assert_eq!(backend.connections(), 1);
}
