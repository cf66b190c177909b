//! The daemon's files in memory. A clone is the same store: that is how a test restarts the
//! daemon on what it left behind.

use crate::board::{StoreError, StoreFile};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
struct Files {
    contents: [Option<Vec<u8>>; 3],
    fault: Option<StoreError>,
    stores: u64,
    durable: u64,
}

const fn index(file: StoreFile) -> usize {
    match file {
        StoreFile::StateA => 0,
        StoreFile::StateB => 1,
        StoreFile::Originals => 2,
    }
}

/// Files that survive the daemon.
#[derive(Clone, Debug, Default)]
pub struct Store {
    files: Arc<Mutex<Files>>,
}

impl Store {
    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`crate::Board::load`].
    ///
    /// # Errors
    /// As there.
    pub fn load(&self, file: StoreFile, buffer: &mut [u8]) -> Result<usize, StoreError> {
        const EFBIG: i32 = 27;
        let files = self.files();
        let content = files.contents[index(file)].as_deref().ok_or(StoreError::NotFound)?;
        buffer.get_mut(..content.len()).ok_or(StoreError::Os(EFBIG))?.copy_from_slice(content);
        Ok(content.len())
    }

    /// As [`crate::Board::store`].
    ///
    /// # Errors
    /// What [`Store::fail`] said.
    pub fn store(&self, file: StoreFile, bytes: &[u8], durable: bool) -> Result<(), StoreError> {
        let mut files = self.files();
        files.fault.map_or(Ok(()), Err)?;
        let content = files.contents[index(file)].get_or_insert_with(|| Vec::with_capacity(8_192));
        content.clear();
        content.extend_from_slice(bytes);
        files.stores += 1;
        files.durable += u64::from(durable);
        Ok(())
    }

    /// All writes fail from now on with this error, or succeed again.
    pub fn fail(&self, fault: Option<StoreError>) {
        self.files().fault = fault;
    }

    /// What is in a file.
    #[must_use]
    pub fn content(&self, file: StoreFile) -> Option<Vec<u8>> {
        self.files().contents[index(file)].clone()
    }

    /// Replaces a file behind the daemon's back (`None`: removes it).
    pub fn set_content(&self, file: StoreFile, content: Option<&[u8]>) {
        self.files().contents[index(file)] = content.map(<[u8]>::to_vec);
    }

    /// How many writes there were, and how many of them durable.
    #[must_use]
    pub fn writes(&self) -> (u64, u64) {
        let files = self.files();
        (files.stores, files.durable)
    }
}
