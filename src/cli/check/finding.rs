//! What a check has found, as data, and the table it is printed as.

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    /// As it should be.
    Good,
    /// Good to know.
    Note,
    /// It works, and should not stay so.
    Warn,
    /// It does not work, or not as the configuration says.
    Bad,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) mark: Mark,
    /// What it is about, such as `cable download`.
    pub(super) about: String,
    /// What was found.
    pub(super) what: String,
    /// Why it matters; empty when nothing needs mending.
    pub(super) why: &'static str,
    /// The RouterOS command that mends it; empty when nothing, or nothing on the router, does.
    pub(super) mend: String,
}

impl Finding {
    /// Something that needs no mending on the router.
    pub(super) fn plain(mark: Mark, about: impl Into<String>, what: impl Into<String>) -> Self {
        Self { mark, about: about.into(), what: what.into(), why: "", mend: String::new() }
    }

    /// Something to mend.
    pub(super) fn new(
        mark: Mark,
        about: impl Into<String>,
        what: impl Into<String>,
        why: &'static str,
        mend: impl Into<String>,
    ) -> Self {
        Self { mark, about: about.into(), what: what.into(), why, mend: mend.into() }
    }
}

/// Prints as it goes, and counts.
#[derive(Default)]
pub(super) struct Report {
    /// Findings that keep the line from being controlled.
    pub(super) bad: u32,
    /// Findings that should be mended all the same.
    pub(super) warned: u32,
}

impl Report {
    pub(super) fn add(&mut self, finding: &Finding) {
        let Finding { mark, about, what, why, mend } = finding;
        let sign = match mark {
            Mark::Good => "ok  ",
            Mark::Note => "note",
            Mark::Warn => "warn",
            Mark::Bad => "BAD ",
        };
        self.bad += u32::from(*mark == Mark::Bad);
        self.warned += u32::from(*mark == Mark::Warn);
        println!("{sign}  {about:<24} {what}");
        for (label, text) in [("why:", *why), ("mend:", mend)].iter().filter(|(_, text)| !text.is_empty()) {
            println!("{:31}{label:<6}{text}", "");
        }
    }
}
