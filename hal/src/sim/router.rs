//! The RouterOS double: bytes in, bytes out, time as an argument.
//!
//! It serves requests one after the other, whatever connection they come from, and carries a
//! request out at the moment its response is ready: that is when a new limit takes effect.
//! *Not* here: TLS and sockets (see `tls_server`), and the traffic, which the line model counts
//! into it with [`RouterDouble::count`].

use super::fault::Fault;
use super::http::{Inbox, Request, Response, basic};
use super::objects::{Objects, Traffic, parse_rate};
use super::rest::{self, Policy};
use super::rng::Rng;
use super::schema::{INTERFACE, RESOURCE, SIMPLE, TREE};
use super::setup::{QueueMenu, RouterSetup, ShaperRef};
use crate::units::{Bitrate, Duration, Instant, WallClock, nanos};
use std::collections::{BTreeMap, VecDeque};

/// How many writes are remembered.
const WRITES_KEPT: usize = 65_536;

/// A connection to the double.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(u64);

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// RST to the SYN.
    Refused,
    /// No answer to the SYN, until this moment at least.
    Silent(Instant),
}

/// What comes out of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Bytes for the client.
    Bytes(Vec<u8>),
    /// The router closes in order.
    Close,
    /// The router cuts the connection.
    Reset,
}

/// A change made over REST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// When it took effect.
    pub at: Instant,
    /// Name of the object.
    pub object: String,
    /// Its new `max-limit` as it reads back; `None` when the request did not name it.
    pub max_limit: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Session {
    inbox: Inbox,
    pub(super) output: VecDeque<Output>,
    /// Nothing more will come out.
    pub(super) ended: bool,
    /// When bytes last moved.
    active: Instant,
}

#[derive(Debug)]
pub(super) struct Pending {
    session: SessionId,
    pub(super) due: Instant,
    request: Result<Request, u16>,
}

/// A simulated RouterOS.
#[derive(Debug)]
pub struct RouterDouble {
    pub(super) setup: RouterSetup,
    pub(super) authorization: String,
    pub(super) objects: Objects,
    pub(super) rng: Rng,
    pub(super) sessions: BTreeMap<SessionId, Session>,
    pub(super) next_session: u64,
    pub(super) pending: VecDeque<Pending>,
    /// When the last request taken in will be done.
    pub(super) busy_until: Instant,
    pub(super) refuse_until: Instant,
    pub(super) silent_until: Instant,
    pub(super) booted: Option<Instant>,
    pub(super) faults: VecDeque<Fault>,
    pub(super) writes: VecDeque<Write>,
    pub(super) writes_total: u64,
    pub(super) requests_total: u64,
    pub(super) sectors: u64,
    pub(super) revision: u64,
    pub(super) next_show: Instant,
}

impl RouterDouble {
    /// A router of this set-up.
    #[must_use]
    pub fn new(setup: RouterSetup) -> Self {
        let mut objects = Objects::new(&setup);
        for name in &setup.interfaces {
            let values = [("name", name.as_str()), ("disabled", "false"), ("mtu", "1500"), ("comment", "")];
            objects.insert(INTERFACE, values.into_iter().map(|(n, v)| (n, v.to_owned())).collect());
        }
        for queue in &setup.queues {
            let (table, place) = match queue.menu {
                QueueMenu::Tree => (TREE, "parent"),
                QueueMenu::Simple => (SIMPLE, "target"),
            };
            let properties = super::schema::SCHEMAS[table].properties;
            let mut values: BTreeMap<_, _> = properties.iter().map(|p| (p.name, p.default.to_owned())).collect();
            values.insert("name", queue.name.clone());
            values.insert(place, queue.place.clone());
            values.insert("max-limit", queue.max_limit.clone());
            values.insert("queue", queue.queue_type.clone());
            values.insert("comment", queue.comment.clone());
            objects.insert(table, values);
        }
        objects.set_identity(&setup.identity);
        Self {
            authorization: basic(&setup.user, &setup.password),
            objects,
            rng: Rng::new(setup.seed),
            sessions: BTreeMap::new(),
            next_session: 0,
            pending: VecDeque::new(),
            busy_until: Instant::ZERO,
            refuse_until: Instant::ZERO,
            silent_until: Instant::ZERO,
            booted: None,
            faults: VecDeque::new(),
            writes: VecDeque::new(),
            writes_total: 0,
            requests_total: 0,
            sectors: 0,
            revision: 0,
            next_show: Instant::ZERO,
            setup,
        }
    }

    // ---- connections -------------------------------------------------------------------------

    /// A client connects.
    ///
    /// # Errors
    /// [`Refusal`], while the router does not listen.
    pub fn connect(&mut self, now: Instant) -> Result<SessionId, Refusal> {
        if now < self.silent_until {
            return Err(Refusal::Silent(self.silent_until));
        }
        if now < self.refuse_until {
            return Err(Refusal::Refused);
        }
        let id = SessionId(self.next_session);
        self.next_session += 1;
        self.sessions.insert(id, Session { active: now, ..Session::default() });
        Ok(id)
    }

    /// Takes bytes from a client, in any fragments.
    pub fn input(&mut self, id: SessionId, now: Instant, bytes: &[u8]) {
        self.advance(now);
        let Some(session) = self.sessions.get_mut(&id).filter(|s| !s.ended) else { return };
        session.inbox.push(bytes);
        session.active = now;
        while let Some(request) = session.inbox.next() {
            let start = if self.busy_until > now { self.busy_until } else { now };
            self.busy_until = start + self.setup.latency.draw(&mut self.rng);
            self.pending.push_back(Pending { session: id, due: self.busy_until, request });
        }
    }

    /// Takes what the router has for this client by now. `None`: nothing at this time.
    pub fn poll_output(&mut self, id: SessionId, now: Instant) -> Option<Output> {
        self.advance(now);
        let session = self.sessions.get_mut(&id)?;
        let output = session.output.pop_front();
        if session.ended && session.output.is_empty() && !matches!(output, Some(Output::Bytes(_))) {
            self.sessions.remove(&id);
        }
        output
    }

    /// When this client's next output is ready, if nothing happens in between;
    /// [`Instant::ZERO`] when it waits already.
    #[must_use]
    pub fn next_output_at(&self, id: SessionId) -> Option<Instant> {
        let session = self.sessions.get(&id)?;
        if !session.output.is_empty() {
            return Some(Instant::ZERO);
        }
        self.pending.iter().find(|p| p.session == id).map(|p| p.due)
    }

    /// The client went away. What it asked for is carried out all the same.
    pub fn disconnect(&mut self, id: SessionId) {
        self.sessions.remove(&id);
    }

    // ---- time --------------------------------------------------------------------------------

    /// Carries out what is due.
    pub fn advance(&mut self, now: Instant) {
        while self.pending.front().is_some_and(|p| p.due <= now) {
            if let Some(pending) = self.pending.pop_front() {
                self.show_counters(pending.due);
                self.serve(pending);
            }
        }
        self.show_counters(now);
        self.close_idle(now);
    }

    /// When [`RouterDouble::advance`] has something to do next.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        let request = self.pending.front().map(|p| p.due);
        let show = self.setup.counter_period.filter(|p| !p.is_zero()).map(|_| self.next_show);
        let idle = self.setup.idle_close.and_then(|idle| {
            self.sessions.iter().filter(|(id, s)| self.is_idle(**id, s)).map(|(_, s)| s.active + idle).min()
        });
        [request, show, idle].into_iter().flatten().min()
    }

    fn is_idle(&self, id: SessionId, session: &Session) -> bool {
        !session.ended && self.pending.iter().all(|p| p.session != id)
    }

    /// Closes connections on which nothing has happened for too long.
    fn close_idle(&mut self, now: Instant) {
        let Some(idle) = self.setup.idle_close else { return };
        for (id, session) in &mut self.sessions {
            let waits = self.pending.iter().any(|p| p.session == *id);
            if !session.ended && !waits && session.active + idle <= now {
                session.output.push_back(Output::Close);
                session.ended = true;
            }
        }
    }

    fn show_counters(&mut self, now: Instant) {
        let Some(period) = self.setup.counter_period.filter(|p| !p.is_zero()) else { return };
        if now >= self.next_show {
            self.objects.show_counters();
            let periods = nanos(now.since(Instant::ZERO)) / nanos(period) + 1;
            self.next_show = Instant::from_nanos(periods.saturating_mul(nanos(period)));
        }
    }

    fn serve(&mut self, pending: Pending) {
        let now = pending.due;
        self.requests_total += 1;
        let (request, mut close) = match pending.request {
            Ok(request) => {
                let close = request.close;
                (Ok(request), close)
            }
            Err(status) => (Err(status), true),
        };
        let fault = self.next_fault();
        let mut response = match (request, fault) {
            (_, Some(Fault::Status { status: 401, .. })) => unauthorized(),
            (_, Some(Fault::Status { status, .. })) => rest::error(status, None),
            (Err(status), _) => Response::html(status, ""),
            (Ok(request), _) => self.answer(now, &request),
        };
        let wall = self.wall(now);
        let Some(session) = self.sessions.get_mut(&pending.session).filter(|s| !s.ended) else { return };
        session.active = now;
        let mut output = |out| session.output.push_back(out);
        match fault {
            Some(Fault::DropResponse { .. }) => close = false,
            Some(Fault::Truncate { .. }) => {
                let mut bytes = response.render(wall, close);
                bytes.truncate(bytes.len() / 2);
                output(Output::Bytes(bytes));
                output(Output::Reset);
                session.ended = true;
                return;
            }
            Some(Fault::Garbage { .. }) => {
                response.body = b"\x00\xff[{\"name\":\"wan1".to_vec();
                output(Output::Bytes(response.render(wall, close)));
            }
            _ => output(Output::Bytes(response.render(wall, close))),
        }
        if close {
            output(Output::Close);
            session.ended = true;
        }
    }

    fn answer(&mut self, now: Instant, request: &Request) -> Response {
        if request.path.first().is_none_or(|p| p != "rest") {
            let found = request.path.is_empty() && request.method == "GET";
            return if found { Response::html(200, "<html>RouterOS</html>") } else { Response::html(404, "") };
        }
        let known = request.authorization.as_deref() == Some(self.authorization.as_str());
        if !known || !self.objects.grants(&self.setup.user, "rest-api") {
            return unauthorized();
        }
        if request.path.get(1).is_some_and(|p| p == "system") {
            self.refresh_resource(now);
        }
        let confused = self.booted.is_some_and(|at| now < at + self.setup.boot_confusion);
        let other = confused.then(|| other_menu(request));
        let request = other.as_ref().unwrap_or(request);
        let may = |policy| self.objects.grants(&self.setup.user, policy);
        let policy = Policy { read: may("read"), write: may("write") };
        let (response, changes) = rest::answer(&mut self.objects, policy, request);
        for change in changes {
            self.revision += 1;
            self.sectors += 1;
            self.writes_total += 1;
            if self.writes.len() == WRITES_KEPT {
                self.writes.pop_front();
            }
            self.writes.push_back(Write { at: now, object: change.name, max_limit: change.max_limit });
        }
        response
    }

    fn refresh_resource(&mut self, now: Instant) {
        let uptime = uptime_text(self.uptime(now));
        let (sectors, version) = (self.sectors.to_string(), self.setup.version.clone());
        if let Some(row) = self.objects.tables[RESOURCE].rows.first_mut() {
            row.values.insert("uptime", uptime);
            row.values.insert("write-sect-since-reboot", sectors);
            row.values.insert("version", version);
        }
    }

    // ---- what others see ---------------------------------------------------------------------

    /// Any member of a queue as it reads back (counters excepted).
    #[must_use]
    pub fn property(&self, queue: &str, property: &str) -> Option<&str> {
        let (table, row) = self.objects.find_queue(queue)?;
        self.objects.tables[table].rows[row].values.get(property).map(String::as_str)
    }

    /// The id of a queue.
    #[must_use]
    pub fn id(&self, queue: &str) -> Option<String> {
        let (table, row) = self.objects.find_queue(queue)?;
        Some(self.objects.tables[table].rows[row].id())
    }

    /// The rate a shaper works at; zero is unlimited. `None` if there is no such queue, or it is
    /// disabled or invalid.
    #[must_use]
    pub fn shaper_rate(&self, shaper: &ShaperRef) -> Option<Bitrate> {
        let (table, row) = self.objects.find_queue(&shaper.queue)?;
        let row = &self.objects.tables[table].rows[row];
        if row.get("disabled") == "true" || row.get("invalid") == "true" {
            return None;
        }
        let limit = row.get("max-limit").split('/').nth(if table == TREE { 0 } else { shaper.half.index() })?;
        parse_rate(limit).map(Bitrate::from_bps)
    }

    /// Grows with every change of a queue: while it stays, no shaper rate has changed.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Counts traffic that went through a shaper: what passed since the last call, and what
    /// waits now.
    pub fn count(&mut self, shaper: &ShaperRef, traffic: &Traffic) {
        if let Some((table, row)) = self.objects.find_queue(&shaper.queue) {
            let half = if table == TREE { 0 } else { shaper.half.index() };
            self.count_at(table, row, half, traffic);
        }
    }

    /// Counts traffic that went through an interface: received, and sent.
    pub fn count_interface(&mut self, interface: &str, received: &Traffic, sent: &Traffic) {
        if let Some(row) = self.objects.find(INTERFACE, interface) {
            self.count_at(INTERFACE, row, 0, received);
            self.count_at(INTERFACE, row, 1, sent);
        }
    }

    fn count_at(&mut self, table: usize, row: usize, half: usize, traffic: &Traffic) {
        let row = &mut self.objects.tables[table].rows[row];
        row.counted[half].add(traffic);
        if self.setup.counter_period.is_none() {
            row.visible[half] = row.counted[half];
        }
    }

    /// The changes made over REST, oldest first (the last 65,536).
    pub fn writes(&self) -> impl DoubleEndedIterator<Item = &Write> + ExactSizeIterator {
        self.writes.iter()
    }

    /// How many changes have been made over REST since the beginning.
    #[must_use]
    pub const fn writes_total(&self) -> u64 {
        self.writes_total
    }

    /// How many requests have been served, well or badly, since the beginning.
    #[must_use]
    pub const fn requests_total(&self) -> u64 {
        self.requests_total
    }

    /// `write-sect-since-reboot`.
    #[must_use]
    pub const fn sectors_written(&self) -> u64 {
        self.sectors
    }

    /// Time since the last boot.
    #[must_use]
    pub fn uptime(&self, now: Instant) -> Duration {
        match self.booted {
            Some(at) => now.since(at),
            None => self.setup.uptime + now.since(Instant::ZERO),
        }
    }

    /// How many clients are connected.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.sessions.len()
    }

    fn wall(&self, now: Instant) -> WallClock {
        WallClock(self.setup.wall.0.saturating_add(now.as_nanos()))
    }

    /// Takes one strike off the fault that is next in line.
    fn next_fault(&mut self) -> Option<Fault> {
        let front = self.faults.front_mut()?;
        let struck = *front;
        let left = match front {
            Fault::DropResponse { times }
            | Fault::Garbage { times }
            | Fault::Truncate { times }
            | Fault::Status { times, .. } => {
                *times = times.saturating_sub(1);
                *times
            }
            _ => 0,
        };
        if left == 0 {
            self.faults.pop_front();
        }
        Some(struck)
    }
}

/// Wrong credentials: no JSON.
fn unauthorized() -> Response {
    Response::html(401, "")
}

/// The same request for another menu.
fn other_menu(request: &Request) -> Request {
    let queues = request.path.get(1).is_some_and(|p| p == "queue");
    let path: &[&str] = if queues { &["rest", "interface"] } else { &["rest", "system", "identity"] };
    let path = path.iter().map(|&p| p.to_owned()).collect();
    Request { method: "GET".to_owned(), path, query: Vec::new(), body: Vec::new(), ..request.clone() }
}

/// A duration as RouterOS writes it: `7w6d9h34m50s`.
fn uptime_text(uptime: Duration) -> String {
    let seconds = uptime.as_secs();
    let parts = [
        (seconds / 604_800, 'w'),
        (seconds / 86_400 % 7, 'd'),
        (seconds / 3_600 % 24, 'h'),
        (seconds / 60 % 60, 'm'),
        (seconds % 60, 's'),
    ];
    let text: String = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
#[path = "router_tests.rs"]
mod tests;
