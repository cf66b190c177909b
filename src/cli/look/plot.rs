//! `wanctl plot`: what the page shows of one WAN's past as a picture, from a running daemon or a saved CSV.

use crate::cli::svg::{BAND, GAP, LEFT, Page, RIGHT, rate_text, scale, whole};
use crate::types::State;
use std::fmt::Write as _;

const TOP: f64 = 80.0;
const HEIGHT: f64 = 170.0;

/// A gap in the records this many times as long as their usual distance is shown as one.
const MISSING: f64 = 5.0;

/// One record; what is not known is NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Row {
    time: f64,
    limit: [f64; 2],
    achieved: [f64; 2],
    delay: f64,
    worst: f64,
    states: [Option<State>; 2],
}

/// The picture of a table as `/history` gives it, or why there is none.
pub(super) fn svg(title: &str, csv: &str) -> Result<String, String> {
    let rows = rows(csv)?;
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return Err("there is nothing in it yet".to_owned());
    };
    let begin = first.time;
    let length = (last.time - begin).max(1.0);
    let bottom = TOP + 3.0 * (HEIGHT + GAP) + 2.0 * BAND;
    let mut page = Page::new(bottom + 30.0, length);
    page.words([LEFT, 30.0], "h", "start", title);
    let span = format!("{} to {} UTC", moment(begin), moment(last.time));
    page.words([LEFT, 50.0], "s", "start", &span);
    let rows: Vec<Row> = rows.into_iter().map(|row| Row { time: row.time - begin, ..row }).collect();
    for (i, name) in ["download", "upload"].into_iter().enumerate() {
        let top = TOP + if i == 0 { 0.0 } else { HEIGHT + GAP + BAND };
        rates(&mut page, &rows, i, name, top);
    }
    delays(&mut page, &rows, TOP + 2.0 * (HEIGHT + GAP + BAND));
    let (unit, seconds) = if length > 3.0 * 86_400.0 {
        ("days", 86_400.0)
    } else if length > 3.0 * 3_600.0 {
        ("hours", 3_600.0)
    } else if length > 300.0 {
        ("minutes", 60.0)
    } else {
        ("seconds", 1.0)
    };
    page.time_axis(bottom - GAP, unit, seconds);
    page.states(bottom - GAP);
    Ok(page.finish())
}

/// The rows, by the names of their columns: others may be there as well, in any order.
fn rows(csv: &str) -> Result<Vec<Row>, String> {
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().unwrap_or("").split(',').map(str::trim).collect();
    let place = |name: &str| {
        names.iter().position(|n| *n == name).ok_or_else(|| format!("no column {name}: this is no table of /history"))
    };
    let numbers = [
        "time_s",
        "download_limit_kbps",
        "upload_limit_kbps",
        "download_achieved_kbps",
        "upload_achieved_kbps",
        "delay_ms",
        "worst_delay_ms",
    ];
    let numbers = numbers.map(place).into_iter().collect::<Result<Vec<usize>, String>>()?;
    let states = [place("download_state")?, place("upload_state")?];
    let mut rows: Vec<Row> = Vec::new();
    for (n, line) in lines.enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let number = |i: usize| cells.get(numbers[i]).and_then(|cell| cell.parse::<f64>().ok()).unwrap_or(f64::NAN);
        let state = |i: usize| {
            let cell = cells.get(states[i]).copied().unwrap_or("");
            [State::Green, State::Yellow, State::SoftRed, State::Red].into_iter().find(|state| state.name() == cell)
        };
        let time = number(0);
        if !time.is_finite() || rows.last().is_some_and(|last| time < last.time) {
            return Err(format!("line {}: \"{}\" is no time, or before the one above", n + 2, cells[0]));
        }
        rows.push(Row {
            time,
            limit: [number(1) * 1e3, number(2) * 1e3],
            achieved: [number(3) * 1e3, number(4) * 1e3],
            delay: number(5),
            worst: number(6),
            states: [state(0), state(1)],
        });
    }
    Ok(rows)
}

fn rates(page: &mut Page, rows: &[Row], i: usize, name: &str, top: f64) {
    let highest =
        rows.iter().flat_map(|row| [row.limit[i], row.achieved[i]]).filter(|r| r.is_finite()).fold(1.0, f64::max);
    let (step, most) = scale(highest * 1.05);
    let bottom = top + HEIGHT;
    let y = |rate: f64| bottom - HEIGHT * (rate / most).min(1.0);
    page.axis([step, most], rate_text, &y);
    curve(page, rows, "achieved", |row| y(row.achieved[i]));
    curve(page, rows, "limit", |row| y(row.limit[i]));
    page.line("axis", [LEFT, bottom], [RIGHT, bottom]);
    page.words([LEFT, top - 6.0], "", "start", &format!("{name}, Mbit/s"));
    page.legend(&[("#1967d2", "shaper"), ("#188038", "achieved")], top - 6.0);
    let longest = usual(rows) * MISSING;
    let mut rest = rows;
    while let [first, ..] = rest {
        // As long as it stays the same, and nothing is missing.
        let changes = |pair: &[Row]| pair[1].states[i] != first.states[i] || pair[1].time - pair[0].time > longest;
        let last = rest.windows(2).position(changes).unwrap_or(rest.len() - 1);
        let end = rest.get(last + 1).map_or(rest[last].time, |next| next.time.min(rest[last].time + longest));
        if let Some(state) = first.states[i] {
            page.state(bottom + 4.0, [first.time, end], state);
        }
        rest = &rest[last + 1..];
    }
}

fn delays(page: &mut Page, rows: &[Row], top: f64) {
    let highest = rows.iter().map(|row| row.worst).filter(|ms| ms.is_finite()).fold(10.0, f64::max);
    let (step, most) = scale(highest * 1.05);
    let bottom = top + HEIGHT;
    let y = |ms: f64| bottom - HEIGHT * (ms / most).min(1.0);
    page.axis([step, most], whole, &y);
    curve(page, rows, "up", |row| y(row.worst));
    curve(page, rows, "down", |row| y(row.delay));
    page.line("axis", [LEFT, bottom], [RIGHT, bottom]);
    page.words([LEFT, top - 6.0], "", "start", "delay above baseline, ms");
    page.legend(&[("#1967d2", "median"), ("#e8710a", "worst")], top - 6.0);
}

/// The usual time between two records.
fn usual(rows: &[Row]) -> f64 {
    let mut gaps: Vec<f64> = rows.windows(2).map(|pair| pair[1].time - pair[0].time).collect();
    gaps.sort_by(f64::total_cmp);
    gaps.get(gaps.len() / 2).copied().unwrap_or(1.0)
}

/// A line through what is known; it breaks where something is not, or time is missing.
fn curve(page: &mut Page, rows: &[Row], class: &str, y: impl Fn(&Row) -> f64) {
    let usual = usual(rows);
    let mut path = String::new();
    let mut before: Option<f64> = None;
    for row in rows {
        let here = y(row);
        if !here.is_finite() {
            before = None;
            continue;
        }
        let joins = before.is_some_and(|time| row.time - time <= usual * MISSING);
        let _ = write!(path, "{}{:.1} {here:.1}", if joins { 'L' } else { 'M' }, page.x(row.time));
        before = Some(row.time);
    }
    let _ = writeln!(page.text, "<path class=\"{class}\" d=\"{path}\"/>");
}

/// Date and time of a Unix time.
fn moment(seconds: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time since 1970")]
    let whole = seconds.max(0.0) as u64;
    let mut line = crate::observe::Line::new();
    let _ = crate::observe::write_time(&mut line, whole);
    line.replace('T', " ").trim_end_matches('Z').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "time_s,download_limit_kbps,upload_limit_kbps,download_achieved_kbps,upload_achieved_kbps,delay_ms,\
                        worst_delay_ms,baseline_ms,download_state,upload_state,signal,steering_score";

    #[test]
    fn a_table_becomes_a_picture() {
        let mut csv = format!("{HEAD}\n");
        for i in 0..200 {
            // A hole of a minute, and a while without statistics.
            let time = 1_795_435_200 + i + if i >= 100 { 60 } else { 0 };
            let achieved = if i % 50 < 10 { "" } else { "12345" };
            let state = if i % 7 == 0 { "RED" } else { "GREEN" };
            csv += &format!("{time},40000,14000,{achieved},{achieved},3.5,9,20,{state},GREEN,good,\n");
        }
        let svg = svg("cable <1>", &csv).unwrap();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && !svg.contains("NaN"), "{svg}");
        for words in ["cable &lt;1>", "2026-11-23 12:00:00 to 2026-11-23 12:04:19 UTC", "download, Mbit/s", "#d93025"] {
            assert!(svg.contains(words), "{words}");
        }
        // The hole breaks every line: the shaper's begins twice.
        let limit = svg.lines().find(|line| line.contains("class=\"limit\"")).unwrap();
        assert_eq!(limit.matches('M').count(), 2, "{limit}");
    }

    #[test]
    fn what_is_no_table_is_told() {
        assert_eq!(svg("x", "a,b\n1,2").unwrap_err(), "no column time_s: this is no table of /history");
        assert_eq!(svg("x", HEAD).unwrap_err(), "there is nothing in it yet");
        assert!(svg("x", &format!("{HEAD}\nten,1,1,1,1,1,1,1,GREEN,GREEN,good,")).unwrap_err().starts_with("line 2"));
    }
}
