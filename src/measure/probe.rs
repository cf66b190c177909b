//! Probes in flight: tokens that can't be guessed, and a fixed table to match replies against.

use super::MAX_CANDIDATES;
use crate::types::{Duration, EchoReply, EchoRequest, Instant};
use core::hash::Hasher;
use core::net::IpAddr;
use std::hash::DefaultHasher;

/// Most probes in flight per WAN. Eight reflectors at full pace on a 600 ms line at 20 ms cycles
/// have 240; beyond that probes are held back.
pub const IN_FLIGHT: usize = 256;

/// A probe nobody answered for this long is forgotten; a reply after that is late.
pub const FORGET_AFTER: Duration = Duration::from_secs(10);

/// One probe on its way.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// Which candidate it was sent to.
    pub reflector: usize,
    /// When it left.
    pub sent: Instant,
    /// Running number over all probes: tells newer from older.
    pub number: u64,
    /// Its silence was booked already, or is excused.
    pub booked: bool,
    token: u64,
    to: IpAddr,
    answered: bool,
}

/// What a reply turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// The answer to this probe, by its place in the table.
    Answer(usize),
    /// A second answer.
    Duplicate,
    /// The sequence is known, the token is wrong.
    Forged,
    /// The token is right, the sender is not who was asked.
    Foreign,
    /// Nothing in flight has this sequence (any more).
    Late,
}

/// The probes in flight: a ring by running number. Answered ones stay until they are overwritten,
/// so that a second answer is known as such.
#[derive(Debug)]
pub struct Table {
    slots: [Option<Probe>; IN_FLIGHT],
    key: u64,
    /// The number of the next probe.
    next: u64,
    /// Below this number no probe is waited for any more. Only what lies between is looked
    /// through in every cycle: the whole table would push everything else out of a small cache.
    first: u64,
}

impl Table {
    /// An empty table; `key` is secret.
    #[must_use]
    pub const fn new(key: u64) -> Self {
        Self { slots: [None; IN_FLIGHT], key, next: 0, first: 0 }
    }

    /// The request for the next probe to `to`. It is in flight only once [`Table::sent`] is told.
    pub fn request(&mut self, to: IpAddr) -> EchoRequest {
        let number = self.next;
        self.next += 1;
        // SipHash over the key and the number: replies of one reflector do not tell the next token.
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.key);
        hasher.write_u64(number);
        EchoRequest { to, sequence: sequence_of(number), token: hasher.finish() }
    }

    /// The request left at `at`. Returns whether an unanswered probe had to give way.
    pub fn sent(&mut self, reflector: usize, request: &EchoRequest, at: Instant) -> bool {
        let number = self.number_of(request.sequence);
        let slot = &mut self.slots[slot_of(number)];
        let overflow = slot.as_ref().is_some_and(|old| !old.answered && at.since(old.sent) < FORGET_AFTER);
        *slot = Some(Probe {
            reflector,
            sent: at,
            number,
            booked: false,
            token: request.token,
            to: request.to,
            answered: false,
        });
        self.first = self.first.max(self.next.saturating_sub(IN_FLIGHT as u64));
        overflow
    }

    /// The unanswered probe that the next one would push out.
    #[must_use]
    pub fn in_the_way(&self) -> Option<&Probe> {
        self.slots[slot_of(self.next)].as_ref().filter(|p| !p.answered)
    }

    /// What a reply answers.
    #[must_use]
    pub fn find(&self, reply: &EchoReply) -> Match {
        let index = usize::from(reply.sequence) % IN_FLIGHT;
        match &self.slots[index] {
            Some(probe) if sequence_of(probe.number) == reply.sequence => {
                if reply.at.since(probe.sent) >= FORGET_AFTER {
                    Match::Late
                } else if probe.token != reply.token {
                    Match::Forged
                } else if probe.to != reply.from {
                    Match::Foreign
                } else if probe.answered {
                    Match::Duplicate
                } else {
                    Match::Answer(index)
                }
            }
            _ => Match::Late,
        }
    }

    /// Marks a probe as answered and returns it.
    pub fn answer(&mut self, index: usize) -> Option<Probe> {
        let probe = self.slots.get_mut(index)?.as_mut()?;
        probe.answered = true;
        Some(*probe)
    }

    /// The probes that are out, oldest first, for looking at their age.
    pub fn outstanding(&mut self) -> impl Iterator<Item = &mut Probe> {
        let first = self.first;
        let length = usize::try_from(self.next - first).unwrap_or(IN_FLIGHT);
        let (wrapped, straight) = self.slots.split_at_mut(slot_of(first));
        let window = straight.iter_mut().chain(wrapped).take(length);
        window.flatten().filter(move |p| p.number >= first && !p.answered)
    }

    /// Waits no longer for probes that nobody will answer any more.
    pub fn forget(&mut self, now: Instant) {
        let waits = |p: &Probe, number| p.number == number && !p.answered && now.since(p.sent) < FORGET_AFTER;
        while self.first < self.next && !self.slots[slot_of(self.first)].is_some_and(|p| waits(&p, self.first)) {
            self.first += 1;
        }
    }

    /// Whether other reflectors answered a probe at most `round` numbers before this one, and one
    /// at most as many after it. What is lost together with its neighbours was lost by the line.
    #[must_use]
    pub fn line_was_up(&self, number: u64, round: usize) -> bool {
        let Some(lost) = self.at(number) else { return false };
        let answered = |n: u64| {
            self.at(n).is_some_and(|p| p.answered && p.reflector != lost.reflector && p.reflector < MAX_CANDIDATES)
        };
        let round = round as u64;
        (number.saturating_sub(round)..number).any(answered) && (number + 1..=number + round).any(answered)
    }

    /// The silence of this probe is held against its reflector: once.
    pub fn book(&mut self, number: u64) {
        if let Some(probe) = self.slots[slot_of(number)].as_mut().filter(|p| p.number == number) {
            probe.booked = true;
        }
    }

    /// The silence of no probe now in flight is to be held against its reflector.
    pub fn excuse(&mut self) {
        self.outstanding().for_each(|probe| probe.booked = true);
    }

    fn at(&self, number: u64) -> Option<&Probe> {
        self.slots[slot_of(number)].as_ref().filter(|p| p.number == number)
    }

    /// Drops what is in flight to one reflector.
    pub fn forget_reflector(&mut self, reflector: usize) {
        for slot in &mut self.slots {
            if slot.as_ref().is_some_and(|p| p.reflector == reflector && !p.answered) {
                *slot = None;
            }
        }
    }

    /// The newest number with this sequence.
    fn number_of(&self, sequence: u16) -> u64 {
        let newest = self.next.saturating_sub(1);
        newest - u64::from(sequence_of(newest).wrapping_sub(sequence))
    }
}

/// The low 16 bits of a number.
fn sequence_of(number: u64) -> u16 {
    u16::try_from(number & 0xffff).unwrap_or(0)
}

/// Where a number stands in the table; sequences wrap at a multiple of its size.
fn slot_of(number: u64) -> usize {
    usize::from(sequence_of(number)) % IN_FLIGHT
}

const _: () = assert!(65_536 % IN_FLIGHT == 0 && MAX_CANDIDATES <= IN_FLIGHT);

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    fn send(table: &mut Table, ms: u64) -> EchoRequest {
        let request = table.request(HOST);
        table.sent(0, &request, at(ms));
        request
    }

    fn reply(request: &EchoRequest, ms: u64) -> EchoReply {
        EchoReply { from: HOST, sequence: request.sequence, token: request.token, at: at(ms) }
    }

    fn waiting(table: &mut Table) -> Vec<u64> {
        table.outstanding().map(|p| p.number).collect()
    }

    #[test]
    fn what_is_out_is_told_oldest_first_across_the_end_of_the_table() {
        let mut table = Table::new(1);
        for ms in 0..IN_FLIGHT as u64 + 10 {
            let request = send(&mut table, ms);
            if ms != 250 && ms < 260 {
                let Match::Answer(index) = table.find(&reply(&request, ms)) else { panic!("{ms}") };
                table.answer(index);
            }
            table.forget(at(ms));
        }
        assert_eq!(waiting(&mut table), [250, 260, 261, 262, 263, 264, 265]);
        table.forget(at(250) + FORGET_AFTER);
        assert_eq!(waiting(&mut table), [260, 261, 262, 263, 264, 265]);
        table.forget(at(1_000) + FORGET_AFTER);
        assert_eq!(waiting(&mut table), [0; 0]);
    }

    #[test]
    fn a_full_table_counts_whom_it_gives_up_and_waits_for_the_rest() {
        let mut table = Table::new(1);
        let overflows = (0..300).filter(|&ms| {
            let request = table.request(HOST);
            table.sent(0, &request, at(ms))
        });
        assert_eq!(overflows.count(), 300 - IN_FLIGHT);
        assert_eq!(waiting(&mut table), (44..300).collect::<Vec<_>>());
    }

    #[test]
    fn second_forged_foreign_and_late_replies_are_told_apart() {
        let mut table = Table::new(1);
        let request = send(&mut table, 0);
        let good = reply(&request, 20);
        assert_eq!(table.find(&EchoReply { token: 7, ..good }), Match::Forged);
        assert_eq!(table.find(&EchoReply { from: IpAddr::V4(Ipv4Addr::BROADCAST), ..good }), Match::Foreign);
        assert_eq!(table.find(&EchoReply { sequence: 9, ..good }), Match::Late);
        assert_eq!(table.find(&EchoReply { at: at(0) + FORGET_AFTER, ..good }), Match::Late);
        assert_eq!(table.find(&good), Match::Answer(0));
        table.answer(0);
        table.forget(at(30));
        assert_eq!(table.find(&good), Match::Duplicate);
    }

    #[test]
    fn a_probe_that_was_never_sent_is_not_waited_for() {
        let mut table = Table::new(1);
        table.request(HOST);
        send(&mut table, 5);
        assert_eq!(waiting(&mut table), [1]);
        table.forget(at(5));
        assert_eq!(waiting(&mut table), [1]);
    }
}
