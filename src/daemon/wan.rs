//! One WAN in the loop: its measurement, its law, and what they last said.

use crate::decide::{Input, Law};
use crate::measure::{Measure, Pace, Trace};
use crate::types::{
    Bitrate, Direction, Duration, EchoReply, EchoRequest, EventKind, Instant, LinkStats, Sample, Signal, Verdict, WanId,
};
use core::net::IpAddr;

/// A direction counts as loaded above this part of its shaper rate: below it, the shaper and the
/// line behind it are hardly ever the bottleneck.
const LOADED: f64 = 0.25;

/// A line counts as idle only below this part of its shaper rates…
const IDLE: f64 = 0.05;

/// …and after so long: a pause between two downloads must not slow the probes down.
const IDLE_AFTER: Duration = Duration::from_secs(60);

/// Delay above baseline, in milliseconds, at which probing goes to full pace without waiting for
/// statistics: half of the lowest threshold of the presets.
const RISING_MS: f64 = 4.0;

/// Statistics older than this say nothing about the present load.
const STALE: Duration = Duration::from_secs(5);

/// One WAN.
#[derive(Debug)]
pub struct Wan {
    /// Its place in the configuration.
    pub id: WanId,
    /// Its name.
    pub name: String,
    /// Probes → sample.
    pub measure: Measure,
    /// Sample → verdict.
    pub law: Law,
    /// The last sample and what was decided on it.
    pub last: Option<(Sample, Verdict)>,
    /// Which way its probes take, when steering needs to know.
    pub trace: Option<Trace>,
    /// Steering relies on it: never at idle pace, or its loss would be noticed too late.
    pub is_watched: bool,
    busy_at: Instant,
}

impl Wan {
    /// A WAN that has measured nothing yet.
    #[must_use]
    pub fn new(id: WanId, name: String, measure: Measure, law: Law, now: Instant) -> Self {
        Self { id, name, measure, law, last: None, trace: None, is_watched: false, busy_at: now }
    }

    /// A reply has come in.
    pub fn reply(&mut self, reply: &EchoReply) {
        if !self.trace.as_mut().is_some_and(|trace| trace.arrived(reply)) {
            let _ = self.measure.reply(reply);
        }
    }

    /// A router says that a probe goes no farther.
    pub fn unreachable(&mut self, from: IpAddr, to: IpAddr, sequence: u16) {
        if !self.trace.as_mut().is_some_and(|trace| trace.stopped(from, to, sequence)) {
            self.measure.unreachable(to, sequence);
        }
    }

    /// The probe of a few hops to send now.
    pub fn poll_trace(&mut self, now: Instant) -> Option<(u8, EchoRequest)> {
        let trace = self.trace.as_mut()?;
        let (hops, to) = trace.poll(now)?;
        let request = self.measure.trace_request(to);
        trace.sent(now, &request);
        Some((hops, request))
    }

    /// measure, decide: one cycle; `acts`: the router answers. What changed is told to `tell`.
    pub fn cycle(
        &mut self,
        now: Instant,
        stats: Option<&LinkStats>,
        acts: bool,
        mut tell: impl FnMut(EventKind),
    ) -> Verdict {
        let sample = self.measure.sample(now);
        let verdict = self.law.decide(Input { now, sample: &sample, stats, acts });
        let wan = self.id;
        let before = self.last.map_or(Signal::WarmingUp, |(s, _)| s.signal);
        if before != sample.signal {
            tell(EventKind::Signal { wan, from: before, to: sample.signal });
        }
        if let Some((_, old)) = self.last {
            for (direction, from, to) in
                [(Direction::Download, old.download, verdict.download), (Direction::Upload, old.upload, verdict.upload)]
            {
                if from.state != to.state {
                    let (from, rate, reason) = (from.state, to.rate.rate(), to.reason);
                    let delay = verdict.delay();
                    tell(EventKind::State { wan, direction, from, to: to.state, delay, rate, reason });
                }
            }
        }
        self.last = Some((sample, verdict));
        let pace = self.pace(now, &verdict, stats);
        self.measure.set_pace(now, pace);
        verdict
    }

    /// Whether rates may be sent at all: not before anything was measured.
    #[must_use]
    pub fn has_measured(&self) -> bool {
        self.last.is_some_and(|(sample, _)| sample.signal != Signal::WarmingUp)
    }

    /// Whether traffic fills one of the directions.
    #[must_use]
    pub fn is_loaded(&self, now: Instant, stats: Option<&LinkStats>) -> bool {
        let Some((_, verdict)) = &self.last else { return false };
        verdict.delay().get() >= RISING_MS || utilisation(now, verdict, stats).is_some_and(|u| u >= LOADED)
    }

    /// Full pace while the line is loaded or delay rises; idle pace when statistics have said for
    /// long that nothing moves; else normal.
    fn pace(&mut self, now: Instant, verdict: &Verdict, stats: Option<&LinkStats>) -> Pace {
        let idle = utilisation(now, verdict, stats).is_some_and(|u| u < IDLE) && verdict.delay().get() < RISING_MS;
        if !idle || self.is_watched {
            self.busy_at = now;
        }
        if self.is_loaded(now, stats) {
            Pace::Full
        } else if now.since(self.busy_at) >= IDLE_AFTER {
            Pace::Idle
        } else {
            Pace::Normal
        }
    }
}

/// Achieved rate as part of the shaper rate, of the fuller direction; `None` without fresh
/// statistics.
fn utilisation(now: Instant, verdict: &Verdict, stats: Option<&LinkStats>) -> Option<f64> {
    let stats = stats.filter(|s| now.since(s.at) < STALE)?;
    let part = |achieved: Bitrate, shaper: Bitrate| achieved.as_f64() / shaper.as_f64();
    let down = part(stats.achieved[0]?, verdict.download.rate.rate());
    let up = part(stats.achieved[1]?, verdict.upload.rate.rate());
    Some(down.max(up))
}
