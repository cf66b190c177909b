//! Cuts that the delay does not answer: each drain may seem to end, because a delay that is not ours comes and goes around the
//! noise, and the next moment above it is the next cut. One by one they look right; together they take the rate to its floor.

use super::phase::{Drain, PLENTY};
use super::{GONE, View};
use crate::types::{Duration, Instant};

/// Of a queue nothing can be left where no more than this part is let through of what passed at first, after this time and
/// four decisions' effects (two of them through the queue).
const LOW: f64 = 0.7;
const LAST: Duration = Duration::from_secs(2);
const EFFECTS: u32 = 2;

/// A delay that has fallen to this part of the highest has answered.
const ANSWERED: f64 = 0.5;

/// Cuts of one direction since the delay last answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vain {
    /// The rate before the first of them, and the least that passed at a cut, where that was less (bit/s).
    before: f64,
    carried: f64,
    /// The highest delay since (milliseconds).
    highest: f64,
    /// Since when no queue can stand.
    low: Option<Instant>,
}

/// What the delay says of the cuts so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Says {
    /// They helped.
    Answered,
    Nothing,
    /// They did not, and would have by now.
    InVain,
}

impl Vain {
    pub(super) const fn new(view: &View, drain: &Drain) -> Self {
        Self { before: drain.before, carried: drain.carried, highest: view.level, low: None }
    }

    /// One cycle. `least`: the lowest rate there is.
    pub(super) fn see(&mut self, view: &View, rate: f64, least: f64, drain: Option<&Drain>) -> Says {
        self.highest = self.highest.max(view.level);
        if view.level < (GONE * view.rise).max(ANSWERED * self.highest) {
            return Says::Answered;
        }
        self.carried = drain.map_or(self.carried, |drain| self.carried.min(drain.carried));
        if rate <= least.max(LOW * self.before.min(self.carried)) {
            self.low.get_or_insert(view.now);
        }
        let effect = view.dead + Duration::from_secs_f64(view.queue());
        match self.low {
            Some(since) if view.now.since(since) >= LAST + effect * EFFECTS => Says::InVain,
            _ => Says::Nothing,
        }
    }

    /// What is given back, but no more than looks loaded where it fills the line after all.
    pub(super) fn given_back(&self) -> f64 {
        self.before.min(PLENTY * self.carried)
    }
}
