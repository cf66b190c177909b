//! One run as a picture: rates of both directions, states, and delay on one axis of time.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "coordinates on a page"
)]

use super::Case;
use super::figures::{COLUMNS, Figures, achieved};
use super::record::{LOOK, Record, Row, time};
use crate::cli::svg::{BAND, GAP, LEFT, Page, RIGHT, rate_text, scale};
use crate::config::scenario::{Happening, Scenario};
use crate::types::{Direction, Duration, Instant, State};
use std::fmt::Write as _;

/// Highest and lowest delay shown (ms): the axis is logarithmic.
const DELAYS: [f64; 2] = [1.0, 4000.0];

/// Where the first panel begins, and how high the panels are.
const TOP: f64 = 130.0;
const RATE_HEIGHT: f64 = 190.0;
const DELAY_HEIGHT: f64 = 200.0;

/// More events than this are not named.
const MOST_NAMES: usize = 14;

/// The picture.
pub(super) fn svg(case: &Case<'_>, record: &Record, figures: &Figures) -> String {
    let delay_top = TOP + 2.0 * (RATE_HEIGHT + BAND + GAP);
    let height = delay_top + DELAY_HEIGHT + 60.0;
    let mut page = Page::new(height, case.scenario.lasts.as_secs_f64());
    page.title(case, figures);
    page.events(case.scenario, record, delay_top + DELAY_HEIGHT);
    for direction in Direction::BOTH {
        let i = direction.index();
        let top = TOP + i as f64 * (RATE_HEIGHT + BAND + GAP);
        page.rates(record, direction, top);
        page.bands(record, i, top + RATE_HEIGHT + 4.0);
    }
    page.delays(record, delay_top);
    page.time_axis(delay_top + DELAY_HEIGHT, "seconds", 1.0);
    page.states(delay_top + DELAY_HEIGHT);
    page.finish()
}

impl Page {
    /// Name, meaning, and the figures of the table in a line.
    fn title(&mut self, case: &Case<'_>, figures: &Figures) {
        let name = format!("{} — {}", case.scenario.name, case.contender.name());
        self.words([LEFT, 30.0], "h", "start", &name);
        let round = if case.rounds > 1 { format!(", round {}", case.rounds) } else { String::new() };
        self.words([LEFT, 50.0], "s", "start", &format!("{} (seed {}{round})", case.scenario.about, case.seed));
        let mut line = String::new();
        for (column, value) in COLUMNS.iter().zip(figures) {
            if let (Some([name, unit]), Some(value)) = (column.heading, value) {
                let space = if line.is_empty() { "" } else { "   ·   " };
                let _ = write!(line, "{space}{name} {value:.*} {unit}", column.digits);
            }
        }
        self.words([LEFT, 70.0], "s", "start", &line);
    }

    /// A thin line through all panels for everything the scenario says happens.
    fn events(&mut self, scenario: &Scenario, record: &Record, bottom: f64) {
        // Those of walks are too many, and are seen in what they change.
        if scenario.events.len() > 60 {
            return;
        }
        let listed = |what: &Happening| scenario.events.iter().any(|event| event.what == *what);
        let events: Vec<_> = record.timeline.iter().filter(|(_, what)| listed(what)).collect();
        for (n, (at, what)) in events.iter().enumerate() {
            let x = self.x(at.since(Instant::ZERO).as_secs_f64());
            self.line("event", [x, 80.0], [x, bottom]);
            if events.len() <= MOST_NAMES {
                let y = 90.0 + 12.0 * (n % 2) as f64;
                self.words([x + 3.0, y], "e", "start", &name(what));
            }
        }
    }

    /// Capacity, rate of the shaper and achieved rate of one direction.
    fn rates(&mut self, record: &Record, direction: Direction, top: f64) {
        let i = direction.index();
        let rows = &record.rows;
        let highest = rows.iter().map(|row| row.capacity[i].max(row.limit[i])).fold(1.0, f64::max);
        let (step, most) = scale(highest * 1.05);
        let bottom = top + RATE_HEIGHT;
        let y = |rate: f64| bottom - RATE_HEIGHT * (rate / most).min(1.0);
        self.axis([step, most], rate_text, &y);
        let capacity = self.steps(rows, |row| y(row.capacity[i]));
        let _ = writeln!(self.text, "<path class=\"capacity\" d=\"{capacity}V{bottom:.1}H{LEFT:.1}Z\"/>");
        let columns = self.columns(rows.len());
        let points: Vec<_> = columns.iter().map(|&(x, _, last)| (x, y(achieved(rows, last, i)))).collect();
        self.path("achieved", &points);
        let limit = self.steps(rows, |row| y(if row.limit[i] > 0.0 { row.limit[i] } else { most }));
        let _ = writeln!(self.text, "<path class=\"limit\" d=\"{limit}\"/>");
        self.line("axis", [LEFT, bottom], [RIGHT, bottom]);
        let words = format!("{}, Mbit/s", direction.name());
        self.words([LEFT, top - 6.0], "", "start", &words);
        let legend = [("#9aa0a6", "capacity"), ("#1967d2", "shaper"), ("#188038", "achieved")];
        self.legend(&legend, top - 6.0);
    }

    /// States of one direction as a band of colours.
    fn bands(&mut self, record: &Record, i: usize, top: f64) {
        let mut spans: Vec<(Instant, Instant, State)> = Vec::new();
        for said in &record.said {
            match spans.last_mut() {
                Some(last) if last.2 == said.states[i] => last.1 = said.at,
                Some(last) => {
                    last.1 = said.at;
                    spans.push((said.at, said.at, said.states[i]));
                }
                None => spans.push((said.at, said.at, said.states[i])),
            }
        }
        for (from, to, state) in spans {
            self.state(top, [from, to].map(seconds), state);
        }
    }

    /// What a sparse packet waits for, in each direction.
    fn delays(&mut self, record: &Record, top: f64) {
        let bottom = top + DELAY_HEIGHT;
        let [low, high] = DELAYS.map(libm::log10);
        let y = |ms: f64| bottom - DELAY_HEIGHT * ((libm::log10(ms.max(DELAYS[0])) - low) / (high - low)).min(1.0);
        for mark in [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0] {
            self.line("grid", [LEFT, y(mark)], [RIGHT, y(mark)]);
            self.words([LEFT - 6.0, y(mark) + 4.0], "", "end", &format!("{mark:.0}"));
        }
        self.line("goal", [LEFT, y(30.0)], [RIGHT, y(30.0)]);
        let columns = self.columns(record.rows.len());
        for (i, class) in ["down", "up"].into_iter().enumerate() {
            let worst = |first: usize, last: usize| {
                record.rows[first..=last].iter().map(|row| row.added[i]).fold(0.0, f64::max)
            };
            let points: Vec<_> = columns.iter().map(|&(x, first, last)| (x, y(worst(first, last)))).collect();
            self.path(class, &points);
        }
        self.line("axis", [LEFT, bottom], [RIGHT, bottom]);
        self.words([LEFT, top - 6.0], "", "start", "added delay, ms");
        self.legend(&[("#1967d2", "download"), ("#e8710a", "upload")], top - 6.0);
    }

    /// One entry for each pixel: its place, and the first and last row in it.
    fn columns(&self, rows: usize) -> Vec<(f64, usize, usize)> {
        let pixels = ((RIGHT - LEFT) as usize).min(rows);
        let row = |pixel: usize| pixel * rows / pixels.max(1);
        let place = |last: usize| self.x(time(last).since(Instant::ZERO).as_secs_f64());
        (0..pixels).map(|p| (place(row(p + 1) - 1), row(p), row(p + 1) - 1)).collect()
    }

    /// A path of horizontal and vertical lines.
    fn steps(&self, rows: &[Row], y: impl Fn(&Row) -> f64) -> String {
        let mut path = String::new();
        let mut before = f64::NAN;
        let pixel = (self.end / (RIGHT - LEFT) / LOOK.as_secs_f64() / 2.0).max(1.0) as usize;
        for (i, row) in rows.iter().enumerate().step_by(pixel) {
            let here = y(row);
            if i == 0 {
                let _ = write!(path, "M{LEFT:.1} {here:.1}");
            } else if (here - before).abs() >= 0.05 {
                let _ = write!(path, "H{:.1}V{here:.1}", self.x(seconds(time(i))));
            } else {
                continue;
            }
            before = here;
        }
        let _ = write!(path, "H{RIGHT:.1}");
        path
    }
}

fn seconds(at: Instant) -> f64 {
    at.since(Instant::ZERO).as_secs_f64()
}

/// What happens, in a word or two.
fn name(what: &Happening) -> String {
    let arrow = |direction: &Direction| if *direction == Direction::Download { "↓" } else { "↑" };
    let time = |time: &Duration| format!("{:.0} ms", time.as_secs_f64() * 1e3);
    match what {
        Happening::Capacity(d, rate) => format!("{} {rate}", arrow(d)),
        Happening::Flows(d, n) => format!("{} {n} flows", arrow(d)),
        Happening::Pages(d, n) => format!("{} {n} pages/s", arrow(d)),
        Happening::Stream(d, rate) => format!("{} stream {rate}", arrow(d)),
        Happening::BaseRtt(rtt) => format!("path {}", time(rtt)),
        Happening::Jitter(mean) => format!("jitter {}", time(mean)),
        Happening::Loss(part) => format!("loss {:.1} %", part * 100.0),
        Happening::Connected(on) => if *on { "line on" } else { "line cut" }.to_owned(),
        Happening::Router(trouble, _) => format!("router {trouble:?}").to_lowercase(),
        Happening::Reflectors(..) => "reflectors".to_owned(),
    }
}
