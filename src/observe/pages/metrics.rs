//! `/metrics`: everything for Prometheus, as OpenMetrics if it asks for that, else in its old text form.
//!
//! One table of families; `docs/metrics.md` is made from it.

use super::{Cursor, PIECE, Piece, health, judge};
use crate::observe::{AlertCounters, Facts, Spread, SteerFacts, SteerWan, WanFacts};
use crate::types::{Bitrate, MAX_WANS, Signal, Stage, State};
use core::fmt::Write as _;

/// Room that one WAN's samples of a family need at most.
const ROOM: usize = 2_600;

/// Where a family's samples come from.
#[derive(Clone, Copy)]
enum Samples {
    /// One for the whole.
    Whole(fn(&dyn Facts) -> Option<f64>),
    /// One per WAN.
    Wan(fn(&dyn Facts, &WanFacts<'_>) -> Option<f64>),
    /// One per WAN and direction.
    Leg(fn(&WanFacts<'_>, usize) -> Option<f64>),
    /// One per pair of steering.
    Pair(fn(&SteerFacts<'_>) -> f64),
    /// One per WAN of each pair.
    Score(fn(&SteerWan) -> f64),
    /// One per alert rule.
    Alert(fn(&AlertCounters) -> u64),
    /// A histogram for the whole.
    Spread(for<'a> fn(&'a dyn Facts) -> &'a Spread),
    /// A histogram per WAN.
    WanSpread(for<'a> fn(&WanFacts<'a>) -> &'a Spread),
    /// A histogram per stage of the loop.
    Stages,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gauge,
    Counter,
    Histogram,
}

/// A family of metrics.
struct Family {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    samples: Samples,
}

const fn gauge(name: &'static str, help: &'static str, samples: Samples) -> Family {
    Family { name, kind: Kind::Gauge, help, samples }
}

const fn counter(name: &'static str, help: &'static str, samples: Samples) -> Family {
    Family { name, kind: Kind::Counter, help, samples }
}

const fn histogram(name: &'static str, help: &'static str, samples: Samples) -> Family {
    Family { name, kind: Kind::Histogram, help, samples }
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
const fn float(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::unnecessary_wraps, reason = "the table's type")]
const fn count(value: u64) -> Option<f64> {
    Some(float(value))
}

/// In bytes per second: Prometheus's base unit.
fn bytes(rate: Option<Bitrate>) -> Option<f64> {
    rate.map(|rate| rate.as_f64() / 8.0)
}

fn state(w: &WanFacts<'_>, leg: usize) -> Option<f64> {
    let (_, verdict) = w.last?;
    Some(match [verdict.download, verdict.upload][leg].state {
        State::Green => 0.0,
        State::Yellow => 1.0,
        State::SoftRed => 2.0,
        State::Red => 3.0,
    })
}

fn wanted(w: &WanFacts<'_>, leg: usize) -> Option<f64> {
    let (_, verdict) = w.last?;
    bytes(Some([verdict.download, verdict.upload][leg].rate.rate()))
}

#[expect(clippy::cast_precision_loss, reason = "a queue of 2^53 bytes is none")]
fn queued(w: &WanFacts<'_>, leg: usize) -> Option<f64> {
    w.stats.map(|s| s.queued_bytes[leg] as f64)
}

const FAMILIES: [Family; 47] = [
    gauge(
        "wanctl_up",
        "1 while the control works, 0.5 with restrictions, 0 when it has failed (as /health).",
        Samples::Whole(|f| {
            Some(match judge(f) {
                super::Health::Ok => 1.0,
                super::Health::Degraded => 0.5,
                super::Health::Failed => 0.0,
            })
        }),
    ),
    gauge("wanctl_uptime_seconds", "Time since the start.", Samples::Whole(|f| Some(f.whole().uptime.as_secs_f64()))),
    gauge(
        "wanctl_cycle_seconds",
        "Length of the control cycle.",
        Samples::Whole(|f| Some(f.whole().cycle.as_secs_f64())),
    ),
    counter("wanctl_cycles", "Control cycles run.", Samples::Whole(|f| count(f.whole().cycles))),
    counter(
        "wanctl_cycles_missed",
        "Control cycles skipped because something took too long.",
        Samples::Whole(|f| count(f.whole().missed)),
    ),
    counter("wanctl_state_writes", "State files written.", Samples::Whole(|f| count(f.whole().saves[0]))),
    histogram("wanctl_cycle_lateness_seconds", "How late cycles began.", Samples::Spread(|f| f.whole().lateness)),
    histogram("wanctl_stage_seconds", "Time that each stage of a wake-up took, by stage.", Samples::Stages),
    gauge(
        "wanctl_router_connected",
        "1 while the connection to the router is open.",
        Samples::Whole(|f| Some(f64::from(u8::from(f.router().connected)))),
    ),
    counter(
        "wanctl_router_connections",
        "Connections opened to the router.",
        Samples::Whole(|f| count(f.router().connections)),
    ),
    counter(
        "wanctl_router_handshakes",
        "Full TLS handshakes with the router.",
        Samples::Whole(|f| count(f.router().handshakes)),
    ),
    gauge(
        "wanctl_router_failures",
        "Requests that failed since the last good answer.",
        Samples::Whole(|f| Some(f64::from(f.router().failures))),
    ),
    counter(
        "wanctl_router_writes",
        "Limits set on the router and confirmed.",
        Samples::Whole(|f| count(f.router().writes)),
    ),
    counter(
        "wanctl_router_repairs",
        "Limits found to differ from ours, and repaired.",
        Samples::Whole(|f| count(f.router().repairs)),
    ),
    counter(
        "wanctl_router_contests",
        "Times that somebody else was found to keep changing a limit.",
        Samples::Whole(|f| count(f.router().contests)),
    ),
    gauge(
        "wanctl_router_write_tokens",
        "Writes that the budget still allows.",
        Samples::Whole(|f| Some(f.router().tokens)),
    ),
    counter(
        "wanctl_router_writes_held_seconds",
        "Time for which the write budget held something back.",
        Samples::Whole(|f| Some(f.router().held.as_secs_f64())),
    ),
    gauge(
        "wanctl_router_flash_sectors_per_hour",
        "Growth of the router's write-sect-since-reboot.",
        Samples::Whole(|f| f.router().sectors_per_hour),
    ),
    histogram(
        "wanctl_router_latency_seconds",
        "Time from a request to the router to its answer.",
        Samples::Spread(|f| f.router().latency),
    ),
    gauge(
        "wanctl_wan_up",
        "1 while a WAN is controlled, 0.5 with restrictions, 0 when it is not (as /health).",
        Samples::Wan(|f, w| {
            Some(match health::wan(f, w).0 {
                super::Health::Ok => 1.0,
                super::Health::Degraded => 0.5,
                super::Health::Failed => 0.0,
            })
        }),
    ),
    gauge(
        "wanctl_wan_signal",
        "Quality of the measurement: 0 good, 1 warming up, 2 degraded, 3 silent, 4 down.",
        Samples::Wan(|_, w| {
            w.last.map(|(sample, _)| match sample.signal {
                Signal::Good => 0.0,
                Signal::WarmingUp => 1.0,
                Signal::Degraded => 2.0,
                Signal::Silent => 3.0,
                Signal::Down => 4.0,
            })
        }),
    ),
    gauge(
        "wanctl_wan_baseline_seconds",
        "Round-trip time of the idle line.",
        Samples::Wan(|_, w| w.last.map(|(_, v)| v.baseline.get() / 1e3)),
    ),
    gauge(
        "wanctl_wan_delay_seconds",
        "Delay above the baseline, as the law sees it.",
        Samples::Wan(|_, w| w.last.map(|(_, v)| v.delay().get() / 1e3)),
    ),
    gauge(
        "wanctl_wan_sample_age_seconds",
        "Age of the newest reply behind the last sample.",
        Samples::Wan(|_, w| w.last.map(|(s, _)| s.age.as_secs_f64())),
    ),
    gauge(
        "wanctl_wan_reflectors_asked",
        "Reflectors asked in every round.",
        Samples::Wan(|_, w| count(w.active as u64)),
    ),
    counter("wanctl_wan_probes_sent", "Probes sent.", Samples::Wan(|_, w| count(w.probes.sent))),
    counter("wanctl_wan_probes_answered", "Probes answered.", Samples::Wan(|_, w| count(w.probes.accepted))),
    counter(
        "wanctl_wan_probes_overdue",
        "Probes not answered in time, though the line was up.",
        Samples::Wan(|_, w| count(w.probes.overdue)),
    ),
    counter(
        "wanctl_wan_replies_refused",
        "Replies that did not count: forged, duplicate, foreign, late.",
        Samples::Wan(|_, w| count(w.probes.refused)),
    ),
    histogram("wanctl_wan_rtt_seconds", "Round-trip time, one value per cycle.", Samples::WanSpread(|w| w.rtt)),
    histogram(
        "wanctl_wan_added_delay_seconds",
        "Delay above the baseline, one value per cycle.",
        Samples::WanSpread(|w| w.delay),
    ),
    gauge("wanctl_leg_state", "Congestion state: 0 GREEN, 1 YELLOW, 2 SOFT_RED, 3 RED.", Samples::Leg(state)),
    gauge("wanctl_leg_wanted_bytes_per_second", "Shaper rate that is wanted.", Samples::Leg(wanted)),
    gauge(
        "wanctl_leg_limit_bytes_per_second",
        "Shaper rate that the router was last seen to have.",
        Samples::Leg(|w, i| bytes(w.observed[i])),
    ),
    gauge(
        "wanctl_leg_achieved_bytes_per_second",
        "Rate that passes the shaper.",
        Samples::Leg(|w, i| bytes(w.stats.and_then(|s| s.achieved[i]))),
    ),
    gauge("wanctl_leg_queued_bytes", "Bytes waiting in the router's queue.", Samples::Leg(queued)),
    gauge(
        "wanctl_leg_floor_bytes_per_second",
        "Lowest shaper rate allowed.",
        Samples::Leg(|w, i| bytes(Some(w.ranges[i].floor()))),
    ),
    gauge(
        "wanctl_leg_ceiling_bytes_per_second",
        "Highest shaper rate allowed.",
        Samples::Leg(|w, i| bytes(Some(w.ranges[i].ceiling()))),
    ),
    gauge(
        "wanctl_steering_active",
        "1 while new marked connections leave through an alternate (in a dry run: would leave).",
        Samples::Pair(|pair| f64::from(u8::from(pair.in_use != pair.primary))),
    ),
    gauge(
        "wanctl_steering_held",
        "1 while a turn that the scores ask for is held back.",
        Samples::Pair(|pair| f64::from(u8::from(pair.held.is_some()))),
    ),
    gauge(
        "wanctl_steering_score",
        "How bad a WAN is for a call: 0 healthy, 100 useless.",
        Samples::Score(|w| f64::from(w.score.total())),
    ),
    gauge(
        "wanctl_steering_confidence_ratio",
        "Part of what could be known of a WAN that is known.",
        Samples::Score(|w| f64::from(w.score.confidence()) / 100.0),
    ),
    counter("wanctl_alerts_sent", "Alerts that a webhook has taken.", Samples::Alert(|c| c.sent)),
    counter("wanctl_alerts_failed", "Attempts to deliver an alert that failed.", Samples::Alert(|c| c.failed)),
    counter(
        "wanctl_alerts_suppressed",
        "Events not told because of a rule's cool-down; the next alert says how many.",
        Samples::Alert(|c| c.suppressed),
    ),
    counter(
        "wanctl_alerts_dropped",
        "Alerts given up: refused by the webhook, older than an hour, or pushed out of the queue.",
        Samples::Alert(|c| c.dropped),
    ),
    gauge(
        "wanctl_alert_rules_refused",
        "Alert rules out of use because something is wrong with them.",
        Samples::Whole(|f| count(f.refused_alerts() as u64)),
    ),
];

/// Number, name, kind and meaning of every metric, for the documentation.
#[must_use]
pub fn described() -> Vec<(String, &'static str, &'static str)> {
    FAMILIES.iter().map(|f| (format!("{}{}", f.name, suffix(f.kind)), f.kind.name(), f.help)).collect()
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

const fn suffix(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "_total",
        Kind::Gauge | Kind::Histogram => "",
    }
}

/// The cursor's number counts families times places.
pub(super) fn piece(cursor: &mut Cursor, open: bool, facts: &dyn Facts, out: &mut Piece) -> bool {
    const PLACES: u64 = MAX_WANS as u64 + 1;
    loop {
        if PIECE - out.len() < ROOM {
            return true;
        }
        let place = usize::try_from(cursor.number % PLACES).unwrap_or(0);
        let Some(family) = usize::try_from(cursor.number / PLACES).ok().and_then(|i| FAMILIES.get(i)) else {
            let _ = out.push_str(if open { "# EOF\n" } else { "" });
            return false;
        };
        if place == 0 {
            let shown = if open { "" } else { suffix(family.kind) };
            let Family { name, kind, help, .. } = family;
            let _ = write!(out, "# HELP {name}{shown} {help}\n# TYPE {name}{shown} {}\n", kind.name());
        }
        let more = family.write(place, facts, out);
        cursor.number = if more { cursor.number + 1 } else { (cursor.number / PLACES + 1) * PLACES };
    }
}

impl Family {
    /// The samples at a place: of a WAN, or of the whole. Returns whether there may be another place.
    fn write(&self, place: usize, facts: &dyn Facts, out: &mut Piece) -> bool {
        match self.samples {
            Samples::Whole(get) => {
                self.sample(out, format_args!(""), get(facts));
                false
            }
            Samples::Spread(get) => {
                self.spread(out, format_args!(""), get(facts));
                false
            }
            Samples::Stages => {
                let Some(stage) = Stage::ALL.get(place) else { return false };
                self.spread(out, format_args!("stage=\"{}\"", stage.name()), &facts.whole().stages[place]);
                true
            }
            Samples::Pair(get) => {
                let Some(pair) = facts.steering(place) else { return false };
                self.sample(out, format_args!("pair=\"{}\"", Label(pair.name)), Some(get(&pair)));
                true
            }
            Samples::Score(get) => {
                let Some(pair) = facts.steering(place) else { return false };
                for w in &pair.wans {
                    let wan = facts.names().get(w.wan.index()).map_or("", String::as_str);
                    let labels = format_args!("pair=\"{}\",wan=\"{}\"", Label(pair.name), Label(wan));
                    self.sample(out, labels, Some(get(w)));
                }
                true
            }
            Samples::Alert(get) => {
                let Some(rule) = facts.alert(place) else { return false };
                self.sample(out, format_args!("rule=\"{}\"", Label(rule.name)), count(get(&rule.counters)));
                true
            }
            Samples::Wan(get) => {
                let Some(w) = facts.wan(place) else { return false };
                self.sample(out, format_args!("wan=\"{}\"", Label(w.name)), get(facts, &w));
                true
            }
            Samples::WanSpread(get) => {
                let Some(w) = facts.wan(place) else { return false };
                self.spread(out, format_args!("wan=\"{}\"", Label(w.name)), get(&w));
                true
            }
            Samples::Leg(get) => {
                let Some(w) = facts.wan(place) else { return false };
                for (i, direction) in ["download", "upload"].iter().enumerate() {
                    let labels = format_args!("wan=\"{}\",direction=\"{direction}\"", Label(w.name));
                    self.sample(out, labels, get(&w, i));
                }
                true
            }
        }
    }

    fn sample(&self, out: &mut Piece, labels: core::fmt::Arguments<'_>, value: Option<f64>) {
        let Some(value) = value else { return };
        let _ = match labels.as_str() {
            Some("") => writeln!(out, "{}{} {value}", self.name, suffix(self.kind)),
            _ => writeln!(out, "{}{}{{{labels}}} {value}", self.name, suffix(self.kind)),
        };
    }

    /// Buckets of 32 microseconds to eight seconds, a factor of two apart.
    fn spread(&self, out: &mut Piece, labels: core::fmt::Arguments<'_>, spread: &Spread) {
        let plain = labels.as_str() == Some("");
        let comma = if plain { "" } else { "," };
        for power in 5..=23 {
            let edge = f64::from(1 << power) / 1e6;
            let _ = writeln!(out, "{}_bucket{{{labels}{comma}le=\"{edge}\"}} {}", self.name, spread.below(power));
        }
        let (count, sum) = (spread.count(), spread.sum().as_secs_f64());
        let _ = writeln!(out, "{}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}", self.name);
        let (open, close) = if plain { ("", "") } else { ("{", "}") };
        let _ = writeln!(out, "{0}_sum{open}{labels}{close} {sum}\n{0}_count{open}{labels}{close} {count}", self.name);
    }
}

/// A label's value.
struct Label<'a>(&'a str);

impl core::fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}
