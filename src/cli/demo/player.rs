//! Who measures the line: at first the show itself, with wanctl's probes and nothing else; later
//! the daemon, unchanged, as `wanctl run` makes it.

use crate::cli::run;
use crate::config::Config;
use crate::daemon::Daemon;
use crate::measure::{Measure, Pace};
use crate::types::{Instant, Sample, Verdict, WanId};
use wanctl_hal::{Board, Clock, EchoEvent, Signal};

/// Measures only. The router is not even connected to.
#[derive(Debug)]
pub(super) struct Pinger<B> {
    board: B,
    wan: WanId,
    measure: Measure,
    last: Option<Sample>,
}

impl<B: Board> Pinger<B> {
    /// Opens the sockets of the configuration's first WAN.
    ///
    /// # Errors
    /// When they can't be opened.
    fn new(mut board: B, config: &Config) -> Result<Self, String> {
        let now = board.clock().now;
        let (wan, settings) = WanId::new(0).zip(config.wans.first()).ok_or("the configuration has no WAN")?;
        board.open_wan(wan, &settings.source).map_err(|e| e.to_string())?;
        let mut measure = Measure::new(settings.measure.clone(), board.entropy(), now);
        measure.set_pace(now, Pace::Full);
        Ok(Self { board, wan, measure, last: None })
    }

    /// Probes until `until`, and takes a sample then. Returns whether a signal said stop.
    fn run_until(&mut self, until: Instant) -> bool {
        loop {
            self.board.wait(self.measure.next_wake().min(until));
            let now = self.board.clock().now;
            while let Some(signal) = self.board.signal() {
                if signal == Signal::Stop {
                    return true;
                }
            }
            while let Some(event) = self.board.recv_echo(self.wan) {
                if let EchoEvent::Reply(reply) = event {
                    let _ = self.measure.reply(&reply);
                }
            }
            while let Some(request) = self.measure.poll_probe(now) {
                let outcome = self.board.send_echo(self.wan, &request);
                self.measure.sent(&request, outcome);
            }
            if now >= until {
                self.last = Some(self.measure.sample(now));
                return false;
            }
        }
    }
}

/// Who measures.
pub(super) enum Player<B: Board> {
    /// Nobody controls anything.
    Pinger(Box<Pinger<B>>),
    /// wanctl.
    Daemon(Box<Daemon<B>>),
}

impl<B: Board> Player<B> {
    /// Goes on until `until`. Returns whether a signal said stop (the daemon has then left the
    /// router as configured).
    pub(super) fn run_until(&mut self, until: Instant) -> bool {
        match self {
            Self::Pinger(pinger) => pinger.run_until(until),
            Self::Daemon(daemon) => daemon.run_until(until),
        }
    }

    /// A pinger.
    ///
    /// # Errors
    /// As [`Pinger::new`].
    pub(super) fn pinger(board: B, config: &Config) -> Result<Self, String> {
        Ok(Self::Pinger(Box::new(Pinger::new(board, config)?)))
    }

    /// Starts the daemon in place of the pinger.
    ///
    /// # Errors
    /// As `wanctl run`.
    pub(super) fn take_over(self, config: &Config) -> Result<Self, String> {
        let Self::Pinger(pinger) = self else { return Ok(self) };
        let daemon = run::daemon(
            pinger.board,
            config.clone(),
            |config, known| run::router_address(config, known, &|| false),
            Box::new(|_| Err(1)),
        )?;
        Ok(Self::Daemon(Box::new(daemon)))
    }

    /// The clocks of the machine.
    pub(super) fn clock(&mut self) -> Clock {
        match self {
            Self::Pinger(pinger) => pinger.board.clock(),
            Self::Daemon(daemon) => daemon.board().clock(),
        }
    }

    /// The last sample.
    pub(super) fn sample(&self) -> Option<Sample> {
        match self {
            Self::Pinger(pinger) => pinger.last,
            Self::Daemon(daemon) => daemon.wans().first()?.last.map(|(sample, _)| sample),
        }
    }

    /// What the daemon made of it.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        let daemon = self.daemon()?;
        daemon.wans().first()?.last.map(|(_, verdict)| verdict)
    }

    /// The daemon, if it runs.
    pub(super) fn daemon(&self) -> Option<&Daemon<B>> {
        match self {
            Self::Pinger(_) => None,
            Self::Daemon(daemon) => Some(daemon),
        }
    }
}
