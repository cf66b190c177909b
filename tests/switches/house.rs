//! A cable and a DSL line behind one router, and a daemon that steers between them.

use super::common::{mbps, parse};
use std::sync::Arc;
use wanctl::daemon::{Daemon, Setup, Store};
use wanctl_hal::Instant;
use wanctl_hal::sim::{
    Connect, LineSetup, QueueSetup, RouterDouble, RouterSetup, SharedWorld, SimBoard, Target, Wan, World, lock,
};

pub const RULE: &str = "rule = \"calls via dsl\"";
pub const LEASE: &str =
    "lease = { lists = [\"steer-a\", \"steer-b\"], prefixes = [\"192.168.88.0/24\", \"192.168.9.5/32\"] }";

/// A cable and a DSL line behind one router, which has the rule.
pub fn world(seed: u64) -> SharedWorld {
    let queue = |name: &str| QueueSetup::tree(name, "bridge", 100_000_000);
    let queues = ["wan1-dl", "wan1-ul", "wan2-dl", "wan2-ul"].map(queue).to_vec();
    let mut router = RouterDouble::new(RouterSetup { queues, seed, ..RouterSetup::default() });
    router.add_rule(false, "someone else's");
    router.add_rule(false, "calls via dsl");
    let wans = (1..=2_u64).map(|n| {
        let line = LineSetup { seed: seed + n, ..LineSetup::new(mbps(30), mbps(10)) };
        let reflectors = [1, 2, 3].map(|i| format!("9.9.{n}.{i}").parse().unwrap());
        let mut wan = Wan::new(&format!("wan{n}"), "ether1", &line).with_reflectors(&reflectors);
        wan.targets = vec![(format!("192.0.2.{n}:443").parse().unwrap(), Target::default())];
        wan
    });
    World::new(router, wans.collect()).share()
}

pub fn text(means: &str, more: &str) -> String {
    let mut text = "[router]\nurl = \"http://192.168.88.1\"\nuser = \"wanctl\"\n".to_owned();
    for (n, name) in [(1, "cable"), (2, "dsl")] {
        text += &format!(
            "[[wan]]\nname = \"{name}\"\nlink = \"cable\"\nmark = {n}\nreflectors = [\"9.9.{n}.1\", \"9.9.{n}.2\", \"9.9.{n}.3\"]\n\
             tcp_targets = [\"192.0.2.{n}:443\"]\nbaseline = \"20ms\"\n[wan.download]\nqueue = \"wan{n}-dl\"\n\
             ceiling = \"40M\"\nfloor = \"2M\"\n[wan.upload]\nqueue = \"wan{n}-ul\"\nceiling = \"14M\"\nfloor = \"1M\"\n"
        );
    }
    text + &format!(
        "[[steering]]\nname = \"calls\"\nprimary = \"cable\"\n{more}\n[[steering.alternate]]\nwan = \"dsl\"\n{means}\n"
    )
}

pub fn daemon(world: &SharedWorld, text: &str) -> Daemon<SimBoard> {
    let mut board = SimBoard::new(Arc::clone(world));
    let mut store = Store::default();
    let restored = store.load_state(&mut board);
    let (config, router) = (parse(text), "192.168.88.1:80".parse().unwrap());
    let reloader = Box::new(|_: &_| Err(1));
    Daemon::new(Setup { board, config, router, reloader, store, restored }).unwrap_or_else(|e| panic!("{e}"))
}

/// The primary is dead from now on, or alive.
pub fn primary(world: &SharedWorld, alive: bool) {
    let mut world = lock(world);
    let now = world.now();
    let wan = &mut world.wans[0];
    for (_, reflector) in &mut wan.reflectors {
        reflector.silent = (!alive).then_some((now, Instant::from_nanos(u64::MAX)));
    }
    let connect = if alive { Connect::Answers } else { Connect::Silent };
    wan.targets[0].1 = Target { connect, ..Target::default() };
}

pub fn rule(world: &SharedWorld) -> bool {
    lock(world).router.rule("calls via dsl").expect("the rule")
}

/// What is on the two lists.
pub fn listed(world: &SharedWorld) -> [Vec<String>; 2] {
    let mut world = lock(world);
    let now = world.now();
    ["steer-a", "steer-b"].map(|list| world.router.listed(now, list))
}
