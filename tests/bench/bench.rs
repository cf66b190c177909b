//! `make bench`: prints every figure that the daemon promises, beside its goal. Nothing here fails
//! because a machine is slow; exact counts are asserted in tests/allocations.rs.
//!
//! `own`, `live`, `watched`, `crowd`, `count` and `rest` are its parts; those named are made, or all of them. `--json`
//! prints JSON instead of a table. `WANCTL_BENCH_SECONDS` shortens the runs in real time (60 by default).
#![allow(clippy::expect_used, clippy::cast_precision_loss, missing_docs)]

mod count;
#[path = "../common/crowd.rs"]
mod crowd;
mod figures;
mod live;
#[path = "../common/meter.rs"]
mod meter;
mod own;
#[path = "../common/report.rs"]
mod report;
#[path = "../common/two_wans.rs"]
mod two_wans;

use figures::{Figures, float};
use live::Case;
use std::path::{Path, PathBuf};
use two_wans::{CYCLE, Load};

#[global_allocator]
static ALLOCATOR: meter::CountingAllocator = meter::CountingAllocator;

/// `wanctl` as `cargo build --release` makes it.
const RELEASE: &str = env!("CARGO_BIN_EXE_wanctl");

/// The parts of the bench; those that are named are made, or all.
const PARTS: [&str; 6] = ["own", "live", "watched", "crowd", "count", "rest"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, load, cycles] = arguments.as_slice()
        && mode == "cycles"
    {
        let load = if load == "bulk" { Load::Bulk } else { Load::Steady };
        own::cycles_only(load, cycles.parse().expect("a number of cycles"));
        return;
    }
    if let [mode, cycles, ms, binary, ..] = arguments.as_slice()
        && mode == "profile"
    {
        let number = |text: &String| text.parse::<u64>().expect("a number");
        let scratch = std::env::temp_dir().join(format!("wanctl-profile-{}", std::process::id()));
        let cycle = std::time::Duration::from_millis(number(ms));
        let told = live::profile(&scratch, Path::new(binary), number(cycles), cycle);
        let _ = std::fs::remove_dir_all(&scratch);
        println!("{}", told.expect("a profile"));
        return;
    }
    if !arguments.iter().any(|a| a == "--bench") {
        // `cargo test --all-targets` builds and starts benches too; figures of a debug build say nothing.
        println!("figures are measured by `make bench` (cargo bench)");
        return;
    }
    let seconds: u64 = std::env::var("WANCTL_BENCH_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(60);
    let scratch = std::env::temp_dir().join(format!("wanctl-bench-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).expect("a directory for files");
    let mut figures = Figures::default();
    let named: Vec<&str> = PARTS.into_iter().filter(|part| arguments.iter().any(|a| a == part)).collect();
    for part in if named.is_empty() { PARTS.to_vec() } else { named } {
        match part {
            "own" => {
                own::measure(&mut figures);
                own::cold(&mut figures);
                live::metered(&mut figures, &scratch, seconds.div_ceil(3));
            }
            "live" => processes(&mut figures, &scratch, seconds),
            "watched" => shipped(&mut figures, |f, binary| live::watched(f, &scratch, binary, seconds.div_ceil(3))),
            "crowd" => shipped(&mut figures, |f, binary| live::stormed(f, &scratch, binary, seconds.div_ceil(3))),
            "count" => count::measure(&mut figures, &scratch),
            _ => {
                own::quiet_day(&mut figures);
                sizes(&mut figures);
            }
        }
    }
    let _ = std::fs::remove_dir_all(&scratch);
    if arguments.iter().any(|a| a == "--json") {
        println!("{}", figures.json());
    } else {
        println!("{}", figures.table());
    }
}

/// `wanctl run` as a process of its own.
fn processes(figures: &mut Figures, scratch: &Path, seconds: u64) {
    figures.group("wanctl run, release build, as a process of its own, real time");
    let plain = Case { history: "small", is_watched: false, goal: None, cycle: CYCLE };
    live::program(figures, scratch, Path::new(RELEASE), seconds, &plain);
    for (title, case) in [
        (
            "wanctl run, dist build, without history",
            Case { history: "off", is_watched: false, goal: Some(4.0), cycle: CYCLE },
        ),
        ("wanctl run, dist build", Case { history: "small", is_watched: false, goal: Some(6.0), cycle: CYCLE }),
        (
            "the same with a page open, and a scrape every 5 s",
            Case { history: "small", is_watched: true, goal: Some(6.0), cycle: CYCLE },
        ),
    ] {
        figures.group(title);
        shipped(figures, |f, binary| live::program(f, scratch, binary, seconds, &case));
    }
}

/// Measures what is shipped, or says that it is not there.
fn shipped(figures: &mut Figures, measure: impl FnOnce(&mut Figures, &Path)) {
    match dist() {
        Some(binary) => measure(figures, &binary),
        None => figures.missing("the dist build: cargo build --profile dist --no-default-features"),
    }
}

/// What is shipped, if it is named (`WANCTL_SHIPPED`: a program that `make dist` made, which brings its own libc); else the
/// size build beside the release build, if it was made.
fn dist() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("WANCTL_SHIPPED") {
        return Some(path.into());
    }
    let binary = Path::new(RELEASE).parent()?.parent()?.join("dist/wanctl");
    binary.is_file().then_some(binary)
}

fn sizes(figures: &mut Figures) {
    figures.group("size of the program");
    for (name, path) in [("release, with line tables and simulator", Some(PathBuf::from(RELEASE))), ("dist", dist())] {
        if let Some(size) = path.and_then(|p| std::fs::metadata(p).ok()).map(|m| m.len()) {
            figures.tell(name, float(size) / 1024.0 / 1024.0, "MiB");
        }
    }
}
