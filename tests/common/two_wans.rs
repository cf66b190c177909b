//! The case that all figures are about: two WANs with three reflectors each, all of them probed in
//! every cycle, on the simulated board behind a [`Metered`] one.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "each user needs a part")]

use super::meter::Metered;
use std::path::Path;
use std::sync::Arc;
use wanctl::config::{self, Config};
use wanctl::daemon::{Daemon, Setup, Store};
use wanctl_hal::sim::{
    Action, LineSetup, QueueSetup, RouterDouble, RouterSetup, SharedWorld, SimBoard, Wan, World, lock,
};
use wanctl_hal::{Bitrate, Board, Direction, Duration, Instant};

/// Length of a cycle.
pub const CYCLE: Duration = Duration::from_millis(50);

/// What runs over the two lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// A third of the download rate, evenly: full pace of probes, two statistics a second, and
    /// no reason to change a rate.
    Steady,
    /// Bulk transfers in both directions: rates change all the time.
    Bulk,
}

/// The configuration file, with a router at `url`; `router`, `head` and `wan` are further lines
/// of their sections.
pub fn text(url: &str, router: &str, head: &str, wan: [&str; 2], reflectors: [[&str; 3]; 2]) -> String {
    let mut text =
        format!("[router]\nurl = \"{url}\"\nuser = \"wanctl\"\n{router}\n{head}\n[loop]\ncycle = \"50ms\"\n");
    for (i, (more, reflectors)) in wan.iter().zip(reflectors).enumerate() {
        let n = i + 1;
        text += &format!(
            "[[wan]]\nname = \"line{n}\"\nlink = \"cable\"\nlaw = \"classic\"\nreflectors = {reflectors:?}\n\
             probes_per_cycle = 3\nbaseline = \"20ms\"\n{more}\n[wan.download]\nqueue = \"wan{n}-dl\"\n\
             ceiling = \"40M\"\nfloor = \"4M\"\n[wan.upload]\nqueue = \"wan{n}-ul\"\nceiling = \"14M\"\nfloor = \"2M\"\n"
        );
    }
    text
}

/// The queues of the router for it.
pub fn queues() -> Vec<QueueSetup> {
    ["wan1-dl", "wan1-ul", "wan2-dl", "wan2-ul"].map(|name| QueueSetup::tree(name, "bridge", 100_000_000)).to_vec()
}

/// Parses it.
pub fn parse(text: &str) -> Config {
    let env = |name: &str| (name == "WANCTL_ROUTER_PASSWORD").then(|| "secret".to_owned());
    config::parse(text, "test.toml", Path::new("."), &env).unwrap_or_else(|f| panic!("{f}")).0
}

/// The world: two lines of 45/16 Mbit/s (30/10 under bulk load, so that there is something to
/// control) and 20 ms.
pub fn world(load: Load) -> SharedWorld {
    let router = RouterSetup { queues: queues(), ..RouterSetup::default() };
    let rates = if load == Load::Bulk { [30, 10] } else { [45, 16] }.map(Bitrate::from_mbps);
    let wans = (0..2).map(|i| {
        let line = LineSetup { seed: 1 + i as u64, ..LineSetup::new(rates[0], rates[1]) };
        let reflectors = REFLECTORS[i].map(|ip| ip.parse().unwrap());
        Wan::new(&format!("wan{}", i + 1), "ether1", &line).with_reflectors(&reflectors)
    });
    let world = World::new(RouterDouble::new(router), wans.collect()).share();
    for wan in 0..2 {
        let start = Instant::ZERO + Duration::from_secs(5);
        if load == Load::Steady {
            lock(&world).at(start, Action::Stream(wan, Direction::Download, Bitrate::from_mbps(13)));
        } else {
            lock(&world).at(start, Action::Flows(wan, Direction::Download, 4));
            lock(&world).at(start, Action::Flows(wan, Direction::Upload, 2));
        }
    }
    world
}

/// Who is pinged through which line.
pub const REFLECTORS: [[&str; 3]; 2] = [["1.1.1.1", "9.9.9.9", "8.8.8.8"], ["1.0.0.1", "9.9.9.10", "8.8.4.4"]];

/// A daemon in this world, with room to record so many cycles.
pub fn daemon(world: &SharedWorld, cycles: usize) -> Daemon<Metered<SimBoard>> {
    daemon_on(Metered::new(SimBoard::new(Arc::clone(world)), CYCLE, cycles))
}

/// The same on another board.
pub fn daemon_on<B: Board>(mut board: B) -> Daemon<B> {
    let mut store = Store::default();
    let restored = store.load_state(&mut board);
    let read =
        || parse(&text("http://192.168.88.1", "", "[log]\nlevel = \"debug\"", ["mark = 1", "mark = 2"], REFLECTORS));
    let config = read();
    let router = "192.168.88.1:80".parse().unwrap();
    let reloader = Box::new(move |_: &Config| Ok(read()));
    Daemon::new(Setup { board, config, router, reloader, store, restored }).unwrap_or_else(|e| panic!("{e}"))
}

/// Runs for so many cycles from where it is.
pub fn run<B: Board>(daemon: &mut Daemon<B>, world: &SharedWorld, cycles: u32) {
    let until = lock(world).now() + CYCLE * cycles;
    assert!(!daemon.run_until(until), "nobody asked it to stop");
}
