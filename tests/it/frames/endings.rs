//! Resets and goodbyes: who breaks off is heard on the other side, and what broke off never looks
//! whole.

use h2::frame::Reason;
use pointsman::testing::{Behaviour, Config, Proxy};
use tokio::sync::mpsc::{Receiver, channel};

use super::wire::*;
use crate::raw::{Raw, RawOrigin};
use crate::{behaving, in_front_of, origin};

async fn in_front(backend: &Backend) -> Proxy {
    let address = backend.address;
    let config = Config::new().backend_of(&format!(
        "name: app, endpoints: [\"{address}\"], protocol: h2c"
    ));
    Proxy::start(&config.split(&[("app", 1)])).await
}

/// Begins an answer to the first request and breaks it off with this reason; answers all others.
async fn breaking(reason: Reason) -> Backend {
    Backend::serving(&[], move |_, mut peer| async move {
        while let Some(asked) = peer.asked().await {
            if asked.path == "/breaks" {
                let begin = [
                    headers(asked.stream, 0, &[(":status", "200")]),
                    data(asked.stream, 0, b"half"),
                    reset(asked.stream, reason),
                ];
                peer.offer(&begin.concat()).await;
            } else {
                peer.answer(asked.stream, "ok").await;
            }
        }
    })
    .await
}

fn breaks(stream: u32) -> Vec<u8> {
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/breaks"),
        (":authority", "a"),
    ];
    headers(stream, END_STREAM, &fields)
}

#[tokio::test]
async fn an_answer_that_the_backend_resets_is_reset_for_the_client_whatever_the_reason() {
    for (reason, told) in [
        (Reason::NO_ERROR, Reason::INTERNAL_ERROR),
        (Reason::CANCEL, Reason::CANCEL),
        (Reason::INTERNAL_ERROR, Reason::INTERNAL_ERROR),
        // Passed on, it would say that nothing was done and everything may be repeated.
        (Reason::REFUSED_STREAM, Reason::INTERNAL_ERROR),
        (Reason::PROTOCOL_ERROR, Reason::INTERNAL_ERROR),
        (Reason::ENHANCE_YOUR_CALM, Reason::INTERNAL_ERROR),
    ] {
        let backend = breaking(reason).await;
        let proxy = in_front(&backend).await;
        let mut peer = Peer::client(proxy.address()).await;
        peer.send(&breaks(1)).await;
        assert_eq!(peer.ending(1).await, Ending::Reset(told), "{reason:?}");
        peer.send(&get(3)).await;
        assert_eq!(peer.ending(3).await, Ending::Answer(200, "ok".to_owned()));

        let mut raw = Raw::connect(proxy.address()).await;
        raw.send("GET /breaks HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let all = raw.rest().await;
        // However much of it came: no end.
        assert!(!all.ends_with("0\r\n\r\n"), "{reason:?}: {all}");
        assert_eq!(backend.connections(), 1, "nobody else was harmed");
    }
}

#[tokio::test]
async fn an_answer_that_an_http1_backend_cuts_is_reset() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let app = RawOrigin::answering(answer).await;
        let config = Config::new().backend("app", app.address);
        let proxy = Proxy::start(&config.split(&[("app", 1)])).await;
        let mut peer = Peer::client(proxy.address()).await;
        peer.send(&get(1)).await;
        assert_eq!(
            peer.ending(1).await,
            Ending::Reset(Reason::INTERNAL_ERROR),
            "{answer}"
        );
    }
}

/// A backend that says what becomes of a stream after its request.
async fn telling() -> (Backend, Receiver<Ending>) {
    let (tell, told) = channel(8);
    let backend = Backend::serving(&[], move |_, mut peer| {
        let tell = tell.clone();
        async move {
            while let Some(asked) = peer.asked().await {
                if asked.path == "/" && asked.end {
                    peer.answer(asked.stream, "ok").await;
                    continue;
                }
                let begun = headers(asked.stream, 0, &[(":status", "200")]);
                peer.offer(&begun).await;
                let ending = peer.ending(asked.stream).await;
                tell.send(ending).await.expect("somebody listens");
            }
        }
    })
    .await;
    (backend, told)
}

#[tokio::test]
async fn what_the_client_takes_back_is_taken_back_from_the_backend() {
    let (backend, mut told) = telling().await;
    let proxy = in_front(&backend).await;
    let mut peer = Peer::client(proxy.address()).await;
    // While the answer is on its way, while the upload is, and by going away.
    for (stream, reason) in [(1, Reason::CANCEL), (3, Reason::NO_ERROR)] {
        peer.send(&[request(stream, 0, "POST", &[]), data(stream, 0, b"half")].concat())
            .await;
        assert_eq!(peer.head(stream).await.0, 200);
        peer.send(&reset(stream, reason)).await;
        let heard = told.recv().await.expect("the backend hears of it");
        assert!(matches!(heard, Ending::Reset(_)), "{heard:?}");
    }
    peer.send(&breaks(5)).await;
    assert_eq!(peer.head(5).await.0, 200);
    peer.send(&reset(5, Reason::CANCEL)).await;
    let heard = told.recv().await.expect("the backend hears of it");
    assert_eq!(heard, Ending::Reset(Reason::CANCEL));
    peer.send(&breaks(7)).await;
    assert_eq!(peer.head(7).await.0, 200);
    drop(peer);
    let heard = told.recv().await.expect("the backend hears of it");
    assert_eq!(heard, Ending::Reset(Reason::CANCEL));
    assert_eq!(proxy.get("/").await.text(), "ok");
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn an_http1_upload_that_breaks_off_never_ends_for_an_http2_backend() {
    let (backend, mut told) = telling().await;
    let proxy = in_front(&backend).await;
    let length = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf";
    let chunked = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    for (begun, then) in [(length, ""), (chunked, ""), (chunked, "nonsense\r\n")] {
        let mut raw = Raw::connect(proxy.address()).await;
        raw.send(begun).await;
        assert!(raw.head().await.starts_with("HTTP/1.1 200 "));
        raw.send(then).await;
        drop(raw);
        let heard = told.recv().await.expect("the backend hears of it");
        assert!(matches!(heard, Ending::Reset(_)), "{begun:?}: {heard:?}");
    }
}

#[tokio::test]
async fn what_the_client_takes_back_ends_its_http1_connection() {
    let (tell, mut told) = channel(2);
    let app = RawOrigin::serving(move |mut raw| {
        let tell = tell.clone();
        async move {
            raw.head().await;
            tell.send("asked").await.expect("somebody listens");
            raw.rest().await;
            tell.send("closed").await.expect("somebody listens");
        }
    })
    .await;
    let config = Config::new().backend("app", app.address);
    let proxy = Proxy::start(&config.split(&[("app", 1)])).await;
    let mut peer = Peer::client(proxy.address()).await;
    for stream in [1, 3] {
        peer.send(&get(stream)).await;
        assert_eq!(told.recv().await, Some("asked"));
        peer.send(&reset(stream, Reason::CANCEL)).await;
        assert_eq!(told.recv().await, Some("closed"));
    }
}

#[tokio::test]
async fn a_client_that_says_goodbye_gets_what_it_asked_for() {
    let app = origin("app").await;
    let proxy = in_front_of(&app).await;
    let mut peer = Peer::client(proxy.address()).await;
    let frames = [get(1), get(3), goaway(0, Reason::NO_ERROR)];
    peer.send(&frames.concat()).await;
    for stream in [1, 3] {
        assert_eq!(peer.ending(stream).await.status(), Some(200));
    }
    peer.closes().await;
}

#[tokio::test]
async fn who_leaves_says_goodbye_and_finishes_what_runs() {
    let app = behaving(Behaviour::Delay(std::time::Duration::from_millis(300))).await;
    let proxy = in_front_of(&app).await;
    let mut peer = Peer::client(proxy.address()).await;
    let mut silent = Peer::client(proxy.address()).await;
    peer.send(&get(1)).await;
    app.wait_for(1, crate::LIMIT).await.expect("it arrives");
    let leaving = tokio::spawn(async move { Box::pin(proxy.stop()).await });
    assert_eq!(peer.goodbye().await, Some(Reason::NO_ERROR));
    // Sent before the goodbye was heard: still served.
    peer.send(&get(3)).await;
    for stream in [1, 3] {
        let ending = peer.ending(stream).await;
        assert_eq!(ending.status(), Some(200), "{stream}: {ending:?}");
    }
    peer.closes().await;
    silent.closes().await;
    leaving.await.expect("it leaves");
}

#[tokio::test]
async fn a_reset_without_an_error_after_a_whole_answer_is_an_early_answer() {
    let backend = Backend::serving(&[], |_, mut peer| async move {
        while let Some(asked) = peer.asked().await {
            peer.answer(asked.stream, "early").await;
            peer.offer(&reset(asked.stream, Reason::NO_ERROR)).await;
        }
    })
    .await;
    let proxy = in_front(&backend).await;
    let mut peer = Peer::client(proxy.address()).await;
    peer.send(&[request(1, 0, "POST", &[]), data(1, 0, b"half")].concat())
        .await;
    assert_eq!(
        peer.ending(1).await,
        Ending::Answer(200, "early".to_owned())
    );
}
