//! decide/steering ⇄ actuate: which switches shall be on, and what the router shows of them.

use super::Instant;

/// The most switches one configuration may have.
pub const MAX_SWITCHES: usize = 16;

/// One alternate of one steering pair: what makes its marked connections leave through it. They
/// are numbered in the order of the file, the alternates of the first pair first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SwitchId(pub u8);

impl SwitchId {
    /// As an index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What is known of one switch on the router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SwitchState {
    /// Whether it is on, as the router last said; `None` before it was first read, and while what
    /// was read can't be true any more (the router rebooted, the link is long gone).
    pub observed: Option<bool>,
    /// Somebody flipped it by hand or by script: until then it is left as it is.
    pub respected_until: Option<Instant>,
    /// The router has no usable switch (missing, ambiguous, dynamic, invalid): it can't be turned.
    pub refused: bool,
}
