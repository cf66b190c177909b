//! `wanctl check`: what would happen, without changing anything.

use super::machine::{Conversation, Machine};
use super::run::router_address;
use super::{Exit, load};
use crate::config::{Config, QueueRef};
use crate::daemon::Restored;
use crate::measure::Measure;
use crate::types::{Bitrate, Direction, Duration, Intent, Item, Menu, QueueRow, RouterError, RouterInfo, WanId};
use std::path::Path;
use wanctl_hal::linux::LinuxBoard;
use wanctl_hal::{Board, EchoEvent};

/// How long the reflectors are pinged.
const PING_TIME: Duration = Duration::from_secs(2);

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Good,
    Note,
    Bad,
}

/// The table in the making.
#[derive(Default)]
struct Findings {
    bad: u32,
}

impl Findings {
    fn row(&mut self, mark: Mark, what: &str, text: &str) {
        let sign = match mark {
            Mark::Good => "ok  ",
            Mark::Note => "note",
            Mark::Bad => "BAD ",
        };
        self.bad += u32::from(mark == Mark::Bad);
        println!("{sign}  {what:<24} {text}");
    }
}

pub(super) fn main(path: &Path, offline: bool) -> Exit {
    let config = match load(path) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let mut findings = Findings::default();
    let text = format!("{} is valid: {} WANs, cycle {:?}", path.display(), config.wans.len(), config.cycle);
    findings.row(Mark::Good, "configuration", &text);
    for wan in &config.wans {
        let bytes = wan.measure.probes_per_cycle * 2 * 44;
        let per_day = f64::from(u32::try_from(bytes).unwrap_or(0)) * 86_400.0 / config.cycle.as_secs_f64() / 1e6;
        let text = format!("at most {per_day:.0} MB a day of probes at normal pace, both ways together");
        findings.row(Mark::Note, &wan.name, &text);
    }
    if !offline && let Err(message) = online(&config, &mut findings) {
        findings.row(Mark::Bad, "check", &message);
    }
    if findings.bad > 0 {
        eprintln!("{} findings to mend", findings.bad);
        return Exit::Findings;
    }
    Exit::Ok
}

fn online(config: &Config, findings: &mut Findings) -> Result<(), String> {
    let mut machine = Machine::new(&config.router.target())?;
    for (id, wan) in crate::daemon::ids(config) {
        match machine.board.open_wan(id, &wan.source) {
            Ok(()) => ping(&mut machine.board, id, config, findings),
            Err(error) => findings.row(Mark::Bad, &wan.name, &error.to_string()),
        }
    }
    match router_address(config, &Restored::default()) {
        Ok(address) => {
            let mut router = Conversation::new(&mut machine, &config.router, address);
            self::router(&mut router, config, findings);
        }
        Err(message) => findings.row(Mark::Bad, "router", &message),
    }
    Ok(())
}

/// Pings the reflectors of one WAN for a while.
fn ping(board: &mut LinuxBoard, id: WanId, config: &Config, findings: &mut Findings) {
    let wan = &config.wans[id.index()];
    let start = board.clock().now;
    let mut measure = Measure::new(wan.measure.clone(), board.entropy(), start);
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); wan.measure.reflectors.len()];
    loop {
        let now = board.clock().now;
        if now >= start + PING_TIME {
            break;
        }
        while let Some(request) = measure.poll_probe(now) {
            let outcome = board.send_echo(id, &request);
            measure.sent(&request, outcome);
        }
        board.wait(measure.next_wake().min(start + PING_TIME));
        while let Some(event) = board.recv_echo(id) {
            if let EchoEvent::Reply(reply) = event {
                measure.reply(&reply);
            }
        }
        let sample = measure.sample(board.clock().now);
        for (place, rtt) in sample.per_reflector.iter().enumerate() {
            if let (Some(rtt), Some(all)) = (rtt, times.get_mut(place)) {
                all.push(rtt.get());
            }
        }
    }
    for (place, (ip, ..)) in measure.reflectors().enumerate().filter(|(_, (.., active))| *active) {
        let name = format!("{} via {ip}", wan.name);
        match crate::measure::median(&mut times[place]) {
            Some(rtt) => findings.row(Mark::Good, &name, &format!("answers, median {rtt:.1} ms")),
            None => findings.row(
                Mark::Bad,
                &name,
                "no answer; choose another reflector, or check the source address and its route",
            ),
        }
    }
    let errors = measure.counters().send_errors;
    if errors > 0 {
        findings.row(Mark::Bad, &wan.name, &format!("{errors} probes could not be sent (no route, or a firewall)"));
    }
}

/// Reads the router, and compares with what the configuration expects.
fn router(router: &mut Conversation<'_>, config: &Config, findings: &mut Findings) {
    let mut info = None;
    let result = router.ask(Intent::ReadResource, |item| {
        if let Item::Resource(read) = item {
            info = Some(read);
        }
    });
    match (result, info) {
        (Ok(()), Some(RouterInfo { version, board: model, .. })) => {
            findings.row(Mark::Good, "router", &format!("{model}, RouterOS {version}, at {}", config.router.url));
        }
        (Err(RouterError::NotFound), _) => {
            return findings.row(
                Mark::Bad,
                "router",
                &format!("{}: no RouterOS REST API here (404)", config.router.url),
            );
        }
        (Err(error), _) => return findings.row(Mark::Bad, "router", &format!("{}: {error}", config.router.url)),
        (Ok(()), None) => return findings.row(Mark::Bad, "router", "does not say what it is"),
    }
    for menu in [Menu::Tree, Menu::Simple] {
        if !config.wans.iter().any(|w| w.queues.iter().any(|q| q.menu == menu)) {
            continue;
        }
        let mut rows: Vec<QueueRow> = Vec::new();
        let read = router.ask(Intent::ReadQueues(menu), |item| {
            if let Item::Queue(row) = item {
                rows.push(row);
            }
        });
        match read {
            Ok(()) => queues(config, menu, &rows, findings),
            Err(error) => findings.row(Mark::Bad, menu.path(), &error.to_string()),
        }
    }
}

fn queues(config: &Config, menu: Menu, rows: &[QueueRow], findings: &mut Findings) {
    for wan in &config.wans {
        for (direction, (QueueRef { name, .. }, range)) in
            Direction::BOTH.into_iter().zip(wan.queues.iter().zip(wan.ranges)).filter(|(_, (q, _))| q.menu == menu)
        {
            let what = format!("{} {}", wan.name, direction.name());
            let found: Vec<&QueueRow> = rows.iter().filter(|r| r.name == *name).collect();
            match found.as_slice() {
                [] => {
                    let near = rows.iter().map(|r| r.name.as_str()).collect::<Vec<_>>().join(", ");
                    findings.row(Mark::Bad, &what, &format!("{} has no \"{name}\"; it has: {near}", menu.path()));
                }
                [row] if row.disabled => {
                    findings.row(
                        Mark::Bad,
                        &what,
                        &format!("\"{name}\" is disabled: {} enable [find name=\"{name}\"]", menu.path()),
                    );
                }
                [row] if row.invalid => {
                    findings.row(
                        Mark::Bad,
                        &what,
                        &format!("\"{name}\" is invalid: its parent, mark or type is missing"),
                    );
                }
                [row] if row.dynamic => {
                    findings.row(Mark::Bad, &what, &format!("\"{name}\" is dynamic; make a static one"))
                }
                [row] => {
                    let has = row.limits[direction.index()];
                    let now = if has == Bitrate::ZERO { "unlimited".to_owned() } else { has.to_string() };
                    let text =
                        format!("\"{name}\" has {now} now; will be kept in {} to {}", range.floor(), range.ceiling());
                    findings.row(Mark::Good, &what, &text);
                }
                _ => findings.row(
                    Mark::Bad,
                    &what,
                    &format!("{} queues are called \"{name}\"; rename all but one", found.len()),
                ),
            }
        }
    }
}
