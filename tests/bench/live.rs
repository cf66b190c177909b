//! The daemon in real time: real ICMP to the kernel's own loopback addresses, a RouterOS double
//! behind real TLS in another thread or process, real files.

use crate::crowd::Crowd;
use crate::figures::{Figures, float, quantile};
use crate::meter::{Cycle, Metered, allocations};
use crate::own::{report, us};
use crate::report::number_before;
use crate::two_wans::{CYCLE, Load, parse, queues, text, world};
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wanctl::config::Config;
use wanctl::daemon::{Daemon, Setup, Store};
use wanctl::observe::http::QUANTUM;
use wanctl_hal::linux::{LinuxBoard, StateDirectory};
use wanctl_hal::sim::{RouterDouble, RouterServer, RouterSetup, ServerSetup, TlsSetup, World};
use wanctl_hal::{Board, LinkTarget, Trust};

/// Who is pinged: all of 127.0.0.0/8 answers, by the kernel.
const REFLECTORS: [[&str; 3]; 2] = [["127.0.0.1", "127.0.0.2", "127.0.0.3"], ["127.0.1.1", "127.0.1.2", "127.0.1.3"]];

/// From where, so that the WANs have different sockets.
const SOURCES: [&str; 2] = ["source = \"127.1.0.1\"", "source = \"127.2.0.1\""];

/// Time for connecting, the first writes and the summary.
const SETTLE: Duration = Duration::from_secs(5);

fn router() -> std::io::Result<RouterServer> {
    let setup = RouterSetup { queues: queues(), ..RouterSetup::default() };
    let world = World::new(RouterDouble::new(setup), Vec::new()).share();
    RouterServer::start(&ServerSetup::local(Some(TlsSetup::default())), world, None)
}

/// The configuration for this router, with its state in `directory`.
fn configuration(server: &RouterServer, directory: &Path) -> String {
    let mut fingerprint = String::new();
    for byte in server.fingerprint().unwrap_or_default() {
        let _ = write!(fingerprint, "{byte:02x}");
    }
    let state = format!("[state]\ndirectory = \"{}\"\n", directory.join("state").display());
    text(
        &format!("https://{}", server.address()),
        &format!("fingerprint = \"{fingerprint}\""),
        &state,
        SOURCES,
        REFLECTORS,
    )
}

/// The daemon in this process, metered, for so many seconds of real time: caches are cold after
/// each sleep, and the machine's part can be told apart.
pub fn metered(figures: &mut Figures, scratch: &Path, seconds: u64) {
    figures.group("own computation per cycle: the same, real time, real sockets and TLS");
    if let Err(why) = try_metered(figures, &scratch.join("metered"), seconds) {
        figures.missing(format!("own computation in real time: {why}"));
    }
}

fn try_metered(figures: &mut Figures, directory: &Path, seconds: u64) -> Result<(), String> {
    let server = router().map_err(|e| e.to_string())?;
    let config = parse(&configuration(&server, directory));
    let trust = Trust::Fingerprint(server.fingerprint().ok_or("no certificate")?);
    let target = LinkTarget { server_name: "127.0.0.1".to_owned(), trust };
    let files = StateDirectory::open(&config.state_directory).map_err(|e| e.to_string())?;
    let inner = LinuxBoard::new(files, &target).map_err(|e| e.to_string())?;
    let mut board = Metered::new(inner, CYCLE, usize::try_from(seconds * 20 + 20).unwrap_or(0));
    let mut store = Store::default();
    let restored = store.load_state(&mut board);
    let reloader = Box::new(|_: &Config| Err(1));
    let setup = Setup { board, config, router: server.address(), reloader, store, restored };
    let mut d = Daemon::new(setup).map_err(|e| e.to_string())?;
    let settled = d.board().clock().now + SETTLE;
    d.run_until(settled);
    d.board().clear();
    let (own, board) = allocations(|| {
        let until = d.board().clock().now + Duration::from_secs(seconds);
        d.run_until(until);
    });
    let quality = d.wans().iter().all(|w| w.last.is_some_and(|(sample, _)| sample.fresh == 3));
    if !quality {
        return Err("the reflectors on loopback did not answer".to_owned());
    }
    let record = &mut d.board().record;
    let cycles = float(record.cycles.len().max(1) as u64);
    let mut machine: Vec<u64> = record.cycles.iter().map(|c| c.board).collect();
    let quiet: Vec<&Cycle> = record.cycles.iter().filter(|c| c.requests == 0).collect();
    let quiet = float(quiet.len() as u64);
    report(figures, record);
    figures.tell("beside it: system calls and TLS, median", us(quantile(&mut machine, 500)), "us");
    figures.tell("beside it: system calls and TLS, 99 %", us(quantile(&mut machine, 990)), "us");
    figures.tell("cycles without a request begun", quiet / cycles * 100.0, "%");
    figures.judge("heap allocations of the daemon's own", float(own) / cycles, "per cycle", 0.0);
    let requests = float(record.requests.len().max(1) as u64);
    figures.tell("heap allocations of the board (TLS)", float(board) / requests, "per request");
    Ok(())
}

/// `wanctl run` as it is shipped, as a process of its own.
pub fn program(figures: &mut Figures, scratch: &Path, binary: &Path, seconds: u64, case: &Case) {
    let name = binary.display().to_string();
    if let Err(why) = try_program(figures, scratch, binary, seconds, case) {
        figures.missing(format!("{name} in real time: {why}"));
    }
}

fn try_program(figures: &mut Figures, scratch: &Path, binary: &Path, seconds: u64, case: &Case) -> Result<(), String> {
    let server = router().map_err(|e| e.to_string())?;
    let mut running = Running::start(&server, scratch, binary, case)?;
    let watcher = case.is_watched.then(Watcher::start);
    thread::sleep(SETTLE);
    let (from, began) = (running.spent()?, Instant::now());
    thread::sleep(Duration::from_secs(seconds));
    let (to, took) = (running.spent()?, began.elapsed().as_secs_f64());
    let log = running.report()?;
    let share = |i: usize| (to[i] - from[i]) / took * 100.0;
    figures.judge(format!("CPU share of one core over {took:.0} s"), share(0), "%", 1.0);
    figures.tell("user, by ticks of 10 ms", share(1), "%");
    figures.tell("system, by ticks of 10 ms", share(2), "%");
    figures.tell("times it went to sleep", (to[3] - from[3]) / took, "per second");
    let us = |what: &str| number_before(&log, what).map(float).ok_or_else(|| format!("no lateness in its log:\n{log}"));
    figures.tell("lateness of wake-up since the start, median", us(" us late (median)")? / 1e3, "ms");
    figures.judge("lateness of wake-up since the start, 99 %", us(" us (99 %)")? / 1e3, "ms", 1.0);
    figures.tell("lateness of wake-up since the start, longest", us(" us (longest)")? / 1e3, "ms");
    figures.tell("cycles", us(" cycles, ")?, "");
    figures.judge("cycles missed", us(" missed; they")?, "", 0.0);
    figures.judge("connections", us(" connections, ")?, "", 1.0);
    figures.judge("TLS handshakes", us(" handshakes, ")?, "", 1.0);
    let memory = |key: &str| running.status(key).map(|kib| kib / 1024.0);
    // 4 MiB without history, 6 with; promised of what is shipped.
    match case.goal {
        Some(goal) => figures.judge("RSS", memory("VmRSS:")?, "MiB", goal),
        None => figures.tell("RSS", memory("VmRSS:")?, "MiB"),
    }
    figures.tell("of it the program's file", memory("RssFile:")?, "MiB");
    figures.tell("of it anonymous", memory("RssAnon:")?, "MiB");
    figures.tell("highest RSS", memory("VmHWM:")?, "MiB");
    figures.tell("threads", running.status("Threads:")?, "");
    if let Some(watcher) = watcher {
        figures.tell("answers to the page and the scraper", watcher.end(), "");
    }
    Ok(())
}

/// Where the programs let others look in.
const LISTEN: &str = "127.0.0.1:9179";

/// How a program is run.
pub struct Case {
    pub history: &'static str,
    /// A page is open, and a scraper comes every five seconds.
    pub is_watched: bool,
    /// Of its memory, MiB.
    pub goal: Option<f64>,
    /// Length of its cycle.
    pub cycle: Duration,
}

/// What an open page asks for every second, and Prometheus every five.
struct Watcher {
    over: Arc<AtomicBool>,
    thread: thread::JoinHandle<u32>,
}

impl Watcher {
    fn start() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let watched = Arc::clone(&over);
        let thread = thread::spawn(move || {
            let mut answers = 0;
            // It may still be starting.
            let Some(mut stream) = (0..50).find_map(|_| {
                thread::sleep(Duration::from_millis(100));
                TcpStream::connect(LISTEN).ok()
            }) else {
                return 0;
            };
            let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
            for second in 0.. {
                if watched.load(Ordering::Relaxed) {
                    break;
                }
                for (path, every) in [
                    ("/status", 1),
                    ("/history?tier=seconds&format=json&last=4&wan=0", 1),
                    ("/history?tier=seconds&format=json&last=4&wan=1", 1),
                    ("/events", 1),
                    ("/metrics", 5),
                ] {
                    answers += u32::from(second % every == 0 && look(&mut stream, path).is_ok_and(|bytes| bytes > 100));
                }
                thread::sleep(Duration::from_secs(1));
            }
            answers
        });
        Self { over, thread }
    }

    fn end(self) -> f64 {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().map_or(0.0, f64::from)
    }
}

/// One request over a connection that stays, as of a browser; how many bytes came.
fn look(stream: &mut TcpStream, path: &str) -> std::io::Result<usize> {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {LISTEN}\r\nConnection: keep-alive\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut bytes = [0; 16_384];
    while !answer.ends_with(b"\r\n0\r\n\r\n") {
        let count = stream.read(&mut bytes)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(&bytes[..count]);
    }
    Ok(answer.len())
}

/// A running `wanctl run`; killed when dropped.
struct Running {
    process: Child,
    log: PathBuf,
}

impl Running {
    fn start(server: &RouterServer, scratch: &Path, binary: &Path, case: &Case) -> Result<Self, String> {
        Self::start_at(server, scratch, binary, case, LISTEN)
    }

    fn start_at(
        server: &RouterServer,
        scratch: &Path,
        binary: &Path,
        case: &Case,
        listen: &str,
    ) -> Result<Self, String> {
        let directory =
            scratch.join(binary.components().rev().nth(1).map_or_else(|| "x".into(), |c| c.as_os_str().to_owned()));
        let io = |e: std::io::Error| e.to_string();
        fs::create_dir_all(&directory).map_err(io)?;
        let (file, log) = (directory.join("wanctl.toml"), directory.join("log"));
        let observe = format!("\n[observe]\nlisten = \"{listen}\"\nhistory = \"{}\"\n", case.history);
        let cycle = format!("cycle = \"{}ms\"", case.cycle.as_millis());
        let text = configuration(server, &directory).replace("cycle = \"50ms\"", &cycle);
        fs::write(&file, text + &observe).map_err(io)?;
        let mut command = Command::new(binary);
        command.args(["run", "--config"]).arg(&file).env("WANCTL_ROUTER_PASSWORD", "secret");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log).map_err(io)?);
        Ok(Self { process: command.spawn().map_err(io)?, log })
    }

    fn proc(&self, name: &str) -> Result<String, String> {
        fs::read_to_string(format!("/proc/{}/{name}", self.process.id())).map_err(|e| {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            format!("it is not running any more ({e}); its log:\n{log}")
        })
    }

    /// Seconds on a core by the scheduler's clock; of user and system time, by ticks; and how often
    /// it went to sleep.
    fn spent(&self) -> Result<[f64; 4], String> {
        let (scheduled, stat) = (self.proc("schedstat")?, self.proc("stat")?);
        // Behind the name in brackets, which may hold anything, utime and stime are the 12th and
        // 13th field, in ticks of 10 ms.
        let behind = stat.rsplit(')').next().unwrap_or_default();
        let field = |text: &str, n: usize| text.split_whitespace().nth(n).and_then(|f| f.parse::<f64>().ok());
        let core = field(&scheduled, 0).ok_or("schedstat is empty")? / 1e9;
        let [user, system] = [11, 12].map(|n| field(behind, n).unwrap_or(f64::NAN) / 100.0);
        Ok([core, user, system, self.status("voluntary_ctxt_switches:")?])
    }

    /// Its share of one core in so many seconds from now on (%).
    fn share(&self, seconds: u64) -> Result<f64, String> {
        let (from, began) = (self.spent()?[0], Instant::now());
        thread::sleep(Duration::from_secs(seconds));
        Ok((self.spent()?[0] - from) / began.elapsed().as_secs_f64() * 100.0)
    }

    /// A number of `/proc/PID/status`.
    fn status(&self, key: &str) -> Result<f64, String> {
        let text = self.proc("status")?;
        let value = text.lines().find_map(|l| l.strip_prefix(key)?.split_whitespace().next()?.parse().ok());
        value.ok_or_else(|| format!("no {key} in its status"))
    }

    /// Its own report, by SIGUSR1.
    fn report(&mut self) -> Result<String, String> {
        let id = libc::pid_t::try_from(self.process.id()).map_err(|e| e.to_string())?;
        // SAFETY: plain system call; the process is our child and has not been waited for.
        unsafe { libc::kill(id, libc::SIGUSR1) };
        thread::sleep(Duration::from_millis(500));
        fs::read_to_string(&self.log).map_err(|e| e.to_string())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What differs from minute to minute, as the speed of a shared host does, is measured in so many pairs of runs.
const PAIRS: u64 = 5;

/// What a page that is open and a scraper cost, in pairs of runs without and with them.
pub fn watched(figures: &mut Figures, scratch: &Path, binary: &Path, seconds: u64) {
    figures.group("a page open and a scrape every 5 s, without and with them in pairs");
    match (0..PAIRS).map(|_| watched_pair(scratch, binary, seconds)).collect::<Result<Vec<_>, _>>() {
        Ok(pairs) => {
            let middle = |of: fn(&[f64; 2]) -> f64| middle(pairs.iter().map(of).collect());
            figures.tell(format!("CPU share of one core, alone (middle of {PAIRS})"), middle(|p| p[0]), "%");
            figures.tell(format!("CPU share of one core, watched (middle of {PAIRS})"), middle(|p| p[1]), "%");
            figures.judge("more CPU, middle of the pairs", middle(|p| (p[1] / p[0] - 1.0) * 100.0), "%", 10.0);
        }
        Err(why) => figures.missing(format!("what it costs to be watched: {why}")),
    }
}

/// Shares of a core, alone and watched.
fn watched_pair(scratch: &Path, binary: &Path, seconds: u64) -> Result<[f64; 2], String> {
    let mut shares = [0.0; 2];
    for (is_watched, share) in [false, true].into_iter().zip(&mut shares) {
        let server = router().map_err(|e| e.to_string())?;
        let case = Case { history: "small", is_watched, goal: None, cycle: CYCLE };
        let running = Running::start(&server, scratch, binary, &case)?;
        let watcher = is_watched.then(Watcher::start);
        thread::sleep(SETTLE);
        *share = running.share(seconds)?;
        if watcher.is_some_and(|watcher| watcher.end() < 1.0) {
            return Err("the page and the scraper had no answer".to_owned());
        }
    }
    Ok(shares)
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What one run under a crowd showed: lateness of the wake-ups at the median and 99 %, ms; cycles missed; share of a core.
type Stormed = [f64; 4];

/// The same under two hundred hostile clients, who cost the machine whatever they do: so runs come in pairs, once with the
/// crowd before a port where nobody takes anybody in, and once before ours.
pub fn stormed(figures: &mut Figures, scratch: &Path, binary: &Path, seconds: u64) {
    figures.group("200 hostile clients, at another port (a socket nobody serves) and at ours, in pairs");
    if let Err(why) = try_stormed(figures, scratch, binary, seconds) {
        figures.missing(format!("lateness under hostile clients: {why}"));
    }
}

fn try_stormed(figures: &mut Figures, scratch: &Path, binary: &Path, seconds: u64) -> Result<(), String> {
    let nobody = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let deaf = nobody.local_addr().map_err(|e| e.to_string())?;
    let ours: SocketAddr = LISTEN.parse().map_err(|_| "no address")?;
    let (mut elsewhere, mut here, mut most) = (Vec::new(), Vec::new(), 0.0_f64);
    for pair in 0..PAIRS {
        for (at, runs) in [(deaf, &mut elsewhere), (ours, &mut here)] {
            let (run, bytes) = storm(scratch, binary, at, pair, seconds)?;
            runs.push(run);
            most = most.max(bytes);
        }
    }
    let middle = |runs: &[Stormed], i: usize| middle(runs.iter().map(|run| run[i]).collect());
    for (i, (what, unit)) in
        [("lateness, median", "ms"), ("lateness, 99 %", "ms"), ("cycles missed", ""), ("CPU share of one core", "%")]
            .into_iter()
            .enumerate()
    {
        figures.tell(format!("{what}, at another port (middle of {PAIRS})"), middle(&elsewhere, i), unit);
        figures.tell(format!("{what}, at ours (middle of {PAIRS})"), middle(&here, i), unit);
    }
    // Bins of an eighth; and a twentieth of a millisecond is a thousandth of a cycle.
    let more = middle(&here, 1) - middle(&elsewhere, 1);
    figures.judge("more lateness at 99 % than with the crowd elsewhere", more, "ms", 0.05);
    figures.judge("bytes moved in one wake-up, most", most, "", float(QUANTUM as u64));
    Ok(())
}

fn storm(scratch: &Path, binary: &Path, at: SocketAddr, seed: u64, seconds: u64) -> Result<(Stormed, f64), String> {
    let server = router().map_err(|e| e.to_string())?;
    let case = Case { history: "small", is_watched: false, goal: None, cycle: CYCLE };
    let mut running = Running::start(&server, scratch, binary, &case)?;
    thread::sleep(SETTLE);
    let crowd = Crowd::start(at, seed + 1);
    let share = running.share(seconds)?;
    let log = running.report()?;
    crowd.end();
    let number = |what: &str| {
        number_before(&log, what).map(float).ok_or_else(|| format!("nothing before {what} in its log:\n{log}"))
    };
    let run = [number(" us late (median)")? / 1e3, number(" us (99 %)")? / 1e3, number(" missed; they")?, share];
    Ok((run, number(" bytes at most in one wake-up")?))
}

/// Time between two looks at how far it is.
const LOOK: Duration = Duration::from_secs(5);

/// `wanctl run` until it has made so many cycles, then what `wanctl profile` says of it (docs/profiling.md): two lines
/// that carry a steady stream by the router's counters, so that all three probes of every cycle are sent and the
/// router is read twice a second; all sockets and TLS are real, traffic and replies are of this machine.
pub fn profile(scratch: &Path, binary: &Path, cycles: u64, cycle: Duration) -> Result<String, String> {
    let server = RouterServer::start(&ServerSetup::local(Some(TlsSetup::default())), world(Load::Steady), None);
    let server = server.map_err(|e| e.to_string())?;
    let case = Case { history: "small", is_watched: false, goal: None, cycle };
    let listen = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).map_err(|e| e.to_string())?;
    let running = Running::start_at(&server, scratch, binary, &case, &listen.to_string())?;
    let ask = |form: &[&str]| {
        let mut command = Command::new(binary);
        let output = command.args(["profile", "--url"]).arg(format!("http://{listen}")).args(form).output();
        output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).map_err(|e| e.to_string())
    };
    loop {
        running.proc("status")?;
        thread::sleep(LOOK);
        let status: serde_json::Value = serde_json::from_str(&ask(&["--json"])?).unwrap_or_default();
        if status["loop"]["cycles"].as_u64().is_some_and(|made| made >= cycles) {
            let spent = running.spent()?[0] / status["uptime_s"].as_f64().unwrap_or(f64::NAN) * 100.0;
            return Ok(format!("{}\n{spent:.1} % of one core\n\n{}", ask(&[])?, ask(&["--json"])?));
        }
    }
}
