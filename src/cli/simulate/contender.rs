//! Who may be compared: our laws, and what they have to beat.

use crate::config::Config;
use crate::config::scenario::Scenario;
use crate::decide;
use crate::decide::published::{self, Kind};
use crate::types::{Bitrate, Direction, Duration, Millis};

/// Something that sets the shapers in a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contender {
    /// A part of the capacity at the beginning, for ever: what an operator sets by hand.
    Fixed,
    /// That part of the true capacity at every moment, without delay: what nobody can have.
    Oracle,
    /// The same, but it hears of a change as late as somebody who has to measure, and writes no more often than a router
    /// should be written: what nobody can have who keeps to that.
    LateOracle,
    /// The whole daemon with this law of the configuration.
    Daemon(&'static str),
    /// The whole daemon with a law of others.
    Published(Kind),
}

/// All of them, by name; ours first.
const ALL: [(&str, Contender); 7] = [
    ("adaptive", Contender::Daemon("adaptive")),
    ("classic", Contender::Daemon("classic")),
    ("cake-autorate", Contender::Published(Kind::CakeAutorate)),
    ("sqm-autorate", Contender::Published(Kind::SqmAutorate)),
    ("fixed", Contender::Fixed),
    ("oracle", Contender::Oracle),
    ("late-oracle", Contender::LateOracle),
];

impl Contender {
    /// All names.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|(name, _)| *name)
    }

    /// The one of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        ALL.iter().find(|(known, _)| *known == name).map(|(_, contender)| *contender)
    }

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        ALL.iter().find(|(_, contender)| *contender == self).map_or("", |(name, _)| *name)
    }

    /// `law = …` of the configuration it runs with; `None` without the daemon.
    pub(super) const fn law(self) -> Option<&'static str> {
        match self {
            Self::Daemon(law) => Some(law),
            // Replaced by `adjust`.
            Self::Published(_) => Some("classic"),
            Self::Fixed | Self::Oracle | Self::LateOracle => None,
        }
    }

    /// What can't be said in the configuration. The laws of others run with what they have where
    /// they live: every change is written at once, and counters are read at their own pace.
    pub(super) fn adjust(self, scenario: &Scenario, config: &mut Config) {
        let Self::Published(kind) = self else { return };
        let period = scenario.control.statistics.unwrap_or(match kind {
            Kind::CakeAutorate => Duration::from_millis(200),
            Kind::SqmAutorate => Duration::from_millis(500),
        });
        config.actuate.rise_fraction = 0.0;
        config.actuate.rise_minimum = Bitrate::ZERO;
        config.actuate.rise_spacing = Duration::ZERO;
        config.actuate.writes_per_hour = 1_000_000;
        (config.actuate.read_loaded, config.actuate.read_idle) = (period, period);
        let baseline = Millis::try_from(scenario.line.base_rtt).unwrap_or(Millis::ZERO);
        let bases = Direction::BOTH.map(|d| base(kind, scenario, d));
        for wan in &mut config.wans {
            let ranges = wan.ranges;
            wan.law = decide::Settings::Published(published::Settings { kind, baseline, ranges, bases });
        }
    }
}

/// The base rate that a user of this law would have given.
fn base(kind: Kind, scenario: &Scenario, direction: Direction) -> Bitrate {
    let leg = &scenario.line.legs[direction.index()];
    match kind {
        // The defaults (5, 20 and 80 Mbit/s) have it at the geometric mean of the bounds.
        Kind::CakeAutorate => Bitrate::from_f64(libm::sqrt(leg.floor.as_f64() * leg.ceiling.as_f64())),
        // The rate the line usually has.
        Kind::SqmAutorate => leg.capacity,
    }
}
