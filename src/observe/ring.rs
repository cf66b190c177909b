//! The last events, in fixed memory.

use crate::types::Event;

/// How many events are kept.
pub const RING: usize = 256;

/// The last [`RING`] events.
#[derive(Clone, Debug)]
pub struct EventRing {
    events: Box<[Option<Event>; RING]>,
    /// How many events there ever were; the next one goes to this number modulo [`RING`].
    total: u64,
}

impl Default for EventRing {
    fn default() -> Self {
        Self { events: Box::new([None; RING]), total: 0 }
    }
}

impl EventRing {
    /// Adds an event; the oldest gives way.
    pub fn push(&mut self, event: Event) {
        let slot = usize::try_from(self.total % RING as u64).unwrap_or(0);
        self.events[slot] = Some(event);
        self.total += 1;
    }

    /// How many events there ever were.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// The events kept, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Event> {
        let start = usize::try_from(self.total % RING as u64).unwrap_or(0);
        self.events[start..].iter().chain(&self.events[..start]).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{EventKind, Instant};

    #[test]
    fn the_oldest_gives_way() {
        let mut ring = EventRing::default();
        for i in 0..300 {
            ring.push(Event { at: Instant::from_nanos(i), kind: EventKind::Reloaded });
        }
        let times: Vec<u64> = ring.iter().map(|e| e.at.as_nanos()).collect();
        assert_eq!((times.len(), times[0], times[255], ring.total()), (256, 44, 299, 300));
    }
}
