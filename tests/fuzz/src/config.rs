//! A configuration file of any text; and a scenario of the same text.

use core::fmt::Write as _;
use std::path::Path;
use wanctl::config::{self, Warning};
use wanctl::types::{Bitrate, MAX_WANS};

/// What the environment says; no message may repeat it.
const SECRET: &str = "jK4-not-for-the-log";

pub fn run(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    // The fuzzer shall not open devices of the machine it runs on: only files beside this one,
    // and there are none.
    if text.contains("_file") && ["\"/", "'/", "\\"].iter().any(|path| text.contains(path)) {
        return;
    }
    let environment = |name: &str| name.contains("PASSWORD").then(|| SECRET.to_owned());
    let mut told = String::new();
    match config::parse(text, "fuzz.toml", Path::new("/nonexistent"), &environment) {
        Ok((config, warnings)) => {
            accepted(&config);
            warnings.iter().for_each(|w| warning(text, w, &mut told));
        }
        Err(faults) => {
            assert!(!faults.is_empty(), "refused without a reason");
            write!(told, "{faults}").unwrap();
            for fault in &faults.faults {
                in_the_file(text, fault.line);
            }
            assert!(told.lines().count() > faults.faults.len());
        }
    }
    if let Err(faults) = config::scenario::parse(text, "fuzz.toml") {
        write!(told, "{faults}").unwrap();
        assert!(!faults.is_empty(), "refused without a reason");
        faults.faults.iter().for_each(|fault| in_the_file(text, fault.line));
    }
    assert!(!told.contains(SECRET) || text.contains(SECRET), "a secret in a message: {told}");
}

fn accepted(config: &config::Config) {
    assert!((1..=MAX_WANS).contains(&config.wans.len()));
    assert!((0.01..=1.0).contains(&config.cycle.as_secs_f64()));
    for wan in &config.wans {
        assert!(!wan.name.is_empty());
        for safe in wan.safe_rates {
            assert!(safe.rate() > Bitrate::ZERO);
        }
        for queue in &wan.queues {
            assert!(!queue.name.is_empty() && !queue.name.contains('\u{7f}'), "{:?}", queue.name);
        }
        let reflectors = wan.measure.reflectors.len();
        assert!((1..=reflectors).contains(&wan.measure.active), "{} of {reflectors}", wan.measure.active);
    }
}

fn warning(text: &str, warning: &Warning, told: &mut String) {
    in_the_file(text, warning.about.line);
    write!(told, "{warning}").unwrap();
}

fn in_the_file(text: &str, line: Option<usize>) {
    let lines = text.split('\n').count();
    assert!(line.is_none_or(|line| (1..=lines).contains(&line)), "line {line:?} of {lines}");
}
