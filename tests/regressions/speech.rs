//! Finding speech.
