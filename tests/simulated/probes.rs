//! Reflectors that are silent, lie, or are hostile.

use super::common::{at, config_text, daemon, limit, line, quality, set_flows, world};
use wanctl::daemon::Daemon;
use wanctl::types::{EventKind, Signal as Quality, State};
use wanctl_hal::sim::{Action, Answer, Reflector, SimBoard, lock};
use wanctl_hal::{Direction, Duration, EchoEvent, EchoReply, Instant};

fn everyone(world: &wanctl_hal::sim::SharedWorld, reflector: Reflector) {
    line(world, |wan| wan.reflectors.iter_mut().for_each(|(_, r)| *r = reflector));
}

#[test]
fn one_silent_and_one_lying_reflector_change_nothing() {
    let world = world(1);
    let mut d = daemon(&world, &config_text("", ""));
    d.run_until(at(5.0));
    line(&world, |wan| wan.reflectors[0].1.silent = Some((at(5.0), Instant::from_nanos(u64::MAX))));
    d.run_until(at(15.0));
    line(&world, |wan| wan.reflectors[1].1 = Reflector::at_distance(Duration::from_millis(200)));
    d.run_until(at(60.0));
    let outs = d.events().iter().filter(|e| matches!(e.kind, EventKind::ReflectorOut { .. })).count();
    assert!(outs >= 2, "both were taken out");
    assert!(!d.events().iter().any(|e| matches!(e.kind, EventKind::State { to: State::Red, .. })));
    assert_eq!(limit(&world, "wan1-dl"), "40000000");
    assert_eq!(quality(&d), Quality::Good);
}

#[test]
fn hostile_reflectors_make_no_sample() {
    let world = world(1);
    let forger = Reflector { answer: Answer::ForgedToken, duplicates: 1, ..Reflector::default() };
    everyone(&world, forger);
    let mut d = daemon(&world, &config_text("", ""));
    d.run_until(at(4.0));
    let counters = *d.wans()[0].measure.counters();
    assert!(counters.forged > 50 && counters.accepted == 0, "{counters:?}");
    assert!(d.wans()[0].last.unwrap().0.rtt.is_none());

    let stranger = Answer::From("203.0.113.1".parse().unwrap());
    everyone(&world, Reflector { answer: stranger, ..Reflector::default() });
    d.run_until(at(8.0));
    let counters = *d.wans()[0].measure.counters();
    assert!(counters.foreign > 10 && counters.accepted == 0, "{counters:?}");

    everyone(&world, Reflector { duplicates: 1, ..Reflector::default() });
    d.run_until(at(12.0));
    let counters = *d.wans()[0].measure.counters();
    assert!(counters.duplicate > 50 && counters.duplicate <= counters.accepted, "{counters:?}");
    assert_eq!(quality(&d), Quality::Good);

    let gone = Answer::Unreachable("198.51.100.1".parse().unwrap());
    everyone(&world, Reflector { answer: gone, ..Reflector::default() });
    d.run_until(at(16.0));
    assert!(d.wans()[0].measure.counters().unreachable > 5);
    assert_ne!(quality(&d), Quality::Good);
}

#[test]
fn replies_out_of_nowhere_change_nothing() {
    let runs = [false, true].map(|noise| {
        let world = world(1);
        for i in 0..2_000_u16 {
            if noise {
                let reply = EchoReply {
                    from: "1.1.1.1".parse().unwrap(),
                    sequence: i.wrapping_mul(31),
                    token: u64::from(i),
                    at: at(5.0) + Duration::from_millis(10) * u32::from(i),
                };
                lock(&world).at(reply.at, Action::Echo(0, EchoEvent::Reply(reply)));
            }
        }
        let mut d = daemon(&world, &config_text("", ""));
        d.run_until(at(30.0));
        assert_eq!(d.counters().missed, 0);
        d.wans()[0].law.learnt()
    });
    assert_eq!(runs[0], runs[1], "the same samples with and without two thousand forged replies");
}

#[test]
fn a_set_clock_spoils_no_sample() {
    let world = world(1);
    let mut d = daemon(&world, &config_text("", ""));
    for i in 0..10_u32 {
        let jump = if i % 2 == 0 { 3_600_000_000_000 } else { 1_000_000_000 };
        lock(&world).at(at(5.0 + f64::from(i)), Action::Wall(wanctl_hal::WallClock(jump)));
        lock(&world).at(at(5.0 + f64::from(i)), Action::Echo(0, EchoEvent::ClockStep));
    }
    d.run_until(at(20.0));
    assert!(!d.events().iter().any(|e| matches!(e.kind, EventKind::State { .. })), "GREEN all the time");
    assert_eq!(limit(&world, "wan1-dl"), "40000000");
}

#[test]
fn between_two_cycles_probes_leave_and_nothing_is_read() {
    let world = world(1);
    let mut d = daemon(&world, &config_text("", ""));
    d.run_until(at(5.0));
    // Loaded, so that all probes of every cycle are sent, each at its own moment.
    set_flows(&world, Direction::Download, 2);
    d.run_until(at(15.0));
    let (mut taken, mut lone, mut carried) = (0, 0, 0);
    while lock(&world).now() < at(25.0) {
        let seen = |d: &Daemon<SimBoard>| (d.counters().cycles, *d.wans()[0].measure.counters());
        let asked = |d: &Daemon<SimBoard>| (d.actuator().counters().reads, d.actuator().counters().writes);
        let ((cycles, probes), requests) = (seen(&d), asked(&d));
        let (ready, clock) = d.sleep(at(25.0));
        assert!(!d.turn(ready, clock));
        let (cycles_after, probes_after) = seen(&d);
        if cycles_after > cycles {
            taken += probes_after.accepted - probes.accepted;
            continue;
        }
        assert_eq!(probes_after.accepted, probes.accepted, "read before it is used");
        if ready.link {
            carried += 1;
        } else {
            lone += probes_after.sent - probes.sent;
            assert_eq!(asked(&d), requests);
        }
    }
    assert!(lone > 300 && carried > 20, "{lone} probes between two cycles, {carried} times the router");
    assert!(taken > 500, "{taken} replies are taken when a cycle is due");
}
