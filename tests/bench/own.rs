//! The daemon's own computation, in virtual time: everything that is not the board.

use crate::figures::{Figures, float, quantile};
use crate::meter::{Cycle, Record, STAGES, Stage, allocations};
use crate::two_wans::{self, Load, daemon, run};
use std::time::Instant as Stopwatch;
use wanctl_hal::sim::{LineSetup, RouterDouble, RouterSetup, Wan, World};
use wanctl_hal::{Bitrate, Duration, Instant};

/// Cycles until everything has its pace.
const WARM_UP: u32 = 600;

const CYCLES: u32 = 20_000;

/// Fewer, since emptying the caches takes its time.
const COLD_CYCLES: u32 = 1_000;

const NAMES: [(Stage, &str); STAGES] = [
    (Stage::Replies, "replies -> measure"),
    (Stage::SampleDecide, "sample, decide, want"),
    (Stage::Probes, "probes"),
    (Stage::Router, "actuate, routeros"),
    (Stage::Observe, "beside it: history, log, state, endpoint"),
];

/// Time by stage, allocations, requests.
pub fn measure(figures: &mut Figures) {
    figures.group("own computation per cycle: two WANs, three reflectors each, virtual time");
    let world = two_wans::world(Load::Steady);
    let mut d = daemon(&world, CYCLES as usize);
    run(&mut d, &world, WARM_UP);
    d.board().clear();
    let (own, _) = allocations(|| run(&mut d, &world, CYCLES));
    report(figures, &mut d.board().record);
    figures.tell("cost of one look at the clock, two per call, included", clock_cost(), "ns");
    figures.group("heap allocations of the daemon's own (exact; asserted in tests/allocations.rs)");
    figures.judge(format!("in {CYCLES} steady cycles with statistics"), float(own), "", 0.0);

    let world = two_wans::world(Load::Bulk);
    let mut d = daemon(&world, CYCLES as usize);
    run(&mut d, &world, WARM_UP);
    d.board().clear();
    let writes = d.actuator().counters().writes;
    let (own, _) = allocations(|| run(&mut d, &world, CYCLES));
    let writes = d.actuator().counters().writes - writes;
    figures.judge(format!("in {writes} changes of a limit (PATCH)"), float(own), "", 0.0);
    figures.group("under bulk transfers in both directions of both lines, virtual time");
    let record = &mut d.board().record;
    let mut total: Vec<u64> = record.cycles.iter().map(Cycle::control).collect();
    figures.judge("own computation per cycle, median", us(quantile(&mut total, 500)), "us", 20.0);
    figures.judge("own computation per cycle, 99 %", us(quantile(&mut total, 990)), "us", 60.0);
    figures.tell("own computation per cycle, longest", us(quantile(&mut total, 1000)), "us");
    requests(figures, record);
    figures.tell("wake-up to first byte of a PATCH, own, median", us(quantile(&mut record.to_first_byte, 500)), "us");
    figures.tell("wake-up to first byte of a PATCH, own, 99 %", us(quantile(&mut record.to_first_byte, 990)), "us");
}

/// The same with cold caches: what is to be expected on a machine that does other work in between.
pub fn cold(figures: &mut Figures) {
    figures.group("own computation per cycle: the same, caches emptied before every wake-up by the clock");
    let world = two_wans::world(Load::Steady);
    let mut d = daemon(&world, COLD_CYCLES as usize);
    run(&mut d, &world, WARM_UP);
    d.board().chill();
    d.board().clear();
    run(&mut d, &world, COLD_CYCLES);
    report(figures, &mut d.board().record);
}

/// The figures of a steady run.
pub fn report(figures: &mut Figures, record: &mut Record) {
    let mut control: Vec<u64> = record.cycles.iter().map(Cycle::control).collect();
    figures.judge("measure + decide + actuate, median", us(quantile(&mut control, 500)), "us", 20.0);
    figures.judge("measure + decide + actuate, 99 %", us(quantile(&mut control, 990)), "us", 60.0);
    figures.tell("measure + decide + actuate, longest", us(quantile(&mut control, 1000)), "us");
    for (stage, name) in NAMES {
        let mut part: Vec<u64> = record.cycles.iter().map(|c| c.own[stage as usize]).collect();
        let [median, most] = [500, 990].map(|permille| us(quantile(&mut part, permille)));
        figures.tell(format!("{name}, median"), median, "us");
        figures.tell(format!("{name}, 99 %"), most, "us");
    }
    let mut total: Vec<u64> = record.cycles.iter().map(Cycle::total).collect();
    figures.tell("all of it, median", us(quantile(&mut total, 500)), "us");
    figures.tell("all of it, 99 %", us(quantile(&mut total, 990)), "us");
    let cycles = float(record.cycles.len().max(1) as u64);
    let mean = |part: fn(&Cycle) -> u32| record.cycles.iter().map(|c| f64::from(part(c))).sum::<f64>() / cycles;
    figures.tell("wake-ups", mean(|c| c.wakes), "per cycle");
    figures.tell("calls of the board", mean(|c| c.calls), "per cycle");
    requests(figures, record);
}

fn requests(figures: &mut Figures, record: &mut Record) {
    figures.tell("router requests", float(record.requests.len() as u64), "");
    figures.judge("own computation per router request, median", us(quantile(&mut record.requests, 500)), "us", 30.0);
    figures.tell("own computation per router request, 99 %", us(quantile(&mut record.requests, 990)), "us");
}

/// Connections in a day on which nothing happens, in virtual time.
pub fn quiet_day(figures: &mut Figures) {
    figures.group("a quiet day, virtual time");
    let idle = Duration::from_secs(60);
    let setup = RouterSetup { queues: two_wans::queues(), idle_close: Some(idle..=idle), ..RouterSetup::default() };
    let line = LineSetup::new(Bitrate::from_mbps(45), Bitrate::from_mbps(16));
    let wans = (0..2).map(|i| {
        let reflectors = two_wans::REFLECTORS[i].map(|ip| ip.parse().expect("an address"));
        Wan::new(&format!("wan{}", i + 1), "ether1", &line).with_reflectors(&reflectors)
    });
    let world = World::new(RouterDouble::new(setup), wans.collect()).share();
    let mut d = daemon(&world, 0);
    let started = Stopwatch::now();
    d.run_until(Instant::ZERO + Duration::from_secs(86_400));
    let counters = *d.counters();
    figures.judge("connections to the router (one handshake each)", float(counters.connections), "", 1.0);
    figures.tell("writes to the router", float(d.actuator().counters().writes), "");
    figures.tell("statistics read", float(d.actuator().counters().reads), "");
    figures.tell("probes sent", float(d.wans().iter().map(|w| w.measure.counters().sent).sum()), "");
    figures.tell("state files written", float(counters.saves), "");
    figures.judge("cycles missed", float(counters.missed), "", 0.0);
    figures.tell("real time taken to simulate it", started.elapsed().as_secs_f64(), "s");
}

/// For callgrind: so many cycles after the warm-up, and nothing else.
pub fn cycles_only(load: Load, cycles: u32) {
    let world = two_wans::world(load);
    let mut d = daemon(&world, 0);
    d.board().without_time();
    run(&mut d, &world, WARM_UP + cycles);
}

fn clock_cost() -> f64 {
    let started = Stopwatch::now();
    for _ in 0..100_000 {
        std::hint::black_box(Stopwatch::now());
    }
    started.elapsed().as_secs_f64() * 1e9 / 100_000.0
}

/// Nanoseconds as microseconds.
pub fn us(nanos: u64) -> f64 {
    float(nanos) / 1e3
}
