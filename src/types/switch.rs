//! decide/steering ⇄ actuate: which switches shall be on, and what the router shows of them.

use super::{Duration, Instant, QueueId, Text};

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
    /// The router has no usable switch (missing, ambiguous, dynamic, invalid), or it would lead
    /// back into the same line: it can't be turned.
    pub refused: bool,
}

/// Where on the router switches are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SwitchTable {
    /// The mangle rules, of IPv4 or IPv6.
    Mangle {
        /// Of IPv6.
        six: bool,
    },
    /// The entries of one address list, of IPv4 or IPv6.
    List {
        /// Of IPv6.
        six: bool,
        /// Its name.
        name: Text<64>,
    },
}

impl SwitchTable {
    /// The path below `/rest`.
    #[must_use]
    pub const fn path(&self) -> &'static str {
        match self {
            Self::Mangle { six: false } => "/ip/firewall/mangle",
            Self::Mangle { six: true } => "/ipv6/firewall/mangle",
            Self::List { six: false, .. } => "/ip/firewall/address-list",
            Self::List { six: true, .. } => "/ipv6/firewall/address-list",
        }
    }
}

/// A rule or an entry, as the router lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchRow {
    /// Its id, valid until the router reboots.
    pub id: QueueId,
    /// Its comment; of an entry, its address.
    pub key: Text<96>,
    /// It is in the chain `prerouting`.
    pub prerouting: bool,
    /// It is disabled.
    pub disabled: bool,
    /// It is invalid: what it refers to is missing.
    pub invalid: bool,
    /// The router made it itself.
    pub dynamic: bool,
    /// How long an entry remains; `None` without end.
    pub timeout: Option<Duration>,
}

/// Why a switch can't be turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwitchFault {
    /// No rule has the comment.
    Missing,
    /// Several rules have the comment.
    Ambiguous,
    /// The rule is not in the chain `prerouting`.
    Chain,
    /// The rule is invalid.
    Invalid,
    /// The rule is dynamic.
    Dynamic,
}
