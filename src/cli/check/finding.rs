//! What a check has found, as data, and the table it is printed as.

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) enum Mark {
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
pub(in crate::cli) struct Finding {
    pub(in crate::cli) mark: Mark,
    /// What it is about, such as `cable download`.
    pub(in crate::cli) about: String,
    /// What was found.
    pub(in crate::cli) what: String,
    /// Why it matters; empty when nothing needs mending.
    pub(in crate::cli) why: &'static str,
    /// The RouterOS command that mends it; empty when nothing, or nothing on the router, does.
    pub(in crate::cli) mend: String,
}

impl Finding {
    /// Something that needs no mending on the router.
    pub(in crate::cli) fn plain(mark: Mark, about: impl Into<String>, what: impl Into<String>) -> Self {
        Self { mark, about: about.into(), what: what.into(), why: "", mend: String::new() }
    }

    /// Something to mend.
    pub(in crate::cli) fn new(
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
pub(in crate::cli) struct Report {
    /// Findings that keep the line from being controlled.
    pub(in crate::cli) bad: u32,
    /// Findings that should be mended all the same.
    pub(in crate::cli) warned: u32,
}

impl Report {
    pub(in crate::cli) fn add(&mut self, finding: &Finding) {
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
