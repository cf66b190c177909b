//! `/history`: what was, as CSV or JSON, streamed while the rings go on turning.

use super::{Cursor, PIECE, Piece, Quoted, SCHEMA};
use crate::observe::{Facts, Record, Tier, UNKNOWN};
use core::fmt::{self, Write as _};

/// Room that one record needs at most.
const ROOM: usize = 200;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Query {
    /// Place of the WAN.
    pub wan: u8,
    /// Which ring.
    pub tier: Tier,
    /// JSON instead of CSV.
    pub json: bool,
    /// Only so many of the last records.
    pub last: u32,
}

impl Default for Query {
    fn default() -> Self {
        Self { wan: 0, tier: Tier::Seconds, json: false, last: u32::MAX }
    }
}

impl Query {
    /// From what follows the question mark: `tier`, `wan` (a place, from 0), `format`, `last`.
    /// `None` when anything of it can't be understood.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut query = Self::default();
        for part in text.split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=')?;
            match key {
                "tier" => query.tier = Tier::ALL.into_iter().find(|tier| tier.name() == value)?,
                "wan" => query.wan = value.parse().ok()?,
                "last" => query.last = value.parse().ok()?,
                "format" if value == "json" => query.json = true,
                "format" if value == "csv" => query.json = false,
                _ => return None,
            }
        }
        Some(query)
    }

    pub(super) const fn media_type(self) -> &'static str {
        if self.json { "application/json" } else { "text/csv; charset=utf-8" }
    }
}

/// The columns of CSV, and of the rows in JSON.
const COLUMNS: [&str; 12] = [
    "time_s",
    "download_limit_kbps",
    "upload_limit_kbps",
    "download_achieved_kbps",
    "upload_achieved_kbps",
    "delay_ms",
    "worst_delay_ms",
    "baseline_ms",
    "download_state",
    "upload_state",
    "signal",
    "steering_score",
];

/// A rate; nothing when nobody knows.
struct Rate(u32, &'static str);

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == UNKNOWN { f.write_str(self.1) } else { write!(f, "{}", self.0) }
    }
}

fn row(out: &mut Piece, time: f64, r: &Record, json: bool) {
    let tenths = |value: u16| f64::from(value) / 10.0;
    let (quote, unknown) = if json { ("\"", "null") } else { ("", "") };
    let [down, up] = r.achieved.map(|rate| Rate(rate, unknown));
    let (dl, ul, signal) = (r.state(0).name(), r.state(1).name(), signal(r));
    let _ = write!(
        out,
        "{time:.3},{},{},{down},{up},{:.1},{:.1},{:.1},{quote}{dl}{quote},{quote}{ul}{quote},{quote}{signal}{quote},{}",
        r.limit[0],
        r.limit[1],
        tenths(r.delay),
        tenths(r.worst),
        tenths(r.baseline),
        r.score
    );
}

fn signal(record: &Record) -> &'static str {
    super::status::signal(record.signal())
}

pub(super) fn piece(query: Query, cursor: &mut Cursor, facts: &dyn Facts, out: &mut Piece) -> bool {
    let history = facts.history();
    let wan = usize::from(query.wan);
    let (first, end) = history.numbers(wan, query.tier);
    if cursor.step == 0 {
        cursor.number = first.max(end.saturating_sub(u64::from(query.last)));
        head(query, facts, out);
    }
    // What was overwritten meanwhile is passed over.
    cursor.number = cursor.number.max(first);
    let whole = facts.whole();
    while cursor.number < end {
        if PIECE - out.len() < ROOM {
            return true;
        }
        if let Some((at, record)) = history.record(wan, query.tier, cursor.number).filter(|(_, r)| r.is_measured()) {
            let time = whole.wall - whole.now.since(at).as_secs_f64();
            if query.json {
                let _ = write!(out, "{}\n[", cursor.separator());
            }
            row(out, time, record, query.json);
            let _ = out.push_str(if query.json { "]" } else { "\n" });
        }
        cursor.number += 1;
    }
    if query.json {
        let _ = out.push_str("\n]}\n");
    }
    false
}

fn head(query: Query, facts: &dyn Facts, out: &mut Piece) {
    if !query.json {
        for (i, column) in COLUMNS.iter().enumerate() {
            let _ = write!(out, "{}{column}", if i > 0 { "," } else { "" });
        }
        let _ = out.push_str("\n");
        return;
    }
    let name = facts.names().get(usize::from(query.wan)).map_or("", String::as_str);
    let (name, tier) = (Quoted(name), query.tier.name());
    let _ = write!(out, "{{\"schema\":{SCHEMA},\"wan\":{name},\"tier\":\"{tier}\",\"columns\":[");
    for (i, column) in COLUMNS.iter().enumerate() {
        let _ = write!(out, "{}\"{column}\"", if i > 0 { "," } else { "" });
    }
    let _ = out.push_str("],\"rows\":[");
}
