//! `wanctl calibrate` as a process: the lock, signals, and a kill. (What it finds is tested in virtual time.)

use super::house::{House, ORIGINALS, Program, Wishes, mute_name_server, root, until, until_asked, with_name_servers};
use std::io::Read;
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

/// How it is started; the idle line is watched for as short as possible.
fn calibrate(house: &House, arguments: &[&str]) -> Command {
    let configuration = house.configure(&Wishes::default());
    let mut command = Command::new(env!("CARGO_BIN_EXE_wanctl"));
    command.args(["calibrate", "--idle", "3s", "--max", "777M", "--config"]).arg(configuration).args(arguments);
    command.env("WANCTL_ROUTER_PASSWORD", super::house::PASSWORD);
    command
}

/// One that has lifted the limits, and waits for a transfer that never comes.
fn lifted(house: &House) -> Program {
    let program = Program::start(&mut calibrate(house, &[]), &house.directory);
    until("lifted limits", Duration::from_secs(30), || (house.limits() == ["777000000", "777000000"]).then_some(()));
    program
}

#[test]
fn it_refuses_while_run_is_active() {
    let house = House::new("calibrate-lock");
    let mut run = house.start(&Wishes::default());
    house.until_limits(&run, "40000000");
    let output = calibrate(&house, &[]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("state") && told.contains(&run.id().to_string()), "{told}");
    assert_eq!(house.limits(), ["40000000", "40000000"]);
    run.stop(libc::SIGTERM);
}

#[test]
fn signals_end_it_and_the_limits_come_back() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let house = House::new(&format!("calibrate-{signal}"));
        let mut program = lifted(&house);
        assert!(program.log().contains("start a big download"), "{}", program.log());
        program.signal(signal);
        let status = program.ended(Duration::from_secs(2)).expect("within two seconds");
        assert_eq!(status.code(), Some(130), "{}", program.log());
        assert_eq!(house.limits(), ORIGINALS, "{}", program.log());
        assert!(program.log().contains("own limits back"), "{}", program.log());
    }
}

/// (What goes over TLS is tested where a server of TLS can be made.)
#[test]
fn it_makes_transfers_over_https_and_a_stop_ends_them_too() {
    let house = House::new("calibrate-https");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}/big", listener.local_addr().unwrap().port());
    let mut program = Program::start(&mut calibrate(&house, &["--load", &url]), &house.directory);
    program.until_line(&["download: 8 transfers, ", &url]);
    let mut clients: Vec<_> = (0..8).map(|_| listener.accept().unwrap().0).collect();
    for client in &mut clients {
        let mut hello = [0; 4096];
        let length = client.read(&mut hello).unwrap();
        assert_eq!(hello[..2], [22, 3], "a handshake");
        assert!(hello[..length].windows(9).any(|part| part == b"localhost"), "for its name");
    }
    program.signal(libc::SIGTERM);
    let status = program.ended(Duration::from_secs(2)).expect("within two seconds");
    assert_eq!(status.code(), Some(130), "{}", program.log());
    assert_eq!(house.limits(), ORIGINALS, "{}", program.log());
}

#[test]
fn a_stop_is_heard_while_the_servers_name_is_looked_up() {
    let what = "a stop of calibrate while the name of --load is looked up";
    if !root(what) {
        return;
    }
    let house = House::new("calibrate-look-up");
    let (server, resolv) = match mute_name_server(&house, "127.53.53.54") {
        Ok(found) => found,
        Err(missing) => return eprintln!("NOT TESTED ({missing}): {what}"),
    };
    let command = calibrate(&house, &["--load", "http://server.wanctl.test/big"]);
    let mut program = Program::start(&mut with_name_servers(&resolv, &command), &house.directory);
    until_asked(&server, &program, b"\x06server\x06wanctl");
    program.signal(libc::SIGINT);
    let status = program.ended(Duration::from_secs(2)).expect("within two seconds");
    assert_eq!(status.code(), Some(130), "{}", program.log());
    assert_eq!((house.writes(), house.limits()), (0, ORIGINALS.map(str::to_owned)), "{}", program.log());
}

#[test]
fn killed_it_is_made_good_for_by_the_next_one() {
    let house = House::new("calibrate-kill");
    lifted(&house).kill();
    assert_ne!(house.limits(), ORIGINALS);
    let output = calibrate(&house, &["--restore"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(house.limits(), ORIGINALS);
}

#[test]
fn what_is_wrong_with_the_command_line_is_told() {
    let house = House::new("calibrate-words");
    for (arguments, words) in [
        (["--wan", "nonesuch"], ["nonesuch", "cable"]),
        (["--load", "ftp://192.0.2.1/file"], ["--load", "https://"]),
        (["--max", "10"], ["10", "64k"]),
        (["--only", "sideways"], ["sideways", "upload"]),
    ] {
        let mut command = calibrate(&house, &arguments);
        if arguments[0] == "--max" {
            command = Command::new(env!("CARGO_BIN_EXE_wanctl"));
            command.arg("calibrate").args(arguments);
        }
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(words.iter().all(|word| told.contains(word)), "{told}");
    }
    assert_eq!(house.writes(), 0);
}
