//! mailqueue.
