//! Two hundred hostile clients on real sockets, for the tests and the bench.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wanctl_hal::sim::Rng;

/// How many connections are kept up.
pub const CLIENTS: usize = 200;

/// Threads that keep them.
const THREADS: usize = 4;

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

/// One of them.
fn one_of<'a, T: ?Sized>(rng: &mut Rng, choices: &[&'a T]) -> &'a T {
    choices[usize::try_from(rng.bits() >> 33).unwrap_or(0) % choices.len()]
}

/// What the crowd did.
#[derive(Debug, Default)]
pub struct Told {
    pub connected: AtomicU64,
    pub refused: AtomicU64,
    pub ended: AtomicU64,
    pub sent: AtomicU64,
    pub heard: AtomicU64,
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

    fn connect(&mut self, to: SocketAddr, rng: &mut Rng, told: &Told) {
        let Ok(stream) = TcpStream::connect_timeout(&to, Duration::from_millis(5)) else {
            add(&told.refused, 1);
            self.next = Instant::now() + Duration::from_millis(300);
            return;
        };
        stream.set_nonblocking(true).expect("a socket");
        add(&told.connected, 1);
        self.at = 0;
        self.leaves = Instant::now() + Duration::from_millis(200 + rng.bits() % 3_000);
        self.words = match self.mood {
            Mood::Silent | Mood::Churn => Vec::new(),
            Mood::Slow => b"GET /status HTTP/1.1\r\nHost: wanctl.example\r\nX-Patience: ".repeat(2),
            Mood::Flood => one_of::<[u8]>(
                rng,
                &[
                    b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
                    b"GET /history?tier=cycles HTTP/1.1\r\nHost: x\r\n\r\n",
                    b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n",
                ],
            )
            .repeat(40),
            Mood::Sip => one_of::<[u8]>(
                rng,
                &[
                    b"GET /history?tier=cycles&format=json HTTP/1.1\r\nHost: x\r\n\r\n",
                    b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n",
                ],
            )
            .to_vec(),
            Mood::Oversized => {
                let mut words = b"GET /status HTTP/1.1\r\nHost: x\r\nX-Long: ".to_vec();
                words.resize(65_536, b'a');
                words.extend_from_slice(b"\r\n\r\n");
                words
            }
            Mood::Garbage => match rng.bits() >> 62 {
                0 => (0..4096).map(|_| rng.bits().to_le_bytes()[7]).collect(),
                1 => b"BREW /status HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
                2 => b"GET /status HTTP/9.7\r\nHost: x\r\n\r\n".to_vec(),
                _ => b"POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n{}".to_vec(),
            },
        };
        self.stream = Some(stream);
    }

    /// One step of its mischief.
    fn step(&mut self, to: SocketAddr, rng: &mut Rng, told: &Told) {
        if self.next > Instant::now() {
            return;
        }
        if self.stream.is_none() {
            self.connect(to, rng, told);
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
    let mut rng = Rng::new(seed ^ (part as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut clients: Vec<Client> =
        (part..CLIENTS).step_by(THREADS).map(|i| Client::new(MOODS[i % MOODS.len()])).collect();
    while !over.load(Ordering::Relaxed) {
        for client in &mut clients {
            client.step(to, &mut rng, told);
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// A crowd before one address.
pub struct Crowd {
    over: Arc<AtomicBool>,
    told: Arc<Told>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Crowd {
    /// It gathers; `seed` settles who does what.
    pub fn start(to: SocketAddr, seed: u64) -> Self {
        let (over, told) = (Arc::new(AtomicBool::new(false)), Arc::new(Told::default()));
        let threads = (0..THREADS).map(|part| {
            let (over, told) = (Arc::clone(&over), Arc::clone(&told));
            thread::spawn(move || mob(to, seed, part, &over, &told))
        });
        let threads = threads.collect();
        Self { over, told, threads }
    }

    /// It goes home.
    pub fn end(self) -> Arc<Told> {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("it ends by itself");
        }
        self.told
    }
}
