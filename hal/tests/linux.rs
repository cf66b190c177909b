//! The Linux board on the real machine: loopback only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use core::ops::Range;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;
use wanctl_hal::linux::{LinuxBoard, LockError, StateDirectory};
use wanctl_hal::{
    Board, EchoEvent, EchoReply, EchoRequest, Instant, LinkError, LinkEvent, LinkIo, OpenError, ProbeSource, Ready,
    SendError, Signal, StoreError, StoreFile, WanId,
};
use wanctl_hal::{LinkTarget, Trust};

/// A directory of its own for each test, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wanctl-hal-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn board(&self) -> LinuxBoard {
        let target = LinkTarget { server_name: "localhost".into(), trust: Trust::Plain };
        LinuxBoard::new(StateDirectory::open(&self.0).unwrap(), &target).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const WAN: fn() -> WanId = || WanId::new(0).unwrap();
const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

fn open(board: &mut LinuxBoard, source: &ProbeSource) {
    board.open_wan(WAN(), source).unwrap_or_else(|e| panic!("this test needs ICMP sockets (run it as root): {e}"));
}

/// Waits for one event: replies end no sleep.
fn event(board: &mut LinuxBoard) -> Option<EchoEvent> {
    let end = board.clock().now + Duration::from_secs(2);
    while board.clock().now < end {
        let soon = board_soon(board);
        board.wait(soon);
        if let Some(event) = board.recv_echo(WAN()) {
            return Some(event);
        }
    }
    None
}

/// Sends so many probes, whose answers come within the call, on loopback.
fn send(board: &mut LinuxBoard, to: IpAddr, sequences: Range<u16>) {
    for sequence in sequences {
        board.send_echo(WAN(), &EchoRequest { to, sequence, token: 1 }).unwrap();
    }
}

fn as_reply(event: EchoEvent) -> Option<EchoReply> {
    if let EchoEvent::Reply(reply) = event { Some(reply) } else { None }
}

/// Everything that a wake-up finds: sender, sequence number and arrival of the replies.
fn replies(board: &mut LinuxBoard) -> Vec<(IpAddr, u16, Instant)> {
    let taken = core::iter::from_fn(|| board.recv_echo(WAN()));
    taken.filter_map(as_reply).map(|reply| (reply.from, reply.sequence, reply.at)).collect()
}

fn reply(board: &mut LinuxBoard) -> EchoReply {
    loop {
        match event(board) {
            Some(EchoEvent::Reply(reply)) => return reply,
            Some(_) => {}
            None => panic!("no reply within two seconds"),
        }
    }
}

#[test]
fn loopback_answers_over_both_families_with_kernel_stamps() {
    let scratch = Scratch::new("echo");
    let mut board = scratch.board();
    open(&mut board, &ProbeSource::default());
    for to in [V4, V6] {
        if to == V6 && !board.families(WAN())[1] {
            eprintln!("this machine has no IPv6: the IPv6 half is not tested");
            continue;
        }
        for sequence in [0, 1, 65_535] {
            let sent = board.send_echo(WAN(), &EchoRequest { to, sequence, token: 42 }).unwrap();
            let reply = reply(&mut board);
            assert_eq!((reply.from, reply.sequence, reply.token), (to, sequence, 42));
            let rtt = reply.at.since(sent);
            assert!(reply.at >= sent && rtt < Duration::from_millis(500), "{rtt:?}");
        }
    }
}

#[test]
fn a_flood_of_one_family_does_not_keep_back_the_other() {
    let scratch = Scratch::new("turns");
    let mut board = scratch.board();
    open(&mut board, &ProbeSource::default());
    if board.families(WAN()) != [true, true] {
        eprintln!(
            "NOT TESTED (needs ICMP sockets of IPv4 and IPv6): a flood of one family beside replies of the other"
        );
        return;
    }
    for (flood, other) in [(V4, V6), (V6, V4)] {
        send(&mut board, flood, 0..40);
        send(&mut board, other, 100..102);
        // Two wake-ups that take ten each.
        let mut from = Vec::new();
        for _ in 0..2 {
            board.wait(Instant::ZERO);
            let taken = (0..10).filter_map(|_| board.recv_echo(WAN()));
            from.extend(taken.filter_map(as_reply).map(|reply| reply.from));
        }
        assert_eq!(from.iter().filter(|from| **from == other).count(), 2, "{from:?}");
        replies(&mut board);
    }
}

#[test]
fn every_batch_is_handed_out_in_order_with_the_time_of_each_arrival() {
    let scratch = Scratch::new("batches");
    let mut board = scratch.board();
    open(&mut board, &ProbeSource::default());
    let families = if board.families(WAN())[1] { vec![V4, V6] } else { vec![V4] };
    // Less than a batch, just one, and more than many; then nothing.
    for count in [3, 8, 16, 100, 0, 1] {
        let before = board.clock().now;
        for &to in &families {
            send(&mut board, to, 0..count);
        }
        let sent = board.clock().now;
        board.wait(sent + Duration::from_millis(20));
        let taken = replies(&mut board);
        for &to in &families {
            let its = || taken.iter().filter(move |(from, ..)| *from == to);
            assert!(its().map(|(_, sequence, _)| *sequence).eq(0..count), "{count} of {to}: {taken:?}");
            assert!(its().is_sorted_by_key(|(.., at)| *at), "{count} of {to}: {taken:?}");
            // A stamp is placed by two clocks that are read one after the other.
            let known = before - Duration::from_micros(200)..sent + Duration::from_micros(200);
            assert!(its().all(|(.., at)| known.contains(at)), "{count} of {to}, {known:?}: {taken:?}");
        }
        assert_eq!(board.recv_echo(WAN()), None);
    }
}

#[test]
fn replies_left_lying_end_no_sleep_and_are_there_when_asked_for() {
    let scratch = Scratch::new("left");
    let mut board = scratch.board();
    open(&mut board, &ProbeSource::default());
    send(&mut board, V4, 0..20);
    for taken in [0, 0, 5, 0] {
        let before = board.clock().now;
        let ready = board.wait(before + Duration::from_millis(20));
        assert!(board.clock().now.since(before) >= Duration::from_millis(20), "woken by replies");
        assert_eq!(ready, Ready { wans: 1, ..Ready::default() });
        for _ in 0..taken {
            assert!(matches!(board.recv_echo(WAN()), Some(EchoEvent::Reply(_))));
        }
    }
    assert!(replies(&mut board).iter().map(|(_, sequence, _)| *sequence).eq(5..20));
    // What belonged to the old sockets is of no interest for the new ones.
    send(&mut board, V4, 0..20);
    board.wait(Instant::ZERO);
    assert!(board.recv_echo(WAN()).is_some());
    open(&mut board, &ProbeSource::default());
    board.wait(Instant::ZERO);
    assert_eq!(board.recv_echo(WAN()), None);
    board.close_wan(WAN());
    assert_eq!(board.wait(Instant::ZERO), Ready::default());
    assert_eq!(board.recv_echo(WAN()), None);
}

#[test]
fn a_source_address_fixes_the_family_and_must_be_ours() {
    let scratch = Scratch::new("source");
    let mut board = scratch.board();
    open(&mut board, &ProbeSource { address: Some(V4), ..ProbeSource::default() });
    assert_eq!(board.families(WAN()), [true, false]);
    let to_v6 = EchoRequest { to: V6, sequence: 1, token: 1 };
    assert_eq!(board.send_echo(WAN(), &to_v6), Err(SendError::NoSocket));
    let not_ours = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    let refused = board.open_wan(WAN(), &ProbeSource { address: Some(not_ours), ..ProbeSource::default() });
    assert_eq!(refused, Err(OpenError::Address(not_ours)));
    let no_such = ProbeSource { interface: Some("nonesuch0".into()), ..ProbeSource::default() };
    assert!(matches!(board.open_wan(WAN(), &no_such), Err(OpenError::Interface(..))));
    let lo = ProbeSource { interface: Some("lo".into()), mark: Some(7), ..ProbeSource::default() };
    open(&mut board, &lo);
    board.send_echo(WAN(), &EchoRequest { to: V4, sequence: 9, token: 1 }).unwrap();
    assert_eq!(reply(&mut board).sequence, 9);
}

#[test]
fn other_peoples_pings_do_not_wake_us() {
    let scratch = Scratch::new("foreign");
    let other = Scratch::new("other");
    let (mut board, mut stranger) = (scratch.board(), other.board());
    open(&mut board, &ProbeSource::default());
    open(&mut stranger, &ProbeSource::default());
    for sequence in 0..500 {
        stranger.send_echo(WAN(), &EchoRequest { to: V4, sequence, token: 1 }).unwrap();
        stranger.wait(Instant::ZERO);
        assert_eq!(replies(&mut stranger).len(), 1);
    }
    let before = board.clock().now;
    board.wait(before + Duration::from_millis(50));
    assert_eq!(board.recv_echo(WAN()), None, "the filter in the kernel keeps them away");
    assert!(board.clock().now.since(before) >= Duration::from_millis(50));
}

#[test]
fn the_timer_is_finer_than_a_millisecond_and_never_early() {
    let scratch = Scratch::new("timer");
    let mut board = scratch.board();
    let mut worst = Duration::ZERO;
    for i in 1..=50 {
        let until = board.clock().now + Duration::from_micros(300 + i * 7);
        board.wait(until);
        let now = board.clock().now;
        assert!(now >= until, "woke {:?} early", until.since(now));
        worst = worst.max(now.since(until));
    }
    eprintln!("worst lateness of 50 waits: {worst:?}");
    // One that goes off while nobody sleeps, because there is something to do at once, spoils no later sleep.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    board.link_open(listener.local_addr().unwrap());
    let until = board.clock().now + Duration::from_millis(20);
    assert!(board.wait(until).link && board.clock().now < until, "connected");
    std::thread::sleep(Duration::from_millis(25));
    board.wait(Instant::ZERO);
    let until = board.clock().now + Duration::from_millis(20);
    board.wait(until);
    assert!(board.clock().now >= until);
    let past = board.clock().now;
    board.wait(past);
}

#[test]
fn tcp_probes_time_open_and_closed_ports() {
    let scratch = Scratch::new("tcp");
    let mut board = scratch.board();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let open_port = listener.local_addr().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    board.tcp_probe(WAN(), 0, open_port).unwrap();
    board.tcp_probe(WAN(), 1, closed).unwrap();
    let mut results = Vec::new();
    let end = board.clock().now + Duration::from_secs(2);
    while results.len() < 2 && board.clock().now < end {
        while let Some(probe) = board.tcp_result(WAN()) {
            results.push(probe);
        }
        let soon = board_soon(&mut board);
        board.wait(soon);
    }
    results.sort_by_key(|p| p.slot);
    assert_eq!(results.len(), 2);
    assert!(results.iter().all(|p| p.result.is_ok()), "a refusal proves the path too: {results:?}");
    assert_eq!(board.tcp_probe(WAN(), 9, open_port), Err(SendError::NoSocket));
}

fn board_soon(board: &mut LinuxBoard) -> Instant {
    board.clock().now + Duration::from_millis(5)
}

/// Runs the link until it tells something.
fn link_event(board: &mut LinuxBoard) -> LinkEvent {
    let end = board.clock().now + Duration::from_secs(5);
    while board.clock().now < end {
        let mut buffer = [0; 1024];
        while let LinkIo::Moved(_) = board.link_read(&mut buffer) {}
        if let Some(event) = board.link_poll() {
            return event;
        }
        let soon = board_soon(board);
        board.wait(soon);
    }
    panic!("the link says nothing");
}

#[test]
fn a_plain_link_carries_bytes_both_ways_and_tells_its_end() {
    let scratch = Scratch::new("plain");
    let mut board = scratch.board();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    board.link_open(listener.local_addr().unwrap());
    assert_eq!(board.link_write(b"too early"), LinkIo::WouldBlock);
    assert_eq!(link_event(&mut board), LinkEvent::Open { resumed: None });
    let (mut peer, _) = listener.accept().unwrap();
    assert_eq!(board.link_write(b"hello"), LinkIo::Moved(5));
    let mut heard = [0; 5];
    peer.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
    peer.write_all(b"and goodbye").unwrap();
    drop(peer);
    let (mut got, mut buffer) = (Vec::new(), [0; 4]);
    let event = loop {
        match board.link_read(&mut buffer) {
            LinkIo::Moved(length) => got.extend_from_slice(&buffer[..length]),
            _ => {
                if let Some(event) = board.link_poll() {
                    break event;
                }
                let soon = board_soon(&mut board);
                board.wait(soon);
            }
        }
    };
    assert_eq!(got, b"and goodbye", "everything before the end is delivered");
    assert_eq!(event, LinkEvent::Down(LinkError::Closed));
    assert_eq!(board.link_write(b"x"), LinkIo::Down);
}

#[test]
fn refusal_and_reset_are_told_apart() {
    let scratch = Scratch::new("refused");
    let mut board = scratch.board();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    board.link_open(closed);
    assert_eq!(link_event(&mut board), LinkEvent::Down(LinkError::Refused));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    board.link_open(listener.local_addr().unwrap());
    assert!(matches!(link_event(&mut board), LinkEvent::Open { .. }));
    let (peer, _) = listener.accept().unwrap();
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    assert_eq!(link_event(&mut board), LinkEvent::Down(LinkError::Reset));
}

#[test]
fn files_are_whole_and_the_directory_has_one_owner() {
    let scratch = Scratch::new("files");
    let mut board = scratch.board();
    let mut buffer = [0; 16];
    assert_eq!(board.load(StoreFile::StateA, &mut buffer), Err(StoreError::NotFound));
    for durable in [false, true] {
        board.store(StoreFile::StateA, b"content", durable).unwrap();
        let length = board.load(StoreFile::StateA, &mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"content");
    }
    board.store(StoreFile::StateB, &[7; 17], false).unwrap();
    assert!(matches!(board.load(StoreFile::StateB, &mut buffer), Err(StoreError::Os(_))), "too large");
    let left: Vec<String> =
        std::fs::read_dir(&scratch.0).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!left.iter().any(|name| name.ends_with(".new")), "{left:?}");
    match StateDirectory::open(&scratch.0) {
        Err(LockError::Held { by, .. }) => assert_eq!(by, std::process::id().to_string()),
        other => panic!("a second owner got in: {other:?}"),
    }
    drop(board);
    StateDirectory::open(&scratch.0).unwrap();
}

#[test]
fn signals_are_inputs() {
    let scratch = Scratch::new("signals");
    let mut board = scratch.board();
    board.watch_signals().unwrap();
    assert_eq!(board.signal(), None);
    for (number, expected) in [
        (libc::SIGUSR1, Signal::Dump),
        (libc::SIGHUP, Signal::Reload),
        (libc::SIGTERM, Signal::Stop),
        (libc::SIGINT, Signal::Stop),
    ] {
        signal_hook::low_level::raise(number).unwrap();
        let until = board.clock().now + Duration::from_secs(2);
        let ready = board.wait(until);
        assert!(ready.signal, "wakes the loop");
        assert_eq!(board.signal(), Some(expected));
        assert_eq!(board.signal(), None);
    }
}
