//! One internet line as a fluid, in steps of a millisecond.
//!
//! Upload: senders at home → the router's shaper → the provider's FIFO. Download: senders out
//! there → the provider's FIFO → the router's shaper. So a cut of the upload reaches the FIFO at
//! once, while a cut of the download reaches it only through the senders: CAKE drops, they
//! notice one round trip later. Probes jump the shaper's queue (CAKE serves sparse flows first)
//! and wait in the FIFO like everybody else.
//!
//! *Not* modelled: single packets, the traffic of acknowledgements and of the probes themselves,
//! what the medium's jitter does to transfers. `docs/simulator.md` says how far that is from
//! reality.

#![allow(clippy::cast_precision_loss, reason = "counts of steps and bytes stay far below 2^53")]

use super::fifo::{Bytes, Fifo, SLOTS};
use super::flow::{Flow, MTU, STEP_S};
use super::medium::Medium;
use super::objects::Traffic;
use super::pages::Pages;
use super::rng::Rng;
use super::shaper::Shaper;
use crate::units::{Bitrate, Direction, Duration, Instant, nanos};
use std::collections::VecDeque;

/// Nanoseconds of a step.
const STEP_NS: u64 = 1_000_000;

/// One direction of a line.
#[derive(Clone, Debug)]
pub struct LegSetup {
    /// Capacity at the beginning.
    pub capacity: Bitrate,
    /// Size of the provider's FIFO in bytes.
    pub fifo_bytes: u64,
    /// What does not fit into it is dropped at its head, not at its end.
    pub drop_front: bool,
    /// Capacity from these moments on (ascending).
    pub trace: Vec<(Instant, Bitrate)>,
}

impl LegSetup {
    /// Constant capacity, with a FIFO that holds `depth` of it.
    #[must_use]
    pub fn new(capacity: Bitrate, depth: Duration) -> Self {
        let bytes = Bitrate::from_f64(capacity.as_f64() / 8.0 * depth.as_secs_f64()).bps();
        Self { capacity, fifo_bytes: bytes, drop_front: false, trace: Vec::new() }
    }
}

/// A line.
#[derive(Clone, Debug)]
pub struct LineSetup {
    /// Round-trip time without any queue.
    pub base_rtt: Duration,
    /// Mean jitter of a probe.
    pub jitter: Duration,
    /// What the jitter is like.
    pub medium: Medium,
    /// Part of the packets lost at random, in each direction.
    pub loss: f64,
    /// What the router's token bucket holds, as a time (`bucket-size`).
    pub bucket: Duration,
    /// What CAKE is told to be the round-trip time (`cake-rtt`).
    pub cake_rtt: Duration,
    /// Download, upload.
    pub legs: [LegSetup; 2],
    /// Probes are lost at a full FIFO with the probability of any other packet.
    pub full_drops_probes: bool,
    /// For everything drawn by chance.
    pub seed: u64,
}

impl LineSetup {
    /// A line of 20 ms with FIFOs of a second.
    #[must_use]
    pub fn new(download: Bitrate, upload: Bitrate) -> Self {
        let second = Duration::from_secs(1);
        Self {
            base_rtt: Duration::from_millis(20),
            jitter: Duration::from_micros(300),
            medium: Medium::Plain,
            loss: 0.0,
            bucket: Duration::ZERO,
            cake_rtt: Duration::from_millis(100),
            legs: [LegSetup::new(download, second), LegSetup::new(upload, second)],
            full_drops_probes: false,
            seed: 1,
        }
    }
}

/// What happens to a packet that enters a FIFO.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Entry {
    /// Nothing is ahead of it.
    Passes,
    /// It waits until so many bytes have left.
    Waits(f64),
    /// It is dropped.
    Dropped,
}

/// What a direction did since the beginning, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Carried by the line.
    pub carried: f64,
    /// What the line could have carried.
    pub possible: f64,
    /// Dropped by the FIFO.
    pub overflowed: f64,
    /// Left the last queue of the direction: what the receiver gets.
    pub delivered: f64,
}

#[derive(Clone, Debug)]
struct Leg {
    fifo: Fifo,
    shaper: Shaper,
    flows: Vec<Flow>,
    /// Slots in use: the paced stream, and the flows up to the last active one.
    used: usize,
    udp: f64,
    pages: Pages,
    trace: VecDeque<(Instant, Bitrate)>,
    /// Bytes dropped that do not yet make a packet.
    debt: f64,
    possible: f64,
    overflowed: f64,
    /// `passed`, `dropped` of the shaper as last reported.
    reported: [u64; 2],
}

impl Leg {
    fn new(setup: &LegSetup, line: &LineSetup) -> Self {
        let mut fifo = Fifo::new(setup.capacity.as_f64() / 8.0, setup.fifo_bytes as f64);
        fifo.drop_front = setup.drop_front;
        let mut shaper = Shaper::new();
        shaper.bucket_s = line.bucket.as_secs_f64();
        shaper.interval = line.cake_rtt.as_secs_f64() / STEP_S;
        Self {
            fifo,
            shaper,
            flows: (1..SLOTS).map(|_| Flow::new()).collect(),
            used: 1,
            udp: 0.0,
            pages: Pages::default(),
            trace: setup.trace.iter().copied().collect(),
            debt: 0.0,
            possible: 0.0,
            overflowed: 0.0,
            reported: [0; 2],
        }
    }

    fn is_quiet(&self) -> bool {
        self.udp <= 0.0
            && self.fifo.backlog() <= 0.0
            && self.shaper.backlog() <= 0.0
            && self.flows[..self.used - 1].iter().all(Flow::is_quiet)
    }

    fn follow_trace(&mut self, now: Instant) {
        while let Some(&(_, rate)) = self.trace.front().filter(|(at, _)| *at <= now) {
            self.fifo.rate = rate.as_f64() / 8.0;
            self.trace.pop_front();
        }
    }

    fn step(&mut self, now: u64, direction: Direction, back: f64, way: Way, rng: &mut Rng) {
        let used = self.used;
        let (mut sent, mut between, mut out): (Bytes, Bytes, Bytes) = ([0.0; SLOTS], [0.0; SLOTS], [0.0; SLOTS]);
        let (mut aqm, mut full): (Bytes, Bytes) = ([0.0; SLOTS], [0.0; SLOTS]);
        let delay = self.fifo.delay_steps() + self.shaper.delay_steps();
        sent[0] = self.udp * STEP_S;
        for (flow, sent) in self.flows[..used - 1].iter_mut().zip(&mut sent[1..used]) {
            *sent = flow.step(now, delay);
        }
        let time = now as f64;
        match direction {
            Direction::Upload => {
                self.shaper.step(time, &sent, used, &mut between, &mut aqm);
                self.fifo.step(&between, used, &mut out, &mut full);
            }
            Direction::Download => {
                self.fifo.step(&sent, used, &mut between, &mut full);
                self.shaper.step(time, &between, used, &mut out, &mut aqm);
            }
        }
        self.possible += self.fifo.rate * STEP_S;
        let signalled = self.overflow(&full, rng);
        let behind_fifo = back + self.fifo.delay_steps();
        let behind_full = if self.fifo.drop_front { back } else { behind_fifo };
        // CAKE drops at the head of its queue: on upload what is in the FIFO still goes first.
        let behind_aqm = if direction == Direction::Upload { behind_fifo } else { back };
        for i in 1..used {
            let flow = &mut self.flows[i - 1];
            let lost = way.lost(out[i], rng);
            if out[i] > lost {
                flow.deliver(now, out[i] - lost, back);
            }
            if lost > 0.0 {
                flow.lose(now, lost, true, back);
            }
            if aqm[i] > 0.0 {
                flow.lose(now, aqm[i], true, behind_aqm);
            }
            if full[i] > 0.0 {
                flow.lose(now, full[i], signalled == Some(i), behind_full);
            }
        }
    }

    fn open_pages(&mut self, now: u64, base_rtt: Duration, rng: &mut Rng) {
        while let Some(bytes) = self.pages.due(now, rng) {
            if let Some(flow) = self.flows.iter_mut().find(|flow| flow.is_quiet()) {
                flow.start(nanos(base_rtt) / STEP_NS, bytes);
                self.note_busy();
            }
        }
    }

    fn note_busy(&mut self) {
        let busy = self.flows.iter().rposition(|f| f.is_active() || !f.is_quiet()).map_or(0, |i| i + 1);
        self.used = self.used.max(busy + 1);
    }

    /// Which source a packet dropped by the full FIFO belongs to: losses come in packets, so
    /// not everybody has one at the same time.
    fn overflow(&mut self, full: &Bytes, rng: &mut Rng) -> Option<usize> {
        let total: f64 = full[..self.used].iter().sum();
        if total <= 0.0 {
            return None;
        }
        self.overflowed += total;
        self.debt += total;
        if self.debt < MTU {
            return None;
        }
        self.debt -= MTU * libm::floor(self.debt / MTU);
        let mut point = rng.unit() * total;
        full[..self.used].iter().position(|bytes| {
            point -= bytes;
            point < 0.0
        })
    }
}

/// What happens to everything on its way.
#[derive(Clone, Copy, Debug)]
struct Way {
    connected: bool,
    loss: f64,
}

impl Way {
    /// How many of these bytes are lost: all, or now and then a packet.
    fn lost(self, bytes: f64, rng: &mut Rng) -> f64 {
        if !self.connected {
            bytes
        } else if rng.chance(self.loss * bytes / MTU) {
            bytes.min(MTU)
        } else {
            0.0
        }
    }
}

/// A simulated line.
#[derive(Clone, Debug)]
pub struct Line {
    base_rtt: Duration,
    jitter: Duration,
    medium: Medium,
    full_drops_probes: bool,
    way: Way,
    /// Probes are served before everybody else: the delay does not show in them.
    probes_first: bool,
    legs: [Leg; 2],
    /// Steps done, and how many of them did nothing, because everything stood still: transfers know nothing of those.
    steps: u64,
    halted: u64,
    rng: Rng,
}

impl Line {
    /// A line at [`Instant::ZERO`], idle, without shapers.
    #[must_use]
    pub fn new(setup: &LineSetup) -> Self {
        Self {
            base_rtt: setup.base_rtt,
            jitter: setup.jitter,
            medium: setup.medium,
            full_drops_probes: setup.full_drops_probes,
            way: Way { connected: true, loss: setup.loss },
            probes_first: false,
            legs: [Leg::new(&setup.legs[0], setup), Leg::new(&setup.legs[1], setup)],
            steps: 0,
            halted: 0,
            rng: Rng::new(setup.seed),
        }
    }

    /// Integrates all whole steps up to `to`.
    pub fn advance(&mut self, to: Instant) {
        let target = to.as_nanos() / STEP_NS;
        while self.steps < target {
            if self.legs.iter().all(Leg::is_quiet) && self.idle_until(target) {
                continue;
            }
            let begin = Instant::from_nanos(self.steps * STEP_NS);
            if self.medium.halted(begin, self.jitter) > Duration::ZERO {
                (self.steps, self.halted) = (self.steps + 1, self.halted + 1);
                continue;
            }
            let lived = self.steps - self.halted;
            let delays = [self.legs[0].fifo.delay_steps(), self.legs[1].fifo.delay_steps()];
            for direction in Direction::BOTH {
                let leg = &mut self.legs[direction.index()];
                leg.follow_trace(begin);
                leg.open_pages(lived, self.base_rtt, &mut self.rng);
                // Acknowledgements come back through the other FIFO (and jump the shaper).
                leg.step(lived, direction, delays[1 - direction.index()], self.way, &mut self.rng);
            }
            self.steps += 1;
        }
    }

    /// Jumps over time in which nothing happens.
    fn idle_until(&mut self, target: u64) -> bool {
        let change = self.legs.iter().filter_map(|leg| leg.trace.front()).map(|(at, _)| at.as_nanos() / STEP_NS).min();
        let page = self.legs.iter().map(|leg| leg.pages.next).min().unwrap_or(u64::MAX).saturating_add(self.halted);
        let end = change.unwrap_or(u64::MAX).min(page).min(target);
        if end <= self.steps + 1 {
            return false;
        }
        let time = (end - self.steps) as f64 * STEP_S;
        for leg in &mut self.legs {
            leg.possible += leg.fifo.rate * time;
            leg.shaper.fill(time);
            leg.shaper.throughput = if time < 1.0 { leg.shaper.throughput * (1.0 - time) } else { 0.0 };
        }
        self.steps = end;
        true
    }

    /// The end of the last step done.
    #[must_use]
    pub const fn now(&self) -> Instant {
        Instant::from_nanos(self.steps * STEP_NS)
    }

    // ---- what is set from outside ------------------------------------------------------------

    /// The router's shaper has this rate from now on; zero is unlimited.
    pub fn set_shaper(&mut self, direction: Direction, rate: Bitrate) {
        self.legs[direction.index()].shaper.rate = rate.as_f64() / 8.0;
    }

    /// The line has this capacity from now on (until the trace says otherwise).
    pub fn set_capacity(&mut self, direction: Direction, rate: Bitrate) {
        self.legs[direction.index()].fifo.rate = rate.as_f64() / 8.0;
    }

    /// So many long transfers run from now on (at most 16); those beyond stop.
    pub fn set_flows(&mut self, direction: Direction, count: usize) {
        let rtt = nanos(self.base_rtt) / STEP_NS;
        let leg = &mut self.legs[direction.index()];
        for (i, flow) in leg.flows.iter_mut().enumerate() {
            if i < count { flow.start(rtt, f64::INFINITY) } else { flow.stop() }
        }
        leg.note_busy();
    }

    /// So many short transfers begin per second from now on, at random, each of a random size around
    /// 250 kB, as many as there is room for (16 with the long ones); zero ends it.
    pub fn set_pages(&mut self, direction: Direction, per_second: f64) {
        self.legs[direction.index()].pages.begin(per_second, self.steps - self.halted, &mut self.rng);
    }

    /// A stream that never slows down, from now on at this rate; zero ends it.
    pub fn set_stream(&mut self, direction: Direction, rate: Bitrate) {
        self.legs[direction.index()].udp = rate.as_f64() / 8.0;
    }

    /// Takes the line off (everything sent is lost), or puts it on again.
    pub fn set_connected(&mut self, connected: bool) {
        self.way.connected = connected;
    }

    /// Probes are served before everybody else from now on, or wait like everybody else.
    pub fn set_probes_first(&mut self, first: bool) {
        self.probes_first = first;
    }

    /// Another route: round-trip time without queues. Transfers that run keep theirs.
    pub fn set_base_rtt(&mut self, base_rtt: Duration) {
        self.base_rtt = base_rtt;
    }

    /// Another part of the packets is lost at random.
    pub fn set_loss(&mut self, loss: f64) {
        self.way.loss = loss;
    }

    /// Another mean of the jitter.
    pub fn set_jitter(&mut self, jitter: Duration) {
        self.jitter = jitter;
    }

    // ---- what is seen from outside -----------------------------------------------------------

    /// Round-trip time without queues.
    #[must_use]
    pub const fn base_rtt(&self) -> Duration {
        self.base_rtt
    }

    /// Whether the line is on.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.way.connected
    }

    /// The capacity now.
    #[must_use]
    pub fn capacity(&self, direction: Direction) -> Bitrate {
        Bitrate::from_f64(self.legs[direction.index()].fifo.rate * 8.0)
    }

    /// The delay of the provider's FIFO now (at most a minute).
    #[must_use]
    pub fn fifo_delay(&self, direction: Direction) -> Duration {
        Duration::from_secs_f64(self.legs[direction.index()].fifo.delay_steps() * STEP_S)
    }

    /// The delay of the shaper's own queue now.
    #[must_use]
    pub fn shaper_delay(&self, direction: Direction) -> Duration {
        Duration::from_secs_f64(self.legs[direction.index()].shaper.delay_steps() * STEP_S)
    }

    /// What a direction did so far.
    #[must_use]
    pub fn totals(&self, direction: Direction) -> Totals {
        let leg = &self.legs[direction.index()];
        let (carried, delivered) = match direction {
            Direction::Download => (leg.fifo.carried(), leg.shaper.passed),
            Direction::Upload => (leg.fifo.carried(), leg.fifo.carried()),
        };
        Totals { carried, possible: leg.possible, overflowed: leg.overflowed, delivered }
    }

    /// What the shaper counted since the last call, and what waits in it now.
    pub fn take_traffic(&mut self, direction: Direction) -> Traffic {
        let leg = &mut self.legs[direction.index()];
        let shaper = &leg.shaper;
        let whole = |x: f64| Bitrate::from_f64(x).bps();
        let now = [whole(shaper.passed), whole(shaper.dropped)];
        let packets = |bytes: u64| bytes / 1_500;
        let traffic = Traffic {
            bytes: now[0] - leg.reported[0],
            packets: packets(now[0]) - packets(leg.reported[0]),
            dropped: now[1] - leg.reported[1],
            queued_bytes: whole(shaper.backlog()),
            queued_packets: whole(libm::ceil(shaper.backlog() / MTU)),
            rate_bps: whole(shaper.throughput * 8.0),
        };
        leg.reported = now;
        traffic
    }

    // ---- probes ------------------------------------------------------------------------------

    /// How long a sparse packet waits at a busy shaper: for the packet that is being sent.
    pub fn sparse_wait(&mut self, direction: Direction) -> Duration {
        let shaper = &self.legs[direction.index()].shaper;
        if shaper.rate <= 0.0 || shaper.backlog() <= 0.0 {
            return Duration::ZERO;
        }
        Duration::from_secs_f64((self.rng.unit() * MTU / shaper.rate).min(1.0))
    }

    /// A packet enters the FIFO at `at` (not before the last step).
    pub fn enter(&mut self, direction: Direction, at: Instant) -> Entry {
        let late = at.since(self.now()).as_secs_f64();
        let fifo = &self.legs[direction.index()].fifo;
        let (place, drop_share) = (fifo.place(late), fifo.drop_share);
        if !self.way.connected || self.rng.chance(self.way.loss) || self.medium.loses(at, &mut self.rng) {
            return Entry::Dropped;
        }
        if self.full_drops_probes && self.rng.chance(drop_share) {
            return Entry::Dropped;
        }
        let place = place.filter(|_| !self.probes_first);
        place.map_or(Entry::Passes, Entry::Waits)
    }

    /// When a packet at this place left the FIFO, if it did so in the last step or before.
    #[must_use]
    pub fn left(&self, direction: Direction, place: f64) -> Option<Instant> {
        let part = self.legs[direction.index()].fifo.passed(place)?;
        Some(self.now() - Duration::from_secs_f64((1.0 - part) * STEP_S))
    }

    /// How long a packet at this place will still wait at the present rate.
    #[must_use]
    pub fn remaining(&self, direction: Direction, place: f64) -> Duration {
        let fifo = &self.legs[direction.index()].fifo;
        let seconds = (place - fifo.departed) / fifo.rate;
        Duration::from_secs_f64(if seconds > 0.0 { seconds.min(60.0) } else { 0.0 })
    }

    /// What the medium makes a packet wait that leaves the queue of this direction at `at`.
    pub fn jitter(&mut self, direction: Direction, at: Instant) -> Duration {
        self.medium.wait(direction, at, self.jitter, &mut self.rng)
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
