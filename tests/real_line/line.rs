//! The line as namespaces:
//!
//! ```text
//!   cli ──LAN── rtr ──WAN── isp ══10 ms══ srv
//!   ctl ────────┘ │          └ bottleneck: tbf over a deep FIFO, towards rtr and towards srv
//!                 └ shaper: htb over a short FIFO, towards cli (download) and isp (upload)
//! ```
//!
//! The controller has its own link to the router, so its probes do not wait in the download's
//! shaper; on the way up they pass the WAN's shaper like everything else.

use super::delay::DelayLine;
use super::netns::{Netns, cable};
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Round-trip time of the idle line.
pub const BASE_RTT: Duration = Duration::from_millis(20);

/// The provider's FIFO, bytes: 530 ms at 30 Mbit/s, 1.3 s at 12.
const DEEP: u64 = 2_000_000;

/// The shaper's FIFO, time. It stands in for CAKE, which the test's kernel may lack.
const SHORT_MS: u64 = 20;

/// What echo requests and replies get ahead of the bulk (bit/s): CAKE lets sparse flows pass its
/// queues, so a controller's probes never wait in its own shaper. The test's own pings get no such
/// favour: they wait in the short FIFO like the bulk.
const SPARSE: u64 = 200_000;

pub const ROUTER_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 1);
pub const SERVER_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 5, 1);

/// Addresses of the server that only answer echo requests.
pub const REFLECTORS: [Ipv4Addr; 3] =
    [Ipv4Addr::new(10, 77, 5, 2), Ipv4Addr::new(10, 77, 5, 3), Ipv4Addr::new(10, 77, 5, 4)];

/// A direction of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Download,
    Upload,
}

impl Direction {
    /// Where the provider's queue is.
    const fn bottleneck_interface(self) -> &'static str {
        match self {
            Self::Download => "wan",
            Self::Upload => "far",
        }
    }

    /// Where the router's queue is.
    const fn shaper_interface(self) -> &'static str {
        match self {
            Self::Download => "lan",
            Self::Upload => "wan",
        }
    }
}

/// The namespaces, and what runs in them. Fields are dropped in this order.
pub struct RealLine {
    shaper: Shaper,
    _delay: DelayLine,
    pub client: Netns,
    pub controller: Netns,
    pub router: Netns,
    pub provider: Netns,
    pub server: Netns,
}

impl RealLine {
    /// A line whose bottlenecks let `bottleneck` bit/s through, and whose shapers `shaper`.
    pub fn new(world: &str, bottleneck: u64, shaper: u64) -> Self {
        let [client, controller, router, provider, server] =
            ["cli", "ctl", "rtr", "isp", "srv"].map(|role| Netns::new(world, role));
        cable(&client, "lan", "10.77.1.2/24", &router, "lan", "10.77.1.1/24");
        cable(&controller, "ctl", "10.77.2.2/24", &router, "ctl", "10.77.2.1/24");
        cable(&router, "wan", "10.77.3.2/24", &provider, "wan", "10.77.3.1/24");
        let delay = DelayLine::new(&provider, &server, "far", BASE_RTT / 2);
        for address in [SERVER_ADDRESS].iter().chain(&REFLECTORS) {
            server.ip(&["address", "add", &format!("{address}/32"), "dev", "lo"]);
        }
        for netns in [&router, &provider] {
            netns.sysctl("ipv4/ip_forward", "1");
        }
        for (netns, route) in [
            (&client, "default via 10.77.1.1"),
            (&controller, "default via 10.77.2.1"),
            (&router, "default via 10.77.3.1"),
            (&provider, "10.77.1.0/24 via 10.77.3.2"),
            (&provider, "10.77.2.0/24 via 10.77.3.2"),
            (&provider, "10.77.5.0/24 dev far"),
            (&server, "default dev far src 10.77.5.1"),
        ] {
            netns.ip(&[&["route", "add"], &*route.split(' ').collect::<Vec<_>>()].concat());
        }
        for netns in [&client, &server] {
            netns.sysctl("ipv4/tcp_rmem", "4096 131072 16777216");
            netns.sysctl("ipv4/tcp_wmem", "4096 131072 16777216");
        }
        for direction in [Direction::Download, Direction::Upload] {
            let (rate, deep) = (bottleneck.to_string(), DEEP.to_string());
            let dev = direction.bottleneck_interface();
            provider.tc(&[
                "qdisc", "add", "dev", dev, "root", "handle", "1:", "tbf", "rate", &rate, "burst", "4k", "limit", &deep,
            ]);
        }
        let shaper = Shaper::new(&router, shaper);
        Self { shaper, _delay: delay, client, controller, router, provider, server }
    }

    /// Another capacity; what waits in the queue stays.
    pub fn set_bottleneck(&self, direction: Direction, bps: u64) {
        let (rate, deep) = (bps.to_string(), DEEP.to_string());
        let dev = direction.bottleneck_interface();
        self.provider.tc(&[
            "qdisc", "change", "dev", dev, "root", "handle", "1:", "tbf", "rate", &rate, "burst", "4k", "limit", &deep,
        ]);
    }

    /// The router's shapers, for whoever is to set them.
    pub fn shaper(&self) -> Shaper {
        self.shaper.clone()
    }
}

/// The router's shapers. Changes go to a `tc` that runs already and reads commands: a
/// millisecond instead of the start of a process.
#[derive(Clone)]
pub struct Shaper(Arc<Mutex<Tc>>);

/// Whether the shapers are CAKE, as on a router (`WANCTL_SHAPER=cake`, where the kernel has it).
pub fn is_cake() -> bool {
    std::env::var_os("WANCTL_SHAPER").is_some_and(|kind| kind == "cake")
}

/// A `tc` that runs already and reads commands.
struct Tc {
    process: Child,
    commands: Option<ChildStdin>,
}

impl Tc {
    fn start(router: &Netns, options: &[&str], answers: Stdio) -> Self {
        let mut command = Command::new("tc");
        command.args(options).args(["-force", "-batch", "-"]).stdin(Stdio::piped()).stdout(answers);
        let mut process = router.prepare(&mut command).spawn().expect("tc -batch");
        let commands = process.stdin.take();
        Self { process, commands }
    }

    fn tell(&mut self, lines: &str) {
        if let Some(commands) = &mut self.commands {
            commands.write_all(lines.as_bytes()).expect("tc -batch ended");
        }
    }
}

impl Shaper {
    fn new(router: &Netns, bps: u64) -> Self {
        let shaper = Self(Arc::new(Mutex::new(Tc::start(router, &[], Stdio::null()))));
        for direction in [Direction::Download, Direction::Upload] {
            if is_cake() {
                shaper.apply("add", direction, bps);
                continue;
            }
            let dev = direction.shaper_interface();
            shaper.tell(&format!("qdisc add dev {dev} root handle 1: htb default 10\n"));
            shaper.apply("add", direction, bps);
            shaper.tell(&format!(
                "filter add dev {dev} parent 1: protocol ip u32 match ip protocol 1 0xff flowid 1:20\n"
            ));
        }
        shaper
    }

    /// Another rate; what waits in the queue stays.
    pub fn set(&self, direction: Direction, bps: u64) {
        self.apply("change", direction, bps);
    }

    fn apply(&self, verb: &str, direction: Direction, bps: u64) {
        let dev = direction.shaper_interface();
        if is_cake() {
            self.tell(&format!("qdisc {verb} dev {dev} root handle 1: cake bandwidth {bps}bit besteffort\n"));
            return;
        }
        let fifo = (bps / 8 * SHORT_MS / 1000).max(6 * 1514);
        let bulk = bps.saturating_sub(SPARSE).max(8_000);
        let burst = "burst 4k cburst 4k quantum 1514";
        self.tell(&format!(
            "class {verb} dev {dev} parent 1: classid 1:1 htb rate {bps}bit ceil {bps}bit {burst}\n\
             class {verb} dev {dev} parent 1:1 classid 1:10 htb prio 1 rate {bulk}bit ceil {bps}bit {burst}\n\
             class {verb} dev {dev} parent 1:1 classid 1:20 htb prio 0 rate {SPARSE}bit ceil {bps}bit {burst}\n\
             qdisc {verb} dev {dev} parent 1:10 handle 10: bfifo limit {fifo}\n"
        ));
    }

    fn tell(&self, lines: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).tell(lines);
    }
}

/// What the kernel says of the router's shapers. Like their changes it goes through a [`Tc`]: a process for every look
/// would load the machine on which all this is measured.
pub struct Gauge {
    tc: Tc,
    answers: BufReader<ChildStdout>,
}

impl Gauge {
    pub fn new(router: &Netns) -> Self {
        let mut tc = Tc::start(router, &["-statistics", "-json"], Stdio::piped());
        let answers = BufReader::new(tc.process.stdout.take().expect("what tc says"));
        Self { tc, answers }
    }

    /// Packets dropped since the start, and bytes and packets that wait now.
    pub fn look(&mut self, direction: Direction) -> [u64; 3] {
        let mut answer = String::new();
        self.tc.tell(&format!("qdisc show dev {}\n", direction.shaper_interface()));
        self.answers.read_line(&mut answer).expect("tc's answer");
        let queues: serde_json::Value = serde_json::from_str(&answer).expect("JSON from tc");
        let root =
            queues.as_array().and_then(|all| all.iter().find(|queue| queue["root"] == true)).expect("the shaper");
        ["drops", "backlog", "qlen"].map(|key| root[key].as_u64().expect("a number"))
    }
}

impl Drop for Tc {
    fn drop(&mut self) {
        drop(self.commands.take());
        let _ = self.process.wait();
    }
}
