//! What can be wrong with a configuration, as data; text is made here, once.

use std::fmt;

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Line in the file, from 1; `None` for the file as a whole.
    pub line: Option<usize>,
    /// Path of the key, such as `wan "cable".download.ceiling`.
    pub key: String,
    /// The value as it stands in the file.
    pub value: Option<String>,
    /// What is wrong, and what would be right.
    pub problem: String,
}

/// All faults of a file, never none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The file's name.
    pub file: String,
    /// The faults, in the order of the file.
    pub faults: Vec<Fault>,
}

/// Something that works and should not stay so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(pub Faults);

impl Faults {
    pub(super) fn whole_file(file: &str, problem: String) -> Self {
        let fault = Fault { line: None, key: String::new(), value: None, problem };
        Self { file: file.to_owned(), faults: vec![fault] }
    }

    /// Whether there are none (only while they are being collected).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, fault: &Fault) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = fault.line {
            write!(f, ":{line}")?;
        }
        f.write_str(": ")?;
        if !fault.key.is_empty() {
            f.write_str(&fault.key)?;
            if let Some(value) = &fault.value {
                write!(f, " = {value}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&fault.problem)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.faults {
            self.write(f, fault)?;
            f.write_str("\n")?;
        }
        match self.faults.len() {
            1 => f.write_str("1 fault in the configuration"),
            n => write!(f, "{n} faults in the configuration"),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.faults.iter().try_for_each(|fault| self.0.write(f, fault))
    }
}
