use super::*;
use crate::sim::*;
use crate::units::{Bitrate, Direction};
use core::net::{IpAddr, Ipv4Addr};

const REFLECTOR: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

fn ms(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

fn wan() -> WanId {
    WanId::new(0).unwrap()
}

fn board(down: u64, up: u64) -> SimBoard {
    let line = LineSetup::new(Bitrate::from_mbps(down), Bitrate::from_mbps(up));
    let wan = Wan::new("wan1", "ether1", &line).with_reflectors(&[REFLECTOR]);
    SimBoard::new(World::new(RouterDouble::new(RouterSetup::default()), vec![wan]).share())
}

/// Sends a probe and waits for its reply.
fn rtt_ms(board: &mut SimBoard, sequence: u16) -> Option<f64> {
    let sent = board.send_echo(wan(), &EchoRequest { to: REFLECTOR, sequence, token: 7 }).unwrap();
    let deadline = sent + Duration::from_secs(3);
    while board.clock().now < deadline {
        board.wait(deadline);
        if let Some(EchoEvent::Reply(reply)) = board.recv_echo(wan()) {
            assert_eq!((reply.from, reply.sequence, reply.token), (REFLECTOR, sequence, 7));
            assert!(reply.at <= board.clock().now);
            return Some(reply.at.since(sent).as_secs_f64() * 1e3);
        }
    }
    None
}

#[test]
fn an_idle_line_shows_its_base_round_trip() {
    let mut board = board(100, 20);
    assert_eq!(board.send_echo(wan(), &EchoRequest { to: REFLECTOR, sequence: 0, token: 0 }), Err(SendError::NoSocket));
    board.open_wan(wan(), &ProbeSource::default()).unwrap();
    let mut sum = 0.0;
    for sequence in 0..100 {
        let rtt = rtt_ms(&mut board, sequence).unwrap();
        assert!((20.0..23.0).contains(&rtt), "{rtt}");
        sum += rtt;
    }
    assert!((sum / 100.0 - 20.3).abs() < 0.15, "{}", sum / 100.0);
}

#[test]
fn a_probe_sees_the_queue_it_waits_in() {
    for direction in Direction::BOTH {
        let mut board = board(10, 10);
        board.open_wan(wan(), &ProbeSource::default()).unwrap();
        {
            let mut world = board.world();
            world.router.set_limit("wan1-ul", "0");
            world.router.set_limit("wan1-dl", "0");
            world.at(ms(0), Action::Stream(0, direction, Bitrate::from_mbps(12)));
            world.at(ms(1_000), Action::Stream(0, direction, Bitrate::from_mbps(10)));
        }
        while board.clock().now < ms(1_500) {
            board.wait(ms(1_500));
        }
        // A second at 20 % too much is 200 ms of queue, and then it stands.
        let rtt = rtt_ms(&mut board, 1).unwrap();
        assert!((rtt - 220.3).abs() < 3.0, "{direction:?}: {rtt}");
    }
}

#[test]
fn reflectors_misbehave_as_told() {
    let mut board = board(100, 20);
    board.open_wan(wan(), &ProbeSource::default()).unwrap();
    let other = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));
    for (answer, check) in [
        (Answer::From(other), EchoEvent::Reply(crate::EchoReply { from: other, sequence: 1, token: 7, at: ms(0) })),
        (
            Answer::ForgedToken,
            EchoEvent::Reply(crate::EchoReply { from: REFLECTOR, sequence: 1, token: !7, at: ms(0) }),
        ),
        (Answer::Unreachable(other), EchoEvent::Unreachable { from: other, to: REFLECTOR, sequence: 1 }),
    ] {
        let reflector = Reflector { answer, duplicates: 1, ..Reflector::default() };
        *board.world().wans[0].reflector(REFLECTOR).unwrap() = reflector;
        board.send_echo(wan(), &EchoRequest { to: REFLECTOR, sequence: 1, token: 7 }).unwrap();
        let until = board.clock().now + Duration::from_secs(1);
        assert_eq!(board.wait(until).wans, 1);
        for _ in 0..2 {
            let mut got = board.recv_echo(wan()).unwrap();
            if let EchoEvent::Reply(reply) = &mut got {
                reply.at = ms(0);
            }
            assert_eq!(got, check);
        }
        assert_eq!(board.recv_echo(wan()), None);
    }
    let now = board.clock().now;
    board.world().at(now, Action::Silence(0, REFLECTOR, Duration::from_secs(2)));
    board.wait(now + Duration::from_millis(1));
    assert_eq!(rtt_ms(&mut board, 2), None);
}

#[test]
fn tcp_probes_and_signals_end_a_wait() {
    let mut board = board(100, 20);
    let target = SocketAddr::new(REFLECTOR, 443);
    board.world().wans[0].targets.push((target, Target::default()));
    board.world().at(ms(100), Action::Signal(Signal::Stop));
    board.tcp_probe(wan(), 3, target).unwrap();
    assert!(board.wait(ms(1_000)).tcp);
    let probe = board.tcp_result(wan()).unwrap();
    assert_eq!(probe.slot, 3);
    assert!((20..25).contains(&probe.result.unwrap().as_millis()));
    assert!(board.wait(ms(1_000)).signal);
    assert_eq!((board.clock().now, board.signal(), board.signal()), (ms(100), Some(Signal::Stop), None));
    assert_eq!(board.wait(ms(1_000)), Ready::default());
    assert_eq!(board.clock().now, ms(1_000));
}

#[test]
fn the_router_answers_over_the_link_and_its_limit_shapes_the_line() {
    let mut board = board(50, 50);
    board.world().link_chunk = 7;
    board.world().at(ms(0), Action::Flows(0, Direction::Download, 4));
    board.link_open(SocketAddr::new(REFLECTOR, 80));
    assert!(board.wait(ms(10_000)).link);
    assert_eq!(board.link_poll(), Some(LinkEvent::Open { resumed: None }));
    let body = r#"{"max-limit":"10M"}"#;
    let request = format!(
        "PATCH /rest/queue/tree/*1000000 HTTP/1.1\r\nAuthorization: Basic d2FuY3RsOnNlY3JldA==\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut sent = 0;
    while sent < request.len() {
        let LinkIo::Moved(n) = board.link_write(&request.as_bytes()[sent..]) else { panic!("no write") };
        sent += n;
    }
    let (mut text, mut buffer) = (Vec::new(), [0; 64]);
    while !text.ends_with(b"}") {
        board.wait(ms(10_000));
        while let LinkIo::Moved(n) = board.link_read(&mut buffer) {
            text.extend_from_slice(&buffer[..n]);
        }
    }
    assert!(String::from_utf8_lossy(&text).contains(r#""max-limit":"10000000""#));
    assert!((16..60).contains(&(board.clock().now.as_nanos() / 1_000_000)));
    while board.clock().now < ms(10_000) {
        board.wait(ms(10_000));
    }
    let carried = board.world().wans[0].line.totals(Direction::Download).carried * 8.0 / 10.0;
    assert!((8e6..13e6).contains(&carried), "{carried}");
    let now = board.clock().now;
    board.world().at(now, Action::Reboot(Duration::from_secs(5)));
    assert!(board.wait(now + Duration::from_secs(1)).link);
    assert_eq!(board.link_poll(), None, "the end is found by reading");
    assert_eq!(board.link_read(&mut buffer), LinkIo::Down);
    assert_eq!(board.link_poll(), Some(LinkEvent::Down(LinkError::Reset)));
    board.link_open(SocketAddr::new(REFLECTOR, 80));
    board.wait(now + Duration::from_secs(1));
    assert_eq!(board.link_poll(), Some(LinkEvent::Down(LinkError::Refused)));
}

#[test]
fn what_is_left_lying_does_not_stop_time() {
    let mut board = board(100, 20);
    board.open_wan(wan(), &ProbeSource::default()).unwrap();
    board.send_echo(wan(), &EchoRequest { to: REFLECTOR, sequence: 1, token: 7 }).unwrap();
    assert_eq!(board.wait(ms(50)).wans, 1);
    assert_eq!(board.wait(ms(50)).wans, 1);
    assert_eq!(board.clock().now, ms(50));
}

#[test]
fn files_outlive_the_board() {
    let mut first = board(1, 1);
    first.store(StoreFile::StateA, b"learnt", true).unwrap();
    let mut second = board(1, 1);
    let store = first.world().store.clone();
    second.world().store = store;
    let mut buffer = [0; 16];
    assert_eq!(second.load(StoreFile::StateA, &mut buffer), Ok(6));
    assert_eq!(second.load(StoreFile::StateA, &mut buffer[..2]), Err(StoreError::Os(27)));
    assert_eq!(second.load(StoreFile::StateB, &mut buffer), Err(StoreError::NotFound));
}

#[test]
#[ignore = "a measurement: run it with --release"]
fn speed() {
    let mut board = board(50, 20);
    board.open_wan(wan(), &ProbeSource::default()).unwrap();
    board.world().at(ms(0), Action::Flows(0, Direction::Download, 4));
    board.world().at(ms(0), Action::Flows(0, Direction::Upload, 4));
    board.world().router.set_limit("wan1-dl", "45000000");
    board.world().router.set_limit("wan1-ul", "18000000");
    let begin = std::time::Instant::now();
    let mut replies = 0;
    for tick in 0..12_000 {
        for i in 0..3 {
            board.send_echo(wan(), &EchoRequest { to: REFLECTOR, sequence: i, token: 7 }).unwrap();
        }
        while board.clock().now < ms(50 * (tick + 1)) {
            board.wait(ms(50 * (tick + 1)));
            while board.recv_echo(wan()).is_some() {
                replies += 1;
            }
        }
    }
    println!("{replies} replies, {:.0} x real time", 600.0 / begin.elapsed().as_secs_f64());
}
