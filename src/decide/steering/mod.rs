//! Signals of all WANs → which WAN new marked connections shall leave through, and why.
//!
//! Stands between measure (and the laws) and actuate. Pure: time is an argument, nothing is
//! allocated, nothing is read or sent. It is *not* responsible for how a switch is turned or for
//! what the router shows of it (actuate's), nor for rates (the laws').
//!
//! Terms. A *pair* is a primary WAN and its alternates in order. A *score* says how bad a WAN is
//! for a call ([`Health`]). A WAN is *bad* from `steer_at` on and *well* up to `return_at`; it is
//! *lost* when nothing comes through by any means. A *turn* changes the WAN of new marked
//! connections. What a lost WAN calls for happens at once; everything else must last, keeps the
//! hold-down, and is up to the [`Brake`].

mod brake;
mod health;
mod pair;
mod settings;

pub use brake::Brake;
pub use health::{Health, Reach, Signals};
pub use pair::Pair;
pub use settings::{Alternate, MAX_ALTERNATES, MAX_PAIRS, Mode, Settings};

use crate::types::{Held, Instant, SwitchId, SwitchState, Turn, WanId};

/// How a pair looks at the switches on the router.
pub type Switches<'a> = &'a dyn Fn(SwitchId) -> SwitchState;

/// What a pair has to tell; told when it begins, not in every cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It turned.
    Turn(Turn),
    /// It would turn, and may not.
    Held(Held),
}

/// What of a pair is worth keeping over a restart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// The alternate in use; `None` is the primary.
    pub at: Option<WanId>,
    /// When connections last turned.
    pub turned: Option<Instant>,
    /// When they last came back to the primary.
    pub returned: Option<Instant>,
    /// How often the primary was bad again soon after they came back.
    pub relapses: u8,
    /// Until when the brake holds.
    pub brake_until: Option<Instant>,
    /// How often its hold was doubled.
    pub brake_level: u8,
    /// When connections turned, oldest first.
    pub toggles: heapless::Vec<Instant, 8>,
}
