//! Entries into few bytes and back.
//!
//! Every entry begins with one byte: its kind in the lower five bits, and in the upper three the
//! WAN, or another small number. Times are written as differences; addresses, tokens and messages
//! that were there before by reference. Writer and reader keep the same [`Context`].

use super::delta::Memory;
use super::entry::{Entry, Io};
use super::plain::{Code, Input};
use crate::board::{Clock, EchoEvent, EchoReply, EchoRequest, MAX_WANS, Ready, TcpProbe, WanId};
use crate::units::{Duration, Instant, WallClock};
use core::net::IpAddr;

/// Kinds of entries. A number, once given, keeps its meaning within one format version.
mod kind {
    pub const CLOCK: u8 = 0;
    pub const ENTROPY: u8 = 1;
    pub const WAIT: u8 = 2;
    pub const OPEN_WAN: u8 = 3;
    pub const CLOSE_WAN: u8 = 4;
    pub const SENT: u8 = 5;
    pub const NOT_SENT: u8 = 6;
    pub const NO_DATAGRAM: u8 = 7;
    pub const REPLY: u8 = 8;
    /// A reply with a token that was not sent with this sequence number.
    pub const STRANGE_REPLY: u8 = 9;
    pub const UNREACHABLE: u8 = 10;
    pub const MALFORMED: u8 = 11;
    pub const FOREIGN: u8 = 12;
    pub const CLOCK_STEP: u8 = 13;
    pub const TCP_PROBE: u8 = 14;
    pub const NO_TCP_RESULT: u8 = 15;
    pub const TCP_RESULT: u8 = 16;
    pub const LINK_TARGET: u8 = 17;
    pub const LINK_OPEN: u8 = 18;
    pub const LINK_POLL: u8 = 19;
    pub const LINK_READ: u8 = 20;
    pub const LINK_WRITE: u8 = 21;
    pub const LINK_CLOSE: u8 = 22;
    pub const SIGNAL: u8 = 23;
    pub const LOAD: u8 = 24;
    pub const STORE: u8 = 25;
    pub const NOTE: u8 = 26;
    pub const END: u8 = 27;
    pub const TRACE: u8 = 28;
}

/// How many addresses are remembered; a WAN has far fewer reflectors.
const ADDRESSES: usize = 64;

/// How many tokens are remembered per WAN, by sequence number.
const TOKENS: usize = 256;

/// What writer and reader both know from the entries before.
#[derive(Debug)]
pub(super) struct Context {
    now: Instant,
    /// Until when the daemon last wanted to sleep: most often it still does.
    deadline: Instant,
    /// Where the clock is expected next: at the deadline, if nothing else has woken the daemon.
    expected: Instant,
    /// Wall clock less monotonic clock, in nanoseconds, modulo 2^64.
    offset: u64,
    addresses: heapless::Vec<IpAddr, ADDRESSES>,
    sequences: [u16; MAX_WANS],
    tokens: Box<[[u64; TOKENS]; MAX_WANS]>,
    read: Memory,
    written: Memory,
    stored: Memory,
}

impl Default for Context {
    fn default() -> Self {
        Self {
            now: Instant::ZERO,
            deadline: Instant::ZERO,
            expected: Instant::ZERO,
            offset: 0,
            addresses: heapless::Vec::new(),
            sequences: [0; MAX_WANS],
            tokens: Box::new([[0; TOKENS]; MAX_WANS]),
            read: Memory::default(),
            written: Memory::default(),
            stored: Memory::default(),
        }
    }
}

fn place(sequence: u16) -> usize {
    usize::from(sequence) % TOKENS
}

fn first_byte(kind: u8, small: usize) -> u8 {
    kind | (u8::try_from(small).unwrap_or(0) << 5)
}

impl Context {
    /// The last reading of the monotonic clock.
    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// Appends an entry.
    pub(super) fn write(&mut self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        match entry {
            Entry::Clock(clock) => self.write_clock(*clock, out),
            Entry::Wait { at_most, ready } => self.write_wait(*at_most, *ready, out),
            Entry::SendEcho { .. } | Entry::RecvEcho { .. } => self.write_echo(entry, out),
            Entry::TcpResult { wan, probe: None } => out.push(first_byte(kind::NO_TCP_RESULT, wan.index())),
            Entry::TcpResult { wan, probe: Some(probe) } => {
                out.push(first_byte(kind::TCP_RESULT, wan.index()));
                (probe.slot, probe.result, ()).put(out);
            }
            Entry::LinkPoll(event) => {
                out.push(first_byte(kind::LINK_POLL, usize::from(event.is_some())));
                event.iter().for_each(|event| event.put(out));
            }
            Entry::LinkRead(io) => write_io(kind::LINK_READ, io, &mut self.read, out),
            Entry::LinkWrite(io) => write_io(kind::LINK_WRITE, io, &mut self.written, out),
            Entry::Signal(signal) => {
                out.push(first_byte(kind::SIGNAL, usize::from(signal.is_some())));
                signal.iter().for_each(|signal| signal.put(out));
            }
            Entry::Store { file, durable, bytes, result } => {
                out.push(kind::STORE);
                (*file, *durable, *result).put(out);
                self.stored.write(bytes, out);
            }
            rare => write_rare(rare, out),
        }
    }

    /// The deadline as 0 when it has passed, 1 when it is the last one, else as a difference.
    fn write_wait(&mut self, at_most: Duration, ready: Ready, out: &mut Vec<u8>) {
        let (tcp, link, signal) = (u8::from(ready.tcp), u8::from(ready.link), u8::from(ready.signal));
        out.push(first_byte(kind::WAIT, usize::from(tcp | link << 1 | signal << 2)));
        out.push(ready.wans);
        let deadline = self.now + at_most;
        if at_most == Duration::ZERO {
            out.push(0);
        } else if deadline == self.deadline {
            out.push(1);
        } else {
            out.push(2);
            difference(self.deadline.as_nanos(), deadline.as_nanos()).put(out);
        }
        self.slept(deadline, ready);
    }

    fn slept(&mut self, deadline: Instant, ready: Ready) {
        if deadline > self.now {
            self.deadline = deadline;
        }
        let woken = ready.wans != 0 || ready.tcp || ready.signal;
        self.expected = if woken { self.now } else { deadline };
    }

    fn read_wait(&mut self, small: usize, input: &mut Input<'_>) -> Option<Entry<'static>> {
        let [wans, how] = Code::take(input)?;
        let ready = Ready { wans, tcp: small & 1 != 0, link: small & 2 != 0, signal: small & 4 != 0 };
        let deadline = match how {
            0 => self.now,
            1 => self.deadline,
            2 => self.read_time(self.deadline, input)?,
            _ => return None,
        };
        let at_most = deadline.since(self.now);
        self.slept(deadline, ready);
        Some(Entry::Wait { at_most, ready })
    }

    fn write_clock(&mut self, clock: Clock, out: &mut Vec<u8>) {
        let offset = clock.wall.0.wrapping_sub(clock.now.as_nanos());
        out.push(kind::CLOCK);
        difference(self.expected.as_nanos(), clock.now.as_nanos()).put(out);
        difference(self.offset, offset).put(out);
        (self.now, self.expected, self.offset) = (clock.now, clock.now, offset);
    }

    fn write_echo(&mut self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        match entry {
            Entry::SendEcho { wan, request, result } => {
                let sent = if result.is_ok() { kind::SENT } else { kind::NOT_SENT };
                out.push(first_byte(sent, wan.index()));
                self.write_probe(*wan, request.to, request.sequence, out);
                request.token.to_le_bytes().put(out);
                self.tokens[wan.index()][place(request.sequence)] = request.token;
                match result {
                    Ok(at) => self.write_time(*at, out),
                    Err(error) => error.put(out),
                }
            }
            Entry::RecvEcho { wan, event: Some(EchoEvent::Reply(reply)) } => {
                let known = self.tokens[wan.index()][place(reply.sequence)] == reply.token;
                out.push(first_byte(if known { kind::REPLY } else { kind::STRANGE_REPLY }, wan.index()));
                self.write_probe(*wan, reply.from, reply.sequence, out);
                self.write_time(reply.at, out);
                if !known {
                    reply.token.to_le_bytes().put(out);
                }
            }
            Entry::RecvEcho { wan, event: Some(EchoEvent::Unreachable { from, to, sequence }) } => {
                out.push(first_byte(kind::UNREACHABLE, wan.index()));
                self.write_probe(*wan, *to, *sequence, out);
                self.write_address(*from, out);
            }
            Entry::RecvEcho { wan, event } => {
                let kind = match event {
                    Some(EchoEvent::Malformed) => kind::MALFORMED,
                    Some(EchoEvent::Foreign) => kind::FOREIGN,
                    Some(EchoEvent::ClockStep) => kind::CLOCK_STEP,
                    _ => kind::NO_DATAGRAM,
                };
                out.push(first_byte(kind, wan.index()));
            }
            _ => {}
        }
    }

    fn write_probe(&mut self, wan: WanId, address: IpAddr, sequence: u16, out: &mut Vec<u8>) {
        self.write_address(address, out);
        let last = core::mem::replace(&mut self.sequences[wan.index()], sequence);
        (i64::from(sequence) - i64::from(last)).put(out);
    }

    /// A known address by its number from 1, a new one behind a 0.
    fn write_address(&mut self, address: IpAddr, out: &mut Vec<u8>) {
        match self.addresses.iter().position(|&known| known == address) {
            Some(known) => (known + 1).put(out),
            None => {
                (0_u8, address, ()).put(out);
                let _ = self.addresses.push(address); // when there is no room, it is new again next time
            }
        }
    }

    fn write_time(&self, at: Instant, out: &mut Vec<u8>) {
        difference(self.now.as_nanos(), at.as_nanos()).put(out);
    }

    /// Takes the next entry; `None` when the bytes end within it, or mean nothing.
    pub(super) fn read(&mut self, input: &mut Input<'_>) -> Option<Entry<'static>> {
        let [first] = <[u8; 1]>::take(input)?;
        let (kind, small) = (first & 0x1f, usize::from(first >> 5));
        let wan = WanId::new(small)?;
        Some(match kind {
            kind::CLOCK => {
                self.now = self.read_time(self.expected, input)?;
                self.expected = self.now;
                self.offset = self.offset.wrapping_add(i64::take(input)?.cast_unsigned());
                let wall = WallClock(self.now.as_nanos().wrapping_add(self.offset));
                Entry::Clock(Clock { now: self.now, wall })
            }
            kind::WAIT => self.read_wait(small, input)?,
            kind::SENT | kind::NOT_SENT => {
                let (to, sequence) = self.read_probe(wan, input)?;
                let request = EchoRequest { to, sequence, token: u64::from_le_bytes(Code::take(input)?) };
                self.tokens[wan.index()][place(sequence)] = request.token;
                let result =
                    if kind == kind::SENT { Ok(self.read_time(self.now, input)?) } else { Err(Code::take(input)?) };
                Entry::SendEcho { wan, request, result }
            }
            kind::NO_DATAGRAM..=kind::CLOCK_STEP => Entry::RecvEcho { wan, event: self.read_event(kind, wan, input)? },
            kind::NO_TCP_RESULT => Entry::TcpResult { wan, probe: None },
            kind::TCP_RESULT => {
                let (slot, result, ()) = Code::take(input)?;
                Entry::TcpResult { wan, probe: Some(TcpProbe { slot, result }) }
            }
            kind::LINK_POLL => Entry::LinkPoll(if small == 0 { None } else { Some(Code::take(input)?) }),
            kind::LINK_READ => Entry::LinkRead(read_io(small, &mut self.read, input)?),
            kind::LINK_WRITE => Entry::LinkWrite(read_io(small, &mut self.written, input)?),
            kind::SIGNAL => Entry::Signal(if small == 0 { None } else { Some(Code::take(input)?) }),
            kind::STORE => {
                let (file, durable, result) = Code::take(input)?;
                Entry::Store { file, durable, bytes: self.stored.read(input)?.into(), result }
            }
            rare => read_rare(rare, small, input)?,
        })
    }

    fn read_event(&mut self, kind: u8, wan: WanId, input: &mut Input<'_>) -> Option<Option<EchoEvent>> {
        Some(match kind {
            kind::REPLY | kind::STRANGE_REPLY => {
                let (from, sequence) = self.read_probe(wan, input)?;
                let at = self.read_time(self.now, input)?;
                let known = self.tokens[wan.index()][place(sequence)];
                let token = if kind == kind::REPLY { known } else { u64::from_le_bytes(Code::take(input)?) };
                Some(EchoEvent::Reply(EchoReply { from, sequence, token, at }))
            }
            kind::UNREACHABLE => {
                let (to, sequence) = self.read_probe(wan, input)?;
                Some(EchoEvent::Unreachable { from: self.read_address(input)?, to, sequence })
            }
            kind::MALFORMED => Some(EchoEvent::Malformed),
            kind::FOREIGN => Some(EchoEvent::Foreign),
            kind::CLOCK_STEP => Some(EchoEvent::ClockStep),
            _ => None,
        })
    }

    fn read_probe(&mut self, wan: WanId, input: &mut Input<'_>) -> Option<(IpAddr, u16)> {
        let address = self.read_address(input)?;
        let last = &mut self.sequences[wan.index()];
        *last = u16::try_from(i64::take(input)?.checked_add(i64::from(*last))?).ok()?;
        Some((address, *last))
    }

    fn read_address(&mut self, input: &mut Input<'_>) -> Option<IpAddr> {
        match usize::take(input)? {
            0 => {
                let address = Code::take(input)?;
                let _ = self.addresses.push(address);
                Some(address)
            }
            known => self.addresses.get(known - 1).copied(),
        }
    }

    fn read_time(&self, from: Instant, input: &mut Input<'_>) -> Option<Instant> {
        let difference = i64::take(input)?.cast_unsigned();
        Some(Instant::from_nanos(from.as_nanos().wrapping_add(difference)))
    }
}

/// From one number to another, modulo 2^64.
const fn difference(from: u64, to: u64) -> i64 {
    to.wrapping_sub(from).cast_signed()
}

fn write_io(kind: u8, io: &Io<'_>, memory: &mut Memory, out: &mut Vec<u8>) {
    let small = match io {
        Io::Moved(_) => 0,
        Io::WouldBlock => 1,
        Io::Down => 2,
    };
    out.push(first_byte(kind, small));
    if let Io::Moved(bytes) = io {
        memory.write(bytes, out);
    }
}

fn read_io(small: usize, memory: &mut Memory, input: &mut Input<'_>) -> Option<Io<'static>> {
    match small {
        0 => Some(Io::Moved(memory.read(input)?.into())),
        1 => Some(Io::WouldBlock),
        2 => Some(Io::Down),
        _ => None,
    }
}

/// What happens so seldom that its length does not matter.
fn write_rare(entry: &Entry<'_>, out: &mut Vec<u8>) {
    match entry {
        Entry::Entropy(bits) => (kind::ENTROPY, bits.to_le_bytes(), ()).put(out),
        Entry::OpenWan { wan, source, result } => {
            out.push(first_byte(kind::OPEN_WAN, wan.index()));
            source.put(out);
            result.put(out);
        }
        Entry::CloseWan(wan) => out.push(first_byte(kind::CLOSE_WAN, wan.index())),
        Entry::TcpProbe { wan, slot, to, result } => {
            out.push(first_byte(kind::TCP_PROBE, wan.index()));
            (*slot, *to, *result).put(out);
        }
        Entry::SendTrace { wan, request, hops, result } => {
            out.push(first_byte(kind::TRACE, wan.index()));
            (request.to, request.sequence, request.token.to_le_bytes()).put(out);
            (*hops, result.map(Instant::as_nanos), ()).put(out);
        }
        Entry::LinkTarget { target, result } => {
            out.push(kind::LINK_TARGET);
            target.put(out);
            result.put(out);
        }
        Entry::LinkOpen(to) => (kind::LINK_OPEN, *to, ()).put(out),
        Entry::LinkClose => out.push(kind::LINK_CLOSE),
        Entry::Load { file, result } => {
            (kind::LOAD, *file, ()).put(out);
            result.put(out);
        }
        Entry::Note(bytes) => {
            out.push(kind::NOTE);
            bytes.put(out);
        }
        Entry::End(end) => {
            out.push(kind::END);
            end.put(out);
        }
        _ => {}
    }
}

fn read_rare(kind: u8, small: usize, input: &mut Input<'_>) -> Option<Entry<'static>> {
    let wan = WanId::new(small)?;
    Some(match kind {
        kind::ENTROPY => Entry::Entropy(u64::from_le_bytes(Code::take(input)?)),
        kind::OPEN_WAN => Entry::OpenWan { wan, source: Code::take(input)?, result: Code::take(input)? },
        kind::CLOSE_WAN => Entry::CloseWan(wan),
        kind::TCP_PROBE => {
            let (slot, to, result) = Code::take(input)?;
            Entry::TcpProbe { wan, slot, to, result }
        }
        kind::TRACE => {
            let (to, sequence, token) = Code::take(input)?;
            let (hops, result, ()): (u8, Result<u64, crate::board::SendError>, ()) = Code::take(input)?;
            let request = EchoRequest { to, sequence, token: u64::from_le_bytes(token) };
            Entry::SendTrace { wan, request, hops, result: result.map(Instant::from_nanos) }
        }
        kind::LINK_TARGET => Entry::LinkTarget { target: Code::take(input)?, result: Code::take(input)? },
        kind::LINK_OPEN => Entry::LinkOpen(Code::take(input)?),
        kind::LINK_CLOSE => Entry::LinkClose,
        kind::LOAD => Entry::Load { file: Code::take(input)?, result: Code::take(input)? },
        kind::NOTE => Entry::Note(Code::take(input)?),
        kind::END => Entry::End(Code::take(input)?),
        _ => return None,
    })
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
