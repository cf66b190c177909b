//! What a rule asks for: classes of events by the names of `docs/operating.md`, or groups of them.

use crate::observe::text::{CLASSES, level};
use crate::types::{BudgetState, EventKind, Signal, State};
use core::str::FromStr;
use log::Level;

/// What a rule may ask for: a class of events by its name, or one of [`GROUPS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic(u64);

/// Groups of events by name, behind the bits of the classes.
pub const GROUPS: [&str; 3] = ["errors", "warnings", "wan-down"];

const ERRORS: u64 = 1 << 32;
const WARNINGS: u64 = ERRORS << 1;
const WAN_DOWN: u64 = ERRORS << 2;

impl FromStr for Topic {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let group = GROUPS.iter().position(|name| *name == text).map(|i| ERRORS << i);
        let class = CLASSES.iter().position(|(name, _)| *name == text).map(|i| 1 << i);
        group.or(class).map(Self).ok_or(())
    }
}

/// What a rule asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topics(u64);

impl Default for Topics {
    fn default() -> Self {
        Self(ERRORS | WAN_DOWN)
    }
}

impl FromIterator<Topic> for Topics {
    fn from_iter<T: IntoIterator<Item = Topic>>(topics: T) -> Self {
        Self(topics.into_iter().fold(0, |all, topic| all | topic.0))
    }
}

impl Topics {
    /// Whether this event is one of them.
    #[must_use]
    pub fn has(self, kind: &EventKind) -> bool {
        let has = |bits| self.0 & bits != 0;
        let is_down = matches!(kind, EventKind::Signal { from, to, .. } if [*from, *to].contains(&Signal::Down));
        has(1 << kind.class())
            || has(ERRORS) && level(kind) == Level::Error
            || has(WARNINGS) && level(kind) <= Level::Warn
            || has(WAN_DOWN) && is_down
    }
}

/// Whether an event tells that something is as it should be again.
pub(super) fn is_good(kind: &EventKind) -> bool {
    match kind {
        EventKind::Signal { to, .. } => *to == Signal::Good,
        EventKind::State { to, .. } => *to == State::Green,
        EventKind::Budget(state) => *state == BudgetState::Ample,
        // There and back are told apart, whichever is which.
        EventKind::Steer { turn, .. } => turn.to.index() < turn.from.index(),
        EventKind::RouterBack { .. } | EventKind::ReflectorBack { .. } | EventKind::Reloaded => true,
        _ => false,
    }
}
