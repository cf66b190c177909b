//! From the delays of several reflectors to one figure: delay above the idle line, and its slope.
//!
//! Each reflector has its own baseline, the least of the last minute in buckets of ten seconds: it
//! falls at once and rises within a minute, so a route change can't trap it (an exponential
//! average with a frozen branch can). What a bucket saw while our own queue stood is not believed
//! to be the idle line. The figure is the median over the reflectors, so that one of them can lie;
//! a probe that is still out counts with its age, so that a sudden queue is seen before its first
//! reply comes back.

use crate::types::{Duration, FIRST_TCP, Instant, MAX_REFLECTORS, Millis, Sample, Signal};

/// Length of a bucket of the windowed minimum…
const BUCKET: Duration = Duration::from_secs(10);

/// …and how many there are: a minute.
const BUCKETS: usize = 6;

/// Most reflectors a WAN chooses from, and TCP targets behind them (those of measure).
const CANDIDATES: usize = FIRST_TCP as usize + 4;

/// How far back the slope looks: three samples at 50 ms.
const SLOPE_WINDOW: Duration = Duration::from_millis(160);

/// Samples kept for the slope, and for the least of the last ones.
pub(super) const HISTORY: usize = 8;

/// Time constant of the mean and the spread of the idle line's delay (seconds).
const SETTLE_S: f64 = 5.0;

/// From the mean difference of one sample to the next to the mean deviation, for noise without
/// memory (0.71 if it is normal, 0.74 if exponential). A queue moves slowly, noise does not: so
/// a queue that comes and goes is not learnt as the line's noise.
const NOISE: f64 = 0.72;

/// A probe that is out this much longer than the last delay is late or lost (milliseconds).
const LATE_MS: f64 = 10.0;

/// Weight of one such case, and the share of late ones below which waiting probes prove nothing:
/// reflectors that limit their answers would look like bloat.
const TRUST_WEIGHT: f64 = 0.1;
const LEAST_TRUST: f64 = 0.4;

/// Least spread that is believed (milliseconds): clocks and schedulers are never quieter.
const LEAST_SPREAD_MS: f64 = 0.3;

/// The least delay of each of the last buckets.
#[derive(Clone, Copy, Debug)]
struct Base {
    buckets: [f64; BUCKETS],
    /// What was configured or learnt before, until the line itself was seen: whoever starts in the
    /// middle of bloat must not take it for the idle line.
    prior: Option<f64>,
}

impl Base {
    const fn new(prior: f64) -> Self {
        Self { buckets: [f64::INFINITY; BUCKETS], prior: Some(prior) }
    }

    fn get(&self) -> f64 {
        self.buckets.iter().copied().fold(self.prior.unwrap_or(f64::INFINITY), f64::min)
    }
}

/// The sensor of one WAN. All delays in milliseconds.
#[derive(Clone, Debug)]
pub(super) struct Sensor {
    bases: [Base; CANDIDATES],
    bucket: usize,
    bucket_since: Option<Instant>,
    /// Our own queue may have stood in the line at some time in this bucket.
    tainted: bool,
    /// Usual delay above the minimum of an idle line, and its mean deviation.
    mean: f64,
    spread: f64,
    most_spread: f64,
    /// Delay above baseline: replies only, and with the probes still out.
    delay: f64,
    bound: f64,
    baseline: f64,
    history: [(Instant, f64); HISTORY],
    kept: usize,
    /// How often probes that were out for long turned out to be late, and not lost.
    trust: f64,
    last: Option<Instant>,
    /// What is seen are connect times, because no reflector answers.
    by_tcp: bool,
}

impl Sensor {
    /// An idle line of this kind has about this delay above its minimum.
    pub(super) fn new(baseline: Millis, jitter: Millis) -> Self {
        let jitter = jitter.get();
        Self {
            bases: [Base::new(baseline.get()); CANDIDATES],
            bucket: 0,
            bucket_since: None,
            tainted: false,
            mean: jitter,
            spread: (0.5 * jitter).max(LEAST_SPREAD_MS),
            most_spread: 4.0 * jitter.max(1.0),
            delay: 0.0,
            bound: 0.0,
            baseline: baseline.get(),
            history: [(Instant::ZERO, 0.0); HISTORY],
            kept: 0,
            trust: 1.0,
            last: None,
            by_tcp: false,
        }
    }

    /// Starts from a baseline that an earlier run has learnt.
    pub(super) fn restore(&mut self, baseline: Millis) {
        self.baseline = baseline.get();
        self.bases = [Base::new(self.baseline); CANDIDATES];
    }

    /// Takes in a sample. `clear`: there is no queue of ours in the line, as far as anybody knows;
    /// `idle`: there can be none, because nothing to speak of is on the line.
    pub(super) fn see(&mut self, now: Instant, sample: &Sample, clear: bool, idle: bool) {
        self.tainted |= !clear;
        self.turn(now);
        let by_tcp = sample.signal == Signal::Degraded;
        if core::mem::replace(&mut self.by_tcp, by_tcp) != by_tcp {
            // Other hosts, another way of answering: no slope across that.
            (self.kept, self.bound) = (0, self.delay);
        }
        let mut replied: heapless::Vec<f64, MAX_REFLECTORS> = heapless::Vec::new();
        let mut bounded: heapless::Vec<f64, MAX_REFLECTORS> = heapless::Vec::new();
        let mut bases: heapless::Vec<f64, MAX_REFLECTORS> = heapless::Vec::new();
        for i in 0..MAX_REFLECTORS {
            let Some(base) = self.bases.get_mut(usize::from(sample.candidates[i])) else { continue };
            if let Some(rtt) = sample.per_reflector[i] {
                let slot = &mut base.buckets[self.bucket];
                *slot = slot.min(rtt.get());
                if clear {
                    base.prior = None;
                }
            }
            if !by_tcp && sample.candidates[i] >= FIRST_TCP {
                continue; // its distance is learnt, no more
            }
            let least = base.get();
            if !least.is_finite() {
                continue;
            }
            let waits = sample.waiting[i].map_or(0.0, |out| (out.as_secs_f64() * 1e3 - least).max(0.0));
            if let Some(rtt) = sample.per_reflector[i] {
                let _ = replied.push(rtt.get() - least);
                let _ = bases.push(least);
                let _ = bounded.push((rtt.get() - least).max(waits));
            } else if waits > 0.0 {
                let _ = bounded.push(waits);
            }
        }
        let waited = self.bound;
        self.bound = middle(&mut bounded).unwrap_or(waited);
        let Some(delay) = middle(&mut replied).filter(|_| sample.renewed) else { return };
        if waited > self.delay + LATE_MS {
            // Probes were out for long: late, or lost?
            let late = f64::from(u8::from(delay > self.delay + 0.5 * (waited - self.delay)));
            self.trust += TRUST_WEIGHT * (late - self.trust);
        }
        let elapsed = self.last.map_or(0.0, |last| now.since(last).as_secs_f64()).min(1.0);
        self.last = Some(now);
        let before = core::mem::replace(&mut self.delay, delay);
        self.baseline = middle(&mut bases).unwrap_or(self.baseline);
        self.remember(now);
        let weight = (elapsed / SETTLE_S).min(1.0);
        if idle {
            self.mean += weight * (delay - self.mean);
        }
        if clear {
            let off = (NOISE * libm::fabs(delay - before)).min(self.most_spread);
            self.spread = (self.spread + weight * (off - self.spread)).max(LEAST_SPREAD_MS);
        }
    }

    /// The next bucket begins every ten seconds. A bucket in which our own queue stood says
    /// nothing about the idle line: it keeps what was believed before.
    fn turn(&mut self, now: Instant) {
        let since = *self.bucket_since.get_or_insert(now);
        if now.since(since) < BUCKET {
            return;
        }
        self.bucket_since = Some(now);
        let (next, tainted) = ((self.bucket + 1) % BUCKETS, core::mem::take(&mut self.tainted));
        for base in &mut self.bases {
            if !base.buckets[self.bucket].is_finite() {
                continue; // nothing was seen, nothing is forgotten
            }
            if tainted {
                base.buckets[self.bucket] = base.get();
            }
            base.buckets[next] = f64::INFINITY;
        }
        self.bucket = next;
    }

    fn remember(&mut self, now: Instant) {
        self.history.rotate_right(1);
        self.history[0] = (now, self.delay);
        self.kept = (self.kept + 1).min(HISTORY);
    }

    /// Delay above what an idle line has, by replies alone (milliseconds, may be below zero).
    pub(super) fn excess(&self) -> f64 {
        self.delay - self.mean
    }

    /// The least of the last samples, so many of them, as far as they are no older than that: a late one is no queue.
    pub(super) fn least_excess(&self, now: Instant, samples: usize, age: Duration) -> f64 {
        let recent = self.history[..self.kept].iter().take(samples).filter(|(at, _)| now.since(*at) <= age);
        recent.map(|(_, delay)| *delay).fold(self.delay, f64::min) - self.mean
    }

    /// The same with the probes that are still out: what the delay is at least.
    pub(super) fn excess_bound(&self) -> f64 {
        let bound = if self.trust < LEAST_TRUST { self.delay } else { self.bound.max(self.delay) };
        bound - self.mean
    }

    /// Mean deviation of the delay on an idle line (milliseconds).
    pub(super) const fn spread(&self) -> f64 {
        self.spread
    }

    /// Growth of the delay, in seconds per second as seen by replies coming in: the steepest that
    /// the last samples show beyond their noise, because senders that wait for acknowledgements
    /// soon flatten it. With a queue that grows by *s* per second of sending, replies show
    /// *s/(1+s)*, because each takes longer than the one before.
    pub(super) fn slope(&self) -> f64 {
        let recent = &self.history[..self.kept];
        let mut steepest: f64 = 0.0;
        for (i, (late, high)) in recent.iter().enumerate() {
            for (early, low) in &recent[i + 1..] {
                let near = recent[0].0.since(*early) <= SLOPE_WINDOW;
                let elapsed = late.since(*early).as_secs_f64();
                if near && elapsed > 0.0 {
                    steepest = steepest.max((high - low - 2.0 * self.spread) / 1e3 / elapsed);
                }
            }
        }
        steepest
    }

    /// RTT of the idle line, and of now.
    pub(super) fn levels(&self) -> (f64, f64) {
        (self.baseline, self.baseline + self.delay.max(0.0))
    }
}

/// The middle one; of two the lower, so that one liar of two can't raise an alarm.
fn middle(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}
