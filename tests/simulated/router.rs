//! Routers that fail, reboot, and that are in somebody else's hands.

use super::common::{at, config_text, daemon, limit, line, set_flows, world, written};
use wanctl::types::EventKind;
use wanctl_hal::sim::{Action, Cut, Fault, Half, QueueSetup, RouterDouble, RouterSetup, ShaperRef, lock};
use wanctl_hal::{Direction, Duration, StoreError};

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
        Fault::Cut { at: Cut::Middle, times: 3 },
        Fault::Status { status: 500, times: 4 },
        Fault::Status { status: 404, times: 2 },
    ] {
        let world = world(3);
        set_flows(&world, Direction::Upload, 3);
        let mut d = daemon(&world, &config_text("", "law = \"classic\""));
        lock(&world).at(at(8.0), Action::Router(fault));
        lock(&world).at(at(9.0), Action::SetLimit("wan1-dl".into(), "0".into()));
        // Then the line is quiet: what is wanted settles, and so must the router.
        lock(&world).at(at(30.0), Action::Flows(0, Direction::Upload, 0));
        d.run_until(at(90.0));
        assert_eq!(limit(&world, "wan1-dl"), "40000000", "{fault:?}");
        assert_eq!(limit(&world, "wan1-ul"), "14000000", "{fault:?}");
        assert_eq!(d.counters().missed, 0, "{fault:?}");
        for bps in written(&world) {
            assert!((2_000_000..=40_000_000).contains(&bps), "{fault:?}: {bps}");
        }
    }
}

#[test]
fn a_reboot_brings_other_ids_and_the_limits_come_back() {
    for swaps in [false, true] {
        let world = world(1);
        let setup = RouterSetup {
            queues: vec![
                QueueSetup::tree("wan1-dl", "bridge", 100_000_000),
                QueueSetup::tree("wan1-ul", "ether1", 50_000_000),
            ],
            boot_swaps_ids: swaps,
            boot_confusion: Duration::from_secs(10),
            ..RouterSetup::default()
        };
        lock(&world).router = RouterDouble::new(setup);
        let mut d = daemon(&world, &config_text("", ""));
        d.run_until(at(5.0));
        let old = lock(&world).router.id("wan1-dl").unwrap();
        lock(&world).at(at(5.0), Action::Reboot(Duration::from_secs(20)));
        lock(&world).at(at(5.5), Action::SetLimit("wan1-dl".into(), "100000000".into()));
        d.run_until(at(60.0));
        assert_ne!(lock(&world).router.id("wan1-dl").unwrap(), old);
        assert_eq!([limit(&world, "wan1-dl"), limit(&world, "wan1-ul")], ["40000000", "14000000"], "swaps: {swaps}");
        assert!(d.events().iter().any(|e| matches!(e.kind, EventKind::RouterBack { .. })));
    }
}

#[test]
fn one_simple_queue_holds_both_directions() {
    let world = world(1);
    let queues = vec![QueueSetup::simple("cable", "ether1", 50_000_000, 100_000_000)];
    lock(&world).router = RouterDouble::new(RouterSetup { queues, ..RouterSetup::default() });
    line(&world, |wan| {
        wan.shapers = [Half::Second, Half::First].map(|half| ShaperRef { queue: "cable".into(), half });
    });
    set_flows(&world, Direction::Upload, 4);
    let text = config_text("", "simple_queue = \"cable\"");
    let text = text.replace("queue = \"wan1-dl\"\n", "").replace("queue = \"wan1-ul\"\n", "");
    let mut d = daemon(&world, &text);
    d.run_until(at(20.0));
    let limits: Vec<u64> = limit(&world, "cable").split('/').map(|b| b.parse().unwrap()).collect();
    assert!(limits[0] < 14_000_000, "upload first, and cut: {limits:?}");
    assert_eq!(d.counters().missed, 0);
    lock(&world).at(at(20.0), Action::Signal(wanctl_hal::Signal::Stop));
    assert!(d.run_until(at(30.0)));
    assert_eq!(limit(&world, "cable"), "50000000/100000000");
}

#[test]
fn values_that_read_back_differently_are_the_same_value() {
    let world = world(1);
    let mut d = daemon(&world, &config_text("", ""));
    d.run_until(at(5.0));
    lock(&world).at(at(5.0), Action::SetLimit("wan1-dl".into(), "40M".into()));
    d.run_until(at(30.0));
    assert_eq!(d.actuator().counters().repairs, 0);
    assert_eq!(limit(&world, "wan1-dl"), "40M", "nothing to repair, nothing written");
}

#[test]
fn without_a_journal_nothing_is_written() {
    let world = world(1);
    lock(&world).store.fail(Some(StoreError::Os(28)));
    let mut d = daemon(&world, &config_text("", ""));
    d.run_until(at(10.0));
    assert!(written(&world).is_empty(), "the operator's originals are not safe yet");
    assert!(d.events().iter().any(|e| matches!(e.kind, EventKind::SaveFailed { errno: 28 })));
    lock(&world).store.fail(None);
    d.run_until(at(20.0));
    assert_eq!(limit(&world, "wan1-dl"), "40000000");
}

#[test]
fn swapped_queues_are_left_alone() {
    for swapped in [true, false] {
        let world = world(1);
        if swapped {
            line(&world, |wan| wan.shapers.reverse());
        }
        set_flows(&world, Direction::Download, 4);
        let mut d = daemon(&world, &config_text("", "router_interface = \"ether1\""));
        d.run_until(at(30.0));
        assert_eq!(d.events().iter().any(|e| matches!(e.kind, EventKind::Swapped { .. })), swapped);
        assert_eq!(written(&world).is_empty(), swapped, "the right way round it works");
    }
}

#[test]
fn a_router_without_our_queues_is_only_watched() {
    let world = world(1);
    assert!(lock(&world).router.set_property("wan1-dl", "name", "renamed"));
    assert!(lock(&world).router.set_property("wan1-ul", "disabled", "true"));
    let mut d = daemon(&world, &config_text("", ""));
    d.run_until(at(30.0));
    assert!(written(&world).is_empty());
    let unusable = d.events().iter().filter(|e| matches!(e.kind, EventKind::QueueUnusable { .. })).count();
    assert_eq!(unusable, 2, "each is told once");
    lock(&world).router.set_property("renamed", "name", "wan1-dl");
    lock(&world).router.set_property("wan1-ul", "disabled", "false");
    d.run_until(at(40.0));
    assert_eq!([limit(&world, "wan1-dl"), limit(&world, "wan1-ul")], ["40000000", "14000000"]);
}
