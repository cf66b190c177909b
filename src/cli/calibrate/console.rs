//! Whoever sits at the terminal: is told what happens, and is asked for transfers unless they are made.

use super::propose::{found_text, row_text};
use super::search::{News, Search};
use super::session::Host;
use crate::cli::svg::rate_text;
use crate::types::{Direction, Duration};
use std::io::Write as _;
use wanctl_hal::linux::{Load, Transfer};

/// Transfers at a time: one alone does not fill every line.
const TRANSFERS: usize = 8;

/// A line on which more than this passes is not idle (bit/s).
const BUSY: f64 = 1e6;

/// A line on standard error. Nobody reading it is no reason to stop before the limits are back.
pub(super) fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The user at the terminal.
pub(super) struct Console {
    /// What to transfer, if it is done by us.
    pub(super) transfer: Option<Transfer>,
    /// The transfer that runs.
    pub(super) load: Option<Load>,
}

impl Console {
    fn wanted(&mut self, direction: Direction, again: bool) {
        let name = direction.name();
        if let Some(transfer) = &self.transfer {
            let transfer = Transfer { upload: direction == Direction::Upload, ..transfer.clone() };
            tell(&format!("\n{name}: {TRANSFERS} transfers, {}{}", transfer.origin(), transfer.path));
            self.load = None;
            self.load = Some(Load::start(&transfer, TRANSFERS));
            return;
        }
        let what =
            if again { "it has ended too early" } else { "several files at once, or a speed test again and again" };
        tell(&format!("\nNow start a big {name} through this line, and keep it going ({what})."));
    }
}

impl Host for Console {
    fn news(&mut self, search: &Search, news: &News) {
        match news {
            News::Idle => idle(search),
            News::Wanted(direction, again) => self.wanted(*direction, *again),
            News::There(direction, rate) => {
                tell(&format!(
                    "{}: there it is, {} Mbit/s so far; the limit is lifted",
                    direction.name(),
                    rate_text(*rate)
                ));
            }
            News::Varies(direction) => {
                tell(&format!("{}: the line varies, so it is watched for longer: 100 s", direction.name()));
            }
            News::Row(row) => tell(&row_text(row)),
            News::Found(direction) => {
                self.load = None;
                let found = search.found(*direction).map(found_text).unwrap_or_default();
                let stop = if self.transfer.is_some() { "" } else { ". Stop the transfer now" };
                tell(&format!("{}: {found}{stop}", direction.name()));
            }
            News::Done => {}
            News::Failed(_) => {
                if let Some(fault) = self.load.as_ref().and_then(Load::fault) {
                    tell(&format!("--load: {fault}"));
                }
            }
        }
    }

    fn say(&mut self, line: &str) {
        tell(line);
    }
}

/// What the idle line is like, and whether it was one.
fn idle(search: &Search) {
    let Some(idle) = search.idle() else { return };
    tell(&format!(
        "idle line: {:.1} ms, usually {:.1} ms above the least, 95 % within {:.1} ms more ({} probes)",
        idle.baseline, idle.jitter, idle.p95, idle.count
    ));
    for direction in Direction::BOTH {
        let rates = search.series().rates(direction, Duration::from_secs(1));
        let most = rates.into_iter().map(|(_, rate)| rate).fold(0.0, f64::max);
        if most > BUSY {
            tell(&format!(
                "warning: it was not idle, up to {} Mbit/s of {} passed: should what follows look odd, do it again at a \
                 quieter time",
                rate_text(libm::round(most / 1e5) * 1e5),
                direction.name()
            ));
        }
    }
}
