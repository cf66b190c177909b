//! The measurement of one WAN under any replies, losses and steps of the clock.
//!
//! Steps: `c` a cycle passes (so many times), `r` the genuine answer to a probe, `d` that answer
//! again, `f` one with another token, `x` one from another host, `q` one with another sequence,
//! `e` probes can't be sent, `s` the wall clock is set, `u` unreachable, `n` noise, `t` a TCP
//! connect ends, `p` another pace, `j` a leap of time.

use super::input::{Step, number, span, steps};
use core::net::{IpAddr, Ipv4Addr};
use std::collections::VecDeque;
use wanctl::measure::{Measure, Pace, ReplyVerdict, Settings};
use wanctl::types::{Duration, EchoReply, EchoRequest, FIRST_TCP, Instant, Millis, Sample, SendError, SilenceMode};

const STEPS: usize = 256;

/// Probes that the script can still answer.
const KNOWN: usize = 64;

struct Bench {
    measure: Measure,
    settings: Settings,
    now: Instant,
    /// What was sent: when, what, and whether it was answered well.
    probes: VecDeque<(Instant, EchoRequest, bool)>,
    blocked: bool,
    /// The smallest and the largest genuine time.
    times: Option<(Millis, Millis)>,
}

fn settings(how: u8, payload: &[u8]) -> Settings {
    let byte = |at: usize| payload.get(at).copied().unwrap_or(0);
    let candidates = 1 + usize::from(byte(0)) % 16;
    let host = |i: usize| IpAddr::V4(Ipv4Addr::new(198, 51, 100, u8::try_from(i).unwrap()));
    Settings {
        cycle: Duration::from_millis(20 + u64::from(byte(1))),
        reflectors: (0..candidates).map(host).collect(),
        active: 1 + usize::from(byte(2)) % candidates.min(8),
        probes_per_cycle: 1 + usize::from(byte(3)) % 8,
        idle_interval: Duration::from_millis(500),
        silence: [SilenceMode::Degrade, SilenceMode::Hold, SilenceMode::Last][usize::from(how) % 3],
        down_after: Duration::from_secs(5),
        gateway: (how & 4 != 0).then(|| host(200)),
        tcp_targets: (0..usize::from(how >> 3) % 5).map(|i| (host(100 + i), 443).into()).collect(),
    }
}

pub fn run(data: &[u8]) {
    let mut script = steps(data, STEPS);
    let Some(Step { what, how, payload }) = script.next() else { return };
    let now = Instant::ZERO + span(what);
    let settings = settings(how, payload);
    let measure = Measure::new(settings.clone(), number(payload, 4), now);
    let mut bench = Bench { measure, settings, now, probes: VecDeque::new(), blocked: false, times: None };
    bench.wake();
    for step in script {
        bench.step(step);
    }
}

impl Bench {
    fn step(&mut self, Step { what, how, payload }: Step<'_>) {
        match what {
            b'c' => (0..=how % 64).for_each(|_| self.cycle()),
            b'j' => {
                self.now += span(how);
                self.wake();
            }
            b'e' => self.blocked = how % 2 == 0,
            b's' => self.measure.clock_step(),
            b'u' => self.measure.unreachable(IpAddr::V4(Ipv4Addr::LOCALHOST), u16::from(how)),
            b'n' => self.measure.noise(),
            b't' => {
                let result = if how == 0 { Err(SendError::NetworkUnreachable) } else { Ok(span(how)) };
                self.measure.tcp_result(self.now, number(payload, 0).to_le_bytes()[0], result);
            }
            b'p' => self.measure.set_pace(self.now, [Pace::Idle, Pace::Normal, Pace::Full][usize::from(how) % 3]),
            _ => self.reply(what, how, payload),
        }
    }

    /// Something like an answer to one of the last probes.
    fn reply(&mut self, what: u8, how: u8, payload: &[u8]) {
        let place = usize::from(payload.first().copied().unwrap_or(0));
        let change = number(payload, 1).max(1);
        let Some(index) = self.probes.len().checked_sub(1 + place) else { return };
        let (sent, request, answered) = self.probes[index];
        let mut reply = EchoReply { from: request.to, sequence: request.sequence, token: request.token, at: sent };
        // Never later than now: the kernel's stamps are of the past.
        reply.at = if what == b'd' { self.now } else { (sent + span(how)).min(self.now) };
        let genuine = match what {
            b'f' => {
                reply.token ^= change;
                false
            }
            b'x' => {
                reply.from = IpAddr::V4(Ipv4Addr::new(203, 0, 113, how));
                false
            }
            b'q' => {
                reply.sequence = reply.sequence.wrapping_add(u16::from(how).max(1));
                false
            }
            _ => true,
        };
        let before = *self.measure.counters();
        let verdict = self.measure.reply(&reply);
        let after = *self.measure.counters();
        assert_eq!(after.accepted - before.accepted, u64::from(verdict == ReplyVerdict::Accepted));
        if !genuine {
            assert!(!matches!(verdict, ReplyVerdict::Accepted | ReplyVerdict::Impossible), "{verdict:?} for {reply:?}");
        } else if verdict == ReplyVerdict::Accepted {
            assert!(!answered, "accepted twice");
            self.probes[index].2 = true;
            let time = Millis::try_from(reply.at.since(sent)).expect("an impossible time accepted");
            let (low, high) = self.times.unwrap_or((time, time));
            self.times = Some((if time < low { time } else { low }, if time > high { time } else { high }));
        } else {
            assert!(!matches!(verdict, ReplyVerdict::Forged | ReplyVerdict::Foreign), "{verdict:?}, but genuine");
        }
    }

    fn cycle(&mut self) {
        let end = self.now + self.settings.cycle;
        // As the daemon does: awake for the cycle and for each probe, whichever is first.
        for _ in 0..32 {
            let wake = self.measure.next_wake();
            if wake >= end {
                break;
            }
            self.now = self.now.max(wake);
            self.wake();
        }
        self.now = end;
        let sample = self.measure.sample(end);
        self.judge(&sample);
        while self.measure.take_change().is_some() {}
        self.wake();
    }

    fn wake(&mut self) {
        let mut count = 0;
        while let Some(request) = self.measure.poll_probe(self.now) {
            count += 1;
            assert!(count <= 32, "probes without end");
            assert!(self.settings.reflectors.contains(&request.to) || self.settings.gateway == Some(request.to));
            if self.blocked {
                self.measure.sent(&request, Err(SendError::NoBuffers));
                continue;
            }
            self.measure.sent(&request, Ok(self.now));
            self.probes.push_back((self.now, request, false));
            if self.probes.len() > KNOWN {
                self.probes.pop_front();
            }
        }
        assert!(self.measure.next_wake() > self.now, "the loop would spin");
        for _ in 0..=self.settings.tcp_targets.len() {
            let Some((slot, target)) = self.measure.poll_tcp(self.now) else { break };
            assert_eq!(self.settings.tcp_targets.get(usize::from(slot)), Some(&target));
        }
        assert_eq!(self.measure.poll_tcp(self.now), None, "connects without end");
    }

    fn judge(&self, sample: &Sample) {
        assert_eq!(sample.at, self.now);
        let all = sample.per_reflector.iter().zip(sample.candidates);
        let standing = all.filter_map(|(rtt, candidate)| rtt.as_ref().filter(|_| candidate < FIRST_TCP));
        assert_eq!(usize::from(sample.fresh), standing.clone().count());
        assert!(standing.clone().count() <= self.settings.active, "more reflectors than active");
        let values = standing.chain(&sample.rtt);
        for value in values {
            let (low, high) = self.times.expect("a delay, and nobody ever answered");
            assert!((low.get()..=high.get()).contains(&value.get()), "{value} of {low} to {high}");
        }
        for candidate in sample.candidates {
            let target = candidate.checked_sub(FIRST_TCP).map(usize::from);
            let known = target.map_or(usize::from(candidate) < self.settings.reflectors.len(), |slot| {
                slot < wanctl::measure::MAX_TCP_TARGETS
            });
            assert!(known, "no such candidate: {candidate}");
        }
        assert!(!sample.renewed || sample.rtt.is_some() || self.measure.is_silent());
    }
}
