//! Attacks that cost the attacker little: they end their own connection or are absorbed, in bounded
//! time, and nobody else notices.

use std::time::Instant;

use h2::frame::Reason;
use pointsman::testing::{Behaviour, Origin, Proxy};

use super::wire::*;
use crate::{LIMIT, behaving, eventually, in_front_of, origin};

const CALM: Ending = Ending::GoAway(Reason::ENHANCE_YOUR_CALM);

/// A proxy, an origin behind it, and somebody who uses both while they are attacked.
struct Scene {
    app: Origin,
    proxy: Proxy,
    bystander: Peer,
    next: u32,
}

impl Scene {
    async fn set() -> Self {
        let app = origin("app").await;
        let proxy = in_front_of(&app).await;
        let bystander = Peer::client(proxy.address()).await;
        Self {
            app,
            proxy,
            bystander,
            next: 1,
        }
    }

    async fn attacker(&self) -> Peer {
        Peer::client(self.proxy.address()).await
    }

    /// Somebody else is served as always.
    async fn goes_on(&mut self) {
        self.bystander.send(&get(self.next)).await;
        assert_eq!(self.bystander.ending(self.next).await.status(), Some(200));
        self.next += 2;
    }
}

/// So many times the same, with the numbers of the client's streams.
fn times(count: u32, of_stream: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..count).flat_map(|at| of_stream(2 * at + 1)).collect()
}

/// These streams end their connection, whatever is sent afterwards.
async fn calms(what: &str, bytes: Vec<u8>) -> u64 {
    let mut scene = Scene::set().await;
    let mut attacker = scene.attacker().await;
    let begun = Instant::now();
    attacker.offer(&bytes).await;
    // A stream that nobody has opened: what ends it is the end of the connection.
    assert_eq!(attacker.ending(999_999).await, CALM, "{what}");
    assert!(begun.elapsed() < LIMIT / 2, "{what}: {:?}", begun.elapsed());
    let reached = scene.app.count();
    scene.goes_on().await;
    let counted = async || {
        let metrics = scene.proxy.api().metrics().await;
        let errors = metrics.value("pointsman_downstream_protocol_errors_total", &[]);
        errors.filter(|errors| *errors > 0.0)
    };
    assert_eq!(eventually("it is counted", counted).await.to_string(), "1");
    reached
}

#[tokio::test]
async fn requests_that_are_taken_back_at_once_reach_hardly_anybody() {
    let flood = times(5000, |stream| {
        [get(stream), reset(stream, Reason::CANCEL)].concat()
    });
    let reached = calms("rapid reset", flood).await;
    assert!(reached < 200, "{reached} requests reached the backend");
}

#[tokio::test]
async fn streams_that_we_are_made_to_reset_end_the_connection() {
    let overflow = |stream| {
        [
            request(stream, 0, "POST", &[]),
            window_update(stream, (1 << 31) - 1),
        ]
        .concat()
    };
    calms("window overflows", times(2000, overflow)).await;
    let malformed = |stream| request(stream, END_STREAM, "GET", &[("connection", "close")]);
    calms("malformed requests", times(2000, malformed)).await;
    let lies = |stream| {
        [
            request(stream, 0, "POST", &[("content-length", "1")]),
            data(stream, END_STREAM, b"two"),
        ]
        .concat()
    };
    calms("lengths that are wrong", times(2000, lies)).await;
    let depends = |stream: u32| {
        [
            get(stream),
            frame(
                PRIORITY,
                0,
                stream,
                &[stream.to_be_bytes().as_slice(), &[0]].concat(),
            ),
        ]
        .concat()
    };
    calms("streams that depend on themselves", times(2000, depends)).await;
}

#[tokio::test]
async fn headers_that_do_not_end_end_the_connection() {
    let begin = frame(HEADERS, END_STREAM, 1, &block(&[(":method", "GET")]));
    for piece in [vec![], block(&[("x", "y")])] {
        let more = frame(CONTINUATION, 0, 1, &piece);
        calms(
            "CONTINUATION",
            [begin.clone(), more.repeat(10_000)].concat(),
        )
        .await;
    }
}

#[tokio::test]
async fn a_small_block_that_unpacks_to_much_ends_the_connection() {
    // One field of 3 KiB goes into the table, and is then said 4,000 times in a byte each.
    let mut bomb = vec![0x40];
    bomb.extend(&field(b"x", &[b'y'; 3000])[1..]);
    bomb.extend([0xbe; 4000]);
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "a"),
    ];
    calms(
        "HPACK bomb",
        frame(HEADERS, 5, 1, &[block(&fields), bomb].concat()),
    )
    .await;
}

#[tokio::test]
async fn data_without_data_ends_the_connection() {
    let empty = data(1, 0, b"").repeat(200_000);
    calms("empty DATA", [request(1, 0, "POST", &[]), empty].concat()).await;
    let padding = frame(DATA, PADDED, 1, &[0]).repeat(200_000);
    calms(
        "padding alone",
        [request(1, 0, "POST", &[]), padding].concat(),
    )
    .await;
}

#[tokio::test]
async fn frames_that_ask_for_nothing_are_absorbed() {
    const COUNT: usize = 100_000;
    let ping = frame(PING, 0, 0, b"12345678");
    for (what, one) in [
        ("SETTINGS", settings(&[(INITIAL_WINDOW_SIZE, 65_535)])),
        ("PING", ping),
        ("PRIORITY", frame(PRIORITY, 0, 3, &[0, 0, 0, 1, 0])),
        ("WINDOW_UPDATE", window_update(0, 1)),
        ("an unknown kind", frame(0xbe, 0, 0, b"????????")),
    ] {
        let mut scene = Scene::set().await;
        let mut attacker = scene.attacker().await;
        let begun = Instant::now();
        let (flood, last) = (one.repeat(COUNT), request(1, END_STREAM, "PUT", &[]));
        let address = scene.proxy.address();
        // Read what is answered, or the proxy stops reading.
        let (mut read, mut write) = tokio::net::TcpStream::connect(address)
            .await
            .expect("it listens")
            .into_split();
        let swallow =
            tokio::spawn(async move { tokio::io::copy(&mut read, &mut tokio::io::sink()).await });
        let push = tokio::spawn(async move {
            use tokio::io::AsyncWriteExt as _;
            let hello = [PREFACE, &settings(&[]), &flood, &last].concat();
            drop(write.write_all(&hello).await);
            write
        });
        while !push.is_finished() {
            scene.goes_on().await;
        }
        let last = |seen: pointsman::testing::Seen| (seen.method == "PUT").then_some(());
        let arrived = async || scene.app.seen().into_iter().find_map(last);
        eventually(what, arrived).await;
        assert!(begun.elapsed() < LIMIT, "{what}: {:?}", begun.elapsed());
        drop(push);
        swallow.abort();
        attacker.send(&get(1)).await;
        assert_eq!(attacker.ending(1).await.status(), Some(200));
    }
}

#[tokio::test]
async fn who_does_not_read_what_is_answered_is_not_read_from() {
    let mut scene = Scene::set().await;
    let mut stream = tokio::net::TcpStream::connect(scene.proxy.address())
        .await
        .expect("it listens");
    let flood = frame(PING, 0, 0, b"12345678").repeat(10_000);
    let push = async {
        use tokio::io::AsyncWriteExt as _;
        stream
            .write_all(&[PREFACE, &settings(&[])].concat())
            .await
            .expect("it reads");
        // Far more than the buffers of two sockets.
        for _ in 0..1000 {
            stream.write_all(&flood).await.expect("it is open");
        }
    };
    let stalled = tokio::time::timeout(LIMIT / 5, push).await;
    assert!(
        stalled.is_err(),
        "170 MB of PING were taken, and their answers kept"
    );
    scene.goes_on().await;
}

#[tokio::test]
async fn who_gives_up_most_of_what_reaches_a_backend_is_told_to_go_and_then_made_to() {
    for (listens, most) in [(true, 700), (false, 1200)] {
        let (opened, mut attacker) = give_up(listens).await;
        assert!(
            (500..most).contains(&opened),
            "{opened} requests were taken"
        );
        assert_eq!(attacker.goodbye().await, Some(Reason::NO_ERROR));
        attacker.closes().await;
    }
}

/// Asks and takes back for as long as it is let, or for as long as it is not told to go.
async fn give_up(listens: bool) -> (u32, Peer) {
    let app = behaving(Behaviour::Hang).await;
    let proxy = in_front_of(&app).await;
    let mut attacker = Peer::client(proxy.address()).await;
    let mut opened = 0;
    while opened < 2000 {
        if listens && attacker.was_told_to_go().await {
            break;
        }
        let streams: Vec<u32> = (opened..opened + 50).map(|at| 2 * at + 1).collect();
        let asks: Vec<u8> = streams.iter().flat_map(|&stream| get(stream)).collect();
        let takes_back: Vec<u8> = streams
            .iter()
            .flat_map(|&stream| reset(stream, Reason::CANCEL))
            .collect();
        attacker.offer(&asks).await;
        opened += 50;
        if app.wait_for(u64::from(opened), LIMIT / 10).await.is_err() {
            break;
        }
        attacker.offer(&takes_back).await;
    }
    (opened, attacker)
}

#[tokio::test]
async fn a_client_that_gives_up_now_and_then_is_no_attacker() {
    let app = origin("app").await;
    let proxy = in_front_of(&app).await;
    let mut peer = Peer::client(proxy.address()).await;
    for at in 0..700 {
        let (kept, given_up) = (4 * at + 1, 4 * at + 3);
        peer.send(&[get(kept), get(given_up)].concat()).await;
        assert_eq!(peer.ending(kept).await.status(), Some(200));
        peer.send(&reset(given_up, Reason::CANCEL)).await;
    }
    assert_eq!(peer.goodbye, None);
}

#[tokio::test]
async fn a_client_without_a_window_makes_nobody_hold_its_answers() {
    let app = behaving(Behaviour::Body(bytes::Bytes::from(vec![b'x'; 1 << 20]))).await;
    let proxy = in_front_of(&app).await;
    let mut stalled = Peer::client_with(proxy.address(), &[(INITIAL_WINDOW_SIZE, 0)]).await;
    stalled.send(&times(20, get)).await;
    for stream in (0..20).map(|at| 2 * at + 1) {
        assert_eq!(stalled.head(stream).await.0, 200);
    }
    app.set(Behaviour::Answer);
    let mut bystander = Peer::client(proxy.address()).await;
    bystander.send(&get(1)).await;
    assert_eq!(bystander.ending(1).await.status(), Some(200));
    // It opens one window, and gets exactly that much.
    stalled.send(&window_update(7, 10)).await;
    assert_eq!(stalled.piece(7).await.len(), 10);
    stalled.send(&reset(9, Reason::CANCEL)).await;
    stalled
        .send(
            &[
                settings(&[(INITIAL_WINDOW_SIZE, 1 << 21)]),
                window_update(0, 1 << 30),
            ]
            .concat(),
        )
        .await;
    for stream in [1, 39] {
        match stalled.ending(stream).await {
            Ending::Answer(_, body) => assert_eq!(body.len(), 1 << 20),
            other @ (Ending::Reset(_) | Ending::GoAway(_) | Ending::Closed) => {
                panic!("no answer on {stream}: {other:?}")
            }
        }
    }
}
