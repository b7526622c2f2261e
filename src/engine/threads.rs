//! Scheduling policies of threads that share processors with those that run batches.

/// Gives the calling thread, and threads that it starts, the policy `SCHED_IDLE` of Linux: they run only on
/// processors that have nothing else to do. Where the system has no such policy, bulk work competes with
/// interactive work.
pub(super) fn run_on_idle_processors() {
    // On other systems a priority applies to the whole process or has another meaning.
    #[cfg(target_os = "linux")]
    {
        use thread_priority::{NormalThreadSchedulePolicy::Idle, ThreadPriority};

        if let Err(error) = linux::set(Idle, ThreadPriority::Min) {
            tracing::warn!(
                %error,
                "the system refuses SCHED_IDLE; bulk work competes with interactive work for processors"
            );
        }
    }
}

/// Gives the calling thread, and threads that it starts, the policy `SCHED_BATCH` of Linux: a thread that wakes
/// up waits for a processor and does not interrupt the thread that computes there. A batch takes about a
/// millisecond and then its thread yields. A call that arrives during a batch can wait that long, and the batch
/// is not interrupted. The drawback is that these threads also wait for other programs on the same processors.
/// Does nothing if the process was started with a policy other than the default, because the user chose it.
pub fn use_batch_scheduling_policy() {
    #[cfg(target_os = "linux")]
    {
        use thread_priority::NormalThreadSchedulePolicy::{Batch, Other};
        use thread_priority::{ThreadSchedulePolicy, thread_schedule_policy};

        if thread_schedule_policy() != Ok(ThreadSchedulePolicy::Normal(Other)) {
            return;
        }
        let unchanged = rustix::process::getpriority_process(None).unwrap_or_default();
        if let Err(error) = linux::set(Batch, linux::priority(unchanged)) {
            tracing::debug!(%error, "the system refuses SCHED_BATCH; arriving calls interrupt batches");
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use thread_priority::unix::{
        NormalThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy,
        thread_native_id,
    };
    use thread_priority::{Error, ThreadPriority, ThreadPriorityValue};

    pub(super) fn set(
        policy: NormalThreadSchedulePolicy,
        priority: ThreadPriority,
    ) -> Result<(), Error> {
        let policy = ThreadSchedulePolicy::Normal(policy);
        set_thread_priority_and_policy(thread_native_id(), priority, policy)
    }

    /// Converts a niceness, 19 to −20, to the priority of the crate `thread-priority`, 0 to 99. The crate
    /// divides the range into 39 parts and rounds down, so the result is the middle of a part.
    pub(super) fn priority(niceness: i32) -> ThreadPriority {
        let priority = 99.0 * (1.0 - (niceness as f32 + 20.5) / 39.0);
        ThreadPriorityValue::try_from(priority.round() as u8)
            .map_or(ThreadPriority::Min, ThreadPriority::Crossplatform)
    }
}

#[cfg(all(test, target_os = "linux"))]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

    /// SCHED_BATCH and SCHED_IDLE, see sched(7).
    const BATCH: &str = "3";
    pub(crate) const IDLE: &str = "5";

    /// The calling thread's scheduling policy.
    pub(crate) fn policy() -> String {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        // The 41st field. The second field, a name in parentheses, can contain blanks.
        let fields = stat.rsplit(')').next().unwrap();
        fields.split_whitespace().nth(38).unwrap().to_owned()
    }

    #[test]
    fn the_system_applies_the_policy() {
        for (set, expected) in [
            (super::run_on_idle_processors as fn(), IDLE),
            (super::use_batch_scheduling_policy, BATCH),
        ] {
            let policy = std::thread::spawn(move || {
                set();
                policy()
            });
            assert_eq!(policy.join().unwrap(), expected);
        }
    }

    #[test]
    fn the_batch_policy_keeps_the_niceness() {
        use thread_priority::{NormalThreadSchedulePolicy::Batch, ThreadSchedulePolicy::Normal};

        for nice in -20..=19 {
            let posix = super::linux::priority(nice).to_posix(Normal(Batch));
            assert_eq!(posix, Ok(nice));
        }
        let thread = std::thread::spawn(|| {
            // On Linux this changes the calling thread only.
            rustix::process::setpriority_process(None, 3).unwrap();
            super::use_batch_scheduling_policy();
            rustix::process::getpriority_process(None).unwrap()
        });
        assert_eq!(thread.join().unwrap(), 3);
    }

    #[test]
    fn another_policy_is_kept() {
        let thread = std::thread::spawn(|| {
            super::run_on_idle_processors();
            super::use_batch_scheduling_policy();
            policy()
        });
        assert_eq!(thread.join().unwrap(), IDLE);
    }
}
