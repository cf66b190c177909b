//! `wanctl calibrate` in virtual time: what it proposes on lines of every kind, and that the router gets its limits back
//! whatever happens.
#![cfg(feature = "sim")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "common/mod.rs"]
mod common;

use common::{at, config_text, daemon, kill, limit, mbps, parse, set_flows};
use std::fmt::Write as _;
use std::sync::Arc;
use wanctl::cli::calibrate::{End, Host, Kind, News, Options, Search, Session, proposal, svg};
use wanctl::types::RateRange;
use wanctl_hal::sim::{
    Action, Fault, LegSetup, LineSetup, Medium, QueueSetup, Rng, RouterDouble, RouterSetup, SharedWorld, SimBoard, Wan,
    World, lock,
};
use wanctl_hal::{Bitrate, Direction, Duration, Instant, Signal};

/// The operator's limits in the worlds of this file, as they must come back.
const ORIGINALS: [&str; 2] = ["100000000", "50000000"];

/// Whoever starts transfers when asked to, and writes down how long each direction took.
struct User {
    world: SharedWorld,
    flows: usize,
    /// When the transfers of each direction ran.
    ran: [Option<(Instant, Instant)>; 2],
    told: String,
    is_mute: bool,
}

impl User {
    fn new(world: &SharedWorld, flows: usize) -> Self {
        Self { world: Arc::clone(world), flows, ran: [None; 2], told: String::new(), is_mute: false }
    }
}

impl Host for User {
    fn news(&mut self, _: &Search, news: &News) {
        let now = lock(&self.world).now();
        let _ = writeln!(self.told, "{:7.2} {news:?}", now.since(Instant::ZERO).as_secs_f64());
        match news {
            News::Wanted(direction, _) if !self.is_mute => {
                set_flows(&self.world, *direction, self.flows);
                self.ran[direction.index()] = Some((now, now));
            }
            News::Found(direction) => {
                set_flows(&self.world, *direction, 0);
                if let Some((_, end)) = &mut self.ran[direction.index()] {
                    *end = now;
                }
            }
            _ => {}
        }
    }

    fn say(&mut self, line: &str) {
        let _ = writeln!(self.told, "{line}");
    }
}

fn options() -> Options {
    Options {
        directions: [true; 2],
        range: RateRange::new(Bitrate::from_bps(64_000), mbps(10_000)).unwrap(),
        idle: Duration::from_secs(10),
        patience: Duration::from_secs(60),
    }
}

fn session(world: &SharedWorld, options: Options) -> Session<SimBoard> {
    let router = "192.168.88.1:80".parse().unwrap();
    let board = SimBoard::new(Arc::clone(world));
    Session::new(board, parse(&config_text("", "")), 0, router, options).unwrap()
}

fn limits(world: &SharedWorld) -> [String; 2] {
    [limit(world, "wan1-dl"), limit(world, "wan1-ul")]
}

/// How a capacity goes.
#[derive(Clone, Copy)]
enum Course {
    Steady,
    /// Glides to a new one between these parts of the nominal, again and again, in about so many seconds.
    Walk(f64, f64, f64),
}

struct Case {
    name: &'static str,
    rates: [u64; 2],
    rtt_ms: u64,
    jitter_us: u64,
    medium: Medium,
    fifo_ms: [u64; 2],
    course: Course,
    flows: usize,
}

const fn case(name: &'static str, rates: [u64; 2], rtt_ms: u64, jitter_us: u64, medium: Medium) -> Case {
    Case { name, rates, rtt_ms, jitter_us, medium, fifo_ms: [300, 500], course: Course::Steady, flows: 6 }
}

const fn fifo(case: Case, fifo_ms: [u64; 2]) -> Case {
    Case { fifo_ms, ..case }
}

const fn walk(case: Case, low: f64, high: f64, every_s: f64) -> Case {
    Case { course: Course::Walk(low, high, every_s), ..case }
}

/// Rates in kbit/s.
#[rustfmt::skip]
const CASES: [Case; 30] = [
    case("dsl 5/1, 30 ms", [5_000, 1_000], 30, 300, Medium::Plain),
    fifo(case("dsl 16/2, 25 ms, deep", [16_000, 2_000], 25, 300, Medium::Plain), [1_000, 2_000]),
    case("dsl 50/10, 18 ms", [50_000, 10_000], 18, 300, Medium::Plain),
    fifo(case("dsl 100/40, 12 ms, shallow", [100_000, 40_000], 12, 300, Medium::Plain), [40, 40]),
    fifo(case("dsl 250/40, 8 ms, shallow", [250_000, 40_000], 8, 300, Medium::Plain), [25, 30]),
    case("fiber 100/100, 5 ms", [100_000, 100_000], 5, 100, Medium::Plain),
    fifo(case("fiber 300/300, 5 ms, shallow", [300_000, 300_000], 5, 100, Medium::Plain), [20, 20]),
    case("fiber 500/200, 10 ms", [500_000, 200_000], 10, 100, Medium::Plain),
    case("fiber 1000/1000, 5 ms", [1_000_000, 1_000_000], 5, 100, Medium::Plain),
    fifo(case("fiber 1000/500, 8 ms, shallow", [1_000_000, 500_000], 8, 100, Medium::Plain), [15, 15]),
    fifo(case("fiber 1000/1000, 60 ms, far", [1_000_000, 1_000_000], 60, 200, Medium::Plain), [100, 100]),
    case("fiber 50/50, 100 ms, far", [50_000, 50_000], 100, 300, Medium::Plain),
    case("cable 30/10, 20 ms", [30_000, 10_000], 20, 3_000, Medium::Docsis),
    case("cable 120/12, 24 ms", [120_000, 12_000], 24, 3_000, Medium::Docsis),
    fifo(case("cable 250/25, 18 ms, deep", [250_000, 25_000], 18, 2_000, Medium::Docsis), [500, 1_500]),
    case("cable 600/30, 15 ms", [600_000, 30_000], 15, 3_000, Medium::Docsis),
    fifo(case("cable 940/38, 22 ms", [940_000, 38_000], 22, 4_000, Medium::Docsis), [60, 250]),
    case("lte 20/5, 45 ms", [20_000, 5_000], 45, 6_000, Medium::Lte),
    case("lte 60/20, 40 ms", [60_000, 20_000], 40, 8_000, Medium::Lte),
    fifo(case("lte 150/50, 35 ms, deep", [150_000, 50_000], 35, 6_000, Medium::Lte), [1_000, 1_500]),
    case("starlink 100/10, 35 ms", [100_000, 10_000], 35, 3_000, Medium::Starlink),
    fifo(case("starlink 200/20, 40 ms", [200_000, 20_000], 40, 4_000, Medium::Starlink), [150, 250]),
    walk(case("lte 40/10 varying", [40_000, 10_000], 45, 6_000, Medium::Lte), 0.4, 1.0, 3.0),
    walk(case("lte 80/20 varying widely", [80_000, 20_000], 40, 8_000, Medium::Lte), 0.2, 1.0, 4.0),
    walk(case("lte 15/4 varying, deep", [15_000, 4_000], 60, 6_000, Medium::Lte), 0.5, 1.0, 5.0),
    walk(case("lte 300/60 varying", [300_000, 60_000], 30, 6_000, Medium::Lte), 0.5, 1.0, 2.0),
    walk(case("starlink 150/15 varying", [150_000, 15_000], 40, 3_000, Medium::Starlink), 0.5, 1.0, 5.0),
    walk(case("starlink 80/10 varying", [80_000, 10_000], 45, 4_000, Medium::Starlink), 0.3, 1.0, 4.0),
    walk(case("cable 200/20 varying", [200_000, 20_000], 20, 3_000, Medium::Docsis), 0.6, 1.0, 6.0),
    walk(case("dsl 30/5 varying", [30_000, 5_000], 30, 300, Medium::Plain), 0.6, 1.0, 4.0),
];

/// The world of a case, and the course of both capacities.
fn world(case: &Case, seed: u64) -> (SharedWorld, [Vec<(Instant, f64)>; 2]) {
    let mut rng = Rng::new(seed ^ 0xCA11_B8A7);
    let rates = case.rates.map(|kbps| Bitrate::from_bps(kbps * 1_000));
    let courses = rates.map(|rate| {
        let mut course = vec![(Instant::ZERO, rate.as_f64())];
        if let Course::Walk(low, high, every) = case.course {
            let (mut now, mut part) = (0.0, high);
            while now < 600.0 {
                let (next, lasts) = (low + (high - low) * rng.unit(), every * (0.5 + rng.unit()));
                let end = now + lasts;
                while now < end {
                    part += (next - part) * (0.1 / (end - now + 0.1));
                    now += 0.1;
                    course.push((at(now), rate.as_f64() * part));
                }
            }
        }
        course
    });
    let leg = |i: usize| LegSetup {
        trace: courses[i].iter().map(|(at, rate)| (*at, Bitrate::from_f64(*rate))).collect(),
        ..LegSetup::new(rates[i], Duration::from_millis(case.fifo_ms[i]))
    };
    let line = LineSetup {
        base_rtt: Duration::from_millis(case.rtt_ms),
        jitter: Duration::from_micros(case.jitter_us),
        medium: case.medium,
        legs: [leg(0), leg(1)],
        seed,
        ..LineSetup::new(rates[0], rates[1])
    };
    let queues =
        vec![QueueSetup::tree("wan1-dl", "bridge", 100_000_000), QueueSetup::tree("wan1-ul", "ether1", 50_000_000)];
    let router = RouterSetup { queues, seed, ..RouterSetup::default() };
    let reflectors = ["1.1.1.1", "9.9.9.9", "8.8.8.8", "208.67.222.222"].map(|ip| ip.parse().unwrap());
    let wan = Wan::new("wan1", "ether1", &line).with_reflectors(&reflectors);
    let mut world = World::new(RouterDouble::new(router), vec![wan]);
    world.seed = seed;
    (world.share(), courses)
}

/// What a course stays above for nine tenths of a time.
fn tenth_percentile(course: &[(Instant, f64)], (from, to): (Instant, Instant)) -> f64 {
    let mut values = Vec::new();
    let mut now = from;
    while now < to {
        values.push(course[course.partition_point(|(at, _)| *at <= now).max(1) - 1].1);
        now += Duration::from_millis(20);
    }
    values.sort_by(f64::total_cmp);
    values[values.len() / 10]
}

/// A case from beginning to end: how far off the proposals are, as parts of the truth.
fn errors(case: &Case, seed: u64) -> [f64; 2] {
    let (world, courses) = world(case, seed);
    let mut user = User::new(&world, case.flows);
    let mut session = session(&world, options());
    let end = session.run(&mut user);
    assert_eq!(end, (End::Done, true), "{} (seed {seed}):\n{}", case.name, user.told);
    assert_eq!(limits(&world), ORIGINALS, "{}", case.name);
    let errors = Direction::BOTH.map(|d| {
        let found = session.search().found(d).unwrap();
        let truth = tenth_percentile(&courses[d.index()], user.ran[d.index()].unwrap());
        let error = found.ceiling / truth - 1.0;
        let kind = match found.kind {
            Kind::Steady => "steady",
            Kind::Varying(_) => "varying",
            Kind::Unfilled => "UNFILLED",
        };
        eprintln!(
            "{:30} {:8} {kind:8} truth {:7.2} proposed {:7.2} Mbit/s, {:+.1} %, {:.0} s",
            case.name,
            d.name(),
            truth / 1e6,
            found.ceiling / 1e6,
            error * 100.0,
            user.ran[d.index()].map_or(0.0, |(from, to)| to.since(from).as_secs_f64()),
        );
        error
    });
    proposals_are_good(case, &session);
    if std::env::var("VERBOSE").is_ok() || errors.iter().any(|e| e.abs() > 0.05) {
        eprintln!("{}", user.told);
    }
    errors
}

/// One in the normal run.
fn seeds() -> std::ops::RangeInclusive<u64> {
    1..=std::env::var("SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(if is_soak() { 10 } else { 1 })
}

fn is_soak() -> bool {
    std::env::var("WANCTL_SOAK").is_ok_and(|v| v == "1")
}

/// What is printed is a file that is accepted, for both laws, with the ceilings that were found.
fn proposals_are_good(case: &Case, session: &Session<SimBoard>) {
    for law in ["law = \"adaptive\"", "law = \"classic\""] {
        // The password is where every machine has something.
        let text = config_text("password_env = \"PATH\"", law);
        let wan = &parse(&text).wans[0];
        let proposal = proposal(&text, std::path::Path::new("test.toml"), 0, wan, session.search());
        let wan = &parse(&proposal).wans[0];
        for d in Direction::BOTH {
            let found = session.search().found(d).unwrap().ceiling;
            let ceiling = wan.ranges[d.index()].ceiling().as_f64();
            assert!((0.98..=1.0001).contains(&(ceiling / found)), "{}: {ceiling}\n{proposal}", case.name);
        }
        if std::env::var("VERBOSE").is_ok() {
            eprintln!("{proposal}");
        }
    }
}

#[test]
fn the_evidence_is_drawn() {
    for place in [2, 23] {
        let (world, _) = world(&CASES[place], 1);
        let mut session = session(&world, options());
        session.run(&mut User::new(&world, 6));
        let picture = svg("line <1>", session.search(), Instant::ZERO, lock(&world).now());
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n") && !picture.contains("NaN"));
        for words in ["line &lt;1>", "download, Mbit/s", "upload, Mbit/s", "delay above the idle line, ms"] {
            assert!(picture.contains(words), "{words}");
        }
        if let Ok(directory) = std::env::var("PLOTS") {
            std::fs::write(format!("{directory}/calibrate-{place}.svg"), picture).unwrap();
        }
    }
}

#[test]
fn thirty_lines_of_different_kinds() {
    let mut wrong = Vec::new();
    let allowed = seeds().count() / 2;
    for seed in seeds() {
        for case in &CASES {
            for (direction, error) in Direction::BOTH.into_iter().zip(errors(case, seed)) {
                if error.abs() > 0.05 {
                    wrong.push(format!("{} {} (seed {seed}): {:+.1} %", case.name, direction.name(), error * 100.0));
                }
            }
        }
    }
    // Of sixty figures a run none may be wrong in the normal one; one in a hundred with other seeds, for a line that
    // happens not to vary while it is looked at.
    assert!(wrong.len() <= allowed, "{wrong:#?}");
}

/// A line that is calibrated soon, in a world where the transfers are there from the beginning.
fn small_world(seed: u64) -> SharedWorld {
    let world = world(&CASES[2], seed).0;
    for direction in Direction::BOTH {
        set_flows(&world, direction, 4);
    }
    world
}

fn quick() -> Options {
    Options { idle: Duration::from_secs(3), ..options() }
}

/// Random moments of a calibration, the number of them, and the seed (printed).
fn moments(count: usize) -> impl Iterator<Item = (u64, Duration)> {
    let seed = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_128);
    eprintln!("SEED={seed}");
    let count = if is_soak() { count } else { count / 5 };
    let mut rng = Rng::new(seed);
    (0..count).map(move |i| (u64::try_from(i).unwrap(), Duration::from_secs_f64(90.0 * rng.unit())))
}

/// As long as a calibration lasts, or until `end`: then nobody says farewell.
fn run_and_kill(world: &SharedWorld, end: Duration) {
    let mut user = User::new(world, 4);
    let mut session = session(world, quick());
    let end = lock(world).now() + end;
    while lock(world).now() < end && session.turn(&mut user).is_none() {}
    session.abandon();
}

#[test]
fn stopped_at_any_moment_it_restores() {
    let mut held = 0;
    for (i, moment) in moments(200) {
        let world = small_world(i);
        let signal = if i % 3 == 0 { Signal::Reload } else { Signal::Stop };
        lock(&world).at(Instant::ZERO + moment, Action::Signal(signal));
        let mut user = User::new(&world, 4);
        let mut session = session(&world, quick());
        let (end, restored) = session.run(&mut user);
        held += usize::from(end == End::Stopped);
        assert!(restored, "run {i}, stopped at {moment:?}: {end:?}\n{}", user.told);
        assert_eq!(limits(&world), ORIGINALS, "run {i}, stopped at {moment:?}");
        if end == End::Stopped {
            let late = lock(&world).now().since(Instant::ZERO + moment);
            assert!(late <= Duration::from_secs(2), "run {i}, stopped at {moment:?}: it took {late:?}");
        }
    }
    assert!(held > 20, "most moments lie inside: {held}");
}

#[test]
fn killed_at_any_moment_the_next_start_restores() {
    for (i, moment) in moments(200) {
        let world = small_world(i);
        run_and_kill(&world, moment);
        let now = lock(&world).now();
        if i % 2 == 0 {
            // The daemon, which is stopped in order later.
            lock(&world).at(now + Duration::from_secs(6), Action::Signal(Signal::Stop));
            let mut daemon = daemon(&world, &config_text("", ""));
            assert!(daemon.run_until(now + Duration::from_secs(60)));
        } else {
            let mut session = session(&world, quick());
            assert!(session.restore(&mut User::new(&world, 4)), "run {i}, killed at {moment:?}");
        }
        assert_eq!(limits(&world), ORIGINALS, "run {i}, killed at {moment:?}");
    }
}

#[test]
fn a_killed_daemon_s_limits_are_restored_as_well_and_the_difference_is_told() {
    let world = small_world(1);
    let mut d = daemon(&world, &config_text("", ""));
    d.run_until(at(5.0));
    kill(d);
    assert_ne!(limits(&world), ORIGINALS);
    let mut user = User::new(&world, 4);
    let mut session = session(&world, quick());
    assert_eq!(session.run(&mut user), (End::Done, true));
    assert_eq!(limits(&world), ORIGINALS);
    assert!(user.told.contains("max-limit=100000000"), "{}", user.told);
}

#[test]
fn a_router_that_dies_gets_its_limits_when_it_is_back() {
    for fault in [Fault::Stall(Duration::from_secs(70)), Fault::Refuse(Duration::from_secs(70))] {
        let world = small_world(1);
        lock(&world).at(at(25.0), Action::Router(fault));
        lock(&world).at(at(25.0), Action::Router(Fault::Reset));
        let mut user = User::new(&world, 4);
        let mut session = session(&world, quick());
        let (end, restored) = session.run(&mut user);
        assert!(matches!(&end, End::Failed(why) if why.contains("does not answer")), "{end:?}");
        assert!(restored && user.told.contains("waiting for the router"), "{}", user.told);
        assert_eq!(limits(&world), ORIGINALS, "{fault:?}");
    }
}

#[test]
fn a_router_that_boots_is_no_reason_to_stop() {
    let world = small_world(1);
    lock(&world).at(at(25.0), Action::Reboot(Duration::from_secs(5)));
    let mut user = User::new(&world, 4);
    let mut session = session(&world, quick());
    assert_eq!(session.run(&mut user), (End::Done, true), "{}", user.told);
    assert_eq!(limits(&world), ORIGINALS);
}

#[test]
fn a_router_that_stays_dead_is_left_to_the_next_start() {
    let world = small_world(1);
    lock(&world).at(at(25.0), Action::Router(Fault::Silent(Duration::from_secs(3_600))));
    lock(&world).at(at(25.0), Action::Router(Fault::Reset));
    lock(&world).at(at(100.0), Action::Signal(Signal::Stop));
    let mut session_ = session(&world, quick());
    let (end, restored) = session_.run(&mut User::new(&world, 4));
    assert!(matches!(end, End::Failed(_)) && !restored);
    assert!(lock(&world).now() <= at(102.0), "a signal ends the waiting");
    drop(session_);
    let now = lock(&world).now();
    lock(&world).router.heal(now);
    assert!(session(&world, quick()).restore(&mut User::new(&world, 4)));
    assert_eq!(limits(&world), ORIGINALS);
}

#[test]
fn a_panic_restores() {
    struct Panics(User);
    impl Host for Panics {
        fn news(&mut self, search: &Search, news: &News) {
            self.0.news(search, news);
            assert!(!matches!(news, News::Row(_)), "as was to be");
        }
        fn say(&mut self, _: &str) {}
    }
    let world = small_world(1);
    let run = std::panic::AssertUnwindSafe(|| session(&world, quick()).run(&mut Panics(User::new(&world, 4))));
    assert!(std::panic::catch_unwind(run).is_err());
    assert_eq!(limits(&world), ORIGINALS);
}

#[test]
fn nothing_is_written_without_answers_or_journal_and_nobody_waits_for_ever() {
    // No answer to any probe.
    let silent = small_world(1);
    common::line(&silent, |wan| wan.line.set_connected(false));
    // No transfer.
    let lonely = world(&CASES[2], 1).0;
    // No queue of that name.
    let other = small_world(1);
    lock(&other).router.remove_queue("wan1-ul");
    for (world, words) in [(silent, "probes"), (lonely, "no download"), (other, "upload queue")] {
        let mut user = User { is_mute: true, ..User::new(&world, 4) };
        let mut session = session(&world, Options { patience: Duration::from_secs(20), ..quick() });
        let (end, restored) = session.run(&mut user);
        assert!(matches!(&end, End::Failed(why) if why.contains(words)), "{words}: {end:?}");
        assert!(restored, "{words}");
        assert_eq!(limit(&world, "wan1-dl"), ORIGINALS[0]);
    }
}

#[test]
fn a_transfer_that_never_fills_the_line_is_told_apart() {
    let world = world(&CASES[5], 1).0;
    for direction in Direction::BOTH {
        common::line(&world, |wan| wan.line.set_stream(direction, mbps(20)));
    }
    let mut user = User { is_mute: true, ..User::new(&world, 4) };
    let mut session = session(&world, quick());
    assert_eq!(session.run(&mut user), (End::Done, true));
    let found = session.search().found(Direction::Download).unwrap();
    assert_eq!(found.kind, Kind::Unfilled);
    assert!((19e6..21e6).contains(&found.ceiling));
}

#[test]
fn a_transfer_that_ends_too_early_is_asked_for_again() {
    let world = world(&CASES[2], 1).0;
    lock(&world).at(at(25.0), Action::Flows(0, Direction::Download, 0));
    let mut user = User::new(&world, 4);
    let mut session = session(&world, quick());
    assert_eq!(session.run(&mut user), (End::Done, true), "{}", user.told);
    assert!(user.told.contains("Wanted(Download, true)"), "{}", user.told);
    let found = session.search().found(Direction::Download).unwrap();
    assert!((found.ceiling / 50e6 - 1.0).abs() < 0.05, "{found:?}");
}
