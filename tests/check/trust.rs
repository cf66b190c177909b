//! The certificate: shown, pasted, believed; and another one refused.

use super::house::House;
use wanctl_hal::sim::{RouterSetup, TlsSetup};

/// Whether `check` has got through to the router.
fn reaches_the_router(house: &House) -> bool {
    house.run("check").out.contains("RouterOS 7.24.5")
}

#[test]
fn what_trust_prints_makes_check_succeed() {
    let mut house = House::new("paste");
    let refused = house.run("check");
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.err.contains("`wanctl trust` prints it"), "{refused:?}");

    let said = house.run_with("trust", None);
    assert_eq!(said.code, 0, "{said:?}");
    let fingerprint = house.fingerprint();
    assert_eq!(said.out, format!("fingerprint = \"{fingerprint}\"\n"), "the line to paste, and nothing else");
    let compare = format!("/certificate print detail where fingerprint=\"{fingerprint}\"");
    assert!(said.err.contains(&compare), "{said:?}");

    house.paste(said.out.trim());
    assert!(reaches_the_router(&house));
    let again = house.run("trust");
    assert!(again.code == 0 && again.err.contains("pins this certificate already"), "{again:?}");
}

#[test]
fn every_kind_of_certificate_can_be_pinned() {
    let kinds = [
        ("signed", TlsSetup { names: vec!["127.0.0.1".to_owned()], signed: true, ..TlsSetup::default() }),
        ("expired", TlsSetup { expired: true, ..TlsSetup::default() }),
        ("tls13", TlsSetup { tls13: true, ..TlsSetup::default() }),
    ];
    for (name, tls) in kinds {
        let mut house = House::with(name, RouterSetup::default(), Some(tls));
        let line = house.run("trust").out;
        house.paste(line.trim());
        assert!(reaches_the_router(&house), "{name}");
    }
}

#[test]
fn nothing_is_asked_of_a_server_that_is_not_known() {
    let mut house = House::new("unknown");
    assert_eq!(house.run("trust").code, 0);
    house.paste(&format!("fingerprint = \"{}\"", "ab".repeat(32)));
    assert_eq!(house.run("trust").code, 0);
    assert_eq!(house.run("check").code, 3);
    assert_eq!(house.requests(), 0, "no request, so no password");
    // The counter would have told.
    let pinned = house.fingerprint();
    house.change(&"ab".repeat(32), &pinned);
    assert!(reaches_the_router(&house));
    assert!(house.requests() > 0);
}

#[test]
fn a_changed_certificate_is_refused_and_both_are_named() {
    let mut house = House::new("changed");
    house.pin();
    assert!(reaches_the_router(&house));
    let (pinned, before) = (house.fingerprint(), house.requests());
    house.renew_certificate();
    let shown = house.fingerprint();
    assert_ne!(pinned, shown);

    let said = house.run("check");
    assert_eq!(said.code, 3, "{said:?}");
    let line = said.out.lines().find(|line| line.contains("certificate has changed")).unwrap();
    assert!(line.contains(&pinned) && line.contains(&shown), "{line}");
    let said = house.run("trust");
    assert_eq!(said.out, format!("fingerprint = \"{shown}\"\n"));
    assert!(said.err.contains("WARNING") && said.err.contains(&pinned), "{said:?}");
    assert_eq!(house.requests(), before, "nothing was said to it");
}

#[test]
fn what_stands_in_the_way_is_told() {
    // Other faults of the file come first, all of them.
    let mut house = House::new("faults");
    house.change("ceiling = \"80M\"", "ceiling = \"80X\"");
    let said = house.run("trust");
    assert!(said.code == 2 && said.err.contains("80X") && said.out.is_empty(), "{said:?}");

    // Plain http has no certificate: not with this URL, and not on the other side.
    let mut plain = House::with("plain", RouterSetup::default(), None);
    let said = plain.run("trust");
    assert!(said.code == 2 && said.err.contains("plain http shows no certificate"), "{said:?}");
    plain.change("http://", "https://");
    let said = plain.run("trust");
    assert!(said.code == 1 && said.err.contains("/ip service print detail where name=www-ssl"), "{said:?}");
    assert!(said.out.is_empty() && plain.requests() == 0);

    // Nobody there.
    let address = plain.server.address().to_string();
    plain.change(&address, "127.0.0.1:1");
    let said = plain.run("trust");
    assert!(said.code == 1 && said.err.contains("connection refused"), "{said:?}");
}
