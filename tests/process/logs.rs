//! What it says: never a secret, never a flood, and JSON when asked for.

use super::house::{House, ORIGINALS, PASSWORD, PATIENCE, Program, QUEUES, Wishes, send, until};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fs;
use std::net::UdpSocket;
use std::process::Stdio;
use std::time::Duration;
use wanctl_hal::sim::{Cut, Fault, lock};

/// A life with everything in it that might make it talk.
fn eventful(house: &House, wishes: &Wishes) -> Program {
    let mut program = house.start(wishes);
    house.until_limits(&program, "40000000");
    for fault in [
        Fault::Status { status: 500, times: 1 },
        Fault::Garbage { times: 1 },
        Fault::Cut { at: Cut::Middle, times: 1 },
        // Last, because a wrong password makes it wait long.
        Fault::Status { status: 401, times: 1 },
    ] {
        let faults = || program.log().matches("router: ").count();
        let before = faults();
        house.inject(fault);
        until(&format!("{fault:?} is told"), PATIENCE, || (faults() > before).then_some(()));
    }
    program.report();
    house.configure(&Wishes { ceiling: "1M", ..wishes.clone() });
    program.signal(libc::SIGHUP);
    program.until_line(&["configuration refused"]);
    house.configure(wishes);
    program.signal(libc::SIGHUP);
    program.until_line(&["configuration read again"]);
    program.stop(libc::SIGTERM);
    program
}

#[test]
fn no_secret_is_ever_written() {
    let house = House::new("secrets");
    let program = eventful(&house, &Wishes { end: "[log]\nlevel = \"debug\"", ..Wishes::default() });
    let mut written = vec![program.log(), program.output()];
    for file in fs::read_dir(house.directory.join("state")).unwrap() {
        written.push(fs::read_to_string(file.unwrap().path()).unwrap());
    }
    assert!(written.len() >= 4, "log, output, state, journal");
    assert!(written[0].contains("DEBUG"));
    let encoded = [PASSWORD.to_owned(), format!("wanctl:{PASSWORD}")].map(|secret| STANDARD.encode(secret));
    for text in &written {
        for secret in [PASSWORD, &encoded[0], &encoded[1], "uthorization", "Basic "] {
            assert!(!text.contains(secret), "\"{secret}\" in:\n{text}");
        }
    }
}

#[test]
fn a_collector_gets_every_line_as_syslog() {
    let house = House::new("syslog");
    let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
    collector.set_read_timeout(Some(PATIENCE)).unwrap();
    let section = format!("[log]\nlevel = \"debug\"\nsyslog = \"{}\"", collector.local_addr().unwrap());
    let program = eventful(&house, &Wishes { end: section.leak(), ..Wishes::default() });
    let log = program.log();
    let mut lines = Vec::new();
    let mut bytes = [0; 2048];
    while lines.len() < log.lines().count() {
        let length = collector.recv(&mut bytes).unwrap_or_else(|e| panic!("{e} after {} lines of\n{log}", lines.len()));
        lines.push(String::from_utf8(bytes[..length].to_vec()).unwrap());
    }
    for (line, logged) in lines.iter().zip(log.lines()) {
        // <PRI>1 TIME HOST wanctl PID - - TEXT
        let parts: Vec<&str> = line.splitn(8, ' ').collect();
        let severity = logged.split_whitespace().nth(1).unwrap();
        let priority = match severity {
            "ERROR" => "<27>1",
            "WARN" => "<28>1",
            "INFO" => "<30>1",
            _ => "<31>1",
        };
        assert_eq!((parts[0], parts[3], parts[5], parts[6]), (priority, "wanctl", "-", "-"), "{line}");
        assert!(logged.ends_with(parts[7]) && !line.contains(PASSWORD), "{line}\n{logged}");
    }
}

#[test]
fn a_collector_that_is_not_there_keeps_nothing_from_work() {
    let house = House::new("no-syslog");
    let wishes = Wishes { end: "[log]\nsyslog = \"127.0.0.1:9\"", ..Wishes::default() };
    let mut program = house.start(&wishes);
    house.until_limits(&program, "40000000");
    program.stop(libc::SIGTERM);
}

#[test]
fn every_line_is_json_when_asked_for() {
    let house = House::new("json");
    house.write("password", PASSWORD);
    fs::set_permissions(house.directory.join("password"), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let wishes = Wishes {
        router: "password_file = \"password\"",
        end: "[log]\nlevel = \"debug\"\nformat = \"json\"",
        ..Wishes::default()
    };
    let json = |log: &str| {
        let lines: Vec<serde_json::Value> =
            log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect();
        for line in &lines {
            let has = |key| line.get(key).is_some_and(serde_json::Value::is_string);
            assert!(has("time") && has("level") && has("message"), "{line}");
        }
        lines.len()
    };
    assert!(json(&eventful(&house, &wishes).log()) > 20);
    // A warning about the file and the reason of a start that fails are lines like all others.
    let path = house.configure(&Wishes { wan: "interface = \"nonesuch0\"", ..wishes });
    let mut command = house.command(&path);
    command.env_remove("WANCTL_ROUTER_PASSWORD");
    let mut program = Program::start(&mut command, &house.directory);
    assert_eq!(program.code(), 1);
    let log = program.log();
    assert!(json(&log) >= 2 && log.contains("WARN") && log.contains("ERROR"), "{log}");
}

#[test]
fn a_dead_router_does_not_flood_the_log() {
    for level in ["info", "debug"] {
        let mut house = House::new(&format!("flood-{level}"));
        let end = if level == "info" { "" } else { "[log]\nlevel = \"debug\"" };
        let mut program = house.start(&Wishes { end, ..Wishes::default() });
        house.until_limits(&program, "40000000");
        // Every answer is an error: the fastest way to fail.
        house.inject(Fault::Status { status: 500, times: 100_000 });
        let served = || lock(&house.world).router.requests_total();
        let before = served();
        until("some failures", PATIENCE, || (served() > before + 4).then_some(()));
        house.close();
        assert!(program.ended(Duration::from_secs(3)).is_none());
        let log = program.log();
        let faults = log.lines().filter(|line| line.contains("router: ")).count();
        assert!((2..=12).contains(&faults), "{faults} lines:\n{log}");
        assert!(log.lines().count() <= 40, "{log}");
        program.stop(libc::SIGTERM);
    }
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let house = House::new("unread");
    let mut command = house.command(&house.configure(&Wishes::default()));
    let (reader, writer) = std::io::pipe().unwrap();
    let mut process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(writer).spawn().unwrap();
    drop(command);
    let limits = |limit| until(limit, PATIENCE, || (house.limits() == [limit; 2]).then_some(()));
    limits("40000000");
    // Far more than a pipe holds.
    for _ in 0..200 {
        send(process.id(), libc::SIGUSR1);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(lock(&house.world).router.set_limit(QUEUES[0], "1000000"));
    limits("40000000");
    send(process.id(), libc::SIGTERM);
    let ended = until("the end", Duration::from_secs(2), || process.try_wait().unwrap());
    assert!(ended.success(), "{ended}");
    assert_eq!(house.limits(), ORIGINALS);
    let text = std::io::read_to_string(reader).unwrap();
    assert!(text.len() > 32_768 && text.ends_with('\n'), "{} bytes, whole lines", text.len());
    // A reader that is gone is no reason to end either.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = house.command(&house.directory.join("wanctl.toml"));
    let mut process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(writer).spawn().unwrap();
    drop(command);
    limits("40000000");
    send(process.id(), libc::SIGTERM);
    assert!(until("the end", Duration::from_secs(2), || process.try_wait().unwrap()).success());
    assert_eq!(house.limits(), ORIGINALS);
}
