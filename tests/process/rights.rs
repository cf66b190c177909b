//! Without rights, and on lines that do not answer: in namespaces of their own.

use super::house::{House, ORIGINALS, Program, Wishes, root};
use super::netns::{Netns, open_tun, sweep};
use std::fs::File;
use std::net::TcpListener;
use std::time::Duration;

#[test]
fn without_any_permission_both_remedies_are_named() {
    if !root("the error when neither kind of ICMP socket is allowed") {
        return;
    }
    sweep();
    let netns = Netns::new("process", "none");
    netns.sysctl("ipv4/ping_group_range", "1 0");
    let house = House::within("none", Some(&netns));
    let path = house.configure(&Wishes::default());
    house.give_away();
    let mut command = house.command_as_nobody(&path);
    let mut program = Program::start(netns.prepare(&mut command), &house.directory);
    assert_eq!(program.code(), 1, "{}", program.log());
    program.until_line(&["ERROR", "CAP_NET_RAW", "net.ipv4.ping_group_range"]);
    assert_eq!(house.writes(), 0);
}

#[test]
fn unprivileged_ping_suffices() {
    if !root("the daemon without rights, on datagram sockets") {
        return;
    }
    let netns = Netns::new("process", "datagram");
    netns.sysctl("ipv4/ping_group_range", "0 2147483647");
    let house = House::within("datagram", Some(&netns));
    let path = house.configure(&Wishes::default());
    house.give_away();
    let mut command = house.command_as_nobody(&path);
    let mut program = Program::start(netns.prepare(&mut command), &house.directory);
    house.until_limits(&program, "40000000");
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
    program.until_report("3 of 3 reflectors, signal Good");
    program.stop(libc::SIGTERM);
    assert_eq!(house.limits(), ORIGINALS);
}

/// A namespace in which packets to 198.51.100.0/24 vanish: nobody reads what comes out here.
fn hole(name: &str) -> (Netns, File) {
    let netns = Netns::new("process", name);
    let end = netns.within(|| open_tun("hole")).expect("a TUN interface");
    netns.ip(&["address", "add", "198.51.100.1/24", "dev", "hole"]);
    netns.ip(&["link", "set", "hole", "up"]);
    (netns, end)
}

#[test]
fn a_dead_reflector_is_taken_out_and_told_once() {
    if !root("a dead reflector on a real socket") {
        return;
    }
    let (netns, _end) = hole("dead");
    let house = House::within("dead", Some(&netns));
    let reflectors = r#"["127.0.0.1", "198.51.100.9", "127.0.0.2", "127.0.0.3"]"#;
    let path = house.configure(&Wishes { reflectors, ..Wishes::default() });
    let mut program = Program::start(netns.prepare(&mut house.command(&path)), &house.directory);
    program.until_line(&["WARN", "reflector 1 taken out"]);
    assert!(program.ended(Duration::from_secs(3)).is_none());
    let log = program.log();
    assert_eq!(log.matches("reflector 1 ").count(), 1, "{log}");
    assert!(log.lines().count() < 15, "{log}");
    program.until_report("3 of 3 reflectors, signal Good");
    program.stop(libc::SIGTERM);
}

#[test]
fn a_silent_line_is_proven_by_tcp_and_its_rates_are_held() {
    if !root("TCP as a fall-back on real sockets") {
        return;
    }
    let (netns, _end) = hole("silent");
    let house = House::within("silent", Some(&netns));
    let target = netns.within(|| TcpListener::bind("127.0.0.1:0")).unwrap();
    let path = house.configure(&Wishes::default());
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace("tcp_targets = []", &format!("tcp_targets = [\"{}\"]", target.local_addr().unwrap()));
    std::fs::write(&path, text).unwrap();
    let mut program = Program::start(netns.prepare(&mut house.command(&path)), &house.directory);
    house.until_limits(&program, "40000000");
    // The kernel stops to answer.
    netns.sysctl("ipv4/icmp_echo_ignore_all", "1");
    program.until_line(&["WARN", "reflectors silent, but the line is up"]);
    let report = program.report();
    assert!(report.contains("0 of 3 reflectors, signal Degraded") && report.contains("down 40M"), "{report}");
    netns.sysctl("ipv4/icmp_echo_ignore_all", "0");
    program.until_report("3 of 3 reflectors, signal Good");
    assert!(!program.log().contains("taken out"), "{}", program.log());
    drop(target);
    program.stop(libc::SIGTERM);
    assert_eq!(house.limits(), ORIGINALS);
}
