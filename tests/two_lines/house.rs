//! The house as namespaces:
//!
//! ```text
//!   client ──LAN── router ──wan1── provider 1 ══10 ms══ server
//!   controller ──────┘ └────wan2── provider 2 ══10 ms════┘
//! ```
//!
//! The controller has one address for each line; the router's routing rules keep it there. What comes to the server
//! has the address of the line by which it came.

use crate::delay::DelayLine;
use crate::netns::{Netns, cable};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Scope};
use std::time::Duration;
use wanctl_hal::sim::{
    Latency, LiveClock, QueueSetup, RouterDouble, RouterServer, RouterSetup, ServerSetup, SharedWorld, TlsSetup, World,
    lock,
};

/// What the lines can, bit/s.
pub const WHOLE: u64 = 20_000_000;

/// What is left of line 1 when it collapses.
pub const COLLAPSED: u64 = 2_000_000;

/// The comment of the switched rule.
pub const RULE: &str = "calls leave by line two";

pub const LISTS: [&str; 2] = ["calls-a", "calls-b"];

/// What the router's firewall is beside what is switched.
const FIREWALL: &str = "table ip wanctl {
 chain steer {
 }
 chain prerouting {
  type filter hook prerouting priority mangle; policy accept;
  iifname \"lan\" ct state new ct mark 0 jump steer
  iifname \"lan\" ct mark 1 meta mark set 1
 }
 chain postrouting {
  type nat hook postrouting priority srcnat; policy accept;
  oifname { \"wan1\", \"wan2\" } masquerade
 }
}
";

/// Counts the echo requests to the reflectors of the other line.
fn counter(foreign: &str) -> String {
    format!(
        "table ip wanctl {{\n chain forward {{\n  type filter hook forward priority filter; policy accept;\n  \
         ip daddr {{ {foreign} }} icmp type echo-request counter\n }}\n}}\n"
    )
}

pub struct House {
    pub client: Netns,
    pub controller: Netns,
    pub router: Netns,
    pub providers: [Netns; 2],
    pub server: Netns,
    _delays: [DelayLine; 2],
}

impl House {
    pub fn new(world: &str) -> Self {
        let [client, controller, router, one, two, server] =
            ["cli", "ctl", "rtr", "isp1", "isp2", "srv"].map(|role| Netns::new(world, role));
        cable(&client, "lan", "10.78.1.2/24", &router, "lan", "10.78.1.1/24");
        cable(&controller, "ctl", "10.78.2.2/24", &router, "ctl", "10.78.2.1/24");
        controller.ip(&["address", "add", "10.78.2.3/24", "dev", "ctl"]);
        cable(&router, "wan1", "10.78.3.2/24", &one, "wan", "10.78.3.1/24");
        cable(&router, "wan2", "10.78.4.2/24", &two, "wan", "10.78.4.1/24");
        let half = Duration::from_millis(10);
        let delays = [DelayLine::new(&one, &server, "far1", half), DelayLine::new(&two, &server, "far2", half)];
        for last in 1..=7 {
            server.ip(&["address", "add", &format!("10.78.5.{last}/32"), "dev", "lo"]);
        }
        for netns in [&router, &one, &two] {
            netns.sysctl("ipv4/ip_forward", "1");
        }
        for (netns, words) in [
            (&client, "route add default via 10.78.1.1"),
            (&controller, "route add default via 10.78.2.1"),
            (&router, "route add default via 10.78.3.1"),
            (&router, "route add default via 10.78.3.1 table 101"),
            (&router, "route add default via 10.78.4.1 table 102"),
            (&router, "rule add from 10.78.2.2 lookup 101"),
            (&router, "rule add from 10.78.2.3 lookup 102"),
            (&router, "rule add fwmark 1 lookup 102"),
            (&one, "route add 10.78.5.0/24 dev far1"),
            (&two, "route add 10.78.5.0/24 dev far2"),
            (&server, "route add 10.78.3.0/24 dev far1"),
            (&server, "route add 10.78.4.0/24 dev far2"),
        ] {
            netns.ip(&words.split(' ').collect::<Vec<_>>());
        }
        nft(&router, FIREWALL);
        nft(&one, &counter("10.78.5.5, 10.78.5.6, 10.78.5.7"));
        // The first reflector of line 1 is where both ways are traced to.
        nft(&two, &counter("10.78.5.3, 10.78.5.4"));
        for provider in [&one, &two] {
            bottleneck(provider, "add", WHOLE);
        }
        Self { client, controller, router, providers: [one, two], server, _delays: delays }
    }

    /// Another capacity of line 1, downwards; what waits in the queue stays.
    pub fn set_line_one(&self, bps: u64) {
        bottleneck(&self.providers[0], "change", bps);
    }

    /// How many echo requests went to the reflectors of the other line.
    pub fn strays(&self) -> u64 {
        let count = |provider: &Netns| {
            let mut command = Command::new("nft");
            let output = provider.prepare(command.args(["list", "ruleset"])).output().expect("nft");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let after = text.split("counter packets ").nth(1).expect("the counter");
            after.split(' ').next().and_then(|n| n.parse::<u64>().ok()).expect("a number")
        };
        self.providers.iter().map(count).sum()
    }
}

fn bottleneck(provider: &Netns, verb: &str, bps: u64) {
    let rate = bps.to_string();
    let parameters = ["handle", "1:", "tbf", "rate", &rate, "burst", "4k", "limit", "500000"];
    provider.tc(&[&["qdisc", verb, "dev", "wan", "root"], &parameters[..]].concat());
}

/// Gives commands to the firewall of a namespace.
fn nft(netns: &Netns, commands: &str) {
    let mut command = Command::new("nft");
    let mut process = netns.prepare(command.args(["-f", "-"]).stdin(Stdio::piped())).spawn().expect("nft");
    process.stdin.take().expect("its input").write_all(commands.as_bytes()).expect("nft reads");
    assert!(process.wait().expect("nft ends").success(), "nft refuses: {commands}");
}

/// The router that can be asked over REST.
pub struct Router {
    world: SharedWorld,
    clock: LiveClock,
    server: RouterServer,
}

impl Router {
    pub fn new(house: &House) -> Self {
        let queues = ["one-down", "one-up", "two-down", "two-up"].map(|name| QueueSetup::tree(name, "bridge", WHOLE));
        let setup = RouterSetup { queues: queues.to_vec(), latency: Latency::default(), ..RouterSetup::default() };
        let mut double = RouterDouble::new(setup);
        double.add_rule(false, RULE);
        let world = World::new(double, Vec::new()).share();
        let clock = LiveClock::starting_at(wanctl_hal::Instant::ZERO);
        let bind = "10.78.2.1:443".parse().expect("an address");
        let setup = ServerSetup { bind, tls: Some(TlsSetup::default()), clock };
        let server = house.router.within(|| RouterServer::start(&setup, world.clone(), None)).expect("the double");
        Self { world, clock, server }
    }

    pub fn fingerprint(&self) -> String {
        self.server.fingerprint().expect("TLS").iter().map(|b| format!("{b:02x}")).collect()
    }

    /// Whether the double shows the rule enabled.
    pub fn is_enabled(&self) -> bool {
        lock(&self.world).router.rule(RULE).expect("the rule")
    }

    /// What the two lists hold.
    pub fn listed(&self) -> Vec<String> {
        let (mut world, now) = (lock(&self.world), self.clock.now());
        LISTS.iter().flat_map(|list| world.router.listed(now, list)).collect()
    }

    /// Makes the kernel's firewall do what the double says, until `over`: the rule's effect, and that of the rules of
    /// the two lists, which are always enabled.
    pub fn follow<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        house: &'scope House,
        over: &'scope AtomicBool,
    ) {
        scope.spawn(move || {
            let mut done = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let mut wanted: Vec<String> = Vec::new();
                if self.is_enabled() {
                    wanted.push("ip dscp ef ct mark set 1".to_owned());
                }
                wanted.extend(self.listed().iter().map(|prefix| format!("ip saddr {prefix} ip dscp ef ct mark set 1")));
                wanted.sort_unstable();
                wanted.dedup();
                if wanted != done {
                    let rules = wanted.iter().map(|rule| format!("add rule ip wanctl steer {rule}\n"));
                    nft(&house.router, &format!("flush chain ip wanctl steer\n{}", rules.collect::<String>()));
                    done = wanted;
                }
                thread::sleep(Duration::from_millis(10));
            }
        });
    }
}
