//! From a scenario, a contender and a seed to a world in which everything is going to happen, and
//! the configuration the daemon gets.

use super::Case;
use super::contender::Contender;
use crate::config::scenario::{Happening, REFLECTORS, Reflectors, Scenario, Trouble, Walk, Walked};
use crate::config::{self, Config};
use crate::types::{Bitrate, Direction, Duration, Instant};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::fmt::Write as _;
use std::path::Path;
use wanctl_hal::sim::{
    Action, Fault, Latency, LegSetup, LineSetup, Medium, QueueSetup, Rng, RouterDouble, RouterSetup, Target, Wan, World,
};
use wanctl_hal::units::nanos;

/// The router's queues, download and upload.
const QUEUES: [&str; 2] = ["wan1-dl", "wan1-ul"];

/// Addresses meant for documentation: should a probe ever leave the simulation, it ends nowhere.
const ADDRESSES: [Ipv4Addr; REFLECTORS] = [
    Ipv4Addr::new(192, 0, 2, 1),
    Ipv4Addr::new(198, 51, 100, 1),
    Ipv4Addr::new(203, 0, 113, 1),
    Ipv4Addr::new(192, 0, 2, 2),
];

/// Where the first of them answers SYN.
const TCP_PORT: u16 = 443;

/// The late oracle hears of a change after two cycles, and writes a hundred times a minute at most: so often does the adaptive
/// law on a line that moves.
const HEARS: Duration = Duration::from_millis(100);
const WRITES: Duration = Duration::from_millis(600);

/// By up to this much everything happens later, by seed: a step must not always meet the same
/// moment of the cycle.
const OFFSET: Duration = Duration::from_millis(250);

/// Everything that will happen, in order of time: the scenario's events, and the walks drawn from
/// the seed.
pub(super) fn timeline(scenario: &Scenario, seed: u64) -> Vec<(Instant, Happening)> {
    let offset = Rng::new(seed ^ 0x0FF5_E700).between(Duration::ZERO, OFFSET);
    let events = scenario.events.iter().map(|event| {
        // What is said of one moment stays together.
        let mut rng = Rng::new(seed ^ 0x1A7E_0000 ^ u64::try_from(event.at.as_millis()).unwrap_or(0));
        (event.at + rng.between(Duration::ZERO, event.within), event.what.clone())
    });
    let walks = (1..).zip(&scenario.walks).flat_map(|(i, walk)| {
        // Each walk has chances of its own, so that adding one leaves the others alone.
        steps(walk, scenario, &mut Rng::new(seed.wrapping_add(i << 32)))
    });
    let mut all: Vec<_> = events.chain(walks).map(|(at, what)| (Instant::ZERO + at + offset, what)).collect();
    all.sort_by_key(|(at, _)| *at);
    all
}

/// The seed of a round: chance must not repeat itself. The first round is the scenario itself.
pub(super) const fn seed(seed: u64, round: u64) -> u64 {
    seed.wrapping_add(round.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// The steps of one walk.
fn steps(walk: &Walk, scenario: &Scenario, rng: &mut Rng) -> Vec<(Duration, Happening)> {
    let ([low, high], start) = match walk.of {
        Walked::Capacity(d, bounds) => (bounds.map(Bitrate::as_f64), scenario.line.legs[d.index()].capacity.as_f64()),
        Walked::BaseRtt(bounds) => (bounds.map(|b| b.as_secs_f64()), scenario.line.base_rtt.as_secs_f64()),
    };
    let (mut value, mut at) = (start, walk.between[0]);
    let mut found = Vec::new();
    while at <= walk.between[1] {
        let even = 2.0 * rng.unit() - 1.0;
        value = if rng.chance(walk.leap) {
            low + (high - low) * rng.unit()
        } else {
            (value * (1.0 + walk.step * even)).clamp(low, high)
        };
        let what = match walk.of {
            Walked::Capacity(direction, _) => Happening::Capacity(direction, Bitrate::from_f64(value)),
            Walked::BaseRtt(_) => Happening::BaseRtt(Duration::from_secs_f64(value)),
        };
        found.push((at, what));
        at += walk.every;
    }
    found
}

/// The world at the beginning.
pub(super) fn world(scenario: &Scenario, seed: u64) -> World {
    let line = &scenario.line;
    let queue = |d: Direction| QueueSetup::tree(QUEUES[d.index()], "bridge", line.legs[d.index()].ceiling.bps());
    let [down, up] = Direction::BOTH.map(queue);
    let [min, max] = scenario.router.latency;
    let router = RouterSetup {
        queues: vec![down, up],
        latency: Latency { min, max, ..Latency::default() },
        counter_period: scenario.router.counters_every,
        seed,
        ..RouterSetup::default()
    };
    let leg = |d: Direction| {
        let leg = &line.legs[d.index()];
        let (fifo_bytes, drop_front) = (leg.fifo_bytes, leg.drop_front);
        LegSetup { fifo_bytes, drop_front, ..LegSetup::new(leg.capacity, Duration::ZERO) }
    };
    let [download, upload] = Direction::BOTH.map(leg);
    let setup = LineSetup {
        base_rtt: line.base_rtt,
        jitter: line.jitter,
        medium: medium(line.medium),
        loss: line.loss,
        bucket: scenario.router.bucket,
        cake_rtt: scenario.router.cake_rtt,
        seed,
        legs: [download, upload],
        ..LineSetup::new(line.legs[0].capacity, line.legs[1].capacity)
    };
    let mut wan = Wan::new("wan1", "ether1", &setup).with_reflectors(&ADDRESSES.map(IpAddr::V4));
    wan.line.set_probes_first(!line.probes_queue);
    wan.targets = vec![(SocketAddr::new(IpAddr::V4(ADDRESSES[0]), TCP_PORT), Target::default())];
    let mut world = World::new(RouterDouble::new(router), vec![wan]);
    world.seed = seed;
    world
}

/// Plans a round from the present on: first all is again as in the beginning, then the timeline.
pub(super) fn plan(world: &mut World, case: &Case<'_>, timeline: &[(Instant, Happening)]) {
    let begin = world.now();
    if begin > Instant::ZERO {
        restored(case.scenario).iter().for_each(|what| happen(world, case, begin, what));
    } else if case.contender.law().is_none() {
        let margin = case.margin;
        world.at(begin + case.scenario.control.starts, Action::Do(Box::new(move |world| know(world, margin))));
    }
    // What comes too late for this round must not fall into the next.
    let lasts = case.scenario.lasts;
    for (at, what) in timeline.iter().map(|(at, what)| (at.since(Instant::ZERO), what)).filter(|(at, _)| *at <= lasts) {
        happen(world, case, begin + at, what);
    }
}

fn happen(world: &mut World, case: &Case<'_>, at: Instant, what: &Happening) {
    for action in actions(what) {
        world.at(at, action);
    }
    let Happening::Capacity(direction, capacity) = *what else { return };
    let written = match case.contender {
        Contender::Oracle => at,
        Contender::LateOracle => Instant::from_nanos((at + HEARS).as_nanos().next_multiple_of(nanos(WRITES))),
        Contender::Fixed | Contender::Daemon(_) | Contender::Published(_) => return,
    };
    if at >= Instant::ZERO + case.scenario.control.starts {
        let margin = case.margin;
        world.at(written, Action::Do(Box::new(move |world| limit(world, direction, capacity, margin))));
    }
}

/// The limits of somebody who knows the capacity.
fn know(world: &mut World, margin: f64) {
    for direction in Direction::BOTH {
        let Some(wan) = world.wans.first() else { return };
        limit(world, direction, wan.line.capacity(direction), margin);
    }
}

fn limit(world: &mut World, direction: Direction, capacity: Bitrate, margin: f64) {
    let limit = Bitrate::from_f64(capacity.as_f64() * margin);
    world.router.set_limit(QUEUES[direction.index()], &limit.bps().to_string());
}

/// What makes everything the scenario changes as it was in the beginning.
fn restored(scenario: &Scenario) -> Vec<Happening> {
    let line = &scenario.line;
    let capacity = |d: Direction| Happening::Capacity(d, line.legs[d.index()].capacity);
    let events = scenario.events.iter().filter_map(|event| match event.what {
        Happening::Capacity(d, _) => Some(capacity(d)),
        Happening::Flows(d, _) => Some(Happening::Flows(d, 0)),
        Happening::Pages(d, _) => Some(Happening::Pages(d, 0.0)),
        Happening::Stream(d, _) => Some(Happening::Stream(d, Bitrate::ZERO)),
        Happening::BaseRtt(_) => Some(Happening::BaseRtt(line.base_rtt)),
        Happening::Jitter(_) => Some(Happening::Jitter(line.jitter)),
        Happening::Loss(_) => Some(Happening::Loss(line.loss)),
        Happening::Connected(_) => Some(Happening::Connected(true)),
        // The router comes back by itself.
        Happening::Router(..) => None,
        Happening::Reflectors(ref who, how) => Some(Happening::Reflectors(who.clone(), good(how))),
    });
    let walks = scenario.walks.iter().map(|walk| match walk.of {
        Walked::Capacity(d, _) => capacity(d),
        Walked::BaseRtt(_) => Happening::BaseRtt(line.base_rtt),
    });
    events.chain(walks).collect()
}

/// The end of what reflectors do wrong.
const fn good(how: Reflectors) -> Reflectors {
    match how {
        Reflectors::Silent(_) => Reflectors::Silent(Duration::ZERO),
        Reflectors::Loss(_) => Reflectors::Loss(0.0),
        Reflectors::Rate(_) => Reflectors::Rate(0.0),
        Reflectors::Extra(_) => Reflectors::Extra(Duration::ZERO),
    }
}

/// What a line is made of.
fn medium(word: &str) -> Medium {
    match word {
        "docsis" => Medium::Docsis,
        "lte" => Medium::Lte,
        "starlink" => Medium::Starlink,
        "halting" => Medium::Halting,
        _ => Medium::Plain,
    }
}

/// What happens, in the words of the simulator.
fn actions(what: &Happening) -> Vec<Action> {
    match *what {
        Happening::Capacity(direction, rate) => vec![Action::Capacity(0, direction, rate)],
        Happening::Flows(direction, n) => vec![Action::Flows(0, direction, n)],
        Happening::Pages(direction, n) => vec![on_line(move |wan| wan.line.set_pages(direction, n))],
        Happening::Stream(direction, rate) => vec![Action::Stream(0, direction, rate)],
        Happening::BaseRtt(rtt) => vec![Action::BaseRtt(0, rtt)],
        Happening::Jitter(mean) => vec![on_line(move |wan| wan.line.set_jitter(mean))],
        Happening::Loss(part) => vec![on_line(move |wan| wan.line.set_loss(part))],
        Happening::Connected(connected) => vec![Action::Connected(0, connected)],
        Happening::Router(Trouble::Stall, time) => vec![Action::Router(Fault::Stall(time))],
        Happening::Router(Trouble::Gone, time) => {
            vec![Action::Router(Fault::Reset), Action::Router(Fault::Silent(time))]
        }
        Happening::Router(Trouble::Reset, _) => vec![Action::Router(Fault::Reset)],
        Happening::Router(Trouble::Reboot, time) => vec![Action::Reboot(time)],
        Happening::Reflectors(ref who, how) => who.iter().map(|&i| reflector(i, how)).collect(),
    }
}

fn reflector(i: usize, how: Reflectors) -> Action {
    let address = IpAddr::V4(ADDRESSES[i.min(REFLECTORS - 1)]);
    match how {
        Reflectors::Silent(time) => Action::Silence(0, address, time),
        Reflectors::Loss(part) => on_line(move |wan| {
            if let Some(reflector) = wan.reflector(address) {
                reflector.loss = part;
            }
        }),
        Reflectors::Rate(rate) => on_line(move |wan| {
            if let Some(reflector) = wan.reflector(address) {
                reflector.rate = rate;
            }
        }),
        Reflectors::Extra(extra) => on_line(move |wan| {
            if let Some(reflector) = wan.reflector(address) {
                reflector.extra = extra;
            }
        }),
    }
}

/// Something that happens to the WAN.
fn on_line(change: impl FnOnce(&mut Wan) + Send + 'static) -> Action {
    Action::Do(Box::new(move |world| {
        if let Some(wan) = world.wans.first_mut() {
            change(wan);
        }
    }))
}

/// The configuration of the daemon, as an operator who knows the idle line would write it.
///
/// # Errors
/// All faults of the text.
pub(super) fn config(scenario: &Scenario, contender: Contender) -> Result<Config, String> {
    let env = |name: &str| (name == "WANCTL_ROUTER_PASSWORD").then(|| "secret".to_owned());
    let text = text(scenario, contender).map_err(|error| error.to_string())?;
    let (mut config, _) =
        config::parse(&text, "simulated.toml", Path::new("/nonexistent"), &env).map_err(|faults| faults.to_string())?;
    contender.adjust(scenario, &mut config);
    Ok(config)
}

fn text(scenario: &Scenario, contender: Contender) -> Result<String, core::fmt::Error> {
    let mut text = String::from("[router]\nurl = \"http://192.168.88.1\"\nuser = \"wanctl\"\n[loop]\n");
    writeln!(text, "cycle = \"{}us\"", scenario.control.cycle.as_micros())?;
    if let Some(period) = scenario.control.statistics {
        writeln!(text, "statistics_loaded = \"{}us\"", period.as_micros())?;
        writeln!(text, "statistics_idle = \"{}us\"", period.max(Duration::from_secs(1)).as_micros())?;
    }
    writeln!(text, "[[wan]]\nname = \"wan1\"\nlink = \"{}\"", scenario.line.link)?;
    writeln!(text, "law = \"{}\"", contender.law().unwrap_or("classic"))?;
    writeln!(text, "reflectors = [{}]", ADDRESSES.map(|ip| format!("\"{ip}\"")).join(", "))?;
    writeln!(
        text,
        "tcp_targets = [\"{}:{TCP_PORT}\"]\nbaseline = \"{}us\"",
        ADDRESSES[0],
        scenario.line.base_rtt.as_micros()
    )?;
    for direction in Direction::BOTH {
        let leg = &scenario.line.legs[direction.index()];
        let queue = QUEUES[direction.index()];
        writeln!(text, "[wan.{}]\nqueue = \"{queue}\"", direction.name())?;
        writeln!(text, "ceiling = {}\nfloor = {}", leg.ceiling.bps(), leg.floor.bps())?;
    }
    Ok(text)
}
