//! The table of `docs/steering.md`.

use super::cases::{BEGIN, CASES, Case, run};
use super::house::{CONTENDERS, Contender, Outcome};
use std::fmt::Write as _;

/// What must hold in every row, and in some.
fn check(case: &Case, law: &str, outcomes: &[Outcome]) {
    let (nobody, ours) = (&outcomes[0], &outcomes[2]);
    let what = format!("{}, {law}: {:?}", case.name, ours.turns);
    assert!(ours.turns.len() <= 4, "{what}");
    if !case.should_steer {
        assert!(ours.turns.is_empty(), "{what}\n{:?}", ours.told);
    }
    assert!(ours.p95_ms() <= nobody.p95_ms() + 0.5, "{what}: {} against {}", ours.p95_ms(), nobody.p95_ms());
}

fn seconds(time: Option<f64>) -> String {
    time.map_or_else(|| "–".to_owned(), |t| format!("{t:.1} s"))
}

fn row(table: &mut String, case: &Case, law: &str) {
    let outcomes = CONTENDERS.map(|contender| run(case, law, contender));
    let p95 = outcomes.each_ref().map(|o| format!("{:.0}", o.p95_ms()));
    let lost = outcomes.each_ref().map(|o| format!("{:.1}", o.lost * 100.0));
    let steered = outcomes.each_ref().map(|o| seconds(o.steered_after(BEGIN)));
    let returned = outcomes.each_ref().map(|o| seconds(o.returned_after(BEGIN)));
    let turns = outcomes.each_ref().map(|o| o.turns.len().to_string());
    let two = |columns: &[String; 3]| columns[1..].join(" / ");
    writeln!(
        table,
        "| {} | {law} | {} | {} | {} | {} | {} |",
        case.name,
        two(&steered),
        two(&returned),
        two(&turns),
        p95.join(" / "),
        lost.join(" / ")
    )
    .unwrap();
    if std::env::var_os("WANCTL_LOUD").is_some() {
        eprintln!("{}", table.lines().last().unwrap());
        outcomes[2].told.iter().for_each(|(t, kind)| {
            let kind = wanctl::observe::Described { kind, names: &["cable", "dsl"] };
            eprintln!("    {t:.2}: {kind}");
        });
    } else {
        check(case, law, &outcomes);
    }
}

#[test]
fn the_table_of_the_document_is_true() {
    let mut table = String::from(
        "| what happens | law | steered after | back, from the beginning | switches | p95 added delay, ms | lost, % |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for case in CASES {
        row(&mut table, case, "classic");
        row(&mut table, case, "adaptive");
    }
    assert_eq!(CONTENDERS[2], Contender::Ours);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/steering.md");
    let text = std::fs::read_to_string(file).unwrap();
    let (begin, end) = ("<!-- table -->\n", "<!-- end -->");
    let (head, rest) = text.split_once(begin).expect("docs/steering.md has the mark of its table");
    let (old, tail) = rest.split_once(end).expect("docs/steering.md has the end of its table");
    if std::env::var_os("WANCTL_BLESS").is_some() {
        std::fs::write(file, format!("{head}{begin}{table}{end}{tail}")).unwrap();
    } else {
        assert!(old == table, "docs/steering.md is not true any more; WANCTL_BLESS=1 writes it anew:\n{table}");
    }
}
