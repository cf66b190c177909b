//! How it does not start: every reason has a message and an exit code.

use super::house::{House, Program, Wishes, mute_name_server, root, until_asked, with_name_servers};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Exit code and messages of a run that can't start.
fn refused(house: &House, configuration: &Path) -> (i32, String) {
    let mut program = Program::start(&mut house.command(configuration), &house.directory);
    (program.code(), program.log())
}

#[test]
fn a_bad_file_gives_code_two_and_all_its_faults() {
    let house = House::new("bad");
    let path = house.configure(&Wishes { ceiling: "1M", wan: "mesurement = 3", ..Wishes::default() });
    let (code, told) = refused(&house, &path);
    assert_eq!(code, 2, "{told}");
    for fault in ["mesurement", "download.floor = ", "upload.floor = ", "wanctl.toml:"] {
        assert!(told.contains(fault), "no {fault} in:\n{told}");
    }
    let (code, told) = refused(&house, &house.directory.join("missing.toml"));
    assert!(code == 2 && told.contains("missing.toml") && told.contains("No such file"), "{code}: {told}");
    let (code, told) = refused(&house, &house.directory);
    assert!(code == 2 && told.to_lowercase().contains("directory"), "{code}: {told}");
    let binary = house.directory.join("binary.toml");
    fs::write(&binary, [0xff, 0xfe, 0, 1]).unwrap();
    let (code, told) = refused(&house, &binary);
    assert!(code == 2 && told.contains("binary.toml"), "{code}: {told}");
}

#[test]
fn a_secret_that_cannot_be_read_gives_code_two_and_its_path() {
    let house = House::new("secret");
    for (place, word) in [("nowhere", "No such file"), (".", "directory")] {
        let path = house.configure(&Wishes::default());
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("[[wan]]", &format!("password_file = \"{place}\"\n[[wan]]"))).unwrap();
        let mut command = house.command(&path);
        command.env_remove("WANCTL_ROUTER_PASSWORD");
        let mut program = Program::start(&mut command, &house.directory);
        assert_eq!(program.code(), 2);
        assert!(program.log().contains("password_file"), "{}", program.log());
        assert!(program.log().to_lowercase().contains(&word.to_lowercase()), "{}", program.log());
    }
    if !root("a secret without permission to read it") {
        return;
    }
    let path = house.configure(&Wishes { router: "password_file = \"root-only\"", ..Wishes::default() });
    house.give_away();
    fs::write(house.directory.join("root-only"), "x").unwrap();
    fs::set_permissions(house.directory.join("root-only"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    let mut command = house.command_as_nobody(&path);
    command.env_remove("WANCTL_ROUTER_PASSWORD");
    let mut program = Program::start(&mut command, &house.directory);
    assert_eq!(program.code(), 2);
    assert!(program.log().contains("Permission denied") && program.log().contains("root-only"), "{}", program.log());
}

#[test]
fn what_prevents_the_start_gives_code_one_and_the_remedy() {
    let house = House::new("unable");
    let path = house.configure(&Wishes::default());
    let text = fs::read_to_string(&path).unwrap();
    let own = house.directory.join("state").display().to_string();
    for (from, to, told) in [
        ("/state\"", "/wanctl.toml/state\"", "[state] directory"),
        (own.as_str(), "/proc/wanctl", "[state] directory"),
        (
            "link = \"cable\"",
            "link = \"cable\"\nsource = \"192.0.2.77\"",
            "192.0.2.77 is not an address of this machine",
        ),
        ("link = \"cable\"", "link = \"cable\"\ninterface = \"nonesuch0\"", "nonesuch0"),
    ] {
        fs::write(&path, text.replace(from, to)).unwrap();
        let (code, log) = refused(&house, &path);
        assert!(code == 1 && log.contains(told), "{code}: {log}");
        assert!(log.contains("ERROR"), "{log}");
    }
    fs::write(&path, &text).unwrap();
    if root("a state directory without permission to write") {
        house.give_away();
        assert!(house.directory.join("state").is_dir(), "root's, from the attempts before");
        let mut program = Program::start(&mut house.command_as_nobody(&path), &house.directory);
        assert_eq!(program.code(), 1);
        assert!(program.log().contains("Permission denied"), "{}", program.log());
        assert!(program.log().contains("make it writable"), "{}", program.log());
    }
}

#[test]
fn a_damaged_journal_stops_it_before_it_writes() {
    let house = House::new("journal");
    fs::create_dir(house.directory.join("state")).unwrap();
    fs::write(house.state("originals"), "nonsense\n00000000\n").unwrap();
    let (code, told) = refused(&house, &house.configure(&Wishes::default()));
    assert!(code == 1 && told.contains("wanctl adopt") && told.contains("damaged"), "{code}: {told}");
    assert_eq!((house.writes(), house.limits()), (0, super::house::ORIGINALS.map(str::to_owned)));
}

/// Nobody waits two seconds for a name server that does not answer.
#[test]
fn a_stop_is_heard_while_the_routers_name_is_looked_up() {
    let what = "a stop while the router's name is looked up";
    if !root(what) {
        return;
    }
    let house = House::new("look-up");
    let (server, resolv) = match mute_name_server(&house, "127.53.53.53") {
        Ok(found) => found,
        Err(missing) => return eprintln!("NOT TESTED ({missing}): {what}"),
    };
    let path = house.configure(&Wishes::default());
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("https://127.0.0.1:", "https://router.wanctl.test:")).unwrap();
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let mut program = Program::start(&mut with_name_servers(&resolv, &house.command(&path)), &house.directory);
        until_asked(&server, &program, b"\x06router\x06wanctl");
        let asked = Instant::now();
        program.signal(signal);
        let status = program.ended(Duration::from_secs(1));
        let took = asked.elapsed();
        assert!(status.is_some(), "a second after it was asked to stop:\n{}", program.log());
        assert_eq!(status.and_then(|s| s.code()), Some(0), "after {took:?}:\n{}", program.log());
        assert!(program.log().contains("stopped before the first cycle"), "{}", program.log());
        // One question: it was not asked again.
        server.set_nonblocking(true).unwrap();
        assert!(server.recv(&mut [0; 512]).is_err(), "no further question");
        server.set_nonblocking(false).unwrap();
    }
    assert_eq!(house.writes(), 0);
}
