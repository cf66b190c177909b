//! The real board's link against the simulated router on a real socket: plain, pinned, and by
//! authority.
#![cfg(feature = "sim")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use wanctl_hal::linux::{LinuxBoard, StateDirectory};
use wanctl_hal::sim::{
    Action, Fault, RouterDouble, RouterServer, RouterSetup, ServerSetup, SharedWorld, TlsSetup, World, lock,
};
use wanctl_hal::{Board, Duration, LinkError, LinkEvent, LinkIo, TlsFault};
use wanctl_hal::{LinkTarget, Trust};

const REQUEST: &[u8] =
    b"GET /rest/system/identity HTTP/1.1\r\nHost: router\r\nAuthorization: Basic d2FuY3RsOnNlY3JldA==\r\n\r\n";

fn world() -> SharedWorld {
    World::new(RouterDouble::new(RouterSetup::default()), Vec::new()).share()
}

fn board(name: &str, trust: Trust) -> LinuxBoard {
    let directory = std::env::temp_dir().join(format!("wanctl-router-link-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let target = LinkTarget { server_name: "127.0.0.1".to_owned(), trust };
    LinuxBoard::new(StateDirectory::open(&directory).unwrap(), &target).unwrap()
}

/// The next change of the link, within five seconds.
fn event(board: &mut LinuxBoard) -> LinkEvent {
    let deadline = board.clock().now + Duration::from_secs(5);
    loop {
        if let Some(event) = board.link_poll() {
            return event;
        }
        assert!(board.clock().now < deadline, "no event");
        board.wait(deadline);
        // The end of a connection is found by reading.
        let _ = board.link_read(&mut [0; 16]);
    }
}

fn ask(board: &mut LinuxBoard) -> String {
    assert_eq!(board.link_write(REQUEST), LinkIo::Moved(REQUEST.len()));
    let deadline = board.clock().now + Duration::from_secs(5);
    let (mut text, mut buffer) = (Vec::new(), [0; 4_096]);
    while !text.ends_with(b"}") {
        assert!(board.clock().now < deadline, "no answer");
        board.wait(deadline);
        let _ = board.link_poll();
        while let LinkIo::Moved(n) = board.link_read(&mut buffer) {
            text.extend_from_slice(&buffer[..n]);
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn plain_pinned_and_signed_routers_answer() {
    let signed = TlsSetup { names: vec!["127.0.0.1".to_owned()], signed: true, ..TlsSetup::default() };
    for (name, tls) in [("plain", None), ("pinned", Some(TlsSetup::default())), ("signed", Some(signed))] {
        let world = world();
        let server = RouterServer::start(&ServerSetup::local(tls), world.clone(), None).unwrap();
        let trust = match name {
            "plain" => Trust::Plain,
            "pinned" => Trust::Fingerprint(server.fingerprint().unwrap()),
            _ => Trust::Authorities(server.pem().unwrap().as_bytes().to_vec()),
        };
        let mut board = board(name, trust);
        board.link_open(server.address());
        assert!(matches!(event(&mut board), LinkEvent::Open { .. }), "{name}");
        assert!(ask(&mut board).ends_with("{\"name\":\"MikroTik\"}"), "{name}");
        let now = lock(&world).now();
        lock(&world).at(now, Action::Router(Fault::Reset));
        assert!(matches!(event(&mut board), LinkEvent::Down(LinkError::Reset)), "{name}");
    }
}

#[test]
#[cfg(feature = "roots")]
fn public_authorities_do_not_vouch_for_a_private_one() {
    let signed = TlsSetup { names: vec!["127.0.0.1".to_owned()], signed: true, ..TlsSetup::default() };
    let server = RouterServer::start(&ServerSetup::local(Some(signed)), world(), None).unwrap();
    let mut board = board("public", Trust::Public);
    board.link_open(server.address());
    assert_eq!(event(&mut board), LinkEvent::Down(LinkError::Tls(TlsFault::UnknownIssuer)));
}

#[test]
fn another_certificate_is_refused() {
    let server = RouterServer::start(&ServerSetup::local(Some(TlsSetup::default())), world(), None).unwrap();
    let mut board = board("other", Trust::Fingerprint([0; 32]));
    board.link_open(server.address());
    let seen = server.fingerprint().unwrap();
    assert_eq!(event(&mut board), LinkEvent::Down(LinkError::Tls(TlsFault::Fingerprint([0; 32], seen))));
}
