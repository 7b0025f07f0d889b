//! What a head of HTTP/1 must be like before it is parsed: no spelling of it may be read in two ways.
//!
//! Invariant: the length that [`check`] finds is the one that the parser behind it will use, or the head is refused.

/// What follows a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    /// A body of this many bytes; 0 for none.
    Length(u64),
    /// A body in chunks: its end is known to the parser only.
    Chunks,
}

/// Where the head ends (after its empty line), if it is all there. `Err` when a line ends in a bare LF or holds a bare CR:
/// parsers differ in what they make of those (RFC 9112, 2.2).
///
/// `from` is where to begin to look: what is before it was seen by an earlier call.
pub(super) fn end(bytes: &[u8], from: usize) -> Result<Option<usize>, Refused> {
    for at in from.saturating_sub(3)..bytes.len() {
        match bytes[at] {
            b'\n' if at == 0 || bytes[at - 1] != b'\r' => return Err(Refused),
            b'\n' if at >= 3 && bytes[at - 3..at] == *b"\r\n\r" => return Ok(Some(at + 1)),
            b'\r' if bytes.get(at + 1).is_some_and(|next| *next != b'\n') => return Err(Refused),
            _ => {}
        }
    }
    Ok(None)
}

/// A head that is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused;

/// Checks a whole head, its empty line included, and tells what follows it.
///
/// Refused are: a folded line, a second `Content-Length` or `Transfer-Encoding`, both of them at once, a length that is not
/// digits only, and a transfer coding other than `chunked` alone. RFC 9112 lets a server refuse each of these (5.2, 6.1, 6.3).
pub(super) fn check(head: &[u8]) -> Result<Follows, Refused> {
    let (mut length, mut chunks) = (None, false);
    for line in head.split(|byte| *byte == b'\n').skip(1) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            return Err(Refused);
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            if length.replace(digits(value)?).is_some() {
                return Err(Refused);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if chunks || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Refused);
            }
            chunks = true;
        }
    }
    match (length, chunks) {
        (Some(_), true) => Err(Refused),
        (_, true) => Ok(Follows::Chunks),
        (length, false) => Ok(Follows::Length(length.unwrap_or(0))),
    }
}

fn digits(value: &[u8]) -> Result<u64, Refused> {
    // 18 digits are less than 2^63, and more than any body.
    if !(1..=18).contains(&value.len()) || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refused);
    }
    Ok(value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_at_its_first_empty_line_however_it_arrives() {
        let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        for first in 0..27 {
            assert_eq!(end(&bytes[..first], 0), Ok(None), "{first}");
            assert_eq!(end(bytes, first), Ok(Some(27)), "{first}");
        }
    }

    #[test]
    fn c2_line_ends_that_parsers_differ_in_are_refused() {
        for bytes in
            ["GET / HTTP/1.1\nHost: a\r\n", "GET / HTTP/1.1\r\nHost: a\n\n", "\n", "GET /\rHost: b\r\n", "a: b\r\r\n"]
        {
            assert_eq!(end(bytes.as_bytes(), 0), Err(Refused), "{bytes:?}");
        }
    }

    #[test]
    fn c2_a_body_has_one_length_or_the_head_is_refused() {
        let of = |lines: &str| check(format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n").as_bytes());
        assert_eq!(of(""), Ok(Follows::Length(0)));
        assert_eq!(of("content-LENGTH:\t12 \r\n"), Ok(Follows::Length(12)));
        assert_eq!(of("Transfer-Encoding: Chunked\r\n"), Ok(Follows::Chunks));
        for lines in [
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            "Content-Length: 1, 1\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: 0x1\r\n",
            "Content-Length:\r\n",
            "Content-Length: 1000000000000000000\r\n",
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: \x0bchunked\r\n",
            "X: a\r\n folded\r\n",
            "X: a\r\n\tContent-Length: 1\r\n",
        ] {
            assert_eq!(of(lines), Err(Refused), "{lines:?}");
        }
    }
}
