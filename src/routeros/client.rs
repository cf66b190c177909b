//! One router: connection, request and response, time-outs, back-off.

use super::http::{BadResponse, Part, Response};
use super::json::{self, Splitter};
use crate::types::{
    Direction, Duration, Exchange, Instant, Intent, Item, Limit, LinkError, Menu, RouterError, SwitchTable, Text,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use core::fmt::Write as _;

/// Longest pause between attempts to connect, so that a router that comes back is found soon.
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);

/// First pause after a second failure in a row; it doubles from there.
const FIRST_BACKOFF: Duration = Duration::from_millis(125);

/// After a request without an answer: RouterOS's web server may answer the next request with the
/// status of the one that was given up, for up to 2.4 s after it. Others give up requests too (a
/// monitoring system, or the process before this one), so a first 401 may not be meant for us.
const PAUSE_AFTER_ABORT: Duration = Duration::from_secs(3);

/// After a second 401 in a row, which is meant for us: brute-force rules must not be triggered.
const PAUSE_AFTER_DENIAL: Duration = Duration::from_secs(60);

/// Shortest time between two connections: a TLS handshake may cost a small board a cycle, so a
/// router that keeps closing must not cost one after the other.
const CONNECTIONS_APART: Duration = Duration::from_secs(2);

/// Longest request: head with credentials, and a body of one member.
const MAX_REQUEST: usize = 1536;

/// The members asked for in `/queue/simple`.
const SIMPLE_MEMBERS: &str = ".id,name,max-limit,bytes,dropped,queued-bytes,queued-packets,disabled,invalid,dynamic";

/// The members asked for in `/queue/tree`, which knows no `dynamic`.
const TREE_MEMBERS: &str = ".id,name,max-limit,bytes,dropped,queued-bytes,queued-packets,disabled,invalid";

/// The members asked for of mangle rules, and of the entries of address lists.
const RULE_MEMBERS: &str = ".id,chain,comment,disabled,invalid,dynamic";
const ENTRY_MEMBERS: &str = ".id,list,address,timeout,dynamic,disabled";

/// How to speak to the router.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Value of the `Host` header: name or address, with the port if it is not the usual one.
    pub host: String,
    /// User name and password as `user:password`.
    pub credentials: String,
    /// Longest time to connect, TLS handshake included.
    pub connect_timeout: Duration,
    /// Longest time from request to complete response.
    pub response_timeout: Duration,
}

/// What the daemon shall do with the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Open a connection to the router.
    Open,
    /// Send these bytes, as many as go, and tell [`Client::wrote`].
    Write(&'a [u8]),
    /// Close the connection.
    Close,
    /// Nothing until the next input or [`Client::deadline`].
    Nothing,
}

/// The connection, and what it is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No connection, and none shall be tried before this.
    Down { retry_at: Instant },
    /// Being opened, until this at the latest.
    Connecting { deadline: Instant },
    /// Open; a request may be sent from this moment on.
    Free { from: Instant },
    /// A request is under way.
    Busy { deadline: Instant, sent: Option<Instant>, answered: Option<Instant> },
}

/// The client of one router.
#[derive(Debug)]
pub struct Client {
    settings: Settings,
    /// `Host` and `Authorization` lines, the same in every request.
    constant_lines: String,
    state: State,
    close_pending: bool,
    intent: Option<Intent>,
    request: heapless::Vec<u8, MAX_REQUEST>,
    written: usize,
    /// When the last connection was made.
    opened_at: Option<Instant>,
    response: Response,
    splitter: Splitter,
    status: u16,
    /// The answer holds something that can't be of what was asked for.
    foreign: bool,
    /// Items of the answer so far.
    items: u32,
    error_detail: Option<Text<64>>,
    failures: u32,
    /// There was a 401 since the last good answer.
    denied: bool,
    outcome: Option<Result<Exchange, RouterError>>,
    jitter: u64,
}

impl Client {
    /// A client with no connection yet; `seed` spreads the retries of several daemons.
    #[must_use]
    pub fn new(settings: Settings, seed: u64) -> Self {
        let credentials = BASE64.encode(&settings.credentials);
        let constant_lines = format!("Host: {}\r\nAuthorization: Basic {credentials}\r\n", settings.host);
        Self {
            settings: Settings { credentials: String::new(), ..settings },
            constant_lines,
            state: State::Down { retry_at: Instant::ZERO },
            close_pending: false,
            intent: None,
            request: heapless::Vec::new(),
            written: 0,
            opened_at: None,
            response: Response::default(),
            splitter: Splitter::default(),
            status: 0,
            foreign: false,
            items: 0,
            error_detail: None,
            failures: 0,
            denied: false,
            outcome: None,
            jitter: seed | 1,
        }
    }

    /// Whether a request may be started.
    #[must_use]
    pub fn is_free(&self, now: Instant) -> bool {
        matches!(self.state, State::Free { from } if from <= now) && self.outcome.is_none()
    }

    /// Whether there is a connection.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Free { .. } | State::Busy { .. })
    }

    /// Whether a connection is being made.
    #[must_use]
    pub const fn is_connecting(&self) -> bool {
        matches!(self.state, State::Connecting { .. })
    }

    /// The request under way.
    #[must_use]
    pub const fn in_flight(&self) -> Option<&Intent> {
        self.intent.as_ref()
    }

    /// How many requests or connections have failed since the last good answer.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Starts a request. Only when [`Client::is_free`]; otherwise the intent is dropped, to be
    /// chosen again from the state as it is then.
    pub fn start(&mut self, now: Instant, intent: Intent) {
        if !self.is_free(now) {
            return;
        }
        self.request.clear();
        if self.write_request(&intent).is_err() {
            // Can't happen with bounded names and credentials; if it does, it is said, not sent.
            self.outcome = Some(Err(RouterError::BadValue));
            return;
        }
        self.written = 0;
        self.response.reset();
        self.splitter.reset(if let Intent::Read(_) = intent { json::MAX_ROW } else { json::MAX_OBJECT });
        (self.status, self.items, self.foreign) = (0, 0, false);
        self.error_detail = None;
        self.intent = Some(intent);
        self.state = State::Busy { deadline: now + self.settings.response_timeout, sent: None, answered: None };
    }

    /// The next thing to do with the connection.
    pub fn poll(&mut self, now: Instant) -> Step<'_> {
        if self.close_pending {
            self.close_pending = false;
            return Step::Close;
        }
        match self.state {
            State::Down { retry_at } if retry_at <= now => {
                self.state = State::Connecting { deadline: now + self.settings.connect_timeout };
                Step::Open
            }
            State::Busy { .. } if self.written < self.request.len() => Step::Write(&self.request[self.written..]),
            _ => Step::Nothing,
        }
    }

    /// That many bytes of [`Step::Write`] were taken.
    pub fn wrote(&mut self, now: Instant, bytes: usize) {
        self.written += bytes;
        if let State::Busy { sent, .. } = &mut self.state
            && self.written >= self.request.len()
        {
            *sent = Some(now);
        }
    }

    /// The connection is open.
    pub fn opened(&mut self, now: Instant) {
        if let State::Connecting { .. } = self.state {
            self.state = State::Free { from: now };
            self.opened_at = Some(now);
        }
    }

    /// Back to no connection, for at least `pause`.
    fn wait(&mut self, now: Instant, pause: Duration) {
        let earliest = self.opened_at.map_or(now, |at| at + CONNECTIONS_APART);
        self.state = State::Down { retry_at: earliest.max(now + pause) };
    }

    /// The connection has ended.
    pub fn down(&mut self, now: Instant, error: LinkError) {
        match self.state {
            State::Down { .. } => {} // given up already
            // A body without length ends with the connection.
            State::Busy { .. }
                if matches!(error, LinkError::Closed)
                    && self.status != 0
                    && matches!(self.response.closed(), Ok(Part::End { .. })) =>
            {
                self.complete(now, false);
            }
            _ => self.fail(now, RouterError::Link(error), false),
        }
        self.close_pending = false;
    }

    /// Bytes have come. What they tell goes to `sink`, item by item.
    pub fn input(&mut self, now: Instant, bytes: &[u8], sink: &mut dyn FnMut(Item)) {
        match &mut self.state {
            State::Busy { answered, .. } => {
                answered.get_or_insert(now);
            }
            // Nobody asked: the stream is out of step.
            State::Free { .. } => return self.fail(now, RouterError::UnexpectedBody, false),
            // The rest of what was given up.
            State::Down { .. } | State::Connecting { .. } => return,
        }
        let mut rest = bytes;
        loop {
            let (used, part) = match self.response.feed(rest) {
                Ok(fed) => fed,
                Err(BadResponse) => return self.fail(now, RouterError::UnexpectedBody, false),
            };
            rest = &rest[used..];
            match part {
                Part::Nothing if rest.is_empty() => return,
                Part::Nothing => {}
                Part::Head { status } => self.status = status,
                Part::Body(body) => self.body(body, sink),
                Part::End { keep_alive } => {
                    // Bytes behind the end of the only response belong to nothing.
                    return self.complete(now, keep_alive && rest.is_empty());
                }
            }
        }
    }

    /// Time has passed: what took too long is given up.
    pub fn tick(&mut self, now: Instant) {
        match self.state {
            State::Connecting { deadline } if deadline <= now => self.fail(now, RouterError::ConnectTimeout, false),
            State::Busy { deadline, .. } if deadline <= now => self.fail(now, RouterError::ResponseTimeout, false),
            _ => {}
        }
    }

    /// When [`Client::tick`] or [`Client::poll`] has something to do without any input.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        match self.state {
            State::Down { retry_at } => retry_at,
            State::Connecting { deadline } | State::Busy { deadline, .. } => deadline,
            State::Free { from } => from,
        }
    }

    /// The end of the last request (or of the connection, when none was under way), once.
    pub fn take_outcome(&mut self) -> Option<(Option<Intent>, Result<Exchange, RouterError>)> {
        let outcome = self.outcome.take()?;
        Some((self.intent.take(), outcome))
    }

    /// Try again without any pause: the program is about to end and has one last thing to say.
    pub fn hurry(&mut self, now: Instant) {
        match &mut self.state {
            State::Down { retry_at } => *retry_at = now,
            State::Free { from } => *from = now,
            _ => {}
        }
    }

    /// Hands a piece of the body on, object by object, up to the first that can't be of what was
    /// asked for.
    fn body(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Item)) {
        let Self { splitter, intent, status, items, foreign, error_detail, .. } = self;
        if *foreign {
            return;
        }
        let good = (200..300).contains(status);
        let fed = splitter.feed(bytes, |object| {
            if !good {
                *error_detail = json::error_detail(object);
            } else if !*foreign && let Some(item) = intent.as_ref().and_then(|intent| read(intent, object)) {
                *items += 1;
                sink(item);
            } else {
                *foreign = true;
            }
        });
        *foreign |= fed.is_err();
    }

    /// The response is there in full.
    fn complete(&mut self, now: Instant, keep_alive: bool) {
        let State::Busy { sent, answered, .. } = self.state else { return };
        // An answer that came before the end of the request leaves the rest of it unsaid.
        let keep_alive = keep_alive && self.written >= self.request.len();
        if let Err(error) = self.judge() {
            self.fail(now, error, keep_alive);
            return;
        }
        let answered = answered.unwrap_or(now);
        // An answer may begin before there was a question.
        let sent = sent.map_or(answered, |sent| sent.min(answered));
        self.outcome = Some(Ok(Exchange { sent, answered }));
        self.failures = 0;
        self.denied = false;
        self.close_pending = !keep_alive;
        if keep_alive {
            self.state = State::Free { from: now };
        } else {
            self.wait(now, Duration::ZERO);
        }
    }

    /// Good, or why not. By the text of the error before its status: RouterOS answers 500 to a
    /// missing policy, and 400 to a missing item.
    fn judge(&self) -> Result<(), RouterError> {
        let detail = self.error_detail.as_deref().unwrap_or("");
        if let 200..300 = self.status {
            // A removal is answered by nothing at all.
            if let Some(Intent::Release { .. }) = self.intent {
                return Ok(());
            }
            let single = matches!(
                self.intent,
                Some(Intent::ReadResource | Intent::SetLimit { .. } | Intent::Turn { .. } | Intent::Lease { .. })
            );
            let whole = !self.foreign && self.splitter.end().is_ok() && (!single || self.items == 1);
            return if whole { Ok(()) } else { Err(RouterError::UnexpectedBody) };
        }
        if let Some((_, error)) = json::DETAILS.iter().find(|(text, _)| detail.contains(text)) {
            return Err(*error);
        }
        Err(match self.status {
            401 | 403 => RouterError::Auth,
            404 => RouterError::NotFound,
            status => RouterError::Status(status),
        })
    }

    /// Ends what is under way. A refusal leaves the connection open if that can carry another
    /// request (`keep_alive`), everything else closes it.
    fn fail(&mut self, now: Instant, error: RouterError, keep_alive: bool) {
        let pause = match error {
            RouterError::ResponseTimeout => PAUSE_AFTER_ABORT,
            RouterError::Auth if !self.denied => PAUSE_AFTER_ABORT,
            RouterError::Auth => PAUSE_AFTER_DENIAL,
            _ => self.backoff(),
        };
        self.denied |= matches!(error, RouterError::Auth);
        self.failures = self.failures.saturating_add(1);
        if keep_alive && error.is_refusal() {
            self.state = State::Free { from: now + pause };
        } else {
            self.close_pending = !matches!(self.state, State::Down { .. });
            self.wait(now, pause);
        }
        // An answer that was good stays good, whatever became of the connection behind it.
        self.outcome.get_or_insert(Err(error));
    }

    /// None after the first failure, then doubling from [`FIRST_BACKOFF`], less up to a half so
    /// that several clients of one router do not march in step.
    fn backoff(&mut self) -> Duration {
        if self.failures == 0 {
            return Duration::ZERO;
        }
        let doubled = FIRST_BACKOFF.saturating_mul(1 << self.failures.saturating_sub(1).min(10));
        // xorshift64: any spread will do.
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
        let full = doubled.min(LONGEST_BACKOFF);
        full - full.mul_f64(0.5 * f64::from(u16::try_from(self.jitter & 0xffff).unwrap_or(0)) / 65_536.0)
    }

    fn write_request(&mut self, intent: &Intent) -> core::fmt::Result {
        let lines = &self.constant_lines;
        let out = &mut Bytes(&mut self.request);
        match intent {
            Intent::ReadResource => get(out, lines, format_args!("/rest/system/resource")),
            Intent::ReadQueues(menu) => {
                let members = if *menu == Menu::Tree { TREE_MEMBERS } else { SIMPLE_MEMBERS };
                get(out, lines, format_args!("/rest{}?.proplist={members}", menu.path()))
            }
            Intent::Read(table) => get(out, lines, format_args!("/rest{}?.proplist={}", table.path(), table.members())),
            Intent::ReadInterface(name) => {
                get(out, lines, format_args!("/rest/interface/{}?.proplist=name,rx-byte,tx-byte", Escaped(name)))
            }
            Intent::ReadSwitches(table) => write_list(out, lines, table),
            Intent::Turn { table, id, comment, on } => {
                let mut body: Text<192> = Text::new();
                let disabled = if *on { "no" } else { "yes" };
                write!(body, r#"{{"disabled":"{disabled}","comment":"#)?;
                json_text(&mut body, comment)?;
                body.push('}').map_err(|_| core::fmt::Error)?;
                change(out, lines, "PATCH", format_args!("{}/{id}", table.path()), &body)
            }
            Intent::Lease { table, address, seconds } => {
                let mut body: Text<192> = Text::new();
                let SwitchTable::List { name, .. } = table else { return Err(core::fmt::Error) };
                body.push_str(r#"{"list":"#).map_err(|_| core::fmt::Error)?;
                json_text(&mut body, name)?;
                write!(body, r#","address":"{address}","timeout":"{seconds}s"}}"#)?;
                change(out, lines, "PUT", format_args!("{}", table.path()), &body)
            }
            Intent::Release { table, id } => {
                write!(out, "DELETE /rest{}/{id} HTTP/1.1\r\n{lines}\r\n", table.path())
            }
            Intent::SetLimit { menu, id, limit } => {
                let mut body: Text<96> = Text::new();
                write_limit(&mut body, limit)?;
                change(out, lines, "PATCH", format_args!("{}/{id}", menu.path()), &body)
            }
        }
    }
}

/// Reads one object of the answer to `intent`; `None` when it is of something else.
fn read(intent: &Intent, object: &[u8]) -> Option<Item> {
    match intent {
        Intent::ReadResource => json::resource(object).map(Item::Resource),
        Intent::ReadQueues(menu) => json::queue(object, *menu).map(Item::Queue),
        Intent::Read(table) => json::row(object, *table).map(Item::Row),
        Intent::ReadSwitches(table) | Intent::Lease { table, .. } => json::switch(object, table).map(Item::Switch),
        Intent::Turn { table, id, .. } => json::switch(object, table).filter(|row| row.id == *id).map(Item::Switch),
        Intent::Release { .. } => None,
        Intent::ReadInterface(name) => json::interface(object, name).map(|(rx, tx)| Item::Interface { rx, tx }),
        Intent::SetLimit { menu, id, .. } => json::queue(object, *menu).filter(|row| row.id == *id).map(Item::Queue),
    }
}

fn get(out: &mut Bytes<'_>, lines: &str, path: core::fmt::Arguments<'_>) -> core::fmt::Result {
    write!(out, "GET {path} HTTP/1.1\r\n{lines}\r\n")
}

/// A request that changes something.
fn change(
    out: &mut Bytes<'_>,
    lines: &str,
    method: &str,
    path: core::fmt::Arguments<'_>,
    body: &str,
) -> core::fmt::Result {
    write!(
        out,
        "{method} /rest{path} HTTP/1.1\r\n{lines}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len(),
    )
}

/// Rules can't be asked for by comment (RouterOS passes over such a filter in silence), entries can by
/// their list.
fn write_list(out: &mut Bytes<'_>, lines: &str, table: &SwitchTable) -> core::fmt::Result {
    let path = table.path();
    match table {
        SwitchTable::Mangle { .. } => get(out, lines, format_args!("/rest{path}?.proplist={RULE_MEMBERS}")),
        SwitchTable::List { name, .. } => {
            get(out, lines, format_args!("/rest{path}?list={}&.proplist={ENTRY_MEMBERS}", Escaped(name)))
        }
    }
}

/// Text as a JSON string.
fn json_text<const N: usize>(out: &mut Text<N>, text: &str) -> core::fmt::Result {
    out.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(out, "\\{c}")?,
            c if c.is_control() => write!(out, "\\u{:04x}", u32::from(c))?,
            c => out.write_char(c)?,
        }
    }
    out.write_char('"')
}

/// `{"max-limit":"…"}`: the tree holds one rate, a simple queue both, upload first.
fn write_limit(out: &mut Text<96>, limit: &Limit) -> core::fmt::Result {
    match limit {
        Limit::Original(text) => write!(out, r#"{{"max-limit":"{text}"}}"#),
        Limit::Controlled { download: Some(rate), upload: None }
        | Limit::Controlled { download: None, upload: Some(rate) } => {
            write!(out, r#"{{"max-limit":"{}"}}"#, rate.rate().bps())
        }
        Limit::Controlled { download: Some(down), upload: Some(up) } => {
            write!(out, r#"{{"max-limit":"{}/{}"}}"#, up.rate().bps(), down.rate().bps())
        }
        Limit::Controlled { download: None, upload: None } => {
            debug_assert!(false, "a limit for {:?} that limits nothing", Direction::BOTH);
            Err(core::fmt::Error)
        }
    }
}

/// A path segment: everything but unreserved characters is percent-encoded.
struct Escaped<'a>(&'a str);

impl core::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.bytes().try_for_each(|b| match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => f.write_char(char::from(b)),
            _ => write!(f, "%{b:02X}"),
        })
    }
}

/// Formatting into a fixed byte buffer.
struct Bytes<'a>(&'a mut heapless::Vec<u8, MAX_REQUEST>);

impl core::fmt::Write for Bytes<'_> {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        self.0.extend_from_slice(s.as_bytes()).map_err(|_| core::fmt::Error)
    }
}
