//! The table of docs/steering.md on what happens to the switch itself, when routers, daemons and hands interfere:
//! measured on the router double, every 50 ms. `WANCTL_BLESS=1` writes it anew.
use super::common::{self, at};
use super::house::{LEASE, RULE, daemon, listed, primary, text, world};
use std::fmt::Write as _;
use wanctl::daemon::Daemon;
use wanctl::types::EventKind;
use wanctl_hal::Duration;
use wanctl_hal::sim::{SharedWorld, SimBoard, lock};

/// Whether marked connections are steered on the router.
fn is_on(world: &SharedWorld, means: &str) -> bool {
    // Under another comment it is nobody's rule.
    let is_enabled = || lock(world).router.rule("calls via dsl") == Some(true);
    if means == RULE { is_enabled() } else { listed(world).iter().any(|list| list.len() == 2) }
}

/// Steered since second 61, because the primary is dead.
fn steered(seed: u64, means: &str) -> (SharedWorld, Daemon<SimBoard>) {
    let world = world(seed);
    let mut d = daemon(&world, &text(means, ""));
    d.run_until(at(60.0));
    primary(&world, false);
    d.run_until(at(75.0));
    assert!(is_on(&world, means));
    (world, d)
}

/// How long after `from` the router is as wanted, for good within the next minute.
fn until(d: &mut Daemon<SimBoard>, world: &SharedWorld, means: &str, from: f64, on: bool) -> String {
    let mut since = None;
    for step in 0..15_000_u32 {
        let now = from + f64::from(step) / 20.0;
        d.run_until(at(now));
        match (is_on(world, means) == on, since) {
            (true, None) => since = Some(now),
            (true, Some(then)) if now > then + 60.0 => return format!("{:.1} s", then - from),
            (false, Some(_)) => since = None,
            _ => {}
        }
    }
    panic!("never");
}

fn flips(d: &Daemon<SimBoard>) -> usize {
    d.events().iter().filter(|event| matches!(event.kind, EventKind::SwitchFlipped { .. })).count()
}

/// By the rule, by the lease.
fn both(case: impl Fn(&'static str) -> String) -> [String; 2] {
    [RULE, LEASE].map(case)
}

#[test]
fn the_table_is_true() {
    let reboot = both(|means| {
        let (world, mut d) = steered(21, means);
        let now = lock(&world).now();
        lock(&world).router.reboot(now, Duration::from_secs(20));
        // Saved with the rule off.
        lock(&world).router.set_rule("calls via dsl", "disabled", "true");
        let took = until(&mut d, &world, means, 95.0, true);
        assert_eq!(flips(&d), 0, "a reboot is nobody's hand");
        took
    });
    let killed = both(|means| {
        let (world, d) = steered(22, means);
        common::kill(d);
        if means == LEASE {
            let now = lock(&world).now();
            let gone = (0..).find(|s| {
                let then = now + Duration::from_secs(*s);
                ["steer-a", "steer-b"].iter().all(|list| lock(&world).router.listed(then, list).is_empty())
            });
            let gone = gone.unwrap();
            assert!(gone <= 60);
            return format!("gone after {gone} s");
        }
        // The next one adopts what it finds, and turns back when the primary is well.
        let mut d = daemon(&world, &text(means, ""));
        d.run_until(at(90.0));
        assert!(is_on(&world, means), "adopted");
        primary(&world, true);
        format!("adopted by the next one; {} after the line is whole", until(&mut d, &world, means, 90.0, false))
    });
    let off = both(|means| {
        let (world, mut d) = steered(23, means);
        if means == LEASE {
            lock(&world).router.clear_list("steer-a");
            lock(&world).router.clear_list("steer-b");
        } else {
            lock(&world).router.set_rule("calls via dsl", "disabled", "true");
        }
        let took = until(&mut d, &world, means, 75.0, true);
        format!("on again after {took}")
    });
    let on = {
        let world = world(24);
        let mut d = daemon(&world, &text(RULE, ""));
        d.run_until(at(60.0));
        lock(&world).router.set_rule("calls via dsl", "disabled", "false");
        let took = until(&mut d, &world, RULE, 60.0, false);
        assert_eq!(flips(&d), 1);
        [format!("off again after {took}"), "–".to_owned()]
    };
    let dead_man = {
        let (world, mut d) = steered(25, RULE);
        lock(&world).router.set_rule("calls via dsl", "disabled", "true");
        lock(&world).router.set_rule("calls via dsl", "comment", "calls via dsl (wanctl: dead-man)");
        let took = until(&mut d, &world, RULE, 75.0, true);
        [format!("on again after {took}"), "–".to_owned()]
    };
    let mut made = "| what happens to the router or to us | by rule | by lease |\n|---|---|---|\n".to_owned();
    for (what, [rule, lease]) in [
        ("the router reboots while steered, saved with the rule off: steered again after it is back", reboot),
        ("wanctl is killed while steered", killed),
        ("a hand ends it while the primary is bad", off),
        ("a hand turns it on while all is well", on),
        ("the router's own dead man's switch has turned it off while wanctl was busy", dead_man),
    ] {
        let _ = writeln!(made, "| {what} | {rule} | {lease} |");
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/steering.md");
    let text = std::fs::read_to_string(file).unwrap();
    let (begin, end) = ("<!-- switch -->\n", "<!-- end of switch -->");
    let (head, rest) = text.split_once(begin).expect("the mark");
    let (old, tail) = rest.split_once(end).expect("the end");
    if std::env::var_os("WANCTL_BLESS").is_some() {
        std::fs::write(file, format!("{head}{begin}{made}{end}{tail}")).unwrap();
    } else {
        assert!(old == made, "docs/steering.md is not true any more; WANCTL_BLESS=1 writes it anew:\n{made}");
    }
}
