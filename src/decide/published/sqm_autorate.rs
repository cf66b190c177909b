//! sqm-autorate (the Lua original and its Rust version), by its description and its defaults.
//!
//! Twice a second, for both directions alike: half of the round-trip time of each reflector is
//! followed by a slow and a fast average, whose difference is the delay. Without delay and with
//! the direction loaded, the rate rises fast up to the best known to be safe, and by 3 % of the
//! base rate beyond it; with delay it becomes 0.9 of what was *measured* to pass, or a rate drawn
//! from those known to be safe, whichever is lower.
//!
//! Differences to the original: the third smallest delay of five reflectors decides there, the
//! median of ours here. It knows no upper bound; here the configured ceiling is one.

use super::{Input, Opinion};
use crate::types::{Duration, Instant, MAX_REFLECTORS, Reason, Signal, State};

/// From decision to decision.
const TICK_S: f64 = 0.5;
const TICK: Duration = Duration::from_millis(500);

/// Half-lives of the slow and the fast average.
const SLOW_S: f64 = 135.0;
const FAST_S: f64 = 0.4;

/// One-way delay that is too much (ms).
const DELAY: f64 = 15.0;

/// Part of the rate above which a direction is loaded.
const HIGH_LOAD: f64 = 0.8;

/// How many rates known to be safe are kept.
const SAFE: usize = 100;

/// Of the base rate: where it starts, the least, and the linear part of a rise.
const START: f64 = 0.6;
const LEAST: f64 = 0.2;
const LINEAR: f64 = 0.03;

/// Of the rate: the greatest exponential part of a rise, and what remains of the measured rate.
const EXPONENTIAL: f64 = 0.1;
const CUT: f64 = 0.9;

/// One direction.
#[derive(Clone, Debug)]
struct Leg {
    base: f64,
    safe: [f64; SAFE],
    place: usize,
}

/// The law at work on one WAN.
#[derive(Clone, Debug)]
pub(super) struct SqmAutorate {
    /// Slow and fast average of each reflector (ms, one way).
    averages: [Option<(f64, f64)>; MAX_REFLECTORS],
    legs: [Leg; 2],
    last: Option<Instant>,
    chance: u64,
}

impl SqmAutorate {
    pub(super) fn new(bases: [f64; 2]) -> Self {
        let mut law = Self {
            averages: [None; MAX_REFLECTORS],
            legs: bases.map(|base| Leg { base, safe: [0.0; SAFE], place: 0 }),
            last: None,
            chance: 0x2545_F491_4F6C_DD1D,
        };
        for i in 0..2 {
            for place in 0..SAFE {
                law.legs[i].safe[place] = (0.75 + 0.2 * law.draw()) * law.legs[i].base;
            }
        }
        law
    }

    /// Evenly distributed in 0 to 1, from a fixed beginning (xorshift64).
    fn draw(&mut self) -> f64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let unit = (self.chance >> 11) as f64 / 9_007_199_254_740_992.0;
        unit
    }

    /// One cycle; decides only twice a second.
    pub(super) fn decide(&mut self, input: Input<'_>, mut opinion: Opinion) -> Opinion {
        let Some(last) = self.last else {
            self.last = Some(input.now);
            opinion.rates = [0, 1].map(|i| START * self.legs[i].base);
            return opinion;
        };
        if input.now.since(last) + TICK / 20 < TICK {
            return opinion;
        }
        self.last = Some(input.now);
        let Some((delta, baseline)) = self.delay(input) else {
            if input.sample.signal != Signal::WarmingUp {
                opinion.rates = [0, 1].map(|i| LEAST * self.legs[i].base);
                opinion.reasons = [Reason::Floor; 2];
            }
            return opinion;
        };
        for i in 0..2 {
            let Some(achieved) = input.stats.and_then(|stats| stats.achieved[i]) else { continue };
            let load = achieved.as_f64() / opinion.rates[i];
            self.leg(i, delta, load, &mut opinion);
        }
        (opinion.baseline, opinion.load) = (2.0 * baseline, 2.0 * (baseline + delta.max(0.0)));
        opinion
    }

    /// Median over reflectors of fast minus slow average, and the lowest slow one.
    fn delay(&mut self, input: Input<'_>) -> Option<(f64, f64)> {
        let weight = |half_life: f64| 1.0 - libm::exp2(-TICK_S / half_life);
        let (slow, fast) = (weight(SLOW_S), weight(FAST_S));
        let mut deltas = heapless::Vec::<f64, MAX_REFLECTORS>::new();
        let mut lowest = f64::INFINITY;
        for (known, seen) in self.averages.iter_mut().zip(&input.sample.per_reflector) {
            let Some(rtt) = seen else { continue };
            let delay = rtt.get() / 2.0;
            let (base, recent) = known.get_or_insert((delay, delay));
            *recent += fast * (delay - *recent);
            *base = (*base + slow * (delay - *base)).min(*recent);
            lowest = lowest.min(*base);
            let _ = deltas.push(*recent - *base);
        }
        deltas.sort_unstable_by(f64::total_cmp);
        deltas.get(deltas.len() / 2).map(|&delta| (delta, lowest))
    }

    fn leg(&mut self, i: usize, delta: f64, load: f64, opinion: &mut Opinion) {
        let rate = opinion.rates[i];
        let drawn = if delta > DELAY { self.draw() } else { 0.0 };
        let leg = &mut self.legs[i];
        let mut next = rate;
        (opinion.states[i], opinion.reasons[i]) = (State::Green, Reason::Steady);
        if delta < DELAY && load > HIGH_LOAD {
            leg.safe[leg.place] = libm::floor(rate * load);
            leg.place = (leg.place + 1) % SAFE;
            let best = leg.safe.iter().copied().fold(0.0, f64::max);
            next = rate * (1.0 + EXPONENTIAL * (1.0 - rate / best).max(0.0)) + LINEAR * leg.base;
            opinion.reasons[i] = Reason::Recovering;
        } else if delta > DELAY {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "between 0 and 100"
            )]
            let pick = leg.safe[((drawn * SAFE as f64) as usize).min(SAFE - 1)];
            next = (CUT * rate * load).min(pick);
            (opinion.states[i], opinion.reasons[i]) = (State::Red, Reason::Red);
        }
        opinion.rates[i] = next.max(LEAST * leg.base);
    }
}
