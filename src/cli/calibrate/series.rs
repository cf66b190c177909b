//! What was seen while calibrating: probes and counters over time, and the figures made of them. Pure.

use crate::types::{Bitrate, Direction, Duration, Instant, RateRange};

/// Figures of the idle line are made of so much of it at a time.
const SLICE: Duration = Duration::from_secs(1);

/// Bits of a full packet on the wire.
const PACKET_BITS: f64 = 12_000.0;

/// A probe that was answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probe {
    /// When it left.
    pub sent: Instant,
    /// Who was asked, by the order of their first answers.
    pub reflector: usize,
    /// Its round trip, in milliseconds.
    pub rtt: f64,
}

/// What the idle line is like, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Idle {
    /// Median round trip of each reflector.
    pub medians: Vec<f64>,
    /// Median over the reflectors.
    pub baseline: f64,
    /// Usual delay above the minimum.
    pub jitter: f64,
    /// Delay above the median that 95 % of the probes stay below.
    pub p95: f64,
    /// Spread of the medians of single seconds.
    pub wander: f64,
    /// Probes answered.
    pub count: usize,
}

/// Everything seen so far.
#[derive(Clone, Debug, Default)]
pub struct Series {
    probes: Vec<Probe>,
    /// Bytes counted, as a running sum, at the times of the readings.
    counts: [Vec<(Instant, f64)>; 2],
    /// Limits as the router confirmed them; zero is unlimited.
    limits: [Vec<(Instant, Bitrate)>; 2],
}

impl Series {
    /// A probe was answered.
    pub fn probe(&mut self, probe: Probe) {
        self.probes.push(probe);
    }

    /// So many bytes passed between two readings.
    pub fn count(&mut self, direction: Direction, since: Instant, at: Instant, rate: Bitrate) {
        let counts = &mut self.counts[direction.index()];
        let (last, sum) = counts.last().copied().unwrap_or((since, 0.0));
        if counts.is_empty() || since > last {
            // Nothing is known of a gap.
            counts.push((since, sum));
        }
        // What was known already is not counted twice.
        let from = if since > last { since } else { last };
        if at > from {
            counts.push((at, sum + rate.as_f64() / 8.0 * at.since(from).as_secs_f64()));
        }
    }

    /// The router shows this limit.
    pub fn limit(&mut self, direction: Direction, at: Instant, limit: Bitrate) {
        let limits = &mut self.limits[direction.index()];
        if limits.last().is_none_or(|(_, last)| *last != limit) {
            limits.push((at, limit));
        }
    }

    /// Limits over time.
    #[must_use]
    pub fn limits(&self, direction: Direction) -> &[(Instant, Bitrate)] {
        &self.limits[direction.index()]
    }

    /// The newest reading of the counters.
    #[must_use]
    pub fn counted_until(&self, direction: Direction) -> Option<Instant> {
        self.counts[direction.index()].last().map(|(at, _)| *at)
    }

    /// Mean rate between two times, as far as it was counted (bit/s).
    #[must_use]
    pub fn rate(&self, direction: Direction, from: Instant, to: Instant) -> Option<f64> {
        mean_rate(&self.counts[direction.index()], from, to)
    }

    /// Mean rates of the whole time in pieces of this length, for a plot: end, bit/s.
    #[must_use]
    pub fn rates(&self, direction: Direction, piece: Duration) -> Vec<(Instant, f64)> {
        let counts = &self.counts[direction.index()];
        let (Some((start, _)), Some((end, _))) = (counts.first(), counts.last()) else { return Vec::new() };
        slices(*start, *end, piece).filter_map(|(a, b)| Some((b, mean_rate(counts, a, b)?))).collect()
    }

    /// What the idle line was like between two times; `None` when too little was answered.
    #[must_use]
    pub fn idle(&self, from: Instant, to: Instant) -> Option<Idle> {
        let seen: Vec<&Probe> = self.sent(from, to).collect();
        let reflectors = seen.iter().map(|p| p.reflector + 1).max()?;
        let of = |r: usize| seen.iter().filter(move |p| p.reflector == r).map(|p| p.rtt);
        let medians: Vec<f64> = (0..reflectors).map(|r| quantile(of(r).collect(), 0.5).unwrap_or(0.0)).collect();
        let least: Vec<f64> = (0..reflectors).map(|r| of(r).fold(f64::INFINITY, f64::min)).collect();
        let count = seen.len();
        let above = |p: &Probe| p.rtt - medians[p.reflector];
        let seconds: Vec<f64> =
            slices(from, to, SLICE).filter_map(|(a, b)| quantile(self.sent(a, b).map(above).collect(), 0.5)).collect();
        let wander = quantile(seconds.clone(), 1.0)? - quantile(seconds, 0.0)?;
        Some(Idle {
            baseline: quantile(medians.iter().copied().filter(|m| *m > 0.0).collect(), 0.5)?,
            jitter: quantile(seen.iter().map(|p| p.rtt - least[p.reflector]).collect(), 0.5)?,
            p95: quantile(seen.iter().map(|p| above(p)).collect(), 0.95)?,
            medians,
            wander,
            count,
        })
    }

    /// Probes sent between two times.
    fn sent(&self, from: Instant, to: Instant) -> impl Iterator<Item = &Probe> {
        self.probes.iter().filter(move |p| p.sent >= from && p.sent < to)
    }

    /// Delays above the idle line of the probes sent between two times: when sent, milliseconds.
    pub fn delays(&self, idle: &Idle, from: Instant, to: Instant) -> Vec<(Instant, f64)> {
        let above = |p: &Probe| Some((p.sent, p.rtt - idle.medians.get(p.reflector)?));
        self.sent(from, to).filter_map(above).collect()
    }

    /// Quantile of the delay above the idle line (milliseconds).
    #[must_use]
    pub fn delay(&self, idle: &Idle, from: Instant, to: Instant, part: f64) -> Option<f64> {
        quantile(self.delays(idle, from, to).into_iter().map(|(_, delay)| delay).collect(), part)
    }

    /// What left the line's own queue in pieces of this length (bit/s), and whether that queue stood for
    /// the whole of it: then it is what the line carries. Else the piece tells only that it carries as
    /// much, and the greater of that and the last known one stands for it.
    #[must_use]
    pub fn capacities(&self, of: &Loaded<'_>, piece: Duration) -> Vec<(f64, bool)> {
        let delays = self.delays(of.idle, of.from, of.to);
        let left = self.left_queue(of, &delays);
        let mut known: Option<f64> = None;
        let mut found = Vec::new();
        for (a, b) in slices(of.from, of.to, piece) {
            let Some(rate) = mean_rate(&left, a, b) else { continue };
            let leaves = |(sent, delay): &(Instant, f64)| *sent + millis(*delay);
            let inside = delays.iter().filter(|p| leaves(p) >= a && leaves(p) < b).map(|(_, delay)| *delay);
            let stands = quantile(inside.collect(), 0.1).is_some_and(|least| least > of.risen);
            let value = if stands { rate } else { known.map_or(rate, |known| known.max(rate)) };
            known = if stands { Some(rate) } else { known };
            found.push((value, stands));
        }
        // Before the queue first stood the line was not full.
        let first = found.iter().position(|(_, stands)| *stands).unwrap_or(0);
        found.split_off(first)
    }

    /// Bytes that have left the line's own queue over time. On download the router counts behind it.
    /// On upload it counts before it: what was counted leaves as much later as a probe waits.
    fn left_queue(&self, of: &Loaded<'_>, delays: &[(Instant, f64)]) -> Vec<(Instant, f64)> {
        let counts = &self.counts[of.direction.index()];
        if of.direction == Direction::Download {
            return counts.clone();
        }
        let entered: Vec<(Instant, Instant, f64)> = counts
            .iter()
            .filter(|(at, _)| *at >= of.from && *at <= of.to)
            .map(|&(at, sum)| {
                let near = delays.iter().filter(|(sent, _)| sent.since(at).max(at.since(*sent)) < NEAR);
                let wait = quantile(near.map(|(_, delay)| *delay).collect(), 0.5).unwrap_or(0.0);
                (at, at + millis(wait), sum)
            })
            .collect();
        let left = leave(&entered, f64::INFINITY);
        if !of.overflows {
            return left;
        }
        let queues = entered.iter().filter_map(|(at, leaves, _)| Some(sum_at(&left, *leaves)? - sum_at(&left, *at)?));
        leave(&entered, quantile(queues.collect(), FULL).unwrap_or(f64::INFINITY))
    }
}

/// The line's own queue is taken to hold what it was seen to hold, but for this part of the time; more
/// than that was counted, and dropped.
const FULL: f64 = 0.8;

/// What has left a queue that holds so much, from what entered it: when, when that leaves, running sum.
fn leave(entered: &[(Instant, Instant, f64)], most: f64) -> Vec<(Instant, f64)> {
    let mut left: Vec<(Instant, f64)> = Vec::with_capacity(entered.len());
    let mut before = entered.first().map_or(0.0, |(_, _, sum)| *sum);
    for &(at, leaves, sum) in entered {
        let (last, total) = left.last().copied().unwrap_or((Instant::ZERO, before));
        let ahead = sum_at(&left, at).unwrap_or(f64::INFINITY);
        let total = (total + sum - before).min(ahead + most).max(total);
        before = sum;
        if leaves > last {
            left.push((leaves, total));
        } else if let Some(newest) = left.last_mut() {
            newest.1 = total;
        }
    }
    left
}

/// How near to a reading of the counters a probe tells of the queue then.
const NEAR: Duration = Duration::from_millis(120);

/// A time in which one direction was loaded.
#[derive(Clone, Copy, Debug)]
pub struct Loaded<'a> {
    /// Which direction.
    pub direction: Direction,
    /// The idle line.
    pub idle: &'a Idle,
    /// Beginning.
    pub from: Instant,
    /// End.
    pub to: Instant,
    /// Delay above the idle line from which on a queue stands (milliseconds).
    pub risen: f64,
    /// Some of what was counted on upload was dropped by a full queue, and is to be left out.
    pub overflows: bool,
}

impl Idle {
    /// Delay above the idle line that is a queue, on a line of about this rate (milliseconds). Two
    /// packets of others may be ahead of a probe; half a packet more each way is chance.
    #[must_use]
    pub fn risen(&self, rate: f64) -> f64 {
        let packets = if rate > 0.0 { (2.0 * PACKET_BITS / rate * 1e3).min(100.0) } else { 0.0 };
        2.0 + packets + (1.5 * self.wander).max(0.3 * self.p95)
    }
}

/// Pieces of a time, whole ones only.
fn slices(from: Instant, to: Instant, piece: Duration) -> impl Iterator<Item = (Instant, Instant)> {
    let count = u32::try_from(to.since(from).as_nanos() / piece.as_nanos().max(1)).unwrap_or(0);
    (0..count).map(move |i| (from + piece * i, from + piece * (i + 1)))
}

/// Mean slope of a running sum of bytes between two times, inside of what is known (bit/s).
fn mean_rate(sums: &[(Instant, f64)], from: Instant, to: Instant) -> Option<f64> {
    let (a, b) = (sum_at(sums, from)?, sum_at(sums, to)?);
    Some((b - a) * 8.0 / to.since(from).as_secs_f64().max(1e-9))
}

fn sum_at(sums: &[(Instant, f64)], at: Instant) -> Option<f64> {
    let after = sums.partition_point(|(t, _)| *t < at);
    let (next, above) = *sums.get(after)?;
    if next == at {
        return Some(above);
    }
    let (last, below) = *sums.get(after.checked_sub(1)?)?;
    let part = at.since(last).as_secs_f64() / next.since(last).as_secs_f64();
    Some(below + (above - below) * part)
}

/// A quantile of some values.
pub(super) fn quantile(mut values: Vec<f64>, part: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    let place = (part * values.len().checked_sub(1)? as f64 + 0.5) as usize;
    values.get(place).copied()
}

/// A delay as a time; not below zero.
fn millis(delay: f64) -> Duration {
    Duration::from_secs_f64(delay.clamp(0.0, 60_000.0) / 1e3)
}

/// A rate inside what may be set.
pub(super) fn within(range: RateRange, rate: f64) -> Bitrate {
    range.clamp(Bitrate::from_f64(rate)).rate()
}
