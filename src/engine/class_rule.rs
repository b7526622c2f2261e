//! In which class a recording is scheduled.

use std::time::Duration;

use super::{Caller, Class};

/// Decides by what the caller asks for and by the recording's length.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClassRule {
    /// Interactive recordings up to this length stay interactive.
    pub(super) interactive_audio: Duration,
}

impl ClassRule {
    /// The class of a caller's recording. A long interactive one is bulk unless it has a deadline: nobody
    /// waits for milliseconds of its answer, and it would delay the callers who do.
    pub(super) fn class(self, caller: &Caller, length: Duration) -> Class {
        let is_long = caller.deadline.is_none() && length > self.interactive_audio;
        if is_long { Class::Bulk } else { caller.class }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_long_interactive_recording_is_bulk_unless_it_has_a_deadline() {
        let rule = ClassRule {
            interactive_audio: Duration::from_secs(30),
        };
        let some = Some(Instant::now());
        for (wanted, deadline, seconds, class) in [
            (Class::Interactive, None, 30, Class::Interactive),
            (Class::Interactive, None, 31, Class::Bulk),
            (Class::Interactive, some, 31, Class::Interactive),
            (Class::Bulk, None, 3, Class::Bulk),
            (Class::Bulk, some, 31, Class::Bulk),
        ] {
            let caller = Caller {
                tenant: "somebody".into(),
                class: wanted,
                deadline,
            };
            assert_eq!(rule.class(&caller, Duration::from_secs(seconds)), class);
        }
    }
}
