//! Keeps one kind of event from drowning the others: a dead reflector must not flood a router's
//! log, which is in its memory.

use crate::types::{Duration, EventKind, Instant};

/// Lines of one kind per window.
const LINES: u32 = 10;

/// Length of the window.
const WINDOW: Duration = Duration::from_secs(60);

/// How often each kind was told, and how often it was not.
#[derive(Clone, Debug)]
pub struct Flood {
    kinds: [Kind; EventKind::CLASSES],
}

#[derive(Clone, Copy, Debug, Default)]
struct Kind {
    since: Instant,
    told: u32,
    suppressed: u32,
}

impl Default for Flood {
    fn default() -> Self {
        Self { kinds: [Kind::default(); EventKind::CLASSES] }
    }
}

impl Flood {
    /// Whether an event of this kind may be told now.
    pub fn admits(&mut self, now: Instant, event: &EventKind) -> bool {
        let kind = &mut self.kinds[event.class()];
        if kind.told == 0 {
            kind.since = now;
        }
        let admitted = kind.told < LINES;
        if admitted {
            kind.told += 1;
        } else {
            kind.suppressed += 1;
        }
        admitted
    }

    /// The kinds whose window has ended with lines suppressed: their class, and how many. Call it
    /// now and then until it returns `None`.
    pub fn expired(&mut self, now: Instant) -> Option<(usize, u32)> {
        for (class, kind) in self.kinds.iter_mut().enumerate() {
            if kind.told > 0 && now.since(kind.since) >= WINDOW {
                let suppressed = kind.suppressed;
                *kind = Kind::default();
                if suppressed > 0 {
                    return Some((class, suppressed));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_lines_a_minute_then_a_count() {
        let mut flood = Flood::default();
        let admitted =
            (0..100).filter(|&i| flood.admits(Instant::from_nanos(i * 1_000_000), &EventKind::Reloaded)).count();
        assert_eq!(admitted, 10);
        assert_eq!(flood.expired(Instant::ZERO + Duration::from_secs(59)), None);
        let class = EventKind::Reloaded.class();
        assert_eq!(flood.expired(Instant::ZERO + Duration::from_secs(60)), Some((class, 90)));
        assert!(flood.admits(Instant::ZERO + Duration::from_secs(61), &EventKind::Reloaded));
    }
}
