//! Messages for the user on standard error.

use std::io::Write as _;

/// Prints a line on standard error. A failure is ignored, because there is no other place to report it.
pub(super) fn print(line: &str) {
    let _ = writeln!(std::io::stderr(), "undertone: {line}");
}
