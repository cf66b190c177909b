//! Signals, and a new configuration between two cycles: what remains keeps what it has learnt.

use super::serve::same_places;
use super::setup::{actuator, client, ids};
use super::{Daemon, Wan};
use crate::config::Config;
use crate::decide::Law;
use crate::measure::Measure;
use crate::types::{EventKind, OverrunCause, WanId};
use wanctl_hal::{Board, Clock, ProbeSource, Ready, Signal};

impl<B: Board> Daemon<B> {
    /// Serves signals; returns whether to stop.
    pub(super) fn signals(&mut self, ready: Ready, clock: Clock) -> bool {
        if !ready.signal {
            return false;
        }
        while let Some(signal) = self.board.signal() {
            match signal {
                Signal::Stop => return true,
                Signal::Dump => self.dump(clock.now),
                Signal::Reload => self.reload(clock),
            }
        }
        false
    }

    fn reload(&mut self, clock: Clock) {
        self.heavy = Some(OverrunCause::Reload);
        match (self.reloader)(&self.config) {
            Ok(config) => match self.apply(config, clock) {
                Ok(()) => self.tell(clock.now, EventKind::Reloaded),
                Err(faults) => self.tell(clock.now, EventKind::ReloadRefused { faults }),
            },
            Err(faults) => self.tell(clock.now, EventKind::ReloadRefused { faults }),
        }
    }

    /// Puts a valid configuration into force. What can fail comes first, and is undone then.
    fn apply(&mut self, config: Config, clock: Clock) -> Result<(), u32> {
        let places = |c: &Config| ids(c).map(|(id, w)| (id, w.source.clone())).collect::<Vec<_>>();
        let (old, new) = (places(&self.config), places(&config));
        if let Err(why) = self.prepare(&config, new.iter().filter(|place| !old.contains(place))) {
            log::error!("configuration refused: {why}");
            for (id, source) in &old {
                let _ = self.board.open_wan(*id, source);
            }
            return Err(1);
        }
        for (id, _) in old.iter().filter(|(id, _)| new.iter().all(|(n, _)| n != id)) {
            self.board.close_wan(*id);
        }
        let mut before = core::mem::take(&mut self.wans);
        for (id, wan) in ids(&config) {
            let known = before.iter().position(|w| w.name == wan.name.as_str()).map(|i| before.swap_remove(i));
            self.wans.push(self_or_new(known, id, wan, &mut self.board, &self.config, clock));
        }
        super::steer::trace(&mut self.wans, &config, clock.now);
        let mut next = actuator(&config);
        next.inherit(&self.actuator);
        self.actuator = next;
        self.steering = self.steering.reloaded(&self.config, &config, clock);
        if config.router != self.config.router {
            self.board.link_close();
            self.client = client(&config, self.board.entropy());
        }
        self.schedule.set_cycle(config.cycle);
        if !same_places(&self.config, &config) {
            self.watch.start_over(&config, clock.now);
        }
        super::alert::complain(&config);
        if config.alerts.rules != self.config.alerts.rules {
            self.reload_alerts(&config);
        }
        if config.observe != self.config.observe {
            self.endpoint.reload(&config);
        }
        self.names = self.wans.iter().map(|w| w.name.clone()).collect();
        log::set_max_level(config.log_level);
        self.config = config;
        Ok(())
    }

    /// What can fail: sockets, then the router's certificate.
    fn prepare<'a>(
        &mut self,
        config: &Config,
        places: impl Iterator<Item = &'a (WanId, ProbeSource)>,
    ) -> Result<(), String> {
        for (id, source) in places {
            let name = &config.wans[id.index()].name;
            self.board.open_wan(*id, source).map_err(|error| format!("wan \"{name}\": {error}"))?;
        }
        if config.router.target() != self.config.router.target() {
            self.board.link_target(&config.router.target()).map_err(|bad| bad.to_string())?;
        }
        Ok(())
    }
}

/// A WAN that remains keeps its measurement if nothing about it has changed, and in any case what
/// it has learnt, within the new bounds.
fn self_or_new<B: Board>(
    known: Option<Wan>,
    id: WanId,
    wan: &crate::config::WanConfig,
    board: &mut B,
    old: &Config,
    clock: Clock,
) -> Wan {
    let mut law = Law::new(wan.law.clone());
    let Some(known) = known else {
        let measure = Measure::new(wan.measure.clone(), board.entropy(), clock.now);
        return Wan::new(id, wan.name.to_string(), measure, law, clock.now);
    };
    let was = old.wans.iter().find(|w| w.name == wan.name);
    if was.is_some_and(|w| w.law == wan.law) {
        law = known.law;
    } else {
        law.restore(known.law.learnt());
    }
    let same_path = was.is_some_and(|w| w.measure == wan.measure && w.source == wan.source) && known.id == id;
    let measure = if same_path { known.measure } else { Measure::new(wan.measure.clone(), board.entropy(), clock.now) };
    let mut next = Wan::new(id, wan.name.to_string(), measure, law, clock.now);
    next.last = known.last.filter(|_| same_path);
    next
}
