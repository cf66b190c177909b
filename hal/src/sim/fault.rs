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
    /// It cuts the next connections (RST) at this point of a request.
    Cut {
        /// Where.
        at: Cut,
        /// How many.
        times: u32,
    },
    /// The answers to the next requests come byte by byte.
    Drip {
        /// Time between two bytes.
        pause: Duration,
        /// How many.
        times: u32,
    },
    /// The answers to the next requests stop in the middle for this long.
    Pause {
        /// How long.
        time: Duration,
        /// How many.
        times: u32,
    },
    /// The next answers have a body of this many bytes: spaces behind what it says.
    Padded {
        /// Length of the body.
        bytes: usize,
        /// In chunks, so that nobody knows how much is coming.
        chunked: bool,
        /// How many.
        times: u32,
    },
    /// The next answers come in chunks of seven bytes.
    Chunked {
        /// How many.
        times: u32,
    },
    /// The next answers are preceded by a `100 Continue`.
    Continue {
        /// How many.
        times: u32,
    },
    /// For this long another client gives up its requests one after the other, which RouterOS's
    /// web server takes ill: see [`crate::sim::RouterSetup::abort_damage`].
    AbortDamage(Duration),
    /// It does not carry out the next requests and answers this status (401 without a body).
    Status {
        /// The status.
        status: u16,
        /// How many.
        times: u32,
    },
}

impl Fault {
    /// How often it is still going to strike; `None` for what lasts a time or happens at once.
    pub(crate) const fn times(&mut self) -> Option<&mut u32> {
        match self {
            Self::DropResponse { times }
            | Self::Garbage { times }
            | Self::Cut { times, .. }
            | Self::Drip { times, .. }
            | Self::Pause { times, .. }
            | Self::Padded { times, .. }
            | Self::Chunked { times }
            | Self::Continue { times }
            | Self::Status { times, .. } => Some(times),
            Self::Stall(_) | Self::Close | Self::Reset | Self::Refuse(_) | Self::Silent(_) | Self::AbortDamage(_) => {
                None
            }
        }
    }
}

/// A point in the life of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It was just accepted (with TLS: in the middle of the handshake).
    Accepted,
    /// A part of a request has come; it is not carried out.
    Asking,
    /// The request is carried out, and nothing of the answer is sent.
    Served,
    /// In the head of the answer.
    Head,
    /// In the middle of the answer.
    Middle,
    /// Before the last byte of the answer.
    LastByte,
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
