//! What goes wrong.

use super::common::{at, mbps};
use super::house::{Contender, Outcome, PLAN, Plan, daemon, watch, world};
use wanctl_hal::sim::{Action, SharedWorld, lock};
use wanctl_hal::{Direction, Duration};

/// When trouble begins, in seconds.
pub const BEGIN: f64 = 60.0;

/// One row of the table.
pub struct Case {
    pub name: &'static str,
    pub plan: Plan,
    /// Lets it happen.
    pub act: fn(&SharedWorld),
    /// How long the trouble lasts, in seconds.
    pub lasts: f64,
    /// Whether somebody should steer at all.
    pub should_steer: bool,
}

/// After the end of the trouble the run goes on for so long.
const AFTER: f64 = 90.0;

/// Bulk transfers on the primary from the beginning on.
fn bulk(world: &SharedWorld) {
    lock(world).at(at(5.0), Action::Flows(0, Direction::Download, 4));
    lock(world).at(at(5.0), Action::Flows(0, Direction::Upload, 1));
}

fn collapse(world: &SharedWorld, wan: usize, from: f64, to: f64) {
    let full = if wan == 0 { 30 } else { 20 };
    lock(world).at(at(from), Action::Capacity(wan, Direction::Download, mbps(3)));
    lock(world).at(at(to), Action::Capacity(wan, Direction::Download, mbps(full)));
}

pub fn cut(world: &SharedWorld, wan: usize, from: f64, to: f64) {
    lock(world).at(at(from), Action::Connected(wan, false));
    lock(world).at(at(to), Action::Connected(wan, true));
}

fn lose(world: &SharedWorld, wan: usize, from: f64, part: f64) {
    let change = move |w: &mut wanctl_hal::sim::World| {
        w.wans[wan].reflectors.iter_mut().for_each(|(_, reflector)| reflector.loss = part);
    };
    lock(world).at(at(from), Action::Do(Box::new(change)));
}

pub const CASES: &[Case] = &[
    Case {
        name: "primary falls to 3 Mbit/s for 20 s",
        plan: PLAN,
        act: |w| {
            bulk(w);
            collapse(w, 0, BEGIN, BEGIN + 20.0);
        },
        lasts: 20.0,
        should_steer: true,
    },
    Case {
        name: "primary falls to 3 Mbit/s for 120 s",
        plan: PLAN,
        act: |w| {
            bulk(w);
            collapse(w, 0, BEGIN, BEGIN + 120.0);
        },
        lasts: 120.0,
        should_steer: true,
    },
    Case {
        name: "primary is cut for 20 s",
        plan: PLAN,
        act: |w| {
            bulk(w);
            cut(w, 0, BEGIN, BEGIN + 20.0);
        },
        lasts: 20.0,
        should_steer: true,
    },
    Case {
        name: "primary is cut for 20 s, idle",
        plan: PLAN,
        act: |w| cut(w, 0, BEGIN, BEGIN + 20.0),
        lasts: 20.0,
        should_steer: true,
    },
    Case {
        name: "flapping every 10 s for 10 min",
        plan: PLAN,
        act: |w| {
            bulk(w);
            (0..30_u32).for_each(|i| {
                let from = BEGIN + 20.0 * f64::from(i);
                collapse(w, 0, from, from + 10.0);
            });
        },
        lasts: 600.0,
        should_steer: true,
    },
    Case {
        name: "both fall to 3 Mbit/s for 30 s",
        plan: PLAN,
        act: |w| {
            bulk(w);
            lock(w).at(at(5.0), Action::Flows(1, Direction::Download, 4));
            collapse(w, 0, BEGIN, BEGIN + 30.0);
            collapse(w, 1, BEGIN, BEGIN + 30.0);
        },
        lasts: 30.0,
        should_steer: false,
    },
    Case {
        name: "alternate is cut while in use",
        plan: PLAN,
        act: |w| {
            bulk(w);
            collapse(w, 0, BEGIN, BEGIN + 30.0);
            cut(w, 1, BEGIN + 15.0, BEGIN + 45.0);
        },
        lasts: 30.0,
        should_steer: true,
    },
    Case {
        name: "primary loses 5 % without delay for 60 s",
        plan: PLAN,
        act: |w| {
            lock(w).at(at(5.0), Action::Stream(0, Direction::Download, mbps(8)));
            lose(w, 0, BEGIN, 0.05);
            lose(w, 0, BEGIN + 60.0, 0.0);
        },
        lasts: 60.0,
        should_steer: true,
    },
    Case {
        name: "a shared reflector falls silent",
        plan: Plan { reflectors: [["1.1.1.1", "9.9.9.9", "8.8.8.8"], ["1.1.1.1", "9.9.9.10", "8.8.4.4"]], ..PLAN },
        act: |w| {
            bulk(w);
            for wan in 0..2 {
                let who = "1.1.1.1".parse().unwrap();
                lock(w).at(at(BEGIN), Action::Silence(wan, who, Duration::from_secs(60)));
            }
        },
        lasts: 60.0,
        should_steer: false,
    },
    Case {
        name: "a shared reflector is 300 ms late",
        plan: Plan { reflectors: [["1.1.1.1", "9.9.9.9", "8.8.8.8"], ["1.1.1.1", "9.9.9.10", "8.8.4.4"]], ..PLAN },
        act: |w| {
            bulk(w);
            for (from, extra) in [(BEGIN, 300), (BEGIN + 60.0, 0)] {
                let late = move |w: &mut wanctl_hal::sim::World| {
                    for wan in &mut w.wans {
                        wan.reflectors[0].1.extra = Duration::from_millis(extra);
                    }
                };
                lock(w).at(at(from), Action::Do(Box::new(late)));
            }
        },
        lasts: 60.0,
        should_steer: false,
    },
    Case {
        name: "a dip of 300 ms every 12 s",
        plan: PLAN,
        act: |w| {
            bulk(w);
            (0..5_u32).for_each(|i| {
                let from = BEGIN + 12.017 * f64::from(i);
                cut(w, 0, from, from + 0.3);
            });
        },
        lasts: 60.0,
        should_steer: false,
    },
    Case {
        name: "no statistics (one a minute), primary falls to 3 Mbit/s for 20 s",
        plan: Plan { pace: "statistics_loaded = \"60s\"\nstatistics_idle = \"60s\"", ..PLAN },
        act: |w| {
            bulk(w);
            collapse(w, 0, BEGIN, BEGIN + 20.0);
        },
        lasts: 20.0,
        should_steer: true,
    },
    Case {
        name: "base RTT 10 ms against 60 ms, primary falls to 3 Mbit/s for 20 s",
        plan: Plan { base_ms: [10, 60], ..PLAN },
        act: |w| {
            bulk(w);
            collapse(w, 0, BEGIN, BEGIN + 20.0);
        },
        lasts: 20.0,
        should_steer: true,
    },
    Case {
        name: "transfers come and go, nothing is wrong",
        plan: PLAN,
        act: |w| {
            (0..15_u32).for_each(|i| {
                let from = 10.0 + 20.0 * f64::from(i);
                let flows = usize::try_from(i % 5).unwrap();
                lock(w).at(at(from), Action::Flows(0, Direction::Download, flows));
                lock(w).at(at(from + 7.0), Action::Flows(0, Direction::Upload, flows / 2));
                lock(w).at(at(from + 3.0), Action::Flows(1, Direction::Download, (flows + 2) % 4));
            });
        },
        lasts: 240.0,
        should_steer: false,
    },
];

/// One run of a case.
pub fn run(case: &Case, law: &str, contender: Contender) -> Outcome {
    let world = world(&case.plan, 1);
    (case.act)(&world);
    let mut d = daemon(&world, &case.plan, law, contender);
    watch(&mut d, &world, BEGIN, BEGIN + case.lasts.max(60.0), BEGIN + case.lasts + AFTER)
}
