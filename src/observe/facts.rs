//! What can be told about a running daemon, as plain data: the seam between the loop, which knows it,
//! and the documents, which tell it.

use super::{AlertFacts, EventRing, History, Spread};
use crate::types::{
    Bitrate, BudgetState, Duration, Instant, LinkStats, MAX_WANS, RateRange, RouterError, Sample, Score, Stage,
    SteerHold, SwitchState, Verdict, WanId,
};
use core::net::{IpAddr, SocketAddr};

/// The loop as a whole.
#[derive(Clone, Copy, Debug)]
pub struct LoopFacts<'a> {
    /// Now, monotonic.
    pub now: Instant,
    /// Now, in seconds since 1970.
    pub wall: f64,
    /// Since the start.
    pub uptime: Duration,
    /// Length of a cycle.
    pub cycle: Duration,
    /// Cycles run, and skipped.
    pub cycles: u64,
    /// Cycles skipped.
    pub missed: u64,
    /// Longest time between two cycles within the last ten seconds.
    pub stall: Duration,
    /// State files written, and how many of them slowly.
    pub saves: [u64; 2],
    /// How late cycles began.
    pub lateness: &'a Spread,
    /// Time of each stage, per cycle.
    pub stages: &'a [Spread; Stage::ALL.len()],
    /// Time of all stages together, per cycle.
    pub work: &'a Spread,
}

/// The router and the link to it.
#[derive(Clone, Copy, Debug)]
pub struct RouterFacts<'a> {
    /// Where it is.
    pub address: SocketAddr,
    /// The name of its host in the configuration.
    pub host: &'a str,
    /// A connection is open.
    pub connected: bool,
    /// RouterOS's version; empty until known.
    pub version: &'a str,
    /// Connections, and full TLS handshakes.
    pub connections: u64,
    /// TLS handshakes in full.
    pub handshakes: u64,
    /// Failures since the last good answer, and the last one.
    pub failures: u32,
    /// The last failure.
    pub error: Option<RouterError>,
    /// Limits set and confirmed.
    pub writes: u64,
    /// Limits found to differ from ours.
    pub repairs: u64,
    /// How often somebody else was found to keep changing a limit.
    pub contests: u64,
    /// How long the write budget has held something back.
    pub held: Duration,
    /// Writes that the budget still allows.
    pub tokens: f64,
    /// Writes per hour that it grants.
    pub writes_per_hour: u32,
    /// What it allows now.
    pub budget: BudgetState,
    /// Growth of `write-sect-since-reboot` per hour.
    pub sectors_per_hour: Option<f64>,
    /// Time from request to answer.
    pub latency: &'a Spread,
}

/// Probes of one WAN since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProbeFacts {
    /// Sent.
    pub sent: u64,
    /// Answered, and counted.
    pub accepted: u64,
    /// Not answered in time, though the line was up.
    pub overdue: u64,
    /// Answers that did not count: duplicate, forged, foreign, late, impossible.
    pub refused: u64,
    /// Could not be sent.
    pub send_errors: u64,
}

/// One WAN.
#[derive(Clone, Copy, Debug)]
pub struct WanFacts<'a> {
    /// Its name.
    pub name: &'a str,
    /// The law that decides.
    pub law: &'static str,
    /// The last sample and what was decided on it; `None` until the first cycle.
    pub last: Option<(&'a Sample, &'a Verdict)>,
    /// What the router was last seen to have; `None` until known.
    pub observed: [Option<Bitrate>; 2],
    /// When the router last showed both limits.
    pub confirmed: Option<Instant>,
    /// Bounds of the shaper rates.
    pub ranges: [RateRange; 2],
    /// The router's counters.
    pub stats: Option<&'a LinkStats>,
    /// Probes.
    pub probes: ProbeFacts,
    /// How many reflectors are asked.
    pub active: usize,
    /// Round-trip times, and delays above the baseline.
    pub rtt: &'a Spread,
    /// Delay above the baseline.
    pub delay: &'a Spread,
}

/// One reflector.
#[derive(Clone, Copy, Debug)]
pub struct ReflectorFacts {
    /// Its address.
    pub address: IpAddr,
    /// 1 is perfect, 0 hopeless.
    pub score: f64,
    /// It is asked in every round.
    pub active: bool,
}

/// One pair of steering.
#[derive(Clone, Debug)]
pub struct SteerFacts<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where marked connections belong.
    pub primary: WanId,
    /// Where new ones go now.
    pub in_use: WanId,
    /// It only says what it would do.
    pub dry_run: bool,
    /// When they last turned; `None` before the first time.
    pub turned: Option<Instant>,
    /// What holds a turn back that the scores ask for.
    pub held: Option<SteerHold>,
    /// The primary, then the alternates in order.
    pub wans: heapless::Vec<SteerWan, MAX_WANS>,
}

/// One WAN of a pair.
#[derive(Clone, Copy, Debug)]
pub struct SteerWan {
    /// Which.
    pub wan: WanId,
    /// How bad it is for a call.
    pub score: Score,
    /// Its switch on the router; the primary needs none.
    pub switch: Option<SwitchState>,
}

impl SteerFacts<'_> {
    /// The first alternate that the router has no usable switch for.
    #[must_use]
    pub fn refused(&self) -> Option<WanId> {
        self.wans.iter().find(|w| w.switch.is_some_and(|s| s.refused)).map(|w| w.wan)
    }
}

/// Whoever knows.
pub trait Facts {
    /// The loop.
    fn whole(&self) -> LoopFacts<'_>;
    /// The router.
    fn router(&self) -> RouterFacts<'_>;
    /// A WAN, by its place in the configuration.
    fn wan(&self, place: usize) -> Option<WanFacts<'_>>;
    /// A reflector of a WAN, by its place in the configuration.
    fn reflector(&self, wan: usize, place: usize) -> Option<ReflectorFacts>;
    /// A pair of steering, by its place in the configuration.
    fn steering(&self, place: usize) -> Option<SteerFacts<'_>>;
    /// An alert rule in use, by its place among them.
    fn alert(&self, place: usize) -> Option<AlertFacts<'_>>;
    /// How many alert rules are out of use, because something is wrong with them.
    fn refused_alerts(&self) -> usize;
    /// The names of the WANs, in order.
    fn names(&self) -> &[String];
    /// The last events.
    fn events(&self) -> &EventRing;
    /// What was, per WAN.
    fn history(&self) -> &History;

    /// Number of WANs.
    fn wans(&self) -> usize {
        (0..).take_while(|&i| self.wan(i).is_some()).count()
    }
}
