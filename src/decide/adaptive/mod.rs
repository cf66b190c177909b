//! The adaptive law: cut once to what the line carries, let the queue drain, come back at once,
//! then probe gently. `docs/control-law.md` derives it and gives the reason of every constant.
//!
//! Theory of operation. A FIFO of capacity *C* fed at rate *R* grows by *R/C − 1* seconds per
//! second. So the slope of the delay tells the capacity without trying rates one by one, and a
//! queue of *q* seconds drains in *q·C/(C−R)*. The `sensor` gives delay and slope; an alarm (a
//! CUSUM scaled to the line's own jitter) starts an episode; `leg` holds, for each direction,
//! the capacity that is believed and where the direction is on its way: steady, probing, climbing,
//! draining. Which direction is to blame is read from the router's counters: the one that is
//! loaded while our own queue there is empty, because the packets wait further down. Where cuts
//! don't bend the delay, it is not ours, and the cuts are taken back.

mod budget;
mod fleeting;
mod leg;
mod phase;
mod relief;
mod sensor;
mod usage;
mod vain;

use super::{Input, Learnt};
use crate::types::{Bitrate, Direction, Duration, Instant, LinkStats, Millis, RateRange, Reason, Signal, Verdict};
use budget::{Budget, Pace};
use fleeting::Fleeting;
use leg::Leg;
use sensor::Sensor;

/// The cycle in which the CUSUM's figures are given.
const REFERENCE_S: f64 = 0.05;

/// Statistics older than this say nothing about the present.
const STALE: Duration = Duration::from_millis(2500);

/// How long an alarm waits for statistics that can tell two loaded directions apart…
const PATIENCE: Duration = Duration::from_millis(200);

/// The longest an alarm waits for counters that were counted since it began.
const COUNTERS_LAST: Duration = Duration::from_millis(350);

/// …unless the delay is this high by then (milliseconds): then both are cut.
const URGENT_MS: f64 = 60.0;

/// An alarm for what was there before us waits for so long, however high: the router may just have been found, and is read
/// twice before it counts.
const FOUND_LAST: Duration = Duration::from_millis(700);

/// Time in which what has changed is seen by echoes, and by the rarer connects.
const ANSWERS: Duration = Duration::from_millis(100);
const CONNECTS: Duration = Duration::from_millis(350);

/// Delay that was not ours is suspected again after this time, and after twice as long each time that it was not,
/// up to the second. A new route has become the baseline by then.
const DOUBT_FIRST: Duration = Duration::from_secs(60);
const DOUBT_LAST: Duration = Duration::from_secs(480);

/// What was not ours is followed down in this time (seconds): not to the least that jitter shows.
const FADES_S: f64 = 0.5;

/// Part of `target` that is more than noise, at least.
const LEAST_NOISE: f64 = 0.15;

/// Part of it that an alarm lets pass, at least.
const DRIFT: f64 = 0.2;

/// Part of the round trip that is not worth a cut: so far away senders take seconds to use a rate again.
const UNFELT: f64 = 0.04;

/// How long after the start statistics are waited for before everybody is suspected.
const GRACE: Duration = Duration::from_secs(5);

/// How long after a change of the rate the line is one that moves.
const MOVING: Duration = Duration::from_secs(10);

/// What follows our own rise so soon is ours.
const RAISED: Duration = Duration::from_millis(1000);

/// Of two that may make a delay it is the one whose rate was raised in this time, if the other's was not.
const RAISED_LATELY: Duration = Duration::from_secs(3);

/// A queue that is fed a few per cent too much grows no faster (seconds per second); a path that gets longer does.
const CREEPS: f64 = 0.03;

/// What was disowned a moment ago and grows on is a longer path only where it grows by a step: senders that go on filling a line at
/// just what it carries were seen to make it grow by a tenth, up to 400 ms.
const STEPS: f64 = 0.15;

/// A rate is another one, and not acquitted, from this part of the one that is.
const ABOVE: f64 = 1.01;

/// What grows is higher than it was once or twice this time ago.
const EARLIER: Duration = Duration::from_millis(500);

/// The last samples that are taken together (time constant, seconds), and the part of the noise threshold below which what they
/// show is no delay.
const LEVEL_S: f64 = 0.3;
const GONE: f64 = 0.5;

/// A delay this many times what was expected is another event.
const AFRESH: f64 = 2.0;

/// Two samples in this time say more than one.
const TWICE: Duration = Duration::from_millis(120);

/// A path is restless where three times its spread is more than this (milliseconds).
const RESTLESS_MS: f64 = 5.0;

/// A probe raises the rate by this much: from a headroom of 5 % it goes just above the capacity,
/// which shows as 10 ms per second. The second where noise hides so little.
const PROBE: f64 = 1.06;
const PROBE_RESTLESS: f64 = 1.1;

/// Up to so many times the noise an upload is not cut for what may be the unevenness of a download, unless it stays that long.
const LITTLE: f64 = 2.0;
const LITTLE_LAST: Duration = Duration::from_secs(8);

/// After this many cuts that did not bend the delay it is not ours.
const FUTILE: u32 = 2;

/// Settings of the adaptive law for one WAN.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// RTT of the idle line to begin with.
    pub baseline: Millis,
    /// Usual delay of an idle line of this kind above its minimum, to begin with.
    pub jitter: Millis,
    /// Delay above the usual that is an alarm, on a line without jitter.
    pub target: Millis,
    /// Part of the capacity that is used (0.5 to 1): the rest keeps the queue empty.
    pub headroom: f64,
    /// Bounds of download and upload.
    pub ranges: [RateRange; 2],
}

/// What all directions of a WAN share in one cycle.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    now: Instant,
    /// Delay above the usual by replies, and with probes still out (milliseconds).
    excess: f64,
    bound: f64,
    /// The second of the last few samples together.
    level: f64,
    /// The least excess of so many samples as must agree.
    sure: f64,
    /// A single sample or reading proves nothing here.
    fleeting: bool,
    /// The least excess of the last two samples if they are of now, of the last two at all, and of all that are kept.
    twice: f64,
    firm: [f64; 2],
    /// How much more delay there is than half a second to a second ago.
    grown: f64,
    /// Growth of the delay (seconds per second), as replies show it.
    slope: f64,
    /// Excess that is more than noise.
    rise: f64,
    /// Noise is that of radio; the line is one.
    restless: bool,
    radio: bool,
    /// RTT of now: after two of them senders have answered to what our queue has dropped.
    rtt: Duration,
    /// From a decision to its effect in the samples, without the queue.
    dead: Duration,
    headroom: f64,
    /// What probes wait on average for packets on the wire (milliseconds).
    wire: f64,
    budget: Budget,
}

impl View {
    /// The delay is higher than it was half a second to a second ago.
    fn grows(&self) -> bool {
        self.grown > 0.5 * self.rise
    }

    /// How far a try goes.
    fn probe(&self) -> f64 {
        if self.restless { PROBE_RESTLESS } else { PROBE }
    }

    /// The queue in seconds, as far as anything is known of it.
    fn queue(&self) -> f64 {
        (self.bound / 1e3).max(0.0)
    }
}

/// The adaptive law at work on one WAN.
#[derive(Clone, Debug)]
pub struct Adaptive {
    settings: Settings,
    sensor: Sensor,
    legs: [Leg; 2],
    /// The delay when that was last noted, then, and the time before (milliseconds).
    earlier: (Instant, [f64; 2]),
    /// CUSUM of the excess, and since when it is above zero.
    sum: f64,
    rising: Option<Instant>,
    /// Delay that turned out not to be ours: what is usual until it goes away.
    foreign: f64,
    /// The excess of the last few samples together, what is not ours included (milliseconds).
    level: f64,
    fleeting: Fleeting,
    /// Directions that were cut and are not to blame, until the delay is gone, and up to which rate (bit/s).
    acquitted: [Option<f64>; 2],
    /// When that is suspected to be ours after all, and how long the next such time will be.
    doubt: (Instant, Duration),
    started: Option<Instant>,
    /// Since when the delay is seen and can be acted on.
    sees: Option<Instant>,
    last: Option<Instant>,
    stats_at: Option<Instant>,
    latency: Duration,
    budget: Budget,
}

impl Adaptive {
    /// Starts at the ceilings.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            sensor: Sensor::new(settings.baseline, settings.jitter),
            legs: Direction::BOTH.map(|d| Leg::new(settings.ranges[d.index()], d)),
            earlier: (Instant::ZERO, [0.0; 2]),
            sum: 0.0,
            rising: None,
            foreign: 0.0,
            level: 0.0,
            fleeting: Fleeting::default(),
            acquitted: [None; 2],
            doubt: (Instant::ZERO, DOUBT_FIRST),
            started: None,
            sees: None,
            last: None,
            stats_at: None,
            latency: Duration::from_millis(50),
            budget: Budget::default(),
            settings,
        }
    }

    /// See [`super::Law::restore`].
    pub fn restore(&mut self, learnt: Learnt) {
        self.sensor.restore(learnt.baseline);
        for (leg, rate) in self.legs.iter_mut().zip(learnt.rates) {
            leg.restore(rate);
        }
    }

    /// See [`super::Law::learnt`].
    #[must_use]
    pub fn learnt(&self) -> Learnt {
        Learnt {
            baseline: self.millis(self.sensor.levels().0),
            rates: Direction::BOTH.map(|d| self.leg(d).rate().rate()),
        }
    }

    fn leg(&self, direction: Direction) -> &Leg {
        &self.legs[direction.index()]
    }

    fn millis(&self, ms: f64) -> Millis {
        Millis::new(ms).unwrap_or(self.settings.baseline)
    }

    /// See [`super::Law::decide`].
    pub fn decide(&mut self, input: Input<'_>) -> Verdict {
        let now = input.now;
        self.read(now, input.stats);
        let elapsed = self.last.map_or(REFERENCE_S, |last| now.since(last).as_secs_f64()).min(1.0);
        self.last = Some(now);
        self.started.get_or_insert(now);
        let before = self.legs.each_ref().map(|leg| leg.rate().rate());
        let sees = |signal| match signal {
            Signal::Good => true,
            Signal::Degraded => input.sample.per_reflector.iter().any(Option::is_some),
            Signal::WarmingUp | Signal::Silent | Signal::Down => false,
        };
        match input.sample.signal {
            signal if sees(signal) && !input.acts => {
                // Nothing can be done, so nothing is learnt of what was done, a moment ago neither: cuts that did not
                // help may not have been made. What is seen is acted on afterwards.
                (self.foreign, self.doubt) = (0.0, (now, DOUBT_FIRST));
                self.sensor.see(now, input.sample, false, false);
                self.sees = None;
                self.legs.iter_mut().for_each(|leg| leg.hold(Reason::NoRouter));
            }
            signal if sees(signal) => {
                let good = signal == Signal::Good;
                self.sees.get_or_insert(now);
                // What is seen is the line's own delay if nothing fills it, or what fills it waits
                // in our queue.
                let nowhere = self.legs.iter().all(|leg| leg.usage().is_clear());
                let quiet = nowhere && !self.legs.iter().any(Leg::is_blamed);
                let (clear, idle) = (good && quiet, quiet && self.legs.iter().all(|leg| leg.usage().is_idle()));
                // What was disowned is not the idle line's either.
                self.sensor.see(now, input.sample, clear, idle && self.foreign <= 0.0);
                self.level += (self.sensor.excess_bound() - self.level) * (elapsed / LEVEL_S).min(1.0);
                let view = self.view(now, good);
                if now.since(self.earlier.0) >= EARLIER {
                    self.earlier = (now, [view.twice + self.foreign, self.earlier.1[0]]);
                }
                self.watch(&view, elapsed);
                for i in 0..self.legs.len() {
                    let other = &self.legs[1 - i];
                    let (alone, only) = (good && !other.is_busy(), !other.may_queue());
                    self.legs[i].step(&view, alone, only);
                }
                self.give_up(&view);
                self.fleeting.see(self.legs.iter().find_map(|leg| leg.spared(now)), elapsed);
            }
            signal => {
                let reason = if signal == Signal::WarmingUp { Reason::WarmingUp } else { Reason::NoSignal };
                self.legs.iter_mut().for_each(|leg| leg.hold(reason));
                (self.sum, self.rising, self.sees) = (0.0, None, None);
            }
        }
        self.count_writes(now, elapsed, before);
        self.verdict()
    }

    /// What changed is a write, sooner or later; what may be written comes with time.
    fn count_writes(&mut self, now: Instant, elapsed: f64, before: [Bitrate; 2]) {
        let pace = Pace {
            moves: self.legs.iter().any(|leg| now.since(leg.moved_at()) < MOVING),
            left: self.legs.iter().map(|leg| leg.left(now)).fold(1.0, f64::min),
            radio: self.is_radio(),
            both: !self.legs.iter().any(|leg| leg.usage().is_idle()),
        };
        let written = self.legs.iter().zip(before).filter(|(leg, before)| leg.rate().rate() != *before).count();
        self.budget.count(pace, elapsed, f64::from(u8::try_from(written).unwrap_or(u8::MAX)));
    }

    fn is_radio(&self) -> bool {
        self.settings.jitter.get() >= RESTLESS_MS
    }

    fn verdict(&self) -> Verdict {
        let (baseline, load) = self.sensor.levels();
        let [download, upload] = Direction::BOTH.map(|d| self.leg(d).verdict());
        let curious = self.rising.is_some() || self.legs.iter().any(|leg| leg.is_trying() || leg.is_blamed());
        Verdict { baseline: self.millis(baseline), load: self.millis(load), download, upload, curious }
    }

    /// New statistics, if there are any.
    fn read(&mut self, now: Instant, stats: Option<&LinkStats>) {
        let Some(stats) = stats.filter(|s| now.since(s.at) < STALE) else {
            self.legs.iter_mut().for_each(|leg| leg.read(None));
            return;
        };
        if self.stats_at == Some(stats.at) {
            return;
        }
        self.stats_at = Some(stats.at);
        let latency = (stats.uncertainty * 2).min(Duration::from_secs(1));
        self.latency = (self.latency * 3 + latency) / 4;
        for direction in Direction::BOTH {
            self.legs[direction.index()].read(Some((stats, direction)));
        }
    }

    fn view(&self, now: Instant, good: bool) -> View {
        let spread = self.sensor.spread();
        let (baseline, _) = self.sensor.levels();
        let rtt = Duration::from_secs_f64(baseline / 1e3);
        let least = (LEAST_NOISE * self.settings.target.get()).max(UNFELT * baseline);
        // A probe waits for the packet that each loaded shaper is just sending: half of it on average.
        let busy = self.legs.iter().filter(|leg| !leg.usage().is_idle());
        let serialization = busy.map(Leg::serialization_ms).sum::<f64>();
        let twice = self.sensor.least_excess(now, 2, TWICE);
        View {
            now,
            excess: self.sensor.excess() - self.foreign,
            bound: self.sensor.excess_bound() - self.foreign,
            level: self.level - self.foreign,
            fleeting: self.fleeting.is_often(),
            sure: self.sensor.least_excess(now, self.fleeting.agree(), STALE) - self.foreign,
            twice: twice - self.foreign,
            firm: [2, sensor::HISTORY].map(|n| self.sensor.least_excess(now, n, STALE) - self.foreign),
            grown: twice - self.earlier.1[1],
            slope: self.sensor.slope(),
            rise: (3.0 * spread).max(least).max(serialization),
            restless: 3.0 * spread > RESTLESS_MS,
            radio: self.is_radio(),
            rtt,
            dead: rtt + self.latency + if good { ANSWERS } else { CONNECTS },
            headroom: self.settings.headroom,
            wire: 0.5 * serialization,
            budget: self.budget,
        }
    }

    /// Alarm or not, and against whom.
    fn watch(&mut self, view: &View, elapsed: f64) {
        // What is not ours goes as it came, and is doubted in time: it may be ours after all.
        let fades = view.excess.min(0.0) * (elapsed / FADES_S).min(1.0);
        let foreign = (self.foreign + fades).max(0.0);
        self.foreign = if view.now < self.doubt.0 { foreign } else { 0.0 };
        if foreign < view.rise {
            self.doubt.1 = DOUBT_FIRST;
        }
        // A download's counters tell what is a queue; an upload's bursts alone may use up all writes.
        let bursts = !view.radio && self.legs[0].usage().is_idle();
        let lets_pass = if bursts { self.budget.lets_pass() } else { 1.0 };
        let drift = (0.5 * view.rise).max(DRIFT * self.settings.target.get()) * lets_pass;
        self.sum = (self.sum + (view.bound - drift) * elapsed / REFERENCE_S).max(0.0);
        self.rising = if view.bound > drift { Some(self.rising.unwrap_or(view.now)) } else { None };
        let Some(since) = self.rising else { return };
        let threshold = self.settings.target.get().max(2.0 * view.rise) * self.budget.doubts(view.restless);
        // Probes that are out speak only beside replies that are late as well: when nothing comes
        // back at all it is silence, and in silence rates are held.
        if self.sum < threshold || view.bound < view.rise || view.sure < 0.5 * view.rise {
            return;
        }
        // What creeps on from there is ours: at just what the line carries our own queue stands, and the line's grows too.
        let creeps = foreign >= view.rise && view.slope < STEPS && view.now < self.doubt.0;
        if !creeps && self.is_made_elsewhere(since) {
            self.disown(view);
            return;
        }
        let blamed = self.blame(view, since);
        // Of a queue that was there before us nobody has seen how fast it grew.
        let found = self.sees.is_some_and(|at| since <= at);
        let view = &View { slope: if found { 0.0 } else { view.slope }, ..*view };
        if blamed.iter().any(|b| *b) && !self.is_worth_waiting(view, since, found, blamed) {
            let shared = blamed == [true; 2];
            for (leg, guilty) in self.legs.iter_mut().zip(blamed) {
                if guilty { leg.alarm(view, since, shared) } else { leg.abandon(view) }
            }
            self.sum = 0.0;
        }
    }

    /// The line carries all that it gets, as counters say that were read since then, and there is
    /// next to nothing on its way up: the delay is none of ours.
    fn is_made_elsewhere(&self, since: Instant) -> bool {
        let [download, upload] = &self.legs;
        !self.legs.iter().any(Leg::is_blamed)
            && since >= download.raised_at() + self.latency * 4 + RAISED
            && download.usage().passes_all(since + self.latency)
            && upload.usage().is_idle()
    }

    /// A longer path and a slower line look the same at first. Counters tell them apart; a delay that
    /// is not high yet can wait for them.
    fn is_worth_waiting(&self, view: &View, since: Instant, found: bool, blamed: [bool; 2]) -> bool {
        let [download, _] = &self.legs;
        let alone = blamed == [true, false] && view.bound < URGENT_MS && download.usage().is_watched();
        // A queue that was there before us has stood for long already.
        (alone || found && blamed[0])
            && !download.is_busy()
            && !download.usage().is_counted_since(since)
            && view.now.since(since) < if found { FOUND_LAST } else { COUNTERS_LAST }
    }

    /// Who causes the delay: whoever is trying a higher rate; else the loaded direction; of two
    /// loaded ones that whose packets do not wait in our own queue.
    fn blame(&self, view: &View, since: Instant) -> [bool; 2] {
        let loaded = self.legs.each_ref().map(|leg| leg.usage().is_loaded());
        let begun = self.started.is_some_and(|at| view.now.since(at) >= GRACE);
        if self.stats_at.is_none() && !begun && view.bound < URGENT_MS {
            return [false; 2];
        }
        let explained = self.legs.each_ref().map(|leg| leg.explains(view));
        if explained.iter().any(|e| *e) {
            return explained;
        }
        if self.stats_at.is_some_and(|at| at > since + self.latency) {
            // A download that waits in our own queue is innocent. An upload may wait in ours and
            // in the line's: its counters say nothing of what comes after them.
            let guilty = [loaded[0] && !self.legs[0].is_innocent(view), loaded[1]];
            let guilty = self.unless_acquitted(guilty);
            // A download makes a little delay also where its packets wait in our own queue.
            let little = view.bound < LITTLE * view.rise && view.now.since(since) < LITTLE_LAST;
            if guilty == [false, true] && loaded[0] && !self.legs[1].is_busy() && little {
                return [false; 2];
            }
            // Of two whoever has raised his rate lately.
            let raised = self.legs.each_ref().map(|leg| view.now.since(leg.raised_at()) < RAISED_LATELY);
            if guilty == [true; 2] && raised[0] != raised[1] && !self.legs.iter().any(Leg::is_blamed) {
                return raised;
            }
            if guilty.iter().any(|g| *g) {
                return guilty;
            }
        }
        for suspects in [self.legs.each_ref().map(Leg::is_trying), self.legs.each_ref().map(Leg::is_blamed)] {
            if suspects.iter().any(|s| *s) {
                return suspects;
            }
        }
        if loaded == [false; 2] && view.now.since(since) >= PATIENCE * 4 {
            // A rate far above what the line carries never looks used: whoever uses more of it.
            let used = self.legs.each_ref().map(|leg| leg.usage().load().unwrap_or(0.0));
            return [0, 1].map(|i| self.legs[i].usage().is_used_at_all() && used[i] >= used[1 - i]);
        }
        let one = loaded.iter().filter(|l| **l).count() == 1;
        let waited = view.now.since(since) >= PATIENCE || view.bound >= URGENT_MS;
        if !(one || waited || self.stats_at.is_none()) {
            return [false; 2];
        }
        let left = self.unless_acquitted(loaded);
        if left == [false; 2] { loaded } else { left }
    }

    fn unless_acquitted(&self, suspects: [bool; 2]) -> [bool; 2] {
        [0, 1].map(|i| suspects[i] && self.acquitted[i].is_none())
    }

    /// Cuts that don't bend the delay are taken back. Then it is the turn of the other direction, if anything is on its way
    /// there: with a rate that is just what the line carries a queue of its own stands, and the line's does not go.
    fn give_up(&mut self, view: &View) {
        // Of a higher rate than the one that was acquitted nothing is proven.
        let risen = |leg: &Leg, acquitted: f64| {
            view.now.since(leg.raised_at()) < RAISED + view.dead
                && view.slope > CREEPS
                && leg.usage().rate > ABOVE * acquitted
        };
        // Nor of a delay twice what was disowned.
        let another = self.foreign > 0.0 && view.bound > AFRESH * self.foreign.max(view.rise);
        let gone = view.level + self.foreign < GONE * view.rise || another;
        self.acquitted = [0, 1].map(|i| self.acquitted[i].filter(|rate| !gone && !risen(&self.legs[i], *rate)));
        // What falls is being drained by one of the cuts.
        let falls = view.grown < -view.rise;
        let Some(i) = self.legs.iter().position(|leg| leg.futile() >= FUTILE).filter(|_| !falls) else { return };
        // A longer path is one step; what grows on is a queue, and somebody's here before it is somebody's elsewhere.
        let grows = view.grows();
        let other = &self.legs[1 - i];
        let cut = other.is_blamed();
        let next = if grows { other.may_queue() } else { !other.usage().is_idle() && self.acquitted[1 - i].is_none() };
        if grows && !next && !cut {
            return;
        }
        self.legs[i].take_back();
        self.acquitted[i] = Some(self.legs[i].usage().rate);
        match (cut, next) {
            (true, _) => {} // whether that one is to blame is still to be seen
            (false, true) => self.legs[1 - i].alarm(view, view.now, false),
            (false, false) => {
                self.legs[1 - i].take_back();
                self.disown(view);
            }
        }
    }

    /// What there is of delay is not ours, for a time.
    fn disown(&mut self, view: &View) {
        self.foreign += view.excess.max(0.0);
        if view.now >= self.doubt.0 {
            self.doubt = (view.now + self.doubt.1, (self.doubt.1 * 2).min(DOUBT_LAST));
        }
        (self.sum, self.rising) = (0.0, None);
    }
}
