//! The whole daemon, unchanged, in virtual time: same loop, same router link, simulated line,
//! sockets and router.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../common/mod.rs"]
mod common;

mod line;
mod probes;
mod reload;
mod restart;
mod router;

use common::{at, config_text, daemon, line, set_flows, written};
use wanctl_hal::sim::{Action, Fault, lock};
use wanctl_hal::{Direction, Duration};

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let world = common::world(seed);
        set_flows(&world, Direction::Upload, 3);
        lock(&world).at(at(5.0), Action::Router(Fault::Reset));
        let mut d = daemon(&world, &config_text("", ""));
        d.run_until(at(20.0));
        let events: Vec<String> = d.events().iter().map(|e| format!("{e:?}")).collect();
        let writes: Vec<String> = lock(&world).router.writes().map(|w| format!("{w:?}")).collect();
        (events, writes)
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).1, run(8).1);
}

#[test]
fn the_work_of_a_wake_up_is_bounded_and_no_cycle_is_missed() {
    let world = common::world(1);
    set_flows(&world, Direction::Download, 4);
    let mut d = daemon(&world, &config_text("", ""));
    // A flood: ten thousand foreign datagrams within one second.
    for i in 0..10_000_u32 {
        let when = at(5.0) + Duration::from_micros(100) * i;
        lock(&world).at(when, Action::Echo(0, wanctl_hal::EchoEvent::Foreign));
    }
    d.run_until(at(10.0));
    assert_eq!(d.wans()[0].measure.counters().foreign, 10_000);
    assert_eq!((d.counters().missed, d.counters().cycles), (0, 200));
    // All at once: more than one wake-up may take.
    for _ in 0..1_000 {
        line(&world, |wan| wan.inject(wanctl_hal::EchoEvent::Malformed));
    }
    d.run_until(at(11.0));
    assert_eq!(d.wans()[0].measure.counters().foreign, 11_000);
    assert_eq!(d.counters().most_datagrams, 64);
    assert!(!written(&world).is_empty());
}
