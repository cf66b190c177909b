//! What was seen, and the figures drawn from it.

use super::scenes::{SCENES, SETTLING, begin, length};
use crate::types::Duration;
use std::collections::VecDeque;
use wanctl_hal::sim::Totals;

/// Added delay that a conversation bears, in milliseconds.
pub(super) const TOLERABLE_MS: f64 = 100.0;

/// How many columns the picture of the whole show has.
pub(super) const COLUMNS: usize = 70;

/// Time over which figures for the eye are taken.
const RECENT: Duration = Duration::from_secs(1);

/// One look at the line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// Since the beginning of the show.
    pub(super) at: Duration,
    /// Round-trip time above that of the idle line, in milliseconds; `None`: nothing new came in.
    pub(super) delay: Option<f64>,
    /// What the line has carried and could have carried: download, upload.
    pub(super) totals: [Totals; 2],
}

/// What a scene was like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Figures {
    /// Added delay after settling, in milliseconds: median, 95th percentile, highest.
    pub(super) delay: [f64; 3],
    /// Part of the line that was used after settling: download, upload (0 to 1).
    pub(super) used: [f64; 2],
    /// Time from the scene's beginning until the delay stayed below [`TOLERABLE_MS`].
    pub(super) calm_after: Duration,
}

/// One scene as it went.
#[derive(Clone, Debug, Default)]
struct Course {
    delays: Vec<f64>,
    from: Option<[Totals; 2]>,
    to: [Totals; 2],
    calm_after: Duration,
}

/// Everything that was seen.
#[derive(Clone, Debug)]
pub(super) struct Record {
    scenes: [Course; SCENES.len()],
    columns: [Option<f64>; COLUMNS],
    recent: VecDeque<Look>,
}

impl Record {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self {
            scenes: core::array::from_fn(|_| Course::default()),
            columns: [None; COLUMNS],
            recent: VecDeque::with_capacity(64),
        }
    }

    /// Takes in what was seen in this scene.
    pub(super) fn add(&mut self, scene: usize, look: Look) {
        let course = &mut self.scenes[scene];
        let into = look.at.saturating_sub(begin(scene));
        if into >= SETTLING {
            course.from.get_or_insert(look.totals);
            course.to = look.totals;
            course.delays.extend(look.delay);
        }
        if look.delay.is_some_and(|delay| delay >= TOLERABLE_MS) {
            course.calm_after = into;
        }
        let column = &mut self.columns[column(look.at)];
        *column = [*column, look.delay].into_iter().flatten().reduce(f64::max);
        self.recent.push_back(look);
        while self.recent.front().is_some_and(|first| first.at + RECENT < look.at) {
            self.recent.pop_front();
        }
    }

    /// The highest delay in each part of the show.
    pub(super) const fn columns(&self) -> &[Option<f64>; COLUMNS] {
        &self.columns
    }

    /// The highest delay of the last second.
    pub(super) fn worst_delay(&self) -> Option<f64> {
        self.recent.iter().filter_map(|look| look.delay).reduce(f64::max)
    }

    /// What the line carried in the last second, in bit/s: download, upload.
    pub(super) fn carried(&self) -> [f64; 2] {
        let Some((first, last)) = self.recent.front().zip(self.recent.back()) else { return [0.0; 2] };
        let time = last.at.saturating_sub(first.at).as_secs_f64();
        let rate = |i: usize| (last.totals[i].carried - first.totals[i].carried) * 8.0 / time;
        if time > 0.0 { [rate(0), rate(1)] } else { [0.0; 2] }
    }

    /// The figures of a scene; `None` when too little of it was seen to judge.
    pub(super) fn figures(&self, scene: usize) -> Option<Figures> {
        let course = &self.scenes[scene];
        let from = course.from?;
        let mut sorted = course.delays.clone();
        sorted.sort_by(f64::total_cmp);
        let used = |i: usize| {
            let (from, to): (&Totals, &Totals) = (&from[i], &course.to[i]);
            let possible = to.possible - from.possible;
            if possible > 0.0 { (to.carried - from.carried) / possible } else { 0.0 }
        };
        Some(Figures {
            delay: [percentile(&sorted, 0.5)?, percentile(&sorted, 0.95)?, *sorted.last()?],
            used: [used(0), used(1)],
            calm_after: course.calm_after,
        })
    }
}

/// The column of the picture that shows this moment.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "below 70")]
pub(super) fn column(at: Duration) -> usize {
    let part = at.as_secs_f64() / length().as_secs_f64();
    ((part * COLUMNS as f64) as usize).min(COLUMNS - 1)
}

/// Nearest rank; `None` when there is nothing.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a rank")]
fn percentile(sorted: &[f64], part: f64) -> Option<f64> {
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(at: f64, delay: f64, carried: f64) -> Look {
        let totals = Totals { carried, possible: at * 1e6, ..Totals::default() };
        Look { at: Duration::from_secs_f64(at), delay: Some(delay), totals: [totals, Totals::default()] }
    }

    #[test]
    fn figures_begin_after_settling() {
        let mut record = Record::new();
        let start = begin(1).as_secs_f64();
        record.add(1, look(start + 1.0, 900.0, 0.0));
        assert_eq!(record.figures(1), None);
        for i in 0..=100_u32 {
            record.add(1, look(start + 5.0 + f64::from(i) / 100.0, f64::from(i), f64::from(i) * 5_000.0));
        }
        let figures = record.figures(1).unwrap();
        assert_eq!(figures.delay, [50.0, 95.0, 100.0]);
        assert!((figures.used[0] - 0.5).abs() < 1e-9, "half of a million bytes in a second");
        assert_eq!(figures.calm_after, Duration::from_secs(6), "exactly 100 ms is not calm yet");
        assert!((record.carried()[0] - 4e6).abs() < 1.0, "bit/s");
        assert_eq!(record.columns()[column(begin(1) + Duration::from_secs(1))], Some(900.0));
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        assert_eq!(percentile(&[], 0.5), None);
        assert_eq!(percentile(&[3.0], 0.95), Some(3.0));
        let all: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!(percentile(&all, 0.95), Some(19.0));
    }
}
