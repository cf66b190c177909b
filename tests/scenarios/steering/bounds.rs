//! The promises that have a number.

use super::cases::{BEGIN, CASES, Case, run};
use super::house::Contender;

fn case(name: &str) -> &'static Case {
    CASES.iter().find(|case| case.name == name).unwrap_or_else(|| panic!("{name}"))
}

#[test]
fn a_collapse_is_left_within_two_and_a_half_seconds_and_felt_a_quarter_as_much() {
    for law in ["classic", "adaptive"] {
        let case = case("primary falls to 3 Mbit/s for 20 s");
        let ours = run(case, law, Contender::Ours);
        let after = ours.steered_after(BEGIN).unwrap();
        assert!(after <= 2.5, "{law}: {after}");
        let nobody = run(case, law, Contender::Nobody);
        let most = if law == "classic" { nobody.p95_ms() / 4.0 } else { nobody.p95_ms() };
        assert!(ours.p95_ms() <= most, "{law}: {} of {}", ours.p95_ms(), nobody.p95_ms());
    }
}
