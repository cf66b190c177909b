//! Alerts in the loop: bytes between the rules (which know no socket) and the board (which knows no alert), in what
//! is left of a wake-up. Nothing here ends a sleep, and the router never waits for it.

use super::Daemon;
use super::serve::seconds;
use crate::config::Config;
use crate::observe::{AlertNews, AlertStep, Alerts};
use crate::types::{Duration, Instant, OverrunCause};
use wanctl_hal::{Board, Clock, LinkEvent, LinkIo};

/// Most bytes of an answer that are taken in one wake-up.
const BYTES: usize = 512;

/// After a TLS handshake, none for an alert for so long: each may cost a small board a cycle.
const HANDSHAKES_APART: Duration = Duration::from_secs(2);

/// The rules of a configuration, made known to the board; `None` without any. A rule that the board can't use is said
/// and does nothing.
pub fn alerts<B: Board>(board: &mut B, config: &Config, seen: u64) -> Option<Box<Alerts>> {
    let mut rules = Vec::new();
    for rule in &config.alerts.rules {
        match board.hook_target(rules.len(), Some(&rule.target())) {
            Ok(()) => rules.push(rule.rule()),
            Err(bad) => log::error!("alert \"{}\" is out of use: {bad}", rule.name),
        }
    }
    for slot in rules.len()..crate::types::MAX_HOOKS {
        let _ = board.hook_target(slot, None); // nobody is always possible
    }
    (!rules.is_empty()).then(|| Box::new(Alerts::new(rules, seen)))
}

/// Moves what can be moved now. Returns whether a full TLS handshake was made.
pub fn carry<B: Board>(board: &mut B, alerts: &mut Alerts, names: &[String], now: Instant, may_open: bool) -> bool {
    let mut handshake = false;
    if alerts.is_idle() {
        return false;
    }
    let mut buffer = [0; BYTES];
    if let LinkIo::Moved(length) = board.hook_read(&mut buffer) {
        alerts.input(now, &buffer[..length]);
    }
    while let Some(event) = board.hook_poll() {
        match event {
            LinkEvent::Open { resumed } => {
                handshake = resumed == Some(false);
                alerts.opened(now, names);
            }
            LinkEvent::Down(error) => alerts.down(now, error),
        }
    }
    loop {
        match alerts.poll(now, may_open) {
            AlertStep::Open(slot, port) => board.hook_open(slot, port),
            AlertStep::Close => board.hook_close(),
            AlertStep::Write(bytes) => match board.hook_write(bytes) {
                LinkIo::Moved(length) => alerts.wrote(length),
                LinkIo::WouldBlock | LinkIo::Down => return handshake,
            },
            AlertStep::Nothing => return handshake,
        }
    }
}

impl<B: Board> Daemon<B> {
    /// Tells whom it concerns what has happened, in every wake-up while a message is on its way; begins a delivery only
    /// behind a cycle that was `due`.
    pub(super) fn alert(&mut self, clock: Clock, due: bool) {
        let Some(alerts) = self.alerts.as_mut().filter(|alerts| due || !alerts.is_idle()) else { return };
        let now = clock.now;
        alerts.watch(&self.events, now, seconds(clock.wall));
        let apart = self.handshake_at.is_none_or(|at| now.since(at) >= HANDSHAKES_APART);
        let may_open = due && apart && !self.client.is_connecting();
        if carry(&mut self.board, alerts, &self.names, now, may_open) {
            self.handshake_at = Some(now);
            self.heavy = Some(OverrunCause::Handshake);
        }
        match alerts.take_news() {
            Some((name, AlertNews::Failed(error, true))) => {
                log::error!("alert \"{name}\": {error}; the message is given up");
            }
            Some((name, AlertNews::Failed(error, false))) => log::warn!("alert \"{name}\": {error}; tried again"),
            Some((name, AlertNews::Back(failures))) => {
                let s = if failures == 1 { "" } else { "s" };
                log::info!("alert \"{name}\": delivered, after {failures} failure{s}");
            }
            None => {}
        }
    }

    /// The rules in use, for tests and views.
    #[must_use]
    pub fn alerts(&self) -> Option<&Alerts> {
        self.alerts.as_deref()
    }

    /// Other rules. Those that remain go on counting; what waited is not told any more.
    pub(super) fn reload_alerts(&mut self, config: &Config) {
        self.board.hook_close();
        let mut next = alerts(&mut self.board, config, self.events.total());
        if let (Some(next), Some(old)) = (&mut next, &self.alerts) {
            next.inherit(old);
        }
        self.alerts = next;
    }
}

/// Says at error level what is wrong with the rules that are out of use.
pub(super) fn complain(config: &Config) {
    if config.alerts.refused > 0 {
        config.alerts.faults.lines().for_each(|line| log::error!("{line}"));
        log::error!("alert rules out of use: {}; everything else works", config.alerts.refused);
    }
}
