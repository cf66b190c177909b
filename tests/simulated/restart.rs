//! Ends, kills and starts: nothing learnt is lost, and the operator's limits come back.

use super::common::{at, config_text, daemon, kill, limit, mbps, set_flows, world};
use wanctl::daemon::{Store, Unusable};
use wanctl_hal::sim::{Action, Fault, SharedWorld, SimBoard, lock};
use wanctl_hal::{Direction, Duration, Signal, StoreFile};

fn stop(world: &SharedWorld, seconds: f64) {
    lock(world).at(at(seconds), Action::Signal(Signal::Stop));
}

#[test]
fn the_end_gives_back_what_the_operator_had() {
    let world = world(1);
    let mut d = daemon(&world, &config_text("", ""));
    stop(&world, 5.0);
    assert!(d.run_until(at(60.0)));
    assert!(lock(&world).now() < at(7.0), "within two seconds");
    assert_eq!([limit(&world, "wan1-dl"), limit(&world, "wan1-ul")], ["100000000", "50000000"]);
    assert!(lock(&world).store.writes().1 >= 2, "journal and last state are durable");
}

#[test]
fn other_exits_keep_or_set() {
    for (exit, expected) in [("keep", ["40000000", "14000000"]), ("rate", ["25000000", "9000000"])] {
        let world = world(1);
        let mut text = config_text(&format!("exit = \"{exit}\""), "");
        if exit == "rate" {
            text = text.replace("ceiling = \"40M\"", "ceiling = \"40M\"\nexit_rate = \"25M\"");
            text = text.replace("ceiling = \"14M\"", "ceiling = \"14M\"\nexit_rate = \"9M\"");
        }
        let mut d = daemon(&world, &text);
        stop(&world, 5.0);
        assert!(d.run_until(at(60.0)));
        assert_eq!([limit(&world, "wan1-dl"), limit(&world, "wan1-ul")], expected, "{exit}");
    }
}

#[test]
fn the_end_is_prompt_though_the_router_is_dead() {
    for fault in [
        Fault::Stall(Duration::from_secs(100)),
        Fault::Refuse(Duration::from_secs(100)),
        Fault::Silent(Duration::from_secs(100)),
    ] {
        let world = world(1);
        let mut d = daemon(&world, &config_text("", ""));
        lock(&world).at(at(5.0), Action::Router(fault));
        lock(&world).at(at(5.0), Action::Router(Fault::Reset));
        stop(&world, 6.0);
        assert!(d.run_until(at(60.0)));
        assert!(lock(&world).now() <= at(8.0), "{fault:?}");
        assert_eq!(limit(&world, "wan1-dl"), "40000000", "the router is as it was");
        // The next run makes good for it.
        lock(&world).router.heal(at(8.0));
        let mut d = daemon(&world, &config_text("", ""));
        stop(&world, 15.0);
        assert!(d.run_until(at(60.0)));
        assert_eq!([limit(&world, "wan1-dl"), limit(&world, "wan1-ul")], ["100000000", "50000000"], "{fault:?}");
    }
}

#[test]
fn killed_and_started_again_nothing_is_lost() {
    let world = world(1);
    set_flows(&world, Direction::Upload, 4);
    let mut d = daemon(&world, &config_text("", ""));
    d.run_until(at(70.0));
    let learnt = d.wans()[0].law.learnt();
    assert_eq!(d.counters().saves, 1, "once a minute");
    kill(d);
    let mut d = daemon(&world, &config_text("", ""));
    let restored = d.wans()[0].law.learnt();
    assert!((restored.baseline.get() - learnt.baseline.get()).abs() < 2.0);
    assert!(restored.rates[1] < mbps(14), "not at the ceiling: {restored:?}");
    stop(&world, 75.0);
    assert!(d.run_until(at(90.0)));
    assert_eq!(limit(&world, "wan1-ul"), "50000000", "the original, although the first run was killed");
}

#[test]
fn killed_at_any_moment_the_router_has_original_or_wanted_limits() {
    for step in 0..40_u32 {
        let world = world(u64::from(step));
        let moment = 0.02 * f64::from(step);
        let mut d = daemon(&world, &config_text("", ""));
        d.run_until(at(moment));
        kill(d);
        let limits = [limit(&world, "wan1-dl"), limit(&world, "wan1-ul")];
        assert!(["100000000", "40000000"].contains(&limits[0].as_str()), "killed at {moment} s: {limits:?}");
        assert!(["50000000", "14000000"].contains(&limits[1].as_str()), "killed at {moment} s: {limits:?}");
        let mut d = daemon(&world, &config_text("", ""));
        stop(&world, moment + 5.0);
        assert!(d.run_until(at(60.0)));
        let limits = [limit(&world, "wan1-dl"), limit(&world, "wan1-ul")];
        assert_eq!(limits, ["100000000", "50000000"], "killed at {moment} s, then stopped in order");
    }
}

#[test]
fn a_quiet_line_writes_its_state_seldom() {
    let world = world(1);
    let mut d = daemon(&world, &config_text("", ""));
    d.run_until(at(3600.0));
    let saves = d.counters().saves;
    assert!((1..10).contains(&saves), "{saves} writes in an hour without news");
}

#[test]
fn damaged_files_fall_back_to_the_other_slot_then_to_a_cold_start() {
    let world = world(1);
    set_flows(&world, Direction::Upload, 4);
    let mut d = daemon(&world, &config_text("", ""));
    // Something new in either minute.
    lock(&world).at(at(90.0), Action::Capacity(0, Direction::Upload, mbps(5)));
    d.run_until(at(130.0));
    assert_eq!(d.counters().saves, 2);
    kill(d);
    let load = || Store::default().load_state(&mut SimBoard::new(world.clone()));
    assert_eq!((load().wans.len(), load().unusable.len()), (1, 0));
    for (broken, file) in [StoreFile::StateA, StoreFile::StateB].into_iter().enumerate() {
        let mut content = lock(&world).store.content(file).unwrap();
        let middle = content.len() / 2;
        content[middle] ^= 0x20;
        lock(&world).store.set_content(file, Some(&content));
        let restored = load();
        assert_eq!(restored.unusable.len(), broken + 1);
        assert!(restored.unusable.iter().all(|(_, why)| *why == Unusable::Damaged));
        assert_eq!(restored.wans.is_empty(), broken == 1);
    }
    lock(&world).store.set_content(StoreFile::StateA, Some(&later_version()));
    assert_eq!(load().unusable[0].1, Unusable::Later);
    let mut d = daemon(&world, &config_text("", ""));
    d.run_until(at(140.0));
    assert!(d.wans()[0].has_measured(), "a cold start");
}

#[test]
fn any_bytes_in_the_state_files_are_survived() {
    use proptest::prelude::*;
    proptest!(|(bytes in proptest::collection::vec(any::<u8>(), 0..6_000), cut in 0_usize..600)| {
        let world = world(1);
        lock(&world).store.set_content(StoreFile::StateA, Some(&bytes));
        let whole = later_version();
        lock(&world).store.set_content(StoreFile::StateB, Some(&whole[..cut.min(whole.len())]));
        let restored = Store::default().load_state(&mut SimBoard::new(world.clone()));
        prop_assert!(restored.wans.is_empty());
        prop_assert_eq!(restored.unusable.len(), 2);
    });
}

/// A file of a version to come, with a right check sum.
fn later_version() -> Vec<u8> {
    let json = br#"{"version":2,"new":"shape"}"#;
    let sum = !json.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 })
    });
    [json.as_slice(), format!("\n{sum:08x}\n").as_bytes()].concat()
}

/// A request whose client is gone damages RouterOS's web server for two seconds: the next process
/// meets resets and other people's 401, and must not take those for a wrong password.
#[test]
fn a_kill_in_the_middle_of_a_request_costs_seconds() {
    for seed in 0..20 {
        let world = world(seed);
        let mut d = daemon(&world, &config_text("", ""));
        let mut t = 5.0;
        while lock(&world).router.next_due().is_none() {
            t += 0.01;
            assert!(t < 10.0, "no request is ever under way");
            d.run_until(at(t));
        }
        kill(d);
        lock(&world).router.set_limit("wan1-dl", "0");
        let mut d = daemon(&world, &config_text("", ""));
        d.run_until(at(t + 10.0));
        assert_eq!([limit(&world, "wan1-dl"), limit(&world, "wan1-ul")], ["40000000", "14000000"], "{seed}");
    }
}
