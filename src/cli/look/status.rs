//! The status on one screen.

use super::paint;
use serde_json::Value;
use std::fmt::Write as _;

/// Delay of a full bar, at least (milliseconds).
const FULL_MS: f64 = 30.0;

/// The screen; `past` holds the last minute of each WAN.
pub(super) fn screen(status: &Value, past: Option<&[Option<Value>]>, colour: bool) -> String {
    let mut out = String::new();
    let (text, number) = (|v: &Value| v.as_str().unwrap_or("?").to_owned(), |v: &Value| v.as_f64().unwrap_or(0.0));
    let (end, word) = (paint::end(colour), text(&status["status"]));
    let _ = writeln!(
        out,
        "wanctl {}: {}{word}{end}, up {}",
        text(&status["version"]),
        paint::state(&word, colour),
        paint::span(number(&status["uptime_s"]))
    );
    for (i, wan) in status["wans"].as_array().into_iter().flatten().enumerate() {
        let (word, signal) = (text(&wan["status"]), text(&wan["signal"]));
        let _ = writeln!(
            out,
            "\n{}: {}{word}{end}{}, signal {signal}, law {}",
            text(&wan["name"]),
            paint::state(&word, colour),
            wan["reason"].as_str().map(|why| format!(" ({why})")).unwrap_or_default(),
            text(&wan["law"]),
        );
        let ms = |name: &str| wan[name].as_f64().map_or("?".to_owned(), |v| format!("{v:.1} ms"));
        let _ =
            writeln!(out, "  RTT       {}, idle line {}, added {}", ms("rtt_ms"), ms("baseline_ms"), ms("delay_ms"));
        for direction in ["download", "upload"] {
            leg(&mut out, direction, &wan[direction], colour);
        }
        let probes = &wan["probes"];
        let _ = writeln!(
            out,
            "  probes    {} sent, {} answered, {} overdue; {} of {} reflectors asked",
            probes["sent"],
            probes["answered"],
            probes["overdue"],
            wan["asked"],
            wan["reflectors"].as_array().map_or(0, Vec::len)
        );
        if let Some(Some(past)) = past.and_then(|past| past.get(i)) {
            last_minute(&mut out, past);
        }
    }
    machinery(&mut out, status);
    out
}

fn leg(out: &mut String, name: &str, leg: &Value, colour: bool) {
    let state = leg["state"].as_str().unwrap_or("?");
    let rate = |member: &str| paint::rate(leg[member].as_f64());
    let differs = leg["wanted_bps"] != leg["limit_bps"];
    let _ = writeln!(
        out,
        "  {name:<9} {}{state:<8}{} {:>6} of {:<6} passes {:>6}  {}{}",
        paint::state(state, colour),
        paint::end(colour),
        rate("limit_bps"),
        rate("ceiling_bps"),
        rate("achieved_bps"),
        leg["reason"].as_str().unwrap_or("nothing measured yet"),
        if differs { format!(" (wants {})", rate("wanted_bps")) } else { String::new() },
    );
}

/// Worst delay and achieved rates of the last minute, second by second.
fn last_minute(out: &mut String, past: &Value) {
    let names: Vec<&str> = past["columns"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let column = |name: &str| -> Vec<Option<f64>> {
        let Some(place) = names.iter().position(|n| *n == name) else { return Vec::new() };
        past["rows"].as_array().into_iter().flatten().map(|row| row[place].as_f64()).collect()
    };
    let most = |values: &[Option<f64>]| values.iter().flatten().copied().fold(0.0, f64::max);
    let delay = column("worst_delay_ms");
    let full = most(&delay).max(FULL_MS);
    let _ = writeln!(out, "  added     {} worst of each second, full {full:.0} ms", paint::bars(&delay, full));
    for direction in ["download", "upload"] {
        let (used, limits) =
            (column(&format!("{direction}_achieved_kbps")), column(&format!("{direction}_limit_kbps")));
        let full = most(&limits).max(most(&used)).max(1.0);
        let _ = writeln!(out, "  {direction:<9} {} full {}", paint::bars(&used, full), paint::rate(Some(full * 1e3)));
    }
}

fn machinery(out: &mut String, status: &Value) {
    for pair in status["steering"].as_array().into_iter().flatten() {
        let text = |name: &str| pair[name].as_str().unwrap_or("?").to_owned();
        let _ = writeln!(out, "\nsteering {}: {}", text("name"), text("text"));
    }
    let (router, own) = (&status["router"], &status["loop"]);
    let connected = if router["connected"] == true { "connected" } else { "not connected" };
    let version = router["version"].as_str().map(|v| format!(", RouterOS {v}")).unwrap_or_default();
    let error = router["last_error"].as_str().map(|e| format!(": {e}")).unwrap_or_default();
    let _ = writeln!(
        out,
        "\nrouter {}: {connected}{version}{error}; answers in {} ms (99 %: {} ms)\n  {} writes, {} repairs, {} left of the budget ({})",
        router["host"].as_str().unwrap_or("?"),
        router["latency_ms"]["p50"],
        router["latency_ms"]["p99"],
        router["writes"],
        router["repairs"],
        router["budget"]["tokens"],
        router["budget"]["state"].as_str().unwrap_or("?"),
    );
    let _ = writeln!(
        out,
        "loop: {} cycles of {} ms, {} missed; they began {} ms late (99 %: {} ms)",
        own["cycles"], own["cycle_ms"], own["missed"], own["late_ms"]["p50"], own["late_ms"]["p99"],
    );
}
