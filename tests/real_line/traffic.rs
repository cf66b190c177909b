//! Load, and an independent look at what it does: bulk TCP with goodput per 100 ms, and a UDP
//! pinger of the test's own.

use super::line::{Direction, RealLine, SERVER_ADDRESS};
use super::netns::check;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

const BULK_PORT: u16 = 5001;
const PING_PORT: u16 = 5002;

/// Between two looks at the bytes that arrived.
pub const TICK: Duration = Duration::from_millis(100);

/// Between two pings.
const PING_PACE: Duration = Duration::from_millis(20);

/// No thread waits longer than this before it looks whether to stop.
const PATIENCE: Duration = Duration::from_millis(200);

/// How long answers are waited for when the last ping was sent.
const LAST_CALL: Duration = Duration::from_millis(1500);

/// What the threads of a run share.
#[derive(Default)]
pub struct Control {
    received: AtomicU64,
    load_over: AtomicBool,
    pings_over: AtomicBool,
    servers_over: AtomicBool,
}

impl Control {
    /// No more load.
    pub fn end_load(&self) {
        self.load_over.store(true, Ordering::Relaxed);
    }

    /// No more pings; takes as long as the last may need to come back.
    pub fn end_pings(&self) {
        self.pings_over.store(true, Ordering::Relaxed);
        thread::sleep(LAST_CALL);
        self.servers_over.store(true, Ordering::Relaxed);
    }

    /// All bytes that arrived so far.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

/// Ends everything when a scenario fails half way, so that its threads can be joined.
pub struct EndOnDrop<'a>(pub &'a Control);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        for flag in [&self.0.load_over, &self.0.pings_over, &self.0.servers_over] {
            flag.store(true, Ordering::Relaxed);
        }
    }
}

/// One ping: when it was sent, and when it was back.
#[derive(Clone, Copy, Debug)]
pub struct Ping {
    pub sent: Instant,
    pub rtt: Option<Duration>,
}

/// Starts `flows` transfers in one direction between client and server.
pub fn load<'scope>(
    scope: &'scope Scope<'scope, '_>,
    line: &RealLine,
    direction: Direction,
    flows: usize,
    control: &'scope Control,
) {
    let listener = line.server.within(|| TcpListener::bind((SERVER_ADDRESS, BULK_PORT))).expect("port for the load");
    line.server.spawn_scoped(scope, move || {
        thread::scope(|inner| {
            for stream in listener.incoming().take(flows).flatten() {
                inner.spawn(move || transfer(stream, direction == Direction::Download, control));
            }
        });
    });
    for _ in 0..flows {
        line.client.spawn_scoped(scope, move || {
            let stream = TcpStream::connect((SERVER_ADDRESS, BULK_PORT)).expect("connection for the load");
            transfer(stream, direction == Direction::Upload, control);
        });
    }
}

fn transfer(mut stream: TcpStream, sends: bool, control: &Control) {
    let patient = [stream.set_read_timeout(Some(PATIENCE)), stream.set_write_timeout(Some(PATIENCE))];
    assert!(patient.iter().all(Result::is_ok), "socket time-outs");
    use_cubic(&stream).expect("congestion control cubic");
    let mut buffer = vec![0; 64 * 1024];
    while !control.load_over.load(Ordering::Relaxed) {
        let moved = if sends { stream.write(&buffer) } else { stream.read(&mut buffer) };
        match moved {
            Ok(0) => return,
            Ok(n) if !sends => {
                control.received.fetch_add(n as u64, Ordering::Relaxed);
            }
            Err(e) if !is_timeout(&e) => return,
            _ => {}
        }
    }
}

/// The sender everybody has, whatever this machine's default is. (A namespace's own default can't
/// be set to one that the machine restricts.)
fn use_cubic(stream: &TcpStream) -> io::Result<()> {
    let name = b"cubic";
    let length = libc::socklen_t::try_from(name.len()).expect("five");
    // SAFETY: the option takes bytes of the length given; they live for the call.
    check(unsafe {
        libc::setsockopt(stream.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_CONGESTION, name.as_ptr().cast(), length)
    })
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Starts to ping the server from the client, through everything the client's traffic passes.
pub fn ping<'scope>(
    scope: &'scope Scope<'scope, '_>,
    line: &RealLine,
    control: &'scope Control,
) -> ScopedJoinHandle<'scope, Vec<Ping>> {
    let server = line.server.within(|| UdpSocket::bind((SERVER_ADDRESS, PING_PORT))).expect("port for pings");
    server.set_read_timeout(Some(PATIENCE)).expect("socket time-out");
    scope.spawn(move || {
        let mut buffer = [0; 64];
        while !control.servers_over.load(Ordering::Relaxed) {
            if let Ok((length, from)) = server.recv_from(&mut buffer) {
                let _ = server.send_to(&buffer[..length], from);
            }
        }
    });
    let socket = line.client.within(|| UdpSocket::bind(("0.0.0.0", 0))).expect("socket for pings");
    socket.connect((SERVER_ADDRESS, PING_PORT)).expect("route to the server");
    socket.set_read_timeout(Some(PATIENCE)).expect("socket time-out");
    scope.spawn(move || {
        thread::scope(|inner| {
            let answers = inner.spawn(|| listen(&socket, control));
            let sent = send(&socket, control);
            let answers = answers.join().expect("the listener of pings");
            let mut pings: Vec<_> = sent.into_iter().map(|sent| Ping { sent, rtt: None }).collect();
            for (number, at) in answers {
                if let Some(ping) = pings.get_mut(number) {
                    ping.rtt.get_or_insert(at - ping.sent);
                }
            }
            pings
        })
    })
}

fn send(socket: &UdpSocket, control: &Control) -> Vec<Instant> {
    let mut sent = Vec::new();
    let mut next = Instant::now();
    while !control.pings_over.load(Ordering::Relaxed) {
        let number = (sent.len() as u64).to_be_bytes();
        sent.push(Instant::now());
        let _ = socket.send(&number);
        next += PING_PACE;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    sent
}

fn listen(socket: &UdpSocket, control: &Control) -> Vec<(usize, Instant)> {
    let mut answers = Vec::new();
    let mut buffer = [0; 8];
    while !control.servers_over.load(Ordering::Relaxed) {
        if let Ok(8) = socket.recv(&mut buffer) {
            let number = usize::try_from(u64::from_be_bytes(buffer)).unwrap_or(usize::MAX);
            answers.push((number, Instant::now()));
        }
    }
    answers
}
