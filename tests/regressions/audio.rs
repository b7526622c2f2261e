//! Decoding audio.
