//! The adaptive law, in the whole daemon and in virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{at, config_text, daemon, line, mbps, parse, set_flows, world};
use wanctl::decide::{Input, Law};
use wanctl::types::{LinkStats, MAX_REFLECTORS, Millis, Sample, Signal, Source, Verdict};
use wanctl_hal::sim::{Action, SharedWorld, lock};
use wanctl_hal::{Bitrate, Direction, Duration, Instant};

/// What a user felt between two times: delay that 95 % of the time stayed below, the highest, and
/// the part of the capacity that was used.
#[derive(Clone, Copy, Default)]
struct Felt {
    p95: f64,
    peak: f64,
    used: f64,
}

/// Phases of the story, in seconds.
const PHASES: [(&str, usize, usize); 5] =
    [("before", 5, 20), ("fallen", 20, 25), ("low", 25, 50), ("risen", 50, 55), ("high", 55, 80)];

const SEEDS: u64 = 10;

/// A step down to 40 % and up again under load, over some seeds.
fn story(law: &str, direction: Direction, [high, low]: [u64; 2]) -> [Felt; 5] {
    let mut mean = [Felt::default(); 5];
    for seed in 1..=SEEDS {
        let world = world(seed);
        set_flows(&world, direction, 4);
        lock(&world).at(at(20.0), Action::Capacity(0, direction, mbps(low)));
        lock(&world).at(at(50.0), Action::Capacity(0, direction, mbps(high)));
        let rows = trace(&world, law, direction, 80.0);
        for (sum, (_, from, to)) in mean.iter_mut().zip(PHASES) {
            let rows = &rows[from * 10..to * 10];
            let mut delays: Vec<f64> = rows.iter().map(|row| row.0).collect();
            delays.sort_by(f64::total_cmp);
            let part = 1.0 / f64::from(u32::try_from(SEEDS).unwrap());
            sum.p95 += part * delays[delays.len() * 95 / 100];
            sum.peak += part * delays[delays.len() - 1];
            sum.used +=
                part * rows.iter().map(|row| row.1).sum::<f64>() / f64::from(u32::try_from(rows.len()).unwrap());
        }
    }
    for ((name, ..), Felt { p95, peak, used }) in PHASES.into_iter().zip(mean) {
        eprintln!("{law:9} {:9} {name:7} p95 {p95:6.1} ms, peak {peak:6.1} ms, used {used:.3}", direction.name());
    }
    mean
}

/// The worst delay and the use of the line in every tenth of a second.
fn trace(world: &SharedWorld, law: &str, direction: Direction, until: f64) -> Vec<(f64, f64)> {
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
        rows.push((worst, (totals.carried - before.carried) / (totals.possible - before.possible)));
        before = totals;
        if std::env::var_os("WANCTL_TRACE").is_some() {
            let verdict = d.wans()[0].last.unwrap().1;
            let leg = [verdict.download, verdict.upload][direction.index()];
            eprintln!("{t:6.1} queue {worst:6.1} {} {:?}: {}", leg.rate.rate(), leg.state, leg.reason.text());
        }
    }
    rows
}

#[test]
fn after_a_step_delay_is_half_that_of_the_classic_law_and_more_is_used() {
    for (direction, rates) in [(Direction::Download, [30, 12]), (Direction::Upload, [10, 4])] {
        let (classic, adaptive) = (story("classic", direction, rates), story("adaptive", direction, rates));
        for ((name, ..), (classic, adaptive)) in PHASES.into_iter().zip(classic.into_iter().zip(adaptive)) {
            assert!(adaptive.peak < 100.0 && adaptive.p95 < 80.0, "{name}");
            if ["before", "low", "high"].contains(&name) {
                assert!(adaptive.p95 <= 0.55 * classic.p95, "{name}: {} against {}", adaptive.p95, classic.p95);
                assert!(adaptive.used >= classic.used && adaptive.used >= 0.9, "{name}: {}", adaptive.used);
            }
        }
    }
}

/// One cycle of the law alone: this delay, and statistics that were read just now (Mbit/s).
fn cycle(law: &mut Law, now: Instant, rtt: f64, achieved: [f64; 2]) -> Verdict {
    let rtt = Millis::new(rtt);
    let mut per_reflector = [None; MAX_REFLECTORS];
    per_reflector[0] = rtt;
    let sample = Sample {
        at: now,
        rtt,
        renewed: true,
        age: Duration::ZERO,
        fresh: 1,
        source: Source::Icmp,
        signal: Signal::Good,
        per_reflector,
        candidates: [0; MAX_REFLECTORS],
        waiting: [None; MAX_REFLECTORS],
        oldest_overdue: None,
    };
    let stats = LinkStats {
        at: now,
        uncertainty: Duration::from_millis(10),
        since: [now - Duration::from_millis(50); 2],
        achieved: achieved.map(|mbps| Some(Bitrate::from_f64(mbps * 1e6))),
        dropped: [0; 2],
        queued_bytes: [0; 2],
    };
    law.decide(Input { now, sample: &sample, stats: Some(&stats), acts: true })
}

/// After a fall to a tenth the rate may stand ten times above the line: what passes is then less of it than counts as
/// idle, and the upload uses more of its own.
#[test]
fn a_queue_that_grows_is_looked_for_also_where_little_of_the_rate_is_used() {
    const LINE: f64 = 6.0;
    let mut law = Law::new(parse(&config_text("", "")).wans[0].law.clone());
    let (mut queue_ms, mut download, mut upload) = (0.0_f64, 40.0_f64, 14.0_f64);
    for i in 1..=500 {
        let now = Instant::ZERO + Duration::from_millis(i * 50);
        let loaded = i > 200;
        if loaded {
            let fed = download.min(1.1 * LINE);
            queue_ms = (queue_ms + (fed / LINE - 1.0) * 50.0).clamp(0.0, 1_500.0);
        }
        let achieved = if loaded { [LINE.min(download), 2.6_f64.min(upload)] } else { [0.0; 2] };
        let verdict = cycle(&mut law, now, 20.0 + queue_ms, achieved);
        [download, upload] = [verdict.download, verdict.upload].map(|leg| leg.rate.rate().as_f64() / 1e6);
    }
    assert!(download < 1.1 * LINE, "the download keeps {download} Mbit/s of {LINE}, and {queue_ms} ms of queue");
    assert!(queue_ms < 30.0, "{queue_ms} ms of queue at {download} Mbit/s");
}
