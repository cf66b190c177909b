//! Colours, bars and times for the terminal.

/// Escape sequence of a congestion state, or of how things are.
pub(super) fn state(word: &str, colour: bool) -> &'static str {
    match word {
        _ if !colour => "",
        "GREEN" | "ok" | "good" => "\x1b[32m",
        "YELLOW" | "degraded" | "warming-up" => "\x1b[33m",
        "SOFT_RED" => "\x1b[35m",
        _ => "\x1b[1;31m",
    }
}

/// Escape sequence of a log level.
pub(super) fn level(word: &str, colour: bool) -> &'static str {
    match word {
        "ERROR" if colour => "\x1b[1;31m",
        "WARN" if colour => "\x1b[33m",
        "DEBUG" if colour => "\x1b[2m",
        _ => "",
    }
}

/// What ends a colour.
pub(super) const fn end(colour: bool) -> &'static str {
    if colour { "\x1b[0m" } else { "" }
}

/// Bars from low to high, one per value; a gap where there is none.
pub(super) fn bars(values: &[Option<f64>], full: f64) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    values.iter().map(|value| value.map_or(' ', |v| BARS[eighth(v / full)])).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0 to 7")]
fn eighth(part: f64) -> usize {
    (part * 8.0).clamp(0.0, 7.0) as usize
}

/// Time of day in UTC, of seconds since 1970.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time of day")]
pub(super) fn clock(seconds: f64) -> String {
    let day = seconds.rem_euclid(86_400.0);
    let whole = day as u32;
    let millis = ((day - f64::from(whole)) * 1e3) as u32;
    format!("{:02}:{:02}:{:02}.{millis:03}", whole / 3_600, whole / 60 % 60, whole % 60)
}

/// A rate as people say it.
pub(super) fn rate(bps: Option<f64>) -> String {
    match bps {
        None => "?".to_owned(),
        Some(bps) if bps >= 9.95e8 => format!("{:.2}G", bps / 1e9),
        Some(bps) if bps >= 9.95e6 => format!("{:.1}M", bps / 1e6),
        Some(bps) if bps >= 9.95e5 => format!("{:.2}M", bps / 1e6),
        Some(bps) => format!("{:.0}k", bps / 1e3),
    }
}

/// A time span as people say it.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an uptime")]
pub(super) fn span(seconds: f64) -> String {
    let s = seconds.max(0.0) as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3_600 => format!("{} min", s / 60),
        3_600..86_400 => format!("{} h {} min", s / 3_600, s / 60 % 60),
        _ => format!("{} d {} h", s / 86_400, s / 3_600 % 24),
    }
}
