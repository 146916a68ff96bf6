//! Whole streams: one message after the other, until one is wrong or the bytes end.

use super::message::{Asked, End, Judged, Message, Parsed, Violation};
use super::read::{Cursor, Read, Stop};
use super::{body, head};

/// Takes apart what a client sends on one connection.
pub fn requests(bytes: &[u8]) -> Parsed {
    let mut cursor = Cursor { bytes, at: 0 };
    let mut messages: Vec<Message> = Vec::new();
    loop {
        let begin = cursor.at;
        if begin == bytes.len() {
            let end = End::Clean;
            return Parsed { messages, end };
        }
        if let Some(last) = messages.last().filter(|last| last.is_last()) {
            // What follows `Connection: close` belongs to nobody.
            let end = violation(last.span.end, "bytes after the last request");
            return Parsed { messages, end };
        }
        match request(&mut cursor, Judged::Sender) {
            Ok(message) => {
                let is_connect = message.method() == b"CONNECT";
                messages.push(message);
                if is_connect {
                    let end = End::Tunnel(cursor.at);
                    return Parsed { messages, end };
                }
            }
            Err(stop) => {
                let end = stopped(stop, begin);
                return Parsed { messages, end };
            }
        }
    }
}

/// The head of the first request, as soon as it is whole; its body is not read.
///
/// # Errors
/// The rule that the head breaks.
pub fn first_request(bytes: &[u8]) -> Result<Option<Message>, Violation> {
    let mut cursor = Cursor { bytes, at: 0 };
    match head::request(&mut cursor, Judged::Sender) {
        Ok(mut message) => {
            message.span = 0..cursor.at;
            Ok(Some(message))
        }
        Err(Stop::Incomplete) => Ok(None),
        Err(Stop::Violation(violation)) => Err(violation),
    }
}

/// What a recipient has to make of bytes that are one request and nothing else.
///
/// # Errors
/// Why they are not.
pub fn whole_request(bytes: &[u8]) -> Result<Message, Violation> {
    let mut cursor = Cursor { bytes, at: 0 };
    let read = request(&mut cursor, Judged::Recipient);
    alone(read, &cursor)
}

/// What a recipient has to make of bytes that are one response and nothing else; `ended` after
/// them.
///
/// # Errors
/// Why they are not.
pub fn whole_response(bytes: &[u8], asked: &Asked, ended: bool) -> Result<Message, Violation> {
    let mut cursor = Cursor { bytes, at: 0 };
    let read = response(&mut cursor, asked, ended, Judged::Recipient);
    alone(read, &cursor)
}

fn alone(read: Read<Message>, cursor: &Cursor<'_>) -> Result<Message, Violation> {
    let offset = cursor.at;
    match read {
        Ok(message) if cursor.rest().is_empty() => Ok(message),
        Ok(_) => {
            let rule = "bytes after the message";
            Err(Violation { offset, rule })
        }
        Err(Stop::Incomplete) => {
            let rule = "a message that is not whole";
            Err(Violation { offset, rule })
        }
        Err(Stop::Violation(violation)) => Err(violation),
    }
}

fn request(cursor: &mut Cursor<'_>, judged: Judged) -> Read<Message> {
    let begin = cursor.at;
    let mut message = head::request(cursor, judged)?;
    body::read(cursor, &mut message, false, judged)?;
    message.span = begin..cursor.at;
    Ok(message)
}

fn response(cursor: &mut Cursor<'_>, asked: &Asked, ended: bool, judged: Judged) -> Read<Message> {
    let begin = cursor.at;
    let mut message = head::response(cursor, asked, judged)?;
    body::read(cursor, &mut message, ended, judged)?;
    message.span = begin..cursor.at;
    Ok(message)
}

/// Takes apart what a server sends on one connection, in answer to `asked`, in this order.
/// `ended`: the connection was closed after these bytes.
pub fn responses(bytes: &[u8], asked: &[Asked], ended: bool) -> Parsed {
    let mut cursor = Cursor { bytes, at: 0 };
    let mut messages: Vec<Message> = Vec::new();
    let mut asked = asked.iter();
    let mut current = asked.next();
    loop {
        let begin = cursor.at;
        let last = messages.last().is_some_and(Message::is_last);
        let end = match current {
            _ if begin == bytes.len() => Some(End::Clean),
            _ if last => Some(violation(begin, "bytes after the last response")),
            None => Some(violation(begin, "a response that nobody asked for")),
            Some(_) => None,
        };
        let (None, Some(request)) = (&end, current) else {
            let end = end.unwrap_or(End::Clean);
            return Parsed { messages, end };
        };
        let message = match response(&mut cursor, request, ended, Judged::Sender) {
            Ok(message) => message,
            Err(stop) => {
                let end = stopped(stop, begin);
                return Parsed { messages, end };
            }
        };
        let status = message.status();
        let interim = message.is_interim();
        messages.push(message);
        let accepted = request.method == b"CONNECT" && (200..300).contains(&status);
        if status == 101 || accepted {
            let end = End::Tunnel(cursor.at);
            return Parsed { messages, end };
        }
        if !interim {
            current = asked.next();
        }
    }
}

fn stopped(stop: Stop, begin: usize) -> End {
    match stop {
        Stop::Incomplete => End::Incomplete(begin),
        Stop::Violation(violation) => End::Violation(violation),
    }
}

fn violation(offset: usize, rule: &'static str) -> End {
    End::Violation(Violation { offset, rule })
}
