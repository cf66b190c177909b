//! Pictures of lines over time: what the plots of simulated runs and of real ones share.

use crate::types::State;
use std::fmt::Write as _;

/// The page, and the part of it that has the time axis below it.
pub(in crate::cli) const WIDTH: f64 = 1200.0;
pub(in crate::cli) const LEFT: f64 = 70.0;
pub(in crate::cli) const RIGHT: f64 = 1170.0;

/// Height of the bands of states, and of the gaps between panels.
pub(in crate::cli) const BAND: f64 = 10.0;
pub(in crate::cli) const GAP: f64 = 34.0;

pub(in crate::cli) const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#3c4043}\
.h{font-size:20px;font-weight:600;fill:#202124}\
.s{font-size:13px;fill:#5f6368}\
.e{font-size:10px;fill:#80868b}\
.grid{stroke:#eceff1;stroke-width:1}\
.axis{stroke:#9aa0a6;stroke-width:1;fill:none}\
.event{stroke:#b0b6bc;stroke-width:1;stroke-dasharray:2 3}\
.capacity{fill:#e8eaed;stroke:#9aa0a6;stroke-width:1}\
.limit{fill:none;stroke:#1967d2;stroke-width:1.6}\
.achieved{fill:none;stroke:#188038;stroke-width:1.1}\
.down{fill:none;stroke:#1967d2;stroke-width:1.2}\
.up{fill:none;stroke:#e8710a;stroke-width:1.2}\
.goal{stroke:#d93025;stroke-width:1;stroke-dasharray:6 4}";

/// A picture in the making, with a time axis from left to right.
pub(in crate::cli) struct Page {
    pub(in crate::cli) text: String,
    /// Length of the time axis in seconds.
    pub(in crate::cli) end: f64,
}

impl Page {
    /// An empty page of this height.
    pub(in crate::cli) fn new(height: f64, end: f64) -> Self {
        let mut text = String::new();
        let _ = writeln!(
            text,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\">\
             <style>{STYLE}</style><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>"
        );
        Self { text, end }
    }

    /// The whole picture.
    pub(in crate::cli) fn finish(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }

    pub(in crate::cli) fn x(&self, seconds: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * seconds / self.end
    }

    pub(in crate::cli) fn words(&mut self, [x, y]: [f64; 2], class: &str, anchor: &str, words: &str) {
        let words = words.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(
            self.text,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\" text-anchor=\"{anchor}\">{words}</text>"
        );
    }

    pub(in crate::cli) fn line(&mut self, class: &str, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2]) {
        let _ = writeln!(
            self.text,
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        );
    }

    pub(in crate::cli) fn legend(&mut self, entries: &[(&str, &str)], y: f64) {
        let mut x = entries.iter().fold(RIGHT, |x, _| x - 95.0);
        for (colour, words) in entries {
            let _ = writeln!(
                self.text,
                "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"14\" height=\"4\" fill=\"{colour}\"/>",
                y - 6.0
            );
            self.words([x + 19.0, y], "", "start", words);
            x += 95.0;
        }
    }

    /// A piece of a band of states.
    pub(in crate::cli) fn state(&mut self, top: f64, [from, to]: [f64; 2], state: State) {
        let x = self.x(from);
        let width = (self.x(to) - x).max(0.4);
        let fill = colour(state);
        let _ = writeln!(
            self.text,
            "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{BAND}\" fill=\"{fill}\"/>"
        );
    }

    /// Lines and numbers of an axis up to `most`, `step` apart, at `y`.
    pub(in crate::cli) fn axis(&mut self, [step, most]: [f64; 2], name: fn(f64) -> String, y: &dyn Fn(f64) -> f64) {
        let mut mark = 0.0;
        while mark <= most * 1.0001 {
            self.line("grid", [LEFT, y(mark)], [RIGHT, y(mark)]);
            self.words([LEFT - 6.0, y(mark) + 4.0], "", "end", &name(mark));
            mark += step;
        }
    }

    /// A line through points on the page.
    pub(in crate::cli) fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        let _ = write!(self.text, "<path class=\"{class}\" d=\"");
        for (i, (x, y)) in points.iter().enumerate() {
            let _ = write!(self.text, "{}{x:.1} {y:.1}", if i == 0 { "M" } else { "L" });
        }
        self.text.push_str("\"/>\n");
    }

    /// The time axis below everything, in `unit`s of so many seconds.
    pub(in crate::cli) fn time_axis(&mut self, bottom: f64, unit: &str, seconds: f64) {
        let (step, _) = scale(self.end / seconds);
        let mut mark = 0.0;
        while mark <= self.end / seconds * 1.0001 {
            let x = self.x(mark * seconds);
            self.line("axis", [x, bottom], [x, bottom + 5.0]);
            self.words([x, bottom + 19.0], "", "middle", &whole(mark));
            mark += step;
        }
        self.words([RIGHT, bottom + 38.0], "", "end", unit);
    }

    /// What the colours of states mean, below the time axis.
    pub(in crate::cli) fn states(&mut self, bottom: f64) {
        let mut x = LEFT;
        for state in [State::Green, State::Yellow, State::SoftRed, State::Red] {
            let (y, fill) = (bottom + 29.0, colour(state));
            let _ =
                writeln!(self.text, "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"14\" height=\"{BAND}\" fill=\"{fill}\"/>");
            self.words([x + 19.0, bottom + 38.0], "", "start", state.name());
            x += 95.0;
        }
    }
}

/// Marks of 1, 2 or 5 times a power of ten, four to ten of them, and the last one.
pub(in crate::cli) fn scale(most: f64) -> (f64, f64) {
    let power = libm::pow(10.0, libm::floor(libm::log10(most)));
    let step = [0.1, 0.2, 0.5, 1.0].into_iter().map(|part| part * power).find(|step| most / step <= 8.0);
    let step = step.unwrap_or(power);
    (step, libm::ceil(most / step) * step)
}

/// Without a fraction.
pub(in crate::cli) fn whole(value: f64) -> String {
    format!("{value:.0}")
}

/// In Mbit/s.
pub(in crate::cli) fn rate_text(rate: f64) -> String {
    let mbps = rate / 1e6;
    if libm::floor(mbps) < mbps { format!("{mbps:.1}") } else { format!("{mbps:.0}") }
}

pub(in crate::cli) const fn colour(state: State) -> &'static str {
    match state {
        State::Green => "#34a853",
        State::Yellow => "#fbbc04",
        State::SoftRed => "#fa7b17",
        State::Red => "#d93025",
    }
}
