//! The loop allocates nothing: neither in a steady cycle, with statistics, summaries and state
//! files, nor when it changes a limit. Exact counts, so they are asserted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "common/meter.rs"]
mod meter;
#[path = "common/two_wans.rs"]
mod two_wans;

use meter::{CountingAllocator, Metered, allocations, first_allocation};
use std::hint::black_box;
use std::sync::{Arc, Barrier};
use two_wans::{CYCLE, Load, REFLECTORS, daemon, daemon_on, parse, run, text, world};
use wanctl::daemon::{Daemon, Restored, Setup, Store};
use wanctl::observe;
use wanctl_hal::record::{Recorder, Tape};
use wanctl_hal::sim::{Action, Fault, HookMood, SimBoard, lock};
use wanctl_hal::{Duration, Signal};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Everything is logged, to nowhere: making the lines is part of the loop.
fn log_everything() {
    observe::install(log::LevelFilter::Debug, observe::Format::Text, None, |_| true, || 0);
}

#[test]
fn a_steady_cycle_allocates_nothing() {
    log_everything();
    let world = world(Load::Steady);
    let mut d = daemon(&world, 0);
    run(&mut d, &world, 600);
    let probes = |d: &wanctl::daemon::Daemon<_>| d.wans().iter().map(|w| w.measure.counters().accepted).sum::<u64>();
    let (cycles, writes) = (d.counters().cycles, d.actuator().counters().writes);
    let (reads, saves, answered) = (d.actuator().counters().reads, d.counters().saves, probes(&d));
    let (own, _) = allocations(|| run(&mut d, &world, 10_000));
    // What it did: the count means nothing for a loop that stood still.
    assert_eq!(d.counters().cycles - cycles, 10_000);
    assert_eq!(d.actuator().counters().writes, writes, "steady means that no limit changes");
    assert!(d.actuator().counters().reads - reads > 900, "two statistics a second");
    assert!(d.counters().saves > saves, "a state file now and then");
    assert!(probes(&d) - answered > 59_000, "six answers a cycle");
    assert_eq!(own, 0, "the first was made here:\n{}", first_allocation());
}

#[test]
fn changing_a_limit_allocates_nothing() {
    log_everything();
    let world = world(Load::Bulk);
    let mut d = daemon(&world, 0);
    run(&mut d, &world, 200);
    let writes = d.actuator().counters().writes;
    let (own, _) = allocations(|| run(&mut d, &world, 4_000));
    let writes = d.actuator().counters().writes - writes;
    assert!(writes > 400, "only {writes} changes");
    assert_eq!(own, 0, "in {writes} changes; the first was made here:\n{}", first_allocation());
}

/// The recorder is on this side of the board that is counted apart.
#[test]
fn recording_allocates_nothing() {
    log_everything();
    let world = world(Load::Bulk);
    let tape = Tape::new(Box::new(std::io::sink()), "nowhere", u64::MAX).unwrap();
    let metered = Metered::new(SimBoard::new(Arc::clone(&world)), CYCLE, 0);
    let mut d = daemon_on(Recorder::new(metered, tape));
    run(&mut d, &world, 200);
    let tape = d.board().tape();
    let written = tape.borrow().written();
    let (own, _) = allocations(|| run(&mut d, &world, 4_000));
    let written = tape.borrow().written() - written;
    assert!(written > 400_000, "only {written} bytes");
    assert_eq!(own, 0, "in {written} bytes; the first was made here:\n{}", first_allocation());
}

#[test]
fn telling_everything_allocates_nothing() {
    log_everything();
    let world = world(Load::Steady);
    let mut d = daemon(&world, 0);
    run(&mut d, &world, 200);
    let soon = lock(&world).now() + Duration::from_millis(75);
    lock(&world).at(soon, Action::Signal(Signal::Dump));
    let (own, _) = allocations(|| run(&mut d, &world, 10));
    assert!(!lock(&world).has_signal(), "it was served");
    assert_eq!(own, 0, "the first was made here:\n{}", first_allocation());
}

/// A router that goes away and comes back: connecting again, back-off and what is told of it.
#[test]
fn a_router_that_comes_and_goes_allocates_nothing() {
    log_everything();
    let world = world(Load::Bulk);
    let mut d = daemon(&world, 0);
    run(&mut d, &world, 200);
    let connections = d.counters().connections;
    let faults = [Fault::Reset, Fault::Refuse(Duration::from_secs(5)), Fault::Garbage { times: 3 }];
    for (i, fault) in (0_u32..).zip(faults) {
        let soon = lock(&world).now() + Duration::from_secs(1) + Duration::from_secs(20) * i;
        lock(&world).at(soon, Action::Router(fault));
    }
    let (own, _) = allocations(|| run(&mut d, &world, 1_200));
    assert!(d.counters().connections >= connections + 3);
    assert_eq!(own, 0, "the first was made here:\n{}", first_allocation());
}

/// Steering from the first sign of trouble to the return: scores, turns, what is told and saved of them.
#[test]
fn steering_allocates_nothing() {
    log_everything();
    let world = world(Load::Bulk);
    let pair = "[[steering]]\nname = \"calls\"\nprimary = \"line1\"\ndry_run = true\n[[steering.alternate]]\nwan = \"line2\"\n\
                rule = \"calls via line2\"";
    let config = parse(&text("http://192.168.88.1", "", pair, ["mark = 1", "mark = 2"], REFLECTORS));
    let board = Metered::new(SimBoard::new(Arc::clone(&world)), CYCLE, 0);
    let router = "192.168.88.1:80".parse().unwrap();
    let (store, restored, reloader) = (Store::default(), Restored::default(), Box::new(|_: &_| Err(1)));
    let mut d =
        Daemon::new(Setup { board, config, router, reloader, store, restored }).unwrap_or_else(|e| panic!("{e}"));
    run(&mut d, &world, 600);
    let soon = lock(&world).now() + Duration::from_millis(1);
    lock(&world).at(soon, Action::Connected(0, false));
    lock(&world).at(soon + Duration::from_secs(10), Action::Connected(0, true));
    let is_steered = |d: &Daemon<_>| d.steering().pairs().any(|(_, pair)| pair.at().is_some());
    let (going, _) = allocations(|| run(&mut d, &world, 100));
    assert!(is_steered(&d));
    let (returning, _) = allocations(|| run(&mut d, &world, 2_400));
    assert!(!is_steered(&d));
    let own = going + returning;
    assert_eq!(own, 0, "the first was made here:\n{}", first_allocation());
}

/// A webhook that does not answer, and alerts that wait for it: connecting, giving up, trying again.
#[test]
fn a_dead_webhook_allocates_nothing() {
    log_everything();
    let world = world(Load::Steady);
    lock(&world).hooks.moods = [HookMood::Mute; 8];
    let alert =
        "[[alert]]\nname = \"phone\"\nurl = \"http://192.168.88.9/x\"\nevents = [\"warnings\"]\ncool_down = \"10s\"";
    let config = parse(&text("http://192.168.88.1", "", alert, ["mark = 1", "mark = 2"], REFLECTORS));
    let board = Metered::new(SimBoard::new(Arc::clone(&world)), CYCLE, 0);
    let router = "192.168.88.1:80".parse().unwrap();
    let (store, restored, reloader) = (Store::default(), Restored::default(), Box::new(|_: &_| Err(1)));
    let mut d =
        Daemon::new(Setup { board, config, router, reloader, store, restored }).unwrap_or_else(|e| panic!("{e}"));
    run(&mut d, &world, 200);
    for second in 1..20 {
        let soon = lock(&world).now() + Duration::from_secs(20) * second;
        lock(&world).at(soon, Action::Connected(0, second % 2 == 0));
    }
    let (own, _) = allocations(|| run(&mut d, &world, 8_000));
    let rule = d.alerts().unwrap().rule(0).unwrap();
    assert!(rule.counters.failed >= 5 && rule.waiting > 3, "{rule:?}");
    assert_eq!(own, 0, "the first was made here:\n{}", first_allocation());
}

/// Negative control: what the loop allocates is seen and its place told; what the board allocates
/// is told apart; what other threads allocate is not counted.
#[test]
fn an_allocation_is_seen() {
    log_everything();
    let world = world(Load::Steady);
    let mut d = daemon(&world, 0);
    run(&mut d, &world, 200);
    let soon = lock(&world).now() + Duration::from_secs(1);
    lock(&world).at(soon, Action::Signal(Signal::Reload));
    let (own, board) = allocations(|| run(&mut d, &world, 100));
    assert!(own > 0, "a reload makes new tables");
    let seen = first_allocation();
    assert!(seen.contains("reload"), "{seen}");
    assert!(board > 0, "the simulated router answers with fresh bytes");

    let (go, wait) = (Barrier::new(2), Barrier::new(2));
    std::thread::scope(|s| {
        s.spawn(|| {
            go.wait();
            drop(black_box(vec![0_u8; 1000]));
            wait.wait();
        });
        let (own, _) = allocations(|| {
            go.wait();
            wait.wait();
            drop(black_box(vec![0_u8; 1000]));
        });
        assert_eq!(own, 1, "ours, not the other thread's");
    });
}
