//! A day on a small machine: 24 hours of simulated operation (an hour of it in `make test`), with reloads, dumps and lost
//! connections, in a process that may have 64 open files and 8 MiB more data than the test had before, simulator included. Nothing grows.
//! A process of its own, because limits are a process's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "common/meter.rs"]
mod meter;
#[path = "common/two_wans.rs"]
mod two_wans;

use std::fs;
use std::sync::Arc;
use two_wans::{Load, daemon_on, run, world};
use wanctl::observe;
use wanctl_hal::sim::{Action, Fault, SimBoard, lock};
use wanctl_hal::{Duration, Signal};

/// What the process may add to its data: heap and stacks, everything written to that is no file.
const MEMORY: libc::rlim_t = 8 << 20;

/// How many files it may have open.
const FILES: libc::rlim_t = 64;

/// How much more it may have in the end than after the first hour, or half of it: what is written to for the
/// first time of rings that were sized at the start (minutes of a day), and rounding to pages.
const GROWTH_KB: u64 = 128;

fn confine(resource: libc::__rlimit_resource_t, most: libc::rlim_t) {
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: `limit` is valid for reading.
    assert_eq!(unsafe { libc::setrlimit(resource, &raw const limit) }, 0, "a limit can't be set");
}

/// A line of this process's status, kB.
fn status(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("the line");
    line.trim().split(' ').next().unwrap().parse().unwrap()
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn a_day_in_little_memory_with_few_files() {
    confine(libc::RLIMIT_DATA, status("VmData") * 1024 + MEMORY);
    confine(libc::RLIMIT_NOFILE, FILES);
    // Every line is made, and goes nowhere.
    observe::install(log::LevelFilter::Debug, observe::Format::Text, None, |_| true, || 0);
    let hours = if std::env::var_os("WANCTL_SOAK").is_some() { 24 } else { 1 };
    let world = world(Load::Bulk);
    // The double's memory is none of the daemon's.
    lock(&world).router.keep_writes(64);
    let mut daemon = daemon_on(SimBoard::new(Arc::clone(&world)));
    let tenths = hours * 10;
    let mut early = (0, 0);
    for part in 0..tenths {
        trouble(&world, part);
        run(&mut daemon, &world, 20 * 360);
        if part == tenths.min(20) / 2 {
            early = (status("RssAnon"), open_files());
        }
    }
    let counters = (daemon.counters().cycles, daemon.actuator().counters().writes);
    let late = (status("RssAnon"), open_files());
    println!(
        "{hours} h: {} cycles, {} changes of a limit; own memory {} kB early, {} kB late, at most {} kB in all with the files; data {} kB",
        counters.0,
        counters.1,
        early.0,
        late.0,
        status("VmHWM"),
        status("VmData")
    );
    assert!(counters.0 >= u64::from(hours) * 71_000 && counters.1 > 100, "it stood still: {counters:?}");
    assert!(late.0 <= early.0 + GROWTH_KB, "it grew from {} to {} kB", early.0, late.0);
    assert_eq!(late.1, early.1, "open files");
}

/// What happens in this tenth of an hour.
fn trouble(world: &wanctl_hal::sim::SharedWorld, part: u32) {
    let mut world = lock(world);
    let soon = world.now() + Duration::from_secs(7);
    match part % 4 {
        0 => world.at(soon, Action::Signal(Signal::Reload)),
        1 => world.at(soon, Action::Router(Fault::Reset)),
        2 => world.at(soon, Action::Signal(Signal::Dump)),
        _ => world.at(soon, Action::Router(Fault::Refuse(Duration::from_secs(20)))),
    }
}
