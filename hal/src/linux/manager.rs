//! What is told to the service manager that started us: systemd's protocol, a datagram for each
//! piece of news. Nothing here waits, and nothing is lost when nobody listens.

use super::sys;
use crate::board::Notice;
use crate::units::{Duration, Instant};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The way to the service manager.
#[derive(Debug)]
pub(super) struct Manager {
    socket: UnixDatagram,
    /// Time between two signs of life; `None` when it wants none.
    every: Option<Duration>,
    next: Instant,
}

impl Manager {
    /// The manager that the environment names, if there is one.
    pub(super) fn from_environment() -> Option<Self> {
        let text = |name| std::env::var(name).ok();
        let path = text("NOTIFY_SOCKET")?;
        let address = match path.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(&path),
        };
        let socket = UnixDatagram::unbound().ok()?;
        socket.set_nonblocking(true).ok()?;
        socket.connect_addr(&address.ok()?).ok()?;
        let is_ours = text("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let limit: Option<u64> = text("WATCHDOG_USEC").filter(|_| is_ours).and_then(|us| us.parse().ok());
        // Three signs in the time in which it wants one.
        let every = limit.filter(|us| *us > 0).map(|us| Duration::from_micros(us / 3));
        Some(Self { socket, every, next: Instant::ZERO })
    }

    /// Passes a piece of news on; a sign of life only when the next one is due.
    pub(super) fn tell(&mut self, notice: Notice) {
        let text: &[u8] = match notice {
            Notice::Ready => b"READY=1",
            Notice::Stopping => b"STOPPING=1",
            Notice::Alive => {
                let now = sys::monotonic();
                let Some(every) = self.every.filter(|_| now >= self.next) else { return };
                self.next = now + every;
                b"WATCHDOG=1"
            }
        };
        let _ = self.socket.send(text);
    }
}
