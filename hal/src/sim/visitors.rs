//! Clients of the local endpoint, played by a test.

use crate::board::LinkIo;
use crate::endpoint::CLIENTS;

/// One client: what it still has to say, and what it has heard.
#[derive(Clone, Debug, Default)]
struct Visitor {
    says: Vec<u8>,
    said: usize,
    /// Bytes that it says in one go, and takes in one go.
    pace: usize,
    heard: Vec<u8>,
    /// It has left.
    gone: bool,
    /// The other side has closed the connection.
    closed: bool,
}

/// All clients there ever were, and who sits in which place.
#[derive(Clone, Debug, Default)]
pub struct Visitors {
    visitors: Vec<Visitor>,
    accepted: usize,
    seats: [Option<usize>; CLIENTS],
    open: bool,
}

impl Visitors {
    /// A client that says `words`, at most `pace` bytes at a time, and takes as many. Returns its
    /// number.
    pub fn visit(&mut self, words: &[u8], pace: usize) -> usize {
        self.visitors.push(Visitor { says: words.to_vec(), pace: pace.max(1), ..Visitor::default() });
        self.visitors.len() - 1
    }

    /// A client says something more.
    pub fn say(&mut self, visitor: usize, words: &[u8]) {
        if let Some(visitor) = self.visitors.get_mut(visitor) {
            visitor.says.extend_from_slice(words);
        }
    }

    /// What a client has heard, and whether the other side has closed the connection.
    #[must_use]
    pub fn heard(&self, visitor: usize) -> (&[u8], bool) {
        self.visitors.get(visitor).map_or((&[], false), |v| (&v.heard, v.closed))
    }

    /// A client leaves.
    pub fn leave(&mut self, visitor: usize) {
        if let Some(visitor) = self.visitors.get_mut(visitor) {
            visitor.gone = true;
        }
    }

    pub(super) const fn listen(&mut self, open: bool) {
        self.open = open;
    }

    pub(super) fn accept(&mut self) -> Option<usize> {
        let free = self.seats.iter().position(Option::is_none)?;
        if !self.open || self.accepted == self.visitors.len() {
            return None;
        }
        self.seats[free] = Some(self.accepted);
        self.accepted += 1;
        Some(free)
    }

    fn seated(&mut self, seat: usize) -> Option<&mut Visitor> {
        self.visitors.get_mut((*self.seats.get(seat)?)?)
    }

    pub(super) fn read(&mut self, seat: usize, buffer: &mut [u8]) -> LinkIo {
        let Some(visitor) = self.seated(seat) else { return LinkIo::Down };
        let rest = &visitor.says[visitor.said..];
        let count = rest.len().min(visitor.pace).min(buffer.len());
        if count == 0 {
            return if visitor.gone { LinkIo::Down } else { LinkIo::WouldBlock };
        }
        buffer[..count].copy_from_slice(&rest[..count]);
        visitor.said += count;
        LinkIo::Moved(count)
    }

    pub(super) fn write(&mut self, seat: usize, bytes: &[u8]) -> LinkIo {
        let Some(visitor) = self.seated(seat) else { return LinkIo::Down };
        if visitor.gone {
            return LinkIo::Down;
        }
        let count = bytes.len().min(visitor.pace);
        visitor.heard.extend_from_slice(&bytes[..count]);
        LinkIo::Moved(count)
    }

    pub(super) fn close(&mut self, seat: usize) {
        if let Some(visitor) = self.seated(seat) {
            visitor.closed = true;
        }
        if let Some(seat) = self.seats.get_mut(seat) {
            *seat = None;
        }
    }
}
