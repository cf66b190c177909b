//! The provider's buffer: first in, first out, full is full.

use super::flow::STEP_S;

/// Sources of one direction: one paced stream (slot 0) and the transfers.
pub(crate) const SLOTS: usize = 17;

/// Bytes by source.
pub(crate) type Bytes = [f64; SLOTS];

/// The queue at the bottleneck; what does not fit is dropped at its end, or at its head. Which source a byte in it belongs to is kept as a
/// mixture; when it leaves is kept exactly, by counting.
#[derive(Clone, Debug)]
pub(crate) struct Fifo {
    /// Capacity in bytes per second.
    pub(crate) rate: f64,
    /// Most bytes that may wait.
    pub(crate) limit: f64,
    /// What does not fit is dropped at the head: the oldest first.
    pub(crate) drop_front: bool,
    queue: Bytes,
    /// All bytes let in, and all bytes let out, ever.
    pub(crate) arrived: f64,
    pub(crate) departed: f64,
    /// Of these, dropped at the head.
    pub(crate) dropped_ahead: f64,
    /// `departed` one step ago.
    departed_before: f64,
    /// Bytes let in per second in the last step.
    arrival_rate: f64,
    /// Share of the arrivals of the last step that were dropped.
    pub(crate) drop_share: f64,
}

impl Fifo {
    pub(crate) const fn new(rate: f64, limit: f64) -> Self {
        Self {
            rate,
            limit,
            drop_front: false,
            queue: [0.0; SLOTS],
            arrived: 0.0,
            departed: 0.0,
            dropped_ahead: 0.0,
            departed_before: 0.0,
            arrival_rate: 0.0,
            drop_share: 0.0,
        }
    }

    /// Bytes waiting.
    pub(crate) fn backlog(&self) -> f64 {
        let waiting = self.arrived - self.departed;
        if waiting > 0.0 { waiting } else { 0.0 }
    }

    /// How long a byte that enters now will wait at the present rate, in steps (at most 60 s).
    pub(crate) fn delay_steps(&self) -> f64 {
        let backlog = self.backlog();
        if backlog <= 0.0 {
            return 0.0;
        }
        // An infinite delay, when nothing leaves at all, is cut as well.
        (backlog / (self.rate * STEP_S)).min(60.0 / STEP_S)
    }

    /// One step: `arrivals` come in, `out` leaves, `drops` do not fit.
    pub(crate) fn step(&mut self, arrivals: &Bytes, used: usize, out: &mut Bytes, drops: &mut Bytes) {
        let room = self.rate * STEP_S;
        let coming: f64 = arrivals[..used].iter().sum();
        let waiting = self.backlog() + coming;
        let leaving = if waiting < room { waiting } else { room };
        let excess = waiting - leaving - self.limit;
        let ahead = if self.drop_front { self.drop_ahead(excess, used, drops) } else { 0.0 };
        let excess = excess - ahead;
        self.drop_share = if excess > 0.0 && coming > 0.0 { (excess / coming).min(1.0) } else { 0.0 };
        let kept = coming * (1.0 - self.drop_share);
        let total = self.backlog() + kept;
        let leaving = if leaving < total { leaving } else { total };
        let share = if total > 0.0 { leaving / total } else { 0.0 };
        for i in 0..used {
            let refused = arrivals[i] * self.drop_share;
            drops[i] = refused + if ahead > 0.0 { drops[i] } else { 0.0 };
            let held = self.queue[i] + arrivals[i] - refused;
            out[i] = held * share;
            self.queue[i] = held - out[i];
        }
        self.departed_before = self.departed;
        self.arrived += kept;
        self.departed += leaving;
        self.arrival_rate = kept / STEP_S;
        if share >= 1.0 {
            self.departed = self.arrived;
            self.queue = [0.0; SLOTS];
        }
    }

    /// Drops so much of what waits (not of what comes), and says how much that was.
    fn drop_ahead(&mut self, excess: f64, used: usize, drops: &mut Bytes) -> f64 {
        let backlog = self.backlog();
        let ahead = if excess < backlog { excess } else { backlog };
        if ahead <= 0.0 {
            return 0.0;
        }
        for (drop, queue) in drops[..used].iter_mut().zip(&mut self.queue) {
            *drop = *queue * ahead / backlog;
            *queue -= *drop;
        }
        self.departed += ahead;
        self.dropped_ahead += ahead;
        ahead
    }

    /// Bytes carried, ever.
    pub(crate) fn carried(&self) -> f64 {
        self.departed - self.dropped_ahead
    }

    /// The place in the queue of a packet that enters `late` seconds after the last step, as a
    /// count of bytes that must leave before it. `None`: nothing is ahead.
    pub(crate) fn place(&self, late: f64) -> Option<f64> {
        (self.backlog() > 0.0).then_some(self.arrived + late * self.arrival_rate)
    }

    /// Whether a packet at this place has left in the last step, and at which part of it.
    pub(crate) fn passed(&self, place: f64) -> Option<f64> {
        if self.departed < place && self.backlog() > 0.0 {
            return None;
        }
        let moved = self.departed - self.departed_before;
        let part = if moved > 0.0 { (place - self.departed_before) / moved } else { 0.0 };
        Some(part.clamp(0.0, 1.0))
    }
}
