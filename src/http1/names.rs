//! Names of fields.
//!
//! Nearly all of them are among a few, and spelled in one of two ways; those are told apart here
//! in a few comparisons, at a fifth of what lower-casing and looking up a name costs.

use http::header::{self, HeaderName};

macro_rules! usual {
    ($bytes:expr; $($($spelling:literal)|+ => $name:ident,)+) => {
        match $bytes {
            $($($spelling)|+ => Some(header::$name),)+
            other => HeaderName::from_bytes(other).ok(),
        }
    };
}

/// The name, in lower case; `None` when it is none.
pub(super) fn read(name: &[u8]) -> Option<HeaderName> {
    usual! { name;
        b"Accept" | b"accept" => ACCEPT,
        b"Accept-Encoding" | b"accept-encoding" => ACCEPT_ENCODING,
        b"Accept-Language" | b"accept-language" => ACCEPT_LANGUAGE,
        b"Accept-Ranges" | b"accept-ranges" => ACCEPT_RANGES,
        b"Authorization" | b"authorization" => AUTHORIZATION,
        b"Cache-Control" | b"cache-control" => CACHE_CONTROL,
        b"Connection" | b"connection" => CONNECTION,
        b"Content-Encoding" | b"content-encoding" => CONTENT_ENCODING,
        b"Content-Length" | b"content-length" => CONTENT_LENGTH,
        b"Content-Type" | b"content-type" => CONTENT_TYPE,
        b"Cookie" | b"cookie" => COOKIE,
        b"Date" | b"date" => DATE,
        b"ETag" | b"Etag" | b"etag" => ETAG,
        b"Expires" | b"expires" => EXPIRES,
        b"Host" | b"host" => HOST,
        b"If-Modified-Since" | b"if-modified-since" => IF_MODIFIED_SINCE,
        b"If-None-Match" | b"if-none-match" => IF_NONE_MATCH,
        b"Last-Modified" | b"last-modified" => LAST_MODIFIED,
        b"Location" | b"location" => LOCATION,
        b"Origin" | b"origin" => ORIGIN,
        b"Referer" | b"referer" => REFERER,
        b"Server" | b"server" => SERVER,
        b"Set-Cookie" | b"set-cookie" => SET_COOKIE,
        b"Strict-Transport-Security" | b"strict-transport-security" => STRICT_TRANSPORT_SECURITY,
        b"Transfer-Encoding" | b"transfer-encoding" => TRANSFER_ENCODING,
        b"User-Agent" | b"user-agent" => USER_AGENT,
        b"Vary" | b"vary" => VARY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_itself_however_it_is_spelled() {
        for name in [
            "Host",
            "host",
            "HOST",
            "ETag",
            "Content-Type",
            "x-own",
            "X-Own",
            "content-TYPE",
        ] {
            let read = read(name.as_bytes()).expect("a name");
            assert_eq!(
                read,
                HeaderName::from_bytes(name.as_bytes()).expect("a name"),
                "{name}"
            );
            assert_eq!(read.as_str(), name.to_ascii_lowercase());
        }
        assert_eq!(read(b""), None);
        assert_eq!(read(b"a b"), None);
    }
}
