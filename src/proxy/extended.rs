//! Tunnels over HTTP/2: CONNECT, and extended CONNECT (RFC 8441), passed on as HTTP/1.1.
//!
//! A stream that asks for another protocol becomes the GET that asks for the same by an upgrade, and
//! goes the way of every request: routed, split, recorded. When the backend switches, the client is
//! answered 200 and the stream becomes a tunnel; other answers are passed on, but for 2xx, which
//! would say the same. The handshake of a WebSocket has a key in HTTP/1.1 and none in HTTP/2, so one
//! is made up (RFC 6455, 4.1).

use std::pin::pin;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use http::header::{HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use rand::Rng;
use tokio::task::spawn_local;

use super::body::Recorded;
use super::connection::{Held, run};
use super::service::Proxy;
use super::tunnel;
use crate::http1::Upgrade;
use crate::model::Fault;
use crate::upstream::{RequestBody, Socket, Upgraded};

/// Not registered with `http`.
const WEBSOCKET: &str = "websocket";
const KEY: HeaderName = SEC_WEBSOCKET_KEY;

/// Makes of an extended CONNECT what asks for the same in HTTP/1.1; an ordinary one asks already.
/// What is returned becomes the client's side of the tunnel.
pub(super) fn translate(
    request: &mut Request<RequestBody>,
    random: &mut impl Rng,
) -> Option<OnUpgrade> {
    if request.method() != Method::CONNECT {
        return None;
    }
    let client = hyper::upgrade::on(&mut *request);
    let Some(protocol) = request.extensions_mut().remove::<Protocol>() else {
        return Some(client);
    };
    let upgrade = HeaderValue::from_str(protocol.as_str())
        .ok()
        .and_then(Upgrade::to)?;
    *request.method_mut() = Method::GET;
    if protocol.as_str() == WEBSOCKET {
        let mut nonce = [0; 16];
        random.fill_bytes(&mut nonce);
        let key = HeaderValue::try_from(STANDARD.encode(nonce)).ok()?;
        request.headers_mut().insert(KEY, key);
    }
    request.extensions_mut().insert(upgrade);
    Some(client)
}

/// Makes of an answer in HTTP/1.1 the answer to a CONNECT, and begins the tunnel.
pub(super) fn answer(
    mut response: Response<Recorded>,
    client: OnUpgrade,
    proxy: &Proxy,
) -> Response<Recorded> {
    let status = response.status();
    if !status.is_success() && status != StatusCode::SWITCHING_PROTOCOLS {
        return response;
    }
    let Some(upgraded) = response.body_mut().take_upgraded() else {
        // To the client it would mean that the tunnel has begun.
        return response.into_body().refused(Fault::UpstreamProtocol);
    };
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
    response.extensions_mut().remove::<Upgrade>();
    // As many as the connection has streams; each ends with its connection, or when it is cut.
    spawn_local(tunnel(client, upgraded, proxy.clone()));
    response
}

async fn tunnel(client: OnUpgrade, upgraded: Upgraded, proxy: Proxy) {
    // The connection is busy as long as one of its streams is a tunnel.
    let _work = proxy.leash.work();
    let Ok(client) = client.await else {
        return; // the client went away before it heard of the switch
    };
    let held = Held::new(&proxy.local);
    let socket = Socket::new(TokioIo::new(client), BytesMut::new());
    let tunnel = pin!(tunnel::run(socket, upgraded, &held.leash));
    run(tunnel, &held.leash).await;
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::SmallRng;

    use super::*;

    fn translated(method: Method, protocol: Option<&'static str>) -> (Request<RequestBody>, bool) {
        let mut request = Request::new(RequestBody::Empty);
        *request.method_mut() = method;
        if let Some(protocol) = protocol {
            request
                .extensions_mut()
                .insert(Protocol::from_static(protocol));
        }
        let client = translate(&mut request, &mut SmallRng::seed_from_u64(1));
        (request, client.is_some())
    }

    #[test]
    fn a_websocket_gets_the_key_that_http2_does_not_have() {
        let (request, translated) = translated(Method::CONNECT, Some("websocket"));
        assert!(translated);
        assert_eq!(request.method(), Method::GET);
        let key = request.headers().get(KEY).expect("a key").as_bytes();
        assert_eq!(STANDARD.decode(key).expect("base64").len(), 16);
        assert!(request.extensions().get::<Upgrade>().is_some());
    }

    #[test]
    fn what_asks_for_nothing_or_for_http2_stays_what_it_is() {
        for (method, protocol, tunnels) in [
            (Method::CONNECT, None, true),
            (Method::CONNECT, Some("h2c"), false),
            (Method::GET, None, false),
        ] {
            let (request, translated) = translated(method.clone(), protocol);
            assert_eq!(translated, tunnels, "{method} {protocol:?}");
            assert_eq!(request.method(), method);
        }
    }
}
