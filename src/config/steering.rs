//! `[[steering]]`: which connections may leave through which other WAN, and when.

use super::fault::{Problem, Quantity};
use super::read::Section;
use crate::decide::steering::{Alternate, MAX_ALTERNATES, MAX_PAIRS, Mode, Settings};
use crate::types::{Bitrate, Duration, MAX_SWITCHES, SwitchId, Text, WanId};
use core::net::IpAddr;
use core::str::FromStr;
use std::collections::HashMap;

/// The most LAN prefixes of one lease.
pub const MAX_PREFIXES: usize = 8;

/// A network, such as `192.168.88.0/24` or `fd00::/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefix {
    /// Its address; bits behind the length are zero.
    pub address: IpAddr,
    /// Its length in bits.
    pub length: u8,
}

impl FromStr for Prefix {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, length) = text.split_once('/').ok_or(())?;
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let length: u8 = length.parse().map_err(|_| ())?;
        let (bits, width) = match address {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
            IpAddr::V6(v6) => (v6.to_bits(), 128),
        };
        let is_clean = bits.checked_shl(u32::from(length)).unwrap_or(0) == 0;
        if length > width || !is_clean { Err(()) } else { Ok(Self { address, length }) }
    }
}

impl core::fmt::Display for Prefix {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// What on the router makes marked connections leave through an alternate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Means {
    /// A mangle rule of the operator, enabled and disabled.
    Rule {
        /// Its exact comment.
        comment: Text<64>,
        /// The exact comment of the one in the table of IPv6.
        comment6: Option<Text<64>>,
    },
    /// Entries with a timeout on two address lists, renewed in turn.
    Lease {
        /// The two lists.
        lists: [Text<64>; 2],
        /// The operator's LAN.
        prefixes: heapless::Vec<Prefix, MAX_PREFIXES>,
    },
}

/// One pair.
#[derive(Clone, Debug, PartialEq)]
pub struct SteeringConfig {
    /// Its name: unique.
    pub name: Text<32>,
    /// How it is decided.
    pub settings: Settings,
    /// What each alternate's switch is, in the order of `settings.alternates`.
    pub means: Vec<Means>,
    /// How long a flip by hand is respected.
    pub respect_hand: Duration,
    /// Steer also between lines whose probes seem to take the same way.
    pub trusts_pinning: bool,
}

/// All pairs; `wans` are the names of the WANs in order.
pub(super) fn read(root: &Section<'_, '_>, wans: &[Option<String>]) -> Option<Vec<SteeringConfig>> {
    let sections = root.sections("steering");
    if sections.len() > MAX_PAIRS {
        root.fault("steering", Problem::NotA { right: format!("at most {MAX_PAIRS} pairs, not {}", sections.len()) });
    }
    let mut next = 0;
    let mut seen = HashMap::new();
    let pairs: Vec<Option<SteeringConfig>> = sections.iter().map(|s| pair(s, wans, &mut next, &mut seen)).collect();
    if usize::from(next) > MAX_SWITCHES {
        let right = format!("at most {MAX_SWITCHES} alternates in all pairs together, not {next}");
        root.fault("steering", Problem::NotA { right });
    }
    pairs.into_iter().collect()
}

/// What must be there once, by kind and text; the line where it was first.
pub(super) type Seen = HashMap<(&'static str, String), usize>;

pub(super) fn twin(section: &Section<'_, '_>, key: &'static str, what: &'static str, seen: &mut Seen) {
    if let Some((text, line)) = section.peek(key) {
        if let Some(first) = seen.get(&(what, text.clone())) {
            section.fault(key, Problem::Twin { what, line: *first });
        } else {
            seen.insert((what, text), line);
        }
    }
}

fn pair(section: &Section<'_, '_>, wans: &[Option<String>], next: &mut u8, seen: &mut Seen) -> Option<SteeringConfig> {
    twin(section, "name", "this name", seen);
    let name = short(section, "name", "calls");
    let primary = wan(section, "primary", wans);
    let modes = [("confidence", Mode::Confidence), ("hysteresis", Mode::Hysteresis)];
    let mode = section.one_of("mode", &modes).unwrap_or_default();
    let mut settings = Settings::new(primary.or(WanId::new(0))?, mode);
    thresholds(section, &mut settings);
    timers(section, &mut settings);
    let longest = Duration::from_secs(86_400);
    let respect_hand = section.duration_in("respect_hand", Duration::ZERO..=longest);
    let trusts_pinning = section.one_of("pinning", &[("proved", false), ("trusted", true)]).unwrap_or(false);
    let alternates = section.sections("alternate");
    if alternates.is_empty() && !section.has("alternate") {
        let right = "add at least one [[steering.alternate]] with wan = and rule = (or lease =)";
        section.fault("alternate", Problem::missing(right));
    }
    if alternates.len() > MAX_ALTERNATES {
        let right = format!("at most {MAX_ALTERNATES} alternates, not {}", alternates.len());
        section.fault("alternate", Problem::NotA { right });
    }
    let mut means = Vec::with_capacity(alternates.len());
    let mut complete = true;
    for section in &alternates {
        let switch = SwitchId(*next);
        *next = next.saturating_add(1);
        let wan = wan(section, "wan", wans);
        if wan.is_some() && wan == primary {
            section.fault("wan", Problem::Misplaced("this is the primary itself; name another WAN"));
        } else if wan.is_some() && settings.alternates.iter().any(|a| Some(a.wan) == wan) {
            section.fault("wan", Problem::Misplaced("this WAN is an alternate of this pair already; name it once"));
        }
        let its = means_of(section, seen);
        section.finish();
        match wan.zip(its) {
            Some((wan, its)) if settings.alternates.push(Alternate { wan, switch }).is_ok() => means.push(its),
            _ => complete = false,
        }
    }
    section.finish();
    primary?;
    complete.then_some(SteeringConfig {
        name: name?,
        settings,
        means,
        respect_hand: respect_hand.unwrap_or(Duration::from_secs(600)),
        trusts_pinning,
    })
}

/// One of the WANs, by name.
pub(super) fn wan(section: &Section<'_, '_>, key: &'static str, wans: &[Option<String>]) -> Option<WanId> {
    let known: Vec<String> = wans.iter().flatten().map(|name| format!("{name:?}")).collect();
    let right = || format!("the name of a [[wan]]: {}", known.join(", "));
    if !section.has(key) {
        section.fault(key, Problem::Missing { right: right() });
    }
    let text = section.text(key)?;
    let place = wans.iter().position(|name| name.as_ref() == Some(&text));
    if place.is_none() {
        section.fault(key, Problem::NotA { right: right() });
    }
    place.and_then(WanId::new)
}

fn thresholds(section: &Section<'_, '_>, settings: &mut Settings) {
    let points = |key, low: usize| section.count(key, low..=100).and_then(|n| u8::try_from(n).ok());
    let is_rule = settings.mode == Mode::Hysteresis;
    for key in ["steer_at", "return_at", "margin", "usable"] {
        if is_rule && section.has(key) {
            section.warn(key, Problem::NoEffect("has no effect with mode = \"hysteresis\", which knows three states"));
        }
    }
    let read = [points("steer_at", 1), points("return_at", 0), points("margin", 0)];
    let usable = section.number_in("usable", 0.0..=0.9);
    if !is_rule {
        settings.steer_at = read[0].unwrap_or(settings.steer_at);
        settings.return_at = read[1].unwrap_or(settings.return_at);
        settings.margin = read[2].unwrap_or(settings.margin);
        settings.usable = usable.unwrap_or(settings.usable);
    }
    let ordered = [("return_at", settings.return_at), ("steer_at", settings.steer_at)];
    section.ordered(&ordered.map(|(key, n)| (key, n, Quantity::Count(usize::from(n)))), true);
    let headroom = section.rate_in("headroom", Bitrate::ZERO..=Bitrate::from_mbps(1000));
    settings.headroom = headroom.unwrap_or(settings.headroom);
    settings.dry_run = section.flag("dry_run").unwrap_or(false);
}

fn timers(section: &Section<'_, '_>, settings: &mut Settings) {
    let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
    let span = |key, low, high| section.duration_in(key, low..=high);
    let Settings { degrade_sustain, recover_sustain, hold_down, brake_window, brake_hold, brake_longest, .. } =
        *settings;
    settings.degrade_sustain = span("degrade_sustain", Duration::from_millis(200), hour).unwrap_or(degrade_sustain);
    settings.recover_sustain = span("recover_sustain", Duration::from_millis(200), hour).unwrap_or(recover_sustain);
    settings.hold_down = span("hold_down", Duration::ZERO, hour).unwrap_or(hold_down);
    settings.brake_window = span("brake_window", second, hour * 24).unwrap_or(brake_window);
    settings.brake_hold = span("brake_hold", second, hour * 24).unwrap_or(brake_hold);
    settings.brake_longest = span("brake_longest", second, hour * 24).unwrap_or(brake_longest);
    let toggles = section.count("brake_toggles", 2..=8).and_then(|n| u8::try_from(n).ok());
    settings.brake_toggles = toggles.unwrap_or(settings.brake_toggles);
    let holds = [("brake_hold", settings.brake_hold), ("brake_longest", settings.brake_longest)];
    section.ordered(&holds.map(|(key, span)| (key, span, Quantity::Span(span))), false);
}

/// What on the router an alternate needs: a rule or a lease.
fn means_of(section: &Section<'_, '_>, seen: &mut Seen) -> Option<Means> {
    let lease = section.section("lease");
    if section.has("rule") && section.has("lease") {
        section.fault("rule", Problem::Misplaced("rule and lease are two ways of doing the same; give one of them"));
    }
    twin(section, "rule", "this rule", seen);
    twin(section, "rule6", "this rule of IPv6", seen);
    let rule6 = section.has("rule6").then(|| comment(section, "rule6"));
    if section.has("lease") {
        if section.has("rule6") && !section.has("rule") {
            section.fault("rule6", Problem::Misplaced("goes with rule; a lease serves IPv6 by prefixes of IPv6"));
        }
        let means = lease_of(&lease);
        lease.finish();
        return means;
    }
    if !section.has("rule") {
        let right = "the exact comment of a mangle rule on the router (or lease = { lists = …, prefixes = … })";
        section.fault("rule", Problem::missing(right));
        return None;
    }
    let comment = comment(section, "rule");
    Some(Means::Rule { comment: comment?, comment6: rule6.map_or(Some(None), |rule| rule.map(Some))? })
}

fn lease_of(lease: &Section<'_, '_>) -> Option<Means> {
    let what = "two names of address lists, such as [\"wanctl-calls-a\", \"wanctl-calls-b\"]";
    let names: Option<Vec<Text<64>>> = lease.list("lists", 2, what);
    let what = "networks of the LAN, such as [\"192.168.88.0/24\"]";
    let prefixes: Option<Vec<Prefix>> = lease.list("prefixes", MAX_PREFIXES, what);
    if !lease.has("lists") || names.as_ref().is_some_and(|names| names.len() != 2) {
        let right = "two address lists, renewed in turn: lists = [\"wanctl-calls-a\", \"wanctl-calls-b\"]";
        lease.fault("lists", Problem::missing(right));
        return None;
    }
    if !lease.has("prefixes") || prefixes.as_ref().is_some_and(Vec::is_empty) {
        lease.fault("prefixes", Problem::missing("the LAN, such as prefixes = [\"192.168.88.0/24\"]"));
        return None;
    }
    let lists: [Text<64>; 2] = names?.try_into().ok()?;
    Some(Means::Lease { lists, prefixes: prefixes?.into_iter().collect() })
}

/// The exact comment of a rule.
fn comment(section: &Section<'_, '_>, key: &'static str) -> Option<Text<64>> {
    let text = section.text(key)?;
    let comment = Text::try_from(text.as_str()).ok().filter(|_| !text.contains(char::is_control));
    if comment.is_none() {
        section.fault(key, Problem::not_a("the exact comment of a mangle rule, at most 64 bytes"));
    }
    comment
}

/// A name that must be there.
pub(super) fn short(section: &Section<'_, '_>, key: &'static str, example: &str) -> Option<Text<32>> {
    let text = section.required_text(key, example)?;
    let name = Text::try_from(text.as_str()).ok().filter(|_| !text.contains(char::is_control));
    if name.is_none() {
        section.fault(key, Problem::not_a("a name of at most 32 bytes"));
    }
    name
}
