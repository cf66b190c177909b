//! Events in plain words.

use crate::types::{
    Bitrate, BudgetState, EventKind, OverrunCause, QueueFault, Signal, State, SwitchFault, WanId, Ways,
};
use core::fmt;
use log::Level;

/// What each class of events is about, by its number, and what it means.
pub(super) const CLASSES: [(&str, &str); EventKind::CLASSES] = [
    (
        "congestion states",
        "A direction has another state, or its rate another reason. GREEN: no queue; YELLOW: delay is \
         rising; SOFT_RED: a queue drains; RED: the rate is being cut. Nothing to do.",
    ),
    (
        "signal quality",
        "How good the measurement is has changed: good, degraded (no reflector answers, TCP connect times \
         stand in), silent, down. If it stays: `wanctl check`, other reflectors, `wan.tcp_targets`.",
    ),
    (
        "reflectors taken out",
        "A reflector was silent or far from the others too often, and another is asked. Nothing to do, \
         unless it happens to all.",
    ),
    ("reflectors coming back", "It answers as it should again."),
    ("confirmed limits", "The router shows a limit that we set. One line per change at level debug."),
    ("repaired limits", "The router had another limit than ours (a reboot, a hand, a script), and was put right."),
    ("router faults", "A request failed; the text says how. The last wanted rates are set when it answers again."),
    ("the router answering again", "It does, after so many failures."),
    (
        "unusable queues",
        "A queue is missing, there twice, disabled, invalid or dynamic, and is not controlled. `wanctl \
         check` prints the command that mends it.",
    ),
    (
        "swapped directions",
        "Counters say that download and upload are exchanged in the file: nothing is written. Exchange \
         the two queue names.",
    ),
    (
        "skipped cycles",
        "Something took longer than a cycle: a TLS handshake, the state file, a reload, or the machine \
         itself; the text also names the stage of our own work that took longest (`wanctl profile`). Often: give \
         the machine more, or use a longer cycle.",
    ),
    ("reloads", "The file was read again and is in force."),
    ("refused reloads", "The file was read again and has faults, all told before; the old one stays in force."),
    (
        "failed saves",
        "The state could not be written: a restart would begin anew. Look at the state directory's \
         medium.",
    ),
    ("suppressed lines", "So many lines of one kind were left out; `/events` has the last 256 events in full."),
    (
        "contested limits",
        "Somebody else keeps changing a limit: it is left alone, for longer each time. Find the script, \
         netwatch or hand.",
    ),
    (
        "the write budget",
        "Half of it is used (no rises), all of it (rates rest at `safe_rate`), or there is enough again. \
         `loop.writes_per_hour` sets it.",
    ),
    ("wear of the router's flash", "How many sectors the router writes in an hour, all causes together."),
    ("the endpoint", "Nothing listens at `observe.listen`; the text says why. It is tried again every minute."),
    ("steering", "New marked connections leave through another WAN; the text has the reason and both scores."),
    (
        "steering held back",
        "The scores ask for a turn, and something forbids it: no fit alternate, hold-down, brake, a hand.",
    ),
    (
        "unusable switches",
        "The rule or list of a steering pair is missing, there twice, in another chain, dynamic or \
         invalid. The text has the command that mends it.",
    ),
    ("flipped switches", "Somebody else turned a switch; that is respected for `respect_hand`."),
    (
        "ways of probes",
        "Whether the probes of two lines of a pair take different ways. If not, both measure one line, and \
         there is no steering between them: `wanctl check` prints the routing rules that are missing.",
    ),
];

/// An event that prints as a sentence; `names` are those of the WANs, in order.
#[derive(Clone, Copy, Debug)]
pub struct Described<'a, N> {
    /// The event.
    pub kind: &'a EventKind,
    /// Names of the WANs, in order.
    pub names: &'a [N],
}

/// What an event is about, in a word or two.
#[must_use]
pub fn about(kind: &EventKind) -> &'static str {
    CLASSES[kind.class()].0
}

/// All classes of events, each with what it means and what to do about it, for the documentation.
#[must_use]
pub const fn explained() -> &'static [(&'static str, &'static str)] {
    &CLASSES
}

/// How loud an event is.
#[must_use]
pub fn level(kind: &EventKind) -> Level {
    match kind {
        EventKind::QueueUnusable { .. }
        | EventKind::Swapped { .. }
        | EventKind::SwitchUnusable { .. }
        | EventKind::ReloadRefused { .. }
        | EventKind::Ways { ways: Ways::Same(_), .. }
        | EventKind::Contested { .. }
        | EventKind::Budget(BudgetState::Empty) => Level::Error,
        EventKind::RouterFault(_)
        | EventKind::Repaired { .. }
        | EventKind::Budget(BudgetState::CutsOnly)
        | EventKind::SaveFailed { .. }
        | EventKind::Steer { dry_run: false, .. }
        | EventKind::SteerHeld { dry_run: false, .. }
        | EventKind::NotListening(_)
        | EventKind::SwitchFlipped { .. }
        | EventKind::ReflectorOut { .. }
        | EventKind::Signal { to: Signal::Down | Signal::Degraded, .. } => Level::Warn,
        EventKind::Confirmed { .. } | EventKind::Overrun { .. } => Level::Debug,
        EventKind::State { from, to, .. } if from.max(to) <= &State::Yellow => Level::Debug,
        EventKind::State { .. }
        | EventKind::Signal { .. }
        | EventKind::ReflectorBack { .. }
        | EventKind::RouterBack { .. }
        | EventKind::Suppressed { .. }
        | EventKind::Budget(BudgetState::Ample)
        | EventKind::Wear { .. }
        | EventKind::Ways { .. }
        | EventKind::Steer { dry_run: true, .. }
        | EventKind::SteerHeld { dry_run: true, .. }
        | EventKind::Reloaded => Level::Info,
    }
}

impl<N: AsRef<str>> Described<'_, N> {
    fn name(&self, wan: WanId) -> &str {
        self.names.get(wan.index()).map_or("?", AsRef::as_ref)
    }
}

impl<N: AsRef<str>> Described<'_, N> {
    /// What is told of switches.
    /// About skipped cycles.
    fn overrun(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EventKind::Overrun { cycles, cause, stage, took } = *self.kind else { return Ok(()) };
        let (why, ms) = (overrun(cause), took.as_secs_f64() * 1e3);
        write!(f, "{cycles} cycles skipped: {why}; of our own work \"{}\" took longest, {ms:.1} ms", stage.name())
    }

    fn switch(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self.kind {
            EventKind::SwitchUnusable { wan, why } => {
                write!(f, "steering to {}: {}", self.name(wan), switch_fault(why))
            }
            EventKind::SwitchFlipped { wan, on, respected } => write!(
                f,
                "steering to {}: somebody else has turned the switch {}; that is respected for {} s",
                self.name(wan),
                if on { "on" } else { "off" },
                respected.as_secs()
            ),
            EventKind::Ways { primary, alternate, ways, trusted } => {
                let (one, other) = (self.name(primary), self.name(alternate));
                match ways {
                    Ways::Unknown => write!(f, "probes of {one} and {other}: not known whether they take the same way"),
                    Ways::Part(hop) => write!(f, "probes of {one} and {other} part at hop {hop}, as they should"),
                    Ways::Same(router) => {
                        write!(f, "probes of {one} and {other} both pass {router}: they measure one line. ")?;
                        f.write_str(if trusted {
                            "Steering goes on (pinning = \"trusted\")"
                        } else {
                            "No steering between the two: `wanctl check` prints the routing rules that are missing; if \
                             the lines really share that router, set steering.pinning = \"trusted\""
                        })
                    }
                }
            }
            _ => Ok(()),
        }
    }
}

impl<N: AsRef<str>> fmt::Display for Described<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self.kind {
            EventKind::State { wan, direction, from, to, delay, rate, reason } => write!(
                f,
                "{} {}: {} -> {} at {rate}, {delay} above baseline: {}",
                self.name(wan),
                direction.name(),
                from.name(),
                to.name(),
                reason.text()
            ),
            EventKind::Signal { wan, from, to } => {
                write!(f, "{}: {} (was: {})", self.name(wan), signal(to), signal(from))
            }
            EventKind::ReflectorOut { wan, reflector } => {
                write!(f, "{}: reflector {reflector} taken out: silent or far off the others", self.name(wan))
            }
            EventKind::ReflectorBack { wan, reflector } => {
                write!(f, "{}: reflector {reflector} is back", self.name(wan))
            }
            EventKind::Confirmed { wan, direction, rate } => {
                write!(f, "{} {}: router confirmed {rate}", self.name(wan), direction.name())
            }
            EventKind::Repaired { wan, direction, found } => {
                write!(f, "{} {}: the router had ", self.name(wan), direction.name())?;
                if found == Bitrate::ZERO {
                    f.write_str("no limit")?
                } else {
                    write!(f, "{found}")?
                }
                f.write_str(" instead of ours (a reboot, a script or a person?); repairing")
            }
            EventKind::Contested { wan, direction, hold } => write!(
                f,
                "{} {}: somebody else keeps changing this limit; it is left alone for {} s. Look for scripts, \
                 schedulers or a second controller on the router",
                self.name(wan),
                direction.name(),
                hold.as_secs()
            ),
            EventKind::Budget(BudgetState::Ample) => f.write_str("write budget: rates may rise again"),
            EventKind::Budget(BudgetState::CutsOnly) => {
                f.write_str("write budget: half used, rates rise no more until tokens return (loop.writes_per_hour)")
            }
            EventKind::Budget(BudgetState::Empty) => f.write_str(
                "write budget: used up; rates go to safe_rate and stay there until tokens return \
                 (loop.writes_per_hour)",
            ),
            EventKind::Wear { sectors_per_hour } => {
                write!(f, "router: its flash is written to at {sectors_per_hour} sectors an hour")
            }
            EventKind::RouterFault(error) => write!(f, "router: {error}"),
            EventKind::RouterBack { failures } => {
                write!(f, "router: answers again after {failures} failure{}", if failures == 1 { "" } else { "s" })
            }
            EventKind::QueueUnusable { wan, direction, why } => {
                write!(f, "{} {}: {}", self.name(wan), direction.name(), queue_fault(why))
            }
            EventKind::Swapped { wan } => write!(
                f,
                "{}: the counters say that the download and upload queues are swapped; nothing is written. \
                 Swap the queue names in the configuration, or the parents on the router",
                self.name(wan)
            ),
            EventKind::Overrun { .. } => self.overrun(f),
            EventKind::SwitchUnusable { .. } | EventKind::SwitchFlipped { .. } | EventKind::Ways { .. } => {
                self.switch(f)
            }
            EventKind::NotListening(error) => write!(f, "nothing can look in at observe.listen: {error}"),
            EventKind::Reloaded => f.write_str("configuration read again, in force now"),
            EventKind::ReloadRefused { faults } => {
                write!(f, "configuration refused because of {faults} faults; the old one stays in force")
            }
            EventKind::Suppressed { class, lines } => {
                write!(f, "{lines} more lines about {} in the last minute suppressed", CLASSES[usize::from(class)].0)
            }
            EventKind::Steer { turn, dry_run } => write!(
                f,
                "{}new marked connections leave through {} instead of {}: {}; score of {} {}, of {} {}",
                if dry_run { "dry run, would do: " } else { "" },
                self.name(turn.to),
                self.name(turn.from),
                turn.why.text(),
                self.name(turn.from),
                turn.scores[0],
                self.name(turn.to),
                turn.scores[1],
            ),
            EventKind::SteerHeld { held, dry_run } => write!(
                f,
                "{}new marked connections stay on {} with its score of {}: {}",
                if dry_run { "dry run: " } else { "" },
                self.name(held.wan),
                held.score,
                held.hold,
            ),
            EventKind::SaveFailed { errno } => {
                write!(f, "state can't be saved: {}", std::io::Error::from_raw_os_error(errno))
            }
        }
    }
}

/// The quality of a measurement in a few words.
pub(super) const fn signal(signal: Signal) -> &'static str {
    match signal {
        Signal::WarmingUp => "warming up, nothing has answered yet",
        Signal::Good => "reflectors answer",
        Signal::Silent => "every reflector is silent",
        Signal::Degraded => "reflectors silent, but the line is up (gateway or TCP answers)",
        Signal::Down => "nothing answers, the WAN seems down",
    }
}

const fn queue_fault(why: QueueFault) -> &'static str {
    match why {
        QueueFault::Missing => "the router has no queue of this name; create it or correct the name (`wanctl check`)",
        QueueFault::Ambiguous => "several queues have this name; rename all but one on the router",
        QueueFault::Disabled => "the queue is disabled; enable it on the router",
        QueueFault::Invalid => "the queue is invalid on the router: its parent, packet mark or queue type is missing",
        QueueFault::Dynamic => "the queue is dynamic and can't be changed; create a static one",
    }
}

const fn switch_fault(why: SwitchFault) -> &'static str {
    match why {
        SwitchFault::Missing => {
            "no mangle rule has the comment of steering.alternate.rule; add it: /ip/firewall/mangle/add \
             chain=prerouting action=mark-connection new-connection-mark=wanctl-steer connection-state=new \
             connection-mark=no-mark disabled=yes comment=… (docs/steering.md)"
        }
        SwitchFault::Ambiguous => {
            "several mangle rules have the comment of steering.alternate.rule; rename all but one: \
             /ip/firewall/mangle/set [find comment=…] comment=…"
        }
        SwitchFault::Chain => {
            "the rule is not in the chain prerouting, where routes are still open; move it: /ip/firewall/mangle/set \
             [find comment=…] chain=prerouting"
        }
        SwitchFault::Invalid => {
            "the rule is invalid: an interface, a list or a table that it names is missing; see \
             /ip/firewall/mangle/print where invalid"
        }
        SwitchFault::Dynamic => "the rule is dynamic and can't be changed; add a static one",
    }
}

const fn overrun(cause: OverrunCause) -> &'static str {
    match cause {
        OverrunCause::Handshake => "TLS handshake with the router",
        OverrunCause::StateWrite => "writing the state file was slow",
        OverrunCause::Reload => "reading the configuration",
        OverrunCause::Host => "the machine was busy elsewhere",
    }
}
