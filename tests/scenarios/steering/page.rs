//! The table of `docs/steering.md`.

use super::cases::{BEGIN, CASES, Case, run};
use super::common::at;
use super::house::{CONTENDERS, Contender, Outcome, daemon, line_now, world};
use std::fmt::Write as _;
use wanctl::observe::Described;
use wanctl::types::EventKind;

/// What must hold in every row, and in some.
fn check(case: &Case, law: &str, outcomes: &[Outcome]) {
    let ours = &outcomes[2];
    let what = format!("{}, {law}: {:?}", case.name, ours.turns);
    assert!(ours.turns.len() <= 4, "{what}");
    if !case.should_steer {
        assert!(ours.turns.is_empty(), "{what}\n{:?}", ours.told);
    }
    // What it costs to stay differs by chance from run to run, if only because the router is asked about its switches:
    // the worst of those in which nothing turned, and some milliseconds. It is all there is where ours did not turn.
    let stays = outcomes.iter().filter(|o| o.turns.is_empty()).map(Outcome::p95_ms).fold(0.0, f64::max);
    let turned = !ours.turns.is_empty();
    assert!(!turned || ours.p95_ms() <= stays + 15.0, "{what}: {} against {stays}", ours.p95_ms());
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
            let kind = Described { kind, names: &["cable", "dsl"] };
            eprintln!("    {t:.2}: {kind}");
        });
    } else {
        check(case, law, &outcomes);
    }
}

/// The collapse under the adaptive law, half a second by half a second.
fn trace() -> String {
    let mut text = String::from(
        "| second | download rate | delay above baseline | state | score of the primary | new calls leave through |\n\
         |---|---|---|---|---|---|\n",
    );
    let case = &CASES[0];
    let world = world(&case.plan, 1);
    (case.act)(&world);
    let mut d = daemon(&world, &case.plan, "adaptive", Contender::Ours);
    let mut said = None;
    let marks = (0..=9).map(|i| f64::from(i) * 0.5 - 0.5).chain([6.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 60.0, 90.0]);
    for second in marks {
        d.run_until(at(BEGIN + second));
        let (_, verdict) = d.wans()[0].last.unwrap();
        let (_, pair) = d.steering().pairs().next().unwrap();
        let (_, score) = pair.scores().next().unwrap();
        let (delay, rate) = (verdict.delay(), verdict.download.rate.rate());
        let line = ["cable", "dsl"][line_now(&d)];
        if let Some(event) = d.events().iter().find(|e| matches!(e.kind, EventKind::Steer { .. })) {
            let kind = &event.kind;
            said.get_or_insert_with(|| Described { kind, names: &["cable", "dsl"] }.to_string());
        }
        writeln!(text, "| {second:.1} | {rate} | {delay} | {} | {score} | {line} |", verdict.download.state.name())
            .unwrap();
    }
    writeln!(text, "\nAnd the log: `{}`.", said.expect("it turned")).unwrap();
    text
}

/// What a test has made, where the document has it.
fn bless(mark: &str, made: &str) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/steering.md");
    let text = std::fs::read_to_string(file).unwrap();
    let (begin, end) = (format!("<!-- {mark} -->\n"), format!("<!-- end of {mark} -->"));
    let (head, rest) = text.split_once(&begin).expect("docs/steering.md has the mark");
    let (old, tail) = rest.split_once(&end).expect("docs/steering.md has the end");
    if std::env::var_os("WANCTL_BLESS").is_some() {
        std::fs::write(file, format!("{head}{begin}{made}{end}{tail}")).unwrap();
    } else {
        assert!(old == made, "docs/steering.md is not true any more; WANCTL_BLESS=1 writes it anew:\n{made}");
    }
}

#[test]
fn the_document_is_true() {
    let mut table = String::from(
        "| what happens | law | steered after | back, from the beginning | switches | p95 added delay, ms | lost, % |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for case in CASES {
        row(&mut table, case, "classic");
        row(&mut table, case, "adaptive");
    }
    assert_eq!(CONTENDERS, [Contender::Nobody, Contender::Original, Contender::Ours], "the order of the columns");
    bless("table", &table);
    bless("trace", &trace());
}
