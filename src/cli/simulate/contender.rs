//! Who may be compared: our laws, and what they have to beat.

use crate::config::Config;

/// Something that sets the shapers in a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contender {
    /// 0.95 of the capacity at the beginning, for ever: what an operator sets by hand.
    Fixed,
    /// 0.95 of the true capacity at every moment, without delay: what nobody can have.
    Oracle,
    /// The whole daemon with this law of the configuration.
    Daemon(&'static str),
}

/// All of them, by name; ours first.
const ALL: [(&str, Contender); 4] = [
    ("adaptive", Contender::Daemon("adaptive")),
    ("classic", Contender::Daemon("classic")),
    ("fixed", Contender::Fixed),
    ("oracle", Contender::Oracle),
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
            Self::Fixed | Self::Oracle => None,
        }
    }

    /// What can't be said in the configuration.
    pub(super) fn adjust(self, _config: &mut Config) {}
}
