//! One run: a scenario, a contender, a seed, from beginning to end.

use super::Case;
use super::contender::Contender;
use super::record::{self, Observer, Record, Said};
use super::stage;
use crate::config::scenario::Scenario;
use crate::daemon::{Daemon, Restored, Setup, Store};
use crate::types::Instant;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use wanctl_hal::sim::{SharedWorld, SimBoard, lock};

/// Runs it. The result is a function of the case.
///
/// # Errors
/// What keeps the daemon from starting.
pub(super) fn run(case: &Case<'_>) -> Result<Record, String> {
    let Case { scenario, contender, seed } = *case;
    let timeline = stage::timeline(scenario, seed);
    let mut world = stage::world(scenario, contender, seed, &timeline);
    let end = Instant::ZERO + scenario.lasts;
    let observer = Observer::watch(&mut world, timeline, end);
    let world = world.share();
    let said = if contender.law().is_some() {
        control(&world, scenario, contender, end)?
    } else {
        lock(&world).advance(end);
        Vec::new()
    };
    let (rows, timeline) = record::lock(&observer).take();
    let world = lock(&world);
    let writes = world.router.writes().map(|write| write.at).collect();
    Ok(Record { rows, said, writes, requests: world.router.requests_total(), timeline })
}

/// The whole daemon, in virtual time.
fn control(world: &SharedWorld, scenario: &Scenario, contender: Contender, end: Instant) -> Result<Vec<Said>, String> {
    let config = stage::config(scenario, contender)?;
    let cycle = config.cycle;
    let setup = Setup {
        board: SimBoard::new(Arc::clone(world)),
        config,
        router: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 168, 88, 1)), 80),
        reloader: Box::new(|_| Err(1)),
        store: Store::default(),
        restored: Restored::default(),
    };
    let mut daemon = Daemon::new(setup).map_err(|problem| problem.to_string())?;
    let mut said = Vec::new();
    // From cycle to cycle: the daemon wakes then anyway, so asking it changes nothing.
    let mut now = Instant::ZERO;
    while now < end {
        now = (now + cycle).min(end);
        daemon.run_until(now);
        if let Some((_, verdict)) = daemon.wans().first().and_then(|wan| wan.last) {
            let both = [verdict.download, verdict.upload];
            said.push(Said {
                at: now,
                states: both.map(|d| d.state),
                reasons: both.map(|d| d.reason),
                delay: verdict.load.get() - verdict.baseline.get(),
            });
        }
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::scenario;
    use std::path::Path;

    #[test]
    fn looking_changes_nothing() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/step.toml");
        let mut scenario = scenario::load(&path).unwrap();
        scenario.lasts = std::time::Duration::from_secs(25);
        let contender = Contender::named("classic").unwrap();
        let seen = run(&Case { scenario: &scenario, contender, seed: 3 }).unwrap();
        let timeline = stage::timeline(&scenario, 3);
        let world = stage::world(&scenario, contender, 3, &timeline).share();
        control(&world, &scenario, contender, Instant::ZERO + scenario.lasts).unwrap();
        let unseen: Vec<Instant> = lock(&world).router.writes().map(|write| write.at).collect();
        assert!(unseen.len() > 50, "{}", unseen.len());
        assert_eq!(seen.writes, unseen);
    }
}
