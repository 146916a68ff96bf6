//! Addresses: of the control API, and the percent-encoding of what is put into them.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use http::Uri;

/// Where a control API listens: `http://host:port`, perhaps with a path in front of the API's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server(String);

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim_end_matches('/');
        let full = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let uri: Uri = full
            .parse()
            .map_err(|_| "write it as http://HOST:PORT".to_owned())?;
        match uri.scheme_str() {
            Some("http") if uri.query().is_none() => Ok(Self(full)),
            Some("https") => Err("the control API speaks http, not https".to_owned()),
            _ => Err("write it as http://HOST:PORT".to_owned()),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `text` as one segment of a path or one value of a query (RFC 3986, 2.3: only unreserved
/// characters stand for themselves).
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(byte.into());
            }
            other => write!(encoded, "%{other:02X}").expect("a String takes everything"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_may_be_written_short() {
        for (text, full) in [
            ("http://127.0.0.1:7070/", "http://127.0.0.1:7070"),
            ("localhost:7070", "http://localhost:7070"),
            ("[::1]:7070", "http://[::1]:7070"),
            ("http://gateway/pointsman/", "http://gateway/pointsman"),
        ] {
            assert_eq!(text.parse(), Ok(Server(full.to_owned())), "{text}");
        }
        for bad in ["https://a:1", "ftp://a", "http://a b", "", "http://a/?x=1"] {
            assert!(bad.parse::<Server>().is_err(), "{bad}");
        }
    }

    #[test]
    fn reserved_characters_are_encoded() {
        assert_eq!(encode("v1.0-a_b~"), "v1.0-a_b~");
        assert_eq!(encode("a/b?c=d&é"), "a%2Fb%3Fc%3Dd%26%C3%A9");
    }
}
