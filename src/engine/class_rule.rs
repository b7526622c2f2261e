//! Chooses the class in which a recording is scheduled.

use std::time::Duration;

use super::request::Caller;
use crate::scheduler::core::Class;

/// The rule for the class, by the caller's request and the length of the recording.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClassRule {
    /// Length of the longest recording that is interactive without a deadline.
    pub(super) interactive_audio: Duration,
}

impl ClassRule {
    /// Returns the class of a recording. A long interactive recording without a deadline is bulk, because
    /// milliseconds do not matter to its caller and it would delay other interactive callers.
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
