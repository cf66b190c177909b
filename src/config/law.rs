//! The settings of the classic law: thresholds, floors and steps of each direction, smoothing.
//!
//! A preset fills in what the file leaves out. Everything is converted to the law's own units:
//! weights, factors and steps per reference cycle, streaks as durations.

use super::fault::{Problem, Quantity};
use super::preset::{self, Preset, TARGET_MS};
use super::read::Section;
use crate::decide::{adaptive, classic};
use crate::types::{Bitrate, Duration, Millis, RateRange};

/// Smallest and largest step per reference cycle that is a step.
const STEPS: core::ops::RangeInclusive<Bitrate> = Bitrate::from_bps(1000)..=Bitrate::from_mbps(10_000);

/// Why upload has fewer keys than download.
const NO_HARD_RED: &str = "upload has three states, of which RED begins above soft_red: leave this out";

pub(super) fn read(
    section: &Section<'_, '_>,
    [download, upload]: [&Section<'_, '_>; 2],
    cycle: Duration,
    preset: &Preset,
) -> Option<classic::Settings> {
    let [green, soft_red, hard_red] = preset.thresholds_ms;
    let limits = thresholds(download, &[("green", green), ("soft_red", soft_red), ("hard_red", hard_red)]);
    let required = download.streak("soft_red_required", cycle).unwrap_or(classic::REFERENCE_CYCLE);
    let down = direction(download, cycle, limits, required, preset.download);
    let limits = thresholds(upload, &[("green", green), ("soft_red", soft_red)]);
    upload.misplaced("hard_red", NO_HARD_RED);
    upload.misplaced("soft_red_required", NO_HARD_RED);
    let up = direction(upload, cycle, limits, classic::REFERENCE_CYCLE, preset.upload);
    let delay = |key, default| section.millis(key).or_else(|| Millis::new(default));
    let (min, max) = (delay("baseline_min", 1.0), delay("baseline_max", 1000.0));
    let initial = delay("baseline", preset.baseline_ms);
    let threshold = delay("baseline_update_threshold", preset.update_threshold_ms);
    let load_weight = weight(section, cycle, "load_weight", "load_time_constant", preset.load_weight);
    let baseline_weight = weight(section, cycle, "baseline_weight", "baseline_time_constant", preset.baseline_weight);
    let (min, max, initial) = (min?, max?, initial?);
    let bounds = [("baseline_min", min), ("baseline", initial), ("baseline_max", max)];
    section.ordered(&bounds.map(|(key, delay)| (key, delay, Quantity::Delay(delay))), false);
    Some(classic::Settings {
        baseline_initial: initial,
        load_weight,
        baseline_weight,
        baseline_update_threshold: threshold?,
        baseline_min: min,
        baseline_max: max,
        download: down?,
        upload: up?,
    })
}

/// What the adaptive law has beside the bounds, which it shares with the classic one.
pub(super) fn adaptive(section: &Section<'_, '_>, preset: &Preset) -> Option<adaptive::Settings> {
    let target = section.millis("target").or_else(|| Millis::new(TARGET_MS))?;
    let jitter = section.millis("jitter").or_else(|| Millis::new(preset.jitter_ms))?;
    let headroom = section.number_in("headroom", 0.5..=1.0).unwrap_or(preset.headroom);
    let unbounded = RateRange::new(Bitrate::from_bps(1), Bitrate::from_bps(1))?;
    Some(adaptive::Settings { baseline: jitter, jitter, target, headroom, ranges: [unbounded; 2] })
}

/// Keys that only one of the laws reads: of the WAN for the classic one, of a direction for the
/// classic one, of the WAN for the adaptive one.
const CLASSIC: [&str; 7] = [
    "baseline_min",
    "baseline_max",
    "baseline_update_threshold",
    "load_weight",
    "load_time_constant",
    "baseline_weight",
    "baseline_time_constant",
];
const CLASSIC_DIRECTION: [&str; 11] = [
    "green",
    "soft_red",
    "hard_red",
    "soft_red_required",
    "floor_soft_red",
    "floor_yellow",
    "floor_green",
    "step_up",
    "factor_down",
    "factor_down_yellow",
    "green_required",
];
const ADAPTIVE: [&str; 3] = ["target", "jitter", "headroom"];

/// A key that the chosen law does not read is no fault, but somebody believes that it does
/// something.
pub(super) fn warn_of_idle_keys(wan: &Section<'_, '_>, directions: [&Section<'_, '_>; 2], is_adaptive: bool) {
    let warn = |section: &Section<'_, '_>, keys: &[&'static str], why| {
        for key in keys.iter().filter(|key| section.stands(key)) {
            section.warn(key, Problem::NoEffect(why));
        }
    };
    if is_adaptive {
        let why = "has no effect with the adaptive law; law = \"classic\" reads it";
        warn(wan, &CLASSIC, why);
        directions.into_iter().for_each(|direction| warn(direction, &CLASSIC_DIRECTION, why));
    } else {
        warn(wan, &ADAPTIVE, "has no effect with the classic law; law = \"adaptive\" reads it");
    }
}

/// Thresholds that rise from state to state; the last one stands for those that do not exist.
fn thresholds(section: &Section<'_, '_>, defaults: &[(&'static str, f64)]) -> Option<[Millis; 3]> {
    let read = defaults.iter().map(|&(key, default)| {
        let delay = section.millis(key).or_else(|| Millis::new(default))?;
        Some((key, delay, Quantity::Delay(delay)))
    });
    let values: Vec<_> = read.collect::<Option<_>>()?;
    section.ordered(&values, true);
    let last = values.last()?.1;
    let at = |i: usize| values.get(i).map_or(last, |value| value.1);
    Some([at(0), at(1), at(2)])
}

fn direction(
    section: &Section<'_, '_>,
    cycle: Duration,
    thresholds: Option<[Millis; 3]>,
    soft_red_required: Duration,
    defaults: preset::Direction,
) -> Option<classic::DirectionSettings> {
    if !section.has("ceiling") {
        section.fault("ceiling", Problem::missing("the highest rate this direction may have, such as \"940M\""));
    }
    let ceiling = section.rate("ceiling");
    let floors = floors(section, ceiling, defaults.floor);
    let factor = |key, default| section.number_in(key, 0.1..=1.0).unwrap_or(default);
    let factor_down = factor("factor_down", defaults.factor_down);
    let factor_down_yellow = factor("factor_down_yellow", defaults.factor_down_yellow);
    let step_up = section.rate_in("step_up", STEPS).or_else(|| ceiling.map(|c| part(c, defaults.step_up)));
    let green_required = section.streak("green_required", cycle);
    let [red, soft_red, yellow, green] = floors?;
    let [limit_green, limit_soft_red, limit_hard_red] = thresholds?;
    Some(classic::DirectionSettings {
        green: limit_green,
        soft_red: limit_soft_red,
        hard_red: limit_hard_red,
        soft_red_required,
        floor_green: green,
        floor_yellow: yellow,
        floor_soft_red: soft_red,
        range: RateRange::new(red, ceiling?)?,
        step_up: step_up?,
        factor_down,
        factor_down_yellow,
        green_required: green_required.unwrap_or(Duration::from_millis(defaults.green_required_ms)),
    })
}

/// Floors of RED, SOFT_RED, YELLOW and GREEN. A missing one is that of the worse state; RED's is a
/// part of the ceiling, but not above a floor that is given.
fn floors(section: &Section<'_, '_>, ceiling: Option<Bitrate>, default: f64) -> Option<[Bitrate; 4]> {
    let both = section.has("floor") && section.has("floor_red");
    if both {
        section.fault("floor", Problem::Both("floor", "floor_red"));
    }
    let given_red = [section.rate("floor"), section.rate("floor_red")].into_iter().flatten().next();
    let given = ["floor_soft_red", "floor_yellow", "floor_green"].map(|key| section.rate(key));
    let lowest = given.iter().flatten().min().copied();
    let derived = || ceiling.map(|c| part(c, default)).map(|rate| lowest.map_or(rate, |low| low.min(rate)));
    let red = given_red.or_else(derived)?;
    let soft_red = given[0].unwrap_or(red);
    let yellow = given[1].unwrap_or(soft_red);
    let green = given[2].unwrap_or(yellow);
    let red_key = if section.has("floor") { "floor" } else { "floor_red" };
    let keys = [red_key, "floor_soft_red", "floor_yellow", "floor_green", "ceiling"];
    let rates = [red, soft_red, yellow, green, ceiling?];
    let values: Vec<_> = keys.into_iter().zip(rates).map(|(key, rate)| (key, rate, Quantity::Rate(rate))).collect();
    // Those that merely follow another are no news in a message.
    let told: Vec<_> = values.into_iter().filter(|(key, ..)| *key == red_key || section.stands(key)).collect();
    section.ordered(&told, false);
    Some([red, soft_red, yellow, green])
}

fn part(ceiling: Bitrate, fraction: f64) -> Bitrate {
    Bitrate::from_f64(ceiling.as_f64() * fraction)
}

/// Smoothing, given as the weight of one cycle or as a time constant, in weight per reference
/// cycle. At the reference cycle a weight stays what it is to the last bit.
fn weight(
    section: &Section<'_, '_>,
    cycle: Duration,
    weight_key: &'static str,
    time_key: &'static str,
    default: f64,
) -> f64 {
    let reference = classic::REFERENCE_CYCLE.as_secs_f64();
    let weight = section.number_in(weight_key, 1e-5..=1.0);
    let time = section.duration_in(time_key, cycle..=Duration::from_secs(3600));
    if section.has(weight_key) && section.has(time_key) {
        section.fault(weight_key, Problem::Both(weight_key, time_key));
    }
    match (weight, time) {
        (Some(weight), _) if cycle == classic::REFERENCE_CYCLE => weight,
        (Some(weight), _) => weight * reference / cycle.as_secs_f64(),
        (None, Some(time)) => reference / time.as_secs_f64(),
        (None, None) => default,
    }
}
