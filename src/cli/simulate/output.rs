//! What is left in the directory of `--out`: figures as JSON, series as CSV, plots as SVG.

use super::figures::{COLUMNS, Figures, achieved};
use super::record::{Record, Said, time};
use super::{Case, Outcome, Run, plot};
use crate::types::{Direction, Instant};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::fs;
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

/// Writes the figures of all runs.
///
/// # Errors
/// Which file can't be written, and why.
pub(super) fn figures(directory: &Path, outcomes: &[Outcome]) -> Result<(), String> {
    let results: Vec<Value> = outcomes.iter().map(outcome).collect();
    let text = serde_json::to_string_pretty(&json!({ "results": results })).map_err(|error| error.to_string())?;
    file(&directory.join("figures.json"), &(text + "\n"))
}

/// Writes a file.
///
/// # Errors
/// Its name, and what the system says.
pub(super) fn file(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn outcome(outcome: &Outcome) -> Value {
    let runs = outcome.runs.iter().map(|run| {
        let mut map = named(&run.figures);
        map.insert("seed".to_owned(), Value::from(run.seed));
        if run.rounds.len() > 1 {
            map.extend(long(run));
        }
        Value::Object(map)
    });
    json!({
        "scenario": outcome.scenario.name,
        "about": outcome.scenario.about,
        "controllable": outcome.scenario.controllable,
        "law": outcome.contender.name(),
        "medians": named(&outcome.medians),
        "runs": runs.collect::<Vec<_>>(),
    })
}

/// What is told of a run of several rounds only.
fn long(run: &Run) -> Map<String, Value> {
    let whole = &run.whole;
    let counts = [
        ("cycles", whole.cycles),
        ("missed_cycles", whole.missed),
        ("state_files_written", whole.state_files),
        ("limits_written", whole.writes),
        ("router_sectors_written", whole.sectors),
    ];
    let mut map: Map<_, _> = counts.map(|(key, count)| (key.to_owned(), Value::from(count))).into_iter().collect();
    for (direction, [lowest, highest]) in Direction::BOTH.into_iter().zip(run.limits) {
        map.insert(format!("{}_limit_lowest_bps", direction.name()), Value::from(lowest));
        map.insert(format!("{}_limit_highest_bps", direction.name()), Value::from(highest));
    }
    map.insert("rounds".to_owned(), run.rounds.iter().map(|round| Value::Object(named(round))).collect());
    map
}

/// Figures by their names; one that a run does not have is null.
fn named(figures: &Figures) -> Map<String, Value> {
    let rounded = |value: f64| libm::round(value * 1e3) / 1e3;
    COLUMNS.iter().zip(figures).map(|(c, value)| (c.key.to_owned(), Value::from(value.map(rounded)))).collect()
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
