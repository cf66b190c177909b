//! What a webhook answers to an alert, in pieces of any size.

use wanctl::observe::{AlertCounters, AlertError, AlertFormat, AlertRule, AlertStep, Alerts, Topics};
use wanctl_hal::{Duration, Instant, LinkError};

/// The outcome of one delivery that is answered so.
fn outcome(answer: &[u8], piece: usize) -> (AlertCounters, Option<AlertError>) {
    let rule = AlertRule {
        name: "r".to_owned(),
        host: "h".to_owned(),
        port: 80,
        path: "/".to_owned(),
        token: None,
        format: AlertFormat::Json,
        topics: Topics::default(),
        wan: None,
        cool_down: Duration::from_secs(600),
    };
    let mut alerts = Alerts::new(vec![rule], 0);
    let now = Instant::ZERO;
    alerts.test(0, now, 0.0);
    assert_eq!(alerts.poll(now, true), AlertStep::Open(0, 80));
    alerts.opened(now, &[]);
    while let AlertStep::Write(bytes) = alerts.poll(now, true) {
        let length = bytes.len();
        alerts.wrote(length);
    }
    answer.chunks(piece).for_each(|bytes| alerts.input(now, bytes));
    alerts.down(now, LinkError::Closed);
    assert_eq!(alerts.poll(now, true), AlertStep::Close, "whatever it said, the delivery has ended");
    let rule = alerts.rule(0).unwrap();
    (rule.counters, rule.error)
}

pub fn run(data: &[u8]) {
    let Some((piece, answer)) = data.split_first() else { return };
    let (counters, error) = outcome(answer, usize::from(*piece).max(1));
    assert_eq!(counters.sent + counters.failed, 1);
    assert_eq!(counters.sent == 0, error.is_some());
    if answer.len() <= 2048 {
        assert_eq!(outcome(answer, answer.len().max(1)), (counters, error), "cuts change nothing");
    }
}
