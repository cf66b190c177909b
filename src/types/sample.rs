//! measure → decide: one delay sample per WAN and cycle.

use super::{Duration, Instant, Millis};

/// The most reflectors one WAN probes at a time.
pub const MAX_REFLECTORS: usize = 8;

/// The number of the first TCP target among a sample's candidates, behind all reflectors.
pub const FIRST_TCP: u8 = 16;

/// Where a round-trip time comes from. Different sources take different paths, so a baseline
/// belongs to one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// ICMP echo to the reflectors.
    Icmp,
    /// TCP connect time to the configured targets, while every reflector is silent.
    TcpConnect,
}

/// The quality of the measurement, told beside every state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Nothing has answered yet since the start: neither healthy nor failed.
    WarmingUp,
    /// At least one reflector answers.
    Good,
    /// Every probe is overdue, for less than the time that makes it an outage; the last value holds.
    Silent,
    /// Only the fall-back (gateway or TCP) proves that the line is up.
    Degraded,
    /// Nothing answers, by any means.
    Down,
}

/// What to do with the rates while every reflector is silent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SilenceMode {
    /// The last value for a moment, then hold the rates, then report the WAN down.
    #[default]
    Degrade,
    /// Hold the rates from the first silent cycle on.
    Hold,
    /// Go on deciding with the last value.
    Last,
}

/// One WAN's delay as seen in one cycle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// The moment the sample was taken.
    pub at: Instant,
    /// Median of the reflectors' fresh replies (of three, of two, or the single one); `None` when
    /// nothing fresh stands behind it and the mode says to hold.
    pub rtt: Option<Millis>,
    /// Whether `rtt` contains evidence that the previous sample did not: a reply came in.
    pub renewed: bool,
    /// Age of the newest reply behind `rtt`.
    pub age: Duration,
    /// How many reflectors stand behind `rtt`.
    pub fresh: u8,
    /// Where `rtt` comes from.
    pub source: Source,
    /// Quality of the measurement.
    pub signal: Signal,
    /// The newest fresh round-trip time of each active reflector; and the connect times of TCP
    /// targets: those that are new in the places left free, or, while the signal is
    /// [`Signal::Degraded`], in place of the reflectors.
    pub per_reflector: [Option<Millis>; MAX_REFLECTORS],
    /// Which candidate of the configuration each of them is: a reflector that gives way to another
    /// takes its distance with it. TCP targets are numbered from [`FIRST_TCP`] on.
    pub candidates: [u8; MAX_REFLECTORS],
    /// How long the oldest probe to each of them has been out since its newest answer: while it is
    /// out, a lower bound of the delay.
    pub waiting: [Option<Duration>; MAX_REFLECTORS],
    /// How long the oldest probe that should have been answered has been out: a lower bound of
    /// the delay, known before any reply.
    pub oldest_overdue: Option<Duration>,
}
