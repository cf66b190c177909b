//! `wanctl check`: what would happen, without changing anything.
//!
//! The router is read menu by menu into [`facts::Facts`]; what is right and wrong with them is
//! found by pure functions ([`access`], [`queues`], [`rivals`], [`steering`]): rows in, findings out.

mod access;
mod facts;
mod finding;
mod queues;
mod rivals;
mod steering;

use super::machine::{Conversation, Machine};
use super::run::router_address;
use super::{Exit, load};
use crate::config::{Config, SteeringConfig, WanConfig};
use crate::daemon::Restored;
use crate::measure::{Measure, Trace, compare};
use crate::types::{Duration, Intent, Item, RouterError, Table, WanId, Ways};
pub(super) use facts::Facts;
pub(super) use finding::Mark;
use finding::{Finding, Report};
use std::path::Path;
use wanctl_hal::linux::{LinuxBoard, resolve};
use wanctl_hal::{Board, EchoEvent};

/// How long the reflectors are pinged.
const PING_TIME: Duration = Duration::from_secs(2);

/// The same when the ways of several WANs are looked at as well.
const TRACE_TIME: Duration = Duration::from_millis(3_300);

pub(super) fn main(path: &Path, offline: bool) -> Exit {
    let config = match load(path) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    if config.alerts.refused > 0 {
        // `run` would start without these rules; whoever asks is told.
        return super::bad_config(&config.alerts.faults);
    }
    let mut report = Report::default();
    let what = format!("{} is valid: {} WANs, cycle {:?}", path.display(), config.wans.len(), config.cycle);
    report.add(&Finding::plain(Mark::Good, "configuration", what));
    for wan in &config.wans {
        let bytes = wan.measure.probes_per_cycle * 2 * 44;
        let per_day = f64::from(u32::try_from(bytes).unwrap_or(0)) * 86_400.0 / config.cycle.as_secs_f64() / 1e6;
        let text = format!("at most {per_day:.0} MB a day of probes at normal pace, both ways together");
        report.add(&Finding::plain(Mark::Note, wan.name.as_str(), text));
    }
    if !offline && let Err(message) = online(&config, &mut report) {
        report.add(&Finding::plain(Mark::Bad, "check", message));
    }
    if report.warned > 0 {
        eprintln!("{} warnings: the line can be controlled, but look at them", report.warned);
    }
    if report.bad > 0 {
        eprintln!("{} findings to mend", report.bad);
        return Exit::Findings;
    }
    Exit::Ok
}

fn online(config: &Config, report: &mut Report) -> Result<(), String> {
    let mut machine = Machine::new(&config.router.target())?;
    ping(&mut machine.board, config, report);
    let address = match router_address(config, &Restored::default(), &|| false) {
        Ok(address) => address,
        Err(message) => {
            report.add(&Finding::plain(Mark::Bad, "router", message));
            return Ok(());
        }
    };
    let mut router = Conversation::new(&mut machine, &config.router, address);
    match read(&mut router, |table| matters(table, config)) {
        Ok(mut facts) => {
            facts.here = resolve::source_toward(address);
            examine(config, &facts).iter().for_each(|finding| report.add(finding));
        }
        Err(what) => report.add(&Finding::plain(Mark::Bad, "router", format!("{}: {what}", config.router.url))),
    }
    Ok(())
}

/// The probes of one WAN while it is pinged.
struct Pinged<'a> {
    id: WanId,
    wan: &'a WanConfig,
    measure: Measure,
    /// What each reflector took, in ms.
    times: Vec<Vec<f64>>,
    /// Which way its probes take.
    trace: Trace,
}

/// Pings the reflectors of all WANs for a while.
fn ping(board: &mut LinuxBoard, config: &Config, report: &mut Report) {
    let start = board.clock().now;
    let mut all: Vec<Pinged<'_>> = Vec::new();
    // One destination for all, so that their ways can be compared.
    let Some(target) = config.wans.iter().find_map(|wan| wan.measure.reflectors.first().copied()) else { return };
    for (id, wan) in crate::daemon::ids(config) {
        match board.open_wan(id, &wan.source) {
            Ok(()) => {
                let measure = Measure::new(wan.measure.clone(), board.entropy(), start);
                all.push(Pinged {
                    id,
                    wan,
                    measure,
                    times: vec![Vec::new(); wan.measure.reflectors.len()],
                    trace: Trace::new(target, start),
                });
            }
            Err(error) => report.add(&Finding::plain(Mark::Bad, wan.name.as_str(), error.to_string())),
        }
    }
    let is_compared = all.len() > 1;
    let end = start + if is_compared { TRACE_TIME } else { PING_TIME };
    while !all.is_empty() && board.clock().now < end {
        for pinged in &mut all {
            pinged.send(board, is_compared);
        }
        let next = all.iter().map(|pinged| pinged.measure.next_wake()).min();
        board.wait(next.map_or(end, |at| at.min(end)));
        for pinged in &mut all {
            pinged.receive(board);
        }
    }
    all.iter_mut().for_each(|pinged| pinged.tell(report));
    for (i, one) in all.iter().enumerate() {
        all.iter().skip(i + 1).for_each(|other| report.add(&ways(one, other, config)));
    }
}

/// Whether two WANs are two lines, by the routers their probes pass.
fn ways(one: &Pinged<'_>, other: &Pinged<'_>, config: &Config) -> Finding {
    let about = format!("{} and {}", one.wan.name, other.wan.name);
    let steers = |pair: &SteeringConfig| {
        let uses = |id| pair.settings.primary == id || pair.settings.alternates.iter().any(|a| a.wan == id);
        uses(one.id) && uses(other.id) && !pair.trusts_pinning
    };
    match compare(one.trace.path(), other.trace.path()) {
        Ways::Part(hop) => {
            let router =
                |of: &Pinged<'_>| of.trace.path()[usize::from(hop) - 1].map_or_else(String::new, |ip| ip.to_string());
            let what = format!("two lines: their probes part at hop {hop} ({} and {})", router(one), router(other));
            Finding::plain(Mark::Good, about, what)
        }
        Ways::Unknown => Finding::plain(
            Mark::Note,
            about,
            "not known whether their probes take the same way: too few routers answered (this needs CAP_NET_RAW)",
        ),
        Ways::Same(router) => Finding::new(
            if config.steering.iter().any(steers) { Mark::Bad } else { Mark::Warn },
            about,
            format!("one line: the probes of both pass {router}"),
            "both would be measured through the same line. If they really share that router: steering.pinning = \"trusted\"",
            [one, other].map(|of| steering::pin(of.wan)).join("; "),
        ),
    }
}

impl Pinged<'_> {
    fn send(&mut self, board: &mut LinuxBoard, is_compared: bool) {
        let now = board.clock().now;
        while let Some(request) = self.measure.poll_probe(now) {
            let outcome = board.send_echo(self.id, &request);
            self.measure.sent(&request, outcome);
        }
        if is_compared && let Some((hops, to)) = self.trace.poll(now) {
            let request = self.measure.trace_request(to);
            // One that could not be sent is not answered, and that is told.
            let _ = board.send_trace(self.id, &request, hops);
            self.trace.sent(now, &request);
        }
    }

    fn receive(&mut self, board: &mut LinuxBoard) {
        while let Some(event) = board.recv_echo(self.id) {
            match event {
                EchoEvent::Reply(reply) if !self.trace.arrived(&reply) => drop(self.measure.reply(&reply)),
                EchoEvent::Unreachable { from, to, sequence } => drop(self.trace.stopped(from, to, sequence)),
                _ => {}
            }
        }
        let sample = self.measure.sample(board.clock().now);
        for (rtt, all) in sample.per_reflector.iter().zip(&mut self.times) {
            all.extend(rtt.map(|rtt| rtt.get()));
        }
    }

    fn tell(&mut self, report: &mut Report) {
        let name = self.wan.name.as_str();
        for (place, (ip, ..)) in self.measure.reflectors().enumerate().filter(|(_, (.., active))| *active) {
            let about = format!("{name} via {ip}");
            report.add(&match crate::measure::median(&mut self.times[place]) {
                Some(rtt) => Finding::plain(Mark::Good, about, format!("answers, median {rtt:.1} ms")),
                None => Finding::plain(
                    Mark::Bad,
                    about,
                    "no answer; choose another reflector, or check the source address and its route",
                ),
            });
        }
        let errors = self.measure.counters().send_errors;
        if errors > 0 {
            let what = format!("{errors} probes could not be sent (no route, or a firewall)");
            report.add(&Finding::plain(Mark::Bad, name, what));
        }
    }
}

/// Reads all menus that matter. The first answer decides whether there is a router to check.
pub(super) fn read(router: &mut Conversation<'_>, wanted: impl Fn(Table) -> bool) -> Result<Facts, String> {
    let mut facts = Facts::default();
    for table in Table::ALL.into_iter().filter(|table| wanted(*table)) {
        let mut rows = Vec::new();
        let result = router.ask(Intent::Read(table), |item| {
            if let Item::Row(row) = item {
                rows.push(row);
            }
        });
        match result {
            Err(RouterError::NotFound | RouterError::NoSuchCommand) if table == Table::Resource => {
                return Err("no RouterOS REST API here".to_owned());
            }
            Ok(()) if table == Table::Resource && rows.is_empty() => return Err("does not say what it is".to_owned()),
            // Without an answer to one menu there is no sense in asking for the next.
            Err(error) if table == Table::Resource || !error.is_refusal() => return Err(error.to_string()),
            result => drop(facts.tables.insert(table, result.map(|()| rows))),
        }
    }
    Ok(facts)
}

/// Whether what is in this menu matters for this configuration.
fn matters(table: Table, config: &Config) -> bool {
    let steers = !config.steering.is_empty();
    match table {
        Table::Tree | Table::Simple => {
            config.wans.iter().flat_map(|w| &w.queues).any(|q| facts::table(q.menu) == table)
        }
        Table::Mangle | Table::Mangle6 | Table::Nat | Table::Route6 => steers,
        Table::RoutingTable | Table::RoutingRule | Table::Route | Table::Address => steers || config.wans.len() > 1,
        _ => true,
    }
}

/// Everything that is right and wrong with the router.
pub(super) fn examine(config: &Config, facts: &Facts) -> Vec<Finding> {
    let mut findings = access::examine(config, facts);
    findings.extend(queues::examine(config, facts));
    findings.extend(rivals::examine(config, facts));
    findings.extend(steering::examine(config, facts));
    for (table, result) in &facts.tables {
        if let Err(error) = result {
            // Only the queues can't be done without.
            let mark = if matches!(table, Table::Tree | Table::Simple) { Mark::Bad } else { Mark::Note };
            findings.push(Finding::plain(mark, table.console(), format!("not checked: {error}")));
        }
    }
    findings
}

#[cfg(test)]
mod tests;
