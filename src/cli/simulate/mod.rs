//! `wanctl simulate`: scenarios, contenders, seeds; figures, series and plots.
//!
//! A run is a function of scenario, contender and seed, so runs are spread over threads and the
//! output is the same however many there are.

mod contender;
mod figures;
mod output;
mod plot;
mod record;
mod run;
mod stage;
mod table;

use super::Exit;
use crate::config::{
    self,
    scenario::{self, Scenario},
};
use crate::types::Duration;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use contender::Contender;
use figures::Figures;
use run::Whole;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Where the suite is.
const SUITE: &str = "tests/scenarios";

/// The longest run.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// What is left free by those who know the capacity, if nobody says how much.
const MARGIN: f64 = 0.95;

/// One run to be made.
#[derive(Clone, Copy)]
struct Case<'a> {
    scenario: &'a Scenario,
    contender: Contender,
    seed: u64,
    /// How often its timeline is run through.
    rounds: u64,
    /// The part of the capacity that those use who know it.
    margin: f64,
}

/// What came of one run.
#[derive(Clone)]
struct Run {
    seed: u64,
    /// Medians over the rounds.
    figures: Figures,
    /// By round: a few hundred bytes are all that is kept of one.
    rounds: Vec<Figures>,
    /// Lowest and highest limit that was set, download and upload (bit/s).
    limits: [[f64; 2]; 2],
    whole: Whole,
}

/// What came of a scenario and a contender, over all seeds.
struct Outcome {
    scenario: Scenario,
    contender: Contender,
    /// By seed.
    runs: Vec<Run>,
    medians: Figures,
}

/// The command and its arguments.
pub(super) fn command() -> Command {
    let count = |name: &'static str| {
        Arg::new(name).long(name).value_name("N").value_parser(value_parser!(u64).range(1..=10_000))
    };
    Command::new("simulate")
        .about("Run control laws on simulated lines and compare them")
        .arg(
            Arg::new("scenario")
                .value_name("SCENARIO.toml")
                .value_parser(value_parser!(PathBuf))
                .num_args(0..)
                .help("Scenario files (see tests/scenarios)"),
        )
        .arg(Arg::new("suite").long("suite").action(ArgAction::SetTrue).help("All files of tests/scenarios"))
        .arg(
            Arg::new("law")
                .long("law")
                .value_name("NAME,…")
                .value_delimiter(',')
                .value_parser(clap::builder::PossibleValuesParser::new(Contender::names()))
                .default_value("adaptive")
                .hide_possible_values(true)
                .hide_default_value(true)
                .help("Whom to run: adaptive (default), classic, fixed, oracle,\nlate-oracle, cake-autorate, sqm-autorate"),
        )
        .arg(
            Arg::new("margin")
                .long("margin")
                .value_name("PART")
                .value_parser(margin)
                .help("Part of the capacity that fixed and the oracles use\n(0.95)"),
        )
        .arg(count("seeds").default_value("1").help("Runs of each, with the seeds 1 to N"))
        .arg(count("first").default_value("1").help("The first seed, to see one run again"))
        .arg(
            Arg::new("lasts")
                .long("lasts")
                .value_name("TIME")
                .value_parser(lasts)
                .help("Run each scenario again and again, without a stop,\nfor this long (1h, 1d) of simulated time"),
        )
        .arg(count("jobs").help("Threads (as many as there are cores)"))
        .arg(
            Arg::new("out")
                .long("out")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("Write figures (JSON); series (CSV) and plots (SVG)\nof the first seed"),
        )
}

fn lasts(text: &str) -> Result<Duration, String> {
    let right = || format!("not a time from 1s to {}d, such as 1h", LONGEST.as_secs() / 86_400);
    config::duration(text).filter(|lasts| (Duration::from_secs(1)..=LONGEST).contains(lasts)).ok_or_else(right)
}

fn margin(text: &str) -> Result<f64, String> {
    let right = || "not a part from 0.1 to 1, such as 0.9".to_owned();
    text.parse().ok().filter(|part| (0.1..=1.0).contains(part)).ok_or_else(right)
}

/// Runs what was asked for.
pub(super) fn main(matches: &ArgMatches) -> Exit {
    let scenarios = match scenarios(matches) {
        Ok(scenarios) => scenarios,
        Err(exit) => return exit,
    };
    let names = matches.get_many::<String>("law").into_iter().flatten();
    let contenders: Vec<Contender> = names.filter_map(|name| Contender::named(name)).collect();
    let [first_seed, seeds] = ["first", "seeds"].map(|name| matches.get_one::<u64>(name).copied().unwrap_or(1));
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = matches.get_one::<u64>("jobs").and_then(|&n| usize::try_from(n).ok()).unwrap_or_else(cores);
    let out = matches.get_one::<PathBuf>("out").map(PathBuf::as_path);
    let lasts = matches.get_one::<Duration>("lasts").copied().unwrap_or_default();
    let margin = matches.get_one::<f64>("margin").copied().unwrap_or(MARGIN);
    let order = Order { scenarios, contenders, first_seed, seeds, lasts, margin, out };
    match simulate(&order, jobs).and_then(|outcomes| tell(&outcomes, seeds, out)) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            eprintln!("{error}");
            Exit::Failed
        }
    }
}

/// The table for people, and the figures for machines.
fn tell(outcomes: &[Outcome], seeds: u64, out: Option<&Path>) -> Result<(), String> {
    let table = table::text(outcomes, seeds);
    // A reader that has gone away is no fault of ours.
    let _ = std::io::stdout().write_all(table.as_bytes());
    if let Some(directory) = out {
        output::figures(directory, outcomes)?;
        output::file(&directory.join("table.txt"), &table)?;
    }
    Ok(())
}

/// Reads all scenarios, and tells all faults of all of them.
fn scenarios(matches: &ArgMatches) -> Result<Vec<Scenario>, Exit> {
    let mut paths: Vec<PathBuf> = matches.get_many::<PathBuf>("scenario").into_iter().flatten().cloned().collect();
    if matches.get_flag("suite") {
        paths.extend(suite(Path::new(SUITE)).map_err(|error| {
            eprintln!("{SUITE}: {error}; the suite is in the source directory, run this from there");
            Exit::Failed
        })?);
    }
    if paths.is_empty() {
        eprintln!("which scenario? Name files, or say --suite");
        return Err(Exit::BadConfig);
    }
    let mut scenarios = Vec::new();
    let mut bad = false;
    for path in &paths {
        match scenario::load(path) {
            Ok(scenario) => scenarios.push(scenario),
            Err(faults) => {
                bad = true;
                eprintln!("{faults}");
            }
        }
    }
    if bad { Err(Exit::BadConfig) } else { Ok(scenarios) }
}

fn suite(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "toml"));
    paths.sort_by_key(|path| path.with_extension(""));
    Ok(paths)
}

/// What was asked for.
struct Order<'a> {
    scenarios: Vec<Scenario>,
    contenders: Vec<Contender>,
    first_seed: u64,
    seeds: u64,
    /// Every run lasts at least this long.
    lasts: Duration,
    margin: f64,
    out: Option<&'a Path>,
}

impl Order<'_> {
    /// How often the timeline of a scenario is run through: always to its end.
    fn rounds(&self, scenario: &Scenario) -> u64 {
        let rounds = self.lasts.as_nanos().div_ceil(scenario.lasts.as_nanos().max(1));
        u64::try_from(rounds).unwrap_or(u64::MAX).max(1)
    }
}

/// Everything, on so many threads. The order of the result is that of the arguments.
fn simulate(order: &Order<'_>, jobs: usize) -> Result<Vec<Outcome>, String> {
    let pairs: Vec<_> = order.scenarios.iter().flat_map(|s| order.contenders.iter().map(move |&c| (s, c))).collect();
    let cases = |&(scenario, contender)| {
        let rounds = order.rounds(scenario);
        (0..order.seeds).map(move |i| Case {
            scenario,
            contender,
            seed: order.first_seed + i,
            rounds,
            margin: order.margin,
        })
    };
    let work: Vec<Case<'_>> = pairs.iter().flat_map(cases).collect();
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<Result<Run, String>>>> = Mutex::new(vec![None; work.len()]);
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(work.len()) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = work.get(at) else { return };
                    let result = one(case, order.out.filter(|_| case.seed == order.first_seed))
                        .map_err(|error| format!("{}: {error}", case.scenario.name));
                    results.lock().unwrap_or_else(PoisonError::into_inner)[at] = Some(result);
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten();
    let mut outcomes = Vec::new();
    for (scenario, contender) in pairs {
        let runs = results.by_ref().take(usize::try_from(order.seeds).unwrap_or(usize::MAX));
        let runs = runs.collect::<Result<Vec<_>, _>>()?;
        let medians = figures::medians(runs.iter().map(|run| &run.figures));
        outcomes.push(Outcome { scenario: scenario.clone(), contender, runs, medians });
    }
    Ok(outcomes)
}

/// One run; series and plot of the last round are written to `out`.
fn one(case: &Case<'_>, out: Option<&Path>) -> Result<Run, String> {
    let mut rounds = Vec::new();
    let mut limits = [[f64::INFINITY, 0.0]; 2];
    let whole = run::run(case, |round, record| {
        let figures = figures::figures(case.scenario, &record);
        for (i, [lowest, highest]) in limits.iter_mut().enumerate() {
            for limit in record.rows.iter().map(|row| row.limit[i]) {
                (*lowest, *highest) = (lowest.min(limit), highest.max(limit));
            }
        }
        if let Some(directory) = out.filter(|_| round + 1 == case.rounds) {
            output::run(directory, case, &record, &figures)?;
        }
        rounds.push(figures);
        Ok(())
    })?;
    Ok(Run { seed: case.seed, figures: figures::medians(&rounds), rounds, limits, whole })
}
