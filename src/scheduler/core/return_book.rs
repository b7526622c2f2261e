//! When refused callers should come back: one after the other, at the rate at which places become free.
//!
//! Room for one is soon there, but not for all who were refused meanwhile. Each refusal of a tenant is
//! therefore given the next appointment behind those before it. Appointments that were kept or missed are in
//! the past and hold nobody up.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Time;
use super::job::TenantId;

/// No refused caller is told to come back sooner than this, or later.
const SOONEST: Duration = Duration::from_millis(1);
const LATEST: Duration = Duration::from_secs(60);

/// Tenants whose appointments are kept at a time. Beyond that those of the earliest are forgotten.
const TENANTS: usize = 1_024;

/// A tenant's latest appointment.
#[derive(Debug, Default)]
pub(super) struct ReturnBook {
    latest: BTreeMap<TenantId, Time>,
}

impl ReturnBook {
    /// The time from now until a tenant's next appointment, if the first place is free after `first` and a
    /// further one after each `interval`.
    pub(super) fn next(
        &mut self,
        now: Time,
        tenant: &TenantId,
        first: Duration,
        interval: Duration,
    ) -> Duration {
        let earliest = now.saturating_add(first.clamp(SOONEST, LATEST));
        let after_the_latest = self
            .latest
            .get(tenant)
            .map_or(Time::ZERO, |latest| latest.saturating_add(interval));
        let next = earliest
            .max(after_the_latest)
            .min(now.saturating_add(LATEST));
        self.make_room(now, tenant);
        self.latest.insert(tenant.clone(), next);
        next - now
    }

    fn make_room(&mut self, now: Time, tenant: &TenantId) {
        if self.latest.len() < TENANTS || self.latest.contains_key(tenant) {
            return;
        }
        self.latest.retain(|_, latest| *latest > now);
        if self.latest.len() == TENANTS {
            let earliest = self.latest.iter().min_by_key(|(_, latest)| **latest);
            if let Some(tenant) = earliest.map(|(tenant, _)| tenant.clone()) {
                self.latest.remove(&tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn each_refused_caller_comes_after_the_one_before() {
        let mut book = ReturnBook::default();
        let one = TenantId::from("one");
        let mut next = |now: Time| book.next(now, &one, 10 * MS, 2 * MS);
        assert_eq!(
            [0, 0, 0].map(|_| next(Time::ZERO)),
            [10, 12, 14].map(|ms| ms * MS)
        );
        assert_eq!(next(5 * MS), 11 * MS, "at 16 ms");
        assert_eq!(next(Time::from_secs(1)), 10 * MS, "all have come");
    }

    #[test]
    fn a_tenants_callers_do_not_put_off_anothers() {
        let mut book = ReturnBook::default();
        for _ in 0..100 {
            book.next(Time::ZERO, &"much".into(), MS, MS);
        }
        assert_eq!(book.next(Time::ZERO, &"little".into(), MS, MS), MS);
    }

    #[test]
    fn advice_and_memory_are_bounded() {
        let mut book = ReturnBook::default();
        for number in 0..5_000 {
            let tenant = TenantId::from(format!("tenant {number}").as_str());
            let wait = book.next(Time::ZERO, &tenant, Duration::MAX, Duration::MAX);
            assert_eq!(wait, LATEST);
            assert_eq!(book.next(Time::ZERO, &tenant, Duration::ZERO, MS), LATEST);
        }
        assert_eq!(book.latest.len(), TENANTS);
        let late = Time::from_secs(3_600);
        assert_eq!(book.next(late, &"new".into(), Duration::ZERO, MS), SOONEST);
        assert_eq!(book.latest.len(), 1, "the past is forgotten");
    }
}
