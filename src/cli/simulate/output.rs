//! What is left in the directory of `--out`: figures as JSON, series as CSV, plots as SVG.

use super::figures::{COLUMNS, Figures, achieved};
use super::record::{Record, Said, time};
use super::{Case, Outcome, Run, plot};
use crate::types::Instant;
use serde::{Serialize, Serializer};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

/// Rows of a record for one line of the CSV.
const ROWS: usize = 5;

/// Writes series and plot of one run, below the name of the scenario.
///
/// # Errors
/// Which file can't be written, and why.
pub(super) fn run(directory: &Path, case: &Case<'_>, record: &Record, figures: &Figures) -> Result<(), String> {
    let below = directory.join(&case.scenario.name);
    fs::create_dir_all(&below).map_err(|error| format!("{}: {error}", below.display()))?;
    let name = case.contender.name();
    file(&below.join(format!("{name}.csv")), &series(record))?;
    file(&below.join(format!("{name}.svg")), &plot::svg(case, record, figures))
}

/// Writes the figures of all runs, one after the other: a day has a thousand rounds and more.
///
/// # Errors
/// Which file can't be written, and why.
pub(super) fn figures(directory: &Path, outcomes: &[Outcome]) -> Result<(), String> {
    let path = directory.join("figures.json");
    let report = Report { results: outcomes.iter().map(Told::from).collect() };
    let write = || -> std::io::Result<()> {
        let mut out = std::io::BufWriter::new(fs::File::create(&path)?);
        serde_json::to_writer_pretty(&mut out, &report)?;
        out.write_all(b"\n")?;
        out.flush()
    };
    write().map_err(|error| format!("{}: {error}", path.display()))
}

/// Writes a file.
///
/// # Errors
/// Its name, and what the system says.
pub(super) fn file(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

#[derive(Serialize)]
struct Report<'a> {
    results: Vec<Told<'a>>,
}

/// A law in a scenario.
#[derive(Serialize)]
struct Told<'a> {
    scenario: &'a str,
    about: &'a str,
    controllable: bool,
    law: &'static str,
    medians: Named<'a>,
    runs: Vec<ToldRun<'a>>,
}

#[derive(Serialize)]
struct ToldRun<'a> {
    seed: u64,
    #[serde(flatten)]
    figures: Named<'a>,
    #[serde(flatten)]
    long: Option<Long<'a>>,
}

/// What is told of a run of several rounds only.
#[derive(Serialize)]
struct Long<'a> {
    cycles: u64,
    missed_cycles: u64,
    state_files_written: u64,
    limits_written: u64,
    router_sectors_written: u64,
    download_limit_lowest_bps: f64,
    download_limit_highest_bps: f64,
    upload_limit_lowest_bps: f64,
    upload_limit_highest_bps: f64,
    rounds: Vec<Named<'a>>,
}

/// Figures by their names; one that a run does not have is null.
struct Named<'a>(&'a Figures);

impl Serialize for Named<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rounded = |value: f64| libm::round(value * 1e3) / 1e3;
        serializer.collect_map(COLUMNS.iter().zip(self.0).map(|(column, value)| (column.key, value.map(rounded))))
    }
}

impl<'a> From<&'a Outcome> for Told<'a> {
    fn from(outcome: &'a Outcome) -> Self {
        Self {
            scenario: &outcome.scenario.name,
            about: &outcome.scenario.about,
            controllable: outcome.scenario.controllable,
            law: outcome.contender.name(),
            medians: Named(&outcome.medians),
            runs: outcome.runs.iter().map(ToldRun::from).collect(),
        }
    }
}

impl<'a> From<&'a Run> for ToldRun<'a> {
    fn from(run: &'a Run) -> Self {
        let (whole, [download, upload]) = (&run.whole, run.limits);
        let long = || Long {
            cycles: whole.cycles,
            missed_cycles: whole.missed,
            state_files_written: whole.state_files,
            limits_written: whole.writes,
            router_sectors_written: whole.sectors,
            download_limit_lowest_bps: download[0],
            download_limit_highest_bps: download[1],
            upload_limit_lowest_bps: upload[0],
            upload_limit_highest_bps: upload[1],
            rounds: run.rounds.iter().map(Named).collect(),
        };
        Self { seed: run.seed, figures: Named(&run.figures), long: (run.rounds.len() > 1).then(long) }
    }
}

/// The series, a line every 50 ms: rates in bit/s, the highest added delay since the line before.
fn series(record: &Record) -> String {
    let mut text = String::from("time_s");
    for d in ["download", "upload"] {
        let _ = write!(text, ",{d}_capacity_bps,{d}_limit_bps,{d}_achieved_bps,{d}_added_ms,{d}_state,{d}_reason");
    }
    text.push_str(",law_delay_ms\n");
    for (i, rows) in record.rows.chunks(ROWS).enumerate() {
        let last = i * ROWS + rows.len() - 1;
        let (row, at) = (&record.rows[last], time(last));
        let said = said(record, at);
        let _ = write!(text, "{:.2}", at.since(Instant::ZERO).as_secs_f64());
        for d in 0..2 {
            let added = rows.iter().map(|row| row.added[d]).fold(0.0, f64::max);
            let carried = achieved(&record.rows, last, d);
            let _ = write!(text, ",{:.0},{:.0},{carried:.0},{added:.2}", row.capacity[d], row.limit[d]);
            let _ = match said {
                Some(said) => write!(text, ",{},\"{}\"", said.states[d].name(), said.reasons[d].text()),
                None => write!(text, ",,"),
            };
        }
        let _ = match said {
            Some(said) => writeln!(text, ",{:.2}", said.delay),
            None => writeln!(text, ","),
        };
    }
    text
}

/// What the daemon said last, at this time.
fn said(record: &Record, at: Instant) -> Option<&Said> {
    let count = record.said.partition_point(|said| said.at <= at);
    record.said.get(count.checked_sub(1)?)
}
