//! Threads for work that nobody waits for.

/// From now on the system lets the calling thread run, and threads that it starts, only when a
/// processor has nothing else to do: Linux' `SCHED_IDLE`. Where that is not to be had, such work
/// competes with the rest.
pub(super) fn run_on_idle_processors() {
    // Elsewhere a priority would be the whole process's, or mean something else.
    #[cfg(target_os = "linux")]
    {
        use thread_priority::unix::{
            NormalThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy,
            thread_native_id,
        };

        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        let lowest = thread_priority::ThreadPriority::Min;
        if let Err(error) = set_thread_priority_and_policy(thread_native_id(), lowest, idle) {
            tracing::warn!(%error, "bulk work competes with the rest for processors");
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

    /// SCHED_IDLE, see sched(7).
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
        let policy = std::thread::spawn(|| {
            super::run_on_idle_processors();
            policy()
        });
        assert_eq!(policy.join().unwrap(), IDLE);
    }
}
