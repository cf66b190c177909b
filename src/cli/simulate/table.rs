//! The table: a block for each scenario, a row for each contender.

use super::Outcome;
use super::figures::COLUMNS;
use std::fmt::Write as _;

/// Everything as text.
pub(super) fn text(outcomes: &[Outcome], seeds: u64) -> String {
    let mut text = String::new();
    let mut scenario = None;
    for outcome in outcomes {
        if scenario != Some(&outcome.scenario.name) {
            scenario = Some(&outcome.scenario.name);
            head(&mut text, outcome, seeds);
        }
        let _ = write!(text, "  {:<14}", outcome.contender.name());
        for (column, value) in COLUMNS.iter().zip(&outcome.medians).filter(|(column, _)| column.heading.is_some()) {
            let digits = column.digits;
            let _ = match value {
                Some(value) => write!(text, " {value:>8.digits$}"),
                None => write!(text, " {:>8}", "-"),
            };
        }
        text.push('\n');
    }
    text
}

fn head(text: &mut String, outcome: &Outcome, seeds: u64) {
    let s = &outcome.scenario;
    let tag = if s.controllable { "" } else { " [not ours]" };
    let runs = if seeds == 1 { "1 run".to_owned() } else { format!("median of {seeds} runs") };
    let _ = writeln!(text, "{}{}{tag}: {} ({runs})", if text.is_empty() { "" } else { "\n" }, s.name, s.about);
    for line in 0..2 {
        let _ = write!(text, "  {:<14}", "");
        for heading in COLUMNS.iter().filter_map(|column| column.heading) {
            let _ = write!(text, " {:>8}", heading[line]);
        }
        text.push('\n');
    }
}
