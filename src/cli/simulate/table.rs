//! The table: a block for each scenario, a row for each contender, and a block for all together.

use super::Outcome;
use super::contender::Contender;
use super::figures::{COLUMNS, Figures, means};
use std::fmt::Write as _;

/// Everything as text.
pub(super) fn text(outcomes: &[Outcome], seeds: u64) -> String {
    let mut text = String::new();
    let mut scenario = None;
    for outcome in outcomes {
        if scenario != Some(&outcome.scenario.name) {
            scenario = Some(&outcome.scenario.name);
            let s = &outcome.scenario;
            let tag = if s.controllable { "" } else { " [not ours]" };
            let rounds = outcome.runs.first().map_or(1, |run| run.rounds.len());
            let runs = match (seeds, rounds) {
                (1, 1) => "1 run".to_owned(),
                (_, 1) => format!("median of {seeds} runs"),
                (1, _) => format!("median of {rounds} rounds"),
                _ => format!("median of {seeds} runs, each the median of {rounds} rounds"),
            };
            head(&mut text, &format!("{}{tag}: {} ({runs})", s.name, s.about));
        }
        row(&mut text, outcome.contender, &outcome.medians);
    }
    for controllable in [true, false] {
        together(&mut text, outcomes, controllable);
    }
    text
}

/// Means over all scenarios of a kind, if there are several.
fn together(text: &mut String, outcomes: &[Outcome], controllable: bool) {
    let of_kind = || outcomes.iter().filter(|outcome| outcome.scenario.controllable == controllable);
    let mut contenders: Vec<Contender> = Vec::new();
    for outcome in of_kind() {
        if !contenders.contains(&outcome.contender) {
            contenders.push(outcome.contender);
        }
    }
    let count = of_kind().count() / contenders.len().max(1);
    if count < 2 {
        return;
    }
    let kind = if controllable { "controllable" } else { "not-ours" };
    head(text, &format!("mean over the {count} {kind} scenarios"));
    for contender in contenders {
        let medians = of_kind().filter(|o| o.contender == contender).map(|o| &o.medians);
        row(text, contender, &means(medians));
    }
}

fn row(text: &mut String, contender: Contender, figures: &Figures) {
    let _ = write!(text, "  {:<14}", contender.name());
    for (column, value) in COLUMNS.iter().zip(figures).filter(|(column, _)| column.heading.is_some()) {
        let digits = column.digits;
        let _ = match value {
            Some(value) => write!(text, " {value:>8.digits$}"),
            None => write!(text, " {:>8}", "-"),
        };
    }
    text.push('\n');
}

fn head(text: &mut String, title: &str) {
    let _ = writeln!(text, "{}{title}", if text.is_empty() { "" } else { "\n" });
    for line in 0..2 {
        let _ = write!(text, "  {:<14}", "");
        for heading in COLUMNS.iter().filter_map(|column| column.heading) {
            let _ = write!(text, " {:>8}", heading[line]);
        }
        text.push('\n');
    }
}
