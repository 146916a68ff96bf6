//! The test origin is itself tested: a fault that does not happen would make other tests lie.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Version};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::{Accept, Answer, Behaviour, Client, H2Client, Origin, whole};

async fn client(origin: &Origin) -> Client {
    Client::connect(origin.address()).await.unwrap()
}

#[tokio::test]
async fn an_origin_says_its_name_and_remembers_what_it_was_asked() {
    let origin = Origin::named("v1").await.unwrap();
    let request = Request::post("/a?b=c")
        .header("x-test", "1")
        .body(Bytes::from("hello"))
        .unwrap();
    let answer = client(&origin).await.send(request).await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), answer.text()),
        (200, "v1".to_owned())
    );
    assert_eq!(answer.header("x-origin"), Some("v1"));
    let seen = origin.last().unwrap();
    assert_eq!(
        (seen.method, seen.uri.to_string()),
        (Method::POST, "/a?b=c".to_owned())
    );
    assert_eq!(seen.headers["x-test"], "1");
    assert_eq!(
        (seen.body, seen.body_bytes, seen.whole),
        (Bytes::from("hello"), 5, true)
    );
    assert_eq!((origin.count(), origin.connections()), (1, 1));
}

#[tokio::test]
async fn one_port_speaks_both_protocols() {
    let origin = Origin::named("v1").await.unwrap();
    let mut two = H2Client::connect(origin.address())
        .await
        .unwrap()
        .host("a.example");
    assert_eq!(two.get("/").await.unwrap().version, Version::HTTP_2);
    assert_eq!(origin.last().unwrap().uri.host(), Some("a.example"));
    assert_eq!(
        client(&origin).await.get("/").await.unwrap().version,
        Version::HTTP_11
    );
}

#[tokio::test]
async fn a_script_decides_request_by_request() {
    let origin = Origin::scripted("v1", |seen| match seen.uri.path() {
        "/teapot" => Behaviour::Status(418),
        "/two" => Behaviour::Headers(vec![
            ("x-a".to_owned(), "1".to_owned()),
            ("x-a".to_owned(), "2".to_owned()),
        ]),
        "/echo" => Behaviour::Echo,
        _ => Behaviour::Delay(Duration::from_millis(30)),
    });
    let origin = origin.await.unwrap();
    let mut client = client(&origin).await;
    assert_eq!(client.get("/teapot").await.unwrap().status, 418);
    assert_eq!(
        client
            .get("/two")
            .await
            .unwrap()
            .headers
            .get_all("x-a")
            .iter()
            .count(),
        2
    );
    let echo = Request::post("/echo").body(Bytes::from("again")).unwrap();
    assert_eq!(client.send(echo).await.unwrap().text(), "again");
    let begun = Instant::now();
    client.get("/slow").await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(30));
}

#[tokio::test]
async fn bodies_trickle_carry_trailers_and_break_off() {
    let origin = Origin::scripted("v1", |seen| match seen.uri.path() {
        "/trickle" => Behaviour::Trickle {
            chunk: Bytes::from("ab"),
            chunks: 3,
            every: Duration::from_millis(1),
        },
        "/trailers" => Behaviour::Trailers {
            body: Bytes::from("ab"),
            trailers: vec![("x-sum".to_owned(), "1".to_owned())],
        },
        _ => Behaviour::Truncate {
            declared: 100,
            sent: 10,
        },
    });
    let origin = origin.await.unwrap();
    let mut two = H2Client::connect(origin.address()).await.unwrap();
    assert_eq!(
        client(&origin).await.get("/trickle").await.unwrap().text(),
        "ababab"
    );
    assert_eq!(
        two.get("/trailers").await.unwrap().trailers.unwrap()["x-sum"],
        "1"
    );
    let mut one = client(&origin).await;
    let request = Request::get("/cut").body(whole(Bytes::new())).unwrap();
    let response = one.start(request).await.unwrap();
    assert_eq!(
        response.headers()["content-length"],
        "100",
        "the head arrives before the cut"
    );
    assert!(Answer::read(response).await.is_err());
    assert!(two.get("/cut").await.is_err());
}

#[tokio::test]
async fn requests_end_in_a_close_a_reset_or_nothing() {
    let origin = Origin::behaving("v1", Behaviour::Close).await.unwrap();
    let closed = client(&origin)
        .await
        .get("/")
        .await
        .unwrap_err()
        .to_string();
    origin.set(Behaviour::Reset);
    let reset = client(&origin)
        .await
        .get("/")
        .await
        .unwrap_err()
        .to_string();
    assert!(!closed.contains("reset"), "{closed}");
    assert!(reset.contains("reset"), "{reset}");
    origin.set(Behaviour::Hang);
    let mut hanging = client(&origin).await;
    let waited = tokio::time::timeout(Duration::from_millis(100), hanging.get("/")).await;
    assert!(waited.is_err());
    origin.set(Behaviour::Answer);
    assert_eq!(client(&origin).await.get("/").await.unwrap().status, 200);
}

#[tokio::test]
async fn connections_end_before_the_first_word() {
    let origin = Origin::named("v1").await.unwrap();
    let first_byte = async |origin: &Origin| {
        let mut stream = TcpStream::connect(origin.address()).await.unwrap();
        tokio::time::timeout(Duration::from_millis(200), stream.read_u8()).await
    };
    origin.set_accept(Accept::Close);
    let error = first_byte(&origin).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    origin.set_accept(Accept::Reset);
    let error = first_byte(&origin).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    origin.set_accept(Accept::Hang);
    assert!(first_byte(&origin).await.is_err());
}

#[tokio::test]
async fn an_origin_can_leave_and_come_back() {
    let origin = Origin::named("v1").await.unwrap();
    let address = origin.address();
    origin.stop().await;
    let refused = Client::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    let again = Origin::at(address, "v2").await.unwrap();
    assert_eq!(client(&again).await.get("/").await.unwrap().text(), "v2");
}
