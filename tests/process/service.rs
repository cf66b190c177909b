//! As a service: what the service manager is told, and what remains of root's rights.

use super::house::{House, ORIGINALS, Program, Wishes, root, until};
use std::fs;
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The manager's end, and what the program is told of it.
fn manager(house: &House, is_abstract: bool) -> (UnixDatagram, String) {
    let path = house.directory.join("notify").display().to_string();
    let (socket, name) = if is_abstract {
        let name = format!("wanctl-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        (UnixDatagram::bind_addr(&address).unwrap(), format!("@{name}"))
    } else {
        (UnixDatagram::bind(&path).unwrap(), path)
    };
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    (socket, name)
}

fn next(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 256];
    let length = socket.recv(&mut buffer).expect("news for the service manager");
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

#[test]
fn the_service_manager_is_told_and_the_loop_itself_feeds_its_watchdog() {
    for is_abstract in [false, true] {
        let house = House::new(if is_abstract { "abstract" } else { "notify" });
        let (socket, name) = manager(&house, is_abstract);
        let mut command = house.command(&house.configure(&Wishes::default()));
        command.env("NOTIFY_SOCKET", name).env("WATCHDOG_USEC", "300000");
        let mut program = Program::start(&mut command, &house.directory);
        assert_eq!(next(&socket), "READY=1");
        (0..5).for_each(|_| assert_eq!(next(&socket), "WATCHDOG=1"));
        // A loop that stands still gives no sign of life.
        program.signal(libc::SIGSTOP);
        let state = format!("/proc/{}/stat", program.id());
        until("it stands", Duration::from_secs(5), || {
            fs::read_to_string(&state).unwrap().contains(") T ").then_some(())
        });
        socket.set_nonblocking(true).unwrap();
        let mut buffer = [0; 256];
        while socket.recv(&mut buffer).is_ok() {}
        std::thread::sleep(Duration::from_millis(600));
        assert_eq!(socket.recv(&mut buffer).map_err(|e| e.kind()), Err(ErrorKind::WouldBlock));
        socket.set_nonblocking(false).unwrap();
        program.signal(libc::SIGCONT);
        assert_eq!(next(&socket), "WATCHDOG=1");
        program.signal(libc::SIGTERM);
        program.stops();
        until("the farewell", Duration::from_secs(5), || (next(&socket) == "STOPPING=1").then_some(()));
    }
}

#[test]
fn a_service_manager_that_does_not_listen_stops_nothing() {
    let house = House::new("deaf");
    let (socket, name) = manager(&house, false);
    let mut command = house.command(&house.configure(&Wishes::default()));
    // A sign of life each cycle: the socket is full within a second, and nobody reads.
    command.env("NOTIFY_SOCKET", &name).env("WATCHDOG_USEC", "3");
    let mut program = Program::start(&mut command, &house.directory);
    house.until_limits(&program, "40000000");
    assert!(program.ended(Duration::from_secs(2)).is_none());
    // Gone altogether.
    drop(socket);
    fs::remove_file(name).unwrap();
    program.until_report("3 of 3 reflectors, signal Good");
    program.stop(libc::SIGTERM);
    assert_eq!(house.limits(), ORIGINALS);
}

/// A line of `/proc/PID/status`.
fn status(program: &Program, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let line = text.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
    line[name.len() + 1..].split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn started_as_root_it_keeps_only_the_right_to_raw_sockets() {
    if !root("the change of the user after the start") {
        return;
    }
    let house = House::new("drop");
    fs::set_permissions(&house.directory, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(house.directory.join("secret"), super::house::PASSWORD).unwrap();
    fs::set_permissions(house.directory.join("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    let wishes =
        Wishes { router: "password_file = \"secret\"", end: "[daemon]\nuser = \"nobody\"", ..Wishes::default() };
    let path = house.configure(&wishes);
    let mut command = house.command(&path);
    let mut program = Program::start(command.env_remove("WANCTL_ROUTER_PASSWORD"), &house.directory);
    house.until_limits(&program, "40000000");
    program.until_line(&["rights of \"nobody\""]);
    assert_eq!(status(&program, "Uid"), "65534 65534 65534 65534");
    assert!(status(&program, "Gid").starts_with("65534 65534"));
    assert_eq!(status(&program, "Groups"), "");
    for (set, left) in [("CapEff", "0000000000002000"), ("CapPrm", "0000000000002000"), ("CapInh", "0000000000000000")]
    {
        assert_eq!(status(&program, set), left, "{set}");
    }
    assert_eq!(status(&program, "NoNewPrivs"), "1");
    program.until_report("3 of 3 reflectors, signal Good");
    // The secret is root's: a reload can't read it, says so, and nothing else happens.
    program.signal(libc::SIGHUP);
    program.until_line(&["ERROR", "secret", "Permission denied"]);
    program.until_line(&["WARN", "nobody", "needs a restart"]);
    program.until_line(&["1 fault"]);
    // Now it may: and opens the sockets anew, raw ones.
    fs::set_permissions(house.directory.join("secret"), fs::Permissions::from_mode(0o644)).unwrap();
    house.configure(&Wishes { wan: "source = \"127.0.0.1\"", ..wishes });
    program.signal(libc::SIGHUP);
    program.until_line(&["configuration read again"]);
    program.until_report("3 of 3 reflectors, signal Good");
    program.stop(libc::SIGTERM);
    assert_eq!(house.limits(), ORIGINALS);
    let owner = |name| fs::metadata(house.state(name)).map(|file| file.uid()).ok();
    assert!([owner("state-a"), owner("state-b")].contains(&Some(65_534)));
    assert_eq!(owner("originals"), Some(65_534));
    // And as root's again, and then another's: all files change hands.
    let mut program = house.start(&Wishes { end: "[daemon]\nuser = \"1234:1235\"", ..Wishes::default() });
    house.until_limits(&program, "40000000");
    program.stop(libc::SIGTERM);
    assert_eq!(owner("originals"), Some(1234));
}

#[test]
fn a_user_that_is_not_there_or_a_directory_of_others_stops_it() {
    if !root("the refusal to give other people's files away") {
        return;
    }
    let house = House::new("others");
    let end = "[daemon]\nuser = \"nosuchuser\"";
    let mut program = house.start(&Wishes { end, ..Wishes::default() });
    assert_eq!(program.code(), 1);
    program.until_line(&["ERROR", "no such user", "uid:gid"]);
    fs::write(house.state("letter"), "of somebody").unwrap();
    let mut program = house.start(&Wishes { end: "[daemon]\nuser = \"nobody\"", ..Wishes::default() });
    assert_eq!(program.code(), 1);
    program.until_line(&["ERROR", "letter", "not ours"]);
    assert_eq!(fs::metadata(house.state("letter")).unwrap().uid(), 0);
    assert_eq!(house.writes(), 0);
}

#[test]
fn urgency_is_taken_or_refused_with_the_remedy() {
    if !root("real-time priority and locked memory") {
        return;
    }
    let house = House::new("urgent");
    let end = "[daemon]\nuser = \"nobody\"\nrealtime = 7\nlock_memory = true";
    let mut program = house.start(&Wishes { end, ..Wishes::default() });
    program.until_line(&["starts: 1 WANs"]);
    if let Some(status) = program.ended(Duration::from_secs(1)) {
        // A container whose root has not these rights.
        assert_eq!(status.code(), Some(1), "{}", program.log());
        let line = program.until_line(&["ERROR", "daemon.", "Operation not permitted"]);
        assert!(line.contains("CAP_SYS_NICE") || line.contains("CAP_IPC_LOCK"), "{line}");
        eprintln!("NOT TESTED (no right to it here): real-time priority and locked memory in force");
        return;
    }
    house.until_limits(&program, "40000000");
    let stat = fs::read_to_string(format!("/proc/{}/stat", program.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // Fields 40 and 41 of proc(5), counted from the third: priority, and SCHED_FIFO without the bit for forks.
    assert_eq!((fields[37], fields[38]), ("7", "1"), "{stat}");
    assert_ne!(status(&program, "VmLck"), "0 kB");
    program.stop(libc::SIGTERM);
}
