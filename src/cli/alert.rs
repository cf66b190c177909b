//! `wanctl alert-test`: a test message through each rule of the configuration, in the way that the daemon does it.

use super::Exit;
use super::machine::Machine;
use crate::config::{self, AlertConfig};
use crate::daemon::alert::{alerts, carry};
use crate::observe::Alerts;
use crate::types::{Duration, Instant};
use std::path::Path;
use wanctl_hal::Board;
use wanctl_hal::linux::unix_seconds;

/// How long one message may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long to sleep at most before looking again.
const NAP: Duration = Duration::from_millis(20);

/// Sends through all rules, or the one of this name.
pub(super) fn main(path: &Path, only: Option<&str>) -> Exit {
    let config = match super::load(path) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let AlertConfig { rules, refused, faults } = &config.alerts;
    if *refused > 0 {
        eprintln!("{faults}");
    }
    let names: Vec<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
    if let Some(name) = only.filter(|name| !names.contains(name)) {
        eprintln!("{}: no usable [[alert]] is called \"{name}\"; there is: {}", path.display(), names.join(", "));
        return Exit::BadConfig;
    }
    if names.is_empty() {
        eprintln!("{}: there is no usable [[alert]]", path.display());
        return Exit::BadConfig;
    }
    match send(&config, only) {
        Ok(true) if *refused > 0 && only.is_none() => Exit::BadConfig,
        Ok(true) => Exit::Ok,
        Ok(false) => Exit::Failed,
        Err(why) => {
            eprintln!("error: {why}");
            Exit::Failed
        }
    }
}

/// Whether all messages were taken.
fn send(config: &config::Config, only: Option<&str>) -> Result<bool, String> {
    let mut machine = Machine::new(&config.router.target())?;
    let board = &mut machine.board;
    let Some(mut alerts) = alerts(board, config, 0) else { return Ok(false) };
    let mut good = true;
    let names: Vec<String> = (0..).map_while(|place| Some(alerts.rule(place)?.name.to_owned())).collect();
    for (place, name) in names.iter().enumerate().filter(|(_, name)| only.is_none_or(|only| only == *name)) {
        let start = board.clock().now;
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact")]
        alerts.test(place, start, unix_seconds() as f64);
        let end = start + PATIENCE;
        let Some(tried) = one(board, &mut alerts, place, end) else {
            println!("{name}: no answer in time");
            good = false;
            continue;
        };
        let took = board.clock().now.since(start).as_millis();
        match tried {
            Ok(()) => println!("{name}: delivered in {took} ms"),
            Err(why) => {
                println!("{name}: {why}");
                good = false;
            }
        }
    }
    Ok(good)
}

/// One delivery, to its end.
fn one<B: Board>(board: &mut B, alerts: &mut Alerts, place: usize, end: Instant) -> Option<Result<(), String>> {
    let before = alerts.rule(place)?.counters;
    loop {
        let now = board.clock().now;
        carry(board, alerts, &[], now, true);
        let rule = alerts.rule(place)?;
        if rule.counters.sent > before.sent {
            return Some(Ok(()));
        }
        if rule.counters.failed > before.failed {
            return Some(Err(rule.error.map(|error| error.to_string()).unwrap_or_default()));
        }
        if now >= end {
            return None;
        }
        board.wait((now + NAP).min(end));
    }
}
