//! The world around the daemon: WANs, a router, files, and what is going to happen.

use super::fault::Fault;
use super::hook::Hooks;
use super::objects::Traffic;
use super::router::RouterDouble;
use super::store::Store;
use super::visitors::Visitors;
use super::wan::Wan;
use crate::board::{EchoEvent, EchoRequest, MAX_WANS, OpenError, SendError, Signal};
use crate::units::{Bitrate, Direction, Duration, Instant, WallClock};
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A world that several share: board, server, test.
pub type SharedWorld = Arc<Mutex<World>>;

/// Locks a world; a panic of another holder is its own matter.
pub fn lock(world: &SharedWorld) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Something that happens at a scheduled time. WANs are given by their position; one that does
/// not exist is ignored.
pub enum Action {
    /// Capacity of a line changes.
    Capacity(usize, Direction, Bitrate),
    /// So many long transfers run.
    Flows(usize, Direction, usize),
    /// A paced stream runs at this rate (zero: none).
    Stream(usize, Direction, Bitrate),
    /// A line is cut (false) or mended (true).
    Connected(usize, bool),
    /// Another route: the base round-trip time changes.
    BaseRtt(usize, Duration),
    /// A reflector answers nothing for this long.
    Silence(usize, IpAddr, Duration),
    /// Something comes in on the ICMP sockets.
    Echo(usize, EchoEvent),
    /// The router goes wrong.
    Router(Fault),
    /// The router reboots and is away for this long.
    Reboot(Duration),
    /// The operator sets a queue's `max-limit` by hand.
    SetLimit(String, String),
    /// The daemon gets a signal.
    Signal(Signal),
    /// The wall clock is set.
    Wall(WallClock),
    /// Anything else.
    Do(Box<dyn FnOnce(&mut World) + Send>),
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capacity(wan, direction, rate) => write!(f, "wan {wan}: {direction:?} {rate}"),
            Self::Flows(wan, direction, n) => write!(f, "wan {wan}: {direction:?} {n} transfers"),
            Self::Stream(wan, direction, rate) => write!(f, "wan {wan}: {direction:?} stream of {rate}"),
            Self::Connected(wan, on) => write!(f, "wan {wan}: connected {on}"),
            Self::BaseRtt(wan, rtt) => write!(f, "wan {wan}: base rtt {rtt:?}"),
            Self::Silence(wan, who, time) => write!(f, "wan {wan}: {who} silent for {time:?}"),
            Self::Echo(wan, event) => write!(f, "wan {wan}: {event:?}"),
            Self::Router(fault) => write!(f, "router: {fault:?}"),
            Self::Reboot(time) => write!(f, "router: reboot, away for {time:?}"),
            Self::SetLimit(queue, limit) => write!(f, "operator: {queue} max-limit={limit}"),
            Self::Signal(signal) => write!(f, "signal {signal:?}"),
            Self::Wall(wall) => write!(f, "wall clock {wall:?}"),
            Self::Do(_) => f.write_str("something else"),
        }
    }
}

/// Everything outside the daemon.
#[derive(Debug)]
pub struct World {
    /// The WANs, in the order of the configuration.
    pub wans: Vec<Wan>,
    /// The router.
    pub router: RouterDouble,
    /// The daemon's files.
    pub store: Store,
    /// Clients of the local endpoint.
    pub visitors: Visitors,
    /// Whoever gets alerts.
    pub hooks: Hooks,
    /// Seed of [`crate::Board::entropy`].
    pub seed: u64,
    /// The longest piece [`crate::Board::link_read`] gives and `link_write` takes at once.
    pub link_chunk: usize,
    now: Instant,
    wall_at_zero: u64,
    schedule: VecDeque<(Instant, Action)>,
    signals: VecDeque<Signal>,
    seen_revision: Option<u64>,
}

impl World {
    /// A world at [`Instant::ZERO`].
    #[must_use]
    pub fn new(router: RouterDouble, wans: Vec<Wan>) -> Self {
        Self {
            wans,
            router,
            store: Store::default(),
            visitors: Visitors::default(),
            hooks: Hooks::default(),
            seed: 1,
            link_chunk: usize::MAX,
            now: Instant::ZERO,
            // 2026-11-23 00:00:00 UTC.
            wall_at_zero: 1_795_392_000_000_000_000,
            schedule: VecDeque::new(),
            signals: VecDeque::with_capacity(16),
            seen_revision: None,
        }
    }

    /// The same, to be shared.
    #[must_use]
    pub fn share(self) -> SharedWorld {
        Arc::new(Mutex::new(self))
    }

    /// Lets something happen at `at` (or at once, if that is past). Things of the same moment
    /// happen in the order in which they were scheduled.
    pub fn at(&mut self, at: Instant, action: Action) {
        let place = self.schedule.partition_point(|(t, _)| *t <= at);
        self.schedule.insert(place, (at, action));
    }

    /// The present.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// The wall clock of the present.
    #[must_use]
    pub const fn wall(&self) -> WallClock {
        WallClock(self.wall_at_zero.saturating_add(self.now.as_nanos()))
    }

    /// Sets the wall clock.
    pub fn set_wall(&mut self, wall: WallClock) {
        self.wall_at_zero = wall.0.saturating_sub(self.now.as_nanos());
    }

    /// Takes a signal that has arrived.
    pub fn take_signal(&mut self) -> Option<Signal> {
        self.signals.pop_front()
    }

    /// Whether a signal has arrived.
    #[must_use]
    pub fn has_signal(&self) -> bool {
        !self.signals.is_empty()
    }

    /// When the world has to be looked at next, by what is known now.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        let wans = self.wans.iter().filter_map(|wan| wan.next_due(false));
        let others = [self.router.next_due(), self.schedule.front().map(|(at, _)| *at)];
        wans.chain(others.into_iter().flatten()).min()
    }

    /// Lets the world run up to `to`.
    pub fn advance(&mut self, to: Instant) {
        while self.now < to {
            self.step(to);
        }
        self.settle();
    }

    /// Lets the world run up to `to`, or until something that a board reports has happened.
    pub(crate) fn advance_to_event(&mut self, to: Instant, mut happened: impl FnMut(&Self) -> bool) {
        while self.now < to {
            self.step(to);
            if happened(self) {
                return;
            }
        }
    }

    /// One leap: to the next moment at which anything may influence anything else.
    fn step(&mut self, to: Instant) {
        let mut next = to;
        let wans = self.wans.iter().filter_map(|wan| wan.next_due(true));
        let others = [self.router.next_due(), self.schedule.front().map(|(at, _)| *at)];
        for due in wans.chain(others.into_iter().flatten()) {
            next = if due < next { due } else { next };
        }
        self.now = if next > self.now { next } else { self.now };
        self.follow_router();
        for wan in &mut self.wans {
            wan.advance(self.now);
        }
        self.settle();
    }

    /// Brings router and schedule to the present.
    fn settle(&mut self) {
        if self.router.next_due().is_some_and(|due| due <= self.now) {
            self.count();
            self.router.advance(self.now);
        }
        while self.schedule.front().is_some_and(|(at, _)| *at <= self.now) {
            if let Some((_, action)) = self.schedule.pop_front() {
                self.carry_out(action);
            }
        }
        self.follow_router();
    }

    /// Takes over the rates of the router's shapers, if any may have changed.
    fn follow_router(&mut self) {
        if self.seen_revision == Some(self.router.revision()) {
            return;
        }
        self.seen_revision = Some(self.router.revision());
        for wan in &mut self.wans {
            for direction in Direction::BOTH {
                let rate = self.router.shaper_rate(&wan.shapers[direction.index()]);
                wan.line.set_shaper(direction, rate.unwrap_or_default());
            }
        }
    }

    /// Brings the router's counters to the present.
    pub fn count(&mut self) {
        for wan in &mut self.wans {
            let [down, up] = Direction::BOTH.map(|direction| wan.line.take_traffic(direction));
            self.router.count(&wan.shapers[0], &down);
            self.router.count(&wan.shapers[1], &up);
            if !wan.interface.is_empty() {
                let total = |t: Traffic| Traffic { queued_bytes: 0, queued_packets: 0, ..t };
                self.router.count_interface(&wan.interface, &total(down), &total(up));
            }
        }
    }

    fn carry_out(&mut self, action: Action) {
        let now = self.now;
        let wans = &mut self.wans;
        match action {
            Action::Capacity(wan, direction, rate) => on(wans, wan, |w| w.line.set_capacity(direction, rate)),
            Action::Flows(wan, direction, n) => on(wans, wan, |w| w.line.set_flows(direction, n)),
            Action::Stream(wan, direction, rate) => on(wans, wan, |w| w.line.set_stream(direction, rate)),
            Action::Connected(wan, connected) => on(wans, wan, |w| w.line.set_connected(connected)),
            Action::BaseRtt(wan, rtt) => on(wans, wan, |w| w.line.set_base_rtt(rtt)),
            Action::Silence(wan, who, time) => on(wans, wan, |w| {
                if let Some(reflector) = w.reflector(who) {
                    reflector.silent = Some((now, now + time));
                }
            }),
            Action::Echo(wan, event) => on(wans, wan, |w| w.inject(event)),
            Action::Router(fault) => self.router.inject(now, fault),
            Action::Reboot(time) => self.router.reboot(now, time),
            Action::SetLimit(queue, limit) => {
                self.router.set_limit(&queue, &limit);
            }
            Action::Signal(signal) => self.signals.push_back(signal),
            Action::Wall(wall) => self.set_wall(wall),
            Action::Do(what) => what(self),
        }
    }

    /// Opens the probe socket of a WAN.
    ///
    /// # Errors
    /// When there is no such WAN, or as [`Wan::open`].
    pub fn open_wan(&mut self, wan: usize) -> Result<(), OpenError> {
        const ENODEV: i32 = 19;
        self.wans.get_mut(wan).ok_or(OpenError::Os(ENODEV))?.open()
    }

    /// Closes it.
    pub fn close_wan(&mut self, wan: usize) {
        on(&mut self.wans, wan, Wan::close);
    }

    /// Sends an echo request through a WAN.
    ///
    /// # Errors
    /// As [`Wan::send_echo`].
    pub fn send_echo(&mut self, wan: usize, request: &EchoRequest) -> Result<Instant, SendError> {
        let now = self.now;
        self.wans.get_mut(wan).ok_or(SendError::NoSocket)?.send_echo(now, request)
    }

    /// Sends a probe over so many hops through a WAN.
    ///
    /// # Errors
    /// As [`Wan::send_trace`].
    pub fn send_trace(&mut self, wan: usize, request: &EchoRequest, hops: u8) -> Result<Instant, SendError> {
        let now = self.now;
        self.wans.get_mut(wan).ok_or(SendError::NoSocket)?.send_trace(now, request, hops)
    }

    /// Starts a TCP probe through a WAN.
    ///
    /// # Errors
    /// As [`Wan::tcp_probe`].
    pub fn tcp_probe(&mut self, wan: usize, slot: u8, to: SocketAddr) -> Result<(), SendError> {
        let now = self.now;
        self.wans.get_mut(wan).ok_or(SendError::NoSocket)?.tcp_probe(now, slot, to)
    }

    /// Bit *i*: replies wait on WAN *i*; and whether any TCP probe has ended.
    #[must_use]
    pub fn probes_ready(&self) -> (u8, bool) {
        let mut ready = (0, false);
        for (i, wan) in self.wans.iter().enumerate().take(MAX_WANS) {
            let (echo, tcp) = wan.ready();
            ready.0 |= u8::from(echo) << i;
            ready.1 |= tcp;
        }
        ready
    }
}

fn on(wans: &mut [Wan], wan: usize, change: impl FnOnce(&mut Wan)) {
    if let Some(wan) = wans.get_mut(wan) {
        change(wan);
    }
}
