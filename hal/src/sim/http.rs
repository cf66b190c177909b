//! HTTP/1.1 as RouterOS's `www` speaks it: requests out of any fragments, responses framed by
//! `Content-Length`. Takes any bytes.

use crate::units::WallClock;
use std::fmt::Write as _;

/// The longest head of a request.
const MAX_HEAD: usize = 16 * 1024;
/// The longest body of a request.
const MAX_BODY: usize = 64 * 1024;

/// What a client asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Segments of the path, percent-decoded, without empty ones.
    pub(crate) path: Vec<String>,
    /// Parameters behind `?`, percent-decoded.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) authorization: Option<String>,
    /// The client wants the connection closed behind the response.
    pub(crate) close: bool,
    pub(crate) body: Vec<u8>,
}

/// What the router answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, content_type: "application/json", body: body.into() }
    }

    pub(crate) fn html(status: u16, body: &str) -> Self {
        Self { status, content_type: "text/html", body: body.into() }
    }

    /// The bytes on the wire, with the body as one piece of known length, or in chunks of at most
    /// this size.
    pub(crate) fn render(&self, wall: WallClock, close: bool, chunk: Option<usize>) -> Vec<u8> {
        let mut head = String::with_capacity(256 + self.body.len());
        let framing = match chunk {
            None => format!("Content-Length: {}", self.body.len()),
            Some(_) => "Transfer-Encoding: chunked".to_owned(),
        };
        // Writing to a String can't fail.
        let _ = write!(
            head,
            "HTTP/1.1 {} {}\r\nCache-Control: no-cache\r\nConnection: {}\r\n{framing}\r\n\
             Content-Type: {}\r\nDate: {}\r\nExpires: 0\r\nX-Frame-Options: sameorigin\r\n\r\n",
            self.status,
            reason(self.status),
            if close { "Close" } else { "Keep-Alive" },
            self.content_type,
            http_date(wall),
        );
        let mut bytes = head.into_bytes();
        let Some(chunk) = chunk else {
            bytes.extend_from_slice(&self.body);
            return bytes;
        };
        for piece in self.body.chunks(chunk) {
            bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            bytes.extend_from_slice(piece);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        bytes
    }
}

/// The usual phrase of a status.
pub(crate) const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        413 => "Request Entity Too Large",
        415 => "Unsupported Media Type",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Unknown",
    }
}

/// The bytes of one connection that wait to become requests.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    buffer: Vec<u8>,
}

impl Inbox {
    /// Takes bytes from the wire.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole request, or the status with which a broken one is refused (the connection
    /// can't be used behind it).
    pub(crate) fn next(&mut self) -> Option<Result<Request, u16>> {
        // A greeting in TLS, say: it would be waited for in vain that this becomes a request.
        if self.buffer.first().is_some_and(|first| !first.is_ascii_uppercase()) {
            return Some(self.refuse(400));
        }
        let Some(head_len) = self.buffer.windows(4).take(MAX_HEAD).position(|w| w == b"\r\n\r\n") else {
            return (self.buffer.len() > MAX_HEAD).then(|| self.refuse(413));
        };
        let (mut request, body_len) = match parse_head(&String::from_utf8_lossy(&self.buffer[..head_len])) {
            Ok((_, length)) if length > MAX_BODY => return Some(self.refuse(413)),
            Ok(parsed) => parsed,
            Err(status) => return Some(self.refuse(status)),
        };
        let total = head_len + 4 + body_len;
        if self.buffer.len() < total {
            return None;
        }
        request.body.extend_from_slice(&self.buffer[head_len + 4..total]);
        self.buffer.drain(..total);
        Some(Ok(request))
    }

    fn refuse(&mut self, status: u16) -> Result<Request, u16> {
        self.buffer.clear();
        Err(status)
    }
}

fn parse_head(head: &str) -> Result<(Request, usize), u16> {
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some("HTTP/1.1" | "HTTP/1.0"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(400);
    };
    let mut request = Request { method: method.to_owned(), ..Request::default() };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    request.path = path.split('/').filter(|s| !s.is_empty()).map(percent_decode).collect();
    request.query = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(k, v)| (percent_decode(k), percent_decode(v)))
        .collect();
    let mut length = 0;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { return Err(400) };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().map_err(|_| 400_u16)?;
        } else if name.eq_ignore_ascii_case("authorization") {
            request.authorization = Some(value.to_owned());
        } else if name.eq_ignore_ascii_case("connection") {
            request.close = value.eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(400);
        }
    }
    Ok((request, length))
}

/// Decodes `%XX`; what is no escape stays (so does `+`).
fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let escape = (bytes[i] == b'%').then(|| bytes.get(i + 1..i + 3)).flatten();
        let decoded = escape
            .filter(|hex| hex.iter().all(u8::is_ascii_hexdigit))
            .and_then(|hex| core::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(decoded.unwrap_or(bytes[i]));
        i += if decoded.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// `user:password` as the value of an `Authorization` header.
pub(crate) fn basic(user: &str, password: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::from("Basic ");
    for chunk in format!("{user}:{password}").as_bytes().chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let triple = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let sextet = usize::try_from(triple >> (18 - 6 * i) & 63).unwrap_or(0);
            out.push(if i <= chunk.len() { char::from(ALPHABET[sextet]) } else { '=' });
        }
    }
    out
}

/// A date as HTTP writes it, such as `Mon, 23 Nov 2026 21:57:00 GMT`.
fn http_date(wall: WallClock) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = wall.unix_seconds();
    let (days, clock) = (seconds / 86_400, seconds % 86_400);
    let weekday = usize::try_from(days % 7).unwrap_or(0);
    // Civil date from a count of days, with years that begin in March.
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 2 } else { shifted - 10 };
    let year = year_of_era + era * 400 + u64::from(month < 2);
    let month = MONTHS[usize::try_from(month).unwrap_or(0).min(11)];
    let (h, m, s) = (clock / 3_600, clock / 60 % 60, clock % 60);
    format!("{}, {day:02} {month} {year} {h:02}:{m:02}:{s:02} GMT", DAYS[weekday])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_and_credentials_are_written_as_others_do() {
        assert_eq!(http_date(WallClock(1_795_471_020_000_000_000)), "Mon, 23 Nov 2026 21:57:00 GMT");
        assert_eq!(http_date(WallClock(951_782_400_000_000_000)), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(basic("admin", ""), "Basic YWRtaW46");
        assert_eq!(basic("wanctl", "s3"), "Basic d2FuY3RsOnMz");
        assert_eq!(basic("wanctl", "s"), "Basic d2FuY3RsOnM=");
    }

    #[test]
    fn requests_arrive_in_any_fragments() {
        let wire = b"GET /rest/queue/tree?name=a%20b&.proplist=x HTTP/1.1\r\nHost: r\r\nAuthorization: Basic x\r\n\r\n\
            PATCH /rest/queue/tree/*1000000 HTTP/1.1\r\ncontent-length: 3\r\nConnection: close\r\n\r\nabc";
        let (mut inbox, mut got) = (Inbox::default(), Vec::new());
        for byte in wire {
            inbox.push(&[*byte]);
            got.extend(inbox.next());
        }
        let [Ok(first), Ok(second)] = &got[..] else { panic!("{got:?}") };
        assert_eq!(first.path, ["rest", "queue", "tree"]);
        assert_eq!(first.query[0], ("name".to_owned(), "a b".to_owned()));
        assert_eq!(first.authorization.as_deref(), Some("Basic x"));
        assert_eq!((second.path[3].as_str(), &second.body[..], second.close), ("*1000000", &b"abc"[..], true));
    }

    #[test]
    fn what_is_no_http_is_refused() {
        for (wire, status) in [
            ("\r\n\r\n", 400),
            ("GET /\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413),
        ] {
            let mut inbox = Inbox::default();
            inbox.push(wire.as_bytes());
            assert_eq!(inbox.next(), Some(Err(status)), "{wire:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..64), 0..16)) {
            let mut inbox = Inbox::default();
            for chunk in chunks {
                inbox.push(&chunk);
                while inbox.next().is_some() {}
            }
        }

        #[test]
        fn any_head_is_taken(line in "[A-Z]{1,5} [ -~]{0,40} HTTP/1.1", header in "[ -~]{0,40}") {
            let mut inbox = Inbox::default();
            inbox.push(format!("{line}\r\n{header}\r\n\r\n").as_bytes());
            while inbox.next().is_some() {}
        }
    }
}
