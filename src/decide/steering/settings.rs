//! What can be set about steering.

use crate::types::{Bitrate, Duration, MAX_WANS, SwitchId, WanId};

/// The most pairs in one configuration.
pub const MAX_PAIRS: usize = 8;

/// The most alternates of one pair.
pub const MAX_ALTERNATES: usize = MAX_WANS - 1;

/// How it is decided that a WAN is bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// A score of many contributions.
    #[default]
    Confidence,
    /// The original's rule: RED needs delay, drops and a queue at once.
    Hysteresis,
}

/// One alternate of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alternate {
    /// The WAN.
    pub wan: WanId,
    /// What makes marked connections leave through it.
    pub switch: SwitchId,
}

/// One pair: where marked connections belong, and where they may go.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where they belong.
    pub primary: WanId,
    /// Where they may go, the first fit one is taken.
    pub alternates: heapless::Vec<Alternate, MAX_ALTERNATES>,
    /// How it is decided that a WAN is bad.
    pub mode: Mode,
    /// Decide and tell, but touch nothing.
    pub dry_run: bool,
    /// A score from this on is bad.
    pub steer_at: u8,
    /// A score up to this is well. Below `steer_at`.
    pub return_at: u8,
    /// The better of two WANs is better by at least so many points.
    pub margin: u8,
    /// How long the WAN in use must be bad.
    pub degrade_sustain: Duration,
    /// How long the primary must be well.
    pub recover_sustain: Duration,
    /// Shortest time between two switches, as long as no WAN is lost.
    pub hold_down: Duration,
    /// So many switches…
    pub brake_toggles: u8,
    /// …within this time, and the fitter WAN is held…
    pub brake_window: Duration,
    /// …for this long at first…
    pub brake_hold: Duration,
    /// …and for this long at most; it doubles in between.
    pub brake_longest: Duration,
    /// A line that carries less than this part of its ceiling has lost capacity.
    pub usable: f64,
    /// An alternate must leave a new connection this much, in both directions.
    pub headroom: Bitrate,
}

impl Settings {
    /// The defaults for a mode, with no alternate yet.
    #[must_use]
    pub fn new(primary: WanId, mode: Mode) -> Self {
        let (degrade, recover) = match mode {
            Mode::Confidence => (2_000, 3_000),
            // Two assessments and fifteen, of half a second each.
            Mode::Hysteresis => (1_000, 7_500),
        };
        Self {
            primary,
            alternates: heapless::Vec::new(),
            mode,
            dry_run: false,
            steer_at: 55,
            return_at: 20,
            margin: 15,
            degrade_sustain: Duration::from_millis(degrade),
            recover_sustain: Duration::from_millis(recover),
            hold_down: Duration::from_secs(30),
            brake_toggles: 4,
            brake_window: Duration::from_secs(300),
            brake_hold: Duration::from_secs(60),
            brake_longest: Duration::from_secs(960),
            usable: 0.3,
            headroom: Bitrate::from_mbps(1),
        }
    }
}
