//! TCP connect probes: the time from SYN to SYN-ACK, without waiting for it.

use super::echo::{bind, send_error};
use super::sys;
use crate::board::{ProbeSource, SendError, TcpProbe};
use crate::units::{Duration, Instant};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::os::fd::{AsRawFd, RawFd};

/// Probes of one WAN at a time.
pub(super) const SLOTS: usize = 4;

/// A connection attempt under way.
#[derive(Debug)]
struct Attempt {
    socket: Socket,
    started: Instant,
}

/// The attempts of one WAN.
#[derive(Debug, Default)]
pub(super) struct TcpProbes {
    attempts: [Option<Attempt>; SLOTS],
}

impl TcpProbes {
    /// Starts an attempt; returns the descriptor to watch for writability.
    pub(super) fn start(&mut self, slot: u8, to: SocketAddr, source: &ProbeSource) -> Result<RawFd, SendError> {
        let attempt = self.attempts.get_mut(usize::from(slot)).ok_or(SendError::NoSocket)?;
        *attempt = None;
        let (domain, any) = match to {
            SocketAddr::V4(_) => (Domain::IPV4, IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            SocketAddr::V6(_) => (Domain::IPV6, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        };
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP)).map_err(|e| send_error(&e))?;
        socket.set_nonblocking(true).map_err(|e| send_error(&e))?;
        bind(&socket, source, any).map_err(|_| SendError::NoAddress)?;
        // Closing sends a reset instead of leaving a connection in TIME_WAIT every second.
        let _ = socket.set_linger(Some(Duration::ZERO));
        let started = sys::monotonic();
        match socket.connect(&SockAddr::from(to)) {
            Ok(()) => {}
            Err(e) if e.raw_os_error() == Some(libc::EINPROGRESS) => {}
            Err(e) => return Err(send_error(&e)),
        }
        let fd = socket.as_raw_fd();
        *attempt = Some(Attempt { socket, started });
        Ok(fd)
    }

    /// Takes one attempt that has ended. A refusal proves the path as well as a connection does.
    pub(super) fn take(&mut self) -> Option<TcpProbe> {
        for (slot, attempt) in (0u8..).zip(&mut self.attempts) {
            let Some(running) = attempt.as_ref() else { continue };
            if !sys::ready(running.socket.as_raw_fd(), libc::POLLOUT, Duration::ZERO) {
                continue;
            }
            let elapsed = sys::monotonic().since(running.started);
            let result = match running.socket.take_error() {
                Ok(None) => Ok(elapsed),
                Ok(Some(e)) if e.raw_os_error() == Some(libc::ECONNREFUSED) => Ok(elapsed),
                Ok(Some(e)) | Err(e) => Err(send_error(&e)),
            };
            *attempt = None;
            return Some(TcpProbe { slot, result });
        }
        None
    }

    /// Whether any attempt is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.attempts.iter().any(Option::is_some)
    }
}
