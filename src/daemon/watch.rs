//! What is kept to look at: spreads of times and delays, the last connection's errors, history. Nothing
//! in here influences the control.

use super::Wan;
use crate::config::Config;
use crate::observe::{History, Record, Spread};
use crate::types::{Duration, Instant, LinkStats, RouterError, Stage, WanId};

/// A stall is told for so long.
const STALL_TOLD: Duration = Duration::from_secs(10);

/// Spreads of one WAN.
#[derive(Clone, Debug, Default)]
pub(super) struct WanWatch {
    pub(super) rtt: Spread,
    pub(super) delay: Spread,
}

/// What is kept.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) started: Instant,
    pub(super) stages: [Spread; Stage::ALL.len()],
    /// All stages together.
    pub(super) work: Spread,
    pub(super) latency: Spread,
    pub(super) wans: Vec<WanWatch>,
    pub(super) history: History,
    pub(super) error: Option<RouterError>,
    /// Requests and connections that failed since the last good answer.
    pub(super) failures: u32,
    /// Time of each stage since the last cycle began, and of the cycle before.
    spent: [Duration; Stage::ALL.len()],
    last: [Duration; Stage::ALL.len()],
    lap: Instant,
    last_cycle: Option<Instant>,
    stall: (Instant, Duration),
}

impl Watch {
    pub(super) fn new(config: &Config, now: Instant) -> Self {
        Self {
            started: now,
            stages: core::array::from_fn(|_| Spread::default()),
            work: Spread::default(),
            latency: Spread::default(),
            wans: config.wans.iter().map(|_| WanWatch::default()).collect(),
            history: History::new(config.observe.history, config.cycle, config.wans.len(), now),
            error: None,
            failures: 0,
            spent: [Duration::ZERO; Stage::ALL.len()],
            last: [Duration::ZERO; Stage::ALL.len()],
            lap: Instant::ZERO,
            last_cycle: None,
            stall: (now, Duration::ZERO),
        }
    }

    /// Other WANs, another cycle, or another depth: what is kept of them begins anew.
    pub(super) fn start_over(&mut self, config: &Config, now: Instant) {
        let new = Self::new(config, now);
        (self.wans, self.history) = (new.wans, new.history);
    }

    /// A wake-up begins, as the stopwatch has it.
    pub(super) const fn begin(&mut self, stopwatch: Instant) {
        self.lap = stopwatch;
    }

    /// A stage is over.
    pub(super) fn lap(&mut self, stage: Stage, stopwatch: Instant) {
        self.spent[stage.index()] += stopwatch.since(self.lap);
        self.lap = stopwatch;
    }

    /// A cycle begins. Returns what of the last one took longest, and for how long.
    pub(super) fn cycle(&mut self) -> (Stage, Duration) {
        self.last = core::mem::take(&mut self.spent);
        let stages = Stage::ALL.into_iter().zip(self.last);
        stages.fold((Stage::Receive, Duration::ZERO), |most, this| if this.1 > most.1 { this } else { most })
    }

    /// Books what the last cycle has taken: in the slack of the one that began at `now`.
    pub(super) fn book_cycle(&mut self, now: Instant) {
        let gap = self.last_cycle.map_or(Duration::ZERO, |last| now.since(last));
        if gap >= self.stall.1 || now.since(self.stall.0) > STALL_TOLD {
            self.stall = (now, gap);
        }
        if self.last_cycle.replace(now).is_some() {
            self.work.record(self.last.iter().fold(Duration::ZERO, |sum, spent| sum + *spent));
            for (spread, spent) in self.stages.iter_mut().zip(self.last) {
                spread.record(spent);
            }
        }
    }

    /// Longest time between two cycles lately.
    pub(super) const fn stall(&self) -> Duration {
        self.stall.1
    }

    /// Books one cycle of one WAN.
    pub(super) fn book_wan(&mut self, id: WanId, wan: &Wan, now: Instant, stats: Option<&LinkStats>) {
        let (Some((sample, verdict)), Some(watch)) = (&wan.last, self.wans.get_mut(id.index())) else { return };
        if let Some(rtt) = sample.rtt.filter(|_| sample.renewed) {
            watch.rtt.record(Duration::from_secs_f64(rtt.get() / 1e3));
            watch.delay.record(Duration::from_secs_f64(verdict.delay().get() / 1e3));
        }
        self.history.book(id.index(), now, Record::of(sample, verdict, stats));
    }
}
