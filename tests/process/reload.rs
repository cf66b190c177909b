//! Signals that do not end it: a new configuration, and the state of everything.

use super::house::{House, Wishes};

#[test]
fn a_valid_file_takes_effect_and_nothing_learnt_is_lost() {
    let house = House::new("reload");
    let mut program = house.start(&Wishes { baseline: "25ms", ..Wishes::default() });
    house.until_limits(&program, "40000000");
    let writes = house.writes();
    house.configure(&Wishes { ceiling: "60M", baseline: "35ms", directions: r#"step_up = "1k""#, ..Wishes::default() });
    program.signal(libc::SIGHUP);
    program.until_line(&["INFO", "configuration read again, in force now"]);
    let report = program.report();
    assert!(report.contains("baseline 25") || report.contains("baseline 24.9"), "kept: {report}");
    assert!(report.contains("signal Good") && report.contains("down 40"), "{report}");
    assert_eq!((house.limits(), house.writes()), (["40000000", "40000000"].map(str::to_owned), writes));
    // Narrower bounds hold at once.
    house.configure(&Wishes { ceiling: "30M", ..Wishes::default() });
    program.signal(libc::SIGHUP);
    house.until_limits(&program, "30000000");
    program.stop(libc::SIGTERM);
    assert_eq!(house.limits(), super::house::ORIGINALS);
}

#[test]
fn an_invalid_file_is_told_in_full_and_the_old_one_stays() {
    let house = House::new("refused");
    let mut program = house.start(&Wishes::default());
    house.until_limits(&program, "40000000");
    house.configure(&Wishes {
        ceiling: "1M",
        wan: "mesurement = 3",
        end: "[log]\nlevel = \"loud\"",
        ..Wishes::default()
    });
    program.signal(libc::SIGHUP);
    program.until_line(&["ERROR", "configuration refused because of ", "the old one stays in force"]);
    for fault in ["mesurement", "loud", "download.floor = ", "upload.floor = "] {
        program.until_line(&["ERROR", fault]);
    }
    for (what, change) in [("state.directory", "state"), ("router.url", "url")] {
        let path = house.configure(&Wishes::default());
        let text = std::fs::read_to_string(&path).unwrap();
        let text = if change == "state" {
            text.replace("/state\"", "/elsewhere\"")
        } else {
            text.replace("https://127.0.0.1", "https://127.0.0.9")
        };
        std::fs::write(&path, text).unwrap();
        program.signal(libc::SIGHUP);
        program.until_line(&["ERROR", what, "can't be changed by a reload"]);
    }
    std::fs::remove_file(house.directory.join("wanctl.toml")).unwrap();
    program.signal(libc::SIGHUP);
    program.until_line(&["ERROR", "wanctl.toml", "No such file"]);
    assert!(program.report().contains("down 40M"));
    assert_eq!(house.limits(), ["40000000"; 2]);
    program.stop(libc::SIGTERM);
    assert_eq!(house.limits(), super::house::ORIGINALS);
}

#[test]
fn a_report_has_one_line_per_wan_with_everything_that_matters() {
    let house = House::new("report");
    let program = house.start(&Wishes::default());
    house.until_limits(&program, "40000000");
    let report = program.until_report("3 of 3 reflectors");
    for part in [
        "cable: GREEN/GREEN rtt ",
        " baseline ",
        "3 of 3 reflectors",
        "signal Good",
        "age ",
        "down 40M",
        "up 40M",
        "probes ",
        " answered",
        "2 writes",
        "0 repairs",
        " cycles missed",
    ] {
        assert!(report.contains(part), "no \"{part}\" in {report}");
    }
    assert!(!report.contains("router has") && !report.contains("unknown"), "confirmed: {report}");
    program.until_line(&["router https://127.0.0.1:", "connected", "RouterOS 7.24.5", "1 handshakes"]);
}
