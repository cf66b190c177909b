//! The TCP fall-back: connect times of a few targets, while no reflector answers.
//!
//! A connect takes another path through hosts than an echo, so its time is never mixed with echoes:
//! each target is a candidate of its own, with a distance of its own. That distance has to be known
//! before it is needed, so one target is asked every [`LEARN_EVERY`] in good times as well.

use super::{MAX_TCP_TARGETS, median};
use crate::types::{Duration, FIRST_TCP, Instant, MAX_REFLECTORS, Millis, Sample};
use core::net::SocketAddr;

/// Time between connects while silent, after a first one to every target at once.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// Time between connects in good times.
const LEARN_EVERY: Duration = Duration::from_secs(20);

/// A connect that has not ended by then is given up.
const GIVE_UP: Duration = Duration::from_secs(3);

/// A connect time counts as fresh for so long, and proves for so long that the line is up.
const FRESH: Duration = Duration::from_millis(1200);
const PROOF_LASTS: Duration = Duration::from_millis(2500);

/// One target.
#[derive(Clone, Copy, Debug, Default)]
struct Target {
    /// A connect is under way since then.
    out: Option<Instant>,
    last: Option<(Instant, Millis)>,
}

/// All targets of one WAN.
#[derive(Debug, Default)]
pub(super) struct TcpFallback {
    targets: [Target; MAX_TCP_TARGETS],
    /// When the next connect is due, and to whom.
    at: Instant,
    turn: usize,
    /// How many of the first round in silence are still to start.
    round: usize,
    was_silent: bool,
    renewed: bool,
}

impl TcpFallback {
    /// The next connect to start now: slot and target.
    pub(super) fn poll(&mut self, now: Instant, silent: bool, to: &[SocketAddr]) -> Option<(u8, SocketAddr)> {
        match (core::mem::replace(&mut self.was_silent, silent), silent) {
            (false, true) => (self.round, self.at) = (to.len(), now + ASK_EVERY),
            (true, false) => (self.round, self.at) = (0, now + LEARN_EVERY),
            (false, false) | (true, true) => {}
        }
        while self.round > 0 || self.at <= now {
            if self.round > 0 {
                self.round -= 1;
            } else {
                self.at = now + if silent { ASK_EVERY } else { LEARN_EVERY };
            }
            let slot = self.turn % to.len().max(1);
            self.turn = slot + 1;
            let target = self.targets.get_mut(slot)?;
            if to.get(slot).is_some() && target.out.is_none_or(|since| now.since(since) >= GIVE_UP) {
                target.out = Some(now);
                return Some((u8::try_from(slot).ok()?, to[slot]));
            }
        }
        None
    }

    /// A connect has ended. Returns whether it proves that the line is up.
    pub(super) fn ended(&mut self, now: Instant, slot: u8, time: Option<Millis>) -> bool {
        if let Some(target) = self.targets.get_mut(usize::from(slot)) {
            target.out = None;
            target.last = time.map(|time| (now, time));
            self.renewed |= time.is_some();
        }
        time.is_some()
    }

    /// Median of the connect times that still count.
    pub(super) fn time(&self, now: Instant) -> Option<Millis> {
        let fresh = self.targets.iter().filter_map(|t| t.last).filter(|(at, _)| now.since(*at) <= PROOF_LASTS);
        let mut times: heapless::Vec<f64, MAX_TCP_TARGETS> = fresh.map(|(_, t)| t.get()).collect();
        median(&mut times).and_then(Millis::new)
    }

    /// Puts the connect times into the sample: in silence instead of the reflectors, else into the
    /// places they leave free, and only what is new.
    pub(super) fn fill(&mut self, sample: &mut Sample, taken: usize, silent: bool) {
        let renewed = core::mem::take(&mut self.renewed);
        if !silent && !renewed {
            return;
        }
        let first = if silent { 0 } else { taken };
        sample.renewed |= silent && renewed;
        for (slot, target) in self.targets.iter().enumerate() {
            let place = first + slot;
            let Ok(candidate) = u8::try_from(slot).map(|slot| FIRST_TCP + slot) else { break };
            if place >= MAX_REFLECTORS {
                break;
            }
            let fresh = target.last.filter(|(at, _)| sample.at.since(*at) <= FRESH).map(|(_, time)| time);
            sample.candidates[place] = candidate;
            sample.per_reflector[place] = fresh;
            sample.waiting[place] = target.out.filter(|_| silent).map(|since| sample.at.since(since));
        }
    }
}
