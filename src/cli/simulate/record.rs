//! What one run looked like: the line every 10 ms, and what the daemon said every cycle.

use crate::config::scenario::Happening;
use crate::types::{Direction, Duration, Instant, Reason, State};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wanctl_hal::sim::{Action, World};

/// From look to look.
pub(super) const LOOK: Duration = Duration::from_millis(10);

/// A packet of full size, in bits.
const PACKET_BITS: f64 = 1514.0 * 8.0;

/// Mean of a short transfer (see [`wanctl_hal::sim::Line::set_pages`]), in bits.
const PAGE_BITS: f64 = 2e6;

/// The line at one moment; pairs are download, upload.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Row {
    /// Capacity (bit/s).
    pub(super) capacity: [f64; 2],
    /// Rate of the shaper (bit/s; 0 without).
    pub(super) limit: [f64; 2],
    /// What applications would send (bit/s): infinite with long transfers.
    pub(super) demand: [f64; 2],
    /// Bytes delivered since the beginning.
    pub(super) delivered: [f64; 2],
    /// Bytes the line could have carried since the beginning.
    pub(super) possible: [f64; 2],
    /// What a sparse packet waits for: the provider's FIFO, and the packet that the shaper is
    /// sending (ms).
    pub(super) added: [f64; 2],
}

impl Row {
    /// What a round trip of a sparse packet waits for (ms).
    pub(super) fn felt(&self) -> f64 {
        self.added[0] + self.added[1]
    }

    /// Whether applications want more than next to nothing.
    pub(super) fn is_loaded(&self, direction: Direction) -> bool {
        self.demand[direction.index()] > 0.02 * self.capacity[direction.index()]
    }
}

/// What the daemon said in one cycle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Said {
    /// When.
    pub(super) at: Instant,
    /// States of download and upload.
    pub(super) states: [State; 2],
    /// Why.
    pub(super) reasons: [Reason; 2],
    /// Round-trip time above the baseline, as the law sees it (ms).
    pub(super) delay: f64,
}

/// Everything seen in one round of a run; times are those since its beginning.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    /// The line, from one [`LOOK`] after the start on.
    pub(super) rows: Vec<Row>,
    /// The daemon, cycle by cycle.
    pub(super) said: Vec<Said>,
    /// When limits were written over REST.
    pub(super) writes: Vec<Instant>,
    /// Requests the router has served.
    pub(super) requests: u64,
    /// What happened.
    pub(super) timeline: Vec<(Instant, Happening)>,
}

/// The time of a row.
pub(super) fn time(row: usize) -> Instant {
    let number = u32::try_from(row + 1).unwrap_or(u32::MAX);
    Instant::ZERO + LOOK.saturating_mul(number)
}

/// Whoever looks at the line while the world runs. Not a part of the loop: looking wakes nobody.
#[derive(Debug)]
pub(super) struct Observer {
    begin: Instant,
    rows: Vec<Row>,
    timeline: Vec<(Instant, Happening)>,
    next: usize,
    flows: [usize; 2],
    stream: [f64; 2],
    /// Bits per second that short transfers ask for, on average.
    pages: [f64; 2],
}

/// An observer that the world calls.
pub(super) type Shared = Arc<Mutex<Observer>>;

/// Locks an observer.
pub(super) fn lock(observer: &Shared) -> MutexGuard<'_, Observer> {
    observer.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Observer {
    /// One that looks from now on for so long; the times of the timeline begin now.
    pub(super) fn watch(world: &mut World, timeline: Vec<(Instant, Happening)>, lasts: Duration) -> Shared {
        let begin = world.now();
        let rows = lasts.as_nanos() / LOOK.as_nanos();
        let rows = Vec::with_capacity(usize::try_from(rows).unwrap_or(0));
        let observer = Self { begin, rows, timeline, next: 0, flows: [0; 2], stream: [0.0; 2], pages: [0.0; 2] };
        let shared = Arc::new(Mutex::new(observer));
        look_at(world, begin + LOOK, begin + lasts, Arc::clone(&shared));
        shared
    }

    /// What was seen.
    pub(super) fn take(&mut self) -> (Vec<Row>, Vec<(Instant, Happening)>) {
        (core::mem::take(&mut self.rows), core::mem::take(&mut self.timeline))
    }

    fn look(&mut self, world: &World) {
        let now = Instant::ZERO + world.now().since(self.begin);
        while let Some((_, what)) = self.timeline.get(self.next).filter(|(at, _)| *at <= now) {
            match *what {
                Happening::Flows(direction, n) => self.flows[direction.index()] = n,
                Happening::Pages(direction, n) => self.pages[direction.index()] = n * PAGE_BITS,
                Happening::Stream(direction, rate) => self.stream[direction.index()] = rate.as_f64(),
                _ => {}
            }
            self.next += 1;
        }
        let Some(wan) = world.wans.first() else { return };
        let mut row = Row::default();
        for direction in Direction::BOTH {
            let i = direction.index();
            let limit = world.router.shaper_rate(&wan.shapers[i]).unwrap_or_default().as_f64();
            let totals = wan.line.totals(direction);
            let busy = !wan.line.shaper_delay(direction).is_zero();
            // On average half of the packet that is being sent is still to come.
            let shaper = if busy && limit > 0.0 { PACKET_BITS / limit / 2.0 } else { 0.0 };
            row.capacity[i] = wan.line.capacity(direction).as_f64();
            row.limit[i] = limit;
            row.demand[i] = if self.flows[i] > 0 { f64::INFINITY } else { self.stream[i] + self.pages[i] };
            row.delivered[i] = totals.delivered;
            row.possible[i] = totals.possible;
            row.added[i] = (wan.line.fifo_delay(direction).as_secs_f64() + shaper) * 1e3;
        }
        self.rows.push(row);
    }
}

/// Looks at `at`, and from then on every [`LOOK`].
fn look_at(world: &mut World, at: Instant, end: Instant, observer: Shared) {
    if at > end {
        return;
    }
    let look = move |world: &mut World| {
        lock(&observer).look(world);
        look_at(world, at + LOOK, end, observer);
    };
    world.at(at, Action::Do(Box::new(look)));
}
