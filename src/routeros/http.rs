//! HTTP/1.1 responses, from bytes in any pieces to a head and a body, in fixed memory.
//!
//! Only what a client of RouterOS needs: Content-Length, chunked (never seen from RouterOS, but
//! legal), body until close, interim responses (1xx). The body is not stored: each piece is
//! handed on as it comes.

/// Longest response head that is accepted. RouterOS sends about 250 bytes.
const MAX_HEAD: usize = 2048;

/// Most header lines that are accepted. RouterOS sends seven.
const MAX_HEADERS: usize = 32;

/// Longest body that is accepted: some thousand queues.
pub const MAX_BODY: u64 = 1 << 20;

/// A response that can't be understood: not HTTP, or beyond a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadResponse;

/// A piece of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// More bytes are needed.
    Nothing,
    /// The head is complete.
    Head {
        /// Status code.
        status: u16,
    },
    /// Bytes of the body.
    Body(&'a [u8]),
    /// The response is complete.
    End {
        /// Whether the connection can carry another request.
        keep_alive: bool,
    },
}

/// How the rest of the body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Head,
    Length(u64),
    UntilClose,
    ChunkSize { size: u64, digits: u8, extension: bool },
    ChunkData(u64),
    ChunkEnd,
    Trailer { empty_line: bool },
    End,
}

/// One response in the making.
#[derive(Debug)]
pub struct Response {
    framing: Framing,
    head: heapless::Vec<u8, MAX_HEAD>,
    keep_alive: bool,
    body: u64,
}

impl Default for Response {
    fn default() -> Self {
        Self { framing: Framing::Head, head: heapless::Vec::new(), keep_alive: true, body: 0 }
    }
}

impl Response {
    /// Makes ready for the next response.
    pub fn reset(&mut self) {
        self.framing = Framing::Head;
        self.head.clear();
        self.keep_alive = true;
        self.body = 0;
    }

    /// Takes bytes; returns how many were used and what they meant. Call again with the rest until
    /// it says [`Part::End`], or [`Part::Nothing`] with no bytes left.
    ///
    /// # Errors
    /// [`BadResponse`]; the connection is of no more use.
    pub fn feed<'a>(&mut self, bytes: &'a [u8]) -> Result<(usize, Part<'a>), BadResponse> {
        match self.framing {
            Framing::Head => self.feed_head(bytes),
            Framing::Length(0) | Framing::End => Ok((0, self.end())),
            Framing::Length(left) => {
                let part = self.body(bytes, left)?;
                self.framing = Framing::Length(left - part.len() as u64);
                Ok((part.len(), body_or_nothing(part)))
            }
            Framing::UntilClose => Ok((bytes.len(), body_or_nothing(self.body(bytes, u64::MAX)?))),
            Framing::ChunkData(left) => {
                let part = self.body(bytes, left)?;
                let left = left - part.len() as u64;
                self.framing = if left == 0 { Framing::ChunkEnd } else { Framing::ChunkData(left) };
                Ok((part.len(), body_or_nothing(part)))
            }
            Framing::ChunkSize { .. } | Framing::ChunkEnd | Framing::Trailer { .. } => self.feed_chunk_line(bytes),
        }
    }

    /// The other side has closed. That is the end of a body without length, and an error anywhere
    /// else.
    ///
    /// # Errors
    /// [`BadResponse`] when something is missing.
    pub fn closed(&mut self) -> Result<Part<'static>, BadResponse> {
        self.keep_alive = false;
        match self.framing {
            Framing::UntilClose | Framing::Length(0) | Framing::End => Ok(self.end()),
            _ => Err(BadResponse),
        }
    }

    fn end(&mut self) -> Part<'static> {
        self.framing = Framing::End;
        Part::End { keep_alive: self.keep_alive }
    }

    /// As much of `bytes` as belongs to the body, counted against its bound.
    fn body<'a>(&mut self, bytes: &'a [u8], left: u64) -> Result<&'a [u8], BadResponse> {
        let taken = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        self.body += taken as u64;
        if self.body > MAX_BODY { Err(BadResponse) } else { Ok(&bytes[..taken]) }
    }

    fn feed_head<'a>(&mut self, bytes: &'a [u8]) -> Result<(usize, Part<'a>), BadResponse> {
        let mut used = 0;
        for &byte in bytes {
            used += 1;
            self.head.push(byte).map_err(|_| BadResponse)?;
            // A first line that is not HTTP is told at once, not when the buffer is full.
            if self.head.len() <= 5 && !b"HTTP/".starts_with(&self.head) {
                return Err(BadResponse);
            }
            if byte == b'\n' && (self.head.ends_with(b"\r\n\r\n") || self.head.ends_with(b"\n\n")) {
                let head = read_head(&self.head)?;
                self.head.clear();
                return Ok((used, self.begin_body(head)));
            }
        }
        Ok((used, Part::Nothing))
    }

    fn begin_body(&mut self, head: Head) -> Part<'static> {
        let Head { status, keep_alive, chunked, length } = head;
        if (100..200).contains(&status) {
            return Part::Nothing; // an interim response: the real one follows
        }
        self.keep_alive = keep_alive;
        self.framing = match (status, chunked, length) {
            (204 | 304, ..) => Framing::Length(0),
            (_, true, _) => Framing::ChunkSize { size: 0, digits: 0, extension: false },
            (_, false, Some(length)) => Framing::Length(length),
            (_, false, None) => Framing::UntilClose,
        };
        Part::Head { status }
    }

    /// The lines between chunks, byte by byte.
    fn feed_chunk_line<'a>(&mut self, bytes: &'a [u8]) -> Result<(usize, Part<'a>), BadResponse> {
        let Some(&byte) = bytes.first() else { return Ok((0, Part::Nothing)) };
        self.framing = match (self.framing, byte) {
            (Framing::ChunkSize { digits: 0, .. }, b'\n') => return Err(BadResponse),
            (Framing::ChunkSize { size: 0, .. }, b'\n') => Framing::Trailer { empty_line: true },
            (Framing::ChunkSize { size, .. }, b'\n') => Framing::ChunkData(size),
            (Framing::ChunkSize { size, digits, extension: false }, digit) if digit.is_ascii_hexdigit() => {
                let value = char::from(digit).to_digit(16).map_or(0, u64::from);
                let size = size * 16 + value;
                if digits >= 8 || size > MAX_BODY {
                    return Err(BadResponse);
                }
                Framing::ChunkSize { size, digits: digits + 1, extension: false }
            }
            (Framing::ChunkSize { size, digits, extension }, other) => match other {
                b'\r' | b' ' | b'\t' => Framing::ChunkSize { size, digits, extension },
                b';' => Framing::ChunkSize { size, digits, extension: true },
                _ if extension => Framing::ChunkSize { size, digits, extension },
                _ => return Err(BadResponse),
            },
            (Framing::ChunkEnd, b'\r') => Framing::ChunkEnd,
            (Framing::ChunkEnd, b'\n') => Framing::ChunkSize { size: 0, digits: 0, extension: false },
            (Framing::Trailer { empty_line: true }, b'\n') => return Ok((1, self.end())),
            (Framing::Trailer { .. }, b'\n') => Framing::Trailer { empty_line: true },
            (Framing::Trailer { empty_line }, b'\r') => Framing::Trailer { empty_line },
            (Framing::Trailer { .. }, _) => Framing::Trailer { empty_line: false },
            _ => return Err(BadResponse),
        };
        Ok((1, Part::Nothing))
    }
}

/// What a response head says of what follows.
struct Head {
    status: u16,
    keep_alive: bool,
    chunked: bool,
    length: Option<u64>,
}

fn read_head(head: &[u8]) -> Result<Head, BadResponse> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut headers);
    parsed.parse(head).map_err(|_| BadResponse)?;
    let status = parsed.code.ok_or(BadResponse)?;
    let mut read = Head { status, keep_alive: parsed.version == Some(1), chunked: false, length: None };
    if (100..200).contains(&status) {
        return Ok(read);
    }
    for header in parsed.headers.iter() {
        let value = header.value.trim_ascii();
        if header.name.eq_ignore_ascii_case("content-length") {
            let number = core::str::from_utf8(value).ok().and_then(|v| v.parse::<u64>().ok()).ok_or(BadResponse)?;
            if read.length.is_some_and(|other| other != number) || number > MAX_BODY {
                return Err(BadResponse);
            }
            read.length = Some(number);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            read.chunked = value.eq_ignore_ascii_case(b"chunked");
            if !read.chunked {
                return Err(BadResponse);
            }
        } else if header.name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case(b"close") {
            read.keep_alive = false;
        }
    }
    Ok(read)
}

const fn body_or_nothing(part: &[u8]) -> Part<'_> {
    if part.is_empty() { Part::Nothing } else { Part::Body(part) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `input` in pieces of `step` bytes; returns status, body and keep-alive.
    fn run(input: &[u8], step: usize) -> Result<(u16, Vec<u8>, Option<bool>), BadResponse> {
        let (mut response, mut status, mut body, mut end) = (Response::default(), 0, Vec::new(), None);
        for piece in input.chunks(step) {
            let mut rest = piece;
            loop {
                let (used, part) = response.feed(rest)?;
                rest = &rest[used..];
                match part {
                    Part::Head { status: s } => status = s,
                    Part::Body(b) => body.extend_from_slice(b),
                    Part::End { keep_alive } => end = Some(keep_alive),
                    Part::Nothing => {}
                }
                if end.is_some() || (rest.is_empty() && part == Part::Nothing) {
                    break;
                }
            }
        }
        if end.is_none()
            && let Ok(Part::End { keep_alive }) = response.closed()
        {
            end = Some(keep_alive);
        }
        Ok((status, body, end))
    }

    #[test]
    fn any_fragmentation_gives_the_same_response() {
        type Case = (&'static [u8], u16, &'static [u8], Option<bool>);
        let cases: [Case; 7] = [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello", Some(true)),
            (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 401, b"", Some(false)),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nA: b\r\n\r\n",
                200,
                b"abcde",
                Some(true),
            ),
            (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, b"x", Some(true)),
            (b"HTTP/1.0 200 OK\r\n\r\nto the end", 200, b"to the end", Some(false)),
            (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", Some(true)),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", 200, b"short", None),
        ];
        for (input, status, body, end) in cases {
            for step in 1..=input.len() {
                assert_eq!(run(input, step), Ok((status, body.to_vec(), end)), "in pieces of {step}");
            }
        }
    }

    #[test]
    fn a_line_before_the_head_is_refused_in_any_pieces() {
        let input = b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        for step in [1, 2, input.len()] {
            assert_eq!(run(input, step), Err(BadResponse), "in pieces of {step}");
        }
    }

    #[test]
    fn what_is_not_http_or_too_large_is_refused() {
        let long = [b"HTTP/1.1 200 OK\r\nX: ".as_slice(), &[b'a'; 3000], b"\r\n\r\n"].concat();
        let bad: [&[u8]; 8] = [
            b"\x16\x03\x01 TLS?",
            b"SSH-2.0-ROSSSH\r\n",
            &long,
            b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n",
        ];
        for input in bad {
            assert_eq!(run(input, 7), Err(BadResponse), "{}", String::from_utf8_lossy(input));
        }
    }
}
