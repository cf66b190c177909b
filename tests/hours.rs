//! An hour of every scenario of the suite, one after the other in one run of `wanctl simulate` each, spread over the cores;
//! a day with WANCTL_SOAK. Nothing drifts, nothing grows, every bound is kept.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::cast_precision_loss, reason = "counts of rounds")]
#![cfg(feature = "sim")]

use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use wanctl::config::scenario::{self, Scenario};

/// What a run may take of memory beyond one of a single round (kB): the figures of a round are 320 bytes, and
/// allocators keep what they were given.
const GROWTH_KB: i64 = 4_096;

/// By so many points (%) the use of the line may be less in the end than in the beginning. The write budget begins full,
/// and who used more than 60 writes a minute has to do with 60 later: rises get rarer.
const LESS_USED: f64 = 12.0;

/// No round may have more delay at its p95 than five times the median of all rounds and so many milliseconds: a round is a
/// few minutes, and a queue that stands in one of them is a call that fails, however quiet the other hundreds are.
const WORST_TIMES: f64 = 5.0;
const WORST_MORE_MS: f64 = 50.0;

/// The seed of `wanctl simulate` without `--seeds`.
const SEED: u64 = 1;

fn hours() -> u64 {
    if std::env::var_os("WANCTL_SOAK").is_some() { 24 } else { 1 }
}

/// The directory of the suite, or a file in it.
fn suite(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios").join(file)
}

fn scenarios() -> Vec<Scenario> {
    let mut paths: Vec<PathBuf> = fs::read_dir(suite("")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "toml"));
    let mut all: Vec<Scenario> =
        paths.iter().map(|path| scenario::load(path).unwrap_or_else(|faults| panic!("{faults}"))).collect();
    // The longest first, so that no core has to wait for one at the end.
    all.sort_by_key(|scenario| (scenario.control.cycle, scenario.name.clone()));
    all
}

/// The only run of a law in a scenario, and the most memory its process had (kB).
fn simulate(scenario: &str, more: &[&str]) -> (Value, i64) {
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("hours-{scenario}-{}", more.len()));
    let _ = fs::remove_dir_all(&out);
    let mut command = Command::new(env!("CARGO_BIN_EXE_wanctl"));
    command
        .arg("simulate")
        .arg(suite(&format!("{scenario}.toml")))
        .args(["--law", "adaptive", "--jobs", "1"])
        .args(more);
    let (code, memory) = finish(command.arg("--out").arg(&out).stdout(Stdio::null()));
    assert_eq!(code, 0, "{scenario} {more:?}");
    let json: Value = serde_json::from_str(&fs::read_to_string(out.join("figures.json")).unwrap()).unwrap();
    (json["results"][0]["runs"][0].clone(), memory)
}

/// Runs it to its end; status and peak memory (kB).
#[expect(clippy::zombie_processes, reason = "wait4 waits for it")]
fn finish(command: &mut Command) -> (i32, i64) {
    let child = command.spawn().unwrap();
    let (mut status, mut usage) = (0, std::mem::MaybeUninit::<libc::rusage>::zeroed());
    let id = libc::pid_t::try_from(child.id()).unwrap();
    // SAFETY: both are valid for writing, and the child is ours and was not waited for.
    assert_eq!(unsafe { libc::wait4(id, &raw mut status, 0, usage.as_mut_ptr()) }, id);
    // SAFETY: zeroed is a valid value, and wait4 has filled it.
    (status, unsafe { usage.assume_init() }.ru_maxrss)
}

fn number(of: &Value, key: &str) -> f64 {
    of[key].as_f64().unwrap_or_else(|| panic!("no {key}"))
}

/// The mean of a figure over the rounds that have it; zero if none has.
fn mean(rounds: &[Value], key: &str) -> f64 {
    let known: Vec<f64> = rounds.iter().filter_map(|round| round[key].as_f64()).collect();
    known.iter().sum::<f64>() / known.len().max(1) as f64
}

/// Everything that is wrong with a long run of a scenario, and a line about it.
fn look(scenario: &Scenario) -> (String, String) {
    let hours = hours();
    let name = &scenario.name;
    let (short, short_kb) = simulate(name, &[]);
    let (long, long_kb) = simulate(name, &["--lasts", &format!("{hours}h")]);
    let rounds = long["rounds"].as_array().unwrap();
    let mut wrong = String::new();
    let mut must = |right: bool, what: String| {
        if !right {
            let _ = writeln!(wrong, "{name}, seed {SEED}: {what}");
        }
    };
    let seconds = scenario.lasts.as_secs_f64() * rounds.len() as f64;
    must(seconds >= hours as f64 * 3600.0, format!("only {seconds} s"));
    for (key, value) in rounds[0].as_object().unwrap() {
        must(*value == short[key], format!("{key} of the first round is {value}, of the scenario {}", short[key]));
    }
    let count = |key: &str| number(&long, key);
    let cycles = (seconds - scenario.control.starts.as_secs_f64()) / scenario.control.cycle.as_secs_f64();
    must((count("cycles") - cycles).abs() <= 1.0, format!("{} cycles, not {cycles}", count("cycles")));
    must(count("missed_cycles") == 0.0, format!("{} cycles missed", count("missed_cycles")));
    for (direction, leg) in ["download", "upload"].iter().zip(&scenario.line.legs) {
        let [low, high] = ["lowest", "highest"].map(|end| count(&format!("{direction}_limit_{end}_bps")));
        // A limit is written in whole bits.
        let kept = low >= leg.floor.as_f64() - 1.0 && high <= leg.ceiling.as_f64() + 1.0;
        must(kept, format!("{direction} limits from {low} to {high}, not {} to {}", leg.floor, leg.ceiling));
    }
    // The budget of the configuration, and what the bucket holds at the start; a state file a minute at most.
    must(count("limits_written") <= 7_200.0 * (hours + 1) as f64, format!("{} limits", count("limits_written")));
    must(count("state_files_written") <= seconds / 60.0 + 1.0, format!("{} files", count("state_files_written")));
    must(long_kb <= short_kb + GROWTH_KB, format!("{long_kb} kB, and {short_kb} kB for one round"));
    let (drifted, line) = drift(rounds);
    must(drifted.is_empty(), drifted);
    let worst = worst(rounds);
    must(worst.is_empty(), worst);
    let counts = format!("{:.0} limits, {:.0} files", count("limits_written"), count("state_files_written"));
    (wrong, format!("{name:<20} {line}; {counts}; {long_kb} kB (one round: {short_kb})"))
}

/// The worst round is one of the others.
fn worst(rounds: &[Value]) -> String {
    let mut delays: Vec<(f64, usize)> =
        rounds.iter().enumerate().filter_map(|(i, r)| Some((r["added_delay_p95_ms"].as_f64()?, i))).collect();
    delays.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (Some((median, _)), Some((most, round))) = (delays.get(delays.len() / 2), delays.last()) else {
        return String::new();
    };
    if *most > WORST_TIMES * median + WORST_MORE_MS {
        format!("p95 of the added delay is {most} ms in round {round}, and {median} ms in the middle one")
    } else {
        String::new()
    }
}

/// The second half against the first. Rounds differ by chance (walks, moments of events), and the mean of some thirty of
/// them still does a little: half as much delay again and 5 ms, and [`LESS_USED`].
fn drift(rounds: &[Value]) -> (String, String) {
    let (first, last) = rounds.split_at(rounds.len() / 2);
    let both = |key| [first, last].map(|rounds| mean(rounds, key));
    let [before, after] = both("added_delay_p95_ms");
    let [used_before, used_after] = both("utilisation_percent");
    let mut wrong = String::new();
    if after > 1.5 * before + 5.0 {
        let _ = write!(wrong, "p95 of the added delay drifts from {before} to {after} ms; ");
    }
    if used_after < used_before - LESS_USED {
        let _ = write!(wrong, "use of the line drifts from {used_before} to {used_after} %");
    }
    (wrong, format!("p95 {before:7.1} -> {after:7.1} ms, used {used_before:5.1} -> {used_after:5.1} %"))
}

#[test]
fn long_runs_are_like_short_ones() {
    let work = Mutex::new(scenarios().into_iter());
    let wrong = Mutex::new(String::new());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let Some(scenario) = work.lock().unwrap().next() else { return };
                    let (faults, line) = look(&scenario);
                    println!("{line}");
                    wrong.lock().unwrap().push_str(&faults);
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{wrong}");
}
