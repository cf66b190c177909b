//! The flap brake: after so many switches in so short a time, the fitter WAN is held.

use super::Settings;
use crate::types::{Duration, Instant};

/// The most switches that are remembered.
const MOST: usize = 8;

/// The memory of recent switches.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Brake {
    toggles: heapless::Deque<Instant, MOST>,
    until: Option<Instant>,
    /// How often the hold has been doubled.
    level: u8,
    /// When it last came into force, or the level last fell.
    level_at: Option<Instant>,
}

impl Brake {
    /// A switch was made.
    pub fn toggled(&mut self, now: Instant) {
        if self.toggles.is_full() {
            self.toggles.pop_front();
        }
        let _ = self.toggles.push_back(now);
    }

    /// How long it is still in force.
    #[must_use]
    pub fn left(&self, now: Instant) -> Option<Duration> {
        self.until.filter(|until| *until > now).map(|until| until.since(now))
    }

    /// Whether a switch may be made now that no lost WAN calls for. The one that would be one too
    /// many may only lead to the fitter WAN; in any case that is where things then stay.
    pub fn admits(&mut self, now: Instant, settings: &Settings, to_fitter: bool) -> bool {
        if self.left(now).is_some() {
            return false;
        }
        let recent = self.toggles.iter().filter(|at| now.since(**at) < settings.brake_window).count();
        // Where it has held lately, it takes more than a moment's calm to leave the fitter WAN.
        let is_wary = self.level > 0 && !to_fitter;
        if recent + 1 < usize::from(settings.brake_toggles) && !is_wary {
            return true;
        }
        let hold = settings.brake_hold.saturating_mul(1 << self.level.min(16));
        self.until = Some(now + hold.min(settings.brake_longest));
        self.level_at = Some(now);
        if hold < settings.brake_longest {
            self.level += 1;
        }
        to_fitter
    }

    /// Quiet makes it forget: one doubling less per window.
    pub fn rest(&mut self, now: Instant, settings: &Settings) {
        if let Some(at) = self.level_at
            && self.level > 0
            && self.left(now).is_none()
            && now.since(at.max(self.until.unwrap_or(at))) >= settings.brake_window
        {
            self.level -= 1;
            (self.level_at, self.until) = (Some(now), None);
        }
    }

    /// What is worth keeping over a restart: the end of the hold, and how often it was doubled.
    #[must_use]
    pub const fn learnt(&self) -> (Option<Instant>, u8) {
        (self.until, self.level)
    }

    /// The moments of the last switches, oldest first.
    pub fn toggles(&self) -> impl Iterator<Item = Instant> {
        self.toggles.iter().copied()
    }

    /// Takes over what an earlier run has kept.
    pub fn restore(&mut self, now: Instant, until: Option<Instant>, level: u8, toggles: &[Instant]) {
        (self.until, self.level, self.level_at) = (until, level.min(8), Some(now));
        for at in toggles {
            self.toggled(*at);
        }
    }
}
