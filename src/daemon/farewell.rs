//! The end: the router as the configuration wants it left, the state on the medium.

use super::Daemon;
use super::setup::ids;
use crate::actuate::Exit;
use crate::types::{Duration, Instant};
use wanctl_hal::{Board, Notice};

/// How long the router may take to be put into its exit state. With the state file's write it
/// must stay below two seconds, because a container is killed soon after it was asked to stop.
const PATIENCE: Duration = Duration::from_millis(1500);

impl<B: Board> Daemon<B> {
    /// Puts the router into its exit state, as far as it answers in time, then saves the state.
    pub(super) fn farewell(&mut self) {
        self.board.notify(Notice::Stopping);
        let started = self.board.clock().now;
        let exit = self.config.router.exit;
        log::info!(
            "stopping; the router {}",
            match exit {
                Exit::Restore => "gets its original limits back",
                Exit::Keep => "keeps its present limits",
                Exit::Rate => "gets the exit rates",
            }
        );
        if exit == Exit::Rate {
            for (id, wan) in ids(&self.config) {
                if let Some(rates) = wan.exit_rates {
                    self.actuator.want(id, rates);
                }
            }
        }
        self.actuator.leave(exit);
        while !self.actuator.has_left(self.board.clock().now) || self.client.in_flight().is_some() {
            let now = self.board.clock().now;
            if now.since(started) >= PATIENCE {
                log::warn!(
                    "the router did not answer in time: its limits may stay as they are; the next start, or \
                     `wanctl run` with router.exit, puts them right"
                );
                break;
            }
            self.client.hurry(now);
            self.last_words(now, started + PATIENCE);
        }
        let now = self.board.clock().now;
        self.save(now, true);
        self.board.link_close();
        self.board.hook_close();
        log::info!("stopped");
    }

    /// One wake-up that serves nothing but the router.
    fn last_words(&mut self, now: Instant, until: Instant) {
        self.actuate(now);
        let ready = self.board.wait((now + Duration::from_millis(20)).min(until));
        // Of no more use, but left lying they would keep waking us on some boards.
        self.take_connects(ready, now);
    }
}
