//! What goes through unchanged: all kinds of calls, metadata, statuses, cancellation.

use std::sync::atomic::Ordering::SeqCst;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use pointsman::testing::{Config, Proxy};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, Streaming};

use super::probe::{Backend, Caller, asking, bounded, in_front_of};
use crate::eventually;

/// A server, a proxy in front of it, and a connection through that.
async fn through() -> (Backend, Proxy, Caller) {
    let backend = Backend::named("app");
    let proxy = in_front_of(&backend).await;
    let caller = Caller::connect(proxy.address()).await;
    (backend, proxy, caller)
}

/// All messages to the end, and how it ended.
async fn all(mut messages: Streaming<Bytes>) -> (Vec<Bytes>, Result<(), Status>) {
    let mut got = Vec::new();
    loop {
        match bounded(messages.message()).await {
            Ok(Some(message)) => got.push(message),
            Ok(None) => return (got, Ok(())),
            Err(status) => return (got, Err(status)),
        }
    }
}

#[tokio::test]
async fn a_unary_call_is_answered() {
    let (backend, _proxy, mut caller) = through().await;
    for text in ["", "hello"] {
        let answer = caller.unary(Request::new(Bytes::from(text))).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.get_ref(), text);
        assert_eq!(answer.metadata().get("x-name").expect("a name"), "app");
    }
    assert_eq!(backend.seen.calls.load(SeqCst), 2);
}

#[tokio::test]
async fn a_server_streams_its_messages() {
    let (_backend, _proxy, mut caller) = through().await;
    let answer = caller.count(Request::new(Bytes::from("1000"))).await;
    let (messages, end) = all(answer.expect("an answer").into_inner()).await;
    end.expect("a good end");
    assert_eq!(messages.len(), 1000);
    assert_eq!(messages[999], "999");
}

#[tokio::test]
async fn a_client_streams_its_messages() {
    let (_backend, _proxy, mut caller) = through().await;
    let messages = stream::iter((0..1000).map(|_| Bytes::from("four")));
    let answer = caller.sum(Request::new(messages)).await;
    assert_eq!(answer.expect("an answer").into_inner(), "4000");
}

#[tokio::test]
async fn both_stream_and_neither_waits_for_more_than_the_next_message() {
    let (_backend, _proxy, mut caller) = through().await;
    let (ask, asked) = mpsc::channel(1);
    let answer = caller.echo(Request::new(ReceiverStream::new(asked))).await;
    let mut answers = answer
        .expect("the head comes before any message")
        .into_inner();
    for round in 0..100 {
        let ping = Bytes::from(format!("ping {round}"));
        bounded(ask.send(ping.clone())).await.expect("it is read");
        // Nothing more is sent before this has come: whoever buffers stands still.
        let pong = bounded(answers.message()).await.expect("no error");
        assert_eq!(pong, Some(ping));
    }
    drop(ask);
    assert_eq!(bounded(answers.message()).await.expect("a good end"), None);
}

#[tokio::test]
async fn the_status_of_a_server_comes_as_it_was_sent() {
    let (_backend, _proxy, mut caller) = through().await;
    for code in 1..=16 {
        let request = asking(Bytes::new(), &[("x-fail", &code.to_string())]);
        let status = caller.unary(request).await.expect_err("it fails");
        assert_eq!(status.code(), Code::from_i32(code));
        assert_eq!(status.message(), "on purpose: 100 %");
        assert_eq!(status.metadata().get("x-name").expect("a name"), "app");
        assert!(!status.metadata().contains_key("x-pointsman-fault"));
    }
}

#[tokio::test]
async fn a_stream_may_fail_after_its_messages() {
    let (_backend, _proxy, mut caller) = through().await;
    let request = asking(Bytes::from("3"), &[("x-end", "fail")]);
    let answer = caller.count(request).await.expect("it begins well");
    let (messages, end) = all(answer.into_inner()).await;
    assert_eq!(messages.len(), 3);
    let status = end.expect_err("it ends badly");
    assert_eq!(
        (status.code(), status.message()),
        (Code::DataLoss, "too late")
    );
}

#[tokio::test]
async fn metadata_goes_both_ways_as_text_and_as_bytes() {
    let (_backend, _proxy, mut caller) = through().await;
    let bytes: Vec<u8> = (0..=255).collect();
    let mut request = asking(Bytes::new(), &[("x-ask", "a, b; c=\"d\"")]);
    let value = tonic::metadata::MetadataValue::from_bytes(&bytes);
    request.metadata_mut().insert_bin("x-ask-bin", value);
    let answer = caller.unary(request).await.expect("an answer");
    let told = answer.metadata();
    assert_eq!(told.get("x-told").expect("text"), "a, b; c=\"d\"");
    let back = told.get_bin("x-told-bin").expect("bytes");
    assert_eq!(back.to_bytes().expect("base64"), bytes);
}

#[tokio::test]
async fn large_messages_go_both_ways() {
    let (_backend, _proxy, mut caller) = through().await;
    let large: Bytes = (0..3 << 20).map(|at: u32| at.to_le_bytes()[1]).collect();
    let answer = caller.unary(Request::new(large.clone())).await;
    assert!(answer.expect("an answer").into_inner() == large);
    let messages = stream::iter(vec![large.clone(); 4]);
    let answer = caller.echo(Request::new(messages)).await;
    let (messages, end) = all(answer.expect("an answer").into_inner()).await;
    end.expect("a good end");
    assert!(messages == vec![large; 4]);
}

#[tokio::test]
async fn a_client_that_cancels_is_heard_by_the_server() {
    let (backend, _proxy, mut caller) = through().await;
    let cancelled = async |count| {
        let so_many = async || (backend.seen.cancelled.load(SeqCst) == count).then_some(());
        eventually("the server hears of it", so_many).await;
    };
    let mut other = caller.clone();
    let hanging = tokio::spawn(async move {
        let request = asking(Bytes::new(), &[("x-hang", "yes")]);
        other.unary(request).await.map(drop)
    });
    let arrived = async || (backend.seen.calls.load(SeqCst) == 1).then_some(());
    eventually("the call arrives", arrived).await;
    hanging.abort();
    cancelled(1).await;

    let request = asking(Bytes::from("1"), &[("x-end", "hang")]);
    let answer = caller.count(request).await.expect("an answer");
    let mut messages = answer.into_inner();
    assert_eq!(
        bounded(messages.message()).await.expect("one"),
        Some(Bytes::from("0"))
    );
    drop(messages);
    cancelled(2).await;

    let endless = stream::iter([Bytes::from("x")]).chain(stream::pending());
    let mut other = caller.clone();
    let request = asking(endless, &[("x-hang", "yes")]);
    let uploading = tokio::spawn(async move { other.sum(request).await.map(drop) });
    let arrived = async || (backend.seen.calls.load(SeqCst) == 3).then_some(());
    eventually("the call arrives", arrived).await;
    uploading.abort();
    cancelled(3).await;
    let answer = caller.unary(Request::new(Bytes::from("on"))).await;
    assert_eq!(answer.expect("the connection goes on").into_inner(), "on");
}

#[tokio::test]
async fn a_thousand_calls_on_one_connection_survive_a_hundred_changes_of_weights() {
    let (old, new) = (Backend::named("old"), Backend::named("new"));
    let config = Config::new()
        .backend_of(&old.entry("old"))
        .backend_of(&new.entry("new"));
    let proxy = Proxy::start(&config.split(&[("old", 1), ("new", 0)])).await;
    let caller = Caller::connect(proxy.address()).await;
    let api = proxy.api();
    let calls = stream::iter(0..1000).map(|at: u32| {
        let mut caller = caller.clone();
        async move {
            if at.is_multiple_of(10) {
                let new = at / 10 % 2;
                api.put_split(&[("old", 1 - new), ("new", new)]).await;
            }
            let message = Bytes::from(at.to_string());
            let answer = caller.unary(Request::new(message.clone())).await;
            let answer = answer.unwrap_or_else(|status| panic!("call {at}: {status}"));
            assert_eq!(answer.get_ref(), &message);
        }
    });
    calls.buffer_unordered(8).collect::<Vec<()>>().await;
    let (old, new) = (old.seen.calls.load(SeqCst), new.seen.calls.load(SeqCst));
    assert_eq!(old + new, 1000);
    assert!(old > 100 && new > 100, "{old} {new}");
}

#[tokio::test]
async fn a_stream_that_runs_is_finished_by_a_drain() {
    let (_backend, proxy, mut caller) = through().await;
    let (ask, asked) = mpsc::channel(1);
    let answer = caller.echo(Request::new(ReceiverStream::new(asked))).await;
    let mut answers = answer.expect("an answer").into_inner();
    let address = proxy.address();
    let stopping = tokio::spawn(proxy.stop());
    let refused = async || {
        let connected = tokio::net::TcpStream::connect(address).await;
        connected.is_err().then_some(())
    };
    eventually("it takes no more connections", refused).await;
    for _ in 0..10 {
        bounded(ask.send(Bytes::from("x")))
            .await
            .expect("it is read");
        let pong = bounded(answers.message()).await.expect("no error");
        assert_eq!(pong, Some(Bytes::from("x")));
    }
    drop(ask);
    assert_eq!(bounded(answers.message()).await.expect("a good end"), None);
    bounded(stopping).await.expect("it stops");
}
