//! sample → verdict: how congested each direction is, and what rate its shaper shall have.
//!
//! Stands between measure and actuate. Pure: time is an argument, nothing is allocated, nothing
//! is read or sent. It is *not* responsible for what the router can take (pacing and rounding of
//! writes are actuate's), nor for how the delay was measured (measure's).
//!
//! A law is a variant of [`Law`]; each law has a file of its own, with its settings beside it.

pub mod adaptive;
pub mod classic;
#[cfg(feature = "sim")]
pub mod published;
pub mod steering;

use crate::types::{Bitrate, Instant, LinkStats, Millis, Sample, Verdict};

/// What a law may look at in one cycle.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The present moment.
    pub now: Instant,
    /// The delay of this cycle.
    pub sample: &'a Sample,
    /// The newest statistics from the router, if there are any.
    pub stats: Option<&'a LinkStats>,
    /// The router answers: what is wanted takes effect.
    pub acts: bool,
}

/// Settings of the law chosen for a WAN.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "one for each WAN, in place from the start")]
pub enum Settings {
    /// Our own law.
    Adaptive(adaptive::Settings),
    /// The original's law.
    Classic(classic::Settings),
    /// A law of others, to compare ours with.
    #[cfg(feature = "sim")]
    Published(published::Settings),
}

impl Settings {
    /// The law's name in configurations and documents.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Adaptive(_) => "adaptive",
            Self::Classic(_) => "classic",
            #[cfg(feature = "sim")]
            Self::Published(_) => "published",
        }
    }
}

/// What survives a restart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Learnt {
    /// RTT of the idle line.
    pub baseline: Millis,
    /// Shaper rates of download and upload.
    pub rates: [Bitrate; 2],
}

/// A control law at work on one WAN.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "one for each WAN, in place from the start")]
pub enum Law {
    /// Our own law.
    Adaptive(adaptive::Adaptive),
    /// The original's law.
    Classic(classic::Classic),
    /// A law of others, to compare ours with.
    #[cfg(feature = "sim")]
    Published(published::Published),
}

impl Law {
    /// A law that starts from nothing.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        match settings {
            Settings::Adaptive(s) => Self::Adaptive(adaptive::Adaptive::new(s)),
            Settings::Classic(s) => Self::Classic(classic::Classic::new(s)),
            #[cfg(feature = "sim")]
            Settings::Published(s) => Self::Published(published::Published::new(s)),
        }
    }

    /// Takes over what an earlier run (or the configuration before a reload) has learnt, within
    /// the bounds of the present settings.
    pub fn restore(&mut self, learnt: Learnt) {
        match self {
            Self::Adaptive(law) => law.restore(learnt),
            Self::Classic(law) => law.restore(learnt),
            #[cfg(feature = "sim")]
            Self::Published(law) => law.restore(learnt),
        }
    }

    /// What is worth keeping.
    #[must_use]
    pub fn learnt(&self) -> Learnt {
        match self {
            Self::Adaptive(law) => law.learnt(),
            Self::Classic(law) => law.learnt(),
            #[cfg(feature = "sim")]
            Self::Published(law) => law.learnt(),
        }
    }

    /// One cycle.
    pub fn decide(&mut self, input: Input<'_>) -> Verdict {
        match self {
            Self::Adaptive(law) => law.decide(input),
            Self::Classic(law) => law.decide(input),
            #[cfg(feature = "sim")]
            Self::Published(law) => law.decide(input),
        }
    }
}
