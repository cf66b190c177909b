//! Hostile ICMP on real sockets: whatever comes in is counted, and never becomes a sample. The
//! daemon runs on the real board in a namespace of its own, in which the kernel does not answer
//! echo requests; the test sees every probe on the wire, as an attacker on the path would, and
//! answers as it pleases.
#![cfg(feature = "sim")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_possible_truncation, missing_docs)]

mod common;
#[allow(dead_code, reason = "shared with the tests on a real line")]
#[path = "real_line/netns.rs"]
mod netns;

use netns::{Netns, check, readable, sweep};
use std::fs;
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use wanctl::daemon::{Daemon, Restored, Setup, Store};
use wanctl::measure::Counters;
use wanctl::types::{Sample, Signal};
use wanctl_hal::linux::{LinuxBoard, StateDirectory};
use wanctl_hal::{Board, Duration, LinkTarget, Trust};

/// Length of one attack.
const TIME: Duration = Duration::from_millis(400);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl Family {
    fn address(self, last: u8) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::new(127, 0, 0, last).into(),
            Self::V6 => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last.into()).into(),
        }
    }

    /// Types of request, reply, unreachable, time exceeded.
    fn types(self) -> [u8; 4] {
        match self {
            Self::V4 => [8, 0, 3, 11],
            Self::V6 => [128, 129, 1, 3],
        }
    }
}

/// A probe as it was seen on the wire.
#[derive(Clone, Debug)]
struct Seen {
    family: Family,
    from: IpAddr,
    to: IpAddr,
    /// The whole ICMP message.
    message: Vec<u8>,
}

/// A message that is sent to the prober, and from which address.
type Shot = (IpAddr, Vec<u8>);

impl Seen {
    /// The genuine answer, with something changed.
    fn answer(&self, change: impl FnOnce(&mut Vec<u8>)) -> Shot {
        let mut message = self.message.clone();
        message[0] = self.family.types()[1];
        change(&mut message);
        (self.to, sealed(message))
    }

    /// An error from a host on the way that quotes the probe, changed.
    fn error(&self, kind: u8, change: impl FnOnce(&mut Vec<u8>)) -> Shot {
        let mut message = vec![kind, 0, 0, 0, 0, 0, 0, 0];
        match (self.from, self.to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let length = 20 + self.message.len() as u8;
                message.extend([0x45, 0, 0, length, 0, 0, 0, 0, 64, 1, 0, 0]);
                message.extend(from.octets().into_iter().chain(to.octets()));
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                message.extend([0x60, 0, 0, 0, 0, self.message.len() as u8, 58, 64]);
                message.extend(from.octets().into_iter().chain(to.octets()));
            }
            _ => unreachable!("one family"),
        }
        let mut quoted = self.message.clone();
        change(&mut quoted);
        message.extend(quoted);
        (self.family.address(9), sealed(message))
    }
}

/// With its checksum; the kernel puts that of ICMPv6 in itself.
fn sealed(mut message: Vec<u8>) -> Vec<u8> {
    if message.len() < 4 {
        return message;
    }
    message[2..4].fill(0);
    let sum: u32 = message.chunks(2).map(|p| u32::from(p[0]) << 8 | u32::from(*p.get(1).unwrap_or(&0))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// A raw ICMP socket.
struct Wire {
    family: Family,
    socket: OwnedFd,
}

impl Wire {
    /// Bound to an address from which it sends; or seeing everything.
    fn open(family: Family, from: Option<IpAddr>) -> io::Result<Self> {
        let (domain, protocol) = match family {
            Family::V4 => (libc::AF_INET, libc::IPPROTO_ICMP),
            Family::V6 => (libc::AF_INET6, libc::IPPROTO_ICMPV6),
        };
        // SAFETY: a plain system call; the result is checked before it is owned.
        let socket = unsafe {
            let fd = libc::socket(domain, libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, protocol);
            check(fd)?;
            OwnedFd::from_raw_fd(fd)
        };
        if let Some(from) = from {
            let (address, length) = raw(from);
            // SAFETY: `address` is a valid socket address of this length.
            check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) })?;
        }
        Ok(Self { family, socket })
    }

    fn send(&self, to: IpAddr, message: &[u8]) {
        let (address, length) = raw(to);
        // A full buffer is waited for; nothing else may go wrong.
        loop {
            // SAFETY: both pointers are valid for their lengths during the call.
            let sent = unsafe {
                let (data, to) = (message.as_ptr().cast(), (&raw const address).cast());
                libc::sendto(self.socket.as_raw_fd(), data, message.len(), 0, to, length)
            };
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                _ if sent >= 0 => return,
                Some(libc::EAGAIN | libc::ENOBUFS) => thread::yield_now(),
                _ => panic!("sending to {to}: {error}"),
            }
        }
    }

    /// The next probe of ours on the wire.
    fn probe(&self) -> Option<Seen> {
        while readable(self.socket.as_fd(), 5) {
            let mut buffer = [0u8; 2_048];
            // SAFETY: all zeros is a valid address storage; both are valid during the call.
            let (length, from) = unsafe {
                let mut from: libc::sockaddr_storage = zeroed();
                let mut size = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
                let (data, address) = (buffer.as_mut_ptr().cast(), (&raw mut from).cast());
                (libc::recvfrom(self.socket.as_raw_fd(), data, buffer.len(), 0, address, &raw mut size), from)
            };
            let bytes = &buffer[..usize::try_from(length).unwrap_or(0)];
            let from = cooked(&from);
            // Raw IPv4 sockets see the header; IPv6 has told the destination elsewhere, and our
            // reflectors are told apart by the answers they get.
            let (to, message) = match self.family {
                Family::V4 if bytes.len() > 20 => {
                    let to: [u8; 4] = bytes[16..20].try_into().unwrap();
                    (IpAddr::from(to), &bytes[usize::from(bytes[0] & 15) * 4..])
                }
                Family::V4 => continue,
                Family::V6 => (from, bytes),
            };
            if message.len() == 24 && message[0] == self.family.types()[0] && message[8..14] == *b"wanctl" {
                return Some(Seen { family: self.family, from, to, message: message.to_vec() });
            }
        }
        None
    }
}

fn raw(address: IpAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    // SAFETY: all zeros is a valid storage, which is larger than each of the two addresses.
    unsafe {
        let mut storage: libc::sockaddr_storage = zeroed();
        let length = match address {
            IpAddr::V4(ip) => {
                let v4 = &mut *(&raw mut storage).cast::<libc::sockaddr_in>();
                v4.sin_family = libc::AF_INET as libc::sa_family_t;
                v4.sin_addr.s_addr = u32::from_ne_bytes(ip.octets());
                size_of::<libc::sockaddr_in>()
            }
            IpAddr::V6(ip) => {
                let v6 = &mut *(&raw mut storage).cast::<libc::sockaddr_in6>();
                v6.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                v6.sin6_addr.s6_addr = ip.octets();
                size_of::<libc::sockaddr_in6>()
            }
        };
        (storage, length as libc::socklen_t)
    }
}

fn cooked(storage: &libc::sockaddr_storage) -> IpAddr {
    // SAFETY: the family tells which of the two smaller addresses it is.
    unsafe {
        if libc::c_int::from(storage.ss_family) == libc::AF_INET6 {
            let v6 = &*std::ptr::from_ref(storage).cast::<libc::sockaddr_in6>();
            Ipv6Addr::from(v6.sin6_addr.s6_addr).into()
        } else {
            let v4 = &*std::ptr::from_ref(storage).cast::<libc::sockaddr_in>();
            Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes()).into()
        }
    }
}

/// Where the attacks take place.
struct Arena {
    netns: Netns,
    directory: PathBuf,
}

impl Arena {
    fn new(name: &str) -> Option<Self> {
        // SAFETY: a plain system call without arguments.
        if unsafe { libc::geteuid() } != 0 {
            eprintln!("NOT TESTED (needs root): hostile ICMP on real sockets: {name}");
            return None;
        }
        sweep();
        let netns = Netns::new("hostile", name);
        for last in [1, 2, 3, 9] {
            netns.ip(&["address", "add", &format!("{}/128", Family::V6.address(last)), "dev", "lo", "nodad"]);
        }
        netns.sysctl("ipv4/icmp_echo_ignore_all", "1");
        netns.sysctl("ipv6/icmp/echo_ignore_all", "1");
        netns.sysctl("ipv4/ping_group_range", "0 2147483647");
        let directory = std::env::temp_dir().join(format!("wanctl-hostile-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        Some(Self { netns, directory })
    }

    /// A daemon with three reflectors of this family, in the namespace of this thread; with
    /// `raw` sockets or unprivileged ones.
    fn daemon(&self, family: Family, raw: bool) -> Daemon<LinuxBoard> {
        let target = LinkTarget { server_name: "127.0.0.1".to_owned(), trust: Trust::Plain };
        let mut board = LinuxBoard::new(StateDirectory::open(&self.directory).unwrap(), &target).unwrap();
        let reflectors = [1, 2, 3].map(|last| format!("\"{}\"", family.address(last))).join(", ");
        let text = common::config_text("", "tcp_targets = []");
        let theirs = r#""1.1.1.1", "9.9.9.9", "8.8.8.8", "208.67.222.222""#;
        assert!(text.contains(theirs));
        let config = common::parse(&text.replace(theirs, &reflectors));
        if !raw {
            std::os::unix::fs::chown(&self.directory, Some(65_534), Some(65_534)).expect("chown");
            // SAFETY: the bare system call gives up the rights of this thread only, which ends soon.
            let dropped = unsafe { libc::syscall(libc::SYS_setresuid, 65_534, 65_534, 65_534) };
            assert_eq!(dropped, 0, "rights given up");
        }
        // Nothing listens there: the router is of no interest here.
        let router = "127.0.0.1:9".parse().unwrap();
        let reloader = Box::new(|_: &wanctl::config::Config| Err(1));
        let (store, restored) = (Store::default(), Restored::default());
        board.clock();
        Daemon::new(Setup { board, config, router, reloader, store, restored }).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Lets `attack` answer every probe for a while; the counters, every sample, and the most
    /// datagrams in one wake-up.
    fn fight(&self, family: Family, raw: bool, attack: impl FnMut(&Seen) -> Vec<Shot> + Send) -> Outcome {
        self.fight_dozing(family, raw, Duration::ZERO, attack)
    }

    /// The same with a daemon that dozes after every probe, so that much has come in meanwhile.
    fn fight_dozing(
        &self,
        family: Family,
        raw: bool,
        nap: Duration,
        attack: impl FnMut(&Seen) -> Vec<Shot> + Send,
    ) -> Outcome {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let attacker = self.netns.spawn_scoped(scope, || assault(family, &over, attack));
            let defender = self.netns.spawn_scoped(scope, || {
                let mut daemon = self.daemon(family, raw);
                let outcome = observe(&mut daemon, nap);
                over.store(true, Ordering::Relaxed);
                outcome
            });
            let outcome = defender.join();
            over.store(true, Ordering::Relaxed);
            attacker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// What became of a daemon under attack.
#[derive(Debug)]
struct Outcome {
    counters: Counters,
    samples: Vec<Sample>,
    most_datagrams: usize,
}

/// Runs a daemon for a while and looks at every sample.
fn observe(daemon: &mut Daemon<LinuxBoard>, nap: Duration) -> Outcome {
    let end = daemon.board().clock().now + TIME;
    let mut samples: Vec<Sample> = Vec::new();
    let mut sent = 0;
    loop {
        let now = daemon.board().clock().now;
        if now >= end {
            break;
        }
        assert!(!daemon.run_until((now + Duration::from_millis(5)).min(end)), "nobody has stopped it");
        if let Some((sample, _)) = daemon.wans()[0].last
            && samples.last().is_none_or(|last| last.at != sample.at)
        {
            samples.push(sample);
        }
        if sent != daemon.wans()[0].measure.counters().sent {
            sent = daemon.wans()[0].measure.counters().sent;
            thread::sleep(nap);
        }
    }
    let counters = *daemon.wans()[0].measure.counters();
    Outcome { counters, samples, most_datagrams: daemon.counters().most_datagrams }
}

/// Answers every probe on the wire with what `attack` makes of it.
fn assault(family: Family, over: &AtomicBool, mut attack: impl FnMut(&Seen) -> Vec<Shot>) {
    let wire = Wire::open(family, None).expect("a raw socket");
    let sources = [1, 2, 3, 9].map(|last| {
        let address = family.address(last);
        (address, Wire::open(family, Some(address)).expect("a raw socket"))
    });
    let mut next = 0;
    while !over.load(Ordering::Relaxed) {
        let Some(mut seen) = wire.probe() else { continue };
        if family == Family::V6 {
            // Loopback answers from the address that was asked, so this is what was asked.
            seen.to = seen.from;
        }
        next += 1;
        for (from, message) in attack(&seen) {
            let source = sources.iter().find(|(address, _)| *address == from);
            source.unwrap_or_else(|| panic!("no socket for {from}, shot {next}")).1.send(seen.from, &message);
        }
    }
}

/// Sockets of each kind.
const KINDS: [(Family, bool); 4] = [(Family::V4, true), (Family::V6, true), (Family::V4, false), (Family::V6, false)];

#[test]
fn a_genuine_answer_counts_once_even_if_it_comes_twice() {
    let Some(arena) = Arena::new("twice") else { return };
    for (family, raw) in KINDS {
        let outcome = arena.fight(family, raw, |seen| vec![seen.answer(|_| {}); 2]);
        let Counters { sent, accepted, duplicate, forged, foreign, .. } = outcome.counters;
        assert!(accepted >= 5 && accepted <= sent, "{family:?} raw {raw}: {outcome:?}");
        assert!(duplicate + 1 >= accepted && duplicate <= accepted, "{family:?} raw {raw}: {outcome:?}");
        assert_eq!((forged, foreign), (0, 0), "{outcome:?}");
        assert!(outcome.samples.last().is_some_and(|s| s.signal == Signal::Good && s.fresh == 3), "{outcome:?}");
    }
}

/// What an attack is to add to.
type Counter = fn(&Counters) -> u64;

#[test]
fn nothing_but_the_genuine_answer_is_a_sample() {
    let Some(arena) = Arena::new("hostile") else { return };
    let mut random = wanctl_hal::sim::Rng::new(5);
    type Attack<'a> = Box<dyn FnMut(&Seen) -> Vec<Shot> + Send + 'a>;
    let kinds = |seen: &Seen| seen.family.types();
    let attacks: Vec<(&str, Counter, Attack<'_>)> = vec![
        ("another address", |c| c.foreign, Box::new(|s| vec![(s.family.address(9), s.answer(|_| {}).1)])),
        ("a forged token", |c| c.forged, Box::new(|s| vec![s.answer(|m| m[23] ^= 1)])),
        ("another sequence", |c| c.late, Box::new(|s| vec![s.answer(|m| m[6] ^= 0x40)])),
        ("another identifier", |_| 1, Box::new(|s| vec![s.answer(|m| m[5] ^= 1)])),
        ("another payload", |c| c.foreign, Box::new(|s| vec![s.answer(|m| m[9] ^= 1)])),
        ("a short payload", |c| c.foreign, Box::new(|s| (8..24).map(|n| s.answer(|m| m.truncate(n))).collect())),
        (
            "an error about it",
            |c| c.unreachable,
            Box::new(|s| kinds(s)[2..].iter().map(|k| s.error(*k, |_| {})).collect()),
        ),
        (
            "errors about others",
            |c| c.foreign,
            Box::new(|s| kinds(s)[2..].iter().map(|k| s.error(*k, |m| m[5] ^= 1)).collect()),
        ),
        (
            "errors cut short",
            |c| c.foreign,
            Box::new(|s| {
                let (from, whole) = s.error(kinds(s)[2], |_| {});
                (8..whole.len().min(32)).map(|n| (from, sealed(whole[..n].to_vec()))).collect()
            }),
        ),
        (
            "random bytes",
            |_| 1,
            Box::new(move |s| {
                let mut shots = Vec::new();
                // The kernel sends nothing without room for a checksum.
                for length in 4..60 {
                    let mut bytes: Vec<u8> = (0..length).map(|_| random.bits() as u8).collect();
                    // Every third has a type that the filter lets through; some have a right sum.
                    let types = kinds(s);
                    if let Some(first) = bytes.first_mut().filter(|_| length % 3 == 0) {
                        *first = types[1 + length % 2 * 2];
                    }
                    if bytes.first().is_some_and(|first| *first == types[0]) {
                        continue;
                    }
                    shots.push((s.family.address(9), if length % 2 == 0 { sealed(bytes) } else { bytes }));
                }
                shots
            }),
        ),
    ];
    for (name, counter, mut attack) in attacks {
        for (family, raw) in KINDS {
            let outcome = arena.fight(family, raw, &mut attack);
            let told = format!("{name}, {family:?}, raw sockets {raw}: {outcome:?}");
            assert!(outcome.counters.sent >= 5, "{told}");
            assert_eq!(outcome.counters.accepted, 0, "{told}");
            assert!(outcome.samples.iter().all(|s| s.rtt.is_none() && s.signal == Signal::WarmingUp), "{told}");
            // Of an unprivileged socket the kernel keeps away what is no reply.
            assert!(!raw || counter(&outcome.counters) > 0, "not counted: {told}");
        }
    }
}

#[test]
fn a_wrong_checksum_is_no_answer() {
    // Only of ICMP: the sum of ICMPv6 is made, and verified, by the kernel.
    let Some(arena) = Arena::new("checksum") else { return };
    for raw in [true, false] {
        let outcome = arena.fight(Family::V4, raw, |seen| {
            let (from, mut message) = seen.answer(|_| {});
            message[2] ^= 0x55;
            vec![(from, message)]
        });
        assert_eq!(outcome.counters.accepted, 0, "{outcome:?}");
        assert!(!raw || outcome.counters.foreign >= 5, "{outcome:?}");
    }
}

#[test]
fn the_genuine_answer_is_found_among_everything_else() {
    let Some(arena) = Arena::new("among") else { return };
    for (family, raw) in KINDS {
        let outcome = arena.fight(family, raw, |seen| {
            let types = family.types();
            vec![
                (family.address(9), seen.answer(|_| {}).1),
                seen.answer(|m| m[20] ^= 7),
                seen.error(types[2], |_| {}),
                seen.answer(|_| {}),
                seen.error(types[3], |_| {}),
                seen.answer(|m| m[16] ^= 7),
                seen.answer(|_| {}),
            ]
        });
        let Counters { accepted, duplicate, forged, foreign, unreachable, impossible, .. } = outcome.counters;
        assert!(accepted >= 5 && duplicate + 1 >= accepted && impossible == 0, "{family:?} raw {raw}: {outcome:?}");
        assert!(forged + 2 >= 2 * accepted && foreign >= accepted, "{family:?} raw {raw}: {outcome:?}");
        assert!(!raw || unreachable + 2 >= 2 * accepted, "{family:?} raw {raw}: {outcome:?}");
        assert!(outcome.samples.last().is_some_and(|s| s.signal == Signal::Good && s.fresh == 3), "{outcome:?}");
        // An attacker between could make it later, never earlier than it was sent.
        assert!(outcome.samples.iter().filter_map(|s| s.rtt).all(|rtt| rtt.get() < 500.0), "{outcome:?}");
    }
}

#[test]
fn a_flood_is_taken_in_bounded_pieces() {
    let Some(arena) = Arena::new("flood") else { return };
    for (family, raw) in KINDS {
        let mut left = 10_000u32;
        let outcome = arena.fight_dozing(family, raw, Duration::from_millis(40), |seen| {
            let mut shots = vec![seen.answer(|_| {})];
            for n in 0..left.min(2_000) {
                left -= 1;
                shots.push(seen.answer(|m| m[6..8].copy_from_slice(&(n as u16 ^ 0x5000).to_be_bytes())));
            }
            shots
        });
        assert_eq!(left, 0, "all of it was sent");
        let counters = outcome.counters;
        assert_eq!(outcome.most_datagrams, 64, "{family:?} raw {raw}: as many as may be, not one more: {counters:?}");
        assert!(counters.late + counters.forged >= 500, "{family:?} raw {raw}: {counters:?}");
        assert!(counters.accepted >= 1 && counters.accepted <= counters.sent, "{family:?} raw {raw}: {counters:?}");
        assert!(outcome.samples.last().is_some_and(|s| s.signal == Signal::Good), "{:?}", outcome.samples.last());
    }
}
