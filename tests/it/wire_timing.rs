//! Bytes that come too early, too late or not at all, judged by the strict parser on both sides.

use std::time::Duration;

use pointsman::testing::strict::{Asked, Message};
use pointsman::testing::{Recorder, Reply, Then, When};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::LIMIT;
use crate::wire::{Judged, in_front_of, recorded};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const EVIL: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n")
}

/// Answers with its target.
fn named(request: &Message) -> Reply {
    let target = String::from_utf8_lossy(request.target()).into_owned();
    let length = target.len();
    Reply::bytes(format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{target}"
    ))
}

/// What is wrong with the connection of a client.
fn complaint(client: &Judged, asked: &[Asked]) -> Option<String> {
    let parsed = client.parsed(asked);
    let violation = parsed.violation()?;
    Some(format!("{violation}: {:?}", client.text()))
}

#[tokio::test]
async fn bytes_on_an_idle_connection_are_never_an_answer() {
    // Between the answer and the next request: at once, and after a while.
    for pause in [0, 1, 20] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let origin = tokio::spawn(async move {
            let mut serving = tokio::task::JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.set_nodelay(true).expect("an open socket");
                serving.spawn(async move {
                    let mut seen = Vec::new();
                    while !seen.ends_with(b"\r\n\r\n") {
                        stream.read_buf(&mut seen).await?;
                    }
                    stream.write_all(OK.as_bytes()).await?;
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    stream.write_all(EVIL.as_bytes()).await?;
                    // It stays open: only the bytes tell that something is wrong with it.
                    let mut rest = Vec::new();
                    stream.read_to_end(&mut rest).await
                });
            }
        });
        let config = pointsman::testing::Config::new()
            .backend("app", address)
            .split(&[("app", 1)]);
        let proxy = pointsman::testing::Proxy::start(&config).await;
        let mut client = Judged::connect(&proxy).await;
        let mut asked = Vec::new();
        for _ in 0..10 {
            client.send(get("/").as_bytes(), usize::MAX).await;
            asked.push(Asked::with("GET"));
            let answers = client.answers(&asked, asked.len()).await;
            let bodies: Vec<_> = answers
                .iter()
                .map(|it| (it.status(), &it.body[..]))
                .collect();
            assert_eq!(bodies, vec![(200, &b"ok"[..]); asked.len()], "{pause} ms");
            // Until the stray bytes have come: nobody could tell them from an answer that is due.
            tokio::time::sleep(Duration::from_millis(pause + 30)).await;
        }
        assert_eq!(complaint(&client, &asked), None);
        origin.abort();
    }
}

#[tokio::test]
async fn the_rest_of_a_body_is_no_request_after_an_early_answer() {
    for then in [Then::ReadOn, Then::Close, Then::StopReading] {
        let early = move |request: &Message| match request.method() {
            b"POST" => Reply::ok(request).when(When::Head).then(then),
            _ => Reply::ok(request),
        };
        let recorder = Recorder::scripted(early).await.expect("a free port");
        let proxy = in_front_of(&recorder).await;
        let rest = get("/smuggled");
        let length = 10 + rest.len();
        let mut client = Judged::connect(&proxy).await;
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
        client
            .send(format!("{head}0123456789").as_bytes(), usize::MAX)
            .await;
        let mut asked = vec![Asked::with("POST")];
        let answers = client.answers(&asked, 1).await;
        assert_eq!(
            answers.first().map(Message::status),
            Some(200),
            "{then:?}: {}",
            client.text()
        );
        // Too late: the answer is there. Whoever reads it reads it as what it is: a body.
        client.send(rest.as_bytes(), usize::MAX).await;
        let is_last = answers.iter().any(Message::is_last);
        if is_last {
            assert!(client.ends().await, "{then:?}: {}", client.text());
        } else {
            client.send(get("/after").as_bytes(), usize::MAX).await;
            asked.push(Asked::with("GET"));
            assert_eq!(client.answers(&asked, 2).await.len(), 2, "{then:?}");
        }
        assert_eq!(complaint(&client, &asked), None, "{then:?}");
        let mut other = Judged::connect(&proxy).await;
        other.send(get("/other").as_bytes(), usize::MAX).await;
        let answers = other.answers(&[Asked::with("GET")], 1).await;
        assert_eq!(answers.first().map(Message::status), Some(200), "{then:?}");
        let requests = recorder.requests();
        let smuggled = requests.iter().find(|it| it.target() == b"/smuggled");
        assert_eq!(smuggled, None, "{then:?}");
        assert_eq!(recorder.violations(), [], "{then:?}");
    }
}

#[tokio::test]
async fn a_large_body_that_nobody_reads_does_not_hold_up_the_answer() {
    let early = |request: &Message| Reply::ok(request).when(When::Head).then(Then::StopReading);
    let recorder = Recorder::scripted(early).await.expect("a free port");
    let proxy = in_front_of(&recorder).await;
    let mut client = Judged::connect(&proxy).await;
    let mut bytes = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 16777216\r\n\r\n".to_vec();
    bytes.resize(bytes.len() + (16 << 20), b'x');
    let sending = client.send(&bytes, 64 * 1024);
    tokio::time::timeout(LIMIT, sending)
        .await
        .expect("it is let go");
    let asked = [Asked::with("POST")];
    let answers = client.answers(&asked, 1).await;
    assert_eq!(
        answers.first().map(Message::status),
        Some(200),
        "{}",
        client.text()
    );
    assert_eq!(complaint(&client, &asked), None);
    assert_eq!(recorder.violations(), []);
}

#[tokio::test]
async fn a_refusal_spares_a_client_that_asks_first_its_body() {
    let refuse = |request: &Message| match request.method() {
        b"PUT" => {
            let bytes = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n";
            Reply::bytes(bytes).when(When::Head)
        }
        _ => Reply::ok(request),
    };
    let recorder = Recorder::scripted(refuse).await.expect("a free port");
    let proxy = in_front_of(&recorder).await;
    let mut client = Judged::connect(&proxy).await;
    let head = "PUT / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    client.send(head.as_bytes(), usize::MAX).await;
    let asked = [Asked::with("PUT")];
    let answers = client.answers(&asked, 1).await;
    let last = answers.first().expect("an answer without the body");
    assert_eq!(
        (last.status(), last.is_last()),
        (413, true),
        "{}",
        client.text()
    );
    assert!(client.ends().await, "{}", client.text());
    assert_eq!(complaint(&client, &asked), None);
    // What the body would have been is nobody's request.
    let mut other = Judged::connect(&proxy).await;
    other.send(get("/other").as_bytes(), usize::MAX).await;
    let answers = other.answers(&[Asked::with("GET")], 1).await;
    assert_eq!(answers.first().map(Message::status), Some(200));
    assert_eq!(recorder.violations(), []);
}

#[tokio::test]
async fn a_client_of_the_old_version_gets_what_it_can_read() {
    for answer in [
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        let canned = move |_: &Message| Reply::bytes(answer);
        let recorder = Recorder::scripted(canned).await.expect("a free port");
        let proxy = in_front_of(&recorder).await;
        for option in ["", "connection: keep-alive\r\n"] {
            let mut client = Judged::connect(&proxy).await;
            let request = format!("GET / HTTP/1.0\r\nhost: a\r\n{option}\r\n");
            client.send(request.as_bytes(), usize::MAX).await;
            let asked = [Asked {
                minor: 0,
                ..Asked::with("GET")
            }];
            let answers = client.answers(&asked, 1).await;
            let shown: Vec<_> = answers
                .iter()
                .map(|it| (it.status(), &it.body[..]))
                .collect();
            assert_eq!(shown, [(200, &b"hello"[..])], "{}", client.text());
            assert_eq!(complaint(&client, &asked), None);
            assert!(!client.text().contains(" 103 ") && !client.text().contains(" 100 "));
        }
    }
}

#[tokio::test]
async fn answers_go_to_whoever_asked_and_in_order() {
    let recorder = Recorder::scripted(named).await.expect("a free port");
    let proxy = in_front_of(&recorder).await;
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..8 {
        let mut connection = Judged::connect(&proxy).await;
        clients.spawn(async move {
            let mut asked = Vec::new();
            let mut due = Vec::new();
            for burst in 0..10 {
                let mut bytes = String::new();
                for at in 0..5 {
                    let target = format!("/{client}/{burst}/{at}");
                    let body = get("/smuggled");
                    let length = body.len();
                    let framed = match at % 3 {
                        0 => get(&target),
                        1 => format!("POST {target} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{body}"),
                        _ => format!("POST {target} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"),
                    };
                    bytes.push_str(&framed);
                    asked.push(Asked::with("GET"));
                    due.push(target.into_bytes());
                }
                connection.send(bytes.as_bytes(), 1 + client * 7).await;
                let answers = connection.answers(&asked, asked.len()).await;
                let bodies: Vec<_> = answers.into_iter().map(|it| it.body).collect();
                assert_eq!(bodies, due, "{}", connection.text());
            }
            assert_eq!(complaint(&connection, &asked), None);
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.expect("every client got its own");
    }
    assert_eq!(recorder.count(), 8 * 50);
    assert_eq!(recorder.violations(), []);
    assert!(
        recorder
            .requests()
            .iter()
            .all(|it| it.target() != b"/smuggled")
    );
}

#[tokio::test]
async fn a_request_is_written_once_and_never_half_when_the_client_breaks_off() {
    let (recorder, proxy) = recorded().await;
    for length in [1, 20, 40, 60] {
        let mut client = Judged::connect(&proxy).await;
        let whole = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 30\r\n\r\n012345678901234567890123456789";
        client.send(&whole.as_bytes()[..length], usize::MAX).await;
        drop(client);
    }
    // Whatever was begun has ended with its connection.
    let ended = recorder.wait_until(LIMIT, |it| it.unfinished().iter().all(|(_, ended)| *ended));
    ended.await.expect("it lets go");
    assert_eq!((recorder.count(), recorder.violations()), (0, Vec::new()));
}
