//! What the time of a wake-up goes into: for the histograms of `wanctl profile` and the events about slow cycles.

/// Stages of a wake-up, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Replies into measure.
    Receive,
    /// Samples, verdicts, what actuate shall want.
    Decide,
    /// Probes out.
    Probe,
    /// The router's bytes in and out.
    Router,
    /// Log, state file, history, and the clients of the endpoint.
    Observe,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Receive, Self::Decide, Self::Probe, Self::Router, Self::Observe];

    /// Its name in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Decide => "decide",
            Self::Probe => "probe",
            Self::Router => "router",
            Self::Observe => "observe",
        }
    }

    /// Its place among [`Stage::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}
