//! `/health` and `/ready`: for machines that act on them. A 503 makes a router's dead-man set safe
//! limits, so it is said only when the control has really failed.

use super::{OrNull, Piece, Quoted, SCHEMA};
use crate::observe::{Facts, WanFacts};
use crate::types::{BudgetState, Duration, Signal};
use core::fmt::{self, Write as _};

/// The loop has stalled when no cycle ran for so long.
const STALLED: Duration = Duration::from_secs(2);

/// The control has failed when the router showed no limit for so long.
const UNCONFIRMED: Duration = Duration::from_secs(60);

/// How things are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// All is well.
    Ok,
    /// It works, with restrictions.
    Degraded,
    /// It does not work.
    Failed,
}

impl Health {
    /// Its name in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
        }
    }
}

/// One reason why not all is well.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Why<'a> {
    Stalled(Duration),
    Unconfirmed(Duration),
    Starting,
    Signal(Signal),
    Router(u32),
    Budget(BudgetState),
    Differs(&'a str),
    Switch(&'a str),
    Alerts(usize),
}

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stalled(gap) => write!(f, "the loop stood still for {:.1} s", gap.as_secs_f64()),
            Self::Unconfirmed(age) => write!(f, "the router has shown no limit for {} s", age.as_secs()),
            Self::Starting => f.write_str("nothing measured yet"),
            Self::Signal(signal) => f.write_str(crate::observe::text::signal(*signal)),
            Self::Router(failures) => write!(f, "the router does not answer, {failures} failures in a row"),
            Self::Budget(BudgetState::Empty) => f.write_str("the write budget is used up, rates rest at safe_rate"),
            Self::Budget(_) => f.write_str("half the write budget is used, rates rise no more"),
            Self::Switch(wan) => {
                write!(
                    f,
                    "steering can't act: the router has no usable switch for {wan}, or its probes leave by another line (`wanctl check`)"
                )
            }
            Self::Alerts(rules) => {
                write!(f, "alert rules out of use: {rules}; `wanctl check` says what is wrong with them")
            }
            Self::Differs(direction) => write!(f, "the router's {direction} limit is not known"),
        }
    }
}

/// How the loop and its router link are, and the first reason.
fn whole(facts: &dyn Facts) -> (Health, Option<Why<'_>>) {
    let (l, router) = (facts.whole(), facts.router());
    if l.stall > STALLED {
        (Health::Failed, Some(Why::Stalled(l.stall)))
    } else if router.failures > 0 {
        (Health::Degraded, Some(Why::Router(router.failures)))
    } else if router.budget != BudgetState::Ample {
        (Health::Degraded, Some(Why::Budget(router.budget)))
    } else if let Some(wan) = (0..).map_while(|i| facts.steering(i)).find_map(|pair| pair.refused()) {
        (Health::Degraded, Some(Why::Switch(facts.names().get(wan.index()).map_or("?", String::as_str))))
    } else if facts.refused_alerts() > 0 {
        (Health::Degraded, Some(Why::Alerts(facts.refused_alerts())))
    } else {
        (Health::Ok, None)
    }
}

/// How one WAN is, and why.
pub(super) fn wan<'a>(facts: &'a dyn Facts, wan: &WanFacts<'a>) -> (Health, Option<Why<'a>>) {
    let l = facts.whole();
    let since = wan.confirmed.map_or(l.uptime, |at| l.now.since(at));
    if since > UNCONFIRMED {
        return (Health::Failed, Some(Why::Unconfirmed(since)));
    }
    let Some((sample, _)) = wan.last else { return (Health::Degraded, Some(Why::Starting)) };
    if sample.signal != Signal::Good {
        return (Health::Degraded, Some(Why::Signal(sample.signal)));
    }
    match wan.observed {
        [None, _] => (Health::Degraded, Some(Why::Differs("download"))),
        [_, None] => (Health::Degraded, Some(Why::Differs("upload"))),
        [Some(_), Some(_)] => (Health::Ok, None),
    }
}

/// How things are on the whole: the worst of all.
#[must_use]
pub fn judge(facts: &dyn Facts) -> Health {
    let wans = (0..).map_while(|i| facts.wan(i));
    wans.map(|w| wan(facts, &w).0).fold(whole(facts).0, Health::max)
}

fn reason(why: Option<Why<'_>>) -> OrNull<Quoted<Why<'_>>> {
    OrNull(why.map(Quoted))
}

pub(super) fn health(facts: &dyn Facts, out: &mut Piece) -> bool {
    let (_, why) = whole(facts);
    let _ = write!(
        out,
        "{{\"schema\":{SCHEMA},\"status\":\"{}\",\"reason\":{},\"wans\":[",
        judge(facts).name(),
        reason(why)
    );
    for (i, w) in (0..).map_while(|i| facts.wan(i)).enumerate() {
        let (health, why) = wan(facts, &w);
        let comma = if i > 0 { "," } else { "" };
        let (name, status) = (Quoted(w.name), health.name());
        let _ = write!(out, "{comma}{{\"name\":{name},\"status\":\"{status}\",\"reason\":{}}}", reason(why));
    }
    let _ = out.push_str("]}\n");
    false
}

/// Ready once every WAN has measured and shown its limits.
#[must_use]
pub fn is_ready(facts: &dyn Facts) -> bool {
    let ready = |w: WanFacts<'_>| w.last.is_some_and(|(s, _)| s.signal != Signal::WarmingUp) && w.confirmed.is_some();
    (0..).map_while(|i| facts.wan(i)).all(ready)
}

pub(super) fn ready(facts: &dyn Facts, out: &mut Piece) -> bool {
    let _ = writeln!(out, "{{\"schema\":{SCHEMA},\"ready\":{}}}", is_ready(facts));
    false
}
