//! Steering turns what it wants on the router: rules and leases, by the whole daemon in virtual time,
//! through reboots, hands, dead men and deaths.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../common/mod.rs"]
mod common;
mod house;
mod page;

use common::at;
use house::{LEASE, RULE, daemon, listed, primary, rule, text, world};
use proptest::prelude::*;
use wanctl::daemon::Daemon;
use wanctl::types::{EventKind, SwitchFault, Ways};
use wanctl_hal::sim::{Action, Fault, SimBoard, lock};
use wanctl_hal::{Duration, Signal};

fn told(d: &Daemon<SimBoard>, what: impl Fn(&EventKind) -> bool) -> usize {
    d.events().iter().filter(|event| what(&event.kind)).count()
}

#[test]
fn a_rule_is_turned_on_and_off() {
    let world = world(1);
    let mut d = daemon(&world, &text(RULE, ""));
    d.run_until(at(60.0));
    assert!(!rule(&world));
    primary(&world, false);
    d.run_until(at(62.0));
    assert!(rule(&world), "on, and confirmed");
    d.run_until(at(90.0));
    primary(&world, true);
    d.run_until(at(180.0));
    assert!(!rule(&world), "off again");
    assert_eq!(lock(&world).router.rule("someone else's"), Some(false), "left alone");
    assert_eq!(told(&d, |kind| matches!(kind, EventKind::SwitchFlipped { .. })), 0);
}

#[test]
fn two_wans_that_are_one_line_are_not_steered_between() {
    for (trusted, steers) in [("", false), ("pinning = \"trusted\"", true)] {
        let world = world(4);
        let way = lock(&world).wans[0].path.clone();
        lock(&world).wans[1].path.clone_from(&way);
        let mut d = daemon(&world, &text(RULE, trusted));
        d.run_until(at(60.0));
        let same = |kind: &EventKind| matches!(kind, EventKind::Ways { ways: Ways::Same(_), .. });
        assert_eq!(told(&d, same), 1);
        primary(&world, false);
        d.run_until(at(70.0));
        assert_eq!(rule(&world), steers, "{trusted}");
        // A routing rule was added: the next look finds two lines, and calls leave the dead one.
        lock(&world).wans[1].path[1] = "100.64.200.1".parse().unwrap();
        d.run_until(at(320.0));
        assert!(rule(&world));
        assert_eq!(told(&d, |kind| matches!(kind, EventKind::Ways { ways: Ways::Part(2), .. })), 1);
    }
}

#[test]
fn a_way_that_joins_the_primarys_ends_steering() {
    let world = world(5);
    let mut d = daemon(&world, &text(RULE, ""));
    d.run_until(at(60.0));
    primary(&world, false);
    d.run_until(at(62.0));
    assert!(rule(&world));
    // A new lease, another gateway: what was the alternate's way is now the primary's.
    let way = lock(&world).wans[0].path.clone();
    lock(&world).wans[1].path.clone_from(&way);
    d.run_until(at(320.0));
    // Nobody knows any more what the alternate is like; but the primary is dead.
    assert!(rule(&world));
    primary(&world, true);
    d.run_until(at(360.0));
    assert!(!rule(&world));
    primary(&world, false);
    d.run_until(at(400.0));
    assert!(!rule(&world), "not again");
}

#[test]
fn a_lease_stands_while_it_is_wanted_and_costs_no_flash() {
    let world = world(2);
    let mut d = daemon(&world, &text(LEASE, ""));
    d.run_until(at(60.0));
    assert_eq!(listed(&world), [Vec::<String>::new(), Vec::new()]);
    primary(&world, false);
    d.run_until(at(62.0));
    let writes = lock(&world).router.sectors_written();
    // For four minutes there is never a moment without one whole list.
    let mut both = 0;
    for tenth in 0..2_400 {
        d.run_until(at(62.0 + f64::from(tenth) / 10.0));
        let lists = listed(&world);
        assert!(lists.iter().any(|list| list.len() == 2), "{lists:?} at {tenth}");
        both += u32::from(lists.iter().all(|list| list.len() == 2));
    }
    assert!(both > 800, "the lists overlap");
    assert_eq!(lock(&world).router.sectors_written(), writes, "not one sector");
    primary(&world, true);
    d.run_until(at(400.0));
    assert_eq!(listed(&world), [Vec::<String>::new(), Vec::new()]);
}

/// At whatever moment: it is not taken for a will, both lists are made anew, and they take turns again.
#[test]
fn a_hand_that_clears_both_lists_leaves_no_gap_later() {
    for step in 0..20 {
        let (world, cleared) = (world(7), 75.0 + 3.1 * f64::from(step));
        let mut d = daemon(&world, &text(LEASE, ""));
        d.run_until(at(60.0));
        primary(&world, false);
        d.run_until(at(cleared));
        for list in ["steer-a", "steer-b"] {
            lock(&world).router.clear_list(list);
        }
        // The lists are looked at every ten seconds.
        d.run_until(at(cleared + 10.5));
        for tenth in 0..1_800 {
            d.run_until(at(cleared + 10.5 + f64::from(tenth) / 10.0));
            let lists = listed(&world);
            assert!(lists.iter().any(|list| list.len() == 2), "cleared at {cleared}: {lists:?} at {tenth}");
        }
        assert_eq!(told(&d, |kind| matches!(kind, EventKind::SwitchFlipped { .. })), 0, "cleared at {cleared}");
    }
}

#[test]
fn a_lease_outlives_its_daemon_by_a_minute_at_most() {
    let world = world(3);
    let mut d = daemon(&world, &text(LEASE, ""));
    d.run_until(at(60.0));
    primary(&world, false);
    d.run_until(at(95.0));
    assert!(listed(&world).iter().any(|list| list.len() == 2));
    common::kill(d);
    let now = lock(&world).now();
    let mut world_after = lock(&world);
    let gone = now + Duration::from_secs(60);
    assert!(
        world_after.router.listed(gone, "steer-a").is_empty() && world_after.router.listed(gone, "steer-b").is_empty()
    );
}

#[test]
fn a_reboot_while_steered_is_mended() {
    for means in [RULE, LEASE] {
        let world = world(4);
        let mut d = daemon(&world, &text(means, ""));
        d.run_until(at(60.0));
        primary(&world, false);
        d.run_until(at(75.0));
        let now = lock(&world).now();
        lock(&world).router.reboot(now, Duration::from_secs(20));
        assert!(listed(&world).iter().all(Vec::is_empty), "entries live in memory");
        // Somebody has saved the router with the rule off.
        lock(&world).router.set_rule("calls via dsl", "disabled", "true");
        d.run_until(at(75.0 + 20.0 + 7.0));
        let on = if means == RULE { rule(&world) } else { listed(&world).iter().any(|list| list.len() == 2) };
        assert!(on, "{means}");
        assert_eq!(told(&d, |kind| matches!(kind, EventKind::SwitchFlipped { .. })), 0, "a reboot is nobody's hand");
    }
}

#[test]
fn a_hand_is_respected_for_a_while() {
    let world = world(5);
    let mut d = daemon(&world, &text(RULE, "respect_hand = \"2m\""));
    d.run_until(at(60.0));
    lock(&world).router.set_rule("calls via dsl", "disabled", "false");
    d.run_until(at(120.0));
    assert!(rule(&world), "left as the hand has it");
    let is_on = |kind: &EventKind| matches!(kind, EventKind::SwitchFlipped { on: true, .. });
    assert_eq!(told(&d, is_on), 1);
    d.run_until(at(260.0));
    let pair_at = d.steering().pairs().next().unwrap().1.at();
    assert_eq!(rule(&world), pair_at.is_some(), "in the end the router is as decided");
}

#[test]
fn what_the_dead_man_did_is_undone_at_once() {
    let world = world(6);
    let mut d = daemon(&world, &text(RULE, ""));
    d.run_until(at(60.0));
    primary(&world, false);
    d.run_until(at(70.0));
    let tagged = "calls via dsl (wanctl: dead-man)";
    lock(&world).router.set_rule("calls via dsl", "disabled", "true");
    lock(&world).router.set_rule("calls via dsl", "comment", tagged);
    d.run_until(at(85.0));
    assert!(rule(&world), "on, under its own comment");
    assert_eq!(told(&d, |kind| matches!(kind, EventKind::SwitchFlipped { .. })), 0);
}

#[test]
fn a_switch_that_can_not_be_turned_is_told_with_what_mends_it() {
    let cases = [
        ("missing", Some(("comment", "renamed")), SwitchFault::Missing),
        ("twice", None, SwitchFault::Ambiguous),
        ("chain", Some(("chain", "forward")), SwitchFault::Chain),
        ("dynamic", Some(("dynamic", "true")), SwitchFault::Dynamic),
    ];
    for (name, spoilt, fault) in cases {
        let world = world(7);
        match spoilt {
            Some((property, value)) => assert!(lock(&world).router.set_rule("calls via dsl", property, value)),
            None => lock(&world).router.add_rule(false, "calls via dsl"),
        }
        let mut d = daemon(&world, &text(RULE, ""));
        d.run_until(at(60.0));
        let is_it = |kind: &EventKind| matches!(kind, EventKind::SwitchUnusable { why, .. } if *why == fault);
        assert_eq!(told(&d, is_it), 1, "{name}: {:?}", d.events().iter().collect::<Vec<_>>());
        primary(&world, false);
        d.run_until(at(70.0));
        assert_eq!(told(&d, |kind| matches!(kind, EventKind::Steer { .. })), 0, "{name}: nothing is claimed");
    }
}

#[test]
fn the_end_leaves_the_switch_off() {
    for means in [RULE, LEASE] {
        let world = world(8);
        let mut d = daemon(&world, &text(means, ""));
        d.run_until(at(60.0));
        primary(&world, false);
        d.run_until(at(70.0));
        let now = lock(&world).now();
        lock(&world).at(now, Action::Signal(Signal::Stop));
        assert!(d.run_until(at(80.0)), "it stops");
        assert!(lock(&world).now() <= at(72.5), "in time");
        assert!(!rule(&world) && listed(&world).iter().all(Vec::is_empty), "{means}");
    }
}

/// What may happen to a switch.
#[derive(Clone, Copy, Debug)]
enum Mishap {
    Dead,
    Alive,
    Flip(bool),
    Clear,
    Reboot,
    Reset,
    Silence,
}

fn mishaps() -> impl Strategy<Value = Vec<(u8, Mishap)>> {
    let mishap = prop_oneof![
        Just(Mishap::Dead),
        Just(Mishap::Alive),
        any::<bool>().prop_map(Mishap::Flip),
        Just(Mishap::Clear),
        Just(Mishap::Reboot),
        Just(Mishap::Reset),
        Just(Mishap::Silence),
    ];
    proptest::collection::vec((1..40_u8, mishap), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::env::var_os("WANCTL_SOAK").is_some() { 3_000 } else { 60 }))]
    /// Whatever has happened: some time later the router is as decided, and nothing was missed.
    #[test]
    fn in_the_end_the_router_is_as_decided(story in mishaps(), lease in any::<bool>(), seed in 1..1_000_u64) {
        let world = world(seed);
        let mut d = daemon(&world, &text(if lease { LEASE } else { RULE }, "respect_hand = \"30s\""));
        d.run_until(at(20.0));
        for (pause, mishap) in story {
            let now = lock(&world).now();
            match mishap {
                Mishap::Dead => primary(&world, false),
                Mishap::Alive => primary(&world, true),
                Mishap::Flip(on) => {
                    lock(&world).router.set_rule("calls via dsl", "disabled", if on { "false" } else { "true" });
                }
                Mishap::Clear => ["steer-a", "steer-b"].into_iter().for_each(|list| lock(&world).router.clear_list(list)),
                Mishap::Reboot => lock(&world).router.reboot(now, Duration::from_secs(5)),
                Mishap::Reset => lock(&world).router.inject(now, Fault::Reset),
                Mishap::Silence => lock(&world).router.inject(now, Fault::Silent(Duration::from_secs(8))),
            }
            d.run_until(now + Duration::from_secs(u64::from(pause)));
        }
        let now = lock(&world).now();
        lock(&world).router.heal(now);
        d.run_until(now + Duration::from_secs(120));
        let steered = d.steering().pairs().next().unwrap().1.at().is_some();
        let on = if lease { listed(&world).iter().any(|list| list.len() == 2) } else { rule(&world) };
        prop_assert_eq!(on, steered);
        prop_assert!(d.counters().missed == 0);
    }
}
