//! A line that has become faster, noticed without trying.
//!
//! Whether a capacity has come back can't be seen from below: a line that carries all it gets tells nothing of what else
//! it would carry. But a download that is used to 95 % of what the line carries keeps a little queue there, some
//! milliseconds of its senders' unevenness. When the line becomes faster that little is gone at once, at the same rate and
//! the same use. This is no proof (a transfer may have ended), so all that follows is that the next try is made now.

use super::View;
use crate::types::{Duration, Instant};

/// Time constants of the delay now and of what is usual (seconds).
const NOW_S: f64 = 0.3;
const USUAL_S: f64 = 3.0;

/// At a new rate the delay settles, and then what is usual is learnt, before anything can be missed.
const SETTLES: Duration = Duration::from_millis(400);
const LEARNS: Duration = Duration::from_secs(2);

/// Missing is what is below the usual by this many of its deviations, and by so much (milliseconds).
const DEVIATIONS: f64 = 2.5;
const LEAST_MS: f64 = 0.2;

/// The deviation to begin with (milliseconds).
const DEVIATION_MS: f64 = 0.5;

/// A rate that differs by less is the same.
const SAME: f64 = 0.015;

/// Samples farther apart have nothing to do with each other.
const APART: Duration = Duration::from_millis(200);

/// After one that was acted on: a transfer that comes and goes must not make a try each time.
const PAUSE: Duration = Duration::from_secs(5);

/// The little delay that is usual at one rate.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Relief {
    rate: f64,
    /// Excess delay of now, what is usual, and its mean deviation (milliseconds).
    now: f64,
    usual: f64,
    deviation: f64,
    since: Instant,
    last: Instant,
    not_before: Instant,
}

impl Relief {
    /// The delay lately (milliseconds).
    pub(super) const fn now(&self) -> f64 {
        self.now
    }

    /// One cycle at this rate (bit/s), `used` to the full or not: whether the usual delay is gone.
    pub(super) fn see(&mut self, view: &View, rate: f64, used: bool) -> bool {
        if !used || libm::fabs(rate - self.rate) > SAME * rate {
            let (now, since) = (view.excess, view.now);
            let Self { not_before, .. } = *self;
            *self = Self { rate, now, usual: now, deviation: DEVIATION_MS, since, last: since, not_before };
            return false;
        }
        let elapsed = view.now.since(self.last);
        if elapsed > APART {
            (self.now, self.since) = (view.excess, view.now);
        }
        self.last = view.now;
        let elapsed = elapsed.as_secs_f64();
        self.now += (elapsed / NOW_S).min(1.0) * (view.excess - self.now);
        let age = view.now.since(self.since);
        if age > LEARNS && self.now < self.usual - DEVIATIONS * self.deviation - LEAST_MS {
            return view.now >= self.not_before;
        }
        if age > SETTLES {
            let weight = (elapsed / USUAL_S.min(age.as_secs_f64())).min(1.0);
            self.usual += weight * (self.now - self.usual);
            self.deviation += weight * (libm::fabs(self.now - self.usual) - self.deviation);
        }
        false
    }

    /// A try is made because of it: what is usual is learnt anew.
    pub(super) fn acted_on(&mut self, view: &View) {
        (self.rate, self.not_before) = (0.0, view.now + PAUSE);
    }
}
