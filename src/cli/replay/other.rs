//! What another configuration would have decided on the same samples and the same statistics.
//!
//! A recording can't tell how line and router would have answered to other rates, so the other
//! law only watches: it is fed in every cycle what the recorded one was fed.

use crate::config::Config;
use crate::daemon::{Daemon, Wan};
use crate::decide::{Input, Law};
use crate::types::{DirectionVerdict, Instant, LinkStats};
use wanctl_hal::Board;

/// Columns of the output; a row for every cycle in which the two differ.
const HEADER: &str = "cycle,wan,rtt_ms,dl_state,dl_bps,ul_state,ul_bps,\
                      other_dl_state,other_dl_bps,other_ul_state,other_ul_bps";

/// The other configuration.
pub(super) struct Other {
    config: Config,
    laws: Vec<Watcher>,
    cycles: u64,
    different: u64,
}

/// One law that watches one WAN.
struct Watcher {
    name: String,
    law: Law,
    stats: Option<LinkStats>,
}

impl Other {
    pub(super) const fn new(config: Config) -> Self {
        Self { config, laws: Vec::new(), cycles: 0, different: 0 }
    }

    /// How many cycles differed.
    pub(super) const fn different(&self) -> u64 {
        self.different
    }

    /// The laws take over what the recorded ones had learnt before, as at a reload.
    pub(super) fn begin<B: Board>(&mut self, daemon: &Daemon<B>) {
        println!("{HEADER}");
        for wan in daemon.wans() {
            let Some(settings) = self.config.wans.iter().find(|w| w.name == wan.name.as_str()) else {
                eprintln!("wan \"{}\" is not in the other configuration: left out", wan.name);
                continue;
            };
            let mut law = Law::new(settings.law.clone());
            law.restore(wan.law.learnt());
            self.laws.push(Watcher { name: wan.name.clone(), law, stats: None });
        }
    }

    /// Before a turn: the statistics that its cycle will look at.
    pub(super) fn before<B: Board>(&mut self, daemon: &Daemon<B>) {
        for (watcher, wan) in pairs(&mut self.laws, daemon) {
            watcher.stats = daemon.actuator().statistics(wan.id).copied();
        }
    }

    /// After a turn: if it had a cycle, the same one for the other laws.
    pub(super) fn after<B: Board>(&mut self, daemon: &Daemon<B>, now: Instant) {
        let cycle = daemon.counters().cycles;
        if cycle == self.cycles {
            return;
        }
        self.cycles = cycle;
        let mut different = false;
        for (watcher, wan) in pairs(&mut self.laws, daemon) {
            let Some((sample, recorded)) = &wan.last else { continue };
            let other = watcher.law.decide(Input { now, sample, stats: watcher.stats.as_ref(), acts: true });
            let row = |v: &DirectionVerdict| (v.state, v.rate.rate());
            let [a, b, c, d] = [&recorded.download, &recorded.upload, &other.download, &other.upload].map(row);
            if (a, b) != (c, d) {
                different = true;
                let rtt = sample.rtt.map(|rtt| rtt.get().to_string()).unwrap_or_default();
                let cells = [a, b, c, d].map(|(state, rate)| format!("{},{}", state.name(), rate.bps()));
                println!("{cycle},{},{rtt},{}", wan.name, cells.join(","));
            }
        }
        self.different += u64::from(different);
    }
}

fn pairs<'a, B: Board>(
    laws: &'a mut [Watcher],
    daemon: &'a Daemon<B>,
) -> impl Iterator<Item = (&'a mut Watcher, &'a Wan)> {
    laws.iter_mut().filter_map(|watcher| {
        let wan = daemon.wans().iter().find(|wan| wan.name == watcher.name)?;
        Some((watcher, wan))
    })
}
