//! From what was found to a configuration, with the evidence: pure.

use super::search::{Found, Kind, Row, Search};
use crate::cli::svg::rate_text;
use crate::config::{Link, Preset, TARGET_MS, WanConfig};
use crate::decide;
use crate::types::{Bitrate, Direction};
use std::fmt::Write as _;

/// Bits of a full packet: a floor below one of them per target makes delay by itself.
const PACKET_BITS: f64 = 12_000.0;

/// The floor of a line that varies, as part of the least it was seen to carry.
const FLOOR: f64 = 0.6;

/// One key of the file.
pub(super) struct Change {
    /// `wan`, `wan.download` or `wan.upload`.
    section: &'static str,
    key: &'static str,
    value: String,
}

/// The keys that are proposed for a line.
pub(super) fn changes(wan: &WanConfig, search: &Search) -> Vec<Change> {
    let Some(idle) = search.idle() else { return Vec::new() };
    let preset = wan.link.preset();
    let is_adaptive = matches!(wan.law, decide::Settings::Adaptive(_));
    let target = TARGET_MS.max(2.0 * idle.p95).max(idle.p95 + 1.5 * idle.wander);
    let mut changes = Vec::new();
    let mut add = |section, key, value| changes.push(Change { section, key, value });
    add("wan", "baseline", millis(idle.baseline.max(1.0)));
    if is_adaptive {
        add("wan", "jitter", millis(idle.jitter.max(0.1)));
        add("wan", "target", millis(target));
    }
    // All thresholds above what the idle line does by itself.
    let [green, soft_red, hard_red] = preset.thresholds_ms;
    let scale = (1.5 * (idle.p95 + idle.wander) / green).max(1.0);
    for (direction, section) in Direction::BOTH.into_iter().zip(["wan.download", "wan.upload"]) {
        let Some(found) = search.found(direction).filter(|found| found.is_filled()) else { continue };
        add(section, "ceiling", rate(found.ceiling));
        add(section, "floor", rate(floor(found, &preset, direction, target)));
        if !is_adaptive {
            add(section, "green", millis(green * scale));
            add(section, "soft_red", millis(soft_red * scale));
            if direction == Direction::Download {
                add(section, "hard_red", millis(hard_red * scale));
            }
        }
    }
    changes
}

fn floor(found: &Found, preset: &Preset, direction: Direction, target_ms: f64) -> f64 {
    let usual = if direction == Direction::Download { preset.download.floor } else { preset.upload.floor };
    let part = (usual * found.ceiling).min(match found.kind {
        Kind::Varying(_) => FLOOR * found.least,
        _ => f64::INFINITY,
    });
    part.max(PACKET_BITS / target_ms * 1e3).min(0.5 * found.ceiling).max(64_000.0)
}

/// The user's file with these keys in the section of its WAN number `place`; comments and all else stay.
pub(super) fn edit(text: &str, place: usize, changes: &[Change]) -> String {
    let mut sections: Vec<&str> = Vec::new();
    let (mut wans, mut now) = (0, "");
    for line in text.lines() {
        let bare = line.split('#').next().unwrap_or("").trim();
        if bare.starts_with('[') {
            wans += usize::from(bare == "[[wan]]");
            let name = bare.trim_matches(['[', ']']).trim();
            now = if name.starts_with("wan") && wans == place + 1 { name } else { "" };
        }
        sections.push(now);
    }
    let key_of = |line: &str| line.split_once('=').map_or("", |(key, _)| key).trim().to_owned();
    // A floor may go by its other name.
    let is = |change: &Change, key: &str| change.key == key || (change.key == "floor" && key == "floor_red");
    let stands = |change: &Change| {
        text.lines().zip(&sections).any(|(line, section)| change.section == *section && is(change, &key_of(line)))
    };
    let mut edited = String::new();
    for (line, section) in text.lines().zip(&sections) {
        let key = key_of(line);
        match changes.iter().find(|change| change.section == *section && is(change, &key)) {
            Some(change) => {
                let was = line.split_once('=').map_or("", |(_, value)| value).split('#').next().unwrap_or("").trim();
                let _ = writeln!(edited, "{key} = {}   # was {was}", change.value);
            }
            None => {
                let _ = writeln!(edited, "{line}");
            }
        }
        if line.trim_start().starts_with('[') {
            for change in changes.iter().filter(|change| change.section == *section && !stands(change)) {
                let _ = writeln!(edited, "{} = {}", change.key, change.value);
            }
        }
    }
    edited
}

/// The keys alone, for a file that can't be edited.
pub(super) fn fragment(changes: &[Change]) -> String {
    let mut text = String::new();
    let mut section = "wan";
    for change in changes {
        if change.section != section {
            section = change.section;
            let _ = writeln!(text, "[{section}]");
        }
        let _ = writeln!(text, "{} = {}", change.key, change.value);
    }
    text
}

/// What speaks for the proposal, in comment lines.
pub(super) fn evidence(wan: &WanConfig, search: &Search) -> String {
    let mut text = format!("# Calibrated by wanctl {}: wan \"{}\".\n", env!("CARGO_PKG_VERSION"), wan.name);
    if let Some(idle) = search.idle() {
        let _ = writeln!(
            text,
            "# Idle: {:.1} ms (median of {} probes), usually {:.1} ms above the least; 95 % within {:.1} ms more.",
            idle.baseline, idle.count, idle.jitter, idle.p95
        );
    }
    let _ = writeln!(text, "#           limit, M  passed, M  delay: median  95 %, ms");
    for row in search.rows() {
        let _ = writeln!(text, "# {}", row_text(row));
    }
    for direction in Direction::BOTH {
        if let Some(found) = search.found(direction) {
            let _ = writeln!(text, "# {}: {}", direction.name(), found_text(found));
        }
    }
    text + overhead(wan.link)
}

/// One limit that was tried.
pub(super) fn row_text(row: &Row) -> String {
    let limit = row.limit.map_or_else(|| "none".to_owned(), |limit| rate_text(limit.as_f64()));
    format!(
        "{:8}  {:>8}  {:>9}  {:>13.1}  {:>4.0}  {}",
        row.direction.name(),
        limit,
        rate_text(round(row.rate)),
        row.delay[0],
        row.delay[1],
        if row.risen { "a queue stands" } else { "quiet" }
    )
}

/// What one direction is.
pub(super) fn found_text(found: &Found) -> String {
    let mbps = |rate: f64| rate_text(round(rate));
    match found.kind {
        Kind::Steady if found.quiet < found.ceiling => format!(
            "carries {} Mbit/s; with several transfers delay begins above {} already",
            mbps(found.ceiling),
            mbps(found.quiet)
        ),
        Kind::Steady => format!("no delay up to {} Mbit/s", mbps(found.ceiling)),
        Kind::Varying([tenth, median, most]) => format!(
            "varies: {} Mbit/s or more for nine tenths of the time (least {}, median {}, a tenth above {}); a ceiling of \
             {} loses less and leaves more to the law",
            mbps(tenth),
            mbps(found.least),
            mbps(median),
            mbps(most),
            mbps(most)
        ),
        Kind::Unfilled => format!(
            "NOT FILLED: {} Mbit/s made no delay, so this is what the transfer needs, not what the line carries. Try more \
             transfers, another server, or a higher --max",
            mbps(found.ceiling)
        ),
    }
}

/// What CAKE may be told of the link's own headers. It can't be measured from here, and it matters little: RouterOS
/// shapes by max-limit, which does not know it.
const fn overhead(link: Link) -> &'static str {
    match link {
        Link::Cable => {
            "# Overhead (usual for cable, not measured): cake-overhead=18 cake-mpu=64 in /queue type. max-limit does not count it.\n"
        }
        Link::Dsl => {
            "# Overhead (usual for VDSL2 with PPPoE, not measured): cake-overhead=30; for ADSL 44 and cake-atm=atm, in /queue \
             type.\n# max-limit does not count it: with many small packets a DSL line carries less than is said here.\n"
        }
        Link::Fiber => {
            "# Overhead (usual for Ethernet, not measured): cake-overhead=38 cake-mpu=84 in /queue type. max-limit does not count it.\n"
        }
        Link::Lte | Link::Starlink => "# Overhead: unknown for radio links; leave cake-overhead as it is.\n",
    }
}

/// To three digits, downwards: nothing is promised that was not seen.
fn round(rate: f64) -> f64 {
    let unit = libm::pow(10.0, libm::floor(libm::log10(rate.max(1.0))) - 2.0);
    libm::floor(rate / unit + 1e-9) * unit
}

fn rate(value: f64) -> String {
    let bps = Bitrate::from_f64(round(value)).bps();
    match bps / 10_000 {
        // Hundredths of a megabit, without zeros at the end.
        hundredths @ 100.. => {
            let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
            format!("\"{}M\"", text.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => format!("\"{}k\"", bps / 1_000),
    }
}

fn millis(value: f64) -> String {
    format!("\"{:.1}ms\"", value.min(10_000.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_edited_in_its_place() {
        let text = "[router]\nurl = \"x\" # one\n[[wan]]\nname = \"a\"\n[wan.download]\nceiling = \"1M\"\n\n[[wan]] # two\nname \
                    = \"b\"\nbaseline = \"5ms\"\n[wan.download]\nceiling = \"2M\" # mine\nfloor_red = 3\n[wan.upload]\n";
        let change = |section, key, value: &str| Change { section, key, value: value.to_owned() };
        let changes = [
            change("wan", "baseline", "\"9ms\""),
            change("wan", "jitter", "\"1ms\""),
            change("wan.download", "ceiling", "\"7M\""),
            change("wan.download", "floor", "\"4M\""),
            change("wan.upload", "ceiling", "\"6M\""),
        ];
        let edited = edit(text, 1, &changes);
        assert_eq!(
            edited,
            "[router]\nurl = \"x\" # one\n[[wan]]\nname = \"a\"\n[wan.download]\nceiling = \"1M\"\n\n[[wan]] # two\njitter \
             = \"1ms\"\nname = \"b\"\nbaseline = \"9ms\"   # was \"5ms\"\n[wan.download]\nceiling = \"7M\"   # was \
             \"2M\"\nfloor_red = \"4M\"   # was 3\n[wan.upload]\nceiling = \"6M\"\n"
        );
    }

    #[test]
    fn rates_are_rounded_down_to_three_digits() {
        for (value, text) in [
            (49_087_000.0, "\"49M\""),
            (4_837_900.0, "\"4.83M\""),
            (987_654_321.0, "\"987M\""),
            (100_200_000.0, "\"100M\""),
            (812_345.0, "\"812k\""),
        ] {
            assert_eq!(rate(value), text);
        }
    }
}
