//! One run: a scenario, a contender, a seed, from beginning to end, and again and again if asked for.

use super::Case;
use super::contender::Contender;
use super::record::{self, Observer, Record, Said};
use super::stage;
use crate::config::scenario::{Happening, Scenario};
use crate::daemon::{Daemon, Restored, Setup, Store};
use crate::types::{Duration, Instant};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::ops::Range;
use std::sync::Arc;
use wanctl_hal::sim::{SharedWorld, SimBoard, lock};

/// A daemon in a simulated world.
type Simulated = Daemon<SimBoard>;

/// What a run was like from beginning to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Whole {
    /// Cycles of the daemon's loop.
    pub(super) cycles: u64,
    /// Cycles that were skipped.
    pub(super) missed: u64,
    /// State files the daemon has written.
    pub(super) state_files: u64,
    /// Limits written over REST.
    pub(super) writes: u64,
    /// Sectors of the router's flash written.
    pub(super) sectors: u64,
}

/// Runs it, round after round of its timeline; `seen` gets each with its number, in its own time.
/// Daemon, router and line live on from round to round, no more of a round is kept. The result is a
/// function of the case.
///
/// # Errors
/// What keeps the daemon from starting, or what `seen` says.
pub(super) fn run(case: &Case<'_>, mut seen: impl FnMut(u64, Record) -> Result<(), String>) -> Result<Whole, String> {
    let Case { scenario, seed, rounds, .. } = *case;
    let world = stage::world(scenario, seed).share();
    let mut daemon = None;
    for round in 0..rounds {
        let timeline = stage::timeline(scenario, stage::seed(seed, round));
        let record = one(&world, &mut daemon, case, timeline)?;
        seen(round, record)?;
    }
    let router = &lock(&world).router;
    let counters = daemon.as_ref().map(|daemon| *daemon.counters()).unwrap_or_default();
    Ok(Whole {
        cycles: counters.cycles,
        missed: counters.missed,
        state_files: counters.saves,
        writes: router.writes_total(),
        sectors: router.sectors_written(),
    })
}

/// One round, from the present on.
fn one(
    world: &SharedWorld,
    daemon: &mut Option<Simulated>,
    case: &Case<'_>,
    timeline: Vec<(Instant, Happening)>,
) -> Result<Record, String> {
    let Case { scenario, contender, .. } = *case;
    let (begin, requests, observer) = {
        let mut world = lock(world);
        stage::plan(&mut world, case, &timeline);
        let observer = Observer::watch(&mut world, timeline, scenario.lasts);
        (world.now(), world.router.requests_total(), observer)
    };
    let end = begin + scenario.lasts;
    if daemon.is_none() && contender.law().is_some() {
        lock(world).advance(begin + scenario.control.starts);
        *daemon = Some(self::daemon(world, scenario, contender)?);
    }
    let said = if let Some(daemon) = daemon {
        let from = lock(world).now();
        control(daemon, scenario.control.cycle, begin, from..end)
    } else {
        lock(world).advance(end);
        Vec::new()
    };
    let (rows, timeline) = record::lock(&observer).take();
    let mut world = lock(world);
    let writes = world.router.take_writes().into_iter().map(|write| since(begin, write.at)).collect();
    Ok(Record { rows, said, writes, requests: world.router.requests_total() - requests, timeline })
}

/// A time of the world in that of a round.
fn since(begin: Instant, at: Instant) -> Instant {
    Instant::ZERO + at.since(begin)
}

/// The whole daemon, in virtual time.
fn daemon(world: &SharedWorld, scenario: &Scenario, contender: Contender) -> Result<Simulated, String> {
    let setup = Setup {
        board: SimBoard::new(Arc::clone(world)),
        config: stage::config(scenario, contender)?,
        router: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 168, 88, 1)), 80),
        reloader: Box::new(|_| Err(1)),
        store: Store::default(),
        restored: Restored::default(),
    };
    Daemon::new(setup).map_err(|problem| problem.to_string())
}

/// Lets it work for a while, and writes down what it says.
fn control(daemon: &mut Simulated, cycle: Duration, begin: Instant, time: Range<Instant>) -> Vec<Said> {
    let mut said = Vec::new();
    // From cycle to cycle: the daemon wakes then anyway, so asking it changes nothing.
    let mut now = time.start;
    while now < time.end {
        now = (now + cycle).min(time.end);
        daemon.run_until(now);
        if let Some((_, verdict)) = daemon.wans().first().and_then(|wan| wan.last) {
            let both = [verdict.download, verdict.upload];
            said.push(Said {
                at: since(begin, now),
                states: both.map(|d| d.state),
                reasons: both.map(|d| d.reason),
                delay: verdict.load.get() - verdict.baseline.get(),
            });
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::super::MARGIN;
    use super::*;
    use crate::config::scenario;
    use crate::types::Direction;
    use std::path::Path;

    fn scenario(seconds: u64) -> Scenario {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/step.toml");
        let mut scenario = scenario::load(&path).unwrap();
        scenario.lasts = Duration::from_secs(seconds);
        scenario
    }

    fn records(scenario: &Scenario, law: &str, rounds: u64) -> (Whole, Vec<Record>) {
        let mut records = Vec::new();
        let case = Case { scenario, contender: Contender::named(law).unwrap(), seed: 3, rounds, margin: MARGIN };
        let whole = run(&case, |round, record| {
            assert_eq!(round, u64::try_from(records.len()).unwrap());
            records.push(record);
            Ok(())
        });
        (whole.unwrap(), records)
    }

    #[test]
    fn looking_changes_nothing() {
        let scenario = scenario(25);
        let (_, seen) = records(&scenario, "classic", 1);
        let contender = Contender::named("classic").unwrap();
        let case = Case { scenario: &scenario, contender, seed: 3, rounds: 1, margin: MARGIN };
        let world = stage::world(&scenario, 3).share();
        let mut daemon = daemon(&world, &scenario, contender).unwrap();
        stage::plan(&mut lock(&world), &case, &stage::timeline(&scenario, 3));
        daemon.run_until(Instant::ZERO + scenario.lasts);
        let unseen: Vec<Instant> = lock(&world).router.writes().map(|write| write.at).collect();
        assert!(unseen.len() > 50, "{}", unseen.len());
        assert_eq!(seen[0].writes, unseen);
    }

    /// A round begins as the scenario does, in a world and with a daemon that live on.
    #[test]
    fn rounds_repeat_the_timeline() {
        let scenario = scenario(45);
        let (whole, rounds) = records(&scenario, "adaptive", 3);
        let (_, once) = records(&scenario, "adaptive", 1);
        assert_eq!(rounds[0].rows, once[0].rows, "the first is the scenario itself");
        assert_ne!(rounds[1].timeline, rounds[0].timeline, "each has chances of its own");
        for (number, round) in rounds.iter().enumerate() {
            assert_eq!(round.rows.len(), 4_500);
            assert_eq!(round.said.last().unwrap().at, Instant::ZERO + scenario.lasts);
            let capacities = |from: usize| round.rows[from].capacity[0];
            assert_eq!((capacities(1), capacities(4_200)), (30e6, 12e6), "round {number}");
            assert!(!round.rows[150].is_loaded(Direction::Download) && round.rows[300].is_loaded(Direction::Download));
            assert!(round.writes.iter().all(|at| at.since(Instant::ZERO) <= scenario.lasts), "round {number}");
        }
        let writes: usize = rounds.iter().map(|round| round.writes.len()).sum();
        assert_eq!(u64::try_from(writes).unwrap(), whole.writes);
        assert_eq!((whole.cycles, whole.missed), (135 * 20, 0));
    }
}
