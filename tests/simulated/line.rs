//! Lines that are loaded, long, dead, or that do not answer.

use super::common::{at, config_text, daemon, felt, limit, line, quality, set_flows, world, written};
use wanctl::types::{Signal as Quality, WanId};
use wanctl_hal::sim::{Action, lock};
use wanctl_hal::{Direction, Duration};

#[test]
fn control_brings_bufferbloat_down() {
    for direction in Direction::BOTH {
        // Without control: the same line, the same load, the shaper far above the line.
        let free = world(1);
        set_flows(&free, direction, 4);
        lock(&free).advance(at(20.0));
        let uncontrolled = line(&free, |wan| wan.line.fifo_delay(direction)).as_secs_f64() * 1e3;

        let world = world(1);
        let mut d = daemon(&world, &config_text("", ""));
        d.run_until(at(2.0));
        set_flows(&world, direction, 4);
        let felt = felt(&mut d, &world, direction, 10.0, 40.0);
        let name = direction.name();
        eprintln!(
            "{name}: uncontrolled {uncontrolled:.0} ms; controlled p95 {:.0} ms, {:.0} % used",
            felt.p95_ms,
            felt.utilisation * 100.0
        );
        assert!(uncontrolled > 200.0, "{name}");
        assert!(felt.p95_ms < 100.0 && felt.utilisation > 0.6, "{name}");
        assert_eq!(d.counters().missed, 0);
    }
}

#[test]
fn long_lines_and_other_cycles_work() {
    for (cycle, base) in [("20ms", 5), ("50ms", 600), ("100ms", 80), ("250ms", 20)] {
        let world = world(1);
        let wan = WanId::new(0).unwrap();
        lock(&world).at(at(0.0), Action::BaseRtt(wan.index(), Duration::from_millis(base)));
        let mut d = daemon(&world, &config_text(&format!("[loop]\ncycle = \"{cycle}\""), ""));
        d.run_until(at(30.0));
        let (sample, _) = d.wans()[0].last.unwrap();
        assert_eq!(sample.signal, Quality::Good, "{cycle}, {base} ms");
        let rtt = sample.rtt.unwrap().get();
        #[allow(clippy::cast_precision_loss)]
        let expected = base as f64;
        assert!((rtt - expected).abs() < 5.0, "{cycle}: {rtt} ms on a line of {expected} ms");
        assert_eq!(d.wans()[0].measure.counters().overflow, 0);
    }
}

#[test]
fn warming_up_writes_nothing_and_the_first_reply_ends_it() {
    let world = world(1);
    line(&world, |wan| wan.line.set_connected(false));
    let mut d = daemon(&world, &config_text("", ""));
    d.run_until(at(2.0));
    assert_eq!(quality(&d), Quality::WarmingUp, "a start is no outage");
    assert!(written(&world).is_empty(), "nothing was measured, nothing is written");
    assert_eq!(limit(&world, "wan1-dl"), "100000000");
    line(&world, |wan| wan.line.set_connected(true));
    d.run_until(at(4.0));
    assert_eq!(quality(&d), Quality::Good);
    assert_eq!(limit(&world, "wan1-dl"), "40000000");
}

#[test]
fn a_dead_line_holds_the_rates_and_says_so() {
    let world = world(1);
    set_flows(&world, Direction::Download, 4);
    let mut d = daemon(&world, &config_text("", ""));
    d.run_until(at(15.0));
    line(&world, |wan| wan.line.set_connected(false));
    d.run_until(at(15.8));
    assert_eq!(quality(&d), Quality::Silent, "told within a second");
    let held = d.wans()[0].last.unwrap().1.download.rate;
    d.run_until(at(22.0));
    let (sample, verdict) = d.wans()[0].last.unwrap();
    assert_eq!(sample.signal, Quality::Down);
    assert!(sample.age > Duration::from_secs(6), "age counts from the last reply: {:?}", sample.age);
    assert_eq!((sample.rtt, sample.fresh), (None, 0), "a cached value is not passed on as a fresh one");
    assert_eq!(verdict.download.rate, held);
    line(&world, |wan| wan.line.set_connected(true));
    d.run_until(at(24.0));
    assert_eq!(quality(&d), Quality::Good);
    let outs = d.wans()[0].measure.active_reflectors();
    assert_eq!(outs, 3, "a blackout is not the reflectors' fault");
}

#[test]
fn the_line_is_up_though_every_reflector_is_silent() {
    let world = world(1);
    let mut d = daemon(&world, &config_text("", ""));
    d.run_until(at(5.0));
    let before = d.wans()[0].law.learnt().baseline;
    line(&world, |wan| wan.reflectors.iter_mut().for_each(|(_, r)| r.silent = Some((at(5.0), at(60.0)))));
    d.run_until(at(8.0));
    assert_eq!(quality(&d), Quality::Degraded, "TCP proves the line");
    let (sample, verdict) = d.wans()[0].last.unwrap();
    assert_eq!(sample.rtt, None, "a TCP connect time is no echo");
    assert!((verdict.baseline.get() - before.get()).abs() < 0.1, "the baseline is that of the echoes");
    assert_eq!(limit(&world, "wan1-dl"), "40000000", "rates are held");
    d.run_until(at(63.0));
    assert_eq!(quality(&d), Quality::Good);
}
