//! Where a direction is on its way: the states of `leg`.

use super::View;
use crate::types::{Instant, State};

/// Where a direction is on its way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Phase {
    /// At a rate that is believed; probes next at the time given.
    Steady { probe_at: Option<Instant> },
    /// Tries a higher rate, from the rate given.
    Trying { from: f64, since: Instant, climbing: bool },
    /// Lets the queue drain: after a probe that failed, or after a cut.
    Draining(Drain),
}

/// A queue that drains.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Drain {
    /// A probe has made it, which had to be expected; otherwise the line has changed.
    pub(super) probe: bool,
    /// It began with a rate that was tried.
    pub(super) tried: bool,
    /// What the line is believed to carry.
    pub(super) capacity: f64,
    /// What the line has delivered while the queue stood, and in what time (bits, seconds).
    pub(super) delivered: [f64; 2],
    /// The most it has delivered (bit/s).
    pub(super) most: f64,
    /// There was traffic the other way: the queue may be there.
    pub(super) shared: bool,
    /// The last reading in it.
    pub(super) read: Instant,
    /// The rate before it began, and what was sent then.
    pub(super) before: f64,
    pub(super) fed: f64,
    /// What passed when it was cut, where the cut went down to just that: so far nothing was cut.
    pub(super) passed: Option<f64>,
    /// The least that passed at a cut where that was less than the rate: the line's limit, or all that was wanted.
    pub(super) carried: f64,
    /// When it began, when it was last corrected, and when it should be over.
    pub(super) begun: Instant,
    pub(super) since: Instant,
    pub(super) until: Instant,
    /// How often it was taken a little further because the queue fell, only slowly.
    pub(super) slow: u32,
    /// The highest delay since the last correction.
    pub(super) peak: f64,
    /// When it was as high as ever since then for the last time, and how high.
    pub(super) top: (Instant, f64),
    /// The delay that is expected at most since the last correction.
    pub(super) excess: f64,
}

/// Counters of a shorter time are too coarse (seconds).
const KNOWN_S: f64 = 0.25;

/// Nothing falls sooner than this, give or take a cycle (seconds).
const INSTANT_S: f64 = 0.05;

/// A direction that fills its line looks loaded up to this many times what the line carries.
pub(super) const PLENTY: f64 = 1.8;

impl Drain {
    /// Takes in what the line has delivered in a stretch (bits, seconds) while the queue stood.
    pub(super) fn count(&mut self, stretch: Option<[f64; 2]>) {
        let Some([bits, time]) = stretch else { return };
        self.delivered = [self.delivered[0] + bits, self.delivered[1] + time];
        self.most = self.most.max(bits / time);
    }

    /// Whether it was seen for long enough what the line delivers…
    pub(super) fn is_seen(&self) -> bool {
        self.delivered[1] >= KNOWN_S
    }

    /// …and that it could deliver no more.
    pub(super) fn is_known(&self) -> bool {
        !self.shared && self.is_seen()
    }

    /// What the line carries: what it has delivered while a queue stood in it, or what was believed.
    pub(super) fn capacity(&self) -> f64 {
        let [bits, time] = self.delivered;
        if self.is_known() {
            bits / time
        } else if self.most > 0.0 {
            self.capacity.min(self.most)
        } else {
            self.capacity
        }
    }

    /// Takes in what passed when it was less than the rate, before the cut itself could make it less.
    pub(super) fn carry(&mut self, view: &View, counted: Option<f64>) {
        if view.now.since(self.begun) < view.dead * 2 {
            self.carried = counted.unwrap_or(self.carried).min(self.carried);
        }
    }

    /// One cycle of it.
    pub(super) fn see(&mut self, view: &View) {
        self.peak = self.peak.max(view.bound);
        if view.bound >= self.top.1 {
            self.top = (view.now, view.bound);
        }
    }

    /// What an upload's line carries, at least, if the queue fell as it did while it was fed at this rate: *C = R·(1 − slope)*.
    pub(super) fn capacity_by_its_fall(&self, view: &View, rate: f64) -> f64 {
        let fallen = (self.top.1 - view.bound.max(0.0) - 0.5 * view.rise).max(0.0) / 1e3;
        let time = view.now.since(self.top.0).as_secs_f64();
        (rate * (1.0 + fallen / time.max(INSTANT_S))).min(self.before)
    }

    /// What it gets back if the cut was in vain: as before, but not so far above what passed that it never looks loaded.
    pub(super) fn given_back(&self) -> f64 {
        self.before.min(PLENTY * self.carried)
    }

    /// One that begins now; the rest is to be filled in.
    pub(super) fn new(view: &View) -> Self {
        let now = view.now;
        // It grows on until the cut is felt.
        let excess = view.bound + view.rise + view.slope * view.dead.as_secs_f64() * 1e3;
        let peak = view.bound;
        Self {
            probe: false,
            tried: false,
            capacity: 0.0,
            delivered: [0.0; 2],
            most: 0.0,
            shared: false,
            read: now,
            before: 0.0,
            fed: 0.0,
            passed: None,
            carried: f64::INFINITY,
            begun: now,
            since: now,
            until: now,
            slow: 0,
            peak,
            top: (now, peak),
            excess,
        }
    }
}

/// The state that a delay is told as.
pub(super) fn state_of(view: &View, cutting: bool, draining: bool) -> State {
    if cutting {
        State::Red
    } else if draining {
        State::SoftRed
    } else if view.excess > view.rise {
        State::Yellow
    } else {
        State::Green
    }
}
