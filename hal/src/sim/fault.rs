//! What can go wrong with a router, and how long it takes when nothing does.

use super::rng::Rng;
use crate::units::Duration;

/// Something that goes wrong with the router's web server. Extend here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does nothing at all for this long: requests wait.
    Stall(Duration),
    /// It closes all connections in order (FIN).
    Close,
    /// It cuts all connections (RST).
    Reset,
    /// It refuses new connections for this long (RST to SYN); those that are open stay.
    Refuse(Duration),
    /// It does not even answer to SYN for this long; those that are open stay.
    Silent(Duration),
    /// It carries out the next requests and never answers them.
    DropResponse {
        /// How many.
        times: u32,
    },
    /// It carries out the next requests and answers 200 with a body that is no JSON.
    Garbage {
        /// How many.
        times: u32,
    },
    /// It carries out the next requests and cuts the connection half way through the answer.
    Truncate {
        /// How many.
        times: u32,
    },
    /// It does not carry out the next requests and answers this status (401 without a body).
    Status {
        /// The status.
        status: u16,
        /// How many.
        times: u32,
    },
}

/// How long a request takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// At least.
    pub min: Duration,
    /// At most (evenly distributed).
    pub max: Duration,
    /// Probability of an outlier.
    pub outlier_chance: f64,
    /// Least time of an outlier.
    pub outlier_min: Duration,
    /// Greatest time of an outlier.
    pub outlier_max: Duration,
}

impl Default for Latency {
    /// 15 to 50 ms, no outliers (which take 1 to 7 s when they are given a chance).
    fn default() -> Self {
        Self {
            min: Duration::from_millis(15),
            max: Duration::from_millis(50),
            outlier_chance: 0.0,
            outlier_min: Duration::from_secs(1),
            outlier_max: Duration::from_secs(7),
        }
    }
}

impl Latency {
    /// Always the same.
    #[must_use]
    pub fn fixed(time: Duration) -> Self {
        Self { min: time, max: time, ..Self::default() }
    }

    /// One draw.
    pub(crate) fn draw(&self, rng: &mut Rng) -> Duration {
        if rng.chance(self.outlier_chance) {
            return rng.between(self.outlier_min, self.outlier_max);
        }
        rng.between(self.min, self.max)
    }
}
