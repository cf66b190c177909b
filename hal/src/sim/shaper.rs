//! The router's shaper with CAKE behind it: a rate, a queue for each source, fair shares, and an
//! AQM that keeps each queue near its target.

#![allow(clippy::needless_range_loop, reason = "several arrays with one index")]

use super::fifo::{Bytes, SLOTS};
use super::flow::{MTU, STEP_S};

/// CAKE's interval, in steps, unless it is told a round-trip time.
const INTERVAL: f64 = 100.0;
/// CAKE's target, as a part of the interval; at least one and a half packets.
const TARGET: f64 = 0.05;
/// CAKE's memory: beyond it the longest queue loses.
const MEMORY: f64 = 4e6;

/// State of the AQM of one queue (the control law of `CoDel`).
#[derive(Clone, Copy, Debug)]
struct Aqm {
    /// When delay will have been above the target for an interval.
    deadline: Option<f64>,
    dropping: bool,
    next: f64,
    count: f64,
}

const CALM: Aqm = Aqm { deadline: None, dropping: false, next: 0.0, count: 0.0 };

impl Aqm {
    /// Whether a packet is to be dropped at `now` (in steps).
    fn drop_now(&mut self, now: f64, interval: f64, above: bool) -> bool {
        if !above {
            self.deadline = None;
            self.dropping = false;
            return false;
        }
        let deadline = *self.deadline.get_or_insert(now + interval);
        if self.dropping {
            if now < self.next {
                return false;
            }
            self.count += 1.0;
        } else {
            if now < deadline {
                return false;
            }
            self.dropping = true;
            // Coming back soon after the last time resumes near the old pace.
            let recent = now - self.next < 16.0 * interval;
            self.count = if recent && self.count > 2.0 { self.count - 2.0 } else { 1.0 };
        }
        self.next = now + interval / libm::sqrt(self.count);
        true
    }
}

/// One shaper.
#[derive(Clone, Debug)]
pub(crate) struct Shaper {
    /// Bytes per second; zero: no shaping, everything passes.
    pub(crate) rate: f64,
    /// How much time's worth of bytes may pass at once after a pause (RouterOS: `bucket-size`), in seconds.
    pub(crate) bucket_s: f64,
    /// CAKE's `rtt`, in steps.
    pub(crate) interval: f64,
    tokens: f64,
    queue: Bytes,
    aqm: [Aqm; SLOTS],
    backlog: f64,
    /// Bytes passed and packets dropped, ever.
    pub(crate) passed: f64,
    pub(crate) dropped: f64,
    /// Throughput of about the last second, in bytes per second.
    pub(crate) throughput: f64,
}

impl Shaper {
    pub(crate) const fn new() -> Self {
        Self {
            rate: 0.0,
            bucket_s: 0.0,
            interval: INTERVAL,
            tokens: 0.0,
            queue: [0.0; SLOTS],
            aqm: [CALM; SLOTS],
            backlog: 0.0,
            passed: 0.0,
            dropped: 0.0,
            throughput: 0.0,
        }
    }

    /// Bytes waiting.
    pub(crate) const fn backlog(&self) -> f64 {
        self.backlog
    }

    /// How long bytes wait at the present rate, in steps.
    pub(crate) fn delay_steps(&self) -> f64 {
        if self.rate > 0.0 && self.backlog > 0.0 {
            (self.backlog / (self.rate * STEP_S)).min(60.0 / STEP_S)
        } else {
            0.0
        }
    }

    /// One step: `arrivals` come in, `out` leaves, `drops` are taken out by the AQM.
    pub(crate) fn step(&mut self, now: f64, arrivals: &Bytes, used: usize, out: &mut Bytes, drops: &mut Bytes) {
        let mut busy = 0.0;
        for i in 0..used {
            self.queue[i] += arrivals[i];
            (out[i], drops[i]) = (0.0, 0.0);
            busy += if self.queue[i] > 0.0 { 1.0 } else { 0.0 };
        }
        self.fill(STEP_S);
        let mut left = if self.rate > 0.0 { self.tokens } else { f64::INFINITY };
        let share_rate = if busy > 0.0 { self.rate / busy } else { self.rate };
        // Fair shares by filling up: what one leaves over, the others get.
        while busy > 0.0 && left > 1e-6 {
            let share = left / busy;
            busy = 0.0;
            for i in 0..used {
                let take = if self.queue[i] < share { self.queue[i] } else { share };
                if take > 0.0 {
                    self.queue[i] -= take;
                    out[i] += take;
                    left -= take;
                    busy += if self.queue[i] > 0.0 { 1.0 } else { 0.0 };
                }
            }
        }
        self.tokens = left;
        self.account(out, used);
        if self.backlog > 0.0 {
            self.control(now, used, share_rate, drops);
        } else {
            self.aqm.iter_mut().take(used).for_each(|aqm| _ = aqm.drop_now(now, self.interval, false));
        }
    }

    /// Time passes in which so much may pass.
    pub(crate) fn fill(&mut self, time_s: f64) {
        let most = self.rate * if self.bucket_s > STEP_S { self.bucket_s } else { STEP_S };
        let tokens = if self.tokens.is_finite() { self.tokens } else { 0.0 } + self.rate * time_s;
        self.tokens = if tokens < most { tokens } else { most };
    }

    fn account(&mut self, out: &Bytes, used: usize) {
        let moved: f64 = out[..used].iter().sum();
        self.passed += moved;
        self.throughput += (moved / STEP_S - self.throughput) * STEP_S;
        self.backlog = self.queue[..used].iter().sum();
    }

    fn control(&mut self, now: f64, used: usize, share_rate: f64, drops: &mut Bytes) {
        let slowest = 1.5 * MTU / self.rate;
        let target = self.interval * STEP_S * TARGET;
        let target = if slowest > target { slowest } else { target };
        for i in 0..used {
            let above = self.queue[i] > target * share_rate && self.queue[i] > MTU;
            if self.aqm[i].drop_now(now, self.interval, above) {
                drops[i] += MTU;
            }
            if self.backlog > MEMORY {
                // Everybody above a fair share of the memory is cut to it.
                #[expect(clippy::cast_precision_loss, reason = "at most SLOTS")]
                let fair = MEMORY / used as f64;
                let excess = self.queue[i] - drops[i] - fair;
                drops[i] += if excess > 0.0 { excess } else { 0.0 };
            }
            if drops[i] > 0.0 {
                self.queue[i] -= drops[i];
                self.backlog -= drops[i];
                self.dropped += drops[i] / MTU;
            }
        }
    }
}
