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
}

impl Reason {
    /// In a few plain words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::WarmingUp => "nothing measured yet",
            Self::NoSignal => "no fresh measurement, rate held",
            Self::Steady => "steady",
            Self::Recovering => "delay low for long enough, rate rises",
            Self::Yellow => "delay above the green threshold, rate decays",
            Self::SoftRed => "delay above the soft-red threshold, rate held",
            Self::Red => "delay above the red threshold, rate cut",
            Self::Floor => "at the floor",
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
}

impl Verdict {
    /// Delay above baseline; zero while the line is faster than its baseline.
    #[must_use]
    pub fn delay(&self) -> Millis {
        Millis::new(self.load.get() - self.baseline.get()).unwrap_or(Millis::ZERO)
    }
}
