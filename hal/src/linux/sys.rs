//! The system calls that std, mio and socket2 do not offer.

use crate::units::{Duration, Instant, WallClock, nanos};
use core::mem::{MaybeUninit, size_of};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// `SO_TIMESTAMPNS_NEW` and its control message: 64-bit times on every architecture (Linux 5.1).
const SO_TIMESTAMPNS_NEW: libc::c_int = 64;

/// `SO_TIMESTAMPNS`, with the `timespec` of the kernel's native word size.
const SO_TIMESTAMPNS_OLD: libc::c_int = 35;

/// Nanoseconds on a clock. The C library of 32-bit ARM tells seconds in 32 bits, which end in 2038; the kernel itself
/// (since Linux 5.1) does better.
fn clock(id: libc::clockid_t) -> u64 {
    #[cfg(target_pointer_width = "32")]
    if let Some(ns) = clock64(id) {
        return ns;
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for a timespec, and both clocks always exist on Linux.
    unsafe { libc::clock_gettime(id, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(NANOS_PER_SECOND) + u64::try_from(time.tv_nsec).unwrap_or(0)
}

#[cfg(target_pointer_width = "32")]
fn clock64(id: libc::clockid_t) -> Option<u64> {
    /// The same number on all 32-bit architectures.
    const CLOCK_GETTIME64: libc::c_long = 403;
    let mut time = [0i64; 2];
    // SAFETY: `time` has the size and alignment of the kernel's 64-bit timespec, of which it writes no more.
    let done = unsafe { libc::syscall(CLOCK_GETTIME64, id, time.as_mut_ptr()) } == 0;
    let [seconds, ns] = time.map(|part| u64::try_from(part).unwrap_or(0));
    // The upper half of the nanoseconds is padding.
    done.then(|| seconds.saturating_mul(NANOS_PER_SECOND) + (ns & 0xffff_ffff))
}

/// Monotonic time, as the board tells it.
#[must_use]
pub fn monotonic() -> Instant {
    Instant::from_nanos(clock(libc::CLOCK_MONOTONIC))
}

/// Wall-clock time.
pub(super) fn wall_clock() -> WallClock {
    WallClock(clock(libc::CLOCK_REALTIME))
}

/// Whether an error of a socket with a time-out, or of a non-blocking one, only says that there is nothing yet: a time-out
/// has two names, and a signal interrupts.
pub(super) fn is_wait(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A timer on the monotonic clock, readable when its time has come.
#[derive(Debug)]
pub(super) struct Timer(OwnedFd);

impl Timer {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: a plain system call without pointers; the result is checked, and owned only if valid.
        unsafe {
            let fd = check(libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC))?;
            Ok(Self(OwnedFd::from_raw_fd(fd)))
        }
    }

    /// Sets the timer to go off once, at this absolute time. That also makes it unreadable again, so it is never read:
    /// a poll that tells of changes tells of the next time, too.
    pub(super) fn set(&self, at: Instant) {
        let ns = at.as_nanos().max(1); // zero would switch it off
        let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let mut value = zero;
        value.tv_sec = (ns / NANOS_PER_SECOND).try_into().unwrap_or(i32::MAX.into());
        value.tv_nsec = (ns % NANOS_PER_SECOND).try_into().unwrap_or(0);
        let spec = libc::itimerspec { it_interval: zero, it_value: value };
        // SAFETY: `spec` is valid for reading; the old value is not asked for. It can't fail with
        // a valid descriptor and a time within range.
        unsafe {
            libc::timerfd_settime(self.0.as_raw_fd(), libc::TFD_TIMER_ABSTIME, &raw const spec, core::ptr::null_mut())
        };
    }
}

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Sets an integer socket option.
pub(super) fn set_option(fd: RawFd, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    set_option_bytes(fd, level, name, &value.to_ne_bytes())
}

/// Sets a socket option of any type, given as its bytes.
pub(super) fn set_option_bytes(fd: RawFd, level: libc::c_int, name: libc::c_int, value: &[u8]) -> io::Result<()> {
    let length = libc::socklen_t::try_from(value.len()).unwrap_or(0);
    // SAFETY: `value` is valid for `length` bytes for the time of the call.
    check(unsafe { libc::setsockopt(fd, level, name, value.as_ptr().cast(), length) }).map(drop)
}

/// Asks the kernel to stamp received datagrams. Without stamps the time of reading serves.
pub(super) fn enable_stamps(fd: RawFd) {
    if set_option(fd, libc::SOL_SOCKET, SO_TIMESTAMPNS_NEW, 1).is_err() {
        let _ = set_option(fd, libc::SOL_SOCKET, SO_TIMESTAMPNS_OLD, 1);
    }
}

/// Attaches a classic BPF program. Best effort: without it more wake-ups happen, nothing else.
pub(super) fn attach_filter(fd: RawFd, program: &[libc::sock_filter]) {
    let length = libc::c_ushort::try_from(program.len()).unwrap_or(0);
    let filter = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    let size = libc::socklen_t::try_from(size_of::<libc::sock_fprog>()).unwrap_or(0);
    // SAFETY: `filter` points to `length` instructions that outlive the call; the kernel copies
    // and checks them, and writes nothing.
    unsafe {
        libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, (&raw const filter).cast(), size);
    }
}

/// Most datagrams that one system call takes: more than come in for one WAN in a cycle, as a rule.
const BATCH: usize = 8;

/// Largest datagram of interest: an error quotes at most this much, and our replies are smaller.
const LARGEST: usize = 576;

/// What is known of a received datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received {
    length: usize,
    pub(super) from: IpAddr,
    /// When the kernel received it, by the wall clock.
    pub(super) stamp: Option<WallClock>,
}

/// Datagrams of one socket that one system call has taken, to be handed out one by one.
#[derive(Debug)]
pub(super) struct Batch {
    bytes: [[u8; LARGEST]; BATCH],
    received: [Received; BATCH],
    /// Which one is handed out next, and how many there are.
    next: usize,
    count: usize,
}

/// Control messages, aligned as the kernel wants them. The stamp is the only one asked for.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 64]);

impl Batch {
    pub(super) const fn new() -> Self {
        let none = Received { length: 0, from: IpAddr::V4(Ipv4Addr::UNSPECIFIED), stamp: None };
        Self { bytes: [[0; LARGEST]; BATCH], received: [none; BATCH], next: 0, count: 0 }
    }

    /// The next datagram.
    pub(super) fn take(&mut self) -> Option<(Received, &[u8])> {
        if self.next >= self.count {
            return None;
        }
        let (received, bytes) = (self.received[self.next], &self.bytes[self.next]);
        self.next += 1;
        Some((received, bytes.get(..received.length).unwrap_or(bytes)))
    }

    /// Takes what waits at a socket, each with the kernel's stamp of its arrival, in the place of what was here.
    /// Returns whether more may wait: a batch that is not full has emptied the socket.
    pub(super) fn fill(&mut self, fd: RawFd) -> bool {
        (self.next, self.count) = (0, 0);
        let mut names = [const { MaybeUninit::<libc::sockaddr_in6>::zeroed() }; BATCH];
        let mut controls = [Control([0; 64]); BATCH];
        // SAFETY: all-zero is a valid mmsghdr (null pointers, zero lengths); the fields that matter follow.
        let mut messages: [libc::mmsghdr; BATCH] = unsafe { MaybeUninit::zeroed().assume_init() };
        let mut parts =
            self.bytes.each_mut().map(|bytes| libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: LARGEST });
        for (i, message) in messages.iter_mut().enumerate() {
            let header = &mut message.msg_hdr;
            header.msg_name = names[i].as_mut_ptr().cast();
            header.msg_namelen = libc::socklen_t::try_from(size_of::<libc::sockaddr_in6>()).unwrap_or(0);
            header.msg_iov = &raw mut parts[i];
            header.msg_iovlen = 1;
            header.msg_control = controls[i].0.as_mut_ptr().cast();
            header.msg_controllen = controls[i].0.len() as _;
        }
        // The type of the flags differs between C libraries, like that of lengths. Without a time-out the two layouts of
        // one on 32-bit machines are no concern.
        let places = libc::c_uint::try_from(messages.len()).unwrap_or(0);
        // SAFETY: there are so many messages, and every pointer in them is valid for its length and outlives the call.
        let taken = unsafe {
            libc::recvmmsg(fd, messages.as_mut_ptr(), places, libc::MSG_DONTWAIT as _, core::ptr::null_mut())
        };
        // Whatever the error, there is nothing; that there is nothing yet is one, too.
        self.count = usize::try_from(taken).unwrap_or(0).min(BATCH);
        for i in 0..self.count {
            // SAFETY: the place was zeroed, so it is initialised whatever the kernel wrote.
            let from = address(unsafe { names[i].assume_init_ref() });
            #[allow(clippy::unnecessary_cast, reason = "its type differs between C libraries")]
            let used = (messages[i].msg_hdr.msg_controllen as usize).min(controls[i].0.len());
            let length = usize::try_from(messages[i].msg_len).unwrap_or(LARGEST);
            self.received[i] = Received { length, from, stamp: stamp(&controls[i].0[..used]) };
        }
        self.count == BATCH
    }
}

/// The address in a socket address, of IPv6 or of IPv4 (which is smaller).
fn address(name: &libc::sockaddr_in6) -> IpAddr {
    if libc::c_int::from(name.sin6_family) == libc::AF_INET6 {
        return IpAddr::V6(Ipv6Addr::from(name.sin6_addr.s6_addr));
    }
    // SAFETY: our sockets are IPv4 otherwise; a sockaddr_in has the family in the same place, the same alignment, and is
    // smaller.
    let v4 = unsafe { &*core::ptr::from_ref(name).cast::<libc::sockaddr_in>() };
    IpAddr::V4(Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes()))
}

/// Finds the time stamp among control messages. Read by hand, because the layout of the stamp
/// depends on which of the two options is in force, not on what the C library was built for.
fn stamp(control: &[u8]) -> Option<WallClock> {
    const WORD: usize = size_of::<usize>();
    const HEADER: usize = WORD + 8; // length, level, type
    let mut rest = control;
    while rest.len() >= HEADER {
        let length = usize::from_ne_bytes(rest.get(..WORD)?.try_into().ok()?);
        let level = i32::from_ne_bytes(rest.get(WORD..WORD + 4)?.try_into().ok()?);
        let kind = i32::from_ne_bytes(rest.get(WORD + 4..WORD + 8)?.try_into().ok()?);
        let data = rest.get(HEADER..length)?;
        if level == libc::SOL_SOCKET && (kind == SO_TIMESTAMPNS_NEW || kind == SO_TIMESTAMPNS_OLD) {
            let word = if kind == SO_TIMESTAMPNS_NEW { 8 } else { WORD };
            let (seconds, ns) = (number(data.get(..word)?)?, number(data.get(word..2 * word)?)?);
            return Some(WallClock(seconds.checked_mul(NANOS_PER_SECOND)?.checked_add(ns)?));
        }
        rest = rest.get(length.max(HEADER).next_multiple_of(WORD)..)?;
    }
    None
}

/// A non-negative number of four or eight bytes.
fn number(bytes: &[u8]) -> Option<u64> {
    match bytes.len() {
        4 => u64::try_from(i32::from_ne_bytes(bytes.try_into().ok()?)).ok(),
        8 => u64::try_from(i64::from_ne_bytes(bytes.try_into().ok()?)).ok(),
        _ => None,
    }
}

/// Whether `fd` can be written to (or read from) within `time`.
pub(super) fn ready(fd: RawFd, events: libc::c_short, time: Duration) -> bool {
    let mut poll = libc::pollfd { fd, events, revents: 0 };
    let ms = libc::c_int::try_from(nanos(time) / 1_000_000).unwrap_or(libc::c_int::MAX);
    // SAFETY: `poll` is one valid pollfd.
    let found = unsafe { libc::poll(&raw mut poll, 1, ms) };
    found == 1 && poll.revents & events != 0
}

/// Lets the kernel bury children: as process 1 we inherit those of others.
pub(super) fn ignore_children() {
    // SAFETY: no handler is installed; it can't fail with a valid signal.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

/// Writes to a descriptor that is not ours to own (standard error).
pub(super) fn write(fd: RawFd, bytes: &[u8]) -> bool {
    // SAFETY: `bytes` is valid for its length.
    let written = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
    usize::try_from(written) == Ok(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(kind: i32, data: &[u8]) -> Vec<u8> {
        let mut bytes = (size_of::<usize>() + 8 + data.len()).to_ne_bytes().to_vec();
        bytes.extend(libc::SOL_SOCKET.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn stamps_of_both_layouts_are_read() {
        let wide = [1_795_435_200i64.to_ne_bytes(), 5i64.to_ne_bytes()].concat();
        let at = WallClock(1_795_435_200_000_000_005);
        assert_eq!(stamp(&message(SO_TIMESTAMPNS_NEW, &wide)), Some(at));
        let other = message(99, &[0; 8]);
        assert_eq!(stamp(&[other, message(SO_TIMESTAMPNS_NEW, &wide)].concat()), Some(at));
        assert_eq!(number(&5i32.to_ne_bytes()), Some(5), "a 32-bit kernel's own words");
    }

    proptest! {
        #[test]
        fn any_control_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..128)) {
            let _ = stamp(&bytes);
        }
    }
}
