//! Where the time of the cycles goes.

use serde_json::Value;
use std::fmt::Write as _;

/// Columns: a heading, and the member of the document.
const COLUMNS: [(&str, &str); 5] =
    [("mean", "mean"), ("median", "p50"), ("95 %", "p95"), ("99 %", "p99"), ("longest", "max")];

/// Rows: in words, and the stage.
const STAGES: [(&str, &str); 5] = [
    ("replies -> measure", "receive"),
    ("sample, decide", "decide"),
    ("probes out", "probe"),
    ("router in and out", "router"),
    ("log, state, clients", "observe"),
];

/// A table of the stages, in microseconds, and the part that each has of the work.
pub(super) fn table(status: &Value) -> String {
    let l = &status["loop"];
    let mut out =
        format!("{} cycles of {} ms, {} missed\n\n{:<22}", l["cycles"], l["cycle_ms"], l["missed"], "us per cycle");
    for (heading, _) in COLUMNS {
        let _ = write!(out, "{heading:>10}");
    }
    out.push_str("      part\n");
    let number = |spread: &Value, member: &str| spread[member].as_f64().unwrap_or(0.0);
    let whole = STAGES.iter().map(|(_, stage)| number(&l["stages_ms"][stage], "mean")).sum::<f64>();
    let mut row = |name: &str, spread: &Value, part: Option<f64>| {
        let _ = write!(out, "{name:<22}");
        for (_, member) in COLUMNS {
            let _ = write!(out, "{:>10.0}", number(spread, member) * 1e3);
        }
        match part.filter(|_| whole > 0.0) {
            Some(part) => drop(writeln!(out, "{:>8.0} %", part / whole * 100.0)),
            None => out.push('\n'),
        }
    };
    for (name, stage) in STAGES {
        let spread = &l["stages_ms"][stage];
        row(name, spread, Some(number(spread, "mean")));
    }
    row("all of it", &l["work_ms"], Some(whole));
    row("began late", &l["late_ms"], None);
    out.push_str(
        "\nTimes are of the wall, system calls included; a cycle is all wake-ups between two beats. Medians and the like\n\
         are rounded up, by an eighth at most.\n",
    );
    out
}
