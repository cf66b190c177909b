//! ICMP echo sockets of one WAN: raw where permitted, unprivileged datagram sockets otherwise.

use super::sys::{self, Batch, Received};
use crate::board::{EchoEvent, EchoReply, EchoRequest, OpenError, ProbeSource, SendError};
use crate::icmp::{self, Family, Message};
use crate::units::Instant;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// How far a probe may go, as usual for everything this machine sends.
const HOPS: u8 = 64;

/// One socket of one family.
#[derive(Debug)]
pub(super) struct EchoSocket {
    socket: Socket,
    family: Family,
    raw: bool,
    ident: u16,
}

/// How the wall clock relates to the monotonic one, for turning stamps into instants.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockRelation {
    /// Wall-clock time less monotonic time, in nanoseconds.
    pub(super) offset: i128,
    /// The wall clock was set since sockets were last looked at: stamps of what they have now can't be placed.
    pub(super) stepped: bool,
}

impl EchoSocket {
    /// Opens a socket for `family`, bound as `source` says.
    pub(super) fn open(family: Family, source: &ProbeSource, ident: u16) -> Result<Self, OpenError> {
        let (domain, protocol, any) = match family {
            Family::V4 => (Domain::IPV4, Protocol::ICMPV4, IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            Family::V6 => (Domain::IPV6, Protocol::ICMPV6, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        };
        let (socket, raw) = match Socket::new(domain, Type::RAW, Some(protocol)) {
            Ok(socket) => (socket, true),
            Err(e) if denied(&e) => (Socket::new(domain, Type::DGRAM, Some(protocol)).map_err(open_error)?, false),
            Err(e) => return Err(open_error(e)),
        };
        socket.set_nonblocking(true).map_err(open_error)?;
        bind(&socket, source, any)?;
        sys::enable_stamps(socket.as_raw_fd());
        let ident = if raw {
            filter(socket.as_raw_fd(), family, ident);
            // What came in before the filter was there is other people's.
            while socket.recv(&mut [core::mem::MaybeUninit::uninit(); 1]).is_ok() {}
            ident
        } else {
            // The kernel puts the socket's own number into requests and delivers only its replies.
            socket.local_addr().ok().and_then(|a| a.as_socket()).map_or(0, |a| a.port())
        };
        Ok(Self { socket, family, raw, ident })
    }

    pub(super) const fn family(&self) -> Family {
        self.family
    }

    /// Sends a request; the returned instant is taken just before the system call.
    pub(super) fn send(&self, request: &EchoRequest) -> Result<Instant, SendError> {
        let message = icmp::encode(self.family, self.ident, request.sequence, request.token);
        let to = SockAddr::from(SocketAddr::new(request.to, 0));
        let at = sys::monotonic();
        self.socket.send_to(&message, &to).map_err(|e| send_error(&e))?;
        Ok(at)
    }

    /// The same, over so many hops and no more.
    pub(super) fn send_over(&self, request: &EchoRequest, hops: u8) -> Result<Instant, SendError> {
        let limit = |hops: u8| match self.family {
            Family::V4 => self.socket.set_ttl_v4(hops.into()),
            Family::V6 => self.socket.set_unicast_hops_v6(hops.into()),
        };
        limit(hops).map_err(|e| send_error(&e))?;
        let sent = self.send(request);
        // What is set here was set a moment ago: it can't fail.
        let _ = limit(HOPS);
        sent
    }

    /// What a datagram is that was taken at `now`.
    fn event(&self, received: &Received, bytes: &[u8], now: Instant, clocks: ClockRelation) -> EchoEvent {
        let with_header = self.raw && self.family == Family::V4;
        match icmp::parse(self.family, with_header, bytes) {
            None => EchoEvent::Malformed,
            Some(Message::Reply { ident, sequence, token }) if ident == self.ident => {
                let arrival = match received.stamp {
                    None => Some(now),
                    Some(_) if clocks.stepped => None,
                    Some(stamp) => place(i128::from(stamp.0) - clocks.offset, now),
                };
                arrival.map_or(EchoEvent::ClockStep, |at| {
                    EchoEvent::Reply(EchoReply { from: received.from, sequence, token, at })
                })
            }
            Some(Message::Error { ident, sequence, to }) if ident == self.ident => {
                EchoEvent::Unreachable { from: received.from, to, sequence }
            }
            Some(_) => EchoEvent::Foreign,
        }
    }
}

/// Datagrams of one WAN on their way from its sockets to whoever asks for them one by one.
#[derive(Debug)]
pub(super) struct Inbox {
    batch: Batch,
    /// Whose they are, when they were taken, and how the clocks stood then.
    family: usize,
    at: Instant,
    clocks: ClockRelation,
}

impl Inbox {
    pub(super) const fn new(clocks: ClockRelation) -> Self {
        Self { batch: Batch::new(), family: 0, at: Instant::ZERO, clocks }
    }

    /// Takes what waits at the socket of a family, once all that was here is handed out. Returns whether more may wait.
    pub(super) fn fill(&mut self, sockets: &[Option<EchoSocket>; 2], family: usize, clocks: ClockRelation) -> bool {
        let Some(socket) = &sockets[family] else { return false };
        let more = self.batch.fill(socket.as_raw_fd());
        (self.family, self.at, self.clocks) = (family, sys::monotonic(), clocks);
        more
    }

    /// Hands out one.
    pub(super) fn take(&mut self, sockets: &[Option<EchoSocket>; 2]) -> Option<EchoEvent> {
        let (received, bytes) = self.batch.take()?;
        sockets[self.family].as_ref().map(|socket| socket.event(&received, bytes, self.at, self.clocks))
    }
}

impl AsRawFd for EchoSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// A stamp on the monotonic clock, unless it lies in the future or further back than a datagram
/// could have waited for us.
fn place(stamp_ns: i128, now: Instant) -> Option<Instant> {
    const FUTURE: i128 = 1_000_000;
    const PAST: i128 = 2_000_000_000;
    let age = i128::from(now.as_nanos()) - stamp_ns;
    if (-FUTURE..=PAST).contains(&age) { u64::try_from(stamp_ns).ok().map(Instant::from_nanos) } else { None }
}

/// Binds to interface, address and mark; the address fixes the family.
pub(super) fn bind(socket: &Socket, source: &ProbeSource, any: IpAddr) -> Result<(), OpenError> {
    if let Some(name) = &source.interface {
        socket
            .bind_device(Some(name.as_bytes()))
            .map_err(|e| OpenError::Interface(name.clone(), e.raw_os_error().unwrap_or(0)))?;
    }
    if let Some(mark) = source.mark {
        socket.set_mark(mark).map_err(|_| OpenError::Mark(mark))?;
    }
    let address = source.address.unwrap_or(any);
    match socket.bind(&SockAddr::from(SocketAddr::new(address, 0))) {
        Ok(()) => Ok(()),
        Err(e) if e.raw_os_error() == Some(libc::EADDRNOTAVAIL) => Err(OpenError::Address(address)),
        Err(e) => Err(open_error(e)),
    }
}

fn denied(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES))
}

fn open_error(error: io::Error) -> OpenError {
    if denied(&error) { OpenError::NoPermission } else { OpenError::Os(error.raw_os_error().unwrap_or(0)) }
}

/// The counted outcome that an error number stands for.
pub(super) fn send_error(error: &io::Error) -> SendError {
    match error.raw_os_error() {
        Some(libc::EAGAIN) => SendError::WouldBlock,
        Some(libc::ENOBUFS | libc::ENOMEM) => SendError::NoBuffers,
        Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EHOSTDOWN) => {
            SendError::NetworkUnreachable
        }
        Some(libc::EPERM | libc::EACCES) => SendError::NotPermitted,
        Some(libc::EADDRNOTAVAIL | libc::ENODEV) => SendError::NoAddress,
        number => SendError::Os(number.unwrap_or(0)),
    }
}

/// Lets the kernel drop what is not ours, so that floods of other people's ICMP do not wake the
/// loop: replies pass only with our identifier, errors pass.
fn filter(fd: RawFd, family: Family, ident: u16) {
    const LOAD_HEADER_LENGTH: u16 = 0xb1; // ldxb 4*([k]&0xf)
    const LOAD_BYTE: u16 = 0x50; // ldb [x+k]
    const LOAD_HALF: u16 = 0x48; // ldh [x+k]
    const SET_X: u16 = 0x01; // ldx #k
    const JUMP_EQUAL: u16 = 0x15; // jeq #k, jt, jf
    const RETURN: u16 = 0x06; // ret #k
    let op = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    // Raw IPv4 sockets see the IP header, raw IPv6 sockets do not.
    let (start, reply, errors) = match family {
        Family::V4 => (op(LOAD_HEADER_LENGTH, 0, 0, 0), 0, [3, 11]),
        Family::V6 => (op(SET_X, 0, 0, 0), 129, [1, 3]),
    };
    let program = [
        start,
        op(LOAD_BYTE, 0, 0, 0),
        op(JUMP_EQUAL, 4, 0, errors[0]),
        op(JUMP_EQUAL, 3, 0, errors[1]),
        op(JUMP_EQUAL, 0, 3, reply),
        op(LOAD_HALF, 0, 0, 4),
        op(JUMP_EQUAL, 0, 1, u32::from(ident)),
        op(RETURN, 0, 0, u32::MAX),
        op(RETURN, 0, 0, 0),
    ];
    sys::attach_filter(fd, &program);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_that_cannot_be_are_not_placed() {
        let now = Instant::from_nanos(10_000_000_000);
        assert_eq!(place(9_990_000_000, now), Some(Instant::from_nanos(9_990_000_000)));
        assert_eq!(place(10_100_000_000, now), None, "from the future");
        assert_eq!(place(1_000_000_000, now), None, "nine seconds in a buffer");
        assert_eq!(place(-5, now), None);
    }
}
