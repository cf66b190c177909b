//! How much of its rate a direction uses, and where what it does not get waits: read from the
//! router's counters.

use crate::types::{Bitrate, Direction, Duration, Instant, LinkStats};

/// A direction counts as loaded from this part of its rate on, and as greedy (it would take more)
/// from the second.
const LOADED: f64 = 0.5;
const GREEDY: f64 = 0.8;

/// …and so it does for so long afterwards: a line that fails carries less of what is wanted.
const LATELY: Duration = Duration::from_secs(1);

/// Below this part it is idle.
const IDLE: f64 = 0.2;

/// A direction that uses less than this part of its rate is never to blame.
const USED_AT_ALL: f64 = 0.1;

/// Counters of a longer time tell of the past (of a loaded line they are read every half second).
const FRESH: Duration = Duration::from_millis(800);

/// From this part on it is used to the full.
const USED: f64 = 0.9;

/// Less than this part of the rate is not all that we let through (counters and shaper differ in
/// what they count as a packet's size).
const PASSED: f64 = 0.85;

/// From this part on a rate is proven: with less the line may be the limit.
const PROOF: f64 = 0.93;

/// …or from this part on, where our own queue was seen standing: packets don't come faster than the line carries them.
/// Senders far away never use more.
const PROOF_QUEUED: f64 = 0.8;

/// From this part on nobody holds back anything: a larger step may follow.
const FULL: f64 = 0.985;

/// A stretch that began so little before an event tells of what came after it.
const COUNTED_EARLY: Duration = Duration::from_millis(60);

/// Our own queue is not empty from so much time or two full packets on, whichever is less, but never
/// with a single packet.
const BACKLOG_S: f64 = 0.002;
const BACKLOG_MOST: f64 = 3_000.0;
const BACKLOG_LEAST: f64 = 1_600.0;

/// Bits of a full packet on the wire.
pub(super) const PACKET_BITS: f64 = 1_514.0 * 8.0;

/// Readings closer together tell nothing of a rate (seconds).
const LEAST_S: f64 = 0.02;

/// Counters, as last read.
#[derive(Clone, Copy, Debug)]
struct Counters {
    /// The stretch in which `achieved` was counted.
    from: Instant,
    at: Instant,
    /// bit/s.
    achieved: Option<f64>,
    /// What came to our own queue meanwhile, at least: what passed, what is waiting now and was not before, and what was
    /// dropped.
    inflow: Option<f64>,
    queued: f64,
}

/// One direction's rate, and what is known of its use. Rates in bit/s.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    pub(super) rate: f64,
    /// The counters are behind the line's queue (download): they show what the line has carried.
    behind: bool,
    counters: Option<Counters>,
    /// When it was last used as much as counts as loaded.
    loaded_at: Option<Instant>,
    /// When packets were last seen waiting in our own queue.
    queued_at: Option<Instant>,
}

impl Usage {
    pub(super) fn new(rate: Bitrate, direction: Direction) -> Self {
        let behind = direction == Direction::Download;
        Self { rate: rate.as_f64(), behind, counters: None, loaded_at: None, queued_at: None }
    }

    pub(super) fn forget(&mut self) {
        self.counters = None;
    }

    pub(super) fn read(&mut self, stats: &LinkStats, direction: Direction) {
        let i = direction.index();
        let queued = f64::from(u32::try_from(stats.queued_bytes[i]).unwrap_or(u32::MAX));
        let achieved = stats.achieved[i].map(Bitrate::as_f64);
        if achieved.is_some_and(|achieved| achieved >= LOADED * self.rate) {
            self.loaded_at = Some(stats.at);
        }
        if queued >= self.backlog() {
            self.queued_at = Some(stats.at);
        }
        let inflow = self.counters.zip(achieved).map(|(before, achieved)| {
            let dropped = f64::from(u32::try_from(stats.dropped[i]).unwrap_or(u32::MAX)) * PACKET_BITS;
            let more = (queued - before.queued) * 8.0 + dropped;
            achieved + more / stats.at.since(before.at).as_secs_f64().max(LEAST_S)
        });
        self.counters = Some(Counters { from: stats.since[i], at: stats.at, achieved, inflow, queued });
    }

    /// Part of the rate that is used; `None` when nobody knows.
    pub(super) fn load(&self) -> Option<f64> {
        Some(self.counters?.achieved? / self.rate)
    }

    /// Without counters every direction is suspected.
    pub(super) fn is_loaded(&self) -> bool {
        let lately = |at| self.counters.is_some_and(|c| c.at.since(at) <= LATELY);
        self.load().is_none_or(|load| load >= LOADED) || self.is_backlogged() || self.loaded_at.is_some_and(lately)
    }

    /// No queue of this direction stands in the line: nobody fills it or has filled it lately, because a line that fails
    /// looks idle; or our own queue does the waiting.
    pub(super) fn is_clear(&self) -> bool {
        self.counters.is_some() && !self.is_loaded() || self.is_backlogged()
    }

    /// Below that it is never to blame.
    pub(super) fn is_used_at_all(&self) -> bool {
        self.load().is_some_and(|load| load >= USED_AT_ALL)
    }

    /// Next to nothing is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.is_idle_at(self.rate)
    }

    /// It would be next to nothing at this rate (bit/s).
    pub(super) fn is_idle_at(&self, rate: f64) -> bool {
        let achieved = self.counters.and_then(|c| c.achieved);
        achieved.is_some_and(|achieved| achieved / rate < IDLE) && !self.is_backlogged()
    }

    pub(super) fn is_greedy(&self) -> bool {
        self.load().is_none_or(|load| load >= GREEDY) || self.is_backlogged()
    }

    /// The rate is used to the full, as counters say.
    pub(super) fn is_used(&self, since: Instant) -> bool {
        self.counters.is_some() && self.is_proof(since)
    }

    /// Bytes from which on our own queue is not empty.
    pub(super) fn backlog(&self) -> f64 {
        (BACKLOG_S * self.rate / 8.0).clamp(BACKLOG_LEAST, BACKLOG_MOST)
    }

    /// Packets wait in our own queue: the shaper is the bottleneck.
    pub(super) fn is_backlogged(&self) -> bool {
        self.counters.is_some_and(|c| c.queued >= self.backlog())
    }

    /// The line carries all we let through: what it delivers waits in our own queue. Shown by
    /// counters read after `since`, and only where they are behind the line's queue.
    pub(super) fn passes_all(&self, since: Instant) -> bool {
        let read = self.counters.is_some_and(|c| c.at > since);
        let comes = self.counters.and_then(|c| c.inflow).is_some_and(|inflow| inflow >= PASSED * self.rate);
        self.behind && read && self.is_backlogged() && comes
    }

    /// What the line delivered (bits) in the stretch that was read last, and its length (seconds), if it began after `since`;
    /// as much as it carries while a queue stands in it.
    pub(super) fn delivered_since(&self, since: Instant) -> Option<[f64; 2]> {
        let counters = self.counters.filter(|c| self.behind && c.from >= since)?;
        let time = counters.at.since(counters.from).as_secs_f64();
        counters.inflow.map(|inflow| [inflow * time, time])
    }

    /// When counters were last read.
    pub(super) fn read_at(&self) -> Instant {
        self.counters.map_or(Instant::ZERO, |c| c.at)
    }

    /// What was counted last was counted after `since`, give or take a cycle.
    pub(super) fn is_counted_since(&self, since: Instant) -> bool {
        self.counters.is_some_and(|c| c.achieved.is_some() && c.from + COUNTED_EARLY >= since)
    }

    /// The line's queue is fed by our own shaper, and by nothing else: an upload.
    pub(super) const fn feeds_the_line(&self) -> bool {
        !self.behind
    }

    /// Counters that would tell whether the line is at its limit are being read.
    pub(super) const fn is_watched(&self) -> bool {
        self.behind && self.counters.is_some()
    }

    /// When and at which rate traffic passed, if it was not our own shaper that held it back: then
    /// it was the line.
    pub(super) fn limited_below(&self) -> Option<(Instant, f64)> {
        let counters = self.counters.filter(|c| c.queued < self.backlog())?;
        counters.achieved.filter(|achieved| *achieved < USED * self.rate).map(|achieved| (counters.at, achieved))
    }

    /// What arrives at the line's queue.
    pub(super) fn arrival(&self) -> f64 {
        match self.counters.and_then(|c| c.achieved) {
            Some(achieved) if !self.is_greedy() => achieved.clamp(LOADED * self.rate, self.rate),
            _ => self.rate,
        }
    }

    /// Whether counters are read at all, and if so, whether after `since`.
    pub(super) fn was_read_after(&self, since: Instant) -> Option<bool> {
        self.counters.map(|c| c.at > since)
    }

    /// Counters are of now: what they say is not what was a second ago.
    pub(super) fn is_fresh(&self) -> bool {
        self.counters.is_none_or(|c| c.at.since(c.from) < FRESH)
    }

    /// All of it is used, or packets have waited in our own queue since then.
    pub(super) fn is_full(&self, since: Instant) -> bool {
        self.load().is_none_or(|load| load >= FULL) || self.has_queued_since(since)
    }

    fn has_queued_since(&self, since: Instant) -> bool {
        self.queued_at.is_some_and(|at| at > since)
    }

    /// As much of the rate is used, or has made our own queue since then, that it is proven if nothing waits in the line.
    pub(super) fn is_proof(&self, since: Instant) -> bool {
        self.load().is_none_or(|load| load >= PROOF || load >= PROOF_QUEUED && self.has_queued_since(since))
    }
}
