//! From the bytes of a request to what is asked for, or to the status that refuses it.

use crate::observe::pages::{Page, Query};
use core::fmt;

/// Most headers of a request.
const HEADERS: usize = 32;

/// How a page is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// With its content.
    Get,
    /// Only what is said before it.
    Head,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request {
    /// How.
    pub verb: Verb,
    /// What.
    pub page: Page,
    /// The client understands chunks (HTTP/1.1).
    pub chunks: bool,
    /// It says that it will ask again over this connection, and has asked for nothing else yet.
    pub keeps: bool,
}

/// Who may look in.
#[derive(Clone, PartialEq, Eq)]
pub enum Access {
    /// Everybody who can connect.
    Open,
    /// Who shows this token; `/health`, `/ready` and the empty page are open.
    Token(String),
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::Token(_) => "Token(***)",
        })
    }
}

/// A request that is refused, by its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is no HTTP, or its query can't be understood.
    Bad,
    /// It lacks the token.
    Unauthorized,
    /// There is no such page.
    NotFound,
    /// Nothing can be changed here.
    Method,
    /// It took too long.
    Timeout,
    /// It is too long.
    TooLarge,
}

impl Refusal {
    /// Status and reason.
    #[must_use]
    pub const fn status(self) -> &'static str {
        match self {
            Self::Bad => "400 Bad Request",
            Self::Unauthorized => "401 Unauthorized",
            Self::NotFound => "404 Not Found",
            Self::Method => "405 Method Not Allowed",
            Self::Timeout => "408 Request Timeout",
            Self::TooLarge => "431 Request Header Fields Too Large",
        }
    }
}

impl Request {
    /// Reads a request. `Ok(None)`: it is not whole yet.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn parse(bytes: &[u8], access: &Access) -> Result<Option<Self>, Refusal> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let length = match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooLarge),
            Err(_) => return Err(Refusal::Bad),
        };
        let verb = match request.method {
            Some("GET") => Verb::Get,
            Some("HEAD") => Verb::Head,
            _ => return Err(Refusal::Method),
        };
        let header = |name: &str| request.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value);
        // Nothing that is served has a use for a body, and what comes behind one would be taken
        // for the next request.
        if header("content-length").is_some_and(|v| v != b"0") || header("transfer-encoding").is_some() {
            return Err(Refusal::Bad);
        }
        let path = request.path.unwrap_or("/");
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let open = matches!(path, "/" | "/health" | "/ready");
        if let Access::Token(token) = access
            && !open
            && !header("authorization").is_some_and(|shown| is_bearer(shown, token.as_bytes()))
        {
            return Err(Refusal::Unauthorized);
        }
        let wants_open =
            header("accept").is_some_and(|v| v.windows(11).any(|w| w.eq_ignore_ascii_case(b"openmetrics")));
        let page = match path {
            "/" => Page::Index,
            "/health" => Page::Health,
            "/ready" => Page::Ready,
            "/status" => Page::Status,
            "/metrics" => Page::Metrics { open: wants_open },
            "/events" => Page::Events,
            "/history" => Page::History(Query::parse(query).ok_or(Refusal::Bad)?),
            _ => return Err(Refusal::NotFound),
        };
        let chunks = request.version == Some(1);
        let asks = header("connection").is_some_and(|v| v.eq_ignore_ascii_case(b"keep-alive"));
        // Without chunks the end of an answer is the end of the connection.
        let keeps = chunks && asks && verb == Verb::Get && length == bytes.len();
        Ok(Some(Self { verb, page, chunks, keeps }))
    }
}

/// Whether this is the token, in a time that does not depend on how much of it is right.
fn is_bearer(shown: &[u8], token: &[u8]) -> bool {
    let Some((scheme, shown)) = shown.split_at_checked(7) else { return false };
    let differing = shown.iter().zip(token).fold(0, |sum, (a, b)| sum | (a ^ b));
    scheme.eq_ignore_ascii_case(b"bearer ") && shown.len() == token.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(text: &str) -> Result<Option<Request>, Refusal> {
        Request::parse(text.as_bytes(), &Access::Open)
    }

    #[test]
    fn requests_and_refusals() {
        let get = |page| Ok(Some(Request { verb: Verb::Get, page, chunks: true, keeps: false }));
        assert_eq!(ask("GET / HTTP/1.1\r\n\r\n"), get(Page::Index));
        assert_eq!(ask("GET /health?x=1 HTTP/1.1\r\nHost: a\r\n\r\n"), get(Page::Health));
        assert_eq!(
            ask("GET /metrics HTTP/1.1\r\nAccept: application/OpenMetrics-text\r\n\r\n"),
            get(Page::Metrics { open: true })
        );
        let query = Query { wan: 1, json: true, last: 60, ..Query::default() };
        assert_eq!(ask("GET /history?wan=1&format=json&last=60 HTTP/1.1\r\n\r\n"), get(Page::History(query)));
        let old = ask("HEAD /status HTTP/1.0\r\n\r\n");
        assert_eq!(old, Ok(Some(Request { verb: Verb::Head, page: Page::Status, chunks: false, keeps: false })));
        assert_eq!(ask("GET / HTTP/1.1\r\nHost: a\r\n"), Ok(None));
        for (text, refusal) in [
            ("GET /nothing HTTP/1.1\r\n\r\n", Refusal::NotFound),
            ("GET /../etc/passwd HTTP/1.1\r\n\r\n", Refusal::NotFound),
            ("POST /health HTTP/1.1\r\n\r\n", Refusal::Method),
            ("GET /history?tier=years HTTP/1.1\r\n\r\n", Refusal::Bad),
            ("GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcde", Refusal::Bad),
            ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", Refusal::Bad),
            ("\x16\x03\x01\x02", Refusal::Bad),
        ] {
            assert_eq!(ask(text), Err(refusal), "{text}");
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(33));
        assert_eq!(ask(&many), Err(Refusal::TooLarge));
    }

    #[test]
    fn the_token_is_asked_for() {
        let access = Access::Token("s3cret-s3cret-s3cret".to_owned());
        let with = |line: &str| Request::parse(format!("GET /status HTTP/1.1\r\n{line}\r\n").as_bytes(), &access);
        assert!(with("Authorization: Bearer s3cret-s3cret-s3cret\r\n").is_ok());
        for wrong in [
            "",
            "Authorization: Bearer s3cret\r\n",
            "Authorization: Basic s3cret-s3cret-s3cret\r\n",
            "Authorization: \r\n",
        ] {
            assert_eq!(with(wrong), Err(Refusal::Unauthorized), "{wrong}");
        }
        assert!(Request::parse(b"GET /health HTTP/1.1\r\n\r\n", &access).is_ok());
        assert!(!format!("{access:?}").contains("s3cret"));
    }
}
