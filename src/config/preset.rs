//! What a link of a kind usually needs.
//!
//! Delays and factors of cable, DSL and fibre are those of the original's deployed settings
//! (`tests/golden/presets.json`); LTE and Starlink are ours. Rates are given as parts of the
//! ceiling, because nobody knows another's line. There is one floor for all states: a floor that
//! differs from state to state *lifts* the rate when the state improves, a fault of the original.

/// A kind of link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// DOCSIS cable: some jitter from request and grant.
    Cable,
    /// VDSL or ADSL: quiet, slow upload.
    Dsl,
    /// Fibre: quiet and near.
    Fiber,
    /// LTE and 5G: noisy, capacity changes all the time.
    Lte,
    /// Starlink: reconfigures every 15 s, with a step in delay.
    Starlink,
}

impl Link {
    /// All kinds by their names.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("cable", Self::Cable),
        ("dsl", Self::Dsl),
        ("fiber", Self::Fiber),
        ("lte", Self::Lte),
        ("starlink", Self::Starlink),
    ];
}

/// Defaults of one direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Direction {
    /// Floor as part of the ceiling.
    pub floor: f64,
    /// Step up per 50 ms as part of the ceiling.
    pub step_up: f64,
    /// Rate multiplier in RED, per 50 ms.
    pub factor_down: f64,
    /// Rate multiplier in YELLOW, per 50 ms.
    pub factor_down_yellow: f64,
    /// GREEN this long before the rate rises (milliseconds).
    pub green_required_ms: u64,
}

/// Adaptive law: delay above the usual that is an alarm, on every link (milliseconds).
pub const TARGET_MS: f64 = 30.0;

/// Defaults of a link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preset {
    /// RTT of the idle line to begin with (milliseconds).
    pub baseline_ms: f64,
    /// Weight of one 50 ms sample in `load`.
    pub load_weight: f64,
    /// Weight of one 50 ms sample in `baseline`.
    pub baseline_weight: f64,
    /// The baseline learns below this delay (milliseconds).
    pub update_threshold_ms: f64,
    /// Delay thresholds: GREEN, SOFT_RED, RED (milliseconds).
    pub thresholds_ms: [f64; 3],
    /// Adaptive law: usual delay of the idle line above its minimum (milliseconds).
    pub jitter_ms: f64,
    /// Adaptive law: part of the capacity that is used.
    pub headroom: f64,
    /// Towards us.
    pub download: Direction,
    /// Away from us.
    pub upload: Direction,
}

/// Floor, step up, factors in RED and YELLOW, and how long GREEN must last.
const fn direction(floor: f64, step_up: f64, factors: [f64; 2], green_required_ms: u64) -> Direction {
    Direction { floor, step_up, factor_down: factors[0], factor_down_yellow: factors[1], green_required_ms }
}

impl Link {
    /// The defaults of this kind of link.
    #[must_use]
    pub const fn preset(self) -> Preset {
        match self {
            Self::Cable => Preset {
                baseline_ms: 24.0,
                load_weight: 0.2,
                baseline_weight: 0.02,
                update_threshold_ms: 3.0,
                thresholds_ms: [15.0, 45.0, 80.0],
                jitter_ms: 3.0,
                headroom: 0.985,
                download: direction(0.2, 0.01, [0.85, 0.96], 250),
                upload: direction(0.2, 0.026, [0.9, 0.94], 250),
            },
            Self::Dsl => Preset {
                baseline_ms: 31.0,
                load_weight: 0.3,
                baseline_weight: 0.015,
                update_threshold_ms: 3.0,
                thresholds_ms: [12.0, 30.0, 60.0],
                jitter_ms: 1.0,
                headroom: 0.985,
                download: direction(0.25, 0.02, [0.9, 1.0], 150),
                upload: direction(0.33, 0.028, [0.95, 0.97], 150),
            },
            Self::Fiber => Preset {
                baseline_ms: 6.0,
                load_weight: 0.05,
                baseline_weight: 0.001,
                update_threshold_ms: 2.0,
                thresholds_ms: [5.0, 15.0, 40.0],
                jitter_ms: 1.0,
                headroom: 0.985,
                download: direction(0.4, 0.02, [0.85, 0.97], 250),
                upload: direction(0.4, 0.02, [0.85, 0.97], 250),
            },
            // Scheduling and retransmission on the radio add 8 to 20 ms at any time, so thresholds
            // stand well above; capacity falls to a tenth, so does the floor.
            Self::Lte => Preset {
                baseline_ms: 45.0,
                load_weight: 0.25,
                baseline_weight: 0.005,
                update_threshold_ms: 10.0,
                thresholds_ms: [30.0, 60.0, 120.0],
                jitter_ms: 10.0,
                headroom: 0.97,
                download: direction(0.1, 0.01, [0.85, 0.97], 250),
                upload: direction(0.1, 0.01, [0.85, 0.97], 250),
            },
            // The path changes every 15 s by up to some 20 ms either way: that must stay GREEN.
            Self::Starlink => Preset {
                baseline_ms: 35.0,
                load_weight: 0.2,
                baseline_weight: 0.01,
                update_threshold_ms: 15.0,
                thresholds_ms: [25.0, 50.0, 100.0],
                jitter_ms: 8.0,
                headroom: 0.95,
                download: direction(0.2, 0.01, [0.85, 0.97], 250),
                upload: direction(0.2, 0.01, [0.85, 0.97], 250),
            },
        }
    }
}
