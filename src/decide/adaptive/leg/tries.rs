//! A direction that is steady, or tries a higher rate: when, how far, and how long it is watched.

use super::super::{ANSWERS, MOVING};
use super::{DOUBT, Drain, Leg, PROBE_FIRST, PROBE_LAST, Phase, SETTLE, STOOD, View, drain_part, line_carries};
use crate::types::{Duration, Instant, Reason};

/// A rate that has failed is remembered for this long, and taken as the capacity from this distance on; the smallest probe.
const FAILED: Duration = Duration::from_secs(30);
const NEAR: f64 = 1.025;
const PROBE_SMALL: f64 = 1.015;

/// Climbing to a rate that was good goes in these steps; beyond it in steps of [`View::probe`], which grow up to this:
/// on a restless path the way back as well, where what was good is soon no measure any more.
const CLIMB: f64 = 1.5;
const STRIDE_MOST: f64 = 1.25;

/// A step is a whole one from this part of it on.
const WHOLE: f64 = 0.99;

/// A larger step than this is a leap; so much of what its queue tells is believed, and at most so much of where it went; from so
/// far above that on all has failed.
const LEAP: f64 = 1.2;
const LEAP_PART: f64 = 0.95;
const LEAP_MOST: f64 = 0.9;
const JUST_ABOVE: f64 = 1.06;

/// A good rate is remembered for this long.
const REMEMBER: Duration = Duration::from_secs(600);

/// The longest pause so soon after the capacity fell: it may well come back, and of an upload nothing tells ([`Relief`]).
const PROBE_SOON: Duration = Duration::from_millis(6500);
const PROBE_SOON_UPLOAD: Duration = Duration::from_millis(3250);
/// …and on a restless path while it moves.
const PROBE_MOVING: Duration = Duration::from_millis(900);
const SOON: Duration = Duration::from_secs(60);

/// A rate that is too high must show half of what was added as more than noise: the time for that, at least and at most
/// (seconds).
const SHOWS: f64 = 0.5;
const SHOWS_LEAST: f64 = 0.1;
const SHOWS_MOST: f64 = 0.2;

/// A queue this small (milliseconds) goes by itself at the rate that was good before: one write less.
const SMALL_MS: f64 = 30.0;

/// A queue that grows this many times as fast as a try can make it is not made by that.
const SUDDEN: f64 = 4.0;

/// Senders far away need so many round trips to use more.
const FILLS: u32 = 8;

/// What the line carries now it may not carry when all senders are at their most: a rate beyond what was ever good is
/// watched for so long (not on a restless path: on radio the capacity itself moves meanwhile),
/// and where the round trip is a long one for so many times what it is longer than that, up to the longest; up to the
/// last while climbing back.
const WATCHED: Duration = Duration::from_millis(700);
const FAR: Duration = Duration::from_millis(50);
const WATCHED_FAR: u32 = 40;
const WATCHED_MOST: Duration = Duration::from_secs(12);
const WATCHED_CLIMBING: Duration = Duration::from_secs(2);

/// The use of a rate is looked at over this time, or ten round trips.
const LATELY: Duration = Duration::from_secs(1);

/// A rate that carried for a moment after another was tried may be a little more than the capacity: believed by this much.
const CARRIED: f64 = 1.005;

/// A try is made after this time whatever was written: where cuts use up the writes, a rate must not stay low for ever.
/// The second is for a rate that was never higher; with traffic both ways, twice as long.
const STARVED: Duration = Duration::from_secs(8);
const STARVED_AT_HOME: Duration = Duration::from_secs(20);

impl Leg {
    pub(super) fn steady(&mut self, view: &View, probe_at: Option<Instant>, alone: bool, only: bool) {
        let quiet = view.bound < view.rise;
        let lately = view.now - (view.rtt * 10).max(LATELY);
        let used = self.usage.is_proof(lately);
        if quiet {
            // What has passed without delay is carried.
            let carried = if self.usage.is_used(lately) { 1.0 } else { self.usage.load().unwrap_or(0.0).min(1.0) };
            self.proven = self.proven.max(carried * self.usage.rate);
            if used && self.usage.is_fresh() && view.now.since(self.changed_at) > STOOD {
                self.stood = Some(self.usage.rate);
            }
        }
        let at_ceiling = self.usage.rate >= self.range.ceiling().as_f64();
        let Some(at) = probe_at else {
            self.phase = Phase::Steady { probe_at: Some(view.now + self.pause) };
            return;
        };
        // Whoever does not use what there is needs no more.
        self.reason = if at_ceiling || used { Reason::Steady } else { Reason::Unused };
        let relieved = self.relief.see(view, self.usage.rate, used);
        if at_ceiling || !quiet || !alone || !used || view.now < at && !relieved {
            return;
        }
        let climbing = self.is_below_its_goal(view.now);
        let starved = if climbing { STARVED } else { STARVED_AT_HOME };
        let starved = if only { starved } else { starved * 2 };
        if !view.budget.may_try(climbing, relieved) && view.now.since(self.tried_at) < starved {
            return;
        }
        if relieved {
            self.relief.acted_on(view);
        }
        // One that was not used at once, and now is, goes on where it was.
        if view.now.since(self.tried_at) > watched(view, climbing) + SETTLE * 2 {
            self.streak = 0;
        }
        self.elsewhere = if only { 0.0 } else { self.relief.now() };
        let stride = if self.streak > 0 { self.stride(view, climbing) } else { self.first_stride(view) };
        self.try_higher(view, stride, climbing);
    }

    /// Soon after a fall the capacity may well come back; later probes are rarer.
    pub(super) fn longest_pause(&self, view: &View) -> Duration {
        if view.now.since(self.moved.1) < MOVING && view.restless {
            return PROBE_MOVING;
        }
        let fallen = self.good.is_some_and(|(good, at)| good > self.usage.rate && view.now.since(at) < SOON);
        match (fallen, self.usage.feeds_the_line()) {
            (true, true) => PROBE_SOON_UPLOAD,
            (true, false) => PROBE_SOON,
            (false, _) => PROBE_LAST,
        }
    }

    /// The rate that was good, while it is remembered.
    pub(super) fn goal(&self, now: Instant) -> Option<f64> {
        self.good.filter(|(_, at)| now.since(*at) < REMEMBER).map(|(rate, _)| rate)
    }

    /// What part is left of what was good.
    pub(in super::super) fn left(&self, now: Instant) -> f64 {
        self.goal(now).map_or(1.0, |good| self.usage.rate / good)
    }

    /// Whatever is tried is on the way back to what was good.
    pub(super) fn is_below_its_goal(&self, now: Instant) -> bool {
        self.left(now) < 1.0
    }

    fn try_higher(&mut self, view: &View, factor: f64, climbing: bool) {
        let from = self.usage.rate;
        self.set(from * factor);
        self.tried_at = view.now;
        self.phase = Phase::Trying { from, since: view.now, climbing };
        self.reason = if climbing { Reason::Recovering } else { Reason::Probing };
    }

    /// A higher rate proves itself when the delay has had time to answer and has not.
    pub(super) fn trying(&mut self, view: &View, from: f64, since: Instant, climbing: bool) {
        let waited = view.now.since(since);
        if waited < view.dead.saturating_sub(ANSWERS) {
            return; // nothing can be seen of it so early
        }
        // The longer it is looked at, the sooner a single sample is late by chance; and on radio, where most are.
        let [excess, little] = match waited > view.dead + view.dead.max(WATCHED) {
            true => view.firm,
            false => [if view.radio || view.fleeting { view.twice } else { view.excess }; 2],
        };
        let [excess, little] = [excess, little].map(|ms| ms - self.elsewhere.clamp(0.0, view.rise));
        // Half of that is no proof of anything, for a while.
        let doubtful = little - view.wire > 0.5 * view.rise;
        if excess > view.rise || doubtful && waited >= view.dead * DOUBT {
            // Not yet an alarm, but enough to know. What was carried before still is.
            let sudden = !view.restless && view.slope > SUDDEN * (self.usage.rate / from - 1.0).max(0.05);
            if sudden && excess > view.rise {
                // No try makes a queue that fast: the line has become slower meanwhile.
                self.phase = Phase::Steady { probe_at: None };
                return self.alarm(view, since, false);
            }
            let fed = self.usage.arrival();
            let leap = self.usage.rate > LEAP * from && !view.restless;
            let from = if leap { from.max(told_by_a_leap(view, fed, self.usage.rate)) } else { from };
            let capacity = if self.streak == 0 { from / view.headroom } else { CARRIED * from };
            let (from, drain) = (capacity * view.headroom, Drain::new(view));
            // What has failed in a leap lies just above that, and not where the leap went.
            self.fail(view, if leap { self.usage.rate.min(JUST_ABOVE * from) } else { self.usage.rate });
            let part = if drain.excess < SMALL_MS { 1.0 } else { drain_part(drain.excess / 1e3) };
            self.set(from.min(capacity * part));
            let until = self.drained_by(view, capacity);
            self.phase =
                Phase::Draining(Drain { probe: true, tried: true, capacity, before: from, fed, until, ..drain });
            self.reason = Reason::ProbeFailed;
            return;
        }
        let known = self.usage.was_read_after(since + view.dead).unwrap_or(waited >= view.dead * 3);
        let shows = view.rise / 1e3 / (SHOWS * (self.usage.rate / from - 1.0)).max(1e-3);
        let shows = Duration::from_secs_f64(shows.clamp(SHOWS_LEAST, SHOWS_MOST));
        if waited < (view.dead + shows).max(watched(view, climbing)) || !known || doubtful {
            return;
        }
        if !self.usage.is_proof(since + view.dead) {
            if waited < view.rtt * FILLS {
                return;
            }
            // Nobody uses it: nothing is proven, and nothing is wrong. It goes on when it is used.
            self.phase = Phase::Steady { probe_at: Some(view.now + SETTLE) };
            return;
        }
        self.pause = PROBE_FIRST;
        self.proven = self.proven.max(self.usage.rate);
        if !(climbing || view.restless || self.usage.is_full(since + view.dead)) {
            // Nobody has filled it: it stands, but is no proof of more.
            self.phase = Phase::Steady { probe_at: Some(view.now + self.pause) };
            return;
        }
        // Half a step is no proof of a larger one.
        let whole = self.usage.rate >= WHOLE * view.probe() * from;
        self.streak = if whole { self.streak + 1 } else { 1 };
        self.failed = self.failed.filter(|(failed, _)| *failed > self.usage.rate);
        if self.usage.rate >= self.range.ceiling().as_f64() {
            self.phase = Phase::Steady { probe_at: None };
            return;
        }
        if climbing && self.goal(view.now).is_none_or(|good| self.usage.rate >= 0.99 * good) {
            self.phase = Phase::Steady { probe_at: Some(view.now + self.pause) };
            return;
        }
        self.try_higher(view, self.stride(view, climbing), climbing);
    }

    /// The lowest rate that made delay lately.
    fn failed(&self, view: &View) -> Option<f64> {
        self.failed.filter(|(_, at)| view.now.since(*at) < FAILED).map(|(rate, _)| rate)
    }

    /// Halfway to a rate that has just failed; to that rate when it is near. Only a download is taken so near to what
    /// the line carries: there its usual delay tells when that is more ([`Relief`]).
    fn first_stride(&self, view: &View) -> f64 {
        let ahead = |failed: &f64| *failed > self.usage.rate && self.usage.is_watched();
        let Some(failed) = self.failed(view).filter(ahead) else { return view.probe() };
        let room = failed / self.usage.rate;
        if room > NEAR { libm::sqrt(room).min(view.probe()) } else { room.clamp(PROBE_SMALL, view.probe()) }
    }

    /// Towards a rate that was good in large steps; beyond, the more the more have succeeded; gently
    /// where it has failed before.
    fn stride(&self, view: &View, climbing: bool) -> f64 {
        let grown = (1..self.streak).fold(view.probe(), |stride, _| (stride * stride).min(STRIDE_MOST));
        let most = if view.restless { STRIDE_MOST } else { CLIMB };
        let goal = self.goal(view.now).filter(|_| climbing).map(|good| (good / self.usage.rate).min(most));
        let stride = goal.filter(|_| self.streak >= 2).unwrap_or(grown);
        let fails = self.failed(view).is_some_and(|failed| self.usage.rate * stride >= failed);
        match (fails, view.restless) {
            (false, _) => stride,
            (true, false) => self.first_stride(view),
            (true, true) => view.probe(),
        }
    }

    /// What was tried makes delay, and so would this rate.
    pub(super) fn fail(&mut self, view: &View, rate: f64) {
        let failed = self.failed(view).map_or(rate, |failed| failed.min(rate));
        self.failed = Some((failed, view.now));
        self.streak = 0;
    }
}

/// So large a step tells by its queue what the line carries, as at an alarm. `rate`: where it went.
fn told_by_a_leap(view: &View, fed: f64, rate: f64) -> f64 {
    line_carries(LEAP_PART * fed, view.slope).min(LEAP_MOST * rate)
}

/// For how long a rate that is tried is watched, until senders have used it to the full.
fn watched(view: &View, climbing: bool) -> Duration {
    let far = view.rtt.saturating_sub(FAR) * WATCHED_FAR;
    let least = if view.restless { Duration::ZERO } else { WATCHED };
    if climbing { far.min(WATCHED_CLIMBING) } else { far.clamp(least, WATCHED_MOST) }
}
