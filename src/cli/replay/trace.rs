//! A series of round-trip times through the law of one WAN, to tune thresholds offline and to
//! check the laws against golden traces.

use super::{Exit, failed};
use crate::config::Config;
use crate::decide::{Input, Law};
use crate::types::{Duration, Instant, MAX_REFLECTORS, Millis, Sample, Signal, Source};
use std::io::{BufWriter, Write};
use std::path::Path;

/// Columns of the output.
pub const HEADER: &str = "cycle,rtt_ms,baseline_ms,load_ms,dl_state,dl_bps,ul_state,ul_bps";

pub(super) fn main(config: &Config, wan: &str, file: &Path, csv: &str) -> Exit {
    let out = BufWriter::new(std::io::stdout().lock());
    match replay(config, wan, &file.display().to_string(), csv, out) {
        Ok(()) => Exit::Ok,
        Err(message) => failed(&message),
    }
}

/// Replays the column `rtt_ms` of `csv`, one row a cycle of the configuration, and writes CSV with
/// the columns of [`HEADER`]. An empty field is a cycle without a measurement.
///
/// # Errors
/// A message that names the file, the line and what would be right.
pub fn replay(config: &Config, wan: &str, file: &str, csv: &str, mut out: impl Write) -> Result<(), String> {
    let settings = config.wans.iter().find(|w| w.name == wan).ok_or_else(|| {
        let known: Vec<&str> = config.wans.iter().map(|w| w.name.as_str()).collect();
        format!("--wan \"{wan}\": the configuration has no such WAN; it has: {}", known.join(", "))
    })?;
    let mut law = Law::new(settings.law.clone());
    let mut lines = csv.lines().enumerate();
    let (_, header) = lines.next().ok_or_else(|| format!("{file}: the file is empty"))?;
    let column = header
        .split(',')
        .position(|name| name.trim() == "rtt_ms")
        .ok_or_else(|| format!("{file}:1: no column \"rtt_ms\" in the header \"{header}\""))?;
    let print = |error: std::io::Error| format!("can't write: {error}");
    writeln!(out, "{HEADER}").map_err(print)?;
    let mut now = Instant::ZERO;
    for (cycle, (index, line)) in lines.filter(|(_, line)| !line.trim().is_empty()).enumerate() {
        let field = line.split(',').nth(column).unwrap_or("").trim();
        let rtt = parse_rtt(field).ok_or_else(|| {
            format!("{file}:{}: rtt_ms is \"{field}\"; it must be a number of milliseconds from 0 to 60000", index + 1)
        })?;
        now += config.cycle;
        let verdict = law.decide(Input { now, sample: &sample(now, rtt), stats: None, acts: true });
        writeln!(
            out,
            "{cycle},{field},{},{},{},{},{},{}",
            Micro(verdict.baseline),
            Micro(verdict.load),
            verdict.download.state.name(),
            verdict.download.rate.rate().bps(),
            verdict.upload.state.name(),
            verdict.upload.rate.rate().bps(),
        )
        .map_err(print)?;
    }
    out.flush().map_err(print)
}

/// Milliseconds to six decimals, without trailing zeros: as the golden traces print them.
struct Micro(Millis);

impl std::fmt::Display for Micro {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{:.6}", self.0.get());
        let short = text.trim_end_matches('0');
        write!(f, "{short}{}", if short.ends_with('.') { "0" } else { "" })
    }
}

/// `Some(None)` for an empty field; `None` for what is no delay.
fn parse_rtt(field: &str) -> Option<Option<Millis>> {
    if field.is_empty() { Some(None) } else { field.parse().ok().and_then(Millis::new).map(Some) }
}

/// A sample as measure makes it when one reflector has just answered.
fn sample(now: Instant, rtt: Option<Millis>) -> Sample {
    let mut per_reflector = [None; MAX_REFLECTORS];
    per_reflector[0] = rtt;
    Sample {
        at: now,
        rtt,
        renewed: rtt.is_some(),
        age: Duration::ZERO,
        fresh: u8::from(rtt.is_some()),
        source: Source::Icmp,
        signal: if rtt.is_some() { Signal::Good } else { Signal::Silent },
        per_reflector,
        candidates: [0; MAX_REFLECTORS],
        waiting: [None; MAX_REFLECTORS],
        oldest_overdue: None,
    }
}
