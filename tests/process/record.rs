//! A run of the real program, with real sockets and real TLS, is recorded and repeated.

use super::house::{House, PASSWORD, Program, QUEUES, Wishes};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
use wanctl_hal::sim::Fault;

/// The program in this house, recording; the recording.
fn start(house: &House, wishes: &Wishes, arguments: &[&str]) -> (Program, PathBuf) {
    let recording = house.directory.join("run.wanrec");
    let mut command = house.command(&house.configure(wishes));
    command.arg("--record").arg(&recording).args(arguments);
    (Program::start(&mut command, &house.directory), recording)
}

/// `wanctl replay`, without any secret in its environment.
fn replay(recording: &Path) -> (Output, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wanctl"));
    let output = command.arg("replay").arg(recording).env_remove("WANCTL_ROUTER_PASSWORD").output().unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output, told)
}

/// The messages of a log, without their times, which are those of the moment of writing.
fn messages(log: &str) -> Vec<String> {
    let dated = log.lines().filter(|line| line.starts_with("20"));
    dated.filter_map(|line| line.split_once(' ')).map(|(_, message)| message.to_owned()).collect()
}

#[test]
fn a_real_run_is_repeated() {
    let house = House::new("record");
    let (mut program, recording) = start(&house, &Wishes::default(), &[]);
    house.until_limits(&program, "40000000");
    house.inject(Fault::Reset);
    program.until_line(&["WARN", "router: connection reset"]);
    program.signal(libc::SIGUSR1);
    program.until_line(&["loop: ", " cycles, "]);
    house.configure(&Wishes { ceiling: "35M", ..Wishes::default() });
    program.signal(libc::SIGHUP);
    house.until_limits(&program, "35000000");
    house.configure(&Wishes { ceiling: "nonsense", ..Wishes::default() });
    program.signal(libc::SIGHUP);
    program.until_line(&["configuration refused"]);
    house.inject(Fault::Stall(Duration::from_millis(300)));
    assert!(wanctl_hal::sim::lock(&house.world).router.set_limit(QUEUES[0], "1000000"));
    house.until_limits(&program, "35000000");
    program.stop(libc::SIGTERM);

    let content = fs::read(&recording).unwrap();
    // The base64 of "wanctl:" and the password, from where the colon is whole.
    for secret in [PASSWORD, "horse", "d2FuY3RsOmNvcnJlY3QgaG9yc2UgYmF0dGVyeSBzdGFwbGU", "Basic"] {
        assert!(!content.windows(secret.len()).any(|w| w == secret.as_bytes()), "{secret}");
    }
    let (output, told) = replay(&recording);
    assert!(output.status.success(), "{told}");
    assert!(told.lines().last().unwrap().ends_with(" cycles, identical"), "{told}");
    let (recorded, repeated) = (messages(&program.log()), messages(&told));
    assert!(recorded.len() > 8, "{recorded:?}");
    // Said by the recorder, and what a file with faults is told of: only their number is kept.
    let besides = ["recording into ", "wanctl.toml:", " faults in the configuration"];
    let beside = |line: &&String| besides.iter().any(|words| line.contains(words));
    // How long our own work took is no input: told of skipped cycles, and measured anew when they are repeated.
    let told = |line: &String| line.split("; of our own work").next().unwrap().to_owned();
    let recorded: Vec<String> = recorded.iter().filter(|line| !beside(line)).map(told).collect();
    assert_eq!(recorded, repeated.iter().map(told).collect::<Vec<_>>());
}

#[test]
fn a_killed_run_is_repeated_as_far_as_it_was_written() {
    let house = House::new("record-killed");
    let (mut program, recording) = start(&house, &Wishes::default(), &[]);
    house.until_limits(&program, "40000000");
    // Two blocks at least, of a second each.
    assert!(program.ended(Duration::from_millis(2500)).is_none(), "{}", program.log());
    program.kill();
    let (output, told) = replay(&recording);
    assert!(output.status.success(), "{told}");
    assert!(told.lines().last().unwrap().contains(" cycles, identical up to the last block"), "{told}");
    // The next run keeps the last one's recording.
    let older = fs::read(&recording).unwrap();
    let (mut program, recording) = start(&house, &Wishes::default(), &["--record-size", "64K"]);
    program.until_line(&["recording into ", "at most 65536 bytes"]);
    house.until_limits(&program, "40000000");
    program.stop(libc::SIGTERM);
    assert_eq!(fs::read(house.directory.join("run.wanrec.1")).unwrap(), older);
    let (output, told) = replay(&recording);
    assert!(output.status.success(), "{told}");
}

#[test]
fn what_is_no_recording_is_not_overwritten() {
    let house = House::new("record-over");
    let precious = house.write("run.wanrec", "precious\n");
    let (mut program, _) = start(&house, &Wishes::default(), &[]);
    assert_eq!(program.code(), 1);
    program.until_line(&["ERROR", "--record", "it is no recording: it stays as it is"]);
    assert_eq!(fs::read_to_string(precious).unwrap(), "precious\n");
}

/// A recording holds the configuration; a configuration that names the secret is not recorded.
#[test]
fn a_password_in_a_comment_is_found_first() {
    let house = House::new("record-comment");
    let told = Wishes { end: "# it is \"correct horse battery staple\", don't tell", ..Wishes::default() };
    let (mut program, recording) = start(&house, &told, &[]);
    assert_eq!(program.code(), 1);
    program.until_line(&["ERROR", "contains the router's password", "take it out"]);
    assert!(!recording.exists());

    // The same by a reload: the run goes on, the recording does not.
    let (mut program, recording) = start(&house, &Wishes::default(), &[]);
    house.until_limits(&program, "40000000");
    house.configure(&Wishes { ceiling: "35M", ..told });
    program.signal(libc::SIGHUP);
    house.until_limits(&program, "35000000");
    program.until_line(&["WARN", "recording: line ", "it ends here, the control goes on"]);
    program.stop(libc::SIGTERM);
    let content = fs::read(&recording).unwrap();
    assert!(!content.windows(5).any(|w| w == b"horse"));
    let (output, told) = replay(&recording);
    assert!(output.status.success(), "{told}");
    assert!(told.lines().last().unwrap().contains("the password would have got into it"), "{told}");
}
