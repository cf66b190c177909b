//! The evidence as a picture: limits and what passed, and the delay, over time.

use super::search::Search;
use crate::cli::svg::{GAP, LEFT, Page, RIGHT, scale};
use crate::types::{Direction, Duration, Instant};
use std::fmt::Write as _;

/// Height of a panel, and of the title above.
const HEIGHT: f64 = 200.0;
const TITLE: f64 = 50.0;

/// What passed is shown as means over so much time.
const PIECE: Duration = Duration::from_millis(500);

/// The picture of a calibration that lasted from `start` to `end`.
#[must_use]
pub fn svg(name: &str, search: &Search, start: Instant, end: Instant) -> String {
    let seconds = |at: Instant| at.since(start).as_secs_f64();
    let mut page = Page::new(TITLE + 3.0 * (HEIGHT + GAP) + 30.0, seconds(end).max(1.0));
    page.words([LEFT, 28.0], "h", "start", &format!("{name}: calibration"));
    let mut top = TITLE + 10.0;
    let last = page.end;
    for direction in Direction::BOTH {
        let achieved: Vec<_> =
            search.series().rates(direction, PIECE).iter().map(|(at, r)| (seconds(*at), *r)).collect();
        let most = achieved.iter().map(|(_, rate)| *rate).fold(1e5, f64::max);
        let (step, most) = scale(most * 1.1);
        let y = |rate: f64| top + HEIGHT - HEIGHT * (rate / most).min(1.0);
        page.rate_axis([step, most], y);
        curve(&mut page, "achieved", achieved.iter().map(|(t, rate)| [*t, y(*rate)]));
        let limits = search.series().limits(direction);
        let ends = limits.iter().skip(1).map(|(at, _)| seconds(*at)).chain([last]);
        // A limit beyond the picture, or none at all, is its upper edge.
        let height = |bps: f64| y(if bps > 0.0 { bps } else { most });
        let steps = limits.iter().zip(ends);
        let steps = steps.flat_map(|((at, limit), end)| [seconds(*at), end].map(|t| [t, height(limit.as_f64())]));
        curve(&mut page, "limit", steps);
        if let Some(found) = search.found(direction) {
            page.line("goal", [LEFT, y(found.ceiling)], [RIGHT, y(found.ceiling)]);
        }
        page.words([LEFT, top - 6.0], "", "start", &format!("{}, Mbit/s", direction.name()));
        page.legend(&[("#1967d2", "limit"), ("#188038", "passed"), ("#d93025", "proposed")], top - 6.0);
        top += HEIGHT + GAP;
    }
    delays(&mut page, search, [start, end], top);
    page.finish()
}

fn delays(page: &mut Page, search: &Search, [start, end]: [Instant; 2], top: f64) {
    let delays = search.idle().map(|idle| search.series().delays(idle, start, end)).unwrap_or_default();
    let (step, most) = scale(delays.iter().map(|(_, delay)| *delay).fold(10.0, f64::max));
    let bottom = top + HEIGHT;
    let y = |ms: f64| bottom - HEIGHT * (ms / most).clamp(0.0, 1.0);
    let mut mark = 0.0;
    while mark <= most * 1.0001 {
        page.line("grid", [LEFT, y(mark)], [RIGHT, y(mark)]);
        page.words([LEFT - 6.0, y(mark) + 4.0], "", "end", &format!("{mark:.0}"));
        mark += step;
    }
    curve(page, "up", delays.iter().map(|(at, delay)| [at.since(start).as_secs_f64(), y(*delay)]));
    page.words([LEFT, top - 6.0], "", "start", "delay above the idle line, ms");
    let (step, _) = scale(page.end);
    let mut mark = 0.0;
    while mark <= page.end {
        let x = page.x(mark);
        page.line("axis", [x, bottom], [x, bottom + 5.0]);
        page.words([x, bottom + 19.0], "", "middle", &format!("{mark:.0} s"));
        mark += step;
    }
}

/// A line through points: seconds, height on the page.
fn curve(page: &mut Page, class: &str, points: impl Iterator<Item = [f64; 2]>) {
    let mut path = String::new();
    for [seconds, y] in points {
        let _ = write!(path, "{}{:.1} {y:.1}", if path.is_empty() { 'M' } else { 'L' }, page.x(seconds));
    }
    let _ = writeln!(page.text, "<path class=\"{class}\" d=\"{path}\"/>");
}
