//! The figures of a run, and their medians over seeds.

#![allow(clippy::cast_precision_loss, reason = "counts of rows stay far below 2^53")]

use super::record::{LOOK, Record, Row, time};
use crate::config::scenario::{Happening, Scenario, Walk, Walked};
use crate::types::{Direction, Duration, Instant};
use std::collections::VecDeque;

/// Delay below which a step counts as cleared (ms).
const CLEAR_MS: f64 = 30.0;

/// A change of capacity by less than this part is no step.
const STEP: f64 = 0.2;

/// Part of the restored capacity that counts as regained.
const REGAINED: f64 = 0.9;

/// Achieved rates are averages over so many rows.
pub(super) const AVERAGE_ROWS: usize = 50;

/// So long after anything happened the line counts as steady.
const SETTLED: Duration = Duration::from_secs(10);

/// One figure: its name in JSON, its heading in the table (none: not shown there), decimals, and
/// how it is found.
pub(super) struct Column {
    /// In JSON.
    pub(super) key: &'static str,
    /// In the table: two lines.
    pub(super) heading: Option<[&'static str; 2]>,
    /// Decimals.
    pub(super) digits: usize,
    find: fn(&View<'_>) -> Option<f64>,
}

const fn column(
    key: &'static str,
    heading: Option<[&'static str; 2]>,
    digits: usize,
    find: fn(&View<'_>) -> Option<f64>,
) -> Column {
    Column { key, heading, digits, find }
}

/// All figures of a run.
pub(super) const COLUMNS: [Column; 20] = [
    column("added_delay_p50_ms", Some(["p50", "ms"]), 1, |v| v.felt(0.5)),
    column("added_delay_p95_ms", Some(["p95", "ms"]), 1, |v| v.felt(0.95)),
    column("added_delay_p99_ms", None, 1, |v| v.felt(0.99)),
    column("added_delay_peak_ms", Some(["peak", "ms"]), 0, |v| v.felt(1.0)),
    column("download_added_delay_p95_ms", None, 1, |v| v.added(Direction::Download)),
    column("upload_added_delay_p95_ms", None, 1, |v| v.added(Direction::Upload)),
    column("utilisation_percent", Some(["used", "%"]), 1, |v| v.utilisation(&Direction::BOTH)),
    column("download_utilisation_percent", None, 1, |v| v.utilisation(&[Direction::Download])),
    column("upload_utilisation_percent", None, 1, |v| v.utilisation(&[Direction::Upload])),
    column("low_phase_utilisation_percent", Some(["used low", "%"]), 1, |v| v.low_utilisation()),
    column("deepest_cut_percent", Some(["cut", "%"]), 0, |v| v.deepest_cut()),
    column("idle_direction_percent_of_ceiling", Some(["idle", "%"]), 0, |v| v.idle(false)),
    column("idle_direction_lowest_percent_of_ceiling", None, 0, |v| v.idle(true)),
    column("writes_per_minute", Some(["writes", "/min"]), 1, |v| Some(v.writes())),
    column("steady_writes_per_minute", Some(["steady", "/min"]), 1, |v| v.steady_writes()),
    column("steady_rate_deviation_percent", None, 2, |v| v.deviation()),
    column("cleared_after_drop_s", Some(["clear", "s"]), 2, |v| v.cleared()),
    column("first_clear_after_drop_s", None, 2, |v| v.first_clear()),
    column("regained_after_rise_s", Some(["regain", "s"]), 2, |v| v.regained()),
    column("requests_per_second", None, 1, |v| Some(v.record.requests as f64 / v.scenario.lasts.as_secs_f64())),
];

/// The figures of one run or one of its rounds, in the order of [`COLUMNS`].
pub(super) type Figures = Vec<Option<f64>>;

/// Computes them all.
pub(super) fn figures(scenario: &Scenario, record: &Record) -> Figures {
    let view = View::new(scenario, record);
    COLUMNS.iter().map(|column| (column.find)(&view)).collect()
}

/// Median over runs or rounds; a figure that some run does not have counts only those that have it.
pub(super) fn medians<'a>(runs: impl IntoIterator<Item = &'a Figures>) -> Figures {
    each(runs, |values| {
        values.sort_by(f64::total_cmp);
        let n = values.len();
        f64::midpoint(values[(n - 1) / 2], values[n / 2])
    })
}

/// Mean over scenarios, likewise.
pub(super) fn means<'a>(scenarios: impl IntoIterator<Item = &'a Figures>) -> Figures {
    each(scenarios, |values| values.iter().sum::<f64>() / values.len() as f64)
}

fn each<'a>(all: impl IntoIterator<Item = &'a Figures>, combine: impl Fn(&mut [f64]) -> f64) -> Figures {
    let all: Vec<&Figures> = all.into_iter().collect();
    let of = |i: usize| all.iter().filter_map(|figures| figures[i]).collect::<Vec<f64>>();
    (0..COLUMNS.len()).map(of).map(|mut values| (!values.is_empty()).then(|| combine(&mut values))).collect()
}

/// A step of a capacity.
struct Step {
    direction: Direction,
    /// The rows from the step to the next of the same direction.
    rows: core::ops::Range<usize>,
    from: f64,
    to: f64,
}

/// A run with what several figures need.
struct View<'a> {
    scenario: &'a Scenario,
    record: &'a Record,
    /// First row that counts.
    first: usize,
    steps: Vec<Step>,
}

/// The row at or after `at`.
fn row_at(at: Instant) -> usize {
    usize::try_from(at.since(Instant::ZERO).as_nanos().div_ceil(LOOK.as_nanos())).unwrap_or(0).saturating_sub(1)
}

impl<'a> View<'a> {
    fn new(scenario: &'a Scenario, record: &'a Record) -> Self {
        let first = row_at(Instant::ZERO + scenario.from).min(record.rows.len().saturating_sub(1));
        Self { scenario, record, first, steps: steps(scenario, record) }
    }

    fn rows(&self) -> &'a [Row] {
        &self.record.rows[self.first..]
    }

    fn steps(&self, falls: bool) -> impl Iterator<Item = &Step> {
        let counts = move |s: &&Step| if falls { s.to < s.from * (1.0 - STEP) } else { s.to * (1.0 - STEP) > s.from };
        self.steps.iter().filter(counts).filter(|s| s.rows.start >= self.first)
    }

    /// A quantile of the delay of a round trip, while anything is loaded, or else at any time.
    fn felt(&self, part: f64) -> Option<f64> {
        let loaded = |row: &&Row| Direction::BOTH.iter().any(|&d| row.is_loaded(d));
        let mut felt: Vec<f64> = self.rows().iter().filter(loaded).map(Row::felt).collect();
        if felt.is_empty() {
            felt = self.rows().iter().map(Row::felt).collect();
        }
        quantile(felt, part)
    }

    fn added(&self, direction: Direction) -> Option<f64> {
        let loaded = self.rows().iter().filter(|row| row.is_loaded(direction));
        quantile(loaded.map(|row| row.added[direction.index()]).collect(), 0.95)
    }

    fn utilisation(&self, directions: &[Direction]) -> Option<f64> {
        used(&self.record.rows, self.first..self.record.rows.len(), directions)
    }

    /// Use of the line from each fall of the capacity to its next change.
    fn low_utilisation(&self) -> Option<f64> {
        worst(self.steps(true).filter_map(|s| used(&self.record.rows, s.rows.clone(), &[s.direction])), f64::min)
    }

    /// The deepest cut of a loaded direction below what the line carries at the time, and has
    /// carried for [`SETTLED`] before: whoever comes from a lower capacity may still be on the way.
    fn deepest_cut(&self) -> Option<f64> {
        let of = |d: Direction| {
            let (i, ceiling) = (d.index(), self.scenario.line.legs[d.index()].ceiling.as_f64());
            let mut lowest = WindowedMinimum::default();
            let cut = move |(row, seen): (usize, &Row)| {
                let carries = lowest.of(row, seen.capacity[i]).min(ceiling);
                (row >= self.first && seen.is_loaded(d) && seen.limit[i] > 0.0)
                    .then(|| ((1.0 - seen.limit[i] / carries) * 100.0).max(0.0))
            };
            worst(self.record.rows.iter().enumerate().filter_map(cut), f64::max)
        };
        worst(Direction::BOTH.into_iter().filter_map(of), f64::max)
    }

    /// The rate of the directions that nobody uses, in mean or at its lowest.
    fn idle(&self, lowest: bool) -> Option<f64> {
        let part = |d: Direction| {
            let ceiling = self.scenario.line.legs[d.index()].ceiling.as_f64();
            let idle = !self.record.rows.iter().any(|row| row.is_loaded(d));
            let parts = self.rows().iter().map(move |row| row.limit[d.index()] / ceiling * 100.0);
            let mean = |parts: &mut dyn Iterator<Item = f64>| parts.sum::<f64>() / self.rows().len() as f64;
            let mut parts = parts;
            idle.then(|| if lowest { parts.fold(f64::INFINITY, f64::min) } else { mean(&mut parts) })
        };
        worst(Direction::BOTH.into_iter().filter_map(part), f64::min)
    }

    /// Writes a minute, as figures are taken.
    fn writes(&self) -> f64 {
        let begin = time(self.first);
        let minutes = self.rows().len() as f64 * LOOK.as_secs_f64() / 60.0;
        self.record.writes.iter().filter(|&&at| at > begin).count() as f64 / minutes
    }

    /// Whether nothing has happened for long before this row.
    fn is_steady(&self, at: Instant) -> bool {
        let until = self.record.timeline.partition_point(|(t, _)| *t <= at);
        let last = until.checked_sub(1).map_or(Instant::ZERO, |i| self.record.timeline[i].0);
        let starts = Instant::ZERO + self.scenario.control.starts;
        at.since(if at < starts { last } else { last.max(starts) }) >= SETTLED
    }

    fn steady_rows(&self) -> impl Iterator<Item = &Row> {
        let counted = (self.first..).zip(self.rows());
        counted.filter(|(i, _)| self.is_steady(time(*i))).map(|(_, row)| row)
    }

    fn steady_writes(&self) -> Option<f64> {
        let minutes = self.steady_rows().count() as f64 * LOOK.as_secs_f64() / 60.0;
        let begin = time(self.first);
        let writes = self.record.writes.iter().filter(|&&at| at > begin && self.is_steady(at)).count();
        (minutes >= 0.1).then(|| writes as f64 / minutes)
    }

    /// How much the rate of a loaded direction still moves once nothing happens any more, by its
    /// standard deviation, of the worse direction. Each capacity is a case of its own.
    fn deviation(&self) -> Option<f64> {
        let of = |d: Direction| {
            let mut phases: Vec<(f64, Vec<f64>)> = Vec::new();
            for row in self.steady_rows().filter(|row| row.is_loaded(d)) {
                let (capacity, limit) = (row.capacity[d.index()], row.limit[d.index()]);
                match phases.last_mut() {
                    Some((known, limits)) if known.to_bits() == capacity.to_bits() => limits.push(limit),
                    _ => phases.push((capacity, vec![limit])),
                }
            }
            worst(phases.iter().map(|(_, limits)| relative_deviation(limits) * 100.0), f64::max)
        };
        worst(Direction::BOTH.into_iter().filter_map(of), f64::max)
    }

    /// From a fall of the capacity to the last moment with a high delay, at most to the next
    /// change: below it *and staying there*.
    fn cleared(&self) -> Option<f64> {
        let after = |s: &Step| {
            let rows = &self.record.rows[s.rows.clone()];
            seconds(rows.iter().rposition(|row| row.felt() >= CLEAR_MS).map_or(0, |i| i + 1))
        };
        worst(self.steps(true).map(after), f64::max)
    }

    /// From a fall of the capacity to the first low delay after the first high one.
    fn first_clear(&self) -> Option<f64> {
        let after = |s: &Step| {
            let rows = &self.record.rows[s.rows.clone()];
            let risen = rows.iter().position(|row| row.felt() >= CLEAR_MS).unwrap_or(0);
            let cleared = rows[risen..].iter().position(|row| row.felt() < CLEAR_MS).unwrap_or(rows.len() - risen);
            seconds(if risen + cleared > 0 { risen + cleared } else { 0 })
        };
        worst(self.steps(true).map(after), f64::max)
    }

    /// From a rise of the capacity to the first moment at which the line carries most of it, at
    /// most to the next change.
    fn regained(&self) -> Option<f64> {
        let after = |s: &Step| {
            let (i, rows) = (s.direction.index(), &self.record.rows);
            let carries = |&row: &usize| achieved(rows, row, i) >= REGAINED * s.to;
            seconds(s.rows.clone().find(carries).map_or(s.rows.len(), |row| row - s.rows.start))
        };
        worst(self.steps(false).map(after), f64::max)
    }
}

/// The lowest of the values of the last [`SETTLED`].
#[derive(Default)]
struct WindowedMinimum {
    /// Rows and values, both rising.
    candidates: VecDeque<(usize, f64)>,
}

impl WindowedMinimum {
    /// Takes the value of the next row.
    fn of(&mut self, row: usize, value: f64) -> f64 {
        while self.candidates.back().is_some_and(|(_, last)| *last >= value) {
            self.candidates.pop_back();
        }
        self.candidates.push_back((row, value));
        while self.candidates.front().is_some_and(|(first, _)| time(row).since(time(*first)) > SETTLED) {
            self.candidates.pop_front();
        }
        self.candidates.front().map_or(value, |(_, lowest)| *lowest)
    }
}

/// Achieved rate around a row (bit/s): the average over the last [`AVERAGE_ROWS`].
pub(super) fn achieved(rows: &[Row], row: usize, direction: usize) -> f64 {
    let before = row.saturating_sub(AVERAGE_ROWS);
    let bytes = rows[row].delivered[direction] - rows[before].delivered[direction];
    if row > before { bytes * 8.0 / ((row - before) as f64 * LOOK.as_secs_f64()) } else { 0.0 }
}

/// Steps of capacity under load, each up to the next.
fn steps(scenario: &Scenario, record: &Record) -> Vec<Step> {
    let mut found: Vec<Step> = Vec::new();
    let mut capacity = scenario.line.legs.map(|leg| leg.capacity.as_f64());
    // Walks are no steps: there is no time between their changes to clear or to regain anything.
    let walked = |d: Direction| {
        let is = |walk: &Walk| matches!(walk.of, Walked::Capacity(of, _) if of == d);
        scenario.walks.iter().any(is)
    };
    let end = record.rows.len();
    for (at, what) in &record.timeline {
        let Happening::Capacity(direction, rate) = *what else { continue };
        let start = row_at(*at).min(end);
        if let Some(last) = found.iter_mut().rev().find(|step| step.direction == direction) {
            last.rows.end = start;
        }
        let from = core::mem::replace(&mut capacity[direction.index()], rate.as_f64());
        let loaded = record.rows.get(start).is_some_and(|row| row.is_loaded(direction));
        if loaded && !walked(direction) {
            found.push(Step { direction, rows: start..end, from, to: rate.as_f64() });
        }
    }
    found
}

/// Bytes delivered as part of what was possible and asked for, while it was (in percent).
fn used(rows: &[Row], range: core::ops::Range<usize>, directions: &[Direction]) -> Option<f64> {
    let (mut delivered, mut wanted) = (0.0, 0.0);
    for &direction in directions {
        let i = direction.index();
        for pair in rows[range.clone()].windows(2).filter(|pair| pair[1].is_loaded(direction)) {
            let asked = pair[1].demand[i] / 8.0 * LOOK.as_secs_f64();
            delivered += pair[1].delivered[i] - pair[0].delivered[i];
            wanted += (pair[1].possible[i] - pair[0].possible[i]).min(asked);
        }
    }
    (wanted > 0.0).then(|| delivered / wanted * 100.0)
}

fn seconds(rows: usize) -> f64 {
    rows as f64 * LOOK.as_secs_f64()
}

fn worst(values: impl Iterator<Item = f64>, worse: fn(f64, f64) -> f64) -> Option<f64> {
    values.reduce(worse)
}

fn quantile(mut values: Vec<f64>, part: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the length")]
    let place = (values.len() as f64 * part) as usize;
    values.get(place.min(values.len().saturating_sub(1))).copied()
}

/// Standard deviation as part of the mean.
fn relative_deviation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
    if mean > 0.0 { libm::sqrt(variance) / mean } else { 0.0 }
}
