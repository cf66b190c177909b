//! The program itself on the controller's side of the line, and a RouterOS double in the router
//! whose queues *are* the kernel's.

use super::line::{Direction, Gauge, REFLECTORS, ROUTER_ADDRESS, RealLine, Shaper};
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use wanctl_hal::sim::{
    Half, Latency, LiveClock, QueueSetup, RouterDouble, RouterServer, RouterSetup, ServerSetup, ShaperRef, SharedWorld,
    TlsSetup, Traffic, World, lock,
};

/// Names of the queues, and the interfaces of the router namespace they stand for.
const QUEUES: [(&str, &str, Direction); 2] =
    [("line-download", "lan", Direction::Download), ("line-upload", "wan", Direction::Upload)];

/// The double's password.
pub const PASSWORD: &str = "secret";

/// The rates a shaper had, and since when.
pub type Rates = Arc<Mutex<Vec<(Instant, u64)>>>;

/// A router that can be asked over REST.
pub struct Router {
    server: RouterServer,
    rates: [Rates; 2],
    stop: Arc<AtomicBool>,
    counting: Option<JoinHandle<()>>,
}

impl Router {
    pub fn new(line: &RealLine, limit: u64) -> Self {
        let setup = RouterSetup {
            queues: QUEUES.map(|(name, interface, _)| QueueSetup::tree(name, interface, limit)).to_vec(),
            interfaces: ["wan", "lan", "ctl"].map(str::to_owned).to_vec(),
            latency: Latency::default(),
            ..RouterSetup::default()
        };
        let world = World::new(RouterDouble::new(setup), Vec::new()).share();
        let started = Instant::now();
        let rates: [Rates; 2] = [(); 2].map(|()| Arc::new(Mutex::new(vec![(started, limit)])));
        let clock = LiveClock::starting_at(wanctl_hal::Instant::ZERO);
        let bind = SocketAddr::from((ROUTER_ADDRESS, 443));
        let setup = ServerSetup { bind, tls: Some(TlsSetup::default()), clock };
        let on_write = follow(line.shaper(), rates.clone());
        // Sockets and threads that are made in the namespace stay in it.
        let server = line.router.within(|| RouterServer::start(&setup, world.clone(), Some(Box::new(on_write))));
        let server = server.expect("the RouterOS double");
        let stop = Arc::new(AtomicBool::new(false));
        let counting = line.router.spawn({
            let (stop, gauge) = (Arc::clone(&stop), Gauge::new(&line.router));
            move || count(&world, gauge, &stop)
        });
        Self { server, rates, stop, counting: Some(counting) }
    }

    /// The rates a shaper has had so far.
    pub fn rates(&self, direction: Direction) -> Vec<(Instant, u64)> {
        self.rates[direction as usize].lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(counting) = self.counting.take() {
            let _ = counting.join();
        }
    }
}

/// What is written to a queue of the double is done to the kernel's.
fn follow(shaper: Shaper, rates: [Rates; 2]) -> impl FnMut(&str, Option<&str>) + Send {
    move |name, limit| {
        let queue = QUEUES.iter().find(|(queue, ..)| *queue == name);
        let bps = limit.and_then(|limit| limit.parse().ok());
        if let (Some((.., direction)), Some(bps)) = (queue, bps) {
            shaper.set(*direction, bps);
            let mut rates = rates[*direction as usize].lock().unwrap_or_else(PoisonError::into_inner);
            rates.push((Instant::now(), bps));
        }
    }
}

/// Counts the kernel's traffic into the double, so that its statistics are true.
fn count(world: &SharedWorld, mut gauge: Gauge, stop: &AtomicBool) {
    let mut before: Option<[[Traffic; 2]; 2]> = None;
    while !stop.load(Ordering::Relaxed) {
        let now = QUEUES.map(|(_, interface, direction)| {
            let [received, sent] = interface_counters(interface);
            let [dropped, queued_bytes, queued_packets] = gauge.look(direction);
            [received, Traffic { dropped, queued_bytes, queued_packets, ..sent }]
        });
        if let Some(before) = before {
            let mut world = lock(world);
            for (i, (queue, interface, _)) in QUEUES.into_iter().enumerate() {
                let [received, sent] = [0, 1].map(|half| since(&before[i][half], &now[i][half]));
                world.router.count(&ShaperRef { queue: queue.to_owned(), half: Half::First }, &sent);
                world.router.count_interface(interface, &received, &sent);
            }
        }
        before = Some(now);
        thread::sleep(Duration::from_millis(50));
    }
}

/// Received and sent, from this thread's namespace.
fn interface_counters(interface: &str) -> [Traffic; 2] {
    let text = fs::read_to_string("/proc/thread-self/net/dev").expect("interface counters");
    let line = text.lines().find_map(|l| l.trim().strip_prefix(interface)?.strip_prefix(':')).expect("the interface");
    let numbers: Vec<u64> = line.split_whitespace().map(|n| n.parse().unwrap_or(0)).collect();
    [0, 8].map(|at| Traffic { bytes: numbers[at], packets: numbers[at + 1], ..Traffic::default() })
}

/// What has passed and was dropped in between, and what waits now.
fn since(before: &Traffic, now: &Traffic) -> Traffic {
    Traffic {
        bytes: now.bytes - before.bytes,
        packets: now.packets - before.packets,
        dropped: now.dropped - before.dropped,
        ..*now
    }
}

/// How many recordings were begun.
static RECORDED: AtomicU32 = AtomicU32::new(0);

/// A running `wanctl run`; killed when dropped.
pub struct Daemon {
    process: Child,
    directory: PathBuf,
}

impl Daemon {
    pub fn start(line: &RealLine, router: &Router, world: &str, law: &str, ceiling: u64, floor: u64) -> Self {
        let name = format!("wanctl-real-line-{}-{world}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).expect("directory for the daemon");
        let config = directory.join("wanctl.toml");
        let text = configuration(router, &directory, law, ceiling, floor);
        fs::write(&config, text).expect("configuration");
        let mut command = Command::new(env!("CARGO_BIN_EXE_wanctl"));
        command.args(["run", "--config"]).arg(&config);
        if let Some(kept) = std::env::var_os("WANCTL_RECORDINGS") {
            let name = format!("{world}-{}.wanrec", RECORDED.fetch_add(1, Ordering::Relaxed));
            command.arg("--record").arg(PathBuf::from(kept).join(name));
        }
        Self::launch(line, command, directory)
    }

    /// Starts what `command` says, on the controller's side; the log goes into this directory.
    pub fn launch(line: &RealLine, mut command: Command, directory: PathBuf) -> Self {
        let log = fs::File::create(directory.join("log")).expect("log");
        command.env("WANCTL_ROUTER_PASSWORD", PASSWORD).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let process = line.controller.prepare(&mut command).spawn().expect("wanctl");
        Self { process, directory }
    }

    /// The process that was started.
    #[allow(dead_code, reason = "the test of the image asks for it")]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// Stops it in order; its log.
    pub fn stop(mut self) -> (bool, String) {
        let id = libc::pid_t::try_from(self.process.id()).expect("a process id");
        // SAFETY: plain system call; the process is our child and has not been waited for.
        unsafe { libc::kill(id, libc::SIGTERM) };
        let deadline = Instant::now() + Duration::from_secs(3);
        let mut ended = None;
        while ended.is_none() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
            ended = self.process.try_wait().expect("waiting for the daemon");
        }
        (ended.is_some_and(|status| status.success()), self.log())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// What the test wants of the daemon: a law at its preset, within this range.
pub fn configuration(router: &Router, directory: &std::path::Path, law: &str, ceiling: u64, floor: u64) -> String {
    let mut fingerprint = String::new();
    for byte in router.server.fingerprint().expect("the double speaks TLS") {
        let _ = write!(fingerprint, "{byte:02x}");
    }
    let reflectors = REFLECTORS.map(|r| format!("\"{r}\"")).join(", ");
    format!(
        r#"
[router]
url = "https://{ROUTER_ADDRESS}"
user = "wanctl"
fingerprint = "{fingerprint}"

[state]
directory = "{directory}"

[[wan]]
name = "line"
link = "cable"
law = "{law}"
reflectors = [{reflectors}]
tcp_targets = []
baseline = "20ms"
router_interface = "wan"

[wan.download]
queue = "{download}"
ceiling = {ceiling}
floor = {floor}

[wan.upload]
queue = "{upload}"
ceiling = {ceiling}
floor = {floor}
"#,
        directory = directory.display(),
        download = QUEUES[0].0,
        upload = QUEUES[1].0,
    )
}
