//! Connections that leave HTTP: WebSockets and others, from the handshake to the end of the drain.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use pointsman::testing::{Behaviour, Config, Proxy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

use crate::raw::{Raw, RawOrigin, exchange};
use crate::{LIMIT, eventually, fault, origin, scripted};

/// A real WebSocket server that sends back what it hears, and says goodbye when it is told to.
struct Echo {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut socket = accept_async(stream).await.expect("a handshake");
                    while let Some(Ok(message)) = socket.next().await {
                        let goodbye = message.is_text() && message.to_string() == "goodbye";
                        if goodbye {
                            drop(socket.close(None).await);
                        } else if message.is_text() || message.is_binary() {
                            drop(socket.send(message).await);
                        }
                    }
                });
            }
        });
        Self { address, accepting }
    }

    fn config(&self) -> Config {
        Config::new()
            .backend("app", self.address)
            .split(&[("app", 1)])
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn websocket(proxy: &Proxy) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(proxy.address())
        .await
        .expect("it listens");
    let (socket, answer) = client_async("ws://app.test/chat", stream)
        .await
        .expect("a handshake");
    assert_eq!(answer.status(), 101);
    socket
}

async fn says(socket: &mut WebSocketStream<TcpStream>, message: Message) -> Message {
    socket.send(message).await.expect("it is open");
    let answer = tokio::time::timeout(LIMIT, socket.next()).await;
    answer
        .expect("in time")
        .expect("it is open")
        .expect("a message")
}

async fn metric(proxy: &Proxy, name: &str, value: f64) -> Option<()> {
    let seen = proxy
        .api()
        .metrics()
        .await
        .value(name, &[("backend", "app")]);
    (seen == Some(value)).then_some(())
}

#[tokio::test]
async fn a_websocket_passes_messages_both_ways_and_is_counted_while_it_is_open() {
    let app = Echo::start().await;
    let proxy = Proxy::start(&app.config()).await;
    let mut socket = websocket(&proxy).await;
    for text in ["one", "two", "three"] {
        assert_eq!(
            says(&mut socket, Message::text(text)).await,
            Message::text(text)
        );
    }
    let large = Message::binary(vec![7_u8; 3 * 1024 * 1024]);
    assert_eq!(says(&mut socket, large.clone()).await, large);
    metric(&proxy, "pointsman_upstream_tunnels", 1.0)
        .await
        .expect("it is counted");
    socket.close(None).await.expect("it is open");
    while socket.next().await.is_some_and(|message| message.is_ok()) {}
    drop(socket);
    eventually("it is over", async || {
        metric(&proxy, "pointsman_upstream_tunnels", 0.0).await
    })
    .await;
    metric(&proxy, "pointsman_upstream_tunnels_total", 1.0)
        .await
        .expect("it is counted");
    metric(&proxy, "pointsman_upstream_in_flight", 0.0)
        .await
        .expect("it is counted");
}

#[tokio::test]
async fn the_end_of_a_websocket_comes_from_either_side() {
    let app = Echo::start().await;
    let proxy = Proxy::start(&app.config()).await;
    let mut socket = websocket(&proxy).await;
    let closed = says(&mut socket, Message::text("goodbye")).await;
    assert!(closed.is_close(), "{closed:?}");
    drop(socket);
    let gone = websocket(&proxy).await;
    drop(gone);
    eventually("it is over", async || {
        metric(&proxy, "pointsman_upstream_connections", 0.0).await
    })
    .await;
}

#[tokio::test]
async fn a_websocket_may_be_silent_for_longer_than_a_connection_but_not_for_ever() {
    let app = Echo::start().await;
    let config = app
        .config()
        .setting("clientIdleTimeout: 1s")
        .setting("tunnelIdleTimeout: 4s");
    let proxy = Proxy::start(&config).await;
    let begun = std::time::Instant::now();
    let mut socket = websocket(&proxy).await;
    says(&mut socket, Message::text("last words")).await;
    let end = tokio::time::timeout(LIMIT, socket.next())
        .await
        .expect("it is let go");
    assert!(!matches!(end, Some(Ok(_))), "{end:?}");
    let lasted = begun.elapsed().as_millis();
    assert!((2_900..10_000).contains(&lasted), "{lasted} ms");
}

#[tokio::test]
async fn a_websocket_lives_until_the_drain_is_over_and_is_cut_then() {
    let app = Echo::start().await;
    let proxy = Proxy::start(&app.config()).await;
    let mut socket = websocket(&proxy).await;
    let stopping = tokio::spawn(proxy.stop());
    for _ in 0..5 {
        assert_eq!(
            says(&mut socket, Message::text("still")).await,
            Message::text("still")
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let end = tokio::time::timeout(LIMIT, socket.next())
        .await
        .expect("it is cut");
    assert!(!matches!(end, Some(Ok(_))), "{end:?}");
    stopping.await.expect("it stops");
}

#[tokio::test]
async fn a_backend_that_does_not_switch_answers_like_any_other() {
    let app = origin("app").await;
    let proxy = crate::in_front_of(&app).await;
    let mut raw = Raw::connect(proxy.address()).await;
    let ask = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    raw.send(ask).await;
    assert!(
        raw.until("\r\n\r\napp")
            .await
            .starts_with("HTTP/1.1 200 OK")
    );
    let seen = app.last().expect("it was sent on");
    assert_eq!(seen.header("upgrade"), Some("x"));
    // The connection is an ordinary one.
    raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(
        raw.until("\r\n\r\napp")
            .await
            .starts_with("HTTP/1.1 200 OK")
    );
    assert_eq!(app.last().expect("it was sent on").header("upgrade"), None);
}

#[tokio::test]
async fn nothing_of_the_new_protocol_reaches_the_backend_before_it_has_switched() {
    let (said, mut heard) = tokio::sync::mpsc::channel(4);
    let app = RawOrigin::serving(move |mut raw| {
        let said = said.clone();
        async move {
            let head = raw.head().await;
            // Whatever else came with the head came too early.
            let early = raw.unread();
            raw.send("HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nwelcome ")
                .await;
            let later = raw.until("hello").await;
            raw.send("bye").await;
            said.send((head, early, later))
                .await
                .expect("somebody listens");
        }
    })
    .await;
    let config = Config::new()
        .backend("app", app.address)
        .split(&[("app", 1)]);
    let proxy = Proxy::start(&config).await;
    let mut raw = Raw::connect(proxy.address()).await;
    raw.send(
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\nupgrade: x\r\n\r\nhello",
    )
    .await;
    let answer = raw.rest().await;
    assert!(
        answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"),
        "{answer}"
    );
    assert!(
        answer.contains("\r\nconnection: upgrade\r\nupgrade: x\r\n"),
        "{answer}"
    );
    assert!(answer.ends_with("\r\n\r\nwelcome bye"), "{answer}");
    let (head, early, later) = heard.recv().await.expect("it was asked");
    assert!(
        head.contains("\r\nconnection: upgrade\r\nupgrade: x\r\n"),
        "{head}"
    );
    assert_eq!((early.as_str(), later.as_str()), ("", "hello"));
}

#[tokio::test]
async fn a_switch_to_another_protocol_than_http_knows_nobody_asked_for_is_a_fault() {
    let app =
        RawOrigin::answering("HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")
            .await;
    let config = Config::new()
        .backend("app", app.address)
        .split(&[("app", 1)]);
    let proxy = Proxy::start(&config).await;
    for unasked in [
        "",
        "upgrade: x\r\n",
        "connection: upgrade\r\n",
        "connection: upgrade\r\nupgrade: h2c\r\n",
    ] {
        let ask = format!("GET / HTTP/1.1\r\nhost: a\r\n{unasked}\r\n");
        let mut raw = Raw::connect(proxy.address()).await;
        raw.send(&ask).await;
        let head = raw.head().await;
        assert!(head.starts_with("HTTP/1.1 502 "), "{unasked:?}: {head}");
    }
    let answer = proxy.h2_client().await.get("/").await.expect("an answer");
    assert_eq!(fault(&answer), (502, "upstream_protocol"));
    let with_body = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close, upgrade\r\nupgrade: x\r\ncontent-length: 2\r\n\r\nhi";
    assert!(
        exchange(proxy.address(), with_body)
            .await
            .starts_with("HTTP/1.1 502 ")
    );
}

/// Asks for a WebSocket by extended CONNECT (RFC 8441).
async fn websocket_over_http2(
    proxy: &Proxy,
    protocol: &'static str,
) -> (hyper::Response<hyper::body::Incoming>, JoinHandle<()>) {
    let stream = TcpStream::connect(proxy.address())
        .await
        .expect("it listens");
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let handshake = hyper::client::conn::http2::handshake(executor, io).await;
    let (mut sender, connection) = handshake.expect("HTTP/2");
    let driver = tokio::spawn(async move { drop(connection.await) });
    let ask = |method: http::Method| {
        let request = http::Request::builder()
            .method(method)
            .uri("http://app.test/chat");
        let request = request.header("sec-websocket-version", "13");
        request
            .body(pointsman::testing::whole(bytes::Bytes::new()))
            .expect("valid")
    };
    // By the end of a first request the server has said that it knows extended CONNECT.
    sender
        .send_request(ask(http::Method::GET))
        .await
        .expect("an answer");
    let mut request = ask(http::Method::CONNECT);
    request
        .extensions_mut()
        .insert(hyper::ext::Protocol::from_static(protocol));
    (
        sender.send_request(request).await.expect("an answer"),
        driver,
    )
}

#[tokio::test]
async fn a_websocket_over_http2_reaches_a_backend_that_knows_only_http_1_1() {
    let app = Echo::start().await;
    let proxy = Proxy::start(&app.config().setting("clientIdleTimeout: 1s")).await;
    let (answer, driver) = websocket_over_http2(&proxy, "websocket").await;
    assert_eq!(answer.status(), 200);
    assert!(!answer.headers().contains_key("sec-websocket-accept"));
    let stream = hyper::upgrade::on(answer).await.expect("a tunnel");
    let stream = hyper_util::rt::TokioIo::new(stream);
    let role = tokio_tungstenite::tungstenite::protocol::Role::Client;
    let mut socket = WebSocketStream::from_raw_socket(stream, role, None).await;
    let large = Message::binary(vec![7_u8; 1024 * 1024]);
    for message in [Message::text("one"), large, Message::text("two")] {
        socket.send(message.clone()).await.expect("it is open");
        let echo = tokio::time::timeout(LIMIT, socket.next())
            .await
            .expect("in time");
        assert_eq!(echo.expect("it is open").expect("a message"), message);
        // Longer than a connection without requests may last.
        tokio::time::sleep(std::time::Duration::from_millis(900)).await;
    }
    metric(&proxy, "pointsman_upstream_tunnels", 1.0)
        .await
        .expect("it is counted");
    drop(socket);
    eventually("it is over", async || {
        metric(&proxy, "pointsman_upstream_tunnels", 0.0).await
    })
    .await;
    driver.abort();
}

#[tokio::test]
async fn a_stream_of_http2_becomes_no_tunnel_when_the_backend_does_not_switch() {
    let app = scripted(|seen| match seen.header("upgrade") {
        Some("chat/1") => Behaviour::Status(426),
        _ => Behaviour::Answer,
    })
    .await;
    let proxy = crate::in_front_of(&app).await;
    for (protocol, status) in [("websocket", 502), ("h2c", 405), ("chat/1", 426)] {
        let (answer, driver) = websocket_over_http2(&proxy, protocol).await;
        assert_eq!(answer.status(), status, "{protocol}");
        driver.abort();
    }
    assert_eq!(
        app.last().expect("it was sent on").header("upgrade"),
        Some("chat/1")
    );
}

/// A proxy for tunnels: welcomes whoever connects, and then answers as told.
async fn tunnelling(status: &'static str) -> (RawOrigin, Config) {
    let app = RawOrigin::serving(move |mut raw| async move {
        let head = raw.head().await;
        assert!(
            head.starts_with("CONNECT far.test:99 HTTP/1.1\r\n"),
            "{head}"
        );
        raw.send(&format!("HTTP/1.1 {status}\r\n\r\nwelcome "))
            .await;
        raw.until("hello").await;
        raw.send("bye").await;
    })
    .await;
    let config = Config::new()
        .backend("app", app.address)
        .split(&[("app", 1)]);
    (app, config.setting("connectRequests: forward"))
}

#[tokio::test]
async fn connect_reaches_the_backend_where_the_config_says_so() {
    let (_app, config) = tunnelling("200 Connected").await;
    let proxy = Proxy::start(&config).await;
    let mut raw = Raw::connect(proxy.address()).await;
    raw.send("CONNECT far.test:99 HTTP/1.1\r\nhost: far.test:99\r\n\r\nhello")
        .await;
    let answer = raw.rest().await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let framed = answer.contains("content-length") || answer.contains("connection:");
    assert!(
        !framed && answer.ends_with("\r\n\r\nwelcome bye"),
        "{answer}"
    );
    let with_body =
        "CONNECT far.test:99 HTTP/1.1\r\nhost: far.test:99\r\ncontent-length: 5\r\n\r\nhello";
    assert!(
        exchange(proxy.address(), with_body)
            .await
            .starts_with("HTTP/1.1 400 ")
    );
}

#[tokio::test]
async fn connect_over_http2_becomes_a_tunnel_as_well() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (_app, config) = tunnelling("200 Connected").await;
    let proxy = Proxy::start(&config).await;
    let stream = TcpStream::connect(proxy.address())
        .await
        .expect("it listens");
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let handshake = hyper::client::conn::http2::handshake(executor, io).await;
    let (mut sender, connection) = handshake.expect("HTTP/2");
    let driver = tokio::spawn(async move { drop(connection.await) });
    let request = http::Request::connect("far.test:99");
    let request = request.body(pointsman::testing::whole(bytes::Bytes::new()));
    let answer = sender
        .send_request(request.expect("valid"))
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    let stream = hyper::upgrade::on(answer).await.expect("a tunnel");
    let mut stream = hyper_util::rt::TokioIo::new(stream);
    stream.write_all(b"hello").await.expect("it is open");
    let mut seen = Vec::new();
    let end = tokio::time::timeout(LIMIT, stream.read_to_end(&mut seen)).await;
    end.expect("in time").expect("an end");
    assert_eq!(seen, b"welcome bye");
    driver.abort();
}

#[tokio::test]
async fn a_connect_that_the_backend_refuses_is_an_answer_like_any_other() {
    let app = crate::behaving(Behaviour::Status(403)).await;
    let proxy = Proxy::start(&crate::all_to(&app).setting("connectRequests: forward")).await;
    let mut raw = Raw::connect(proxy.address()).await;
    raw.send("CONNECT far.test:99 HTTP/1.1\r\nhost: far.test:99\r\n\r\n")
        .await;
    let head = raw.head().await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
}
