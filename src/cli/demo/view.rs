//! What people are shown of a moment: as a picture that fits 80 columns and 24 lines, redrawn in
//! place, or as a line of plain text.

use super::paint::{Colour, Paint};
use super::record::{COLUMNS, Record, TOLERABLE_MS, column};
use super::scenes::{SCENES, begin, length};
use super::stage::CONTRACT;
use crate::types::{Bitrate, Direction, Duration, State};

/// Lines of the picture: one less than a terminal has.
pub(super) const LINES: usize = 23;

/// Columns of the picture.
const WIDTH: usize = 79;

/// How many events are shown.
pub(super) const EVENTS: usize = 3;

/// Columns of the bar of a direction.
const BAR: usize = 28;

/// Lower ends of the rows of the delay picture, in milliseconds: half a decade each.
const ROWS: [f64; 6] = [316.0, 100.0, 31.6, 10.0, 3.16, 1.0];

/// Upper ends of the same rows, as text.
const ROW_LABELS: [&str; 6] = ["1000 ms", "300", "100", "30", "10", "3"];

/// What an added delay feels like: up to so many milliseconds.
const FELT: [(f64, Colour, &str); 4] = [
    (30.0, Colour::Green, "nobody notices"),
    (TOLERABLE_MS, Colour::Yellow, "calls run smoothly, a fast game feels it"),
    (250.0, Colour::Red, "people on a call talk over each other"),
    (f64::INFINITY, Colour::Red, "a video call would freeze"),
];

/// A moment of the show.
pub(super) struct Moment<'a> {
    /// Since the beginning.
    pub(super) at: Duration,
    /// Which scene.
    pub(super) scene: usize,
    /// What was seen so far.
    pub(super) record: &'a Record,
    /// Congestion states, when wanctl runs: download, upload.
    pub(super) states: Option<[State; 2]>,
    /// The router's limits.
    pub(super) limits: [Bitrate; 2],
    /// What the line could carry.
    pub(super) capacity: [Bitrate; 2],
    /// What wanctl says, the newest last: seconds ago, and the text.
    pub(super) events: Vec<(f64, String)>,
}

/// Minutes and seconds.
fn clock(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

/// Colour and words for an added delay.
fn felt(delay: f64) -> (Colour, &'static str) {
    let (_, colour, words) = FELT.iter().find(|(below, ..)| delay < *below).unwrap_or(&FELT[FELT.len() - 1]);
    (*colour, words)
}

/// Megabits per second with one digit.
fn mbps(bps: f64) -> String {
    format!("{:.1}", bps / 1e6)
}

/// What precedes the lines of plain text.
pub(super) const PLAIN_LEGEND: &str = "\
wanctl demo: the real daemon on a simulated home line, in real time.
A line a second: the worst added delay in it; per direction what is carried, of what
the line could carry, and the limit the router has (Mbit/s).
";

/// One line of plain text.
pub(super) fn plain(moment: &Moment<'_>) -> String {
    let delay = moment.record.worst_delay().unwrap_or(0.0);
    let carried = moment.record.carried();
    let direction = |d: Direction| {
        let i = d.index();
        let state = moment.states.map_or("-", |states| states[i].name());
        let [carried, line, limit] = [carried[i], moment.capacity[i].as_f64(), moment.limits[i].as_f64()].map(mbps);
        format!("{state:<8} {carried:>5} of {line:>4}, limit {limit:>5}")
    };
    format!(
        "{:>4}  +{delay:>3.0} ms  down {}  up {}",
        clock(moment.at),
        direction(Direction::Download),
        direction(Direction::Upload)
    )
}

/// The picture, line by line.
pub(super) fn picture(moment: &Moment<'_>, paint: Paint) -> Vec<String> {
    let mut lines = Vec::with_capacity(LINES);
    let scene = &SCENES[moment.scene];
    let title = "wanctl demo: the real daemon, a simulated line, real time";
    let time = format!("{} of {}", clock(moment.at), clock(length()));
    lines.push(format!("{}{time:>width$}", paint.bold(title), width = WIDTH - title.len()));
    lines.push(paint.dim(&"─".repeat(WIDTH)));
    lines.push(paint.bold(&format!("Scene {} of {}: {}", moment.scene + 1, SCENES.len(), scene.title)));
    lines.extend(scene.story.iter().map(|line| (*line).to_owned()));
    lines.push(String::new());
    lines.push(headline(moment, paint));
    lines.extend(graph(moment.record, Some(moment.scene), paint));
    lines.push(String::new());
    lines.push(paint.dim(&format!(
        "{:<10}{:<10}{:<BAR$}{:>10}{:>6}{:>7}  Mbit/s",
        "", "state", "█ carried  ░ unused  ┃ limit", "carried", "line", "limit"
    )));
    lines.extend(Direction::BOTH.map(|direction| direction_row(moment, direction, paint)));
    lines.push(paint.dim(&format!("─ what wanctl says {}", "─".repeat(WIDTH - 19))));
    lines.extend(events(moment, paint));
    lines.resize(LINES, String::new());
    lines
}

/// The worst delay of the last second, and what it feels like.
fn headline(moment: &Moment<'_>, paint: Paint) -> String {
    let Some(delay) = moment.record.worst_delay() else { return "Added delay: measuring…".to_owned() };
    let (colour, words) = felt(delay);
    let number = paint.bold_in(colour, &format!("{delay:>4.0} ms"));
    format!("Added delay {number}   {}", paint.colour(colour, words))
}

/// The delay of the whole show so far; the number of the scene `now` stands out.
pub(super) fn graph(record: &Record, now: Option<usize>, paint: Paint) -> Vec<String> {
    let rows = (0..ROWS.len()).map(|row| graph_row(record, row, paint));
    rows.chain([scene_marks(now, paint), spans(paint)]).collect()
}

/// One row of the picture of the delay: each column is the worst of about a second.
fn graph_row(record: &Record, row: usize, paint: Paint) -> String {
    const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let mut line = paint.dim(&format!("{:>7} ", ROW_LABELS[row]));
    for delay in record.columns() {
        let Some(delay) = *delay else {
            line.push(' ');
            continue;
        };
        // Half a decade a row, on a logarithmic scale; the lowest row is never empty.
        let part = libm::log10(delay.max(1e-3) / ROWS[row]) * 2.0;
        let least = if row + 1 == ROWS.len() { 1.0 } else { 0.0 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 8")]
        let eighths = (part * 8.0).clamp(least, 8.0) as usize;
        line.push_str(&paint.colour(felt(delay).0, EIGHTHS[eighths].encode_utf8(&mut [0; 4])));
    }
    line
}

/// The numbers of the scenes below the picture of the delay; the present one stands out.
fn scene_marks(now: Option<usize>, paint: Paint) -> String {
    let mut line = " ".repeat(8);
    let mut at = 0;
    for scene in 0..SCENES.len() {
        let place = column(begin(scene));
        line.push_str(&" ".repeat(place - at));
        let mark = format!("{}", scene + 1);
        line.push_str(&if Some(scene) == now { paint.invert(&mark) } else { paint.dim(&mark) });
        at = place + mark.len();
    }
    line
}

/// Which part of the show is without wanctl, and which with it.
fn spans(paint: Paint) -> String {
    let split = column(begin(SCENES.iter().position(|scene| scene.controlled).unwrap_or(0)));
    let span = |colour, text: &str, width: usize| {
        let dashes = width.saturating_sub(text.chars().count() + 4);
        let (left, right) = (dashes / 2, dashes - dashes / 2);
        paint.colour(colour, &format!("├{} {text} {}┤", "─".repeat(left), "─".repeat(right)))
    };
    let without = span(Colour::Red, "without wanctl", split);
    format!("{:8}{without}{}", "", span(Colour::Green, "with wanctl", COLUMNS - split))
}

/// State, bar and figures of a direction.
fn direction_row(moment: &Moment<'_>, direction: Direction, paint: Paint) -> String {
    let i = direction.index();
    let full = CONTRACT[i].as_f64();
    let (carried, line, limit) = (moment.record.carried()[i], moment.capacity[i].as_f64(), moment.limits[i].as_f64());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "0 to 28")]
    let cells = |rate: f64| (rate / full * BAR as f64).round().clamp(0.0, BAR as f64) as usize;
    let mark = cells(limit).min(BAR - 1);
    let mut bar = String::new();
    for cell in 0..BAR {
        bar.push_str(&match cell {
            _ if cell == mark => paint.bold("┃"),
            _ if cell < cells(carried) => paint.colour(Colour::Cyan, "█"),
            _ if cell < cells(line) => paint.dim("░"),
            _ => " ".to_owned(),
        });
    }
    let state = match moment.states {
        None => paint.dim(&format!("{:<10}", "-")),
        Some(states) => paint.colour(state_colour(states[i]), &format!("{:<10}", states[i].name())),
    };
    let name = direction.name();
    format!("{name:<10}{state}{bar}{:>10}{:>6}{:>7}", mbps(carried), mbps(line), mbps(limit))
}

const fn state_colour(state: State) -> Colour {
    match state {
        State::Green => Colour::Green,
        State::Yellow => Colour::Yellow,
        State::SoftRed | State::Red => Colour::Red,
    }
}

fn events(moment: &Moment<'_>, paint: Paint) -> Vec<String> {
    if moment.states.is_none() && moment.events.is_empty() {
        return vec![paint.dim("nothing: it does not run yet")];
    }
    let line = |(ago, text): &(f64, String)| {
        let line = format!("{ago:>4.1} s ago  {text}");
        if line.chars().count() <= WIDTH { line } else { line.chars().take(WIDTH - 1).chain(['…']).collect() }
    };
    moment.events.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::record::Look;
    use super::*;
    use wanctl_hal::sim::Totals;

    fn moment(record: &Record, scene: usize) -> Moment<'_> {
        Moment {
            at: begin(scene),
            scene,
            record,
            states: SCENES[scene].controlled.then_some([State::SoftRed, State::Green]),
            limits: CONTRACT,
            capacity: CONTRACT,
            events: vec![(99.9, "ü".repeat(200)); EVENTS],
        }
    }

    #[test]
    fn the_picture_fits_a_small_terminal() {
        let mut record = Record::new();
        for scene in 0..SCENES.len() {
            let delay = Some([0.0, 800.0, 60_000.0, 0.4, 25.0, 75.0, 180.0][scene]);
            record.add(scene, Look { at: begin(scene), delay, totals: [Totals::default(); 2] });
            let lines = picture(&moment(&record, scene), Paint::new(false));
            assert_eq!(lines.len(), LINES);
            for line in &lines {
                assert!(line.chars().count() <= 80, "{line}");
                assert!(!line.contains('\x1b'), "{line}");
            }
            assert!(!plain(&moment(&record, scene)).contains('\x1b'));
        }
        assert!(picture(&moment(&record, 1), Paint::new(true)).concat().contains('\x1b'));
    }

    #[test]
    fn the_scale_is_logarithmic() {
        let mut record = Record::new();
        record.add(0, Look { at: Duration::ZERO, delay: Some(100.0), totals: [Totals::default(); 2] });
        let first = |row: usize| graph_row(&record, row, Paint::new(false)).chars().nth(8);
        assert_eq!((0..6).map(first).collect::<Option<String>>().as_deref(), Some("  ████"), "a hundred is four rows");
        assert_eq!(felt(29.9).1, "nobody notices");
        assert_eq!(felt(f64::MAX).1, "a video call would freeze");
    }
}
