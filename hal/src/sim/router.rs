//! The RouterOS double: bytes in, bytes out, time as an argument.
//!
//! It serves the requests of one user and source one after the other, whatever connection they
//! come from, and carries a request out at the moment its response is ready: that is when a new
//! limit takes effect. *Not* here: what a request does (see `serve`), TLS and sockets
//! (`tls_server`), and the traffic, which the line model counts in with [`RouterDouble::count`].

use super::commands;
use super::fault::{Cut, Fault};
use super::http::{Inbox, Request};
use super::objects::{Objects, Traffic, parse_rate};
use super::rng::Rng;
use super::schema::{INTERFACE, SERVICE, SIMPLE, TREE};
use super::setup::{QueueMenu, RouterSetup, ShaperRef};
use crate::units::{Bitrate, Duration, Instant, nanos};
use core::net::{IpAddr, Ipv4Addr};
use std::collections::{BTreeMap, VecDeque};

/// How many writes are remembered, unless said otherwise.
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
    source: Option<IpAddr>,
    inbox: Inbox,
    /// What is there to be taken.
    pub(super) output: VecDeque<Output>,
    /// What is still on its way.
    pub(super) later: VecDeque<(Instant, Output)>,
    /// Requests that have no answer yet.
    pub(super) waiting: u32,
    /// Nothing more will come out.
    pub(super) ended: bool,
    /// When it is closed if nothing moves until then.
    closes_at: Option<Instant>,
}

impl Session {
    fn is_idle(&self) -> bool {
        !self.ended && self.waiting == 0 && self.later.is_empty()
    }

    /// Ends it, behind what can still be taken.
    pub(super) fn end(&mut self, how: Output) {
        self.later.clear();
        self.output.push_back(how);
        self.ended = true;
    }

    /// Makes what has arrived by now ready to be taken.
    fn move_on(&mut self, now: Instant) -> bool {
        let mut moved = false;
        while !self.ended && self.later.front().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, output)) = self.later.pop_front() {
                self.ended = !matches!(output, Output::Bytes(_));
                self.output.push_back(output);
                moved = true;
            }
        }
        moved
    }
}

#[derive(Debug)]
pub(super) struct Pending {
    pub(super) session: SessionId,
    pub(super) due: Instant,
    pub(super) request: Result<Request, u16>,
}

/// Who shares a session of the web server: credentials and source address.
type Lane = (String, Option<IpAddr>);

/// A simulated RouterOS.
#[derive(Debug)]
pub struct RouterDouble {
    pub(super) setup: RouterSetup,
    pub(super) objects: Objects,
    pub(super) rng: Rng,
    pub(super) sessions: BTreeMap<SessionId, Session>,
    pub(super) next_session: u64,
    pub(super) pending: VecDeque<Pending>,
    /// Of everybody who is being served: when the last request taken in will be done.
    pub(super) lanes: BTreeMap<Lane, Instant>,
    /// The whole web server does nothing until then.
    pub(super) stalled_until: Instant,
    /// Somebody gave up a request, and until then the web server is not itself.
    pub(super) damaged_until: Instant,
    pub(super) refuse_until: Instant,
    pub(super) silent_until: Instant,
    pub(super) booted: Option<Instant>,
    pub(super) faults: VecDeque<Fault>,
    pub(super) writes: VecDeque<Write>,
    pub(super) writes_total: u64,
    pub(super) told: Vec<Vec<u8>>,
    pub(super) writes_kept: usize,
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
            objects,
            rng: Rng::new(setup.seed),
            sessions: BTreeMap::new(),
            next_session: 0,
            pending: VecDeque::new(),
            lanes: BTreeMap::new(),
            stalled_until: Instant::ZERO,
            damaged_until: Instant::ZERO,
            refuse_until: Instant::ZERO,
            silent_until: Instant::ZERO,
            booted: None,
            faults: VecDeque::new(),
            writes: VecDeque::new(),
            writes_total: 0,
            told: Vec::new(),
            writes_kept: WRITES_KEPT,
            requests_total: 0,
            sectors: 0,
            revision: 0,
            next_show: Instant::ZERO,
            setup,
        }
    }

    // ---- connections -------------------------------------------------------------------------

    /// A client connects, from an address like any other.
    ///
    /// # Errors
    /// [`Refusal`], while the router does not listen.
    pub fn connect(&mut self, now: Instant) -> Result<SessionId, Refusal> {
        self.connect_from(now, IpAddr::V4(Ipv4Addr::new(192, 168, 88, 10)))
    }

    /// A client connects.
    ///
    /// # Errors
    /// [`Refusal`], while the router does not listen, or has `max-sessions` clients already.
    pub fn connect_from(&mut self, now: Instant, source: IpAddr) -> Result<SessionId, Refusal> {
        if now < self.silent_until {
            return Err(Refusal::Silent(self.silent_until));
        }
        if now < self.refuse_until || self.sessions.values().filter(|s| !s.ended).count() >= self.max_sessions() {
            return Err(Refusal::Refused);
        }
        let id = SessionId(self.next_session);
        self.next_session += 1;
        self.sessions.insert(id, Session { source: Some(source), ..Session::default() });
        self.touch(id, now);
        self.cut_if(id, Cut::Accepted);
        Ok(id)
    }

    fn max_sessions(&self) -> usize {
        let row = self.objects.find(SERVICE, "www-ssl").map(|row| &self.objects.tables[SERVICE].rows[row]);
        row.and_then(|row| row.get("max-sessions").parse().ok()).unwrap_or(20)
    }

    /// Takes bytes from a client, in any fragments.
    pub fn input(&mut self, id: SessionId, now: Instant, bytes: &[u8]) {
        self.advance(now);
        let Some(session) = self.sessions.get_mut(&id).filter(|s| !s.ended) else { return };
        session.inbox.push(bytes);
        if self.cut_if(id, Cut::Asking) {
            return;
        }
        self.touch(id, now);
        while let Some(request) = self.sessions.get_mut(&id).and_then(|session| session.inbox.next()) {
            self.take_in(id, now, request);
        }
    }

    /// Queues a request behind those of the same user and source.
    fn take_in(&mut self, id: SessionId, now: Instant, request: Result<Request, u16>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.waiting += 1;
        let user = request.as_ref().ok().and_then(|r| r.authorization.clone()).unwrap_or_default();
        let work = request.as_ref().map_or(Duration::ZERO, commands::time);
        self.lanes.retain(|_, busy_until| *busy_until > now);
        let busy_until = self.lanes.entry((user, session.source)).or_insert(now);
        let start = (*busy_until).max(self.stalled_until).max(now);
        let due = start + self.setup.latency.draw(&mut self.rng) + work;
        *busy_until = due;
        let place = self.pending.partition_point(|p| p.due <= due);
        self.pending.insert(place, Pending { session: id, due, request });
    }

    /// Cuts a connection if that fault is next in line.
    fn cut_if(&mut self, id: SessionId, point: Cut) -> bool {
        let strikes = matches!(self.faults.front(), Some(Fault::Cut { at, .. }) if *at == point);
        if strikes {
            self.next_fault();
            if let Some(session) = self.sessions.get_mut(&id) {
                session.end(Output::Reset);
            }
        }
        strikes
    }

    /// Something moved on a connection.
    fn touch(&mut self, id: SessionId, now: Instant) {
        let Some(idle) = &self.setup.idle_close else { return };
        let time = self.rng.between(*idle.start(), *idle.end());
        if let Some(session) = self.sessions.get_mut(&id) {
            session.closes_at = Some(now + time);
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
        let request = self.pending.iter().find(|p| p.session == id).map(|p| p.due);
        session.later.front().map(|(at, _)| *at).or(request)
    }

    /// The client went away. What it asked for is carried out all the same, and if it did not
    /// wait for the answer, the web server takes it ill.
    pub fn disconnect(&mut self, id: SessionId, now: Instant) {
        let Some(session) = self.sessions.remove(&id) else { return };
        let unread = || session.output.iter().any(|output| matches!(output, Output::Bytes(_)));
        if self.setup.abort_damage && !session.ended && (!session.is_idle() || unread()) {
            let time = self.rng.between(Duration::from_millis(1_300), Duration::from_millis(2_400));
            self.damaged_until = self.damaged_until.max(now + time);
        }
    }

    /// How long the router's part of a TLS handshake takes.
    #[must_use]
    pub const fn handshake(&self) -> Duration {
        self.setup.handshake
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
        let moved: Vec<SessionId> =
            self.sessions.iter_mut().filter_map(|(id, session)| session.move_on(now).then_some(*id)).collect();
        for id in moved {
            self.touch(id, now);
        }
        self.close_idle(now);
    }

    /// When [`RouterDouble::advance`] has something to do next.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        let request = self.pending.front().map(|p| p.due);
        let show = self.setup.counter_period.filter(|p| !p.is_zero()).map(|_| self.next_show);
        let sessions = self.sessions.values().filter(|session| !session.ended);
        let bytes = sessions.clone().filter_map(|session| session.later.front().map(|(at, _)| *at)).min();
        let idle = sessions.filter(|session| session.is_idle()).filter_map(|session| session.closes_at).min();
        [request, show, bytes, idle].into_iter().flatten().min()
    }

    /// Closes connections on which nothing has happened for too long.
    fn close_idle(&mut self, now: Instant) {
        let due = |session: &Session| session.is_idle() && session.closes_at.is_some_and(|at| at <= now);
        for session in self.sessions.values_mut().filter(|session| due(session)) {
            session.end(Output::Close);
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

    /// Takes one strike off the fault that is next in line.
    pub(super) fn next_fault(&mut self) -> Option<Fault> {
        let front = self.faults.front_mut()?;
        let struck = *front;
        let left = front.times().map_or(0, |times| {
            *times = times.saturating_sub(1);
            *times
        });
        if left == 0 {
            self.faults.pop_front();
        }
        Some(struck)
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

    /// How many writes are remembered from now on; 65,536 unless this is called. A long run in little
    /// memory wants few.
    pub fn keep_writes(&mut self, most: usize) {
        self.writes_kept = most;
        self.writes.drain(..self.writes.len().saturating_sub(most));
    }

    /// The changes made over REST, oldest first (the last 65,536).
    pub fn writes(&self) -> impl DoubleEndedIterator<Item = &Write> + ExactSizeIterator {
        self.writes.iter()
    }

    /// The same, and forgets them.
    pub fn take_writes(&mut self) -> VecDeque<Write> {
        core::mem::take(&mut self.writes)
    }

    /// What was posted to `/webhook`: a real router has no such page, but this one can play who gets alerts.
    #[must_use]
    pub fn told(&self) -> &[Vec<u8>] {
        &self.told
    }

    /// How many changes have been made over REST since the beginning.
    #[must_use]
    pub const fn writes_total(&self) -> u64 {
        self.writes_total
    }

    /// How many requests have been served, well or badly, since the beginning. What is no HTTP is
    /// no request.
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
}

#[cfg(test)]
#[path = "router_tests.rs"]
pub(crate) mod tests;
