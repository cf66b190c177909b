//! `wanctl calibrate` over a real queue: the kernel's TCP fills the kernel's FIFO whenever the program asks for it.

use super::controller::{Daemon, Router, configuration};
use super::line::{Direction, RealLine};
use super::traffic::{self, Control, EndOnDrop};
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// What the line carries (bit/s), and what the shapers and the ceilings of the file were set to before.
const CAPACITY: [(Direction, &str, u64); 2] =
    [(Direction::Download, "download", 30_000_000), (Direction::Upload, "upload", 30_000_000)];
const BEFORE: u64 = 40_000_000;

/// How far off the proposals were, and the log.
pub struct Calibrated {
    pub errors: [f64; 2],
    /// The shapers' rates at the end are those of the beginning.
    pub restored: bool,
    pub log: String,
}

pub fn calibrate() -> Calibrated {
    let line = RealLine::new("cal", CAPACITY[0].2, BEFORE);
    let router = Router::new(&line, BEFORE);
    let directory = std::env::temp_dir().join(format!("wanctl-real-calibrate-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("directory for the program");
    let config = directory.join("wanctl.toml");
    fs::write(&config, configuration(&router, &directory, "adaptive", BEFORE, BEFORE / 10)).expect("configuration");
    let mut command = Command::new(env!("CARGO_BIN_EXE_wanctl"));
    command.args(["calibrate", "--idle", "6s", "--config"]).arg(&config);
    let program = Daemon::launch(&line, command, directory);
    for (direction, name, _) in CAPACITY {
        until(&program, &format!("start a big {name}"));
        let control = Control::default();
        thread::scope(|scope| {
            let _end = EndOnDrop(&control);
            traffic::load(scope, &line, direction, 6, &control);
            until(&program, &format!("{name}: "));
            // The figure comes last, with what is to be done then.
            until(&program, if name == "download" { "Stop the transfer now" } else { "own limits back" });
            control.end_load();
        });
    }
    until(&program, "own limits back");
    let log = program.log();
    let errors = CAPACITY.map(|(_, name, capacity)| {
        let figure = |line: &str| {
            let words = line.strip_prefix(&format!("{name}: "))?;
            let words = words.strip_prefix("no delay up to ").or_else(|| words.strip_prefix("carries "))?;
            words.split(' ').next()?.parse::<f64>().ok()
        };
        log.lines().find_map(figure).unwrap_or_else(|| panic!("no figure for {name} in\n{log}")) * 1e6 / capacity as f64
            - 1.0
    });
    let last = |direction| router.rates(direction).last().map(|(_, bps)| *bps);
    let restored = CAPACITY.iter().all(|(direction, ..)| last(*direction) == Some(BEFORE));
    Calibrated { errors, restored, log }
}

fn until(program: &Daemon, words: &str) {
    let deadline = Instant::now() + Duration::from_secs(400);
    while !program.log().contains(words) {
        assert!(Instant::now() < deadline, "never \"{words}\" in\n{}", program.log());
        thread::sleep(Duration::from_millis(50));
    }
}
