//! The play itself: scene after scene, the line looked at every 50 ms and shown five times a
//! second.

use super::face::Face;
use super::player::Player;
use super::record::{Look, Record};
use super::scenes::{SCENES, begin};
use super::stage::{self, BASE_RTT, QUEUE_NAMES};
use super::summary::Outcome;
use super::view::{EVENTS, Moment};
use crate::config::Config;
use crate::daemon::Daemon;
use crate::observe::Described;
use crate::types::{Direction, Duration, Event, EventKind, Instant};
use std::io;
use wanctl_hal::sim::{Action, SharedWorld, lock};
use wanctl_hal::{Board, Signal};

/// How often the line is looked at: once a cycle.
const LOOK: Duration = Duration::from_millis(50);

/// Looks from picture to picture.
const PICTURE_EVERY: u64 = 4;

/// Looks from second to second.
const SECOND: u64 = 20;

/// The longest the daemon may take to leave.
const GOOD_BYE: Duration = Duration::from_secs(3);

/// Why the play did not come to its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// Somebody pressed Ctrl-C, or closed the terminal or pipe.
    Interrupted,
    /// Something does not work; in words.
    Failed(String),
}

impl From<String> for Stop {
    fn from(message: String) -> Self {
        Self::Failed(message)
    }
}

impl From<io::Error> for Stop {
    /// Nobody reads any more.
    fn from(_: io::Error) -> Self {
        Self::Interrupted
    }
}

/// Plays all scenes on this board, which sees `world`.
///
/// # Errors
/// [`Stop`].
pub(super) fn play<B: Board>(
    board: B,
    config: &Config,
    world: &SharedWorld,
    face: &mut Face<'_>,
) -> Result<Outcome, Stop> {
    let mut player = Player::pinger(board, config)?;
    let mut record = Record::new();
    let start = player.clock().now;
    face.open()?;
    for (scene, shown) in SCENES.iter().enumerate() {
        if shown.controlled {
            player = player.take_over(config)?;
        }
        let now = player.clock().now;
        stage::set(&mut lock(world), now, shown);
        face.heading(scene)?;
        let end = start + begin(scene + 1);
        play_scene(&mut player, &mut record, world, face, (scene, start, end))?;
    }
    leave(player, record, world)
}

/// Looks, records and shows until the scene is over.
fn play_scene<B: Board>(
    player: &mut Player<B>,
    record: &mut Record,
    world: &SharedWorld,
    face: &mut Face<'_>,
    (scene, start, end): (usize, Instant, Instant),
) -> Result<(), Stop> {
    let mut now = player.clock().now;
    while now < end {
        // Looks are on the beat, however late the last one was.
        let number = now.since(start).as_nanos() / LOOK.as_nanos() + 1;
        let number = u64::try_from(number).unwrap_or(u64::MAX);
        let until = start + Duration::from_nanos(number.saturating_mul(50_000_000));
        if player.run_until(until) {
            return Err(Stop::Interrupted);
        }
        now = player.clock().now;
        let at = now.since(start);
        record.add(scene, look(player, world, at));
        if number % PICTURE_EVERY == 0 {
            face.show(&moment(player, record, world, scene, at), number % SECOND == 0)?;
        }
    }
    Ok(())
}

/// What is seen now.
fn look<B: Board>(player: &Player<B>, world: &SharedWorld, at: Duration) -> Look {
    let fresh = player.sample().filter(|sample| sample.renewed);
    let base = BASE_RTT.as_secs_f64() * 1e3;
    let delay = fresh.and_then(|sample| sample.rtt).map(|rtt| (rtt.get() - base).max(0.0));
    let world = lock(world);
    let totals = Direction::BOTH.map(|d| world.wans.first().map(|wan| wan.line.totals(d)).unwrap_or_default());
    Look { at, delay, totals }
}

/// Everything a picture needs.
fn moment<'a, B: Board>(
    player: &mut Player<B>,
    record: &'a Record,
    world: &SharedWorld,
    scene: usize,
    at: Duration,
) -> Moment<'a> {
    let now = player.clock().now;
    let verdict = player.verdict();
    let world = lock(world);
    let limit = |d: Direction| world.router.shaper_rate(&world.wans.first()?.shapers[d.index()]);
    Moment {
        at,
        scene,
        record,
        states: verdict.map(|v| [v.download.state, v.upload.state]),
        limits: Direction::BOTH.map(|d| limit(d).unwrap_or_default()),
        capacity: Direction::BOTH.map(|d| world.wans.first().map(|wan| wan.line.capacity(d)).unwrap_or_default()),
        events: player.daemon().map(|daemon| events(daemon, now)).unwrap_or_default(),
    }
}

/// What wanctl said last: on each direction, and on anything else. Each keeps its line, so that
/// it can be read. What goes wrong has precedence over confirmed limits for a while.
fn events<B: Board>(daemon: &Daemon<B>, now: Instant) -> Vec<(f64, String)> {
    const PRECEDENCE: Duration = Duration::from_secs(3);
    let names: Vec<&str> = daemon.wans().iter().map(|wan| wan.name.as_str()).collect();
    let mut last: [Option<&Event>; EVENTS] = [None; EVENTS];
    for event in daemon.events().iter() {
        let place = match event.kind {
            EventKind::State { direction, .. } => usize::from(direction == Direction::Upload),
            _ => 2,
        };
        let urgent = |e: &Event| !matches!(e.kind, EventKind::Confirmed { .. }) && now.since(e.at) < PRECEDENCE;
        if urgent(event) || !last[place].is_some_and(urgent) {
            last[place] = Some(event);
        }
    }
    let text = |kind: &EventKind| match *kind {
        EventKind::State { direction, to, reason, .. } => {
            format!("{:<9}{:<9}{}", direction.name(), to.name(), reason.text())
        }
        ref other => Described { kind: other, names: &names }.to_string(),
    };
    last.into_iter().flatten().map(|event| (now.since(event.at).as_secs_f64(), text(&event.kind))).collect()
}

/// The end: wanctl is told to stop, as `systemctl stop` would, and puts back the router's limits.
fn leave<B: Board>(mut player: Player<B>, record: Record, world: &SharedWorld) -> Result<Outcome, Stop> {
    let now = player.clock().now;
    lock(world).at(now, Action::Signal(Signal::Stop));
    if !player.run_until(now + GOOD_BYE) {
        return Err(Stop::Failed("wanctl did not stop when told to".to_owned()));
    }
    let counters = player.daemon().map(|daemon| *daemon.counters()).unwrap_or_default();
    let world = lock(world);
    Ok(Outcome {
        record,
        writes: world.router.writes_total(),
        connections: counters.connections,
        cycles: [counters.cycles, counters.missed],
        limits: QUEUE_NAMES.map(|queue| world.router.property(queue, "max-limit").unwrap_or("?").to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::paint::Paint;
    use super::*;
    use std::path::Path;
    use wanctl_hal::sim::SimBoard;

    /// The whole show in virtual time.
    fn played(picture: bool) -> (Outcome, String) {
        let world = stage::world().share();
        let config = stage::config("http://127.0.0.1", "", Path::new("/nonexistent")).unwrap();
        let mut out = Vec::new();
        let mut face = Face::new(&mut out, picture.then(|| Paint::new(true)));
        let outcome = play(SimBoard::new(world.clone()), &config, &world, &mut face).unwrap();
        face.close(&outcome).unwrap();
        drop(face);
        (outcome, String::from_utf8(out).unwrap())
    }

    #[test]
    fn control_helps_in_virtual_time_too() {
        let (outcome, shown) = played(false);
        outcome.verdict().unwrap();
        for scene in 1..=SCENES.len() {
            assert!(shown.contains(&format!("\nScene {scene} of {}: ", SCENES.len())), "{shown}");
        }
        assert!(!shown.contains('\x1b'));
        let summary = outcome.text(Paint::new(false));
        assert!(summary.lines().all(|line| line.chars().count() <= 80), "{summary}");
        assert!(shown.ends_with(&summary));
    }

    #[test]
    fn the_terminal_is_given_back() {
        let (_, shown) = played(true);
        let (during, after) = shown.rsplit_once("\x1b[?25h\x1b[?1049l").unwrap();
        assert!(during.starts_with("\x1b[?1049h\x1b[?25l"));
        assert!(after.contains("without wanctl") && after.lines().count() < 25, "picture and table stay: {after}");
    }
}
