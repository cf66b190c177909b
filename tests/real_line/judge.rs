//! Figures, from the test's own measurement.

use super::line::Direction;
use super::traffic::Ping;
use std::fmt;
use std::time::{Duration, Instant};

/// A look at the bytes that had arrived.
#[derive(Clone, Copy)]
pub struct Count {
    pub at: Instant,
    pub bytes: u64,
}

/// A stretch of a run that is judged.
#[derive(Clone, Copy)]
pub struct Stretch {
    /// The step before it.
    pub step: Instant,
    pub from: Instant,
    pub to: Instant,
    /// Capacity, bit/s.
    pub capacity: u64,
}

/// An RTT that a conversation bears, milliseconds.
const TOLERABLE: f64 = 100.0;

/// What one stretch was like.
#[derive(Clone, Debug)]
pub struct Figures {
    pub run: &'static str,
    pub direction: Direction,
    pub capacity: u64,
    pub p50: f64,
    pub p95: f64,
    pub worst: f64,
    /// The highest RTT between the step and the stretch.
    pub peak: f64,
    /// Time after the step until RTT stayed below [`TOLERABLE`], milliseconds (within this time).
    pub above: f64,
    /// Part of the pings that did not come back.
    pub lost: f64,
    /// Goodput, Mbit/s.
    pub goodput: f64,
    /// Goodput over capacity.
    pub utilisation: f64,
    /// The lowest and highest rate the shaper had, Mbit/s.
    pub shaper: [f64; 2],
}

impl Figures {
    pub fn new(
        run: &'static str,
        direction: Direction,
        stretch: Stretch,
        pings: &[Ping],
        counts: &[Count],
        rates: &[(Instant, u64)],
    ) -> Self {
        let within = |at: Instant| at >= stretch.from && at < stretch.to;
        let sent: Vec<_> = pings.iter().filter(|p| within(p.sent)).collect();
        let mut rtts: Vec<f64> = sent.iter().filter_map(|p| p.rtt).map(milliseconds).collect();
        rtts.sort_by(f64::total_cmp);
        let settling = pings.iter().filter(|p| p.sent >= stretch.step && p.sent < stretch.from);
        let settling = settling.filter_map(|p| Some((milliseconds(p.sent - stretch.step), milliseconds(p.rtt?))));
        let inside: Vec<_> = counts.iter().filter(|c| within(c.at)).collect();
        let goodput = match (inside.first(), inside.last()) {
            (Some(first), Some(last)) if last.at > first.at => {
                (last.bytes - first.bytes) as f64 * 8.0 / (last.at - first.at).as_secs_f64()
            }
            _ => 0.0,
        };
        // The rate at the beginning of the stretch counts too.
        let before = rates.iter().rposition(|(at, _)| *at < stretch.from).unwrap_or(0);
        let rates = rates.iter().skip(before).filter(|(at, _)| *at < stretch.to).map(|(_, bps)| *bps);
        let megabits = |bps: Option<u64>| bps.unwrap_or(0) as f64 / 1e6;
        Self {
            run,
            direction,
            capacity: stretch.capacity,
            p50: percentile(&rtts, 0.5),
            p95: percentile(&rtts, 0.95),
            worst: percentile(&rtts, 1.0),
            peak: settling.clone().map(|(_, rtt)| rtt).fold(0.0, f64::max),
            above: settling.filter(|(_, rtt)| *rtt > TOLERABLE).map(|(after, _)| after).fold(0.0, f64::max),
            lost: if sent.is_empty() { 1.0 } else { 1.0 - rtts.len() as f64 / sent.len() as f64 },
            goodput: goodput / 1e6,
            utilisation: goodput / stretch.capacity as f64,
            shaper: [megabits(rates.clone().min()), megabits(rates.max())],
        }
    }

    pub const HEADER: &'static str = "run           direction  capacity   RTT p50     p95     max   lost  goodput  used  shaper          after the step: peak, above 100 ms";
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<13} {:<9} {:>5} Mb/s {:>6.0} ms {:>4.0} ms {:>4.0} ms {:>5.1}% {:>8.1} {:>4.0}%  {:>4.1} to {:>4.1} Mb/s {:>11.0} ms {:>7.0} ms",
            self.run,
            format!("{:?}", self.direction),
            self.capacity / 1_000_000,
            self.p50,
            self.p95,
            self.worst,
            self.lost * 100.0,
            self.goodput,
            self.utilisation * 100.0,
            self.shaper[0],
            self.shaper[1],
            self.peak,
            self.above,
        )
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Nearest rank; NaN when there is nothing, which satisfies no bound.
fn percentile(sorted: &[f64], part: f64) -> f64 {
    let rank = (part * sorted.len() as f64).ceil().max(1.0);
    // Not negative, and not more than the length.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    sorted.get(rank as usize - 1).copied().unwrap_or(f64::NAN)
}
