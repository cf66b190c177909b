//! A world's router on a real socket, in real time: for tests against the real link, and for the
//! demo. Threads and the system clock are allowed here, and only here.

use super::certificate::{Identity, TlsSetup};
use super::router::{Output, SessionId, Write as RouterWrite};
use super::world::{SharedWorld, lock};
use crate::units::{Duration, Instant};
use core::net::SocketAddr;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// How long a thread sleeps at most before it looks at the world again.
const NAP: Duration = Duration::from_millis(10);

/// Real time on the clock of a world: at some moment it was so and so late, and it runs on.
#[derive(Clone, Copy, Debug)]
pub struct LiveClock {
    at: std::time::Instant,
    now: Instant,
}

impl LiveClock {
    /// It is `now`, now.
    #[must_use]
    pub fn starting_at(now: Instant) -> Self {
        Self { at: std::time::Instant::now(), now }
    }

    /// The present on this clock.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now + self.at.elapsed()
    }
}

/// Where and how the server listens.
#[derive(Clone, Debug)]
pub struct ServerSetup {
    /// Where it listens; port 0: any free one.
    pub bind: SocketAddr,
    /// TLS, or plain HTTP.
    pub tls: Option<TlsSetup>,
    /// The clock of the world.
    pub clock: LiveClock,
}

impl ServerSetup {
    /// Plain or TLS on a free port of 127.0.0.1, with a clock that starts at zero.
    #[must_use]
    pub fn local(tls: Option<TlsSetup>) -> Self {
        Self { bind: SocketAddr::from(([127, 0, 0, 1], 0)), tls, clock: LiveClock::starting_at(Instant::ZERO) }
    }
}

/// What is called for every change made over REST: the object's name and its new `max-limit`.
pub type OnWrite = Box<dyn FnMut(&str, Option<&str>) + Send>;

struct Listener {
    /// How many writes it has been told.
    told: u64,
    tell: OnWrite,
}

struct Shared {
    world: SharedWorld,
    clock: LiveClock,
    tls: Option<Arc<ServerConfig>>,
    stop: AtomicBool,
    listener: Option<Mutex<Listener>>,
}

/// A running server. Stops when dropped.
pub struct RouterServer {
    address: SocketAddr,
    fingerprint: Option<[u8; 32]>,
    pem: Option<String>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl RouterServer {
    /// Serves the router of this world.
    ///
    /// # Errors
    /// When the address can't be bound, or no certificate can be made.
    pub fn start(setup: &ServerSetup, world: SharedWorld, on_write: Option<OnWrite>) -> io::Result<Self> {
        let identity = setup.tls.as_ref().map(Identity::new).transpose()?;
        let socket = TcpListener::bind(setup.bind)?;
        socket.set_nonblocking(true)?;
        if let Some(identity) = &identity {
            lock(&world).router.set_fingerprint(&identity.fingerprint);
        }
        let told = lock(&world).router.writes_total();
        let shared = Arc::new(Shared {
            world,
            clock: setup.clock,
            tls: identity.as_ref().map(|i| i.config.clone()),
            stop: AtomicBool::new(false),
            listener: on_write.map(|tell| Mutex::new(Listener { told, tell })),
        });
        let address = socket.local_addr()?;
        let thread = thread::Builder::new().name("router".to_owned()).spawn({
            let shared = shared.clone();
            move || accept(&socket, &shared)
        })?;
        Ok(Self {
            address,
            fingerprint: identity.as_ref().map(|i| i.fingerprint),
            pem: identity.map(|i| i.pem),
            shared,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// SHA-256 of its certificate.
    #[must_use]
    pub const fn fingerprint(&self) -> Option<[u8; 32]> {
        self.fingerprint
    }

    /// What a client has to trust, as PEM: its certificate, or the authority that signed it.
    #[must_use]
    pub fn pem(&self) -> Option<&str> {
        self.pem.as_deref()
    }
}

impl Drop for RouterServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Takes connections until told to stop, each in a thread of its own.
fn accept(socket: &TcpListener, shared: &Arc<Shared>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    while !shared.stop.load(Ordering::Relaxed) {
        shared.look(None);
        threads.retain(|thread| !thread.is_finished());
        let Ok((stream, client)) = socket.accept() else {
            thread::sleep(NAP);
            continue;
        };
        let connected = lock(&shared.world).router.connect_from(shared.clock.now(), client.ip());
        let shared = shared.clone();
        let spawned = thread::Builder::new().name("router-client".to_owned()).spawn(move || match connected {
            Ok(session) => {
                // A connection that breaks is the client's to notice.
                let _ = shared.serve(stream, session);
                lock(&shared.world).router.disconnect(session, shared.clock.now());
            }
            Err(_) => cut(&stream),
        });
        threads.extend(spawned);
    }
    for thread in threads {
        let _ = thread.join();
    }
}

/// Closes with RST.
fn cut(stream: &TcpStream) {
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

impl Shared {
    fn serve(&self, stream: TcpStream, session: SessionId) -> io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(NAP))?;
        stream.set_write_timeout(Some(Duration::from_secs(5)))?;
        match &self.tls {
            None => self.converse(stream, |stream| stream, session),
            Some(config) => {
                let time = lock(&self.world).router.handshake();
                let begin = self.clock.now() + time;
                while self.clock.now() < begin && !self.stop.load(Ordering::Relaxed) {
                    thread::sleep(NAP.min(time));
                }
                let connection = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
                self.converse(StreamOwned::new(connection, stream), |owned| &owned.sock, session)
            }
        }
    }

    /// Carries bytes between a client and its session until one of them ends it.
    fn converse<S: Read + Write>(
        &self,
        mut stream: S,
        socket: impl Fn(&S) -> &TcpStream,
        session: SessionId,
    ) -> io::Result<()> {
        let mut buffer = [0; 16_384];
        while !self.stop.load(Ordering::Relaxed) {
            let (output, pause) = self.look(Some(session));
            for piece in output {
                match piece {
                    Output::Bytes(bytes) => {
                        stream.write_all(&bytes)?;
                        stream.flush()?;
                    }
                    Output::Close => return socket(&stream).shutdown(std::net::Shutdown::Write),
                    Output::Reset => {
                        cut(socket(&stream));
                        return Ok(());
                    }
                }
            }
            socket(&stream).set_read_timeout(Some(pause))?;
            match stream.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(n) => lock(&self.world).router.input(session, self.clock.now(), &buffer[..n]),
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Brings the world to the present, tells the listener, and returns what this session has
    /// to send and how long to sleep.
    fn look(&self, session: Option<SessionId>) -> (Vec<Output>, Duration) {
        let mut output = Vec::new();
        let mut pause = NAP;
        {
            let mut world = lock(&self.world);
            let now = self.clock.now();
            world.advance(now);
            if let Some(session) = session {
                while let Some(piece) = world.router.poll_output(session, now) {
                    output.push(piece);
                }
                if let Some(at) = world.router.next_output_at(session) {
                    pause = at.since(now).clamp(Duration::from_micros(200), NAP);
                }
            }
        }
        self.tell();
        (output, pause)
    }

    fn tell(&self) {
        let Some(listener) = &self.listener else { return };
        let mut listener = listener.lock().unwrap_or_else(PoisonError::into_inner);
        let news: Vec<RouterWrite> = {
            let world = lock(&self.world);
            let fresh = usize::try_from(world.router.writes_total() - listener.told).unwrap_or(usize::MAX);
            listener.told = world.router.writes_total();
            let mut news: Vec<_> = world.router.writes().rev().take(fresh).cloned().collect();
            news.reverse();
            news
        };
        for write in news {
            (listener.tell)(&write.object, write.max_limit.as_deref());
        }
    }
}

#[cfg(test)]
#[path = "tls_server_tests.rs"]
mod tests;
