//! kill -9 at random moments, in real time, with the real program: state and router always come
//! back right.

use super::house::{House, ORIGINALS, Program, Wishes};
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The limits that the two configurations want in the end, which take turns.
const WANTED: [&str; 2] = ["40000000", "30000000"];

/// What it may want on the way there, from what it has learnt under the other configuration.
const RANGE: std::ops::RangeInclusive<u64> = 30_000_000..=40_000_000;

/// Whence the moments come: printed, and taken from `WANCTL_SEED` to see them again.
struct Moments(u64);

impl Moments {
    fn new() -> Self {
        let given = std::env::var("WANCTL_SEED").ok().and_then(|text| text.parse().ok());
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos().into();
        let seed: u64 = given.unwrap_or_else(now);
        println!("WANCTL_SEED={seed}");
        Self(seed | 1)
    }

    /// A moment before `end`.
    fn below(&mut self, end: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_micros(self.0 % u64::try_from(end.as_micros()).unwrap())
    }
}

/// Whatever was cut short, the next start finds nothing that it can't use.
fn is_well(program: &Program, kill: u32) {
    let log = program.log();
    for word in ["passed over", "damaged", "can't be saved", "panicked"] {
        assert!(!log.contains(word), "after kill {kill}:\n{log}");
    }
}

/// Original, or in the range of what was wanted; and if not original, then the way back
/// is journalled.
fn router_is_right(house: &House, kill: u32) {
    let limits = house.limits();
    for (limit, original) in limits.iter().zip(ORIGINALS) {
        assert!(limit == original || RANGE.contains(&limit.parse().unwrap()), "{limit} after kill {kill}");
    }
    if limits != ORIGINALS {
        let journal = fs::read_to_string(house.state("originals")).unwrap_or_default();
        assert!(ORIGINALS.iter().all(|o| journal.contains(o)), "{limits:?} after kill {kill}, journal: {journal}");
    }
}

#[test]
fn killed_at_any_moment_router_and_state_come_back_right() {
    let kills = if std::env::var_os("WANCTL_SOAK").is_some() { 200 } else { 20 };
    let house = House::new("kills");
    let mut moments = Moments::new();
    for kill in 0..kills {
        let ceiling = if kill % 2 == 0 { "40M" } else { "30M" };
        let wishes = Wishes { ceiling, ..Wishes::default() };
        let mut program = house.start(&wishes);
        // Most often in the first moments, in which most happens; sometimes long after; every
        // fourth time on its way out.
        let longest = Duration::from_millis(if kill % 4 == 1 { 1500 } else { 500 });
        let moment = moments.below(longest);
        assert!(program.ended(moment).is_none(), "it ended by itself:\n{}", program.log());
        if kill % 4 == 3 {
            program.until_line(&["starts: 1 WANs"]);
            house.until_limits(&program, WANTED[1]);
            program.signal(libc::SIGTERM);
            std::thread::sleep(moments.below(Duration::from_millis(40)));
        }
        program.kill();
        is_well(&program, kill);
        router_is_right(&house, kill);
        if kill % 10 == 9 {
            comes_back(&house, &wishes, kill);
        }
    }
}

/// A run that is let alone takes over, controls, and gives the originals back. A router that was left
/// in the middle of a request resets connections for some seconds (`docs/double.md`); a run that is
/// stopped meanwhile says that it could not, and then the next one does.
fn comes_back(house: &House, wishes: &Wishes, kill: u32) {
    for patient in [false, true] {
        let mut program = house.start(wishes);
        program.until_line(&["starts: 1 WANs"]);
        house.until_limits(&program, WANTED[usize::from(wishes.ceiling == "30M")]);
        program.until_report("3 of 3 reflectors, signal Good");
        if patient {
            program.until_report(&format!("down {0}, up {0},", wishes.ceiling));
        }
        program.stop(libc::SIGTERM);
        is_well(&program, kill);
        if patient || !program.log().contains("did not answer in time") {
            assert_eq!(house.limits(), ORIGINALS, "after kill {kill}:\n{}", program.log());
            return;
        }
    }
}
