//! The endpoint in the loop: the board carries the bytes, the server makes the pages, and what the
//! daemon knows is lent to them.

use super::watch::Watch;
use super::{Counters, Daemon, Wan};
use crate::actuate::Actuator;
use crate::config::Config;
use crate::observe::http::{Access, Carrier, Io, Server};
use crate::observe::{
    AlertFacts, Alerts, EventRing, Facts, History, LoopFacts, ProbeFacts, ReflectorFacts, RouterFacts, Spread,
    SteerFacts, SteerWan, WanFacts,
};
use crate::routeros::Client;
use crate::types::{Direction, Duration, EventKind, Instant, WallClock};
use core::net::SocketAddr;
use wanctl_hal::{Board, Clock, LinkIo};

/// Time between two attempts to listen, when it is refused: an address may come later.
const LISTEN_AGAIN: Duration = Duration::from_secs(60);

/// The endpoint of a daemon.
#[derive(Debug)]
pub(super) struct Endpoint {
    server: Server,
    /// When to try to listen again.
    again: Option<Instant>,
}

impl Endpoint {
    pub(super) fn new(config: &Config) -> Self {
        Self { server: Server::new(access(config)), again: Some(Instant::ZERO) }
    }

    /// Another configuration: who may look in, and where, is settled anew.
    pub(super) fn reload(&mut self, config: &Config) {
        self.server.set_access(access(config));
        self.again = Some(Instant::ZERO);
    }
}

fn access(config: &Config) -> Access {
    config.observe.token.as_ref().map_or(Access::Open, |token| Access::Token(token.reveal().to_owned()))
}

impl<B: Board> Daemon<B> {
    /// Serves whoever looks in; in every wake-up while somebody does. New clients are let in behind a cycle that was `due`:
    /// to ask for them in every wake-up costs as much as sending a probe (docs/profiling.md).
    pub(super) fn serve(&mut self, clock: Clock, due: bool) {
        if self.endpoint.again.is_some_and(|at| at <= clock.now) {
            self.listen(clock.now);
        }
        if self.config.observe.listen.is_none() || !due && !self.endpoint.server.is_busy() {
            return;
        }
        let known = Known {
            clock,
            config: &self.config,
            wans: &self.wans,
            actuator: &self.actuator,
            client: &self.client,
            router: self.router,
            lateness: self.schedule.lateness(),
            counters: &self.counters,
            watch: &self.watch,
            events: &self.events,
            names: &self.names,
            steering: &self.steering,
            alerts: self.alerts.as_deref(),
        };
        let mut clients = Clients { board: &mut self.board, opens: due };
        self.endpoint.server.serve(clock.now, &mut clients, &known);
    }

    /// Listens where the configuration says, or tells why not.
    fn listen(&mut self, now: Instant) {
        self.endpoint.again = None;
        if let Err(error) = self.board.listen(self.config.observe.listen) {
            self.endpoint.again = Some(now + LISTEN_AGAIN);
            self.tell(now, EventKind::NotListening(error));
        }
    }

    /// What has been served, for tests and views.
    #[must_use]
    pub const fn served(&self) -> &crate::observe::http::Counters {
        self.endpoint.server.counters()
    }
}

/// The board, as the server sees it.
struct Clients<'a, B> {
    board: &'a mut B,
    /// New ones are let in.
    opens: bool,
}

impl<B: Board> Carrier for Clients<'_, B> {
    fn accept(&mut self) -> Option<usize> {
        if self.opens { self.board.client_accept() } else { None }
    }

    fn read(&mut self, client: usize, buffer: &mut [u8]) -> Io {
        io(self.board.client_read(client, buffer))
    }

    fn write(&mut self, client: usize, bytes: &[u8]) -> Io {
        io(self.board.client_write(client, bytes))
    }

    fn close(&mut self, client: usize) {
        self.board.client_close(client);
    }
}

const fn io(outcome: LinkIo) -> Io {
    match outcome {
        LinkIo::Moved(count) => Io::Moved(count),
        LinkIo::WouldBlock => Io::Later,
        LinkIo::Down => Io::Gone,
    }
}

const _: () = assert!(wanctl_hal::CLIENTS == crate::observe::http::CLIENTS);

/// What a daemon knows, lent for one wake-up.
struct Known<'a> {
    clock: Clock,
    config: &'a Config,
    wans: &'a [Wan],
    actuator: &'a Actuator,
    client: &'a Client,
    router: SocketAddr,
    lateness: &'a Spread,
    counters: &'a Counters,
    watch: &'a Watch,
    events: &'a EventRing,
    names: &'a [String],
    steering: &'a super::Steering,
    alerts: Option<&'a Alerts>,
}

/// Seconds since 1970.
#[expect(clippy::cast_precision_loss, reason = "a millisecond more or less in 300 years")]
pub(super) fn seconds(wall: WallClock) -> f64 {
    wall.0 as f64 / 1e9
}

impl Facts for Known<'_> {
    fn whole(&self) -> LoopFacts<'_> {
        LoopFacts {
            now: self.clock.now,
            wall: seconds(self.clock.wall),
            uptime: self.clock.now.since(self.watch.started),
            cycle: self.config.cycle,
            cycles: self.counters.cycles,
            missed: self.counters.missed,
            stall: self.watch.stall(),
            saves: [self.counters.saves, self.counters.slow_saves],
            lateness: self.lateness,
            stages: &self.watch.stages,
            work: &self.watch.work,
        }
    }

    fn router(&self) -> RouterFacts<'_> {
        let (counters, budget) = (self.actuator.counters(), self.actuator.budget());
        RouterFacts {
            address: self.router,
            host: &self.config.router.url.host,
            connected: self.client.is_open(),
            version: self.actuator.info().version.as_str(),
            connections: self.counters.connections,
            handshakes: self.counters.handshakes,
            failures: self.watch.failures,
            error: self.watch.error.filter(|_| self.watch.failures > 0),
            writes: counters.writes,
            repairs: counters.repairs,
            contests: counters.contests,
            held: counters.held,
            tokens: budget.tokens(),
            writes_per_hour: self.config.actuate.writes_per_hour,
            budget: budget.last_state(),
            sectors_per_hour: budget.sectors_per_hour(),
            latency: &self.watch.latency,
        }
    }

    fn wan(&self, place: usize) -> Option<WanFacts<'_>> {
        let (wan, config, watch) = (self.wans.get(place)?, self.config.wans.get(place)?, self.watch.wans.get(place)?);
        let (stats, probes) = (self.actuator.statistics(wan.id), wan.measure.counters());
        Some(WanFacts {
            name: &wan.name,
            law: config.law.name(),
            last: wan.last.as_ref().map(|(sample, verdict)| (sample, verdict)),
            observed: Direction::BOTH.map(|direction| self.actuator.observed(wan.id, direction)),
            confirmed: stats.map(|s| s.at),
            ranges: config.ranges,
            stats,
            probes: ProbeFacts {
                sent: probes.sent,
                accepted: probes.accepted,
                overdue: probes.overdue,
                refused: probes.duplicate + probes.forged + probes.foreign + probes.late + probes.impossible,
                send_errors: probes.send_errors,
            },
            active: wan.measure.active_reflectors(),
            rtt: &watch.rtt,
            delay: &watch.delay,
        })
    }

    fn reflector(&self, wan: usize, place: usize) -> Option<ReflectorFacts> {
        let (address, score, active) = self.wans.get(wan)?.measure.reflectors().nth(place)?;
        Some(ReflectorFacts { address, score, active })
    }

    fn steering(&self, place: usize) -> Option<SteerFacts<'_>> {
        let (name, pair) = self.steering.pairs().nth(place)?;
        let settings = pair.settings();
        let switch = |wan| settings.alternates.iter().find(|a| a.wan == wan).map(|a| a.switch);
        let wans = pair.scores().map(|(wan, score)| SteerWan {
            wan,
            score: *score,
            switch: switch(wan).map(|switch| self.steering.switch_state(self.actuator, switch, self.clock.now)),
        });
        Some(SteerFacts {
            name,
            primary: settings.primary,
            in_use: pair.wan(),
            dry_run: settings.dry_run,
            turned: pair.learnt().turned,
            held: pair.held(),
            wans: wans.collect(),
        })
    }

    fn alert(&self, place: usize) -> Option<AlertFacts<'_>> {
        self.alerts?.rule(place)
    }

    fn refused_alerts(&self) -> usize {
        self.config.alerts.refused
    }

    fn names(&self) -> &[String] {
        self.names
    }

    fn events(&self) -> &EventRing {
        self.events
    }

    fn history(&self) -> &History {
        &self.watch.history
    }
}

/// The WANs of a configuration that have another place than before lose their history.
pub(super) fn same_places(old: &Config, new: &Config) -> bool {
    let names = |config: &Config| config.wans.iter().map(|w| w.name.clone()).collect::<Vec<_>>();
    names(old) == names(new) && old.cycle == new.cycle && old.observe.history == new.observe.history
}
