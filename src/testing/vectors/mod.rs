//! What goes over the wire when somebody tries something: tables of bytes, and what is right.
//!
//! One set for two uses: `tests/it/wire.rs` sends them through a whole proxy, and the fuzz targets
//! start from them. A row says what a client or a backend sends, not how the proxy is built.

mod answers;
mod attacks;
mod bodies;
mod heads;
mod seeds;
mod sequences;

pub use answers::{Answered, Shown, answers};
pub use seeds::seeds;

/// Bytes that a client sends on a connection of its own, and what is right.
#[derive(Clone, Debug)]
pub struct Vector {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    /// So many requests, from the first on, reach the backend whole and are answered.
    pub passed: usize,
    pub then: After,
}

/// What becomes of the bytes after the requests that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// There are none; the connection goes on as the last request says.
    Nothing,
    /// They are refused with this status, none of them reaches the backend, the connection ends.
    Refused(u16),
    /// A good head with a bad body: 400, the backend never gets it whole, the connection ends.
    Broken,
    /// The client sends no more, in the middle of it: the backend never gets it whole.
    CutShort,
    /// Nobody looks at them: the connection ends with the last answer.
    Ignored,
}

/// Every vector of a client.
pub fn requests() -> Vec<Vector> {
    let mut all = heads::vectors();
    all.extend(attacks::vectors());
    all.extend(bodies::vectors());
    all.extend(sequences::vectors());
    all
}

fn vector(name: &'static str, bytes: impl Into<Vec<u8>>, passed: usize, then: After) -> Vector {
    Vector {
        name,
        bytes: bytes.into(),
        passed,
        then,
    }
}

fn passed(name: &'static str, bytes: impl Into<Vec<u8>>) -> Vector {
    vector(name, bytes, 1, After::Nothing)
}

fn refused(name: &'static str, status: u16, bytes: impl Into<Vec<u8>>) -> Vector {
    vector(name, bytes, 0, After::Refused(status))
}

/// A GET whose head has these lines after `host`.
fn get(lines: &str) -> Vec<u8> {
    format!("GET /get HTTP/1.1\r\nhost: a\r\n{lines}\r\n\r\n").into_bytes()
}

/// A POST whose head has these lines after `host`, and this body.
fn post(lines: &str, body: &str) -> Vec<u8> {
    format!("POST /post HTTP/1.1\r\nhost: a\r\n{lines}\r\n\r\n{body}").into_bytes()
}

/// A chunked POST with this body.
fn chunked(body: &str) -> Vec<u8> {
    post("transfer-encoding: chunked", body)
}

/// A request with this first line and a good rest.
fn line(line: &str) -> Vec<u8> {
    format!("{line}\r\nhost: a\r\n\r\n").into_bytes()
}

/// A GET with this as its `Host`.
fn host(host: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n").into_bytes()
}
