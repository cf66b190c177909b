//! Two hundred hostile connections at once, on real sockets, for seconds: the control goes on as if they were not there.

use super::house::{House, PATIENCE, Program, Wishes, until};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How many connections are kept up.
const CLIENTS: usize = 200;

/// Threads that keep them.
const THREADS: usize = 4;

const STORM: Duration = Duration::from_secs(6);

/// Of the storm, until memory is first looked at.
const FIRST: Duration = Duration::from_secs(1);

/// Bounds on the growth of memory over the rest of the storm, KiB.
const GROWTH: u64 = 512;

/// Length of a cycle, the default.
const CYCLE: Duration = Duration::from_millis(50);

/// What a client is up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Silent,
    /// A byte of a request each 100 ms.
    Slow,
    /// Valid requests one after the other, and no answer is ever read.
    Flood,
    /// Answers are read byte by byte.
    Sip,
    /// Headers of 64 kB.
    Oversized,
    /// Not HTTP, or not quite.
    Garbage,
    /// Comes and goes.
    Churn,
}

const MOODS: [Mood; 7] =
    [Mood::Silent, Mood::Slow, Mood::Flood, Mood::Sip, Mood::Oversized, Mood::Garbage, Mood::Churn];

/// xorshift64*.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[usize::try_from(self.next() >> 33).unwrap_or(0) % choices.len()]
    }
}

/// What the crowd did.
#[derive(Default)]
struct Told {
    connected: AtomicU64,
    refused: AtomicU64,
    ended: AtomicU64,
    sent: AtomicU64,
    heard: AtomicU64,
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}

struct Client {
    mood: Mood,
    stream: Option<TcpStream>,
    /// What it says over and over, or once.
    words: Vec<u8>,
    at: usize,
    next: Instant,
    /// When it has had enough, and comes back as another.
    leaves: Instant,
}

impl Client {
    fn new(mood: Mood) -> Self {
        let now = Instant::now();
        Self { mood, stream: None, words: Vec::new(), at: 0, next: now, leaves: now }
    }

    fn connect(&mut self, to: SocketAddr, chance: &mut Chance, told: &Told) {
        let Ok(stream) = TcpStream::connect_timeout(&to, Duration::from_millis(5)) else {
            add(&told.refused, 1);
            self.next = Instant::now() + Duration::from_millis(300);
            return;
        };
        stream.set_nonblocking(true).expect("a socket");
        add(&told.connected, 1);
        self.at = 0;
        self.leaves = Instant::now() + Duration::from_millis(200 + chance.next() % 3_000);
        self.words = match self.mood {
            Mood::Silent | Mood::Churn => Vec::new(),
            Mood::Slow => b"GET /status HTTP/1.1\r\nHost: wanctl.example\r\nX-Patience: ".repeat(2),
            Mood::Flood => chance
                .of::<[u8]>(&[
                    b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
                    b"GET /history?tier=cycles HTTP/1.1\r\nHost: x\r\n\r\n",
                    b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n",
                ])
                .repeat(40),
            Mood::Sip => chance
                .of::<[u8]>(&[
                    b"GET /history?tier=cycles&format=json HTTP/1.1\r\nHost: x\r\n\r\n",
                    b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n",
                ])
                .to_vec(),
            Mood::Oversized => {
                let mut words = b"GET /status HTTP/1.1\r\nHost: x\r\nX-Long: ".to_vec();
                words.resize(65_536, b'a');
                words.extend_from_slice(b"\r\n\r\n");
                words
            }
            Mood::Garbage => match chance.next() >> 62 {
                0 => (0..4096).map(|_| chance.next().to_le_bytes()[7]).collect(),
                1 => b"BREW /status HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
                2 => b"GET /status HTTP/9.7\r\nHost: x\r\n\r\n".to_vec(),
                _ => b"POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n{}".to_vec(),
            },
        };
        self.stream = Some(stream);
    }

    /// One step of its mischief.
    fn step(&mut self, to: SocketAddr, chance: &mut Chance, told: &Told) {
        if self.next > Instant::now() {
            return;
        }
        if self.stream.is_none() {
            self.connect(to, chance, told);
        }
        let Some(stream) = &mut self.stream else { return };
        let mut pause = Duration::from_millis(20);
        // Those who want most have the most patience.
        let mut is_over = !matches!(self.mood, Mood::Flood | Mood::Sip) && Instant::now() >= self.leaves;
        if self.at < self.words.len() {
            let most = if self.mood == Mood::Slow { 1 } else { self.words.len() };
            let end = self.words.len().min(self.at + most);
            match stream.write(&self.words[self.at..end]) {
                Ok(count) => {
                    add(&told.sent, count);
                    self.at += count;
                }
                Err(e) => is_over |= e.kind() != ErrorKind::WouldBlock,
            }
        } else if self.mood == Mood::Flood {
            self.at = 0;
        }
        match self.mood {
            Mood::Slow => pause = Duration::from_millis(100),
            Mood::Churn => is_over = true,
            // Neither ever reads what it is told.
            Mood::Flood | Mood::Silent => {}
            Mood::Sip | Mood::Oversized | Mood::Garbage => pause = Duration::from_millis(5),
        }
        if !matches!(self.mood, Mood::Flood | Mood::Churn) {
            match stream.read(&mut [0]) {
                Ok(0) => is_over = true,
                Ok(count) => add(&told.heard, count),
                Err(e) => is_over |= e.kind() != ErrorKind::WouldBlock,
            }
        }
        if is_over {
            add(&told.ended, 1);
            self.stream = None;
        }
        self.next = Instant::now() + pause;
    }
}

/// Keeps up its part of the crowd until it is over.
fn mob(to: SocketAddr, seed: u64, part: usize, over: &AtomicBool, told: &Told) {
    let mut chance = Chance(seed ^ (part as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut clients: Vec<Client> =
        (part..CLIENTS).step_by(THREADS).map(|i| Client::new(MOODS[i % MOODS.len()])).collect();
    while !over.load(Ordering::Relaxed) {
        for client in &mut clients {
            client.step(to, &mut chance, told);
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// The answer to a polite client that asks once.
fn ask(to: SocketAddr, path: &str) -> Option<String> {
    let patience = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&to, patience).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.starts_with("HTTP/1.1 200 ").then_some(answer)
}

/// A figure of the process, KiB.
fn memory(program: &Program, key: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", program.id())).expect("it lives");
    let value = status.lines().find_map(|l| l.strip_prefix(key)?.split_whitespace().next()?.parse().ok());
    value.unwrap_or_else(|| panic!("no {key} in\n{status}"))
}

/// Cycles missed, and of how many, from the report that SIGUSR1 gives: the crowd has the endpoint.
fn cycles(program: &Program) -> [u64; 2] {
    let report = program.report();
    let of = |what: &str| -> Option<Vec<u64>> {
        let words = report.split(what).next()?.rsplit(", ").next()?;
        words.split(" of ").map(|n| n.trim().parse().ok()).collect()
    };
    of(" cycles missed").and_then(|n| n.try_into().ok()).unwrap_or_else(|| panic!("no cycles in {report}"))
}

#[test]
fn a_crowd_of_two_hundred_changes_nothing_for_the_control() {
    let house = House::new("crowd");
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).map(|a| a.port()).expect("a port");
    let to = SocketAddr::from(([127, 0, 0, 1], port));
    let mut program = house.start(&Wishes { port: Some(port), ..Wishes::default() });
    house.until_limits(&program, "40000000");
    until("ready", PATIENCE, || ask(to, "/health"));
    let seed = std::env::var("WANCTL_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_260_401_u64);
    let [calm, calm_anonymous] = ["VmRSS:", "RssAnon:"].map(|key| memory(&program, key));
    let (writes, [missed_calm, _]) = (house.writes(), cycles(&program));
    let (over, told) = (AtomicBool::new(false), Told::default());
    let (before, after, took, first, last) = thread::scope(|scope| {
        for part in 0..THREADS {
            let (over, told) = (&over, &told);
            scope.spawn(move || mob(to, seed, part, over, told));
        }
        thread::sleep(FIRST);
        let first = ["VmRSS:", "RssAnon:"].map(|key| memory(&program, key));
        let (before, began) = (cycles(&program), Instant::now());
        thread::sleep(STORM.saturating_sub(FIRST));
        let (took, after) = (began.elapsed(), cycles(&program));
        let last = ["VmRSS:", "RssAnon:"].map(|key| memory(&program, key));
        over.store(true, Ordering::Relaxed);
        (before, after, took, first, last)
    });
    let ended = Instant::now();
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (missed, made) = (after[0] - before[0], after[1] - before[1]);
    eprintln!(
        "seed {seed}: {} connections, {} refused, {} ended, {} bytes sent, {} heard\n\
         RSS {calm} KiB before, {} after a second, {} at the end; anonymous {calm_anonymous}, {}, {}\n\
         {made} cycles in {took:?}, {missed} missed, {} more in the first second, {missed_calm} before it all; {} writes to the router",
        count(&told.connected),
        count(&told.refused),
        count(&told.ended),
        count(&told.sent),
        count(&told.heard),
        first[0],
        last[0],
        first[1],
        last[1],
        before[0] - missed_calm,
        house.writes() - writes,
    );
    // Those who wait in the kernel's queue, though they have gone, are let in and shed first.
    for path in ["/health", "/status"] {
        until(path, PATIENCE, || ask(to, path));
    }
    let lateness = program.log().lines().rfind(|l| l.contains("they began")).map(str::to_owned);
    eprintln!("since the start: {}", lateness.as_deref().unwrap_or("no lateness in the log"));
    eprintln!("a polite client had both answers {:?} after the storm", ended.elapsed());
    assert!(count(&told.connected) >= CLIENTS as u64 / 2, "no crowd");
    for (first, last) in first.into_iter().zip(last) {
        assert!(last < first + GROWTH, "memory grew from {first} to {last} KiB");
    }
    assert_eq!(house.writes(), writes, "writes to the router: {}", program.log());
    assert_eq!(house.limits(), ["40000000"; 2].map(str::to_owned));
    let possible = u64::try_from(took.as_millis() / CYCLE.as_millis()).expect("a few");
    assert!(made >= possible / 2, "{made} cycles of {possible}");
    let log = program.log();
    assert!(!log.contains("panic") && !log.contains(" ERROR "), "{log}");
    program.stop(libc::SIGTERM);
}
