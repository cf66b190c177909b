//! A new configuration between two cycles.

use super::common::{at, config_text, daemon_with, limit, parse, set_flows, world};
use wanctl::types::EventKind;
use wanctl_hal::sim::{Action, QueueSetup, RouterDouble, RouterSetup, SharedWorld, SimBoard, lock};
use wanctl_hal::{Direction, OpenError, Signal};

/// A daemon that is told at 20 s to read `next`; at 21 s of its life.
fn reloaded(world: &SharedWorld, next: &str) -> wanctl::daemon::Daemon<SimBoard> {
    let next = parse(next);
    let mut d = daemon_with(world, &config_text("", ""), Box::new(move |_| Ok(next.clone())));
    lock(world).at(at(20.0), Action::Signal(Signal::Reload));
    d.run_until(at(19.9));
    d
}

#[test]
fn what_remains_keeps_what_it_has_learnt() {
    let world = world(1);
    set_flows(&world, Direction::Upload, 4);
    let mut d = reloaded(&world, &config_text("[log]\nlevel = \"warn\"", ""));
    let (before, sent) = (d.wans()[0].law.learnt(), d.wans()[0].measure.counters().sent);
    d.run_until(at(20.1));
    assert!(d.events().iter().any(|e| matches!(e.kind, EventKind::Reloaded)));
    let after = d.wans()[0].law.learnt();
    assert!((after.baseline.get() - before.baseline.get()).abs() < 1.0);
    assert!((after.rates[1].as_f64() / before.rates[1].as_f64() - 1.0).abs() < 0.3);
    assert!(d.wans()[0].measure.counters().sent >= sent, "the measurement goes on");
    assert_eq!(d.counters().missed, 0);
}

#[test]
fn new_bounds_apply_at_once() {
    let world = world(1);
    let mut d = reloaded(&world, &config_text("", "").replace("40M", "25M").replace("\"4M\"", "\"5M\""));
    assert_eq!(limit(&world, "wan1-dl"), "40000000");
    d.run_until(at(22.0));
    assert_eq!(limit(&world, "wan1-dl"), "25000000");
}

#[test]
fn a_bad_file_changes_nothing() {
    let world = world(1);
    let mut d = daemon_with(&world, &config_text("", ""), Box::new(|_| Err(3)));
    lock(&world).at(at(20.0), Action::Signal(Signal::Reload));
    d.run_until(at(30.0));
    assert!(d.events().iter().any(|e| matches!(e.kind, EventKind::ReloadRefused { faults: 3 })));
    assert_eq!(limit(&world, "wan1-dl"), "40000000");
    assert_eq!(d.counters().missed, 0);
}

#[test]
fn a_wan_that_can_not_be_opened_changes_nothing() {
    let world = world(1);
    let mut d = reloaded(&world, &config_text("", "source = \"192.0.2.77\"").replace("40M", "25M"));
    lock(&world).wans[0].open_error = Some(OpenError::Os(99));
    d.run_until(at(20.1));
    lock(&world).wans[0].open_error = None;
    assert!(d.events().iter().any(|e| matches!(e.kind, EventKind::ReloadRefused { .. })));
    d.run_until(at(30.0));
    assert_eq!(limit(&world, "wan1-dl"), "40000000", "the old ceiling");
}

#[test]
fn a_queue_that_is_no_longer_ours_gets_its_original_back() {
    let world = world(1);
    let queues = ["wan1-dl", "wan1-ul", "other-dl"].map(|name| QueueSetup::tree(name, "bridge", 100_000_000)).to_vec();
    lock(&world).router = RouterDouble::new(RouterSetup { queues, ..RouterSetup::default() });
    let mut d = reloaded(&world, &config_text("", "").replace("wan1-dl", "other-dl"));
    assert_eq!(limit(&world, "wan1-dl"), "40000000");
    d.run_until(at(25.0));
    assert_eq!([limit(&world, "wan1-dl"), limit(&world, "other-dl")], ["100000000", "40000000"]);
    lock(&world).at(at(25.0), Action::Signal(Signal::Stop));
    assert!(d.run_until(at(30.0)));
    assert_eq!([limit(&world, "wan1-dl"), limit(&world, "other-dl")], ["100000000", "100000000"]);
}
