//! The measurement of one WAN against lines and hosts of every kind, in virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_possible_truncation, missing_docs)]

use core::net::{IpAddr, Ipv4Addr};
use proptest::prelude::*;
use wanctl::measure::{Change, Counters, Measure, Pace, ReplyVerdict, Settings};
use wanctl::types::{
    Duration, EchoReply, EchoRequest, FIRST_TCP, Instant, Millis, Sample, SendError, Signal, SilenceMode, Source,
};

const CYCLE: Duration = Duration::from_millis(50);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn at(millis: u64) -> Instant {
    Instant::ZERO + ms(millis)
}

/// Reflector number `i`.
fn host(i: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, i as u8))
}

fn settings(candidates: usize, active: usize) -> Settings {
    Settings {
        cycle: CYCLE,
        reflectors: (0..candidates).map(host).collect(),
        active,
        probes_per_cycle: 2,
        idle_interval: ms(500),
        silence: SilenceMode::Degrade,
        down_after: ms(5_000),
        gateway: None,
        tcp_targets: heapless::Vec::new(),
    }
}

/// What the world does with a probe: the genuine answer, or what else comes back, each after its
/// delay. `Err` when the probe does not even leave.
type Fate = Result<Vec<(Duration, EchoReply)>, SendError>;

/// The genuine answer after a delay.
fn answer(request: &EchoRequest, delay: Duration) -> Fate {
    Ok(vec![(delay, EchoReply { from: request.to, sequence: request.sequence, token: request.token, at: at(0) })])
}

/// A measurement, driven as the daemon drives it.
struct Bench {
    measure: Measure,
    now: Instant,
    cycle: Duration,
    next_cycle: Instant,
    pace: Option<Pace>,
    /// What is on its way to us, in the order of arrival.
    coming: Vec<EchoReply>,
    sent: Vec<(Instant, EchoRequest)>,
    changes: Vec<Change>,
}

impl Bench {
    fn new(settings: Settings) -> Self {
        let cycle = settings.cycle;
        Self {
            measure: Measure::new(settings, 7, at(0)),
            now: at(0),
            cycle,
            next_cycle: at(0) + cycle,
            pace: None,
            coming: Vec::new(),
            sent: Vec::new(),
            changes: Vec::new(),
        }
    }

    fn at_pace(mut self, pace: Pace) -> Self {
        self.pace = Some(pace);
        self
    }

    /// Lets time pass; the samples taken meanwhile.
    fn run(&mut self, time: Duration, mut fate: impl FnMut(Instant, &EchoRequest) -> Fate) -> Vec<Sample> {
        let end = self.now + time;
        let mut samples = Vec::new();
        while self.now < end {
            let arrival = self.coming.first().map(|reply| reply.at);
            let wake = [Some(self.next_cycle), Some(self.measure.next_wake()), arrival].into_iter().flatten().min();
            self.now = self.now.max(wake.unwrap_or(end).min(end));
            while self.coming.first().is_some_and(|reply| reply.at <= self.now) {
                let reply = self.coming.remove(0);
                self.measure.reply(&reply);
            }
            if self.next_cycle <= self.now {
                self.next_cycle += self.cycle;
                samples.push(self.measure.sample(self.now));
                if let Some(pace) = self.pace {
                    self.measure.set_pace(self.now, pace);
                }
                self.changes.extend(std::iter::from_fn(|| self.measure.take_change()));
            }
            self.probe(&mut fate);
        }
        samples
    }

    fn probe(&mut self, fate: &mut impl FnMut(Instant, &EchoRequest) -> Fate) {
        while let Some(request) = self.measure.poll_probe(self.now) {
            self.sent.push((self.now, request));
            let fate = fate(self.now, &request);
            self.measure.sent(&request, fate.as_ref().map(|_| self.now).map_err(|e| *e));
            for (delay, reply) in fate.unwrap_or_default() {
                let reply = EchoReply { at: self.now + delay, ..reply };
                let place = self.coming.partition_point(|other| other.at <= reply.at);
                self.coming.insert(place, reply);
            }
        }
    }

    fn counters(&self) -> Counters {
        *self.measure.counters()
    }

    fn scores(&self) -> Vec<f64> {
        self.measure.reflectors().map(|(_, score, _)| score).collect()
    }
}

fn is(rtt: Option<Millis>, expected: f64) -> bool {
    rtt.is_some_and(|rtt| (rtt.get() - expected).abs() < 1e-9)
}

#[test]
fn a_line_of_600_ms_has_twelve_probes_in_flight_per_reflector_and_a_sample_every_cycle() {
    let mut bench = Bench::new(settings(3, 3)).at_pace(Pace::Full);
    bench.run(ms(2_000), |_, r| answer(r, ms(600)));
    for sample in bench.run(ms(10_000), |_, r| answer(r, ms(600))) {
        assert!(is(sample.rtt, 600.0) && sample.renewed && sample.signal == Signal::Good, "{sample:?}");
        assert_eq!((sample.fresh, sample.source, sample.oldest_overdue), (3, Source::Icmp, None));
    }
    for reflector in 0..3 {
        let flying = bench.sent.iter().filter(|(sent, r)| r.to == host(reflector) && *sent + ms(600) > bench.now);
        assert_eq!(flying.count(), 12, "reflector {reflector}");
    }
    let counters = bench.counters();
    assert_eq!((counters.overdue, counters.overflow, counters.late, counters.duplicate), (0, 0, 0, 0));
    assert_eq!(counters.sent - counters.accepted, 36);
}

#[test]
fn the_sample_is_the_median_of_three_of_two_or_the_single_one() {
    for (hosts, expected) in [(3, 40.0), (2, 30.0), (1, 20.0)] {
        let mut bench = Bench::new(settings(3, 3)).at_pace(Pace::Full);
        let fate = |_: Instant, r: &EchoRequest| match [20, 40, 90].iter().zip(0..hosts).find(|(_, i)| host(*i) == r.to)
        {
            Some((delay, _)) => answer(r, ms(*delay)),
            None => Ok(Vec::new()),
        };
        bench.run(ms(500), fate);
        for sample in bench.run(ms(200), fate) {
            assert!(is(sample.rtt, expected), "{hosts} answer: {sample:?}");
            assert_eq!(usize::from(sample.fresh), hosts);
            let seen: Vec<f64> = sample.per_reflector.iter().flatten().map(|rtt| rtt.get()).collect();
            assert_eq!(seen, [20.0, 40.0, 90.0][..hosts]);
        }
    }
}

#[test]
fn a_blackout_is_not_the_reflectors_fault() {
    for (delay, pace, black) in [
        (20, Pace::Full, 300),
        (20, Pace::Normal, 1_000),
        (20, Pace::Full, 9_500),
        (20, Pace::Idle, 5_000),
        (600, Pace::Full, 1_000),
        (600, Pace::Full, 9_500),
        (600, Pace::Normal, 30_000),
    ] {
        let mut bench = Bench::new(settings(4, 3)).at_pace(pace);
        bench.run(ms(5_000), |_, r| answer(r, ms(delay)));
        // What is on the line when it breaks is lost as well.
        bench.coming.clear();
        bench.run(ms(black), |_, _| Ok(Vec::new()));
        bench.run(ms(15_000), |_, r| answer(r, ms(delay)));
        let told = format!("{delay} ms, {pace:?}, {black} ms without answers");
        assert_eq!(bench.scores(), [1.0; 4], "{told}");
        assert_eq!((bench.changes.as_slice(), bench.counters().overdue), (&[][..], 0), "{told}");
    }
}

#[test]
fn a_sudden_queue_is_not_the_reflectors_fault() {
    let mut bench = Bench::new(settings(3, 3)).at_pace(Pace::Full);
    bench.run(ms(5_000), |_, r| answer(r, ms(20)));
    let samples = bench.run(ms(5_000), |_, r| answer(r, ms(900)));
    assert!(is(samples.last().unwrap().rtt, 900.0));
    assert_eq!((bench.scores(), bench.changes.as_slice()), (vec![1.0; 3], &[][..]));
}

#[test]
fn probes_that_cannot_leave_are_silence_and_nobodys_fault() {
    let mut bench = Bench::new(settings(4, 3));
    bench.run(ms(2_000), |_, r| answer(r, ms(20)));
    let samples = bench.run(ms(40_000), |_, _| Err(SendError::NetworkUnreachable));
    let good = samples.iter().take_while(|s| s.signal == Signal::Good).count();
    assert!((3..=5).contains(&good), "good for {good} cycles");
    for sample in &samples[good..] {
        let expected = if sample.age < ms(5_000) { Signal::Silent } else { Signal::Down };
        assert_eq!(sample.signal, expected, "{sample:?}");
    }
    assert!(samples.last().unwrap().rtt.is_none());
    let back = bench.run(ms(2_000), |_, r| answer(r, ms(20)));
    assert_eq!(back.last().unwrap().signal, Signal::Good);
    assert_eq!((bench.scores(), bench.changes.as_slice()), (vec![1.0; 4], &[][..]));
}

#[test]
fn a_single_silent_reflector_gives_way_to_a_spare_and_is_tried_again_later() {
    let mut bench = Bench::new(settings(4, 3)).at_pace(Pace::Full);
    let dead = |r: &EchoRequest| r.to == host(1);
    bench.run(ms(2_000), |_, r| answer(r, ms(20)));
    let samples = bench.run(ms(3_000), |_, r| if dead(r) { Ok(Vec::new()) } else { answer(r, ms(20)) });
    assert_eq!(bench.changes, [Change::Out(1)]);
    assert!(samples.iter().all(|s| is(s.rtt, 20.0) && s.signal == Signal::Good));
    assert!(is(samples.last().unwrap().per_reflector[2], 20.0), "the spare has taken its place");
    let asked = bench.sent.len();
    bench.run(ms(60_000), |_, r| if dead(r) { Ok(Vec::new()) } else { answer(r, ms(20)) });
    let tries = bench.sent[asked..].iter().filter(|(_, r)| dead(r)).count();
    assert!((1..=3).contains(&tries), "asked {tries} times in a minute");
    bench.run(ms(40_000), |_, r| answer(r, ms(20)));
    assert_eq!(bench.changes, [Change::Out(1), Change::Back(1)]);
    assert_eq!(bench.measure.active_reflectors(), 3);
}

#[test]
fn without_spares_two_remain_however_many_die() {
    let mut bench = Bench::new(settings(3, 3)).at_pace(Pace::Full);
    bench.run(ms(2_000), |_, r| answer(r, ms(20)));
    let samples = bench.run(ms(20_000), |_, r| if r.to == host(2) { answer(r, ms(20)) } else { Ok(Vec::new()) });
    assert_eq!((bench.measure.active_reflectors(), bench.changes.len()), (2, 1));
    assert!(samples.iter().all(|s| is(s.rtt, 20.0) && s.signal == Signal::Good));
    bench.run(ms(70_000), |_, r| answer(r, ms(20)));
    assert_eq!((bench.measure.active_reflectors(), bench.changes.len()), (3, 2), "{:?}", bench.changes);
}

#[test]
fn a_lossy_reflector_gives_way_and_a_lossy_line_keeps_all() {
    let mut bench = Bench::new(settings(4, 3)).at_pace(Pace::Full);
    bench.run(ms(2_000), |_, r| answer(r, ms(20)));
    // Two in five are lost, never five in a row.
    let lost = |r: &EchoRequest| r.sequence % 5 < 2;
    bench.run(ms(20_000), |_, r| if r.to == host(0) && lost(r) { Ok(Vec::new()) } else { answer(r, ms(20)) });
    assert_eq!(bench.changes, [Change::Out(0)]);
    let mut bench = Bench::new(settings(4, 3)).at_pace(Pace::Full);
    bench.run(ms(20_000), |_, r| if r.sequence % 5 == 0 { Ok(Vec::new()) } else { answer(r, ms(20)) });
    assert_eq!(bench.changes, []);
}

#[test]
fn a_lying_reflector_is_voted_down_and_never_moves_the_sample() {
    for lie in [60, 200, 5_000] {
        let mut bench = Bench::new(settings(4, 3)).at_pace(Pace::Full);
        bench.run(ms(5_000), |_, r| answer(r, ms(20)));
        let liar = |_: Instant, r: &EchoRequest| answer(r, ms(if r.to == host(2) { lie } else { 20 }));
        let samples = bench.run(ms(15_000), liar);
        assert!(samples.iter().all(|s| is(s.rtt, 20.0)), "{lie} ms");
        assert_eq!(bench.changes, [Change::Out(2)], "{lie} ms");
    }
}

#[test]
fn the_pace_holds_over_hours_without_drift_or_burst() {
    for (pace, interval) in [(Pace::Normal, 25_000), (Pace::Full, 16_666), (Pace::Idle, 500_000)] {
        let mut bench = Bench::new(settings(3, 3)).at_pace(pace);
        bench.run(ms(100), |_, r| answer(r, ms(20)));
        let before = bench.sent.len() as u64;
        bench.run(ms(3_600_000), |_, r| answer(r, ms(20)));
        let expected = 3_600_000_000 / interval;
        let sent = bench.sent.len() as u64 - before;
        assert!(sent.abs_diff(expected) <= 1 + expected / 10_000, "{pace:?}: {sent} instead of {expected} in an hour");
        // Round robin: each in turn, none twice.
        assert!(bench.sent.windows(3).all(|w| w[0].1.to != w[1].1.to && w[0].1.to != w[2].1.to));
    }
}

#[test]
fn a_pause_of_the_machine_is_not_made_up_for() {
    for (pace, most) in [(Pace::Normal, 2), (Pace::Full, 3), (Pace::Idle, 1)] {
        let mut bench = Bench::new(settings(3, 3)).at_pace(pace);
        bench.run(ms(3_000), |_, r| answer(r, ms(20)));
        bench.now += ms(10_000);
        bench.next_cycle = bench.now;
        let before = bench.sent.len();
        bench.run(CYCLE, |_, r| answer(r, ms(20)));
        let sent = bench.sent.len() - before;
        assert!((1..=most + 1).contains(&sent), "{pace:?}: {sent} probes in the cycle after the pause");
        assert_eq!(bench.scores(), [1.0; 3]);
    }
}

#[test]
fn sequence_numbers_wrap_cleanly() {
    let mut bench = Bench::new(Settings { cycle: ms(20), ..settings(8, 8) }).at_pace(Pace::Full);
    let samples = bench.run(ms(400_000), |_, r| answer(r, ms(550)));
    let counters = bench.counters();
    assert!(counters.sent > 2 * 65_536);
    assert!(bench.sent.windows(2).any(|w| (w[0].1.sequence, w[1].1.sequence) == (65_535, 0)));
    assert!(samples[100..].iter().all(|s| is(s.rtt, 550.0) && s.fresh == 8));
    assert_eq!(counters.sent - counters.accepted, 220, "what is in flight at the end, nothing else");
    assert_eq!((counters.late, counters.forged, counters.overflow, counters.overdue), (0, 0, 0, 0));
}

#[test]
fn a_table_too_small_for_the_line_slows_the_probes_down() {
    let mut bench = Bench::new(Settings { cycle: ms(10), ..settings(8, 8) }).at_pace(Pace::Full);
    let samples = bench.run(ms(20_000), |_, r| answer(r, ms(600)));
    let counters = bench.counters();
    assert!(counters.held > 0 && counters.sent - counters.accepted == 256, "{counters:?}");
    assert_eq!((counters.overflow, counters.late, counters.overdue), (0, 0, 0));
    assert!(samples[100..].iter().all(|s| s.signal == Signal::Good));
    // A dead line does not block the table for good.
    bench.coming.clear();
    bench.run(ms(5_000), |_, _| Ok(Vec::new()));
    let back = bench.run(ms(5_000), |_, r| answer(r, ms(600)));
    assert!(is(back.last().unwrap().rtt, 600.0), "{:?}", back.last());
    assert!(bench.counters().overflow > 0, "{:?}", bench.counters());
}

#[test]
fn replies_that_straddle_a_set_clock_are_discarded_without_blame() {
    let mut bench = Bench::new(settings(4, 3)).at_pace(Pace::Full);
    bench.run(ms(5_000), |_, r| answer(r, ms(600)));
    // All that are in flight, or those of one reflector.
    for unlucky in [host(0), host(1), host(2), host(1), host(1), host(99)] {
        let before = bench.coming.len();
        bench.coming.retain(|reply| reply.from != unlucky && unlucky != host(99));
        let lost = before - bench.coming.len();
        assert!(lost >= 12);
        (0..lost).for_each(|_| bench.measure.clock_step());
        let samples = bench.run(ms(5_000), |_, r| answer(r, ms(600)));
        assert!(samples.iter().all(|s| s.rtt.is_none() || is(s.rtt, 600.0)));
        assert!(samples[20..].iter().all(|s| is(s.rtt, 600.0) && s.signal == Signal::Good));
    }
    assert!(bench.counters().impossible >= 96);
    assert_eq!((bench.scores(), bench.changes.as_slice()), (vec![1.0; 4], &[][..]));
}

#[test]
fn a_reply_at_an_impossible_time_is_no_sample() {
    let mut bench = Bench::new(settings(3, 3));
    bench.run(ms(1_000), |_, r| answer(r, ms(20)));
    for (delay, expected) in
        [(None, ReplyVerdict::Impossible), (Some(61_000), ReplyVerdict::Late), (Some(20), ReplyVerdict::Accepted)]
    {
        let request = loop {
            if let Some(request) = bench.measure.poll_probe(bench.now) {
                break request;
            }
            bench.now += ms(1);
        };
        bench.measure.sent(&request, Ok(bench.now));
        let time = delay.map_or(at(0), |delay| bench.now + ms(delay));
        let reply = EchoReply { from: request.to, sequence: request.sequence, token: request.token, at: time };
        assert_eq!(bench.measure.reply(&reply), expected);
    }
    assert!(is(bench.measure.sample(bench.now + ms(30)).rtt, 20.0));
}

/// How old the newest reply is in the last good cycle and in the first silent one of a blackout.
fn silence_after(delays: [u64; 2], pace: Pace) -> (Duration, Duration) {
    let mut bench = Bench::new(settings(3, 3)).at_pace(pace);
    bench.run(ms(20_000), |now, r| answer(r, ms(delays[(now.as_nanos() / 50_000_000 % 2) as usize])));
    bench.coming.clear();
    let samples = bench.run(ms(4_000), |_, _| Ok(Vec::new()));
    let first = samples.iter().position(|s| s.signal != Signal::Good).expect("silence");
    assert_eq!(samples[first].signal, Signal::Silent);
    assert!(samples[first..].iter().all(|s| s.signal == Signal::Silent), "no way back without a reply");
    (samples[first - 1].age, samples[first].age)
}

#[test]
fn silence_is_all_probes_overdue_by_three_cycles_or_srtt_and_four_rttvar() {
    // A steady line: RTTVAR tends to zero, the patience is three cycles or the RTT itself.
    for (delay, patience) in [(20, 150), (100, 150), (600, 600)] {
        let (good, silent) = silence_after([delay, delay], Pace::Full);
        assert!(good >= ms(patience) - CYCLE, "{delay} ms: still good at {good:?}");
        assert!(silent >= ms(patience) && silent <= ms(patience) + 2 * CYCLE, "{delay} ms: silent at {silent:?}");
    }
    // 100 and 300 ms in turn: SRTT 200, RTTVAR about 100, so 600 ms.
    let (_, silent) = silence_after([100, 300], Pace::Full);
    assert!(silent >= ms(500) && silent <= ms(800), "jitter: silent at {silent:?}");
}

#[test]
fn tcp_starts_in_the_first_silent_cycle_and_its_time_is_told_apart() {
    for silence in [SilenceMode::Degrade, SilenceMode::Hold, SilenceMode::Last] {
        let targets = ["192.0.2.1:443", "192.0.2.2:443"].map(|t| t.parse().unwrap());
        let mut bench = Bench::new(Settings {
            silence,
            tcp_targets: targets.into_iter().collect(),
            gateway: Some(host(99)),
            ..settings(3, 3)
        });
        let mut learnt = 0;
        for sample in bench.run(ms(25_000), |_, r| answer(r, ms(20))) {
            assert_eq!(sample.source, Source::Icmp);
            if let Some((slot, target)) = bench.measure.poll_tcp(sample.at) {
                assert_eq!(target, targets[usize::from(slot)]);
                bench.measure.tcp_result(sample.at + ms(5), slot, Ok(ms(5)));
                learnt += 1;
            }
        }
        assert_eq!(learnt, 2, "one at once and one every 20 s, to learn how far the targets are");
        let mut connects = Vec::new();
        for _ in 0..200 {
            let gateway = |_: Instant, r: &EchoRequest| if r.to == host(99) { answer(r, ms(3)) } else { Ok(vec![]) };
            let sample = bench.run(CYCLE, gateway).pop().unwrap();
            let started: Vec<_> = std::iter::from_fn(|| bench.measure.poll_tcp(bench.now)).collect();
            if connects.is_empty() {
                assert_eq!(!started.is_empty(), bench.measure.is_silent(), "at once, and not before");
                assert!(started.is_empty() || started == [(0, targets[0]), (1, targets[1])]);
            }
            for (slot, _) in started {
                connects.push(bench.now);
                bench.measure.tcp_result(bench.now + ms(7), slot, Ok(ms(7)));
            }
            assert!(sample.rtt.is_none() || is(sample.rtt, 20.0), "{silence:?}: {sample:?}");
        }
        assert!((38..=42).contains(&connects.len()), "four a second: {}", connects.len());
        assert!(is(bench.measure.tcp_time(bench.now), 7.0));
        let sample = bench.measure.sample(bench.now);
        assert_eq!((sample.signal, sample.source), (Signal::Degraded, Source::TcpConnect), "{silence:?}");
        assert_eq!(sample.rtt.is_some(), silence == SilenceMode::Last, "{silence:?}");
        assert_eq!(sample.candidates[..2], [FIRST_TCP, FIRST_TCP + 1]);
        assert!(is(sample.per_reflector[0], 7.0) && is(sample.per_reflector[1], 7.0) && sample.waiting[0].is_none());
        let pings = bench.sent.iter().filter(|(_, r)| r.to == host(99)).count();
        assert!((35..=42).contains(&pings), "the gateway, four times a second: {pings}");
        let back = bench.run(ms(1_000), |_, r| answer(r, ms(25)));
        let mut good = back.iter().filter(|s| s.signal == Signal::Good);
        assert!(good.all(|s| is(s.rtt, 25.0) && s.source == Source::Icmp), "{silence:?}: {back:?}");
        assert_eq!(back.last().unwrap().signal, Signal::Good);
        assert_eq!(bench.measure.poll_tcp(bench.now), None);
    }
}

/// Something that comes back beside the genuine answer.
#[derive(Clone, Copy, Debug)]
enum Hostile {
    Duplicate,
    Forged(u64),
    Foreign(u8),
    Unknown(u16),
}

fn hostile() -> impl Strategy<Value = (Hostile, u64)> {
    let kind = prop_oneof![
        Just(Hostile::Duplicate),
        (1..u64::MAX).prop_map(Hostile::Forged),
        any::<u8>().prop_map(Hostile::Foreign),
        (300..60_000u16).prop_map(Hostile::Unknown),
    ];
    (kind, 0..400u64)
}

impl Hostile {
    /// What it makes of the genuine answer, which arrives after `delay`.
    fn forge(self, reply: EchoReply, delay: Duration, extra: u64) -> (Duration, EchoReply) {
        match self {
            // A copy that comes first *is* the answer, so it comes later.
            Self::Duplicate => (delay + ms(extra), reply),
            Self::Forged(mask) => (ms(extra), EchoReply { token: reply.token ^ mask, ..reply }),
            Self::Foreign(i) => (ms(extra), EchoReply { from: IpAddr::V4(Ipv4Addr::new(10, 0, 0, i)), ..reply }),
            Self::Unknown(ahead) => (ms(extra), EchoReply { sequence: reply.sequence.wrapping_add(ahead), ..reply }),
        }
    }
}

proptest! {
    #[test]
    fn hostile_replies_are_counted_and_change_nothing(
        delays in prop::collection::vec(prop::option::weighted(0.9, 1..700u64), 50..200),
        hostile in prop::collection::vec(hostile(), 1..200),
    ) {
        let run = |attacked: bool| {
            let mut bench = Bench::new(settings(4, 3)).at_pace(Pace::Full);
            let (mut n, mut counts) = (0, [0u64; 4]);
            let fate = |_: Instant, r: &EchoRequest| {
                n += 1;
                let delay = delays[n % delays.len()].map(ms);
                let reply = EchoReply { from: r.to, sequence: r.sequence, token: r.token, at: at(0) };
                let mut coming: Vec<_> = delay.map(|delay| (delay, reply)).into_iter().collect();
                let (kind, extra) = hostile[n % hostile.len()];
                if attacked && (delay.is_some() || !matches!(kind, Hostile::Duplicate)) {
                    coming.push(kind.forge(reply, delay.unwrap_or_default(), extra));
                    counts[match kind {
                        Hostile::Duplicate => 0,
                        Hostile::Forged(_) => 1,
                        Hostile::Foreign(_) => 2,
                        Hostile::Unknown(_) => 3,
                    }] += 1;
                }
                Ok(coming)
            };
            let mut samples = bench.run(ms(4_000), fate);
            samples.extend(bench.run(ms(1_500), |_, _| Ok(Vec::new())));
            (samples, bench.counters(), bench.scores(), bench.changes, counts)
        };
        let (clean, attacked) = (run(false), run(true));
        prop_assert_eq!(clean.0, attacked.0);
        prop_assert_eq!((clean.2, clean.3), (attacked.2, attacked.3));
        let seen = attacked.1;
        // A hostile reply to a probe of a reflector that was taken out meanwhile is merely late.
        let counted = [seen.duplicate, seen.forged, seen.foreign, seen.late - clean.1.late];
        prop_assert_eq!(counted.iter().sum::<u64>(), attacked.4.iter().sum::<u64>());
        prop_assert!(counted[..3].iter().zip(&attacked.4).all(|(counted, sent)| counted <= sent));
        prop_assert_eq!(
            Counters { duplicate: 0, forged: 0, foreign: 0, late: clean.1.late, ..seen },
            clean.1,
            "nothing else differs"
        );
    }

    #[test]
    fn no_blackout_of_any_length_harms_a_reflector(
        delay in 1..900u64, start in 2_000..4_000u64, black in 1..12_000u64, full in any::<bool>(),
    ) {
        let mut bench = Bench::new(settings(4, 3)).at_pace(if full { Pace::Full } else { Pace::Normal });
        bench.run(ms(start), |_, r| answer(r, ms(delay)));
        bench.coming.clear();
        bench.run(ms(black), |_, _| Ok(Vec::new()));
        bench.run(ms(5_000), |_, r| answer(r, ms(delay)));
        // One that hits a probe or two can't be told from loss.
        let least = if black < 200 { 0.9 } else { 1.0 };
        prop_assert!(bench.scores().iter().all(|score| *score >= least), "{:?}", bench.scores());
        prop_assert_eq!(bench.changes, vec![]);
    }

    #[test]
    fn samples_are_finite_and_in_range_whatever_comes(
        steps in prop::collection::vec((0..9u8, any::<u64>(), any::<u64>(), 0..200u64), 1..400),
        candidates in 0..5usize,
        cycle in 1..1_000u64,
    ) {
        let mut settings = Settings { cycle: ms(cycle), ..settings(candidates, 3) };
        settings.gateway = (cycle % 2 == 0).then(|| host(99));
        settings.tcp_targets.push("192.0.2.1:443".parse().unwrap()).unwrap();
        settings.silence = [SilenceMode::Degrade, SilenceMode::Hold, SilenceMode::Last][cycle as usize % 3];
        let mut measure = Measure::new(settings, 1, at(0));
        let (mut now, mut sent) = (at(0), Vec::new());
        for (what, a, b, time) in steps {
            now += ms(time);
            let old: Option<EchoRequest> = sent.get((a % (sent.len() as u64 + 1)) as usize).copied();
            match what {
                0..=2 => while let Some(request) = measure.poll_probe(now) {
                    measure.sent(&request, if a % 5 == 0 { Err(SendError::NoBuffers) } else { Ok(now) });
                    sent.push(request);
                    if sent.len() > 10_000 { break }
                },
                3 => if let Some(r) = old {
                    measure.reply(&EchoReply { from: r.to, sequence: r.sequence, token: r.token, at: now });
                },
                4 => if let Some(r) = old {
                    measure.reply(&EchoReply { from: r.to, sequence: r.sequence, token: r.token, at: Instant::from_nanos(b) });
                },
                5 => { measure.reply(&EchoReply { from: host(0), sequence: a as u16, token: b, at: Instant::from_nanos(b) }); }
                6 => { let _ = measure.poll_tcp(now); measure.tcp_result(now, a as u8, Ok(Duration::from_nanos(b))); }
                7 => { measure.clock_step(); measure.noise(); measure.unreachable(host(1), a as u16); }
                _ => measure.set_pace(now, [Pace::Idle, Pace::Normal, Pace::Full][(a % 3) as usize]),
            }
            let sample = measure.sample(now);
            for rtt in sample.rtt.iter().chain(sample.per_reflector.iter().flatten()) {
                prop_assert!(rtt.get().is_finite() && (0.0..=60_000.0).contains(&rtt.get()));
            }
            prop_assert!(measure.tcp_time(now).is_none_or(|t| t.get() <= 60_000.0));
            prop_assert!(measure.reflectors().all(|(_, score, _)| (0.0..=1.0).contains(&score)));
            prop_assert!(sample.at == now && sample.age <= now.since(at(0)));
        }
    }
}
