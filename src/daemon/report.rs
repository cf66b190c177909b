//! What the loop does beside the control: log lines, the summary, the state file, the journal.

use super::{Daemon, SAVE_EVERY, SAVE_SELDOM, SLOW_SAVE};
use crate::observe::{Described, Line, level};
use crate::types::{Duration, EventKind, Instant, OverrunCause, WanId};
use core::fmt::Write as _;
use wanctl_hal::{Board, Clock, StoreError};

/// Time between two summaries.
const SUMMARY_EVERY: Duration = Duration::from_secs(60);

/// How many of the last events SIGUSR1 shows.
const DUMPED_EVENTS: usize = 10;

/// Time between two attempts to journal the originals, when the medium refuses.
const JOURNAL_AGAIN: Duration = Duration::from_secs(5);

impl<B: Board> Daemon<B> {
    /// Everything that can wait until the cycle is done.
    pub(super) fn keep(&mut self, clock: Clock) {
        self.log_events(clock.now);
        if clock.now.since(self.summary_at) >= SUMMARY_EVERY {
            self.summary_at = clock.now;
            self.log_wans(log::Level::Info);
            self.log_pairs(log::Level::Info);
        }
        if clock.now.since(self.saved_at) >= self.save_every || self.steering.take_news() {
            self.save(clock.now, false);
        }
    }

    fn log_events(&mut self, now: Instant) {
        while let Some((class, lines)) = self.flood.expired(now) {
            let class = u8::try_from(class).unwrap_or(0);
            self.tell(now, EventKind::Suppressed { class, lines });
        }
        let total = self.events.total();
        let new = usize::try_from(total - self.logged).unwrap_or(usize::MAX);
        self.logged = total;
        if new == 0 {
            return;
        }
        let kept = self.events.iter().count();
        for event in self.events.iter().skip(kept.saturating_sub(new)) {
            let level = level(&event.kind);
            if level <= self.config.log_level && self.flood.admits(now, &event.kind) {
                log::log!(level, "{}", Described { kind: &event.kind, names: &self.names });
            }
        }
    }

    /// SIGUSR1: the state of everything, and the last events with their age.
    pub(super) fn dump(&self, now: Instant) {
        log::info!(
            "router {}: {}, RouterOS {}, {} connections, {} handshakes, {} writes, {} repairs",
            self.config.router.url,
            if self.client.is_open() { "connected" } else { "not connected" },
            if self.actuator.info().version.is_empty() { "?" } else { self.actuator.info().version.as_str() },
            self.counters.connections,
            self.counters.handshakes,
            self.actuator.counters().writes,
            self.actuator.counters().repairs,
        );
        let late = self.schedule.lateness();
        log::info!(
            "loop: {} cycles, {} missed; they began {} us late (median), {} us (99 %), {} us (longest)",
            self.counters.cycles,
            self.counters.missed,
            late.quantile(500).as_micros(),
            late.quantile(990).as_micros(),
            late.longest().as_micros(),
        );
        let served = self.served();
        log::info!(
            "endpoint: {} clients, {} requests, {} refused, {} shed; {} bytes at most in one wake-up, {} datagrams",
            served.clients,
            served.requests,
            served.refused,
            served.shed,
            served.most,
            self.counters.most_datagrams,
        );
        self.log_wans(log::Level::Info);
        self.log_pairs(log::Level::Info);
        let skip = self.events.iter().count().saturating_sub(DUMPED_EVENTS);
        for event in self.events.iter().skip(skip) {
            let age = now.since(event.at).as_secs_f64();
            log::info!("{age:.1} s ago: {}", Described { kind: &event.kind, names: &self.names });
        }
    }

    /// One line per WAN with everything that matters.
    pub(super) fn log_wans(&self, level: log::Level) {
        for wan in &self.wans {
            let Some((sample, verdict)) = &wan.last else {
                log::log!(level, "{}: nothing measured yet", wan.name);
                continue;
            };
            let mut line = Line::new();
            let _ = write!(
                line,
                "{}: {}/{} rtt {} baseline {} (+{}), {} of {} reflectors, signal {:?}, age {} ms",
                wan.name,
                verdict.download.state.name(),
                verdict.upload.state.name(),
                verdict.load,
                verdict.baseline,
                verdict.delay(),
                sample.fresh,
                wan.measure.active_reflectors(),
                sample.signal,
                sample.age.as_millis(),
            );
            for (name, direction, wanted) in [
                ("down", crate::types::Direction::Download, verdict.download.rate),
                ("up", crate::types::Direction::Upload, verdict.upload.rate),
            ] {
                let _ = write!(line, ", {name} {}", wanted.rate());
                match self.actuator.observed(wan.id, direction) {
                    Some(rate) if rate == wanted.rate() => {}
                    Some(rate) => drop(write!(line, " (router has {rate})")),
                    None => drop(line.push_str(" (router: unknown)")),
                }
            }
            let probes = wan.measure.counters();
            let _ = write!(
                line,
                ", probes {} sent {} answered, {} writes, {} repairs, {} of {} cycles missed",
                probes.sent,
                probes.accepted,
                self.actuator.counters().writes,
                self.actuator.counters().repairs,
                self.counters.missed,
                self.counters.cycles,
            );
            log::log!(level, "{line}");
        }
    }

    /// One line per pair: where its connections go, and the scores.
    pub(super) fn log_pairs(&self, level: log::Level) {
        for (name, pair) in self.steering.pairs() {
            let mut line = Line::new();
            let wan = |id: WanId| self.names.get(id.index()).map_or("?", String::as_str);
            let dry = if pair.settings().dry_run { " (dry run)" } else { "" };
            let _ = write!(line, "steering {name}{dry}: new marked connections leave through {}", wan(pair.wan()));
            for (id, score) in pair.scores() {
                let _ = write!(line, ", score of {} {score}", wan(id));
            }
            if let Some(held) = pair.held() {
                let _ = write!(line, "; held back: {held}");
            }
            log::log!(level, "{line}");
        }
    }

    /// Saves what was learnt. A slow medium is written to more seldom.
    pub(super) fn save(&mut self, now: Instant, durable: bool) {
        self.saved_at = now;
        let wans = self.wans.iter().map(|w| (w.name.as_str(), w.law.learnt()));
        let result = self.store.save_state(&mut self.board, self.router, wans, durable);
        let took = self.board.clock().now.since(now);
        match result {
            Ok(written) => self.counters.saves += u64::from(written),
            Err(error) => self.tell(now, EventKind::SaveFailed { errno: errno(error) }),
        }
        let slow = took >= SLOW_SAVE;
        self.save_every = if slow { SAVE_SELDOM } else { SAVE_EVERY };
        if slow {
            self.counters.slow_saves += 1;
            self.heavy = Some(OverrunCause::StateWrite);
        }
    }

    /// The operator's originals go to the medium before anything of ours goes to the router.
    pub(super) fn journal(&mut self, now: Instant) {
        if !self.actuator.journal_due() || now < self.journal_at {
            return;
        }
        match self.store.save_originals(&mut self.board, self.actuator.originals()) {
            Ok(()) => self.actuator.journalled(),
            Err(error) => {
                self.journal_at = now + JOURNAL_AGAIN;
                self.tell(now, EventKind::SaveFailed { errno: errno(error) });
            }
        }
    }
}

const fn errno(error: StoreError) -> i32 {
    const ENOENT: i32 = 2;
    match error {
        StoreError::NotFound => ENOENT,
        StoreError::Os(errno) => errno,
    }
}
