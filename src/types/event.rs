//! What happened: one enum, kept in one ring that logs, SIGUSR1 and the status page all read.

use super::{
    Bitrate, Direction, Duration, Held, Instant, ListenError, Millis, Reason, RouterError, Signal, Stage, State,
    SwitchFault, Turn, WanId, Ways,
};

/// Something worth telling, and when.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// When.
    pub at: Instant,
    /// What.
    pub kind: EventKind,
}

/// Something worth telling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EventKind {
    /// A direction changed its congestion state.
    State {
        /// Which WAN.
        wan: WanId,
        /// Which direction.
        direction: Direction,
        /// From this state…
        from: State,
        /// …to this one.
        to: State,
        /// Delay above baseline.
        delay: Millis,
        /// Rate now wanted.
        rate: Bitrate,
        /// Why.
        reason: Reason,
    },
    /// The quality of a WAN's measurement changed.
    Signal {
        /// Which WAN.
        wan: WanId,
        /// From this…
        from: Signal,
        /// …to this.
        to: Signal,
    },
    /// A reflector was taken out of the rotation.
    ReflectorOut {
        /// Which WAN.
        wan: WanId,
        /// Its number in the configuration.
        reflector: u8,
    },
    /// A reflector is back in the rotation.
    ReflectorBack {
        /// Which WAN.
        wan: WanId,
        /// Its number in the configuration.
        reflector: u8,
    },
    /// The router confirmed a limit.
    Confirmed {
        /// Which WAN.
        wan: WanId,
        /// Which direction.
        direction: Direction,
        /// The limit.
        rate: Bitrate,
    },
    /// The router had another limit than we set, and was put right.
    Repaired {
        /// Which WAN.
        wan: WanId,
        /// Which direction.
        direction: Direction,
        /// What the router had.
        found: Bitrate,
    },
    /// Somebody else keeps changing a limit of ours: it is left alone for a while.
    Contested {
        /// Which WAN.
        wan: WanId,
        /// Which direction.
        direction: Direction,
        /// For how long.
        hold: Duration,
    },
    /// What the write budget allows has changed.
    Budget(BudgetState),
    /// How fast the router's flash is being written to.
    Wear {
        /// Growth of `write-sect-since-reboot`, in sectors per hour.
        sectors_per_hour: u32,
    },
    /// The router can't be reached, or refuses.
    RouterFault(RouterError),
    /// The router answers again.
    RouterBack {
        /// How many requests had failed in a row.
        failures: u32,
    },
    /// A queue is unusable; the text says why and what to do.
    QueueUnusable {
        /// Which WAN.
        wan: WanId,
        /// Which direction.
        direction: Direction,
        /// Why.
        why: QueueFault,
    },
    /// The counters say that download and upload are swapped: nothing is written.
    Swapped {
        /// Which WAN.
        wan: WanId,
    },
    /// Cycles were skipped, for this reason.
    Overrun {
        /// How many.
        cycles: u32,
        /// Why.
        cause: OverrunCause,
        /// What took longest since the cycle before…
        stage: Stage,
        /// …and for how long, by the wall: system calls and waits for the processor included.
        took: Duration,
    },
    /// A switch of steering can't be turned.
    SwitchUnusable {
        /// The WAN that it leads to.
        wan: WanId,
        /// Why.
        why: SwitchFault,
    },
    /// Somebody else has turned a switch.
    SwitchFlipped {
        /// The WAN that it leads to.
        wan: WanId,
        /// It is on now.
        on: bool,
        /// For how long that is respected.
        respected: Duration,
    },
    /// Nothing listens at `observe.listen`.
    NotListening(ListenError),
    /// The configuration was read again and is in force.
    Reloaded,
    /// The configuration was read again and refused; the old one stays.
    ReloadRefused {
        /// How many faults it has.
        faults: u32,
    },
    /// Events of one class were not logged, because there were too many.
    Suppressed {
        /// Their class, see [`EventKind::class`].
        class: u8,
        /// How many.
        lines: u32,
    },
    /// New marked connections take another WAN.
    Steer {
        /// From where to where, and why.
        turn: Turn,
        /// Only told, not done.
        dry_run: bool,
    },
    /// They should, by the scores; something holds them back.
    SteerHeld {
        /// What.
        held: Held,
        /// Nothing would be done anyway.
        dry_run: bool,
    },
    /// Whether the probes of two WANs take the same way has become known, or is another thing now.
    Ways {
        /// The primary of a pair.
        primary: WanId,
        /// One of its alternates.
        alternate: WanId,
        /// What is known.
        ways: Ways,
        /// The pair is told to go on all the same.
        trusted: bool,
    },
    /// The state could not be saved.
    SaveFailed {
        /// By its number.
        errno: i32,
    },
}

impl EventKind {
    /// How many classes there are.
    pub const CLASSES: usize = 24;

    /// The WAN that it is about, and a second one if there is one.
    #[must_use]
    pub const fn wans(&self) -> [Option<WanId>; 2] {
        match self {
            Self::State { wan, .. }
            | Self::Signal { wan, .. }
            | Self::ReflectorOut { wan, .. }
            | Self::ReflectorBack { wan, .. }
            | Self::Confirmed { wan, .. }
            | Self::Repaired { wan, .. }
            | Self::Contested { wan, .. }
            | Self::QueueUnusable { wan, .. }
            | Self::Swapped { wan }
            | Self::SwitchUnusable { wan, .. }
            | Self::SwitchFlipped { wan, .. } => [Some(*wan), None],
            Self::Steer { turn, .. } if turn.from.index() < turn.to.index() => [Some(turn.from), Some(turn.to)],
            Self::Steer { turn, .. } => [Some(turn.to), Some(turn.from)],
            Self::SteerHeld { held, .. } => [Some(held.wan), None],
            Self::Ways { primary, alternate, .. } => [Some(*primary), Some(*alternate)],
            Self::Budget(_)
            | Self::Wear { .. }
            | Self::RouterFault(_)
            | Self::RouterBack { .. }
            | Self::Overrun { .. }
            | Self::NotListening(_)
            | Self::Reloaded
            | Self::ReloadRefused { .. }
            | Self::Suppressed { .. }
            | Self::SaveFailed { .. } => [None, None],
        }
    }

    /// A number per kind of event, below [`EventKind::CLASSES`]: what is rate-limited together.
    #[must_use]
    pub const fn class(&self) -> usize {
        match self {
            Self::State { .. } => 0,
            Self::Signal { .. } => 1,
            Self::ReflectorOut { .. } => 2,
            Self::ReflectorBack { .. } => 3,
            Self::Confirmed { .. } => 4,
            Self::Repaired { .. } => 5,
            Self::RouterFault(_) => 6,
            Self::RouterBack { .. } => 7,
            Self::QueueUnusable { .. } => 8,
            Self::Swapped { .. } => 9,
            Self::Overrun { .. } => 10,
            Self::Reloaded => 11,
            Self::ReloadRefused { .. } => 12,
            Self::SaveFailed { .. } => 13,
            Self::Suppressed { .. } => 14,
            Self::Contested { .. } => 15,
            Self::Budget(_) => 16,
            Self::Wear { .. } => 17,
            Self::NotListening(_) => 18,
            Self::Steer { .. } => 19,
            Self::SteerHeld { .. } => 20,
            Self::SwitchUnusable { .. } => 21,
            Self::SwitchFlipped { .. } => 22,
            Self::Ways { .. } => 23,
        }
    }
}

/// What the write budget allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BudgetState {
    /// Everything.
    Ample,
    /// Cuts; rises wait for tokens.
    CutsOnly,
    /// Nothing but one last cut to the safe rate.
    Empty,
}

/// What took longer than a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverrunCause {
    /// A TLS handshake with the router.
    Handshake,
    /// Writing the state file.
    StateWrite,
    /// Reading the configuration again.
    Reload,
    /// The machine: our own work fits, the processor was elsewhere.
    Host,
}

/// Why a queue can't be controlled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueFault {
    /// The router has no queue of this name.
    Missing,
    /// Several queues have this name.
    Ambiguous,
    /// It is disabled.
    Disabled,
    /// It is invalid: parent, packet mark or queue type is missing.
    Invalid,
    /// It is dynamic.
    Dynamic,
}
