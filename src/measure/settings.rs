//! What can be set about measuring one WAN.

use crate::types::{Duration, FIRST_TCP, SilenceMode};
use core::net::{IpAddr, SocketAddr};

/// The most reflectors one WAN can choose from.
pub const MAX_CANDIDATES: usize = FIRST_TCP as usize;

/// The most TCP targets one WAN can fall back to.
pub const MAX_TCP_TARGETS: usize = 4;

/// Settings of the measurement of one WAN.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Length of the control cycle.
    pub cycle: Duration,
    /// Reflectors in order of preference; the first `active` are probed, the others are spares.
    pub reflectors: heapless::Vec<IpAddr, MAX_CANDIDATES>,
    /// How many reflectors are probed at a time (1 to `MAX_REFLECTORS`).
    pub active: usize,
    /// Probes per cycle in normal operation, round robin over the active reflectors.
    pub probes_per_cycle: usize,
    /// Time between probes while the line is idle.
    pub idle_interval: Duration,
    /// What to do with the rates while every reflector is silent.
    pub silence: SilenceMode,
    /// How long every means may be silent before the WAN counts as down.
    pub down_after: Duration,
    /// The next hop, pinged as the first fall-back when given.
    pub gateway: Option<IpAddr>,
    /// Targets whose TCP connect time is the second fall-back.
    pub tcp_targets: heapless::Vec<SocketAddr, MAX_TCP_TARGETS>,
}
