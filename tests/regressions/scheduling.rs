//! Admission and order of work.
