//! A place in a stream of bytes, and why reading on from there is not possible.

use super::message::Violation;

/// Why there is no result.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// So far nothing is wrong, but it is not all there yet.
    Incomplete,
    Violation(Violation),
}

pub(super) type Read<T> = Result<T, Stop>;

/// The rule that was broken, at this byte.
pub(super) fn broken<T>(offset: usize, rule: &'static str) -> Read<T> {
    Err(Stop::Violation(Violation { offset, rule }))
}

/// Fails unless it holds.
pub(super) fn require(holds: bool, offset: usize, rule: &'static str) -> Read<()> {
    if holds { Ok(()) } else { broken(offset, rule) }
}

#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or(&[])
    }

    /// The next line without its CRLF, and where it begins.
    ///
    /// A line has no CR but the one before its LF, and no control bytes but tabs (RFC 9112, 2.2;
    /// RFC 9110, 5.5).
    pub(super) fn line(&mut self) -> Read<(usize, &'a [u8])> {
        let begin = self.at;
        let rest = self.rest();
        for (length, &byte) in rest.iter().enumerate() {
            let here = begin + length;
            match byte {
                b'\n' => return broken(here, "LF without CR"),
                b'\r' => {
                    return match rest.get(length + 1) {
                        None => Err(Stop::Incomplete),
                        Some(b'\n') => {
                            self.at = here + 2;
                            Ok((begin, rest.get(..length).unwrap_or(&[])))
                        }
                        Some(_) => broken(here, "CR without LF"),
                    };
                }
                b'\t' => {}
                0..=31 | 127 => return broken(here, "control byte in a line"),
                _ => {}
            }
        }
        Err(Stop::Incomplete)
    }

    /// Exactly so many bytes.
    pub(super) fn take(&mut self, length: u64) -> Read<&'a [u8]> {
        let length = usize::try_from(length).map_err(|_| Stop::Incomplete)?;
        let taken = self.rest().get(..length).ok_or(Stop::Incomplete)?;
        self.at += length;
        Ok(taken)
    }

    /// The CRLF after the data of a chunk.
    pub(super) fn line_end(&mut self) -> Read<()> {
        for expected in *b"\r\n" {
            match self.rest().first() {
                None => return Err(Stop::Incomplete),
                Some(&byte) if byte == expected => self.at += 1,
                Some(_) => return broken(self.at, "no CRLF after the data of a chunk"),
            }
        }
        Ok(())
    }
}
