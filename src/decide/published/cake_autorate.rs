//! cake-autorate (the bash original, version 3.x), by its description and its defaults.
//!
//! With plain ping each direction is charged half of the round-trip time. The baseline falls fast
//! and rises very slowly; three of the last six answers more than 30 ms above it are bufferbloat,
//! which costs a direction 1 to 25 % of its rate, at most every 300 ms, whether it is loaded or
//! not. A loaded direction without bufferbloat gains up to 4 % at each new reading of its
//! counters (200 ms); any other returns to its base rate by 1 % a second.
//!
//! Differences to the original: one answer every 50 ms is its pace (six reflectors, 300 ms each);
//! here it is the median of our reflectors, so one bad reflector does not vote. Its sleep while
//! idle and its stall state hold the rates by default, and are left out.

use super::{Input, Opinion};
use crate::types::{Duration, Instant, Reason, State};

/// From answer to answer (with some tolerance for ours).
const PACE: Duration = Duration::from_millis(45);

/// Answers that are looked at, and how many of them make bufferbloat.
const WINDOW: usize = 6;
const VOTES: usize = 3;

/// Weights of an answer above and below the baseline.
const RISE: f64 = 0.001;
const FALL: f64 = 0.9;

/// Where the baseline begins (ms).
const START: f64 = 100.0;

/// One-way delay above the baseline (ms): full gain below the first, bufferbloat above the
/// second, full cut above the third.
const FULL_UP: f64 = 10.0;
const DELAYED: f64 = 30.0;
const FULL_DOWN: f64 = 60.0;

/// Factors of the mildest and the hardest cut, and of the greatest gain.
const CUT_LEAST: f64 = 0.99;
const CUT_MOST: f64 = 0.75;
const GAIN_MOST: f64 = 0.04;

/// Part of the rate above which a direction is loaded.
const HIGH_LOAD: f64 = 0.75;

/// Pauses after a cut, and between two steps towards the base rate; the factor of such a step.
const CUT_PAUSE: Duration = Duration::from_millis(300);
const DECAY_PAUSE: Duration = Duration::from_secs(1);
const DECAY: f64 = 0.01;

/// A packet on the wire, in bits.
const PACKET_BITS: f64 = 1514.0 * 8.0;

/// One direction.
#[derive(Clone, Copy, Debug)]
struct Leg {
    base: f64,
    /// Which of the last answers were late.
    late: [bool; WINDOW],
    cut_at: Option<Instant>,
    decay_at: Option<Instant>,
}

/// The law at work on one WAN.
#[derive(Clone, Debug)]
pub(super) struct CakeAutorate {
    baseline: f64,
    deltas: [f64; WINDOW],
    place: usize,
    legs: [Leg; 2],
    answered_at: Option<Instant>,
    stats_at: Option<Instant>,
}

impl CakeAutorate {
    pub(super) fn new(bases: [f64; 2]) -> Self {
        let leg = |base| Leg { base, late: [false; WINDOW], cut_at: None, decay_at: None };
        Self {
            baseline: START,
            deltas: [0.0; WINDOW],
            place: 0,
            legs: bases.map(leg),
            answered_at: None,
            stats_at: None,
        }
    }

    /// One cycle: at most one answer.
    pub(super) fn decide(&mut self, input: Input<'_>, mut opinion: Opinion) -> Opinion {
        let due = self.answered_at.is_none_or(|at| input.now.since(at) >= PACE);
        let Some(rtt) = input.sample.rtt.filter(|_| due && input.sample.renewed) else {
            return opinion;
        };
        self.answered_at = Some(input.now);
        let delay = rtt.get() / 2.0;
        self.baseline += (delay - self.baseline) * if delay >= self.baseline { RISE } else { FALL };
        self.deltas[self.place] = delay - self.baseline;
        let news = input.stats.filter(|stats| self.stats_at != Some(stats.at));
        self.stats_at = input.stats.map(|stats| stats.at);
        for i in 0..2 {
            let achieved = input.stats.and_then(|stats| stats.achieved[i]).map_or(0.0, |rate| rate.as_f64());
            self.leg(i, input.now, achieved, news.is_some(), &mut opinion);
        }
        self.place = (self.place + 1) % WINDOW;
        opinion.baseline = 2.0 * self.baseline;
        opinion.load = rtt.get();
        opinion
    }

    fn leg(&mut self, i: usize, now: Instant, achieved: f64, news: bool, opinion: &mut Opinion) {
        let leg = &mut self.legs[i];
        let rate = opinion.rates[i];
        // A packet takes its time at a low rate: all thresholds are higher by that.
        let packet = PACKET_BITS / rate * 1e3;
        leg.late[self.place] = self.deltas[self.place] > DELAYED + packet;
        #[expect(clippy::cast_precision_loss, reason = "six")]
        let average = self.deltas.iter().sum::<f64>() / WINDOW as f64 - packet;
        let bloated = leg.late.iter().filter(|&&late| late).count() >= VOTES;
        let calm = leg.cut_at.is_none_or(|at| now.since(at) > CUT_PAUSE);
        let loaded = achieved > HIGH_LOAD * rate;
        let (factor, state, reason) = if bloated && calm {
            let part = ((average - DELAYED) / (FULL_DOWN - DELAYED)).clamp(0.0, 1.0);
            (leg.cut_at, leg.decay_at) = (Some(now), Some(now));
            (CUT_LEAST - part * (CUT_LEAST - CUT_MOST), State::Red, Reason::Red)
        } else if bloated {
            (1.0, State::Red, Reason::Red)
        } else if loaded && news && calm {
            let part = ((DELAYED - average) / (DELAYED - FULL_UP)).clamp(0.0, 1.0);
            (1.0 + part * GAIN_MOST, State::Green, Reason::Recovering)
        } else if !loaded && leg.decay_at.is_none_or(|at| now.since(at) > DECAY_PAUSE) {
            leg.decay_at = Some(now);
            (decay(rate, leg.base), State::Green, Reason::Unused)
        } else {
            (1.0, State::Green, Reason::Steady)
        };
        opinion.rates[i] = rate * factor;
        (opinion.states[i], opinion.reasons[i]) = (state, reason);
    }
}

/// The factor that brings the rate a step nearer to the base rate, but not beyond it.
fn decay(rate: f64, base: f64) -> f64 {
    if rate > base { (1.0 - DECAY).max(base / rate) } else { (1.0 + DECAY).min(base / rate) }
}
