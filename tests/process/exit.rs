//! How it ends: in order, in time, and with the router as it shall be left.

use super::house::{House, ORIGINALS, PATIENCE, Program, QUEUES, Wishes, root, send, until};
use std::fs;
use std::process::Command;
use std::time::Duration;
use wanctl_hal::sim::Fault;

#[test]
fn the_router_is_left_as_configured() {
    for (signal, router, directions, left) in [
        (libc::SIGTERM, "", "", ORIGINALS),
        (libc::SIGINT, r#"exit = "restore""#, "", ORIGINALS),
        (libc::SIGTERM, r#"exit = "keep""#, "", ["40000000"; 2]),
        (libc::SIGINT, r#"exit = "rate""#, r#"exit_rate = "12M""#, ["12000000"; 2]),
    ] {
        let house = House::new(&format!("left-{signal}-{}", left[0]));
        let mut program = house.start(&Wishes { router, directions, ..Wishes::default() });
        house.until_limits(&program, "40000000");
        program.stop(signal);
        assert_eq!(house.limits(), left, "{router}");
        assert!(house.state("state-a").exists() || house.state("state-b").exists(), "the state is saved");
        assert_eq!(program.output(), "", "standard output is for data");
    }
}

#[test]
fn it_ends_in_time_though_the_router_is_dead() {
    for dead in ["stalled", "cut", "closed", "refuses"] {
        let mut house = House::new(dead);
        let mut program = house.start(&Wishes::default());
        house.until_limits(&program, "40000000");
        match dead {
            "stalled" => house.inject(Fault::Stall(Duration::from_secs(60))),
            "cut" => {
                house.inject(Fault::Silent(Duration::from_secs(60)));
                house.inject(Fault::Reset);
            }
            "closed" => house.close(),
            _ => {
                house.inject(Fault::Refuse(Duration::from_secs(60)));
                house.inject(Fault::Close);
            }
        }
        program.stop(libc::SIGTERM);
        assert_eq!(house.limits(), ["40000000"; 2], "{dead}");
        program.until_line(&["WARN", "the router did not answer in time"]);
        assert!(house.state("state-a").exists() || house.state("state-b").exists(), "the state is saved: {dead}");
    }
}

#[test]
fn it_ends_before_it_has_begun() {
    let mut house = House::new("early");
    house.close();
    let mut program = house.start(&Wishes::default());
    program.until_line(&["starts: 1 WANs"]);
    program.stop(libc::SIGINT);
    assert_eq!(house.limits(), ORIGINALS);
}

#[test]
fn a_second_instance_is_refused_and_a_killed_one_is_succeeded() {
    let house = House::new("second");
    let mut first = house.start(&Wishes::default());
    house.until_limits(&first, "40000000");
    let other = house.directory.join("other");
    fs::create_dir(&other).unwrap();
    let path = house.directory.join("wanctl.toml");
    let mut second = Program::start(&mut house.command(&path), &other);
    assert_eq!(second.code(), 1);
    second.until_line(&["ERROR", &format!("another wanctl (process {})", first.id()), "stop it first"]);
    assert_eq!(house.limits(), ["40000000"; 2]);
    first.kill();
    assert_eq!(house.limits(), ["40000000"; 2], "nobody was there to restore them");
    let mut third = Program::start(&mut house.command(&path), &house.directory);
    third.until_line(&["starts: 1 WANs"]);
    third.until_report("down 40M, up 40M,");
    third.stop(libc::SIGTERM);
    assert_eq!(house.limits(), ORIGINALS, "from the journal");
}

#[test]
fn nothing_is_written_while_rates_stay() {
    let house = House::new("writes");
    let program = house.start(&Wishes::default());
    house.until_limits(&program, "40000000");
    until("a hundred cycles", PATIENCE, || cycles(&program.report()).filter(|c| *c > 100));
    assert_eq!(house.writes(), 2, "one for each queue:\n{}", program.log());
    // Somebody else's hand is repaired: one write more.
    assert!(wanctl_hal::sim::lock(&house.world).router.set_limit(QUEUES[0], "1000000"));
    house.until_limits(&program, "40000000");
    program.until_line(&["WARN", "download", "repairing"]);
    assert_eq!(house.writes(), 3);
}

/// How many cycles a report tells.
fn cycles(report: &str) -> Option<u64> {
    report.split(" of ").last()?.split(' ').next()?.parse().ok()
}

#[test]
fn it_may_be_process_one() {
    if !root("the daemon as process 1") {
        return;
    }
    let house = House::new("one");
    let path = house.configure(&Wishes::default());
    let inner = house.command(&path);
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).arg(inner.get_program()).args(inner.get_args());
    command.env("WANCTL_ROUTER_PASSWORD", super::house::PASSWORD);
    let mut program = Program::start(&mut command, &house.directory);
    house.until_limits(&program, "40000000");
    let outer = program.id();
    let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).unwrap();
    let one: u32 = children.trim().parse().expect("the only child");
    let status = fs::read_to_string(format!("/proc/{one}/status")).unwrap();
    assert!(status.lines().any(|l| l.starts_with("NSpid:") && l.ends_with("\t1")), "{status}");
    // An orphan of the namespace becomes its child; when that ends, it must not stay as a zombie.
    let orphan = Command::new("nsenter")
        .args([&format!("--target={one}"), "--pid", "--", "sh", "-c", "sleep 0.2 & exit 0"])
        .status();
    assert!(orphan.expect("nsenter").success());
    let child = || fs::read_to_string(format!("/proc/{one}/task/{one}/children")).unwrap();
    until("the orphan", Duration::from_secs(2), || (!child().trim().is_empty()).then_some(()));
    until("the orphan's burial", PATIENCE, || child().trim().is_empty().then_some(()));
    assert!(program.report_of(one).contains("signal Good"));
    send(one, libc::SIGTERM);
    program.stops();
    assert_eq!(house.limits(), ORIGINALS);
}
