//! What survives a restart, and what is done about files that did not.

use super::house::{House, ORIGINALS, Program, Wishes, root};
use std::fs;
use std::path::Path;
use std::process::Command;

/// A run that leaves a baseline of 25 ms and rates of 40 Mbit/s.
fn lived(house: &House) {
    let mut program = house.start(&Wishes { baseline: "25ms", ..Wishes::default() });
    house.until_limits(&program, "40000000");
    program.stop(libc::SIGTERM);
}

/// A second run whose own ideas differ from what was learnt; whether it remembers.
fn remembers(house: &House) -> (bool, Program) {
    let directions = r#"step_up = "1k""#;
    let program = house.start(&Wishes {
        ceiling: "60M",
        baseline: "35ms",
        directions,
        router: r#"exit = "keep""#,
        ..Wishes::default()
    });
    program.until_line(&["reflectors answer"]);
    let report = program.report();
    let warm = report.contains("baseline 25") || report.contains("baseline 24.9");
    assert!(warm || report.contains("baseline 35") || report.contains("baseline 34.9"), "{report}");
    assert_eq!(warm, report.contains("down 40"), "{report}");
    house.until_limits(&program, if warm { "40000000" } else { "60000000" });
    (warm, program)
}

#[test]
fn baseline_and_rates_survive_a_restart() {
    let house = House::new("restart");
    lived(&house);
    let (warm, mut program) = remembers(&house);
    assert!(warm && !program.log().contains("passed over"), "{}", program.log());
    program.stop(libc::SIGTERM);
}

#[test]
fn a_damaged_file_gives_way_to_the_other_one_and_both_to_a_cold_start() {
    const LATER: &str = "{\"version\":2,\"everything\":\"different\"}";
    let later = format!("{LATER}\n{:08x}\n", crc32(LATER.as_bytes()));
    for (case, damage) in ["nonsense\n00000000\n", "", "{\"version\":1", &later, &"x".repeat(10_000)].iter().enumerate()
    {
        let house = House::new(&format!("damage-{case}"));
        lived(&house);
        let good = ["state-a", "state-b"].into_iter().find(|file| house.state(file).exists()).unwrap();
        let other = if good == "state-a" { "state-b" } else { "state-a" };
        fs::write(house.state(other), damage).unwrap();
        let (warm, mut program) = remembers(&house);
        assert!(warm, "the other one is good");
        program.until_line(&["WARN", other, "passed over"]);
        program.kill();
        fs::write(house.state(good), damage).unwrap();
        fs::write(house.state(other), damage).unwrap();
        let (warm, mut program) = remembers(&house);
        assert!(!warm);
        let why = if case == 3 { "of a later version" } else { "" };
        program.until_line(&["WARN", good, why, "passed over"]);
        program.until_line(&["WARN", other, why, "passed over"]);
        program.stop(libc::SIGTERM);
    }
}

#[test]
fn nothing_is_written_before_the_originals_are_safe() {
    if !root("a full medium under the state directory") {
        return;
    }
    let house = House::new("full");
    let path = house.configure(&Wishes::default());
    let state = house.directory.join("state");
    fs::create_dir(&state).unwrap();
    let inner = house.command(&path);
    let mut command = Command::new("unshare");
    let script = r#"mount -t tmpfs -o size=16k tmpfs "$0" && cat /dev/zero >"$0/fill" 2>/dev/null; exec "$@""#;
    command.args(["--mount", "sh", "-c", script]).arg(&state).arg(inner.get_program()).args(inner.get_args());
    command.env("WANCTL_ROUTER_PASSWORD", super::house::PASSWORD);
    let mut program = Program::start(&mut command, &house.directory);
    program.until_line(&["WARN", "state can't be saved", "No space left"]);
    program.until_report("3 of 3 reflectors, signal Good");
    assert_eq!((house.limits(), house.writes()), (ORIGINALS.map(str::to_owned), 0), "{}", program.log());
    // The medium as the program sees it.
    let seen = format!("/proc/{}/root{}", program.id(), state.display());
    fs::remove_file(Path::new(&seen).join("fill")).unwrap();
    house.until_limits(&program, "40000000");
    program.stop(libc::SIGTERM);
    assert_eq!(house.limits(), ORIGINALS);
}

/// CRC-32 of IEEE 802.3.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 })
    })
}
