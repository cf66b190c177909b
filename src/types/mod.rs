//! What the parts of the program tell each other: types only, no behaviour beyond keeping their
//! own promises.
//!
//! measure makes a [`Sample`], decide turns it into a [`Verdict`], actuate turns the verdict and
//! what it sees of the router ([`QueueRow`]) into the next [`Intent`]; what happens on the way is
//! told as [`Event`]s. Units and the board's plain data (probes, replies) come from the `hal`
//! crate and are re-exported here, so that the pure modules name nothing but `crate::types`.

mod event;
mod limit;
mod router;
mod sample;
mod stage;
mod steer;
mod switch;
mod table;
mod verdict;

pub use event::{BudgetState, Event, EventKind, OverrunCause, QueueFault};
pub use limit::{Controlled, Limit, RateRange, Verbatim};
pub use router::{
    Exchange, Fingerprint, Intent, Item, LinkStats, Menu, Name, QueueCounters, QueueId, QueueRow, RouterError,
    RouterInfo, Text,
};
pub use sample::{FIRST_TCP, MAX_REFLECTORS, Sample, Signal, SilenceMode, Source};
pub use stage::Stage;
pub use steer::{Held, Part, Score, SteerHold, SteerReason, Turn, Unfit, Ways};
pub use switch::{MAX_SWITCHES, SwitchFault, SwitchId, SwitchRow, SwitchState, SwitchTable};
pub use table::{Row, Table};
pub use verdict::{DirectionVerdict, Reason, State, Verdict};
pub use wanctl_hal::{
    Bitrate, Direction, Duration, EchoReply, EchoRequest, Instant, LinkError, ListenError, MAX_HOOKS, MAX_WANS, Millis,
    SendError, TlsFault, WallClock, WanId,
};
