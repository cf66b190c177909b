//! `wanctl demo` as a user runs it: the built binary, in real time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![cfg(feature = "sim")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The longest the demo may take, start and good-bye included.
const LONGEST: Duration = Duration::from_secs(100);

/// The demo with a directory of its own for temporary files, to see what it leaves there.
struct Demo {
    child: Child,
    temporary: PathBuf,
}

impl Demo {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let temporary = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("demo-{name}"));
        let _ = fs::remove_dir_all(&temporary);
        fs::create_dir_all(&temporary).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_wanctl"));
        command.arg("demo").args(arguments).env("TMPDIR", &temporary);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { child: command.spawn().unwrap(), temporary }
    }

    /// Reads standard output up to a line that contains `until`, or to its end.
    fn read(lines: &mut impl Iterator<Item = std::io::Result<String>>, until: Option<&str>) -> Vec<String> {
        let mut read = Vec::new();
        for line in lines {
            read.push(line.unwrap());
            if until.is_some_and(|until| read.last().unwrap().contains(until)) {
                break;
            }
        }
        read
    }

    fn left_behind(&self) -> Vec<String> {
        fs::read_dir(&self.temporary).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).unwrap();
        // SAFETY: a plain system call; the process is our child and not yet waited for.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }
}

/// p95 of the added delay and the use of the line of a row of the summary.
fn row(output: &[String], names: &str) -> (f64, Vec<f64>) {
    let found: Vec<_> = output.iter().filter_map(|line| line.strip_prefix(names)).collect();
    let [row] = found[..] else { panic!("one row {names:?} in\n{}", output.join("\n")) };
    let mut words = row.split_whitespace();
    let [_median, p95, _highest] = [0; 3].map(|_| words.next().unwrap().parse::<f64>().unwrap());
    (p95, words.filter_map(|word| word.parse().ok()).collect())
}

#[test]
fn the_demo_shows_that_control_helps() {
    let began = Instant::now();
    let mut demo = Demo::start("whole", &[]);
    let output = Demo::read(&mut BufReader::new(demo.child.stdout.take().unwrap()).lines(), None);
    let status = demo.child.wait().unwrap();
    let text = output.join("\n");
    println!("{text}");
    assert_eq!(status.code(), Some(0), "{text}");
    assert!(began.elapsed() < LONGEST, "{:?}", began.elapsed());
    assert!(demo.left_behind().is_empty(), "{:?}", demo.left_behind());
    assert!(!text.contains('\x1b'), "standard output is no terminal here: no escape codes");

    let scenes: Vec<_> = output.iter().filter(|line| line.starts_with("Scene ")).collect();
    assert_eq!(scenes.len(), 7);
    assert!(scenes.iter().enumerate().all(|(i, line)| line.starts_with(&format!("Scene {} of 7: ", i + 1))));
    let seconds = output.iter().filter(|line| line.contains(" ms  down ")).count();
    assert!((60..=80).contains(&seconds), "a line a second: {seconds}");

    for (before, after) in [
        ("upload        without wanctl  ", "upload        with wanctl  "),
        ("download      without wanctl  ", "download      with wanctl  "),
        ("download      without wanctl  ", "download      with wanctl, line at 40 %"),
    ] {
        let (before, _) = row(&output, before);
        let (after, used) = row(&output, after);
        assert!(before > 200.0, "bufferbloat without control: p95 {before} ms");
        assert!(after < before / 4.0, "p95 fell from {before} to {after} ms");
        assert!(used.len() == 1 && used[0] > 50.0, "the line is used: {used:?}");
    }
    assert!(text.contains("its own limits back: 100M and 20M"), "{text}");
}

/// While the demo only pings (scene 1), and while wanctl runs (scene 4).
#[test]
fn an_interrupted_demo_ends_at_once_and_leaves_nothing() {
    for (name, scene, signal) in
        [("idle", "Scene 1 ", libc::SIGINT), ("control", "Scene 4 ", libc::SIGINT), ("term", "Scene 2 ", libc::SIGTERM)]
    {
        let mut demo = Demo::start(name, &["--plain"]);
        let mut lines = BufReader::new(demo.child.stdout.take().unwrap()).lines();
        Demo::read(&mut lines, Some(scene));
        assert_eq!(demo.left_behind().len(), 1, "its own directory");
        std::thread::sleep(Duration::from_millis(500));
        let asked = Instant::now();
        demo.signal(signal);
        let status = demo.child.wait().unwrap();
        assert!(asked.elapsed() < Duration::from_secs(2), "{name}: {:?}", asked.elapsed());
        assert_eq!(status.code(), Some(130), "{name}");
        assert!(demo.left_behind().is_empty(), "{name}: {:?}", demo.left_behind());
    }
}

/// `wanctl demo | head -1`.
#[test]
fn a_demo_that_nobody_reads_ends() {
    let mut demo = Demo::start("unread", &[]);
    drop(demo.child.stdout.take());
    assert_eq!(demo.child.wait().unwrap().code(), Some(130));
    assert!(demo.left_behind().is_empty(), "{:?}", demo.left_behind());
}
