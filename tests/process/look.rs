//! Looking in from outside: the commands that ask a running program, and clients that mean no good,
//! on real sockets.

use super::house::{House, PATIENCE, Wishes, until};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::time::Duration;

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).map(|a| a.port()).expect("a port")
}

fn wanctl(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wanctl")).args(arguments).env_remove("NO_COLOR").output().expect("the program")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn commands_tell_what_a_running_program_does() {
    let house = House::new("look");
    let port = free_port();
    let wishes = Wishes { port: Some(port), ..Wishes::default() };
    let mut program = house.start(&wishes);
    house.until_limits(&program, "40000000");
    let url = format!("http://127.0.0.1:{port}");
    until("ready", PATIENCE, || wanctl(&["health", "--url", &url]).status.success().then_some(()));
    let status = wanctl(&["status", "--url", &url]);
    let text = said(&status);
    assert!(status.status.success() && !text.contains('\x1b'), "{text}");
    for part in ["wanctl 0.1.0: ", "cable: ", "download  ", "40.0M", "router 127.0.0.1: connected", "loop: "] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    let json =
        said(&wanctl(&["status", "--json", "--config", &house.directory.join("wanctl.toml").display().to_string()]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap_or_else(|e| panic!("{e}: {json}"));
    assert_eq!(json["wans"][0]["name"], "cable");
    assert!(said(&wanctl(&["events", "--url", &url])).contains("cable: reflectors answer"));
    assert!(said(&wanctl(&["profile", "--url", &url])).contains("sample, decide"));
    assert!(said(&wanctl(&["health", "--url", &url])).contains("\"status\":\"ok\""));
    let picture = said(&wanctl(&["plot", "--tier", "cycles", "--wan", "cable", "--url", &url]));
    assert!(picture.starts_with("<svg ") && picture.contains("download, Mbit/s"), "{picture}");
    let wrong = wanctl(&["plot", "--wan", "dsl", "--url", &url]);
    assert!(!wrong.status.success() && String::from_utf8_lossy(&wrong.stderr).contains("there is cable"), "{wrong:?}");
    program.stop(libc::SIGTERM);
    let gone = wanctl(&["health", "--url", &url]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&gone.stderr).contains("Is wanctl running there?"));
}

#[test]
fn two_hundred_rude_clients_do_no_harm() {
    let house = House::new("rude");
    let port = free_port();
    let mut program = house.start(&Wishes { port: Some(port), ..Wishes::default() });
    house.until_limits(&program, "40000000");
    let at = SocketAddr::from(([127, 0, 0, 1], port));
    let mut open = Vec::new();
    for i in 0..200 {
        let Ok(mut client) = TcpStream::connect_timeout(&at, Duration::from_secs(1)) else { continue };
        client.set_nonblocking(true).expect("a socket");
        let words: &[u8] = match i % 5 {
            0 => b"",
            1 => b"GET /status HTTP/1.1\r\nX: ",
            2 => &[0xff; 60_000],
            3 => b"GET /history?tier=cycles HTTP/1.1\r\n\r\n",
            _ => b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n",
        };
        let _ = client.write(words);
        // Some leave at once, some never read.
        if i % 3 != 0 {
            open.push(client);
        }
    }
    let before = program.report();
    // Those that say nothing are shed after ten seconds; then others get their turn.
    until("a turn", Duration::from_secs(60), || {
        wanctl(&["health", "--url", &format!("http://127.0.0.1:{port}")]).status.success().then_some(())
    });
    let mut heard = 0;
    for client in &mut open {
        let mut answer = [0; 64];
        heard += usize::from(client.read(&mut answer).is_ok_and(|n| n > 0));
    }
    assert!(heard > 10, "{heard} clients heard something");
    assert_eq!(house.limits(), ["40000000"; 2].map(str::to_owned), "{before}");
    let log = program.log();
    assert!(!log.contains("panic") && !log.contains(" ERROR "), "{log}");
    program.stop(libc::SIGTERM);
}
