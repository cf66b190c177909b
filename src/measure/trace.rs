//! Which way the probes of a WAN take: the routers on the first hops, by probes that may go so far and no farther.
//!
//! Steering rests on each line being measured through itself. Two lines whose probes pass the same routers behind our
//! own are one line, whatever the configuration says. Pure: requests out, events in.

use crate::types::{Duration, EchoReply, EchoRequest, Instant, Ways};
use core::net::IpAddr;

/// How many hops are looked at: ourselves in a container or on a board, the router, and a few of the provider's.
pub const HOPS: usize = 5;

/// Time between two probes of one look: routers answer errors at a limited rate.
const GAP: Duration = Duration::from_millis(200);

/// Answers are waited for so long after the last probe.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often the way is looked at: a gateway may change with a new lease.
const EVERY: Duration = Duration::from_secs(240);

/// The same while nobody has answered yet.
const AGAIN: Duration = Duration::from_secs(15);

/// The routers of the first hops, as far as they have answered.
pub type Path = [Option<IpAddr>; HOPS];

/// Compares two ways. The first hop may well be the same, our own router; what counts comes after.
#[must_use]
pub fn compare(one: &Path, other: &Path) -> Ways {
    let common = one.iter().zip(other).zip(1_u8..).filter_map(|((a, b), hop)| Some((hop, (*a)?, (*b)?)));
    if let Some((hop, ..)) = common.clone().find(|(_, a, b)| a != b) {
        return Ways::Part(hop);
    }
    common.filter(|(hop, ..)| *hop > 1).last().map_or(Ways::Unknown, |(_, router, _)| Ways::Same(router))
}

/// The way of one WAN.
#[derive(Clone, Debug)]
pub struct Trace {
    to: IpAddr,
    /// Sequence and token of the probe of each hop that is out.
    out: [Option<(u16, u64)>; HOPS],
    /// The next hop to send to, 0 based; [`HOPS`]: waiting for the end of the look.
    hop: usize,
    next: Instant,
    /// What this look has shown so far; told when it is over, or two ways would seem one for a moment.
    seen: Path,
    path: Path,
}

impl Trace {
    /// Looks toward `to`, which should be the same for all WANs that are compared.
    #[must_use]
    pub const fn new(to: IpAddr, now: Instant) -> Self {
        Self { to, out: [None; HOPS], hop: 0, next: now, seen: [None; HOPS], path: [None; HOPS] }
    }

    /// The hop that a probe is due for, and to whom it shall be addressed.
    pub fn poll(&mut self, now: Instant) -> Option<(u8, IpAddr)> {
        if now < self.next {
            return None;
        }
        if self.hop == HOPS {
            // The look is over.
            self.hop = 0;
            self.path = self.seen;
            self.next = now + if self.path.iter().skip(1).any(Option::is_some) { EVERY } else { AGAIN };
            return None;
        }
        u8::try_from(self.hop + 1).ok().map(|hop| (hop, self.to))
    }

    /// That probe has left, or could not.
    pub fn sent(&mut self, now: Instant, request: &EchoRequest) {
        if let Some(out) = self.out.get_mut(self.hop) {
            *out = Some((request.sequence, request.token));
        }
        self.hop += 1;
        self.next = now + if self.hop == HOPS { PATIENCE } else { GAP };
    }

    /// A router says that a probe may not go on. Returns whether the probe was one of these.
    pub fn stopped(&mut self, from: IpAddr, to: IpAddr, sequence: u16) -> bool {
        let hop = self.out.iter().position(|out| out.is_some_and(|(s, _)| s == sequence));
        let Some(hop) = hop.filter(|_| to == self.to) else { return false };
        self.out[hop] = None;
        self.seen[hop] = Some(from);
        true
    }

    /// A reply: a probe has reached its end, so this hop is none. Returns whether the probe was one of these.
    pub fn arrived(&mut self, reply: &EchoReply) -> bool {
        let hop = self.out.iter().position(|out| *out == Some((reply.sequence, reply.token)));
        let Some(hop) = hop else { return false };
        self.out[hop] = None;
        self.seen[hop] = None;
        true
    }

    /// The way as it is known. A router that is silent for once stays in it; another one takes its place.
    #[must_use]
    pub const fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    fn path(routers: [&str; HOPS]) -> Path {
        routers.map(ip)
    }

    #[test]
    fn ways_part_behind_our_own_router_or_are_one() {
        let cable = path(["192.168.88.1", "100.64.1.1", "203.0.113.1", "", ""]);
        let dsl = path(["192.168.88.1", "100.64.2.1", "203.0.113.9", "", ""]);
        assert_eq!(compare(&cable, &dsl), Ways::Part(2));
        assert_eq!(compare(&cable, &cable), Ways::Same(ip("203.0.113.1").unwrap()));
        // Only our own router answers, or never the same hop on both.
        assert_eq!(compare(&path(["192.168.88.1", "", "", "", ""]), &cable), Ways::Unknown);
        assert_eq!(compare(&path(["", "", "", "198.51.100.1", ""]), &cable), Ways::Unknown);
        assert_eq!(compare(&[None; HOPS], &[None; HOPS]), Ways::Unknown);
        // Another router in the house before both.
        let behind = path(["10.0.0.1", "192.168.88.1", "100.64.1.1", "", ""]);
        assert_eq!(compare(&behind, &path(["10.0.0.1", "192.168.88.1", "100.64.2.1", "", ""])), Ways::Part(3));
    }

    #[test]
    fn a_look_sends_one_probe_a_hop_and_is_repeated() {
        let mut now = Instant::from_nanos(1_000_000_000);
        let target = ip("1.1.1.1").unwrap();
        let mut trace = Trace::new(target, now);
        let mut sequence = 7;
        let mut sent = 0;
        let end = now + Duration::from_secs(600);
        while now < end {
            while let Some((hop, to)) = trace.poll(now) {
                assert!(usize::from(hop) == sent % HOPS + 1 && to == target);
                trace.sent(now, &EchoRequest { to, sequence, token: 5 });
                // The second hop answers, the fourth is the end; the rest is silent.
                assert!(!trace.stopped(target, target, sequence.wrapping_add(1)));
                assert!(!trace.stopped(target, ip("9.9.9.9").unwrap(), sequence));
                if hop == 2 {
                    assert!(trace.stopped(ip("100.64.1.1").unwrap(), to, sequence));
                } else if hop == 4 {
                    let reply = EchoReply { from: to, sequence, token: 6, at: now };
                    assert!(!trace.arrived(&reply), "another's token");
                    assert!(trace.arrived(&EchoReply { token: 5, ..reply }));
                }
                sequence += 1;
                sent += 1;
            }
            now += Duration::from_millis(50);
        }
        assert_eq!(sent, 3 * HOPS, "three looks in ten minutes");
        assert_eq!(*trace.path(), path(["", "100.64.1.1", "", "", ""]));
    }

    #[test]
    fn a_silent_way_is_looked_at_more_often() {
        let mut now = Instant::ZERO;
        let mut trace = Trace::new(ip("1.1.1.1").unwrap(), now);
        let mut sent = 0;
        while now < Instant::ZERO + Duration::from_secs(60) {
            if let Some((_, to)) = trace.poll(now) {
                trace.sent(now, &EchoRequest { to, sequence: 1, token: 1 });
                sent += 1;
            }
            now += Duration::from_millis(50);
        }
        assert!((15..=25).contains(&sent), "{sent}");
    }
}
