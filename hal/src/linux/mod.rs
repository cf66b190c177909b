//! The board that is a Linux machine.
