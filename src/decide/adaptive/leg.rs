//! One direction: the capacity that is believed, and where it is on its way.

mod tries;

use super::phase::{Drain, Phase, state_of};
use super::relief::Relief;
use super::usage::{PACKET_BITS, Usage};
use super::vain::{Says, Vain};
use super::{AFRESH, FUTILE, View};
use crate::types::{
    Bitrate, Controlled, Direction, DirectionVerdict, Duration, Instant, LinkStats, RateRange, Reason, State,
};

/// Time in which a queue is drained (seconds): a rate of *C·(1 − q/T)* empties *q* in *T*.
const DRAIN_S: f64 = 0.3;

/// A drain never goes below this part of the capacity.
const DRAIN_LEAST: f64 = 0.5;

/// One cut takes at most this much: what is left of the rate.
const CUT_LEAST: f64 = 0.3;

/// A cut on probes that are still out, whose slope nobody knows.
const CUT_BLIND: f64 = 0.5;

/// First pause between probes, growth of the pause with each that fails, and the longest.
const PROBE_LEAST: Duration = Duration::from_millis(1500);
const PROBE_FIRST: Duration = Duration::from_secs(3);
const PROBE_GROWTH: f64 = 1.6;
const PROBE_LAST: Duration = Duration::from_secs(15);

/// After a drain the capacity is only an estimate, so the first probe comes soon.
const SETTLE: Duration = Duration::from_millis(500);

/// A rate that has changed by this part is another one: the line moves.
const MOVED: f64 = 0.15;

/// How often a queue that falls too slowly is helped by 5 %.
const SLOW: u32 = 4;

/// A little delay after a higher rate: so many times the time of a decision's effect it may go away again.
const DOUBT: u32 = 4;

/// A queue that is gone before the cut can act makes bursts of a transfer if it comes again so soon, or within
/// ten round trips.
const AGAIN: Duration = Duration::from_secs(3);

/// …but no more than to this part of the rate: what the slope said of the capacity was wrong.
const STAYS: f64 = 0.8;

/// Many senders take their time to slow down: so many times the time of a decision's effect.
const PATIENCE: u32 = 2;

/// A queue up to this many times what was to be expected is no surprise (and from [`AFRESH`] times on another one).
const AS_EXPECTED: f64 = 1.3;

/// A queue that has not fallen below this part of its peak in the time computed does not fall.
const FALLING: f64 = 0.75;

/// No queue falls to this part of its peak before a cut can act.
const COLLAPSED: f64 = 0.5;

/// A delay that grows on with this part of what passed grows elsewhere, unless the line has become slower still: seen twice.
const HALF: f64 = 0.5;

/// A delay is as high as ever from this part of its peak on.
const STILL: f64 = 0.9;

/// A cut that leaves more of the rate than this would take long to drain anything: it proves nothing.
const DEEP: f64 = 0.92;

/// The first cut of a steady rate leaves at most this: a smaller one drains nothing.
const SHALLOW: f64 = 0.94;

/// A rate has stood when it was used for so long without delay; a queue below so many milliseconds does not say that the line has
/// become slower than that.
const STOOD: Duration = Duration::from_secs(7);
const STOOD_MS: f64 = 45.0;

/// So much of it comes back: the highest of several that stood by chance is a little too high.
const STOOD_PART: f64 = 0.99;

/// Up to here it is the rate that stood, up to there one that was tried from it.
const SAME: f64 = 1.005;
const LATE: f64 = 1.15;

/// So much of a rate is believed at most when it made a queue again soon after a drain.
const TOO_MUCH: f64 = 0.95;

/// One direction. Rates in bit/s.
#[derive(Clone, Debug)]
pub(super) struct Leg {
    range: RateRange,
    usage: Usage,
    phase: Phase,
    /// The highest rate that was used without delay since the capacity last fell.
    proven: f64,
    /// …and what that was before the cuts that are under way.
    proven_before: f64,
    /// The last rate that was good before the capacity fell, and when that was.
    good: Option<(f64, Instant)>,
    /// The lowest rate that made delay when it was tried, and was not carried since.
    failed: Option<(f64, Instant)>,
    /// The little delay that is usual at this rate.
    relief: Relief,
    /// …and how much of that may be the other direction's, which is loaded as well, when a try began (milliseconds).
    elsewhere: f64,
    /// The last rate that differed much from the one before, and since when it is that.
    moved: (f64, Instant),
    /// When a higher rate was last tried.
    tried_at: Instant,
    /// The rate of the cycle before, and when it was last higher than that.
    before: f64,
    raised_at: Instant,
    /// How many tries in a row have succeeded.
    streak: i32,
    /// When a queue was gone before the cut could act, and how long it had been there.
    spared: Option<(Instant, Duration)>,
    /// When the rate last changed, and the last one that was used without delay for a time.
    changed_at: Instant,
    stood: Option<f64>,
    /// When a cut had drained its queue, if that was the last thing drained.
    drained_at: Option<Instant>,
    pause: Duration,
    futile: u32,
    /// The cuts that the delay has not answered.
    vain: Option<Vain>,
    state: State,
    reason: Reason,
}

impl Leg {
    pub(super) fn new(range: RateRange, direction: Direction) -> Self {
        Self {
            usage: Usage::new(range.ceiling(), direction),
            range,
            phase: Phase::Steady { probe_at: None },
            proven: 0.0,
            proven_before: 0.0,
            good: None,
            failed: None,
            relief: Relief::default(),
            elsewhere: 0.0,
            moved: (1.0, Instant::ZERO),
            tried_at: Instant::ZERO,
            before: range.ceiling().as_f64(),
            raised_at: Instant::ZERO,
            streak: 0,
            spared: None,
            changed_at: Instant::ZERO,
            stood: None,
            drained_at: None,
            pause: PROBE_FIRST,
            futile: 0,
            vain: None,
            state: State::Green,
            reason: Reason::WarmingUp,
        }
    }

    pub(super) fn restore(&mut self, rate: Bitrate) {
        self.usage.rate = self.range.clamp(rate).rate().as_f64();
    }

    /// What is known of its use.
    pub(super) const fn usage(&self) -> &Usage {
        &self.usage
    }

    /// See [`Usage::read`].
    pub(super) fn read(&mut self, stats: Option<(&LinkStats, Direction)>) {
        match stats {
            Some((stats, direction)) => self.usage.read(stats, direction),
            None => self.usage.forget(),
        }
    }

    pub(super) fn rate(&self) -> Controlled {
        self.range.clamp(Bitrate::from_f64(self.usage.rate))
    }

    pub(super) fn verdict(&self) -> DirectionVerdict {
        DirectionVerdict { state: self.state, rate: self.rate(), reason: self.reason }
    }

    pub(super) fn hold(&mut self, reason: Reason) {
        self.reason = reason;
    }

    /// It tries a rate or drains a queue.
    pub(super) const fn is_busy(&self) -> bool {
        self.is_trying() || self.is_blamed()
    }

    /// What makes the delay is not in this direction: its packets wait in our own queue, or it was
    /// cut, carries all it gets, and the delay stays.
    pub(super) fn is_innocent(&self, view: &View) -> bool {
        match self.phase {
            Phase::Draining(drain) => self.was_in_vain(view, &drain),
            Phase::Steady { .. } | Phase::Trying { .. } => self.usage.is_backlogged(),
        }
    }

    /// The line carries all that it gets since the cut, and the delay stays.
    fn was_in_vain(&self, view: &View, drain: &Drain) -> bool {
        // Twice through the queue: then senders have answered to what ours has dropped.
        let answered = view.now >= drain.until + (view.rtt + Duration::from_secs_f64(view.queue())) * 2;
        let deep = self.usage.rate <= DEEP * drain.passed.map_or(drain.before, |passed| passed.min(drain.before));
        answered
            && deep
            && !drain.probe
            && view.bound >= FALLING * drain.peak
            && view.grown > -view.rise
            && self.usage.passes_all(drain.since + view.dead)
    }

    /// Time of a full packet on the wire (milliseconds).
    pub(super) fn serialization_ms(&self) -> f64 {
        PACKET_BITS / self.usage.rate * 1e3
    }

    pub(super) const fn is_trying(&self) -> bool {
        matches!(self.phase, Phase::Trying { .. })
    }

    /// What is seen is what was to be expected of a rate that was tried.
    pub(super) fn explains(&self, view: &View) -> bool {
        match self.phase {
            Phase::Draining(drain) => {
                drain.probe && view.now < drain.until + view.dead * PATIENCE && view.bound < AS_EXPECTED * drain.excess
            }
            Phase::Trying { since, .. } => view.now.since(since) < view.dead * DOUBT,
            Phase::Steady { .. } => false,
        }
    }

    /// A queue is gone in this cycle before the cut could act: how long it had been there.
    pub(super) fn spared(&self, now: Instant) -> Option<Duration> {
        self.spared.filter(|(at, _)| *at == now).map(|(_, lasted)| lasted)
    }

    /// When its rate was last raised.
    pub(super) const fn raised_at(&self) -> Instant {
        self.raised_at
    }

    /// When the line was last seen to move.
    pub(super) const fn moved_at(&self) -> Instant {
        self.moved.1
    }

    pub(super) const fn is_blamed(&self) -> bool {
        matches!(self.phase, Phase::Draining(_))
    }

    /// It may have a queue, though its rate be far above the line's: as much passes as would be something to the slowest line.
    pub(super) fn may_queue(&self) -> bool {
        !self.usage.is_idle_at(self.range.floor().as_f64())
    }

    pub(super) const fn futile(&self) -> u32 {
        self.futile
    }

    /// A higher rate, within bounds.
    fn set(&mut self, rate: f64) {
        self.usage.rate = rate.clamp(self.range.floor().as_f64(), self.range.ceiling().as_f64());
    }

    /// Delay rises because of this direction: what the line carries, and down to it. `shared`: or
    /// because of the other one. Then what is achieved is not cut: if it was the other one, as much
    /// will pass again at once.
    pub(super) fn alarm(&mut self, view: &View, since: Instant, shared: bool) {
        let (before, fed, begun, tried, carried) = match self.phase {
            Phase::Draining(drain) => {
                let acts = view.now.since(drain.since) >= view.dead;
                if view.bound < AS_EXPECTED * drain.excess {
                    return; // as expected so far; whether it helps is seen when it has had its time
                }
                // So much more than that is another event: nothing of it is known yet.
                let begun = if drain.probe || view.bound >= AFRESH * drain.excess { view.now } else { drain.begun };
                if begun == view.now {
                    (self.futile, self.vain) = (0, None);
                } else if drain.shared {
                    self.count_in_vain(view, &drain);
                }
                // What is seen now was still caused by what was sent before the cut.
                let fed = if acts { self.usage.arrival() } else { drain.fed };
                let carried = if begun < view.now { drain.carried } else { f64::INFINITY };
                (drain.before, fed, begun, drain.tried, carried)
            }
            Phase::Trying { from, .. } => (from, self.usage.arrival(), view.now, true, f64::INFINITY),
            Phase::Steady { .. } => (self.usage.rate, self.usage.arrival(), view.now, false, f64::INFINITY),
        };
        let clean = self.usage.is_counted_since(since);
        let counted = self
            .usage
            .limited_below()
            .filter(|(at, _)| clean || *at > since + view.dead)
            .map(|(_, rate)| rate.max(CUT_LEAST * fed));
        let mut capacity = line_carries(fed, view.slope);
        if let Some(counted) = counted.filter(|counted| clean && self.usage.is_watched() || *counted < capacity) {
            capacity = counted;
        }
        if view.excess < view.rise && view.slope <= 0.0 {
            capacity = CUT_BLIND * fed; // only probes that are still out tell of it
        }
        match self.phase {
            Phase::Trying { from, .. } => {
                self.fail(view, self.usage.rate);
                capacity = capacity.max(from.min(self.usage.rate)); // carried a moment ago
            }
            Phase::Draining(drain) => capacity = capacity.min(drain.capacity), // a cut never raises
            Phase::Steady { .. } => {
                self.fall(view);
                if self.drained_lately(view) {
                    capacity = capacity.min(TOO_MUCH * self.usage.rate);
                }
            }
        }
        let mut drain = Drain { tried, capacity, before, fed, carried, begun, ..Drain::new(view) };
        drain.carry(view, counted);
        match counted.filter(|_| shared && clean && self.usage.is_watched()) {
            Some(counted) => self.lower(view, Drain { passed: Some(counted), ..drain }, counted),
            None => self.drain(view, drain),
        }
    }

    /// Below the capacity for as long as the queue needs to drain.
    fn drain(&mut self, view: &View, drain: Drain) {
        let rate = drain.capacity * drain_part(view.queue()).min(view.headroom);
        // The first cut is one that drains something, also where the capacity was taken for a little more than it is.
        let most = if self.is_blamed() || view.restless { 1.0 } else { SHALLOW };
        self.lower(view, drain, rate.min(most * self.usage.rate));
    }

    fn lower(&mut self, view: &View, drain: Drain, rate: f64) {
        // On a restless path each cut is a fall of its own.
        if view.restless || !matches!(self.phase, Phase::Draining(Drain { probe: false, .. })) {
            self.proven_before = self.proven;
        }
        // A correction while it drains never raises.
        self.set(if self.is_blamed() { rate.min(self.usage.rate) } else { rate });
        self.phase = Phase::Draining(Drain { until: self.drained_by(view, drain.capacity), ..drain });
        self.vain.get_or_insert(Vain::new(view, &drain));
        let best = self.proven_before;
        if self.usage.rate < 0.75 * best && self.goal(view.now).is_none_or(|good| good <= best) {
            self.good = Some((best, view.now));
        }
        self.proven = self.proven.min(self.usage.rate);
        self.reason = Reason::Cut;
    }

    /// When the queue is gone at this rate, if the line carries that much.
    fn drained_by(&self, view: &View, capacity: f64) -> Instant {
        let time =
            if capacity > self.usage.rate { view.queue() * capacity / (capacity - self.usage.rate) } else { DRAIN_S };
        // Through a queue of two seconds nothing is heard sooner.
        view.now + view.dead + Duration::from_secs_f64(time.clamp(0.0, (2.0 * DRAIN_S).max(2.0 * view.queue())))
    }

    /// One cycle. `alone`: the other direction neither tries a rate nor drains a queue, so that what is seen
    /// is ours; `only`: next to nothing is on its way there.
    pub(super) fn step(&mut self, view: &View, alone: bool, only: bool) {
        self.look_for_an_answer(view);
        match self.phase {
            Phase::Steady { probe_at } => self.steady(view, probe_at, alone, only),
            Phase::Trying { from, since, climbing } => self.trying(view, from, since, climbing),
            Phase::Draining(drain) => self.draining(view, drain, alone, only),
        }
        if matches!(self.phase, Phase::Steady { .. }) && libm::fabs(self.usage.rate / self.moved.0 - 1.0) > MOVED {
            self.moved = (self.usage.rate, view.now);
        }
        let before = core::mem::replace(&mut self.before, self.usage.rate);
        if before < self.usage.rate {
            self.raised_at = view.now;
        }
        if before != self.usage.rate {
            self.changed_at = view.now;
        }
        let (cutting, draining) = match self.phase {
            Phase::Draining(drain) if !drain.probe => (view.now.since(drain.since) <= view.dead, true),
            _ => (false, false),
        };
        // A delay is told of whoever may make it.
        let quiet = self.usage.is_idle() && !self.is_busy();
        self.state = if quiet { State::Green } else { state_of(view, cutting, draining) };
    }

    /// Where so much was cut that no queue can stand, and there was delay all the time, it is somebody else's.
    fn look_for_an_answer(&mut self, view: &View) {
        let drain = if let Phase::Draining(drain) = &self.phase { Some(drain) } else { None };
        let least = self.range.floor().as_f64();
        match self.vain.as_mut().map(|vain| vain.see(view, self.usage.rate, least, drain)) {
            Some(Says::Answered) => self.vain = None,
            Some(Says::InVain) => self.futile = FUTILE,
            Some(Says::Nothing) | None => {}
        }
    }

    /// It grows on, cut or not: once the cut has had its time the other direction is looked at.
    fn count_in_vain(&mut self, view: &View, drain: &Drain) {
        let answered = (view.dead + Duration::from_secs_f64(view.queue())) * (PATIENCE * (self.futile + 1));
        self.futile += u32::from(view.now.since(drain.begun) >= answered);
    }

    fn draining(&mut self, view: &View, mut drain: Drain, alone: bool, only: bool) {
        drain.see(view);
        drain.shared |= !only;
        if view.bound >= view.rise && !drain.probe && self.usage.read_at() > drain.read {
            drain.read = self.usage.read_at();
            drain.count(self.usage.delivered_since(drain.begun));
        }
        self.phase = Phase::Draining(drain);
        let deep = self.usage.rate <= HALF * drain.before.min(drain.carried);
        if drain.shared && !drain.probe && deep && view.grows() && view.bound >= STILL * drain.peak {
            self.count_in_vain(view, &drain);
        }
        let early = !drain.probe && view.now.since(drain.begun) < view.dead;
        let collapsed = early && view.bound < COLLAPSED * drain.peak;
        if view.bound < view.rise || collapsed {
            if early {
                // Gone before the cut can have had any effect: it was no queue of ours, unless it comes again.
                let again = self.spared.is_some_and(|(at, _)| view.now.since(at) < (view.rtt * 10).max(AGAIN));
                self.spared = Some((view.now, view.now.since(drain.begun)));
                self.set(if again { (drain.capacity * view.headroom).max(STAYS * drain.before) } else { drain.before });
            } else {
                self.set(self.rate_after(view, &drain, alone));
                self.drained_at = (!drain.probe).then_some(view.now);
            }
            self.pause = if drain.tried {
                self.pause.max(PROBE_LEAST).mul_f64(PROBE_GROWTH).min(self.longest_pause(view))
            } else {
                SETTLE
            };
            self.futile = 0;
            self.phase = Phase::Steady { probe_at: Some(view.now + self.pause) };
            self.reason = if drain.probe { Reason::ProbeFailed } else { Reason::Recovering };
            return;
        }
        // What passed while the queue stood is what the line carries, or a little more.
        let counted = self.usage.limited_below().filter(|(at, _)| *at > drain.since).map(|(_, rate)| rate);
        drain.carry(view, counted);
        let fresh = Drain::new(view);
        let next = Drain { since: view.now, top: fresh.top, excess: fresh.excess, ..drain };
        let known = if view.fleeting { drain.is_seen().then(|| drain.capacity()) } else { counted };
        if let Some(counted) = known.filter(|c| !drain.probe && *c < 0.97 * drain.capacity) {
            return self.drain(view, Drain { capacity: counted.max(CUT_LEAST * drain.capacity), ..next });
        }
        self.reason = Reason::Draining;
        // A probe's queue is small and may take its time.
        let until = if drain.probe { drain.until + view.dead * PATIENCE } else { drain.until };
        if view.now < until {
            return;
        }
        if self.was_in_vain(view, &drain) {
            // It is made elsewhere; if there is traffic the other way, that is looked at first.
            if only {
                self.futile = FUTILE;
            }
            return;
        }
        if view.bound < FALLING * drain.peak {
            // It falls, only slower than computed: the line carries a little less than believed.
            if drain.slow >= SLOW {
                self.futile = FUTILE; // a queue of ours would be gone by now
                return;
            }
            let slow = drain.slow + 1;
            let capacity = if drain.is_known() { drain.capacity() } else { 0.95 * drain.capacity };
            self.drain(view, Drain { capacity, peak: view.bound, slow, ..next });
            self.reason = Reason::Draining;
        } else if view.now >= drain.until + view.dead * PATIENCE {
            let deep = drain.most <= 0.0 || self.usage.rate <= DEEP * drain.most;
            self.futile += u32::from(deep);
            self.drain(view, Drain { probe: false, capacity: 0.9 * drain.capacity, peak: view.bound, ..next });
        }
    }

    /// The rate after a drain: what the line carries, as it was counted or believed, or as an upload's queue has fallen by;
    /// and not less than what has stood, where the queue was a small one.
    fn rate_after(&self, view: &View, drain: &Drain, alone: bool) -> f64 {
        let told = alone && !drain.probe && !view.restless && self.usage.feeds_the_line();
        let told = if told { drain.capacity_by_its_fall(view, self.usage.rate) } else { 0.0 };
        let stood = self.stood.filter(|_| drain.peak < STOOD_MS && drain.slow == 0);
        (drain.capacity().max(told) * view.headroom)
            .max(stood.map_or(0.0, |stood| (STOOD_PART * stood).min(drain.before)))
    }

    /// The queue is back so soon after a drain: what the line carries was taken for more than it is.
    fn drained_lately(&self, view: &View) -> bool {
        let lately = |at| view.now.since(at) < AGAIN + view.rtt * 2;
        self.drained_at.is_some_and(lately) && !view.restless && self.usage.is_watched()
    }

    /// An alarm at a rate that was held: it stands no longer; or a little more than what stood was tried, and fails late.
    fn fall(&mut self, view: &View) {
        match self.stood.map(|stood| self.usage.rate / stood) {
            Some(above) if above <= SAME => self.stood = None,
            Some(above) if above < LATE && !view.restless && !self.is_below_its_goal(view.now) => {
                self.fail(view, self.usage.rate);
            }
            Some(_) | None => {}
        }
    }

    /// The other direction makes the delay: what is tried now proves nothing, and what was cut was
    /// cut in error.
    pub(super) fn abandon(&mut self, view: &View) {
        let rate = match self.phase {
            Phase::Trying { from, .. } => from,
            Phase::Draining(drain) => drain.given_back(),
            Phase::Steady { .. } => return,
        };
        self.set(rate);
        self.phase = Phase::Steady { probe_at: Some(view.now + self.pause) };
        self.reason = Reason::Steady;
    }

    /// The delay is not ours: as before the cuts.
    pub(super) fn take_back(&mut self) {
        if let Phase::Draining(drain) = self.phase {
            self.set(drain.given_back());
        }
        if let Some(vain) = self.vain.take() {
            self.set(vain.given_back().max(self.usage.rate));
        }
        self.futile = 0;
        self.phase = Phase::Steady { probe_at: None };
        self.reason = Reason::NotOurs;
    }
}

/// What a line carries whose queue grows like that while so much is fed: *C = R·(1 − slope)*, of which one cut takes so much at most.
fn line_carries(fed: f64, slope: f64) -> f64 {
    fed * (1.0 - slope.clamp(0.0, 1.0 - CUT_LEAST))
}

/// The part of the capacity at which a queue of so many seconds is drained.
fn drain_part(queue_s: f64) -> f64 {
    (1.0 - queue_s / DRAIN_S).max(DRAIN_LEAST)
}
