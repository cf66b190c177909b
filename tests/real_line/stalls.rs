//! Whether the host keeps still: a thread that asks to be woken every two milliseconds, and counts by how much it is late.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const ASKS: Duration = Duration::from_millis(2);

/// A busy machine is late by this much; more is a stall.
const LATE: Duration = Duration::from_millis(8);

/// How the host was meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Stalls {
    pub often: u32,
    /// Part of the time in which nothing ran.
    pub part: f64,
    pub longest: Duration,
}

/// Does something, and watches the host beside it.
pub fn beside<T>(work: impl FnOnce() -> T) -> (T, Stalls) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| watch(&over));
        let result = work();
        over.store(true, Ordering::Relaxed);
        (result, watch.join().expect("the watch"))
    })
}

fn watch(over: &AtomicBool) -> Stalls {
    let started = Instant::now();
    let (mut often, mut total, mut longest) = (0, Duration::ZERO, Duration::ZERO);
    while !over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        thread::sleep(ASKS);
        let late = asked.elapsed().saturating_sub(ASKS);
        if late >= LATE {
            (often, total, longest) = (often + 1, total + late, longest.max(late));
        }
    }
    Stalls { often, part: total.as_secs_f64() / started.elapsed().as_secs_f64(), longest }
}
