//! Before and after, in a table, and whether control has helped.

use super::paint::{Colour, Paint};
use super::record::{Figures, Record, TOLERABLE_MS};
use super::scenes::{SCENES, SETTLING, Scene};
use super::stage::CONTRACT;
use core::fmt::Write as _;

/// Control has helped when it leaves at most this part of the delay…
const DELAY_LEFT: f64 = 1.0 / 3.0;

/// …and uses at least this part of the line: no delay at no speed is no help.
const USED: f64 = 0.5;

/// How the show ended.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// What was seen.
    pub(super) record: Record,
    /// Limits written to the router over REST, by the router's own count.
    pub(super) writes: u64,
    /// Connections to the router.
    pub(super) connections: u64,
    /// Cycles run and cycles missed.
    pub(super) cycles: [u64; 2],
    /// The router's limits at the end, as it tells them.
    pub(super) limits: [String; 2],
}

/// A judged scene.
struct Row {
    scene: usize,
    names: [&'static str; 2],
    figures: Figures,
}

impl Outcome {
    /// The judged scenes in which something was measured.
    fn rows(&self) -> Vec<Row> {
        let row =
            |(scene, s): (usize, &Scene)| Some(Row { scene, names: s.row?, figures: self.record.figures(scene)? });
        SCENES.iter().enumerate().filter_map(row).collect()
    }

    /// Whether control has helped in every scene that can be compared with one without it, and
    /// the operator's limits are back.
    ///
    /// # Errors
    /// What did not go well, in words.
    pub(super) fn verdict(&self) -> Result<(), String> {
        let rows = self.rows();
        if rows.len() < SCENES.iter().filter(|scene| scene.row.is_some()).count() {
            return Err("in some scene nothing could be measured".to_owned());
        }
        for with in rows.iter().filter(|row| SCENES[row.scene].controlled) {
            let without = rows.iter().find(|row| is_counterpart(row.scene, with.scene));
            let Some(without) = without else { continue };
            let ([_, p95, _], [_, before, _]) = (with.figures.delay, without.figures.delay);
            if p95 > before * DELAY_LEFT {
                let [load, circumstances] = with.names;
                return Err(format!("{load}, {circumstances}: the delay's p95 is {p95:.0} ms, {before:.0} ms without"));
            }
            let used = used(with).into_iter().flatten().fold(1.0, f64::min);
            if used < USED {
                return Err(format!(
                    "{}, {}: only {:.0} % of the line is used",
                    with.names[0],
                    with.names[1],
                    used * 100.0
                ));
            }
        }
        if !self.is_restored() {
            return Err(format!("the router does not have its own limits back, but {:?}", self.limits));
        }
        Ok(())
    }

    /// Whether the router ends with the limits it began with.
    fn is_restored(&self) -> bool {
        self.limits == CONTRACT.map(|rate| rate.bps().to_string())
    }

    /// The table and what it means.
    pub(super) fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "{}", paint.bold(&format!("{:<42}{:>20}{:>17}", "", "added delay, ms", "line used")));
        let heads = ["", "median", "p95", "max", "down", "up"];
        let [a, b, c, d, e, f] = heads;
        let _ = writeln!(text, "{}", paint.bold(&format!("{a:<42}{b:>8}{c:>6}{d:>6}{e:>10}{f:>7}")));
        let mut rows = self.rows();
        // Before and after of one load stand together.
        rows.sort_by_key(|row| SCENES.iter().position(|s| s.transfers == SCENES[row.scene].transfers));
        for row in &rows {
            let _ = writeln!(text, "{}", line(row, paint));
        }
        let settling = SETTLING.as_secs();
        let _ = writeln!(
            text,
            "\nEach row leaves out the first {settling} s of its scene, when transfers get up to speed."
        );
        if let Some(first) = rows.iter().filter(|row| SCENES[row.scene].controlled).min_by_key(|row| row.scene) {
            let calm = first.figures.calm_after.as_secs_f64();
            let _ = writeln!(
                text,
                "From the start of wanctl it took {calm:.1} s until the delay stayed below {TOLERABLE_MS:.0} ms."
            );
        }
        let [cycles, missed] = self.cycles;
        let _ = writeln!(
            text,
            "{cycles} cycles ({missed} missed), {} limits set over {} HTTPS connection{}.",
            self.writes,
            self.connections,
            if self.connections == 1 { "" } else { "s" },
        );
        let [down, up] = &self.limits;
        let _ = match self.is_restored() {
            true => writeln!(
                text,
                "Told to stop, wanctl has given the router its own limits back: {} and {}.",
                CONTRACT[0], CONTRACT[1]
            ),
            false => writeln!(text, "Told to stop, wanctl has left the router with the limits {down} and {up}."),
        };
        text
    }
}

/// Whether these scenes show the same load without wanctl and with it.
fn is_counterpart(without: usize, with: usize) -> bool {
    !SCENES[without].controlled && SCENES[with].controlled && SCENES[without].transfers == SCENES[with].transfers
}

/// How much of the line the directions used that had something to transfer.
fn used(row: &Row) -> [Option<f64>; 2] {
    [0, 1].map(|i| (SCENES[row.scene].transfers[i] > 0).then_some(row.figures.used[i]))
}

fn line(row: &Row, paint: Paint) -> String {
    let [load, circumstances] = row.names;
    let [median, p95, max] = row.figures.delay;
    let [down, up] = used(row).map(|used| used.map_or("-".to_owned(), |used| format!("{:.0} %", used * 100.0)));
    let colour = if SCENES[row.scene].controlled { Colour::Green } else { Colour::Red };
    let p95 = paint.bold_in(colour, &format!("{p95:>6.0}"));
    format!("{load:<14}{circumstances:<28}{median:>8.0}{p95}{max:>6.0}{down:>10}{up:>7}")
}
