//! Where the time of the cycles goes.

use serde_json::Value;
use std::fmt::Write as _;

/// A table of the stages, in microseconds.
pub(super) fn table(status: &Value) -> String {
    let mut out = format!(
        "{} cycles of {} ms, {} missed\n\n{:<22}{:>10}{:>10}{:>10}{:>10}\n",
        status["loop"]["cycles"],
        status["loop"]["cycle_ms"],
        status["loop"]["missed"],
        "us per cycle",
        "median",
        "95 %",
        "99 %",
        "longest"
    );
    let mut row = |name: &str, spread: &Value| {
        let _ = write!(out, "{name:<22}");
        for quantile in ["p50", "p95", "p99", "max"] {
            let _ = write!(out, "{:>10.0}", spread[quantile].as_f64().unwrap_or(0.0) * 1e3);
        }
        out.push('\n');
    };
    let stages = &status["loop"]["stages_ms"];
    for (name, stage) in [
        ("replies -> measure", "receive"),
        ("sample, decide", "decide"),
        ("probes out", "probe"),
        ("router in and out", "router"),
        ("log, state, clients", "observe"),
    ] {
        row(name, &stages[stage]);
    }
    row("began late", &status["loop"]["late_ms"]);
    out.push_str("\nTimes are of the wall, system calls included; a cycle is all wake-ups between two beats.\n");
    out
}
