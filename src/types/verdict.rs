//! decide → actuate: congestion state, rates, and why.

use super::{Controlled, Millis};

/// Congestion state of one direction, in the words of the classic law.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// No queue to speak of.
    Green,
    /// Delay is rising; the rate decays gently (or holds).
    Yellow,
    /// A standing queue that must not grow.
    SoftRed,
    /// Bufferbloat: cut.
    Red,
}

impl State {
    /// The name, as in traces and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Green => "GREEN",
            Self::Yellow => "YELLOW",
            Self::SoftRed => "SOFT_RED",
            Self::Red => "RED",
        }
    }
}

/// Why a rate is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing has been measured yet.
    WarmingUp,
    /// The router does not answer: what is wanted changes nothing.
    NoRouter,
    /// No fresh measurement: the rate is held.
    NoSignal,
    /// Nothing calls for a change.
    Steady,
    /// GREEN for long enough: up by a step.
    Recovering,
    /// Delay above the GREEN threshold: decaying.
    Yellow,
    /// Delay above the SOFT_RED threshold: held.
    SoftRed,
    /// Delay above the RED threshold: cut.
    Red,
    /// At the lowest rate the state allows.
    Floor,
    /// Cut to what the line carries, as the slope of the delay tells.
    Cut,
    /// Below what the line carries, until the queue is gone.
    Draining,
    /// A higher rate is tried.
    Probing,
    /// The higher rate made delay: back.
    ProbeFailed,
    /// Nobody uses what there is.
    Unused,
    /// Cuts did not bend the delay: its cause is elsewhere.
    NotOurs,
}

impl Reason {
    /// In a few plain words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::WarmingUp => "nothing measured yet",
            Self::NoRouter => "the router does not answer, rate held",
            Self::NoSignal => "no fresh measurement, rate held",
            Self::Steady => "steady",
            Self::Recovering => "delay is low, rate rises",
            Self::Yellow => "delay above the green threshold, rate decays",
            Self::SoftRed => "delay above the soft-red threshold, rate held",
            Self::Red => "delay above the red threshold, rate cut",
            Self::Floor => "at the floor",
            Self::Cut => "cut to what the line carries",
            Self::Draining => "the queue drains",
            Self::Probing => "a higher rate is tried",
            Self::ProbeFailed => "the higher rate made delay, back",
            Self::Unused => "the rate is not used up, held",
            Self::NotOurs => "delay that our rates do not cause, rates as before",
        }
    }
}

/// The verdict on one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectionVerdict {
    /// Congestion state.
    pub state: State,
    /// The rate the shaper shall have.
    pub rate: Controlled,
    /// Why.
    pub reason: Reason,
}

/// The verdict on one WAN and cycle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// RTT of the idle line.
    pub baseline: Millis,
    /// Smoothed RTT of now.
    pub load: Millis,
    /// Towards us.
    pub download: DirectionVerdict,
    /// Away from us.
    pub upload: DirectionVerdict,
    /// Fresh statistics would help now: something is happening that they tell more of than delay.
    pub curious: bool,
}

impl Verdict {
    /// Delay above baseline; zero while the line is faster than its baseline.
    #[must_use]
    pub fn delay(&self) -> Millis {
        Millis::new(self.load.get() - self.baseline.get()).unwrap_or(Millis::ZERO)
    }
}
