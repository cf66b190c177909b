//! The board in virtual time.
