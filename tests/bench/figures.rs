//! Figures beside their goals, as a table for people and as JSON for machines.

use std::fmt::Write as _;

/// One figure.
struct Figure {
    group: &'static str,
    name: String,
    value: f64,
    unit: &'static str,
    /// It shall be at most this.
    goal: Option<f64>,
}

/// All of them, and what could not be measured.
#[derive(Default)]
pub struct Figures {
    figures: Vec<Figure>,
    missing: Vec<String>,
    group: &'static str,
}

impl Figures {
    /// The following figures belong together.
    pub fn group(&mut self, group: &'static str) {
        eprintln!("measuring: {group}");
        self.group = group;
    }

    /// A figure that has no goal.
    pub fn tell(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.figures.push(Figure { group: self.group, name: name.into(), value, unit, goal: None });
    }

    /// A figure that shall be at most `goal`.
    pub fn judge(&mut self, name: impl Into<String>, value: f64, unit: &'static str, goal: f64) {
        self.figures.push(Figure { group: self.group, name: name.into(), value, unit, goal: Some(goal) });
    }

    /// Something that could not be measured here: said loudly, since silence looks like success.
    pub fn missing(&mut self, what: impl Into<String>) {
        let what = what.into();
        eprintln!("NOT MEASURED: {what}");
        self.missing.push(what);
    }

    /// The table.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut group = "";
        for figure in &self.figures {
            if figure.group != group {
                group = figure.group;
                let _ = writeln!(text, "\n{group}");
            }
            let _ = write!(text, "  {:52} {:>12} {:14}", figure.name, number(figure.value), figure.unit);
            if let Some(goal) = figure.goal {
                let verdict = if figure.value <= goal { "met" } else { "MISSED" };
                let _ = write!(text, " goal <= {:8} {verdict}", number(goal));
            }
            let kept = text.trim_end().len();
            text.truncate(kept);
            text.push('\n');
        }
        for what in &self.missing {
            let _ = writeln!(text, "\nNOT MEASURED: {what}");
        }
        text
    }

    /// The same as one JSON object.
    pub fn json(&self) -> String {
        let figures: Vec<_> = self
            .figures
            .iter()
            .map(|f| {
                serde_json::json!({
                    "group": f.group, "name": f.name, "value": f.value, "unit": f.unit, "goal": f.goal,
                    "met": f.goal.map(|goal| f.value <= goal),
                })
            })
            .collect();
        serde_json::json!({ "figures": figures, "not_measured": self.missing }).to_string()
    }
}

/// Few digits for large numbers, more for small ones.
fn number(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 1_000.0 {
        format!("{value:.0}")
    } else if value.abs() >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// The value that `permille` of 1000 do not exceed; zero of nothing.
pub fn quantile(values: &mut [u64], permille: usize) -> u64 {
    values.sort_unstable();
    let rank = (values.len() * permille).div_ceil(1000).max(1);
    values.get(rank - 1).copied().unwrap_or(0)
}

/// A count as a figure.
#[allow(clippy::cast_precision_loss, reason = "figures for people")]
pub fn float(value: u64) -> f64 {
    value as f64
}
