//! Both protocols on both sides, in all four combinations.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use pointsman::testing::{Answer, Behaviour, Client, Config, H2Client, Origin, Proxy, RequestBody};

use crate::streaming::stalls;
use crate::{behaving, eventually, get, in_front_of, in_front_of_h2c, origin, scripted};

/// A client of one of the two protocols.
#[derive(Debug)]
pub(crate) enum Down {
    One(Client),
    Two(H2Client),
}

impl Down {
    pub(crate) async fn get(&mut self, path: &str) -> io::Result<Answer> {
        match self {
            Self::One(client) => client.get(path).await,
            Self::Two(client) => client.get(path).await,
        }
    }

    pub(crate) async fn start(
        &mut self,
        request: Request<RequestBody>,
    ) -> io::Result<Response<Incoming>> {
        match self {
            Self::One(client) => client.start(request).await,
            Self::Two(client) => client.start(request).await,
        }
    }
}

/// Clients of both protocols in front of proxies that speak both to this origin.
pub(crate) async fn all_combinations(app: &Origin) -> Vec<(Version, Version, Down, Proxy)> {
    let mut all = Vec::new();
    for up in [Version::HTTP_11, Version::HTTP_2] {
        for down in [Version::HTTP_11, Version::HTTP_2] {
            let proxy = match up {
                Version::HTTP_2 => in_front_of_h2c(app).await,
                _ => in_front_of(app).await,
            };
            let client = match down {
                Version::HTTP_2 => Down::Two(proxy.h2_client().await),
                _ => Down::One(proxy.client().await),
            };
            all.push((down, up, client, proxy));
        }
    }
    all
}

#[tokio::test]
async fn one_port_speaks_both_protocols_to_backends_of_both() {
    let app = origin("app").await;
    for (down, up, mut client, _proxy) in all_combinations(&app).await {
        for _ in 0..2 {
            let answer = client.get("/a?b=c").await.expect("an answer");
            assert_eq!((answer.version, answer.text()), (down, "app".to_owned()));
            let seen = app.last().expect("it reached the backend");
            assert_eq!(
                (seen.version, seen.uri.path_and_query().map(|p| p.as_str())),
                (up, Some("/a?b=c"))
            );
        }
    }
    assert_eq!(app.connections(), 4, "one connection for each proxy");
}

#[tokio::test]
async fn the_authority_of_one_protocol_is_the_host_of_the_other() {
    let app = origin("app").await;
    let (plain, h2c) = (in_front_of(&app).await, in_front_of_h2c(&app).await);
    plain
        .h2_client()
        .await
        .host("a.example")
        .get("/")
        .await
        .expect("an answer");
    let seen = app.last().expect("it reached the backend");
    assert_eq!(
        (seen.header("host"), seen.uri.host()),
        (Some("a.example"), None)
    );
    assert_eq!(seen.header("via"), Some("2.0 pointsman"));
    h2c.client()
        .await
        .host("b.example")
        .get("/")
        .await
        .expect("an answer");
    let seen = app.last().expect("it reached the backend");
    assert_eq!(
        (seen.header("host"), seen.uri.host()),
        (None, Some("b.example"))
    );
}

#[tokio::test]
async fn the_streams_of_a_connection_do_not_wait_for_each_other() {
    let app = scripted(|seen| match seen.uri.path() {
        "/stuck" => Behaviour::Hang,
        _ => Behaviour::Answer,
    })
    .await;
    for proxy in [in_front_of(&app).await, in_front_of_h2c(&app).await] {
        let mut client = proxy.h2_client().await;
        let mut other = client.clone();
        let stuck = tokio::spawn(async move { other.get("/stuck").await.map(drop) });
        let arrived = async || app.last().filter(|seen| seen.uri.path() == "/stuck");
        eventually("the stuck one arrives", arrived).await;
        for _ in 0..10 {
            assert_eq!(client.get("/").await.expect("an answer").status, 200);
        }
        stuck.abort();
    }
}

#[tokio::test]
async fn a_hundred_streams_share_one_connection_to_an_h2c_backend() {
    let app = behaving(Behaviour::Delay(Duration::from_millis(20))).await;
    let proxy = in_front_of_h2c(&app).await;
    let client = proxy.h2_client().await;
    let ask = |_| {
        let mut client = client.clone();
        async move { client.get("/").await.expect("an answer").status.as_u16() }
    };
    let answers = futures_util::future::join_all((0..100).map(ask)).await;
    assert_eq!(answers, [200; 100]);
    assert_eq!((app.count(), app.connections()), (100, 1));
}

#[tokio::test]
async fn trailers_follow_the_body_through_every_combination() {
    let trailers = vec![("x-sum".to_owned(), "42".to_owned())];
    let app = behaving(Behaviour::Trailers {
        body: Bytes::from("body"),
        trailers,
    })
    .await;
    for (down, up, mut client, _proxy) in all_combinations(&app).await {
        // Without `TE: trailers` nobody has to send them on over HTTP/1.1.
        let request = get("/", &[("te", "trailers")]).map(pointsman::testing::whole);
        let response = client.start(request).await.expect("a head");
        let answer = Answer::read(response).await.expect("a body");
        assert_eq!(answer.text(), "body");
        let told = answer
            .trailers
            .is_some_and(|trailers| trailers["x-sum"] == "42");
        assert!(
            told || down == Version::HTTP_11 || up == Version::HTTP_11,
            "{down:?} {up:?}"
        );
    }
}

#[tokio::test]
async fn cookies_in_pieces_become_one_line_for_http1() {
    let app = origin("app").await;
    let proxy = in_front_of(&app).await;
    let mut client = proxy.h2_client().await;
    client
        .send(get("/", &[("cookie", "a=1"), ("cookie", "b=2")]))
        .await
        .expect("an answer");
    let seen = app.last().expect("it reached the backend");
    let cookies: Vec<_> = seen.headers.get_all("cookie").iter().collect();
    assert_eq!(cookies, ["a=1; b=2"]);
}

#[tokio::test]
async fn an_h2c_backend_that_restarts_is_connected_to_again() {
    let app = origin("old").await;
    let proxy = in_front_of_h2c(&app).await;
    let address = app.address();
    assert_eq!(proxy.get("/").await.text(), "old");
    app.stop().await;
    let _app = Origin::at(address, "new")
        .await
        .expect("the port is free again");
    assert_eq!(proxy.get("/").await.text(), "new");
}

#[tokio::test]
async fn what_an_http1_backend_says_about_its_connection_is_not_said_to_http2() {
    let app = behaving(Behaviour::LastAnswer).await;
    let proxy = in_front_of(&app).await;
    let mut client = proxy.h2_client().await;
    for _ in 0..3 {
        let answer = client.get("/").await.expect("the connection goes on");
        assert_eq!(
            (answer.header("connection"), answer.status.as_u16()),
            (None, 200)
        );
    }
}

#[tokio::test]
async fn a_client_that_does_not_finish_the_preface_holds_nobody_up() {
    let app = origin("app").await;
    let proxy = in_front_of(&app).await;
    let mut raw = crate::raw::Raw::connect(proxy.address()).await;
    raw.send("PRI * HT").await;
    assert_eq!(proxy.get("/").await.status, 200);
    raw.send("TP/9.9\r\n\r\n").await;
    assert!(raw.rest().await.starts_with("HTTP/1.1 505 "));
}

#[tokio::test]
async fn clients_that_do_not_read_hold_up_nobody_behind_the_same_h2c_backend() {
    let large = Bytes::from(vec![b'x'; 8 * 1024 * 1024]);
    let app = scripted(move |seen| match seen.uri.path() {
        "/large" => Behaviour::Body(large.clone()),
        _ => Behaviour::Answer,
    })
    .await;
    let proxy = in_front_of_h2c(&app).await;
    let mut stalled = Vec::new();
    for count in 1..=30 {
        let mut client = proxy.client().await;
        let request = get("/large", &[]).map(pointsman::testing::whole);
        stalled.push((client.start(request).await.expect("a head"), client));
        app.wait_for(count, crate::LIMIT).await.expect("it arrives");
    }
    for _ in 0..10 {
        assert_eq!(proxy.get("/small").await.text(), "app");
    }
    let (response, _client) = stalled.pop().expect("thirty");
    assert_eq!(
        Answer::read(response).await.expect("it goes on").body.len(),
        8 << 20
    );
}

#[tokio::test]
async fn a_stream_that_is_not_read_holds_up_no_other_stream_of_its_connection() {
    let large = Bytes::from(vec![b'x'; 8 * 1024 * 1024]);
    let app = scripted(move |seen| match seen.uri.path() {
        "/large" => Behaviour::Body(large.clone()),
        _ => Behaviour::Answer,
    })
    .await;
    for proxy in [in_front_of(&app).await, in_front_of_h2c(&app).await] {
        let mut client = proxy.h2_client().await;
        let request = get("/large", &[]).map(pointsman::testing::whole);
        let stalled = client.start(request).await.expect("a head");
        for _ in 0..10 {
            assert_eq!(client.get("/small").await.expect("an answer").text(), "app");
        }
        assert_eq!(
            Answer::read(stalled).await.expect("it goes on").body.len(),
            8 << 20
        );
    }
}

#[tokio::test]
async fn uploads_that_nobody_reads_hold_up_no_other_stream_of_their_connection() {
    let reading = origin("app").await;
    let stuck = crate::raw::RawOrigin::serving(|mut raw| async move {
        tokio::spawn(async move {
            raw.head().await;
            std::future::pending::<()>().await;
        });
    })
    .await;
    let config = Config::new()
        .backend("app", reading.address())
        .backend("stuck", stuck.address);
    let config = config
        .rule("name: stuck, matches: [{path: {prefix: /stuck}}], split: [{backend: stuck}]")
        .split(&[("app", 1)]);
    let proxy = Proxy::start(&config).await;
    let mut client = proxy.h2_client().await;
    let (taken, mut uploads) = (Arc::new(AtomicUsize::new(0)), tokio::task::JoinSet::new());
    for _ in 0..20 {
        let (mut client, body) = (client.clone(), counted(&taken));
        let request = Request::post("/stuck").body(body).expect("valid");
        uploads.spawn(async move { client.start(request).await.map(drop) });
    }
    stalls(&taken).await;
    let others = async {
        for _ in 0..20 {
            let body = Bytes::from(vec![b'x'; 10_000]);
            let answer = client
                .send(Request::post("/").body(body).expect("valid"))
                .await;
            assert_eq!(answer.expect("an answer").text(), "app");
        }
    };
    // Long before the uploads are given up.
    tokio::time::timeout(crate::LIMIT / 2, others)
        .await
        .expect("nobody is held up");
}

/// A body of 64 MiB that counts what is taken of it.
fn counted(taken: &Arc<AtomicUsize>) -> RequestBody {
    let (taken, chunk) = (Arc::clone(taken), Bytes::from(vec![b'x'; 64 * 1024]));
    let frames = std::iter::repeat_n(chunk, 1024).map(move |chunk| {
        taken.fetch_add(chunk.len(), Ordering::SeqCst);
        Ok(Frame::data(chunk))
    });
    StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
}

#[tokio::test]
async fn a_header_list_that_is_too_large_is_answered_431() {
    let app = origin("app").await;
    let proxy = in_front_of(&app).await;
    let mut client = proxy.h2_client().await;
    let answer = client
        .send(get("/", &[("x-large", &"x".repeat(20_000))]))
        .await;
    assert_eq!(answer.expect("an answer").status, 431);
    assert_eq!(
        client
            .get("/")
            .await
            .expect("the connection goes on")
            .status,
        200
    );
    assert_eq!(app.count(), 1);
}
