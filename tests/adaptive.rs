//! The adaptive law, in the whole daemon and in virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{at, config_text, daemon, line, mbps, set_flows, world};
use wanctl::types::EventKind;
use wanctl_hal::Direction;
use wanctl_hal::sim::{Action, SharedWorld, lock};

fn trace(world: &SharedWorld, law: &str, direction: Direction, until: f64) -> Vec<(f64, f64, f64)> {
    let mut d = daemon(world, &config_text("", &format!("law = \"{law}\"")));
    let (mut t, mut rows) = (0.0, Vec::new());
    let mut before = line(world, |w| w.line.totals(direction));
    while t < until {
        let mut worst: f64 = 0.0;
        for _ in 0..10 {
            t += 0.01;
            d.run_until(at(t));
            worst = worst.max(line(world, |w| w.line.fifo_delay(direction)).as_secs_f64() * 1e3);
        }
        let totals = line(world, |w| w.line.totals(direction));
        let used = (totals.carried - before.carried) / (totals.possible - before.possible);
        before = totals;
        let verdict = d.wans()[0].last.unwrap().1;
        let leg = if direction == Direction::Download { verdict.download } else { verdict.upload };
        rows.push((worst, used, leg.rate.rate().as_f64() / 1e6));
        if std::env::var_os("WANCTL_TRACE").is_some() {
            eprintln!(
                "{t:6.1} q {worst:6.1} used {used:4.2} rate {:6.2} {:?} d {:.1} {}",
                leg.rate.rate().as_f64() / 1e6,
                leg.state,
                verdict.delay().get(),
                leg.reason.text()
            );
        }
    }
    eprintln!("{:?}", d.actuator().counters());
    let states = d.events().iter().filter(|e| matches!(e.kind, EventKind::State { .. })).count();
    eprintln!("{states} changes of state");
    rows
}

#[test]
fn a_step_down_and_up() {
    for (direction, down, up) in [(Direction::Download, 30, 12), (Direction::Upload, 10, 4)] {
        for law in ["classic", "adaptive"] {
            let mut all = [[0.0_f64; 3]; 5];
            const SEEDS: u64 = 10;
            for seed in 1..=SEEDS {
                let world = world(seed);
                set_flows(&world, direction, 4);
                lock(&world).at(at(20.0), Action::Capacity(0, direction, mbps(up)));
                lock(&world).at(at(50.0), Action::Capacity(0, direction, mbps(down)));
                let rows = trace(&world, law, direction, 80.0);
                let part = |from: usize, to: usize| {
                    let mut delays: Vec<f64> = rows[from * 10..to * 10].iter().map(|r| r.0).collect();
                    delays.sort_by(f64::total_cmp);
                    let used: f64 = rows[from * 10..to * 10].iter().map(|r| r.1).sum::<f64>() / delays.len() as f64;
                    [delays[delays.len() * 95 / 100], *delays.last().unwrap(), used]
                };
                for (sum, part) in
                    all.iter_mut().zip([part(5, 20), part(20, 25), part(25, 50), part(50, 55), part(55, 80)])
                {
                    for (s, p) in sum.iter_mut().zip(part) {
                        *s += p / SEEDS as f64;
                    }
                }
            }
            for (name, [p95, peak, used]) in ["before", "fallen", "low", "risen", "high"].iter().zip(all) {
                eprintln!("{law:9} {:9} {name:7} p95 {p95:6.1} peak {peak:6.1} used {used:.3}", direction.name());
            }
        }
    }
}
