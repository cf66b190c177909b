//! `/status`: everything, as one JSON document. `docs/status.md` describes its form.

use super::{OrNull, Piece, Quoted, SCHEMA, health, is_ready, judge};
use crate::observe::{AlertFacts, Facts, Spread, SteerFacts, WanFacts};
use crate::types::{BudgetState, Direction, DirectionVerdict, Part, Signal, Stage, SwitchState, WanId};
use core::fmt::{self, Write as _};

/// Reflectors told in one piece.
const REFLECTORS: usize = 16;

pub(super) fn piece(step: u32, facts: &dyn Facts, out: &mut Piece) -> bool {
    let step = usize::try_from(step).unwrap_or(usize::MAX);
    match step.checked_sub(1) {
        None => {
            head(facts, out);
            true
        }
        Some(place) => match facts.wan(place) {
            Some(w) => {
                if place > 0 {
                    let _ = out.push(',');
                }
                wan(place, &w, facts, out);
                true
            }
            None => rest(place - facts.wans(), facts, out),
        },
    }
}

/// What comes after the WANs: the pairs of steering, each WAN of a pair a piece of its own; then the alert rules.
fn rest(place: usize, facts: &dyn Facts, out: &mut Piece) -> bool {
    if place == 0 {
        let _ = out.push_str("\n],\n\"steering\":[");
    }
    let mut before = 0;
    for (i, pair) in (0..).map_while(|i| facts.steering(i)).enumerate() {
        match place - before {
            0 => steering(i, &pair, facts, out),
            at if at <= pair.wans.len() => candidate(at - 1, &pair, facts, out),
            _ => {
                before += pair.wans.len() + 1;
                continue;
            }
        }
        return true;
    }
    let place = place - before;
    if place == 0 {
        let _ = write!(out, "\n],\n\"refused_alerts\":{},\"alerts\":[", facts.refused_alerts());
    }
    match facts.alert(place) {
        Some(rule) => {
            alert(place, &rule, out);
            true
        }
        None => {
            let _ = out.push_str("\n]}\n");
            false
        }
    }
}

fn alert(place: usize, rule: &AlertFacts<'_>, out: &mut Piece) {
    let c = rule.counters;
    let _ = write!(
        out,
        "{}\n{{\"name\":{},\"format\":\"{}\",\"sent\":{},\"failed\":{},\"suppressed\":{},\"dropped\":{},\"waiting\":{},\
         \"last_error\":{}}}",
        if place > 0 { "," } else { "" },
        Quoted(rule.name),
        rule.format.name(),
        c.sent,
        c.failed,
        c.suppressed,
        c.dropped,
        rule.waiting,
        OrNull(rule.error.map(Quoted)),
    );
}

/// The name of a WAN.
fn named(facts: &dyn Facts, wan: WanId) -> &str {
    facts.names().get(wan.index()).map_or("?", String::as_str)
}

/// What a pair does, in plain words.
struct Words<'a>(&'a SteerFacts<'a>, &'a dyn Facts);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(pair, facts) = self;
        let would =
            if pair.dry_run { "dry run: new marked connections would leave" } else { "new marked connections leave" };
        write!(f, "{would} through {}", named(*facts, pair.in_use))?;
        if pair.in_use == pair.primary {
            f.write_str(", where they belong")?;
        } else if let Some(at) = pair.turned {
            write!(f, " instead of {} for {} s", named(*facts, pair.primary), facts.whole().now.since(at).as_secs())?;
        }
        for (i, w) in pair.wans.iter().enumerate() {
            write!(f, "{}{} scores {}", if i == 0 { "; " } else { ", " }, named(*facts, w.wan), w.score)?;
        }
        pair.held.map_or(Ok(()), |hold| write!(f, "; it would turn, but {hold}"))
    }
}

/// What is known of a switch, in a word.
const fn switch(state: &SwitchState) -> &'static str {
    match state {
        SwitchState { refused: true, .. } => "refused",
        SwitchState { observed: None, .. } => "unknown",
        SwitchState { observed: Some(true), .. } => "on",
        SwitchState { observed: Some(false), .. } => "off",
    }
}

fn steering(place: usize, pair: &SteerFacts<'_>, facts: &dyn Facts, out: &mut Piece) {
    let now = facts.whole().now;
    let _ = write!(
        out,
        "{}\n{{\"name\":{},\"primary\":{},\"in_use\":{},\"steered\":{},\"dry_run\":{},\"turned_age_s\":{},\"held\":{},\
         \"text\":{},\"wans\":[",
        if place > 0 { "," } else { "" },
        Quoted(pair.name),
        Quoted(named(facts, pair.primary)),
        Quoted(named(facts, pair.in_use)),
        pair.in_use != pair.primary,
        pair.dry_run,
        OrNull(pair.turned.map(|at| Rounded(now.since(at).as_secs_f64()))),
        OrNull(pair.held.map(Quoted)),
        Quoted(Words(pair, facts)),
    );
}

fn candidate(place: usize, pair: &SteerFacts<'_>, facts: &dyn Facts, out: &mut Piece) {
    let w = &pair.wans[place];
    let _ = write!(
        out,
        "{}{{\"name\":{},\"score\":{},\"confidence_percent\":{},\"switch\":{},\"parts\":[",
        if place > 0 { "," } else { "" },
        Quoted(named(facts, w.wan)),
        w.score.total(),
        w.score.confidence(),
        OrNull(w.switch.as_ref().map(switch).map(Quoted)),
    );
    for (i, part) in Part::ALL.into_iter().filter(|part| w.score.part(*part) > 0).enumerate() {
        let comma = if i > 0 { "," } else { "" };
        let _ = write!(out, "{comma}{{\"name\":\"{}\",\"points\":{}}}", part.name(), w.score.part(part));
    }
    let _ = out.push_str(if place + 1 < pair.wans.len() { "]}" } else { "]}]}" });
}

/// Quantiles of a spread, in milliseconds.
struct Quantiles<'a>(&'a Spread);

impl fmt::Display for Quantiles<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |permille| self.0.quantile(permille).as_secs_f64() * 1e3;
        let longest = self.0.longest().as_secs_f64() * 1e3;
        let mean = self.0.mean().as_secs_f64() * 1e3;
        write!(
            f,
            "{{\"mean\":{mean:.3},\"p50\":{:.3},\"p95\":{:.3},\"p99\":{:.3},\"max\":{longest:.3}}}",
            ms(500),
            ms(950),
            ms(990)
        )
    }
}

fn head(facts: &dyn Facts, out: &mut Piece) {
    let l = facts.whole();
    let _ = write!(
        out,
        "{{\"schema\":{SCHEMA},\"version\":\"{}\",\"time\":{:.3},\"uptime_s\":{:.3},\"status\":\"{}\",\"ready\":{},\n\
         \"loop\":{{\"cycle_ms\":{},\"cycles\":{},\"missed\":{},\"state_writes\":{},\"slow_state_writes\":{},\
         \"late_ms\":{},\"work_ms\":{},\"stages_ms\":{{",
        env!("CARGO_PKG_VERSION"),
        l.wall,
        l.uptime.as_secs_f64(),
        judge(facts).name(),
        is_ready(facts),
        l.cycle.as_secs_f64() * 1e3,
        l.cycles,
        l.missed,
        l.saves[0],
        l.saves[1],
        Quantiles(l.lateness),
        Quantiles(l.work),
    );
    for (stage, spread) in Stage::ALL.iter().zip(l.stages) {
        let comma = if stage.index() > 0 { "," } else { "" };
        let _ = write!(out, "{comma}\"{}\":{}", stage.name(), Quantiles(spread));
    }
    router(facts, out);
    let _ = out.push_str(",\n\"wans\":[");
}

fn router(facts: &dyn Facts, out: &mut Piece) {
    let r = facts.router();
    let _ = write!(
        out,
        "}}}},\n\"router\":{{\"host\":{},\"address\":\"{}\",\"connected\":{},\"version\":{},\"connections\":{},\
         \"handshakes\":{},\"failures\":{},\"last_error\":{},\"latency_ms\":{},\"writes\":{},\"repairs\":{},\
         \"contests\":{},\"sectors_per_hour\":{},\"budget\":{{\"state\":\"{}\",\"tokens\":{:.0},\
         \"writes_per_hour\":{},\"held_back_s\":{:.1}}}}}",
        Quoted(r.host),
        r.address,
        r.connected,
        OrNull(Some(r.version).filter(|v| !v.is_empty()).map(Quoted)),
        r.connections,
        r.handshakes,
        r.failures,
        OrNull(r.error.map(Quoted)),
        Quantiles(r.latency),
        r.writes,
        r.repairs,
        r.contests,
        OrNull(r.sectors_per_hour.map(Rounded)),
        budget(r.budget),
        r.tokens,
        r.writes_per_hour,
        r.held.as_secs_f64(),
    );
}

/// A number with one place behind the point.
struct Rounded(f64);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1}", self.0)
    }
}

/// What the write budget allows, in a word.
pub(super) const fn budget(state: BudgetState) -> &'static str {
    match state {
        BudgetState::Ample => "ample",
        BudgetState::CutsOnly => "cuts-only",
        BudgetState::Empty => "empty",
    }
}

/// The quality of a measurement, in a word.
pub(super) const fn signal(signal: Signal) -> &'static str {
    match signal {
        Signal::WarmingUp => "warming-up",
        Signal::Good => "good",
        Signal::Silent => "silent",
        Signal::Degraded => "degraded",
        Signal::Down => "down",
    }
}

fn wan(place: usize, w: &WanFacts<'_>, facts: &dyn Facts, out: &mut Piece) {
    let (status, why) = health::wan(facts, w);
    let _ = write!(
        out,
        "\n{{\"name\":{},\"law\":\"{}\",\"status\":\"{}\",\"reason\":{},\"confirmed_age_s\":{},",
        Quoted(w.name),
        w.law,
        status.name(),
        OrNull(why.map(Quoted)),
        OrNull(w.confirmed.map(|at| Rounded(facts.whole().now.since(at).as_secs_f64()))),
    );
    match w.last {
        Some((s, v)) => drop(write!(
            out,
            "\"signal\":\"{}\",\"age_ms\":{},\"fresh\":{},\"rtt_ms\":{},\"baseline_ms\":{:.2},\"delay_ms\":{:.2},",
            signal(s.signal),
            s.age.as_millis(),
            s.fresh,
            OrNull(s.rtt.map(|rtt| Rounded(rtt.get()))),
            v.baseline.get(),
            v.delay().get(),
        )),
        None => drop(write!(
            out,
            "\"signal\":\"warming-up\",\"age_ms\":null,\"fresh\":0,\"rtt_ms\":null,\"baseline_ms\":null,\
             \"delay_ms\":null,"
        )),
    }
    for direction in Direction::BOTH {
        let verdict = w.last.map(|(_, v)| if direction == Direction::Download { v.download } else { v.upload });
        leg(direction, verdict, w, out);
    }
    let p = w.probes;
    let _ = write!(
        out,
        "\"probes\":{{\"sent\":{},\"answered\":{},\"overdue\":{},\"refused\":{},\"send_errors\":{}}},\
         \"asked\":{},\"reflectors\":[",
        p.sent, p.accepted, p.overdue, p.refused, p.send_errors, w.active
    );
    for (i, r) in (0..REFLECTORS).map_while(|i| facts.reflector(place, i)).enumerate() {
        let comma = if i > 0 { "," } else { "" };
        let _ =
            write!(out, "{comma}{{\"address\":\"{}\",\"score\":{:.2},\"active\":{}}}", r.address, r.score, r.active);
    }
    let _ = out.push_str("]}");
}

fn leg(direction: Direction, verdict: Option<DirectionVerdict>, w: &WanFacts<'_>, out: &mut Piece) {
    let i = direction.index();
    let range = w.ranges[i];
    let bps = |rate: Option<crate::types::Bitrate>| OrNull(rate.map(|r| r.bps()));
    let _ = write!(
        out,
        "\"{}\":{{\"state\":{},\"reason\":{},\"wanted_bps\":{},\"limit_bps\":{},\"floor_bps\":{},\"ceiling_bps\":{},\
         \"achieved_bps\":{},\"queued_bytes\":{},\"dropped_packets\":{}}},",
        direction.name(),
        OrNull(verdict.map(|v| Quoted(v.state.name()))),
        OrNull(verdict.map(|v| Quoted(v.reason.text()))),
        bps(verdict.map(|v| v.rate.rate())),
        bps(w.observed[i]),
        range.floor().bps(),
        range.ceiling().bps(),
        bps(w.stats.and_then(|s| s.achieved[i])),
        OrNull(w.stats.map(|s| s.queued_bytes[i])),
        OrNull(w.stats.map(|s| s.dropped[i])),
    );
}
