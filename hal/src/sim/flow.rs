//! One long transfer as a fluid: a congestion window that grows as CUBIC does, acknowledged one
//! round trip later.

/// Length of one step of integration, in seconds.
pub(crate) const STEP_S: f64 = 0.001;
/// Bytes of a full packet.
pub(crate) const MTU: f64 = 1_500.0;
/// Steps an acknowledgement can be under way.
const RING: usize = 8_192;
/// Mask of the ring.
const RING_MASK: u64 = 8_191;

const INITIAL_WINDOW: f64 = 10.0 * MTU;
const LARGEST_WINDOW: f64 = 32e6;
/// CUBIC's constant and its factor on loss (RFC 9438).
const CUBIC_C: f64 = 0.4;
const BETA: f64 = 0.7;
/// Growth per round trip in the region where Reno would be faster: 3·(1−β)/(1+β).
const RENO_GROWTH: f64 = 0.529;

/// A sender with all the data in the world.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    active: bool,
    /// What is still to be sent; infinite for a transfer that ends when it is stopped.
    left: f64,
    /// Base round-trip time in steps.
    rtt: u64,
    window: f64,
    in_flight: f64,
    slow_start: bool,
    /// Window at the last loss, in packets.
    w_max: f64,
    /// Time from the last loss until the cubic is back at `w_max`, in seconds.
    k: f64,
    /// What Reno would have, in packets.
    w_reno: f64,
    epoch: u64,
    recover_until: u64,
    /// Bytes lost, not yet noticed; when they will be; and whether that asks for a back-off.
    lost: f64,
    lost_at: u64,
    signalled: bool,
    /// Bytes that will be acknowledged at each step.
    acks: Vec<f64>,
}

impl Flow {
    pub(crate) fn new() -> Self {
        Self {
            active: false,
            left: f64::INFINITY,
            rtt: 1,
            window: INITIAL_WINDOW,
            in_flight: 0.0,
            slow_start: true,
            w_max: 0.0,
            k: 0.0,
            w_reno: 0.0,
            epoch: 0,
            recover_until: 0,
            lost: 0.0,
            lost_at: u64::MAX,
            signalled: false,
            acks: vec![0.0; RING],
        }
    }

    pub(crate) const fn is_active(&self) -> bool {
        self.active
    }

    /// Begins a new transfer of so many bytes (for ever, if infinite), or makes one that runs go on for as long.
    pub(crate) fn start(&mut self, rtt_steps: u64, bytes: f64) {
        self.left = bytes;
        if !self.active {
            self.active = true;
            self.window = INITIAL_WINDOW;
            self.slow_start = true;
            self.w_max = 0.0;
            self.recover_until = 0;
        }
        self.rtt = rtt_steps.clamp(1, RING_MASK / 2);
    }

    /// Sends nothing more.
    pub(crate) fn stop(&mut self) {
        self.active = false;
    }

    /// Whether anything is under way.
    pub(crate) fn is_quiet(&self) -> bool {
        !self.active && self.in_flight < 1.0
    }

    /// One step: takes the acknowledgements that arrive, and says how many bytes leave. `delay`
    /// is the time spent in queues now, in steps.
    pub(crate) fn step(&mut self, now: u64, delay: f64) -> f64 {
        let slot = usize::try_from(now & RING_MASK).unwrap_or(0);
        let acked = core::mem::take(&mut self.acks[slot]);
        if acked > 0.0 {
            self.in_flight -= acked;
            if self.active {
                self.grow(now, acked, delay);
            }
        }
        if now >= self.lost_at {
            self.notice_loss(now, delay);
        }
        if !self.active {
            return 0.0;
        }
        let room = self.window - self.in_flight;
        let send = if room > 0.0 { room.min(self.left) } else { 0.0 };
        self.in_flight += send;
        self.left -= send;
        self.active = self.left > 0.0;
        send
    }

    #[expect(clippy::cast_precision_loss, reason = "steps since a loss stay far below 2^53")]
    fn grow(&mut self, now: u64, acked: f64, delay: f64) {
        let rtt = self.rtt as f64 + delay;
        if self.slow_start {
            self.window += acked;
            // HyStart: leave slow start when delay has risen by an eighth, 4 to 16 ms.
            if delay > (self.rtt as f64 / 8.0).clamp(4.0, 16.0) {
                self.slow_start = false;
                self.w_max = self.window / MTU;
                self.k = 0.0;
                self.w_reno = self.w_max;
                self.epoch = now;
            }
        } else {
            let packets = self.window / MTU;
            let t = (now.saturating_sub(self.epoch)) as f64 * STEP_S + rtt * STEP_S - self.k;
            let cubic = CUBIC_C * t * t * t + self.w_max;
            self.w_reno += RENO_GROWTH * acked / self.window;
            let target = if cubic > self.w_reno { cubic } else { self.w_reno };
            let target = if target > 1.5 * packets { 1.5 * packets } else { target };
            if target > packets {
                self.window += (target - packets) / packets * acked;
            }
        }
        if self.window > LARGEST_WINDOW {
            self.window = LARGEST_WINDOW;
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a delay in steps, not negative")]
    fn notice_loss(&mut self, now: u64, delay: f64) {
        self.in_flight -= self.lost;
        self.left += self.lost;
        self.lost = 0.0;
        self.lost_at = u64::MAX;
        if !core::mem::take(&mut self.signalled) || now < self.recover_until {
            return;
        }
        self.slow_start = false;
        let packets = self.window / MTU;
        // Fast convergence: give room to others when the peak is falling.
        self.w_max = if packets < self.w_max { packets * (1.0 + BETA) / 2.0 } else { packets };
        let reduced = self.window * BETA;
        self.window = if reduced > 2.0 * MTU { reduced } else { 2.0 * MTU };
        let deficit = self.w_max - self.window / MTU;
        self.k = if deficit > 0.0 { libm::cbrt(deficit / CUBIC_C) } else { 0.0 };
        self.w_reno = self.window / MTU;
        self.epoch = now;
        self.recover_until = now + self.rtt + delay as u64;
    }

    /// Bytes have arrived; their acknowledgement comes one base round trip and `extra` steps
    /// (the delay of the other direction) later.
    pub(crate) fn deliver(&mut self, now: u64, bytes: f64, extra: f64) {
        let at = now + self.under_way(extra);
        self.acks[usize::try_from(at & RING_MASK).unwrap_or(0)] += bytes;
    }

    /// Bytes were dropped; the sender learns it one round trip later. Only a `signal` makes it
    /// back off (losses come in packets: not every flow loses one).
    pub(crate) fn lose(&mut self, now: u64, bytes: f64, signal: bool, extra: f64) {
        self.lost += bytes;
        self.signalled |= signal;
        if self.lost_at == u64::MAX {
            self.lost_at = now + self.under_way(extra);
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and the result is cut"
    )]
    fn under_way(&self, extra: f64) -> u64 {
        (self.rtt + extra as u64).clamp(1, RING_MASK)
    }
}
