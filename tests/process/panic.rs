//! A panic while `calibrate` has lifted the limits: the program becomes a new one, which gives them back.
//!
//! Nothing in the program panics on request, so this test is its own program: started with `calibrate` it is wanctl, with
//! a second thread that panics when told to, and what follows (`/proc/self/exe`) is wanctl without one. The hook runs, and
//! replaces the process, before a panic unwinds or aborts, so that the shipped program (panic = "abort") does the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[allow(dead_code, reason = "shared with the other tests of the process")]
mod house;
#[allow(dead_code, reason = "shared with the tests on a real line")]
#[path = "../real_line/netns.rs"]
mod netns;

use house::{House, ORIGINALS, PASSWORD, Program, Wishes, until};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

/// Names the file that is the order to panic.
const ORDER: &str = "WANCTL_TEST_PANIC";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.get(1).is_none_or(|first| first != "calibrate") {
        a_panic_gives_the_limits_back();
        println!("a panic while calibrating: the limits are back");
        return ExitCode::SUCCESS;
    }
    if !arguments.iter().any(|argument| argument == "--restore") {
        let order = PathBuf::from(std::env::var_os(ORDER).unwrap());
        thread::spawn(move || {
            until("the order to panic", Duration::from_secs(60), || order.exists().then_some(()));
            panic!("as ordered");
        });
    }
    wanctl::cli::main(arguments).into()
}

fn a_panic_gives_the_limits_back() {
    let house = House::new("calibrate-panic");
    let order = house.directory.join("panic");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["calibrate", "--idle", "3s", "--max", "777M", "--config"]);
    command.arg(house.configure(&Wishes::default())).env("WANCTL_ROUTER_PASSWORD", PASSWORD).env(ORDER, &order);
    let mut program = Program::start(&mut command, &house.directory);
    until("lifted limits", Duration::from_secs(30), || (house.limits() == ["777000000", "777000000"]).then_some(()));
    std::fs::write(&order, "").unwrap();
    assert_eq!(program.code(), 1, "not a success: {}", program.log());
    assert_eq!(house.limits(), ORIGINALS, "{}", program.log());
    let log = program.log();
    for words in ["panicked at tests/process/panic.rs", "as ordered", "own limits back"] {
        assert!(log.contains(words), "{words} is missing in:\n{log}");
    }
}
