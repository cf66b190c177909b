//! Instructions per cycle, counted by valgrind: the same on every machine with the same compiler.

use crate::figures::Figures;
use std::path::Path;
use std::process::Command;

/// The shorter of two runs; the longer has twice as many cycles, so that set-up cancels out.
const CYCLES: u32 = 2_000;

/// Counts the daemon's own instructions (the board is left out) per steady cycle, and per cycle
/// under bulk load.
pub fn measure(figures: &mut Figures, scratch: &Path) {
    figures.group("instructions per cycle (callgrind, the daemon's own)");
    for (load, name) in
        [("steady", "steady cycle, mean, statistics included"), ("bulk", "cycle under bulk transfers, mean")]
    {
        let [short, long] = [1, 2].map(|n| instructions(load, CYCLES * n, scratch));
        match (short, long) {
            (Ok(short), Ok(long)) => figures.tell(name, (long - short) / f64::from(CYCLES), "instructions"),
            (Err(why), _) | (_, Err(why)) => {
                figures.missing(format!("instructions per cycle: {why}"));
                return;
            }
        }
    }
}

fn instructions(load: &str, cycles: u32, scratch: &Path) -> Result<f64, String> {
    let out = scratch.join(format!("callgrind-{load}-{cycles}"));
    let itself = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut command = Command::new("valgrind");
    // Counting is on from the start, and toggled at every entry to and exit from the board.
    command.args(["--tool=callgrind", "--quiet", "--toggle-collect=*board_work*", "--collect-atstart=yes"]);
    command.arg(format!("--callgrind-out-file={}", out.display())).arg(itself);
    command.args(["cycles", load, &cycles.to_string()]);
    let done = command
        .output()
        .map_err(|e| format!("valgrind can't be started ({e}); install it: apt-get install valgrind"))?;
    if !done.status.success() {
        return Err(format!("valgrind failed: {}", String::from_utf8_lossy(&done.stderr)));
    }
    let text = std::fs::read_to_string(&out).map_err(|e| format!("{}: {e}", out.display()))?;
    let total = text.lines().find_map(|l| l.strip_prefix("totals:").or_else(|| l.strip_prefix("summary:")));
    total.and_then(|t| t.trim().parse().ok()).ok_or_else(|| "callgrind's file has no total".to_owned())
}
