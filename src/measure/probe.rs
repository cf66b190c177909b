//! Probes in flight: tokens that can't be guessed, and a fixed table to match replies against.

use super::MAX_CANDIDATES;
use crate::types::{Duration, EchoReply, EchoRequest, Instant};
use core::hash::Hasher;
use core::net::IpAddr;
use std::hash::DefaultHasher;

/// Most probes in flight per WAN. Eight reflectors at full pace on a 600 ms line at 20 ms cycles
/// have 240; beyond that the oldest give way and are counted.
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
    /// Its silence was booked already.
    pub overdue: bool,
    sequence: u16,
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

/// The probes in flight.
#[derive(Debug)]
pub struct Table {
    slots: [Option<Probe>; IN_FLIGHT],
    key: u64,
    next: u64,
}

impl Table {
    /// An empty table; `key` is secret.
    #[must_use]
    pub const fn new(key: u64) -> Self {
        Self { slots: [None; IN_FLIGHT], key, next: 0 }
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
            overdue: false,
            sequence: request.sequence,
            token: request.token,
            to: request.to,
            answered: false,
        });
        overflow
    }

    /// What a reply answers.
    #[must_use]
    pub fn find(&self, reply: &EchoReply) -> Match {
        let index = usize::from(reply.sequence) % IN_FLIGHT;
        match &self.slots[index] {
            Some(probe) if probe.sequence == reply.sequence => {
                if probe.token != reply.token {
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

    /// The probes that are out, for looking at their age.
    pub fn outstanding(&mut self) -> impl Iterator<Item = &mut Probe> {
        self.slots.iter_mut().flatten().filter(|p| !p.answered)
    }

    /// Drops probes that nobody will answer any more, and those to a reflector that is no longer
    /// asked.
    pub fn forget(&mut self, now: Instant) {
        for slot in &mut self.slots {
            if slot.as_ref().is_some_and(|p| now.since(p.sent) >= FORGET_AFTER) {
                *slot = None;
            }
        }
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
