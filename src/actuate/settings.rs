//! What can be set about actuating, and what is counted of it.

use crate::types::{Bitrate, Duration};

/// How eagerly to write and to read.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// A rise smaller than this part of the present limit is not worth a write…
    pub rise_fraction: f64,
    /// …nor one smaller than this (unless it reaches the ceiling of its range).
    pub rise_minimum: Bitrate,
    /// Shortest time between a write and a following rise of the same queue.
    pub rise_spacing: Duration,
    /// Time between statistics while a line is loaded.
    pub read_loaded: Duration,
    /// Time between statistics while all lines are idle; read-back happens at least this often.
    pub read_idle: Duration,
    /// The most changes of limits in any hour.
    pub writes_per_hour: u32,
    /// The router's flash may be written to this fast, in sectors per hour; rises slow down before.
    pub sectors_per_hour: Option<u32>,
}

/// What the daemon's end shall leave on the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Whatever is set.
    Keep,
    /// The operator's originals.
    Restore,
    /// The rates last given to [`super::Actuator::want`].
    Rate,
}

/// What was done to the router since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Limits set and confirmed.
    pub writes: u64,
    /// Limits found to differ from ours.
    pub repairs: u64,
    /// Lists of queues read.
    pub reads: u64,
    /// How often somebody else was found to keep changing a limit.
    pub contests: u64,
    /// How long the write budget has held something back, in all.
    pub held: Duration,
}
