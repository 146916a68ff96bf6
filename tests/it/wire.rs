//! Every byte on both sides of the proxy, judged by a parser that shares nothing with it.
//!
//! The tables of `testing::vectors` go through a whole proxy to an origin that records what it
//! gets. Whatever a client sends: the origin never gets a byte of what was refused, never more
//! requests than were sent, and nothing that can be read in two ways. The tests say what did
//! not hold for all rows at once.

use std::fmt::Write as _;
use std::time::Duration;

use pointsman::testing::strict::{self, Asked, End, Message};
use pointsman::testing::vectors::{self, After, Answered, Shown, Vector};
use pointsman::testing::{Config, Proxy, Recorder, Reply, Then};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A row that takes longer has not gone as it should.
const ROW_LIMIT: Duration = Duration::from_secs(5);

/// A client that reads answers with the strict parser.
pub(crate) struct Judged {
    stream: TcpStream,
    read: Vec<u8>,
    ended: bool,
}

impl Judged {
    pub(crate) async fn connect(proxy: &Proxy) -> Self {
        let stream = TcpStream::connect(proxy.address()).await;
        let stream = stream.expect("it listens");
        stream.set_nodelay(true).expect("an open socket");
        Self {
            stream,
            read: Vec::new(),
            ended: false,
        }
    }

    /// Sends what the other side takes, in pieces of `step` bytes, while its answers are read:
    /// neither side may wait for the other.
    pub(crate) async fn send(&mut self, bytes: &[u8], step: usize) {
        let (mut reader, mut writer) = self.stream.split();
        let mut pieces = bytes.chunks(step.max(1));
        let mut piece: &[u8] = &[];
        loop {
            if piece.is_empty() {
                match pieces.next() {
                    Some(next) => piece = next,
                    None => return,
                }
            }
            tokio::select! {
                written = writer.write(piece) => match written {
                    Ok(written) => piece = piece.get(written..).unwrap_or(&[]),
                    // It has answered and closed; what it said is read by `answers`.
                    Err(_) => return,
                },
                read = reader.read_buf(&mut self.read), if !self.ended => {
                    self.ended = read.is_ok_and(|count| count == 0);
                }
            }
        }
    }

    pub(crate) async fn shut_down(&mut self) {
        self.stream.shutdown().await.ok();
    }

    /// The answers so far.
    pub(crate) fn parsed(&self, asked: &[Asked]) -> strict::Parsed {
        strict::responses(&self.read, asked, self.ended)
    }

    /// Reads until there are `count` final answers to `asked`, or the end, or something wrong.
    pub(crate) async fn answers(&mut self, asked: &[Asked], count: usize) -> Vec<Message> {
        loop {
            let parsed = self.parsed(asked);
            let finals = finals(&parsed.messages);
            if finals.len() >= count || self.ended || parsed.violation().is_some() {
                return finals;
            }
            if !self.read_more().await {
                return finals;
            }
        }
    }

    /// Whether the connection ends in time; whatever comes until then is kept.
    pub(crate) async fn ends(&mut self) -> bool {
        while !self.ended {
            if !self.read_more().await {
                return false;
            }
        }
        true
    }

    async fn read_more(&mut self) -> bool {
        match timeout(ROW_LIMIT, self.stream.read_buf(&mut self.read)).await {
            Ok(read) => {
                // A reset is an end as well.
                self.ended = read.map_or(true, |count| count == 0);
                true
            }
            Err(_) => false,
        }
    }

    pub(crate) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.read);
        text.chars().take(300).collect()
    }
}

pub(crate) fn finals(messages: &[Message]) -> Vec<Message> {
    let finals = messages.iter().filter(|it| it.status() >= 200);
    finals.cloned().collect()
}

/// A recorder with a proxy in front of it.
pub(crate) async fn recorded() -> (Recorder, Proxy) {
    let recorder = Recorder::start().await.expect("a free port");
    let proxy = in_front_of(&recorder).await;
    (recorder, proxy)
}

pub(crate) async fn in_front_of(recorder: &Recorder) -> Proxy {
    let config = Config::new()
        .backend("app", recorder.address())
        .split(&[("app", 1)])
        .setting("clientIdleTimeout: 3s");
    Proxy::start(&config).await
}

/// What the origin had before a row.
struct Before {
    requests: usize,
    bytes: usize,
    violations: usize,
}

impl Before {
    fn of(recorder: &Recorder) -> Self {
        Self {
            requests: recorder.count(),
            bytes: recorder.bytes_total(),
            violations: recorder.violations().len(),
        }
    }
}

/// Sends one row in pieces of `step` bytes and says what did not go as it should.
async fn judge(
    row: &Vector,
    step: usize,
    recorder: &Recorder,
    proxy: &Proxy,
) -> Result<(), String> {
    let before = Before::of(recorder);
    let mut client = Judged::connect(proxy).await;
    client.send(&row.bytes, step).await;
    if row.then == After::CutShort {
        client.shut_down().await;
    }
    let sent = strict::requests(&row.bytes);
    let is_refused = matches!(row.then, After::Refused(_) | After::Broken);
    let mut asked: Vec<Asked> = sent
        .messages
        .iter()
        .take(row.passed)
        .map(Message::asked)
        .collect();
    // For what the strict parser does not read, and for the request that is refused.
    asked.resize(row.passed, Asked::with("GET"));
    if row.then != After::Nothing && row.then != After::Ignored {
        asked.push(Asked::with("GET"));
    }
    let due = row.passed + usize::from(is_refused);
    let answers = client.answers(&asked, due).await;
    if answers.len() < due {
        return Err(format!(
            "{} of {due} answers: {:?}",
            answers.len(),
            client.text()
        ));
    }
    check_statuses(row, &answers)?;
    let last = sent.messages.get(row.passed.wrapping_sub(1));
    let goes_on = row.then == After::Nothing && !last.is_some_and(Message::is_last);
    if goes_on {
        probe(&mut client, &mut asked, due).await?;
    } else if !client.ends().await {
        return Err(format!("the connection stays open: {:?}", client.text()));
    }
    let parsed = client.parsed(&asked);
    if let Some(violation) = parsed.violation() {
        return Err(format!("the client saw {violation}: {:?}", client.text()));
    }
    if parsed.end != End::Clean {
        return Err(format!(
            "{:?} at the client: {:?}",
            parsed.end,
            client.text()
        ));
    }
    check_origin(row, &sent.messages, recorder, &before, goes_on)
}

fn check_statuses(row: &Vector, answers: &[Message]) -> Result<(), String> {
    let statuses: Vec<u16> = answers.iter().map(Message::status).collect();
    let mut expected = vec![200; row.passed];
    match row.then {
        After::Refused(status) => expected.push(status),
        After::Broken => expected.push(400),
        // An answer to half a request is allowed, and is no success.
        After::CutShort if statuses.len() > row.passed => expected.push(400),
        After::Nothing | After::CutShort | After::Ignored => {}
    }
    if statuses == expected {
        Ok(())
    } else {
        Err(format!("{statuses:?} instead of {expected:?}"))
    }
}

/// One more request on the same connection: nothing of the row was left lying on it.
async fn probe(client: &mut Judged, asked: &mut Vec<Asked>, due: usize) -> Result<(), String> {
    let probe = b"GET /probe HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    client.send(probe, probe.len()).await;
    asked.push(Asked::with("GET"));
    let answers = client.answers(asked, due + 1).await;
    let status = answers.get(due).map(Message::status);
    if status != Some(200) {
        return Err(format!("then {status:?}: {:?}", client.text()));
    }
    if client.ends().await {
        Ok(())
    } else {
        Err("the connection stays open after the last request".to_owned())
    }
}

/// What the origin got of it, and nothing else.
fn check_origin(
    row: &Vector,
    sent: &[Message],
    recorder: &Recorder,
    before: &Before,
    probed: bool,
) -> Result<(), String> {
    if let Some((_, violation)) = recorder.violations().get(before.violations) {
        return Err(format!("the origin got {violation}"));
    }
    let got = recorder.requests().split_off(before.requests);
    if got.len() != row.passed + usize::from(probed) {
        return Err(format!("{} requests at the origin", got.len()));
    }
    let nothing_due = row.passed == 0 && matches!(row.then, After::Refused(_));
    if nothing_due && recorder.bytes_total() != before.bytes {
        return Err("bytes of a refused request at the origin".to_owned());
    }
    for (sent, got) in sent.iter().zip(&got) {
        check_meaning(sent, got)?;
    }
    Ok(())
}

/// Fields that the proxy adds or writes anew.
const WRITTEN: [&str; 10] = [
    "connection",
    "content-length",
    "host",
    "te",
    "transfer-encoding",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
];

/// Fields that no `Connection` may have taken off.
const PROTECTED: [&str; 3] = ["authorization", "cookie", "content-length"];

/// Fields of one hop.
const HOP: [&str; 4] = [
    "keep-alive",
    "proxy-connection",
    "upgrade",
    "http2-settings",
];

/// The origin read what the client wrote.
fn check_meaning(sent: &Message, got: &Message) -> Result<(), String> {
    let differs = |what: &str| Err(format!("{what}: {sent} became {got}"));
    if got.method() != sent.method() {
        return differs("another method");
    }
    if got.body != sent.body {
        return differs("another body");
    }
    let (host, target) = meant(sent);
    if got.target() != target {
        return differs("another target");
    }
    if host.is_some() && got.value("host") != host.as_deref() {
        return differs("another host");
    }
    for (name, _) in sent.headers.iter().chain(&got.headers) {
        let name = String::from_utf8_lossy(name).to_lowercase();
        let named = sent.has_option(&name) && !PROTECTED.contains(&&*name);
        let is_as_it_was = if WRITTEN.contains(&&*name) || name == "expect" {
            true
        } else if named || HOP.contains(&&*name) {
            got.values(&name).is_empty()
        } else {
            got.values(&name) == sent.values(&name)
        };
        if !is_as_it_was {
            return differs(&name);
        }
    }
    if got.trailers.iter().any(|it| !sent.trailers.contains(it)) {
        return differs("a trailer that was not sent");
    }
    Ok(())
}

/// Host and target of what was meant (RFC 9112, 3.2.2 and 3.2.4).
fn meant(sent: &Message) -> (Option<Vec<u8>>, Vec<u8>) {
    let target = sent.target();
    let host = sent.value("host").map(<[u8]>::to_vec);
    if matches!(target, [b'/', ..] | b"*") {
        return (host, target.to_vec());
    }
    let text = String::from_utf8_lossy(target).into_owned();
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let path = match path {
        "" if sent.method() == b"OPTIONS" => "*".to_owned(),
        _ if path.starts_with('/') => path.to_owned(),
        _ => format!("/{path}"),
    };
    (Some(authority.as_bytes().to_vec()), path.into_bytes())
}

/// Every row of a table, and at the end all that did not hold.
async fn judge_all(rows: &[Vector], step: usize) {
    let (recorder, proxy) = recorded().await;
    let mut report = String::new();
    let mut failed = 0;
    for row in rows {
        if let Err(why) = judge(row, step, &recorder, &proxy).await {
            failed += 1;
            writeln!(report, "  {}: {why}", row.name).expect("text grows");
        }
    }
    assert!(failed == 0, "{failed} of {} rows:\n{report}", rows.len());
}

/// Has one odd answer come, and says what the client saw that it should not have.
async fn judge_answer(row: &Answered) -> Result<(), String> {
    let odd = row.clone();
    let recorder = Recorder::scripted(move |request| {
        if request.target() != b"/odd" {
            return Reply::ok(request);
        }
        let then = match odd.closes {
            true => Then::Close,
            false => Then::ReadOn,
        };
        Reply::bytes(odd.bytes.clone()).then(then)
    });
    let recorder = recorder.await.expect("a free port");
    let proxy = in_front_of(&recorder).await;
    let mut client = Judged::connect(&proxy).await;
    let request = format!("{} /odd HTTP/1.1\r\nhost: a\r\n\r\n", row.method);
    client.send(request.as_bytes(), usize::MAX).await;
    let mut asked = vec![Asked::with(row.method)];
    let answers = client.answers(&asked, 1).await;
    check_shown(row, answers.first()).map_err(|why| format!("{why}: {:?}", client.text()))?;
    if row.shown == Shown::Broken && answers.is_empty() {
        let ended = client.ends().await;
        let end = client.parsed(&asked).end;
        return match matches!(end, End::Incomplete(_) | End::Clean) && ended {
            true => Ok(()),
            false => Err(format!("{end:?} instead of a cut: {:?}", client.text())),
        };
    }
    // Nothing of it is left on either connection.
    if answers.iter().any(Message::is_last) {
        if !client.ends().await {
            return Err(format!("the connection stays open: {:?}", client.text()));
        }
        client = Judged::connect(&proxy).await;
        asked.clear();
    }
    for _ in 0..2 {
        let next = b"GET /next HTTP/1.1\r\nhost: a\r\n\r\n";
        client.send(next, usize::MAX).await;
        asked.push(Asked::with("GET"));
        let answers = client.answers(&asked, asked.len()).await;
        let next = answers.get(asked.len() - 1);
        if next.is_none_or(|next| next.status() != 200 || next.body != b"ok") {
            return Err(format!("then: {:?}", client.text()));
        }
    }
    if let Some(violation) = client.parsed(&asked).violation() {
        return Err(format!("{violation}: {:?}", client.text()));
    }
    match recorder.violations().first() {
        Some((_, violation)) => Err(format!("the origin got {violation}")),
        None => Ok(()),
    }
}

fn check_shown(row: &Answered, answer: Option<&Message>) -> Result<(), String> {
    let shown = answer.map(|it| (it.status(), &it.body[..]));
    let is_right = match (row.shown, shown) {
        (Shown::Whole(status, body), Some(shown)) => shown == (status, body.as_bytes()),
        (Shown::Long(status, length), Some((is, body))) => (is, body.len()) == (status, length),
        (Shown::BadGateway, Some((status, _))) => status == 502,
        // Seen before anything of it was shown, or too late for anything but a cut.
        (Shown::Broken, shown) => shown.is_none_or(|(status, _)| status == 502),
        (_, None) => false,
    };
    match is_right {
        true => Ok(()),
        false => Err("the client saw".to_owned()),
    }
}

#[tokio::test]
async fn every_request_is_passed_on_to_the_letter_or_refused() {
    let rows = vectors::requests();
    assert!(rows.len() >= 120, "{}", rows.len());
    judge_all(&rows, usize::MAX).await;
}

#[tokio::test]
async fn it_does_not_matter_how_a_request_is_cut_into_packets() {
    let mut rows = vectors::requests();
    rows.retain(|row| row.bytes.len() < 400);
    // A sample: all of them would take long.
    let rows: Vec<Vector> = rows.into_iter().step_by(3).collect();
    judge_all(&rows, 1).await;
}

#[tokio::test]
async fn every_odd_answer_is_shown_as_what_it_is_or_not_at_all() {
    let mut report = String::new();
    let mut failed = 0;
    let rows = vectors::answers();
    for row in &rows {
        if let Err(why) = judge_answer(row).await {
            failed += 1;
            writeln!(report, "  {}: {why}", row.name).expect("text grows");
        }
    }
    assert!(failed == 0, "{failed} of {} rows:\n{report}", rows.len());
}
