//! How the system lets threads run beside those that run batches.

/// From now on the system lets the calling thread run, and threads that it starts, only when a
/// processor has nothing else to do: Linux' `SCHED_IDLE`. Where that is not to be had, such work
/// competes with the rest.
pub(super) fn run_on_idle_processors() {
    // Elsewhere a priority would be the whole process's, or mean something else.
    #[cfg(target_os = "linux")]
    {
        use thread_priority::{NormalThreadSchedulePolicy::Idle, ThreadPriority};

        if let Err(error) = linux::set(Idle, ThreadPriority::Min) {
            tracing::warn!(%error, "bulk work competes with the rest for processors");
        }
    }
}

/// From now on the calling thread, and threads that it starts, wait for their turn on a processor when
/// something wakes them, and do not push off it who computes: Linux' `SCHED_BATCH`. A batch takes about a
/// millisecond, after which its thread yields; a call that arrives in the middle of it can wait so long, and
/// the batch need not stop for each. The price: beside other programs that want the same processors we wait for
/// them, too. Whoever started us with another policy than the usual one has chosen it, and keeps it.
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
            tracing::debug!(%error, "calls that arrive interrupt batches");
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

    /// A niceness, 19 to -20, as the crate counts: 0 to 99. It cuts off what is behind the point of 39 parts
    /// of that, so this aims at the middle of a part.
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
        // The 41st field; the second, a name in parentheses, may hold blanks.
        let fields = stat.rsplit(')').next().unwrap();
        fields.split_whitespace().nth(38).unwrap().to_owned()
    }

    #[test]
    fn the_system_is_told() {
        for (tell, told) in [
            (super::run_on_idle_processors as fn(), IDLE),
            (super::use_batch_scheduling_policy, BATCH),
        ] {
            let policy = std::thread::spawn(move || {
                tell();
                policy()
            });
            assert_eq!(policy.join().unwrap(), told);
        }
    }

    #[test]
    fn who_interrupts_nobody_is_as_nice_as_before() {
        use thread_priority::{NormalThreadSchedulePolicy::Batch, ThreadSchedulePolicy::Normal};

        for nice in -20..=19 {
            let posix = super::linux::priority(nice).to_posix(Normal(Batch));
            assert_eq!(posix, Ok(nice));
        }
        let thread = std::thread::spawn(|| {
            // This thread's alone, on Linux.
            rustix::process::setpriority_process(None, 3).unwrap();
            super::use_batch_scheduling_policy();
            rustix::process::getpriority_process(None).unwrap()
        });
        assert_eq!(thread.join().unwrap(), 3);
    }

    #[test]
    fn who_was_given_another_policy_keeps_it() {
        let thread = std::thread::spawn(|| {
            super::run_on_idle_processors();
            super::use_batch_scheduling_policy();
            policy()
        });
        assert_eq!(thread.join().unwrap(), IDLE);
    }
}
