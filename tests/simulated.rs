//! The whole daemon, unchanged, in virtual time: same loop, same router link, simulated line,
//! sockets and router.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{at, config_text, daemon, limit, world};
use wanctl::types::{Signal as Quality, WanId};
use wanctl_hal::Duration;
use wanctl_hal::sim::{Action, Fault, lock};

#[test]
fn a_router_outage_is_survived_and_made_good() {
    for fault in [
        Fault::Reset,
        Fault::Close,
        Fault::Stall(Duration::from_secs(5)),
        Fault::Refuse(Duration::from_secs(5)),
        Fault::Silent(Duration::from_secs(5)),
        Fault::DropResponse { times: 1 },
        Fault::Garbage { times: 3 },
        Fault::Truncate { times: 3 },
        Fault::Status { status: 500, times: 4 },
    ] {
        let world = world(3);
        let mut d = daemon(&world, &config_text("", ""));
        lock(&world).at(at(8.0), Action::Router(fault));
        lock(&world).at(at(9.0), Action::SetLimit("wan1-dl".into(), "0".into()));
        d.run_until(at(60.0));
        assert_eq!(limit(&world, "wan1-dl"), "40000000", "{fault:?}");
        assert_eq!(limit(&world, "wan1-ul"), "14000000", "{fault:?}");
        assert_eq!(d.counters().missed, 0, "{fault:?}");
    }
}

#[test]
fn the_end_gives_back_what_the_operator_had() {
    let world = world(1);
    let mut d = daemon(&world, &config_text("", ""));
    lock(&world).at(at(5.0), Action::Signal(wanctl_hal::Signal::Stop));
    assert!(d.run_until(at(60.0)));
    assert!(lock(&world).now() < at(7.0), "within two seconds");
    assert_eq!([limit(&world, "wan1-dl"), limit(&world, "wan1-ul")], ["100000000", "50000000"]);
}

#[test]
fn the_end_is_prompt_though_the_router_is_dead() {
    let world = world(1);
    let mut d = daemon(&world, &config_text("", ""));
    lock(&world).at(at(5.0), Action::Router(Fault::Stall(Duration::from_secs(100))));
    lock(&world).at(at(6.0), Action::Signal(wanctl_hal::Signal::Stop));
    assert!(d.run_until(at(60.0)));
    assert!(lock(&world).now() <= at(8.0));
}

#[test]
fn long_lines_and_other_cycles_work() {
    for (cycle, base) in [("20ms", 5), ("50ms", 600), ("100ms", 80), ("250ms", 20)] {
        let world = world(1);
        let wan = WanId::new(0).unwrap();
        lock(&world).at(at(0.0), Action::BaseRtt(wan.index(), Duration::from_millis(base)));
        let mut d = daemon(&world, &config_text(&format!("[loop]\ncycle = \"{cycle}\""), ""));
        d.run_until(at(30.0));
        let (sample, _) = d.wans()[0].last.unwrap();
        assert_eq!(sample.signal, Quality::Good, "{cycle}, {base} ms");
        assert_eq!(d.wans()[0].measure.counters().overflow, 0);
    }
}
