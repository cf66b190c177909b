//! The classic law beyond the golden traces: other cycles, gaps, bounds, any input.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use proptest::prelude::*;
use std::path::Path;
use wanctl::config::{self, Config};
use wanctl::decide::{Input, Law, Learnt, Settings};
use wanctl::types::{
    Bitrate, Duration, Instant, MAX_REFLECTORS, Millis, Reason, Sample, Signal, Source, State, Verdict,
};

fn parse(text: &str) -> Config {
    let env = |name: &str| (name == "WANCTL_ROUTER_PASSWORD").then(|| "x".to_owned());
    config::parse(text, "test.toml", Path::new("."), &env).unwrap_or_else(|f| panic!("{f}")).0
}

fn config(cycle: &str) -> Config {
    parse(&format!(
        r#"
        [router]
        url = "http://192.168.88.1"
        user = "u"
        [loop]
        cycle = "{cycle}"
        [[wan]]
        name = "w"
        link = "cable"
law = "classic"
        [wan.download]
        queue = "d"
        ceiling = "900M"
        [wan.upload]
        queue = "u"
        ceiling = "40M"
        "#
    ))
}

fn law(cycle: &str) -> Law {
    Law::new(config(cycle).wans[0].law.clone())
}

fn sample(at: Instant, rtt: Option<f64>) -> Sample {
    Sample {
        at,
        rtt: rtt.and_then(Millis::new),
        renewed: rtt.is_some(),
        age: Duration::ZERO,
        fresh: 1,
        source: Source::Icmp,
        signal: if rtt.is_some() { Signal::Good } else { Signal::Silent },
        per_reflector: [None; MAX_REFLECTORS],
        candidates: [0; MAX_REFLECTORS],
        waiting: [None; MAX_REFLECTORS],
        oldest_overdue: None,
    }
}

fn step(law: &mut Law, now: Instant, rtt: Option<f64>) -> Verdict {
    law.decide(Input { now, sample: &sample(now, rtt), stats: None, acts: true })
}

/// RTT of a story that takes ten seconds: quiet, a second of bloat, quiet again.
fn story(seconds: f64) -> f64 {
    if (2.0..3.0).contains(&seconds) { 60.0 } else { 24.0 }
}

fn end_of_story(cycle_ms: u64) -> (Verdict, Verdict) {
    let mut law = law(&format!("{cycle_ms}ms"));
    let mut middle = None;
    let mut last = None;
    for i in 1..=10_000 / cycle_ms {
        let now = Instant::ZERO + Duration::from_millis(i * cycle_ms);
        let verdict = step(&mut law, now, Some(story(now.since(Instant::ZERO).as_secs_f64())));
        if i * cycle_ms == 2_500 {
            middle = Some(verdict);
        }
        last = Some(verdict);
    }
    (middle.unwrap(), last.unwrap())
}

#[test]
fn time_not_cycles() {
    let (middle, end) = end_of_story(50);
    for cycle in [10, 20, 25, 100, 250] {
        let (m, e) = end_of_story(cycle);
        let near = |a: Bitrate, b: Bitrate| (a.as_f64() / b.as_f64() - 1.0).abs() < 0.3;
        assert!(near(m.download.rate.rate(), middle.download.rate.rate()), "{cycle} ms: {m:?} / {middle:?}");
        assert!(near(e.download.rate.rate(), end.download.rate.rate()), "{cycle} ms: {e:?} / {end:?}");
        assert!((m.load.get() - middle.load.get()).abs() < 5.0);
    }
}

#[test]
fn presets_do_not_lift() {
    let mut law = law("50ms");
    let mut now = Instant::ZERO;
    let mut last = Bitrate::ZERO;
    for i in 0..400 {
        now += Duration::from_millis(50);
        let verdict = step(&mut law, now, Some(if i < 100 { 300.0 } else { 24.0 }));
        let rate = verdict.download.rate.rate();
        if i == 150 {
            assert_eq!(verdict.download.state, State::Green);
        }
        if i > 100 {
            let jump = rate.as_f64() / last.as_f64();
            assert!(jump < 1.1, "from {last} to {rate} in one cycle");
        }
        last = rate;
    }
}

#[test]
fn silence_holds_everything() {
    let mut law = law("50ms");
    let mut now = Instant::ZERO;
    for _ in 0..20 {
        now += Duration::from_millis(50);
        step(&mut law, now, Some(100.0));
    }
    let before = step(&mut law, now + Duration::from_millis(50), Some(100.0));
    for _ in 0..100 {
        now += Duration::from_millis(50);
        let held = step(&mut law, now, None);
        assert_eq!((held.download.rate, held.baseline), (before.download.rate, before.baseline));
        assert_eq!(held.download.reason, Reason::NoSignal);
    }
}

#[test]
fn restored_rates_are_clamped() {
    let mut law = law("50ms");
    let mbps = Bitrate::from_mbps;
    law.restore(Learnt { baseline: Millis::new(5000.0).unwrap(), rates: [mbps(5_000), mbps(1)] });
    let learnt = law.learnt();
    assert_eq!(learnt.rates, [mbps(900), mbps(8)]);
    assert!((learnt.baseline.get() - 1000.0).abs() < f64::EPSILON);
}

#[test]
fn weights_survive_the_configuration_to_the_last_bit() {
    let golden = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/fiber.toml")).unwrap();
    let parsed = parse(&golden);
    let Settings::Classic(settings) = &parsed.wans[0].law else { panic!("the golden files say classic") };
    assert_eq!(settings.load_weight.to_bits(), 0.05f64.to_bits());
    assert_eq!(settings.baseline_weight.to_bits(), 0.001f64.to_bits());
}

proptest! {
    /// Whatever is measured, whenever: rates stay in bounds, averages stay finite.
    #[test]
    fn any_input_keeps_the_bounds(inputs in prop::collection::vec((any::<f64>(), 0u64..3_000), 1..300)) {
        let mut law = law("50ms");
        let mut now = Instant::ZERO;
        for (rtt, gap) in inputs {
            now += Duration::from_millis(gap);
            // What is no delay is refused where it is made, and is then no measurement.
            let verdict = step(&mut law, now, Some(rtt).filter(|r| Millis::new(*r).is_some()));
            let down = verdict.download.rate.rate();
            let up = verdict.upload.rate.rate();
            prop_assert!((Bitrate::from_mbps(180)..=Bitrate::from_mbps(900)).contains(&down));
            prop_assert!((Bitrate::from_mbps(8)..=Bitrate::from_mbps(40)).contains(&up));
            prop_assert!(verdict.load.get().is_finite() && verdict.baseline.get().is_finite());
            prop_assert!((1.0..=1000.0).contains(&verdict.baseline.get()));
        }
    }
}
