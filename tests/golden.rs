//! Every row of the golden traces, through the command a user would type.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::Path;
use std::process::Command;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");

fn replay(link: &str, series: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_wanctl"))
        .args(["replay", "--config", &format!("{DIRECTORY}/{link}.toml"), "--wan", link])
        .arg(format!("{DIRECTORY}/{link}-{series}.csv"))
        .env("WANCTL_ROUTER_PASSWORD", "x")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// States and rates match to the letter, averages to 1e-6 ms.
fn compare(link: &str, series: &str) {
    let expected = std::fs::read_to_string(Path::new(DIRECTORY).join(format!("{link}-{series}.csv"))).unwrap();
    let got = replay(link, series);
    assert_eq!(got.lines().count(), 1201);
    for (expected, got) in expected.lines().zip(got.lines()) {
        let (e, g): (Vec<&str>, Vec<&str>) = (expected.split(',').collect(), got.split(',').collect());
        assert_eq!([&e[..2], &e[4..]], [&g[..2], &g[4..]], "{link}-{series}");
        for column in [2, 3] {
            if let (Ok(e), Ok(g)) = (e[column].parse::<f64>(), g[column].parse::<f64>()) {
                assert!((e - g).abs() <= 1.000_001e-6, "{link}-{series}: {expected} / {got}");
            } else {
                assert_eq!(e[column], g[column]);
            }
        }
    }
}

macro_rules! golden {
    ($($name:ident: $link:literal $series:literal),* $(,)?) => {
        $(#[test] fn $name() { compare($link, $series); })*
    };
}

golden! {
    cable_drift: "cable" "drift", cable_episodes: "cable" "episodes", cable_noise: "cable" "noise",
    cable_steps: "cable" "steps", dsl_drift: "dsl" "drift", dsl_episodes: "dsl" "episodes",
    dsl_noise: "dsl" "noise", dsl_steps: "dsl" "steps", fiber_drift: "fiber" "drift",
    fiber_episodes: "fiber" "episodes", fiber_noise: "fiber" "noise", fiber_steps: "fiber" "steps",
}

#[test]
fn identical_rows_are_printed_identically() {
    let expected = std::fs::read_to_string(Path::new(DIRECTORY).join("cable-steps.csv")).unwrap();
    let got = replay("cable", "steps");
    let same = expected.lines().zip(got.lines()).filter(|(e, g)| e == g).count();
    assert!(same >= 1190, "only {same} of 1201 rows are the same to the letter");
}
