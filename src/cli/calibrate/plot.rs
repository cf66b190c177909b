//! The evidence as a picture: limits and what passed, and the delay, over time.

use super::search::Search;
use crate::cli::svg::{GAP, LEFT, Page, RIGHT, rate_text, scale, whole};
use crate::types::{Direction, Duration, Instant};

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
        let achieved = search.series().rates(direction, PIECE);
        let most = achieved.iter().map(|(_, rate)| *rate).fold(1e5, f64::max);
        let (step, most) = scale(most * 1.1);
        let y = |rate: f64| top + HEIGHT - HEIGHT * (rate / most).min(1.0);
        page.axis([step, most], rate_text, &y);
        let points: Vec<_> = achieved.iter().map(|(at, rate)| (page.x(seconds(*at)), y(*rate))).collect();
        page.path("achieved", &points);
        let limits = search.series().limits(direction);
        let ends = limits.iter().skip(1).map(|(at, _)| seconds(*at)).chain([last]);
        // A limit beyond the picture, or none at all, is its upper edge.
        let height = |bps: f64| y(if bps > 0.0 { bps } else { most });
        let steps = limits.iter().zip(ends);
        let steps = steps.flat_map(|((at, limit), end)| [seconds(*at), end].map(|t| (t, height(limit.as_f64()))));
        let points: Vec<_> = steps.map(|(t, y)| (page.x(t), y)).collect();
        page.path("limit", &points);
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
    page.axis([step, most], whole, &y);
    let points: Vec<_> = delays.iter().map(|(at, delay)| (page.x(at.since(start).as_secs_f64()), y(*delay))).collect();
    page.path("up", &points);
    page.words([LEFT, top - 6.0], "", "start", "delay above the idle line, ms");
    page.time_axis(bottom, "seconds", 1.0);
}
