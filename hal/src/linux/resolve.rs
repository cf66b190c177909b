//! Names into addresses without `getaddrinfo`, which would block for as long as it likes: address
//! literals, /etc/hosts, then one small DNS query at a time with a time limit. The loop never
//! waits for one: `begin` is for what may take its time.

use super::sys::is_wait;
use crate::units::Duration;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::net::UdpSocket;
use std::time::Instant as StdInstant;

const A: u16 = 1;
const AAAA: u16 = 28;
const INTERNET: u16 = 1;

/// Room for an answer.
const ANSWER: usize = 1232;

/// How long a stop may go unnoticed while an answer is waited for.
const GLANCE: Duration = Duration::from_millis(50);

/// Looks `host` up, in `budget` at most and not for longer than `stop` says no. `None` when nothing
/// answers or the name does not exist.
#[must_use]
pub fn resolve(host: &str, budget: Duration, stop: &dyn Fn() -> bool) -> Option<IpAddr> {
    if let Some(known) = known(host) {
        return Some(known);
    }
    let servers = nameservers(&text_of("/etc/resolv.conf"));
    let end = StdInstant::now() + budget;
    let queries = [A, AAAA].into_iter().flat_map(|kind| servers.iter().map(move |s| (kind, *s)));
    let share = budget / u32::try_from(servers.len().max(1) * 2).unwrap_or(1);
    queries
        .take_while(|_| StdInstant::now() < end && !stop())
        .find_map(|(kind, server)| ask(server, host, kind, share, stop))
}

/// What needs no name server: a literal, or a line of /etc/hosts.
fn known(host: &str) -> Option<IpAddr> {
    let literal = host.trim_matches(['[', ']']).parse().ok();
    literal.or_else(|| in_hosts(&text_of("/etc/hosts"), host))
}

/// A file that can't be read says nothing.
fn text_of(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The address of this machine from which packets to `to` leave. Sends nothing.
#[must_use]
pub fn source_toward(to: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(to).ok()?;
    socket.local_addr().ok().map(|local| local.ip())
}

/// The first address of `host` in the text of /etc/hosts.
fn in_hosts(text: &str, host: &str) -> Option<IpAddr> {
    text.lines().map(|l| l.split('#').next().unwrap_or("")).find_map(|line| {
        let mut words = line.split_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|name| name.eq_ignore_ascii_case(host)).then_some(address)
    })
}

/// Up to three name servers, as in resolv.conf(5).
fn nameservers(text: &str) -> Vec<SocketAddr> {
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    servers.filter_map(|rest| rest.trim().parse().ok()).map(|ip: IpAddr| SocketAddr::new(ip, 53)).take(3).collect()
}

/// A socket that has asked a name server, and the number of the question.
fn inquire(server: SocketAddr, host: &str, kind: u16) -> Option<(UdpSocket, u16)> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    socket.connect(server).ok()?;
    let id = socket.local_addr().ok()?.port();
    socket.send(&query(id, host, kind)?).ok()?;
    Some((socket, id))
}

fn ask(server: SocketAddr, host: &str, kind: u16, patience: Duration, stop: &dyn Fn() -> bool) -> Option<IpAddr> {
    let (socket, id) = inquire(server, host, kind)?;
    socket.set_read_timeout(Some(patience.min(GLANCE).max(Duration::from_millis(1)))).ok()?;
    let mut answer = [0; ANSWER];
    let end = StdInstant::now() + patience;
    loop {
        match socket.recv(&mut answer) {
            Ok(length) => return read_answer(answer.get(..length)?, id, kind),
            Err(e) if is_wait(&e) => {}
            Err(_) => return None,
        }
        if StdInstant::now() >= end || stop() {
            return None;
        }
    }
}

/// A look-up under way that nobody waits for: IPv4 first, then IPv6.
#[derive(Debug)]
pub(super) struct Look {
    socket: UdpSocket,
    host: String,
    kind: u16,
    id: u16,
}

/// How a look-up has begun.
pub(super) enum Begun {
    /// With its end: a literal, or a line of /etc/hosts.
    Known(IpAddr),
    /// A name server was asked.
    Asked(Look),
    /// There is nobody to ask.
    Nowhere,
}

/// Begins to look `host` up; the name server is chosen by `turn`, so that a dead one is passed over next time.
pub(super) fn begin(host: &str, turn: usize) -> Begun {
    if let Some(known) = known(host) {
        return Begun::Known(known);
    }
    let servers = nameservers(&text_of("/etc/resolv.conf"));
    let server = servers.get(turn.checked_rem(servers.len()).unwrap_or(0));
    server.and_then(|server| Look::new(*server, host, A)).map_or(Begun::Nowhere, Begun::Asked)
}

impl Look {
    fn new(server: SocketAddr, host: &str, kind: u16) -> Option<Self> {
        let (socket, id) = inquire(server, host, kind)?;
        socket.set_nonblocking(true).ok()?;
        Some(Self { socket, host: host.to_owned(), kind, id })
    }

    /// `None` while there is no answer; then the address, if the answer holds one.
    pub(super) fn poll(&mut self) -> Option<Option<IpAddr>> {
        let mut answer = [0; ANSWER];
        let length = match self.socket.recv(&mut answer) {
            Ok(length) => length,
            Err(e) if is_wait(&e) => return None,
            Err(_) => return Some(None),
        };
        let found = answer.get(..length).and_then(|bytes| read_answer(bytes, self.id, self.kind));
        if found.is_some() || self.kind == AAAA {
            return Some(found);
        }
        self.kind = AAAA;
        let asked = query(self.id, &self.host, AAAA).and_then(|query| self.socket.send(&query).ok());
        asked.is_none().then_some(None)
    }
}

/// A query with one question, recursion desired. `None` for what is no host name.
fn query(id: u16, host: &str, kind: u16) -> Option<Vec<u8>> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in host.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok().filter(|l| (1..=63).contains(l))?;
        bytes.push(length);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(kind.to_be_bytes());
    bytes.extend(INTERNET.to_be_bytes());
    (bytes.len() <= 300).then_some(bytes)
}

/// The first address of the wanted kind among the answers.
fn read_answer(bytes: &[u8], id: u16, kind: u16) -> Option<IpAddr> {
    const RESPONSE: u8 = 0x80;
    const RCODE: u8 = 0x0f;
    if be16(bytes, 0)? != id || bytes.get(2)? & RESPONSE == 0 || bytes.get(3)? & RCODE != 0 {
        return None;
    }
    let mut at = 12;
    for _ in 0..be16(bytes, 4)? {
        at = skip_name(bytes, at)? + 4;
    }
    for _ in 0..be16(bytes, 6)? {
        at = skip_name(bytes, at)?;
        let (found, length) = (be16(bytes, at)?, usize::from(be16(bytes, at + 8)?));
        let data = bytes.get(at + 10..at + 10 + length)?;
        if found == kind {
            return match kind {
                A => <[u8; 4]>::try_from(data).ok().map(|b| IpAddr::V4(Ipv4Addr::from(b))),
                _ => <[u8; 16]>::try_from(data).ok().map(|b| IpAddr::V6(Ipv6Addr::from(b))),
            };
        }
        at += 10 + length;
    }
    None
}

/// The position behind a name, which may end in a pointer. Never follows pointers, hence ends.
fn skip_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 == 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn response(id: u16, address: [u8; 4]) -> Vec<u8> {
        let mut bytes = query(id, "router.lan", A).unwrap();
        bytes[2] = 0x81;
        bytes[7] = 2; // two answers: an alias, then the address
        bytes.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 12]);
        bytes.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4]);
        bytes.extend(address);
        bytes
    }

    #[test]
    fn literals_hosts_and_answers() {
        assert_eq!(resolve("192.168.88.1", Duration::ZERO, &|| false), Some(IpAddr::from([192, 168, 88, 1])));
        assert_eq!(resolve("[::1]", Duration::ZERO, &|| false), Some(IpAddr::V6(Ipv6Addr::LOCALHOST)));
        assert_eq!(in_hosts("# x\n10.0.0.1 a Router.lan # b\n", "router.lan"), Some(IpAddr::from([10, 0, 0, 1])));
        assert_eq!(nameservers("nameserver 1.1.1.1\nsearch x\nnameserver bad").len(), 1);
        assert_eq!(read_answer(&response(7, [10, 0, 0, 9]), 7, A), Some(IpAddr::from([10, 0, 0, 9])));
        assert_eq!(read_answer(&response(7, [10, 0, 0, 9]), 8, A), None, "another query's answer");
        assert_eq!(query(1, "", A), None);
    }

    #[test]
    fn a_stop_ends_the_wait() {
        let mute = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (server, long) = (mute.local_addr().unwrap(), Duration::from_secs(3600));
        assert_eq!(ask(server, "router.lan", A, long, &|| true), None);
        assert_eq!(ask(server, "router.lan", A, Duration::from_millis(1), &|| false), None, "or the patience does");
    }

    /// A look-up that nobody waits for: IPv4 is asked for first, then IPv6; a silent server is passed over by turns.
    #[test]
    fn a_look_up_goes_on_by_itself() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut look = Look::new(server.local_addr().unwrap(), "router.lan", A).unwrap();
        assert_eq!(look.poll(), None);
        let mut bytes = [0; 512];
        let mut asked = |kind: u16, answer: &[u8]| {
            let (length, from) = server.recv_from(&mut bytes).unwrap();
            assert_eq!(bytes[length - 4..length], [0, u8::try_from(kind).unwrap(), 0, 1]);
            let answer = [&bytes[..2], &answer[2..]].concat();
            server.send_to(&answer, from).unwrap();
        };
        let until = |look: &mut Look, done: &dyn Fn(&Look, &Option<Option<IpAddr>>) -> bool| {
            (0..1000).find_map(|_| {
                std::thread::sleep(Duration::from_millis(1));
                let found = look.poll();
                done(look, &found).then_some(found)
            })
        };
        asked(
            A,
            &query(0, "router.lan", A)
                .map(|mut no| {
                    no[2] = 0x81;
                    no
                })
                .unwrap(),
        );
        assert_eq!(until(&mut look, &|look, _| look.kind == AAAA), Some(None), "no address of IPv4");
        let mut six = query(0, "router.lan", AAAA).unwrap();
        (six[2], six[7]) = (0x81, 1);
        six.extend([0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 9, 0, 16]);
        six.extend(Ipv6Addr::LOCALHOST.octets());
        asked(AAAA, &six);
        assert_eq!(until(&mut look, &|_, found| found.is_some()), Some(Some(Some(Ipv6Addr::LOCALHOST.into()))));
        assert!(matches!(begin("192.0.2.1", 0), Begun::Known(_)) && matches!(begin("localhost", 3), Begun::Known(_)));
    }

    proptest! {
        #[test]
        fn any_answer_is_taken(mut bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 1u16..30) {
            if bytes.len() > 4 { bytes[2] |= 0x80; bytes[3] &= 0xf0; }
            let id = be16(&bytes, 0).unwrap_or(0);
            let _ = read_answer(&bytes, id, kind);
        }
    }
}
