//! A daemon on the simulated board, as the tests use it.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, missing_docs, reason = "each test uses a part")]

use std::path::Path;
use std::sync::Arc;
use wanctl::config::{self, Config};
use wanctl::daemon::{Daemon, Reloader, Setup, Store};
use wanctl::types::Signal;
use wanctl_hal::sim::{
    LineSetup, QueueSetup, RouterDouble, RouterSetup, SharedWorld, SimBoard, Target, Wan, World, lock,
};
use wanctl_hal::{Bitrate, Board, Direction, Duration, Instant};

/// The smallest useful file, for a 30/10 line; `more` goes into the WAN section.
pub fn config_text(head: &str, more: &str) -> String {
    format!(
        r#"
[router]
url = "http://192.168.88.1"
user = "wanctl"
{head}
[[wan]]
name = "cable"
link = "cable"
reflectors = ["1.1.1.1", "9.9.9.9", "8.8.8.8", "208.67.222.222"]
baseline = "20ms"
{more}
[wan.download]
queue = "wan1-dl"
ceiling = "40M"
floor = "4M"
[wan.upload]
queue = "wan1-ul"
ceiling = "14M"
floor = "2M"
"#
    )
}

pub fn parse(text: &str) -> Config {
    let env = |name: &str| (name == "WANCTL_ROUTER_PASSWORD").then(|| "secret".to_owned());
    config::parse(text, "test.toml", Path::new("."), &env).unwrap_or_else(|f| panic!("{f}")).0
}

/// A world with one line of 30/10 Mbit/s and 20 ms behind the two queues of the tree.
pub fn world(seed: u64) -> SharedWorld {
    let router = RouterSetup {
        queues: vec![
            QueueSetup::tree("wan1-dl", "bridge", 100_000_000),
            QueueSetup::tree("wan1-ul", "ether1", 50_000_000),
        ],
        seed,
        ..RouterSetup::default()
    };
    let line = LineSetup { seed, ..LineSetup::new(mbps(30), mbps(10)) };
    let reflectors = ["1.1.1.1", "9.9.9.9", "8.8.8.8", "208.67.222.222"].map(|ip| ip.parse().unwrap());
    let mut wan = Wan::new("wan1", "ether1", &line).with_reflectors(&reflectors);
    wan.targets = vec![("1.1.1.1:443".parse().unwrap(), Target::default())];
    World::new(RouterDouble::new(router), vec![wan]).share()
}

/// A daemon in this world; a reload finds a bad file.
pub fn daemon(world: &SharedWorld, text: &str) -> Daemon<SimBoard> {
    daemon_with(world, text, Box::new(|_| Err(1)))
}

/// A daemon in this world that reloads in this way.
pub fn daemon_with(world: &SharedWorld, text: &str, reloader: Reloader) -> Daemon<SimBoard> {
    daemon_on(SimBoard::new(Arc::clone(world)), text, reloader)
}

/// The same on another board.
pub fn daemon_on<B: Board>(mut board: B, text: &str, reloader: Reloader) -> Daemon<B> {
    let mut store = Store::default();
    let restored = store.load_state(&mut board);
    let config = parse(text);
    let router = "192.168.88.1:80".parse().unwrap();
    Daemon::new(Setup { board, config, router, reloader, store, restored }).unwrap_or_else(|e| panic!("{e}"))
}

/// The end of a process that could not say farewell; the world goes on.
pub fn kill(mut daemon: Daemon<SimBoard>) {
    daemon.board().link_close();
}

/// The first WAN, changed or looked at.
pub fn line<T>(world: &SharedWorld, f: impl FnOnce(&mut Wan) -> T) -> T {
    f(&mut lock(world).wans[0])
}

/// The limits that were written over REST, in bit/s.
pub fn written(world: &SharedWorld) -> Vec<u64> {
    let world = lock(world);
    let limits = world.router.writes().filter_map(|w| w.max_limit.as_deref());
    limits.flat_map(|limit| limit.split('/')).map(|bps| bps.parse().unwrap_or(0)).collect()
}

/// What the last sample of the first WAN was worth.
pub fn quality(daemon: &Daemon<SimBoard>) -> Signal {
    daemon.wans()[0].last.map_or(Signal::WarmingUp, |(sample, _)| sample.signal)
}

pub fn at(seconds: f64) -> Instant {
    Instant::ZERO + Duration::from_secs_f64(seconds)
}

/// The `max-limit` of a queue on the router.
pub fn limit(world: &SharedWorld, queue: &str) -> String {
    lock(world).router.property(queue, "max-limit").unwrap_or("?").to_owned()
}

pub fn mbps(m: u64) -> Bitrate {
    Bitrate::from_mbps(m)
}

/// So many long transfers run from now on.
pub fn set_flows(world: &SharedWorld, direction: Direction, count: usize) {
    line(world, |wan| wan.line.set_flows(direction, count));
}

/// What a user feels in one direction.
pub struct Felt {
    /// Delay in the provider's queue that 95 % of the time stays below.
    pub p95_ms: f64,
    /// Part of the capacity that was used.
    pub utilisation: f64,
}

/// Runs on, and looks at the line every 10 ms between two times.
pub fn felt(daemon: &mut Daemon<SimBoard>, world: &SharedWorld, direction: Direction, from: f64, to: f64) -> Felt {
    daemon.run_until(at(from));
    let totals = || line(world, |wan| wan.line.totals(direction));
    let start = totals();
    let mut delays = Vec::new();
    let mut t = from;
    while t < to {
        t += 0.01;
        daemon.run_until(at(t));
        delays.push(line(world, |wan| wan.line.fifo_delay(direction)).as_secs_f64() * 1e3);
    }
    delays.sort_by(f64::total_cmp);
    let end = totals();
    Felt {
        p95_ms: delays[delays.len() * 95 / 100],
        utilisation: (end.carried - start.carried) / (end.possible - start.possible),
    }
}
