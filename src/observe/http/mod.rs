//! The server of the endpoint: bytes in, bytes out, no socket and no clock.
//!
//! It is served in what a wake-up leaves over, and each wake-up's work is bounded: one request is
//! parsed, at most [`QUANTUM`] bytes are read and written, and so at most two pieces of documents
//! are made. A client that is slow, silent or rude is shed after [`PATIENCE`].

mod request;

pub use request::{Access, Refusal, Request, Verb};

use super::Facts;
use super::pages::{Cursor, Health, Page, Piece, judge};
use crate::types::{Duration, Instant};
use core::fmt::Write as _;

/// Bytes that one wake-up reads and writes at most.
pub const QUANTUM: usize = 4_096;

/// Clients at a time.
pub const CLIENTS: usize = 8;

/// Longest request.
const REQUEST: usize = 2_048;

/// A client that has not said a whole request, or not taken a byte of its answer, for so long.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The same while all places are taken, and others may wait.
const IMPATIENCE: Duration = Duration::from_secs(1);

/// What a client still says after a refusal is listened to for so long: a connection that is closed
/// on unread bytes would be reset, and the refusal lost.
const LINGER: Duration = Duration::from_millis(300);

/// What came of moving a client's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Io {
    /// This many bytes (more than zero).
    Moved(usize),
    /// None now.
    Later,
    /// It is gone.
    Gone,
}

/// Whoever moves the bytes.
pub trait Carrier {
    /// Takes in a client; returns its place, below [`CLIENTS`].
    fn accept(&mut self) -> Option<usize>;
    /// Reads what it says.
    fn read(&mut self, client: usize, buffer: &mut [u8]) -> Io;
    /// Tells it something.
    fn write(&mut self, client: usize, bytes: &[u8]) -> Io;
    /// Closes its connection.
    fn close(&mut self, client: usize);
}

/// What has been served since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Clients taken in.
    pub clients: u64,
    /// Pages asked for.
    pub requests: u64,
    /// Requests refused.
    pub refused: u64,
    /// Clients shed because they took too long.
    pub shed: u64,
    /// Bytes sent.
    pub sent: u64,
    /// Most bytes moved in one wake-up.
    pub most: usize,
}

/// Where a client is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// It says its request; `again`: not its first.
    Asking { again: bool },
    /// It is told a page; `more`: the page goes on.
    Answering { cursor: Cursor, chunks: bool, more: bool, keeps: bool },
    /// It was told all; what it still says is thrown away.
    Leaving,
}

/// One client.
#[derive(Debug)]
struct Client {
    stage: Stage,
    /// When it last did what was expected of it.
    since: Instant,
    request: Box<[u8; REQUEST]>,
    len: usize,
    out: Box<Frame>,
    sent: usize,
}

/// A piece, with room for its frame.
type Frame = heapless::Vec<u8, { super::pages::PIECE + 1_024 }>;

impl Client {
    fn new() -> Self {
        Self {
            stage: Stage::Leaving,
            since: Instant::ZERO,
            request: Box::new([0; REQUEST]),
            len: 0,
            out: Box::new(heapless::Vec::new()),
            sent: 0,
        }
    }

    fn begin(&mut self, now: Instant, again: bool) {
        (self.stage, self.since, self.len, self.sent) = (Stage::Asking { again }, now, 0, 0);
        self.out.clear();
    }
}

/// The server.
#[derive(Debug)]
pub struct Server {
    access: Access,
    clients: [Client; CLIENTS],
    /// Bit *i*: place *i* is taken.
    taken: u8,
    /// Whose turn it is first.
    turn: usize,
    piece: Box<Piece>,
    counters: Counters,
}

impl Server {
    /// A server without clients.
    #[must_use]
    pub fn new(access: Access) -> Self {
        Self {
            access,
            clients: core::array::from_fn(|_| Client::new()),
            taken: 0,
            turn: 0,
            piece: Box::new(heapless::String::new()),
            counters: Counters::default(),
        }
    }

    /// Who may look in from now on.
    pub fn set_access(&mut self, access: Access) {
        self.access = access;
    }

    /// What has been served.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether anybody is there.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        self.taken != 0
    }

    /// Serves whoever is there, within one wake-up's bounds. Returns whether somebody was.
    pub fn serve(&mut self, now: Instant, carrier: &mut dyn Carrier, facts: &dyn Facts) -> bool {
        // As many as there are places: behind a storm, those who have gone while they waited are let in to be shed.
        for _ in 0..CLIENTS {
            let Some(place) = carrier.accept() else { break };
            let Some(client) = self.clients.get_mut(place) else { break };
            client.begin(now, false);
            self.taken |= 1 << place;
            self.counters.clients += 1;
        }
        if self.taken == 0 {
            return false;
        }
        self.turn = (self.turn + 1) % CLIENTS;
        let (mut left, mut parses) = (QUANTUM, 1);
        let turn = self.turn;
        for place in (0..CLIENTS).map(|i| (turn + i) % CLIENTS) {
            if self.taken & 1 << place != 0 && !self.attend(place, now, carrier, facts, &mut left, &mut parses) {
                carrier.close(place);
                self.taken &= !(1 << place);
            }
        }
        let moved = QUANTUM - left;
        self.counters.most = self.counters.most.max(moved);
        true
    }

    /// One client's part. Returns whether it stays.
    fn attend(
        &mut self,
        place: usize,
        now: Instant,
        carrier: &mut dyn Carrier,
        facts: &dyn Facts,
        left: &mut usize,
        parses: &mut u32,
    ) -> bool {
        match self.clients[place].stage {
            Stage::Asking { .. } => self.listen(place, now, carrier, facts, left, parses),
            Stage::Answering { .. } => self.answer(place, now, carrier, facts, left),
            Stage::Leaving => {
                let mut rest = [0; 256];
                let said = carrier.read(place, &mut rest);
                said != Io::Gone && now.since(self.clients[place].since) < LINGER
            }
        }
    }

    fn listen(
        &mut self,
        place: usize,
        now: Instant,
        carrier: &mut dyn Carrier,
        facts: &dyn Facts,
        left: &mut usize,
        parses: &mut u32,
    ) -> bool {
        if *parses == 0 {
            return true;
        }
        let patience = self.patience();
        let client = &mut self.clients[place];
        let room = (REQUEST - client.len).min(*left);
        match carrier.read(place, &mut client.request[client.len..client.len + room]) {
            Io::Moved(count) => {
                client.len += count;
                *left -= count;
            }
            Io::Gone if room > 0 => return false,
            Io::Later | Io::Gone => {
                if now.since(client.since) >= patience {
                    if client.len == 0 && client.stage == (Stage::Asking { again: true }) {
                        return false; // it has nothing more to ask
                    }
                    self.counters.shed += 1;
                    self.refuse(place, now, Refusal::Timeout);
                }
                return true;
            }
        }
        *parses -= 1;
        let client = &self.clients[place];
        match Request::parse(&client.request[..client.len], &self.access) {
            Ok(Some(request)) => self.begin_answer(place, now, request, facts),
            Ok(None) if self.clients[place].len == REQUEST => self.refuse(place, now, Refusal::TooLarge),
            Ok(None) => {}
            Err(refusal) => self.refuse(place, now, refusal),
        }
        true
    }

    /// How long a client may do nothing.
    const fn patience(&self) -> Duration {
        if self.taken == u8::MAX { IMPATIENCE } else { PATIENCE }
    }

    fn begin_answer(&mut self, place: usize, now: Instant, request: Request, facts: &dyn Facts) {
        self.counters.requests += 1;
        let failed = match request.page {
            // RouterOS's netwatch can ask for no other path than the root.
            Page::Health | Page::Index => judge(facts) == Health::Failed,
            Page::Ready => !super::pages::is_ready(facts),
            _ => false,
        };
        let status = if failed { "503 Service Unavailable" } else { "200 OK" };
        let client = &mut self.clients[place];
        client.since = now;
        head(&mut client.out, status, request.page.media_type(), request.chunks, request.keeps);
        let more = request.verb == Verb::Get;
        client.stage =
            Stage::Answering { cursor: Cursor::new(request.page), chunks: request.chunks, more, keeps: request.keeps };
        client.sent = 0;
    }

    fn refuse(&mut self, place: usize, now: Instant, refusal: Refusal) {
        self.counters.refused += 1;
        let client = &mut self.clients[place];
        client.since = now;
        head(&mut client.out, refusal.status(), "text/plain; charset=utf-8", false, false);
        let _ = writeln!(Bytes(&mut client.out), "{}", refusal.status());
        client.stage = Stage::Answering { cursor: Cursor::new(Page::Health), chunks: false, more: false, keeps: false };
        client.sent = 0;
    }

    fn answer(
        &mut self,
        place: usize,
        now: Instant,
        carrier: &mut dyn Carrier,
        facts: &dyn Facts,
        left: &mut usize,
    ) -> bool {
        let patience = self.patience();
        loop {
            let client = &mut self.clients[place];
            let rest = &client.out[client.sent..];
            if rest.is_empty() {
                let Stage::Answering { cursor, chunks, more, keeps } = &mut client.stage else { return true };
                if !*more && *keeps {
                    client.begin(now, true);
                    return true;
                }
                if !*more {
                    (client.stage, client.since) = (Stage::Leaving, now);
                    return true;
                }
                self.piece.clear();
                *more = cursor.piece(facts, &mut self.piece);
                frame(&mut client.out, self.piece.as_bytes(), *chunks, !*more);
                client.sent = 0;
                continue;
            }
            let part = &rest[..rest.len().min(*left)];
            if part.is_empty() {
                return true;
            }
            match carrier.write(place, part) {
                Io::Moved(count) => {
                    client.sent += count;
                    client.since = now;
                    *left -= count;
                    self.counters.sent += count as u64;
                }
                Io::Gone => return false,
                Io::Later => {
                    let slow = now.since(client.since) >= patience;
                    self.counters.shed += u64::from(slow);
                    return !slow;
                }
            }
        }
    }
}

/// Status line and headers.
fn head(out: &mut Frame, status: &str, media_type: &str, chunks: bool, keeps: bool) {
    out.clear();
    let connection = if keeps { "keep-alive" } else { "close" };
    let chunked = if chunks { "Transfer-Encoding: chunked\r\n" } else { "" };
    let _ = write!(
        Bytes(out),
        "HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\n{chunked}Connection: {connection}\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nReferrer-Policy: no-referrer\r\n\
         Cross-Origin-Resource-Policy: same-origin\r\nContent-Security-Policy: default-src 'none'; \
         script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n{}\r\n",
        if status.starts_with("401") { "WWW-Authenticate: Bearer\r\n" } else { "" },
    );
}

/// A piece as a chunk, or as it is.
fn frame(out: &mut Frame, piece: &[u8], chunks: bool, last: bool) {
    out.clear();
    if chunks && !piece.is_empty() {
        let _ = write!(Bytes(out), "{:x}\r\n", piece.len());
    }
    let _ = out.extend_from_slice(piece);
    if chunks {
        let _ = out.extend_from_slice(if piece.is_empty() { b"" } else { b"\r\n" });
        let _ = out.extend_from_slice(if last { b"0\r\n\r\n" } else { b"" });
    }
}

/// Text into bytes.
struct Bytes<'a>(&'a mut Frame);

impl core::fmt::Write for Bytes<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0.extend_from_slice(text.as_bytes()).map_err(|_| core::fmt::Error)
    }
}
