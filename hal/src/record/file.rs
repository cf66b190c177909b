//! The file: blocks with check sums, a bound on the size, and reading back.

use super::codec::Context;
use super::entry::{End, Entry};
use super::plain::Input;
use crate::crc32::crc32;
use crate::units::{Duration, Instant};
use core::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// How a recording begins. No text file begins so.
pub const MAGIC: [u8; 8] = *b"\x9awanrec\n";

/// The version of the format. It grows whenever older readers could not make sense of the file.
pub const FORMAT: u32 = 1;

/// Smallest size a recording may be bounded to.
pub const SMALLEST: u64 = 64 << 10;

/// A block is written when it has this size…
const BLOCK: usize = 64 << 10;

/// …or this age: so much is lost when the process is killed.
const AGE: Duration = Duration::from_secs(1);

/// Before the content of a block: its length, the check sum of those four bytes, the check sum of
/// the content.
const HEAD: usize = 12;

/// The writing end.
pub struct Tape {
    out: Option<Box<dyn Write>>,
    name: String,
    context: Context,
    /// The block in the making, behind room for its head.
    block: Vec<u8>,
    begun: Instant,
    begun_block: Instant,
    written: u64,
    limit: u64,
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tape").field("name", &self.name).field("written", &self.written).finish_non_exhaustive()
    }
}

impl Tape {
    /// A file of at most `limit` bytes. A recording of that name becomes `NAME.1`, replacing what
    /// was there; anything else is left alone.
    ///
    /// # Errors
    /// When the name stands for something that is no recording, or can't be written.
    pub fn create(path: &Path, limit: u64) -> io::Result<Self> {
        match File::open(path) {
            Ok(file) => {
                let mut first = Vec::new();
                (&file).take(MAGIC.len() as u64).read_to_end(&mut first)?;
                if !file.metadata()?.is_file() || !(first.is_empty() || first == MAGIC) {
                    return Err(io::Error::other("there is such a file, and it is no recording: it stays as it is"));
                }
                let mut older = path.as_os_str().to_owned();
                older.push(".1");
                std::fs::rename(path, PathBuf::from(older))?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        Self::new(Box::new(file), &path.display().to_string(), limit)
    }

    /// Any place to write to, and its name for people.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn new(mut out: Box<dyn Write>, name: &str, limit: u64) -> io::Result<Self> {
        out.write_all(&MAGIC)?;
        out.write_all(&FORMAT.to_le_bytes())?;
        // Room for a block and the largest entry, so that nothing grows later.
        let mut block = Vec::with_capacity(2 * BLOCK);
        block.extend_from_slice(&[0; HEAD]);
        Ok(Self {
            out: Some(out),
            name: name.to_owned(),
            context: Context::default(),
            block,
            begun: Instant::ZERO,
            begun_block: Instant::ZERO,
            written: MAGIC.len() as u64 + 4,
            limit: limit.max(SMALLEST),
        })
    }

    /// Appends something that was read beside the board.
    pub fn note(&mut self, bytes: &[u8]) {
        self.put(&Entry::Note(bytes.into()));
    }

    /// Bytes written so far.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// The last reading of the clock.
    pub(super) const fn now(&self) -> Instant {
        self.context.now()
    }

    pub(super) fn put(&mut self, entry: &Entry<'_>) {
        if self.out.is_none() {
            return;
        }
        let before = self.block.len();
        self.context.write(entry, &mut self.block);
        if self.begun == Instant::ZERO {
            (self.begun, self.begun_block) = (self.now(), self.now());
        }
        // Room for the entry that says so.
        if self.written + self.block.len() as u64 + 2 > self.limit {
            self.block.truncate(before);
            self.end(End::Full);
            log::warn!(
                "recording: {} has reached its size of {} bytes after {} s: it ends here, the control goes on",
                self.name,
                self.limit,
                self.now().since(self.begun).as_secs()
            );
        } else if self.block.len() >= BLOCK {
            self.flush();
        }
    }

    /// Writes the block if it is old enough; the moment to do so is before going to sleep.
    pub(super) fn breathe(&mut self) {
        if self.now().since(self.begun_block) >= AGE {
            self.flush();
        }
    }

    /// Ends the recording on purpose, for instance because something was about to get into it
    /// that must not.
    pub fn end(&mut self, end: End) {
        if self.out.is_some() {
            self.context.write(&Entry::End(end), &mut self.block);
            self.flush();
            self.out = None;
        }
    }

    fn flush(&mut self) {
        self.begun_block = self.now();
        let Some(out) = &mut self.out else { return };
        let (head, content) = self.block.split_at_mut(HEAD);
        if content.is_empty() {
            return;
        }
        let length = u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes();
        for (place, value) in
            head.chunks_exact_mut(4).zip([length, crc32(&length).to_le_bytes(), crc32(content).to_le_bytes()])
        {
            place.copy_from_slice(&value);
        }
        match out.write_all(&self.block) {
            Ok(()) => self.written += self.block.len() as u64,
            Err(error) => {
                log::warn!("recording: {} can't be written: {error}; it ends here, the control goes on", self.name);
                self.out = None;
            }
        }
        self.block.truncate(HEAD);
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        self.end(End::Stopped);
    }
}

/// A recording, read back.
#[derive(Debug)]
pub struct Recording {
    content: Vec<u8>,
    cut: Option<Cut>,
}

/// The last block is not whole: the writer was killed, or the medium was full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Where in the file the last whole block ends.
    pub offset: usize,
    /// How many bytes follow.
    pub left: usize,
}

/// Why a file can't be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It is no recording at all.
    NotARecording,
    /// Its format is of another version.
    Version(u32),
    /// The block that begins at this offset is not what was written.
    Block(usize),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotARecording => f.write_str("is no recording"),
            Self::Version(version) => write!(
                f,
                "is a recording of format version {version}; this program reads version {FORMAT}: replay it with the \
                 program that made it"
            ),
            Self::Block(offset) => {
                write!(f, "is damaged: the check sum of the block at byte {offset} does not fit its content")
            }
        }
    }
}

impl Recording {
    /// Checks a file and takes its content.
    ///
    /// # Errors
    /// [`Damage`].
    pub fn read(file: &[u8]) -> Result<Self, Damage> {
        let rest = file.strip_prefix(&MAGIC).ok_or(Damage::NotARecording)?;
        let number = |bytes: &[u8]| bytes.first_chunk().map(|four| u32::from_le_bytes(*four));
        let mut content = Vec::with_capacity(rest.len());
        let mut offset = MAGIC.len() + 4;
        match number(rest) {
            Some(FORMAT) => {}
            Some(other) => return Err(Damage::Version(other)),
            None => return Ok(Self { content, cut: Some(Cut { offset: MAGIC.len(), left: rest.len() }) }),
        }
        while let Some(left) = file.get(offset..).filter(|left| !left.is_empty()) {
            let cut = Cut { offset, left: left.len() };
            let Some((head, behind)) = left.split_at_checked(HEAD) else {
                return Ok(Self { content, cut: Some(cut) });
            };
            let length = &head[..4];
            if number(&head[4..]) != Some(crc32(length)) {
                return Err(Damage::Block(offset));
            }
            let length = number(length).and_then(|n| usize::try_from(n).ok()).ok_or(Damage::Block(offset))?;
            let Some(block) = behind.get(..length) else {
                return Ok(Self { content, cut: Some(cut) });
            };
            if number(&head[8..]) != Some(crc32(block)) {
                return Err(Damage::Block(offset));
            }
            content.extend_from_slice(block);
            offset += HEAD + length;
        }
        Ok(Self { content, cut: None })
    }

    /// Where and how the file was cut off, if it was.
    #[must_use]
    pub const fn cut(&self) -> Option<Cut> {
        self.cut
    }

    /// The entries, as far as they can be read.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'static>> {
        let mut reader = Reader::new(self.content.clone());
        core::iter::from_fn(move || reader.next())
    }

    pub(super) fn into_reader(self) -> Reader {
        Reader::new(self.content)
    }
}

/// Takes one entry after the other.
#[derive(Debug)]
pub(super) struct Reader {
    content: Vec<u8>,
    at: usize,
    context: Context,
}

impl Reader {
    fn new(content: Vec<u8>) -> Self {
        Self { content, at: 0, context: Context::default() }
    }

    /// The next entry; `None` at the end, and where the content means nothing.
    pub(super) fn next(&mut self) -> Option<Entry<'static>> {
        let mut input = Input::at(&self.content, self.at);
        let entry = self.context.read(&mut input)?;
        self.at = input.position();
        Some(entry)
    }

    /// Whether everything was taken.
    pub(super) const fn is_empty(&self) -> bool {
        self.at >= self.content.len()
    }

    /// The last reading of the clock.
    pub(super) const fn now(&self) -> Instant {
        self.context.now()
    }
}
