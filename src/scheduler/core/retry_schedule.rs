//! When refused callers should retry: one after the other, at the rate at which places become free.
//!
//! A place for one caller is free soon, but not for all callers that were refused meanwhile. Each refusal of a
//! tenant in a class therefore gets the next slot after the earlier ones. A slot that has passed delays no
//! other, whether its caller retried or not. A caller that retries before its slot gets another slot, because it
//! cannot be distinguished from a new caller. The slots therefore have an end, after which they begin anew.

use std::collections::BTreeMap;
use std::time::Duration;

use super::class::Class;
use super::job::TenantId;
use super::time::Time;

/// No refused caller is advised to retry sooner than this.
const SOONEST: Duration = Duration::from_millis(1);
/// No refused caller is advised to retry later than this.
const LATEST: Duration = Duration::from_secs(60);

/// Pairs of tenant and class for which the latest slot is kept. Beyond that the earliest slot is forgotten.
const KEPT: usize = 2_048;

/// Times from now at which places are free for refused callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slots {
    pub(super) first: Duration,
    /// From one slot to the next.
    pub(super) interval: Duration,
    /// No slot but the first is later than this.
    pub(super) last: Duration,
}

/// The latest slot that was assigned, by class and tenant.
#[derive(Debug, Default)]
pub(super) struct RetrySchedule {
    latest: BTreeMap<(Class, TenantId), Time>,
}

impl RetrySchedule {
    /// Assigns the next slot of a tenant in a class. Returns the time from now until then.
    pub(super) fn next(
        &mut self,
        now: Time,
        class: Class,
        tenant: &TenantId,
        slots: Slots,
    ) -> Duration {
        let key = (class, tenant.clone());
        let first = slots.first.clamp(SOONEST, LATEST);
        let earliest = now.saturating_add(first);
        let following = self
            .latest
            .get(&key)
            .map_or(Time::ZERO, |latest| latest.saturating_add(slots.interval));
        let last = now.saturating_add(slots.last.min(LATEST));
        let next = if following <= last {
            following.max(earliest)
        } else {
            earliest
        };
        self.forget_excess(now, &key);
        self.latest.insert(key, next);
        next - now
    }

    /// Forgets slots if `key` would be one too many: those that have passed, otherwise the earliest.
    fn forget_excess(&mut self, now: Time, key: &(Class, TenantId)) {
        if self.latest.len() < KEPT || self.latest.contains_key(key) {
            return;
        }
        self.latest.retain(|_, latest| *latest > now);
        if self.latest.len() == KEPT {
            let earliest = self.latest.iter().min_by_key(|(_, latest)| **latest);
            if let Some(key) = earliest.map(|(key, _)| key.clone()) {
                self.latest.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn slots(first: Duration, interval: Duration) -> Slots {
        Slots {
            first,
            interval,
            last: Duration::MAX,
        }
    }

    /// Assigns the next slot of an interactive caller.
    fn next(schedule: &mut RetrySchedule, now: Time, tenant: &str, slots: Slots) -> Duration {
        schedule.next(now, Class::Interactive, &tenant.into(), slots)
    }

    #[test]
    fn each_refused_caller_gets_a_slot_after_the_one_before() {
        let mut schedule = RetrySchedule::default();
        let mut next = |now| next(&mut schedule, now, "one", slots(10 * MS, 2 * MS));
        let first = [0, 0, 0].map(|_| next(Time::ZERO));
        assert_eq!(first, [10, 12, 14].map(|ms| ms * MS));
        assert_eq!(next(5 * MS), 11 * MS, "at 16 ms");
        assert_eq!(next(Time::from_secs(1)), 10 * MS, "all slots have passed");
    }

    #[test]
    fn other_tenants_and_the_other_class_have_slots_of_their_own() {
        let mut schedule = RetrySchedule::default();
        for _ in 0..100 {
            next(&mut schedule, Time::ZERO, "much", slots(MS, MS));
        }
        let little = next(&mut schedule, Time::ZERO, "little", slots(MS, MS));
        let bulk = schedule.next(Time::ZERO, Class::Bulk, &"much".into(), slots(MS, MS));
        assert_eq!((little, bulk), (MS, MS));
    }

    #[test]
    fn callers_that_retry_too_early_do_not_move_the_slots_away_for_ever() {
        let mut schedule = RetrySchedule::default();
        let until = |last| Slots {
            last,
            ..slots(MS, 2 * MS)
        };
        let given: Vec<_> = (0..1_000)
            .map(|_| next(&mut schedule, Time::ZERO, "one", until(100 * MS)))
            .collect();
        assert!(given.iter().all(|slot| *slot <= 100 * MS));
        let soon = given.iter().filter(|slot| **slot <= 50 * MS).count();
        assert!((490..=510).contains(&soon), "{soon} in the first half");
        let late = Slots {
            first: 200 * MS,
            ..until(100 * MS)
        };
        assert_eq!(next(&mut schedule, Time::ZERO, "two", late), 200 * MS);
    }

    #[test]
    fn advice_and_memory_are_bounded() {
        let mut schedule = RetrySchedule::default();
        for number in 0..5_000 {
            let tenant = format!("tenant {number}");
            let never = slots(Duration::MAX, Duration::MAX);
            assert_eq!(next(&mut schedule, Time::ZERO, &tenant, never), LATEST);
        }
        assert_eq!(schedule.latest.len(), KEPT);
        let late = Time::from_secs(3_600);
        let now = slots(Duration::ZERO, MS);
        assert_eq!(next(&mut schedule, late, "new", now), SOONEST);
        assert_eq!(schedule.latest.len(), 1, "passed slots are forgotten");
    }
}
