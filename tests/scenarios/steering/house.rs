//! Two lines behind one router, the daemon, and what a marked connection feels.
#![allow(clippy::cast_precision_loss, reason = "seconds and counts of a test")]

use super::common::{at, mbps, parse};
use std::sync::Arc;
use wanctl::daemon::{Daemon, Setup, Store};
use wanctl::types::EventKind;
use wanctl_hal::sim::{
    LineSetup, QueueSetup, RouterDouble, RouterSetup, SharedWorld, SimBoard, Target, Wan, World, lock,
};
use wanctl_hal::{Direction, Duration};

/// What a connection counts that nothing comes through, in milliseconds: it gives up.
const GIVES_UP_MS: f64 = 1_000.0;

/// Who decides where marked connections go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// Nobody: they stay on the primary.
    Nobody,
    /// The original's three states.
    Original,
    /// The score.
    Ours,
}

pub const CONTENDERS: [Contender; 3] = [Contender::Nobody, Contender::Original, Contender::Ours];

/// What a scenario changes about the house.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Base round-trip times of primary and alternate, in milliseconds.
    pub base_ms: [u64; 2],
    /// Reflectors of primary and alternate.
    pub reflectors: [[&'static str; 3]; 2],
    /// Further lines of `[loop]`.
    pub pace: &'static str,
}

pub const PLAN: Plan = Plan {
    base_ms: [20, 25],
    reflectors: [["1.1.1.1", "9.9.9.9", "8.8.8.8"], ["1.0.0.1", "9.9.9.10", "8.8.4.4"]],
    pace: "",
};

/// The file of the daemon.
pub fn config_text(plan: &Plan, law: &str, contender: Contender) -> String {
    let mut text = format!("[router]\nurl = \"http://192.168.88.1\"\nuser = \"wanctl\"\n[loop]\n{}\n", plan.pace);
    let wans = [("cable", [40, 14], [2, 1]), ("dsl", [25, 10], [2, 1])];
    for (i, (name, ceilings, floors)) in wans.iter().enumerate() {
        let n = i + 1;
        text += &format!(
            "[[wan]]\nname = \"{name}\"\nlink = \"cable\"\nlaw = \"{law}\"\nmark = {n}\nreflectors = {:?}\n\
             tcp_targets = [\"192.0.2.{n}:443\"]\nbaseline = \"{}ms\"\n[wan.download]\nqueue = \"wan{n}-dl\"\n\
             ceiling = \"{}M\"\nfloor = \"{}M\"\n[wan.upload]\nqueue = \"wan{n}-ul\"\nceiling = \"{}M\"\nfloor = \"{}M\"\n",
            plan.reflectors[i], plan.base_ms[i], ceilings[0], floors[0], ceilings[1], floors[1],
        );
    }
    if contender != Contender::Nobody {
        let mode = if contender == Contender::Ours { "confidence" } else { "hysteresis" };
        text += &format!(
            "[[steering]]\nname = \"calls\"\nprimary = \"cable\"\nmode = \"{mode}\"\n\
             [[steering.alternate]]\nwan = \"dsl\"\nrule = \"calls via dsl\"\n"
        );
    }
    text
}

/// A cable line of 30/10 Mbit/s and a DSL line of 20/8.
pub fn world(plan: &Plan, seed: u64) -> SharedWorld {
    let queue = |name: &str| QueueSetup::tree(name, "bridge", 100_000_000);
    let queues = ["wan1-dl", "wan1-ul", "wan2-dl", "wan2-ul"].map(queue).to_vec();
    let router = RouterSetup { queues, seed, ..RouterSetup::default() };
    let wans = [[30, 10], [20, 8]].iter().enumerate().map(|(i, [down, up])| {
        let n = i as u64 + 1;
        let base_rtt = Duration::from_millis(plan.base_ms[i]);
        let line = LineSetup { seed: seed + n, base_rtt, ..LineSetup::new(mbps(*down), mbps(*up)) };
        let reflectors = plan.reflectors[i].map(|ip| ip.parse().unwrap());
        let mut wan = Wan::new(&format!("wan{n}"), "ether1", &line).with_reflectors(&reflectors);
        wan.targets = vec![(format!("192.0.2.{n}:443").parse().unwrap(), Target::default())];
        wan
    });
    let mut router = RouterDouble::new(router);
    router.add_rule(false, "calls via dsl");
    World::new(router, wans.collect()).share()
}

pub fn daemon(world: &SharedWorld, plan: &Plan, law: &str, contender: Contender) -> Daemon<SimBoard> {
    let mut board = SimBoard::new(Arc::clone(world));
    let mut store = Store::default();
    let restored = store.load_state(&mut board);
    let text = config_text(plan, law, contender);
    let config = parse(&text);
    let router = "192.168.88.1:80".parse().unwrap();
    let reloader = Box::new(move |_: &_| Ok(parse(&text)));
    Daemon::new(Setup { board, config, router, reloader, store, restored }).unwrap_or_else(|e| panic!("{e}"))
}

/// Which line a marked connection takes that begins now.
pub fn line_now(daemon: &Daemon<SimBoard>) -> usize {
    daemon.steering().pairs().next().and_then(|(_, pair)| pair.at()).map_or(0, |alternate| alternate + 1)
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// When connections turned, in seconds, and to which line.
    pub turns: Vec<(f64, usize)>,
    /// What marked connections felt beyond the base of the line they took, in milliseconds, sorted.
    pub added_ms: Vec<f64>,
    /// Part of their packets that was lost.
    pub lost: f64,
    /// What the log said about steering.
    pub told: Vec<(f64, EventKind)>,
}

impl Outcome {
    /// What 95 % of the time stayed below.
    pub fn p95_ms(&self) -> f64 {
        self.added_ms[self.added_ms.len() * 95 / 100]
    }

    /// When it first turned to the alternate after `since`, in seconds from then.
    pub fn steered_after(&self, since: f64) -> Option<f64> {
        self.turns.iter().find(|(t, line)| *t >= since && *line == 1).map(|(t, _)| t - since)
    }

    /// When it last turned back after `since`.
    pub fn returned_after(&self, since: f64) -> Option<f64> {
        self.turns.iter().rev().find(|(t, line)| *t >= since && *line == 0).map(|(t, _)| t - since)
    }
}

/// Runs on to `end`, and looks at what a marked connection feels from `from` to `to`.
pub fn watch(d: &mut Daemon<SimBoard>, world: &SharedWorld, from: f64, to: f64, end: f64) -> Outcome {
    let mut outcome = Outcome::default();
    let mut line = line_now(d);
    let start = lock(world).now().as_nanos() as f64 / 1e9;
    let mut steps = 0_u32;
    loop {
        steps += 1;
        let t = start + f64::from(steps) * 0.02;
        if t > end {
            break;
        }
        d.run_until(at(t));
        let next = line_now(d);
        if next != line {
            outcome.turns.push((t, next));
            line = next;
        }
        let fresh = d.events().iter().filter(|e| e.at > at(t - 0.02) && e.at <= at(t));
        let steering = fresh.filter(|e| matches!(e.kind, EventKind::Steer { .. } | EventKind::SteerHeld { .. }));
        outcome.told.extend(steering.map(|e| (t, e.kind)));
        if t >= from && t <= to {
            let (added, lost) = feel(world, line);
            outcome.added_ms.push(added);
            outcome.lost += lost;
        }
    }
    outcome.lost /= outcome.added_ms.len() as f64;
    outcome.added_ms.sort_by(f64::total_cmp);
    outcome
}

/// Added delay and loss of a packet that takes this line now. What is sparse does not wait in CAKE.
fn feel(world: &SharedWorld, line: usize) -> (f64, f64) {
    let world = lock(world);
    let wan = &world.wans[line];
    if !wan.line.is_connected() {
        return (GIVES_UP_MS, 1.0);
    }
    let wait = Direction::BOTH.map(|direction| wan.line.fifo_delay(direction).as_secs_f64() * 1e3);
    let losses = wan.reflectors.iter().map(|(_, r)| r.loss);
    // What the line loses, all reflectors lose.
    (wait[0] + wait[1], losses.fold(1.0, f64::min))
}
