//! A daemon on the simulated board, as the tests use it.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, missing_docs, reason = "each test uses a part")]

use std::path::Path;
use std::sync::Arc;
use wanctl::config::{self, Config};
use wanctl::daemon::{Daemon, Setup, Store};
use wanctl_hal::sim::{LineSetup, QueueSetup, RouterDouble, RouterSetup, SharedWorld, SimBoard, Wan, World, lock};
use wanctl_hal::{Bitrate, Duration, Instant};

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
    let env = |_: &str| Some("secret".to_owned());
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
    World::new(RouterDouble::new(router), vec![Wan::new("wan1", "ether1", &line).with_reflectors(&reflectors)]).share()
}

/// A daemon in this world.
pub fn daemon(world: &SharedWorld, text: &str) -> Daemon<SimBoard> {
    let mut board = SimBoard::new(Arc::clone(world));
    let mut store = Store::default();
    let restored = store.load_state(&mut board);
    let config = parse(text);
    let router = "192.168.88.1:80".parse().unwrap();
    let reloader = Box::new(|_: &wanctl::config::Config| Err(1));
    Daemon::new(Setup { board, config, router, reloader, store, restored }).unwrap_or_else(|e| panic!("{e}"))
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
