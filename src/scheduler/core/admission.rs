//! Admission: a job is refused if it exceeds a bound on what is held, or cannot be answered in time.

use std::time::Duration;

use super::batch::End;
use super::class::Class;
use super::holding::Holding;
use super::job::{Job, JobId, Work};
use super::machine::Core;
use super::policy::Bounds;
use super::refusal::Refusal;
use super::retry_schedule::Slots;
use super::rounds::ROUND;
use super::time::Time;

/// One part in this many of a bound is reserved for tenants that hold less than their share. A tenant that
/// fills the rest therefore does not exclude the others.
const RESERVED: u128 = 8;

/// Slots for refused callers end after this many times the time that the held work takes. Callers beyond that
/// are most likely callers that retried too early.
const MOST_REFUSED: u32 = 16;

/// A refusal before it has its retry slot.
struct SpacedRefusal {
    refusal: Refusal,
    /// The predicted time between the places of two callers that are refused for the same reason.
    interval: Duration,
}

impl SpacedRefusal {
    /// A refusal that no wait helps.
    fn permanent(refusal: Refusal) -> Self {
        Self {
            refusal,
            interval: Duration::ZERO,
        }
    }
}

/// How much of a bounded quantity is in use.
struct Usage {
    /// The bound.
    most: u128,
    /// What all tenants hold.
    used: u128,
    /// What the tenant of the job holds.
    held: u128,
    /// What the job adds.
    more: u128,
}

impl Core {
    /// Admits a job and returns the time in which its answer is predicted. For an interactive job that finds no
    /// place otherwise, it evicts bulk jobs that have not begun.
    pub(super) fn admit(&mut self, now: Time, job: &Job) -> Result<Duration, Refusal> {
        let (all, tenant, own) = self.jobs.beside(job);
        let is_new = own.jobs == 0;
        if is_new && self.draining {
            return Err(Refusal::Draining);
        }
        let mut work = job.work;
        if let Some(state) = self.jobs.get(&job.id) {
            work += state.waiting;
            work += state.under_way;
        }
        let (needs, most) = (job.bytes, self.policy.bounds.bytes);
        if needs > most {
            return Err(Refusal::TooManyBytes { needs, most });
        }
        let needs = self.predict(work);
        let admitted = self
            .admit_time(now, job, needs, &all, &tenant)
            .and_then(|predicted| {
                self.admit_place(now, job, is_new, all, tenant)?;
                Ok(predicted)
            });
        admitted.map_err(|refused| self.with_retry_slot(now, job, refused))
    }

    /// Returns a refusal that states when this caller should retry: after the callers of its tenant that were
    /// refused before.
    fn with_retry_slot(&mut self, now: Time, job: &Job, refused: SpacedRefusal) -> Refusal {
        let SpacedRefusal {
            mut refusal,
            interval,
        } = refused;
        if let Some(drain) = refusal.drain_mut() {
            // Places become free as slowly as work is really done.
            let slowdown = self.drain_rate.slowdown(now, self.policy.instances);
            let slower = |time: Duration| time.min(Duration::from_secs(3_600)).mul_f64(slowdown);
            let (all, ..) = self.jobs.beside(job);
            let held = self.predict(all.work[job.class]);
            let slots = Slots {
                first: slower(*drain),
                interval: slower(interval),
                last: slower(self.drained_after(job.class, held, &all) * MOST_REFUSED),
            };
            *drain = self.retry_schedule.next(now, job.class, &job.tenant, slots);
        }
        refusal
    }

    /// Checks whether the devices have the time. Returns the time in which the answer is predicted.
    fn admit_time(
        &self,
        now: Time,
        job: &Job,
        needs: Duration,
        all: &Holding,
        tenant: &Holding,
    ) -> Result<Duration, SpacedRefusal> {
        let class = job.class;
        let most = self.policy.bounds.backlog[class];
        if needs > most {
            let refusal = Refusal::TooMuch { class, needs, most };
            return Err(SpacedRefusal::permanent(refusal));
        }
        let alone = self
            .drained_after(class, needs, &Holding::default())
            .max(self.costs.least(job.work));
        let left = job.deadline.map(|deadline| deadline.saturating_sub(now));
        let corrected = |waiting, alone| self.delays[class].corrected(now, waiting, alone);
        let soonest = corrected(Duration::ZERO, alone);
        if left.is_some_and(|left| soonest > left) {
            let refusal = Refusal::Late { alone: soonest };
            return Err(SpacedRefusal::permanent(refusal));
        }
        let used = self.predict(all.work[class]);
        let held = self.predict(tenant.work[class]);
        let weight = job.weight.max(1);
        let weights = self
            .jobs
            .weights(job, |held| held.work[class] != Work::default());
        // Beside the work of other tenants, a tenant's own work takes this many times as long.
        let shared = |time: Duration| scaled(time, weights, weight);
        let interval = shared(needs) / self.instances();
        if used + needs > most {
            let drain = self.drained_after(class, used + needs - most, all);
            let refusal = Refusal::Backlog { class, most, drain };
            return Err(SpacedRefusal { refusal, interval });
        }
        let usage = Usage {
            most: most.as_nanos(),
            used: used.as_nanos(),
            held: held.as_nanos(),
            more: needs.as_nanos(),
        };
        if let Err(excess) = usage.check_share(weight, weights) {
            let excess = Duration::from_nanos(u64::try_from(excess).unwrap_or(u64::MAX));
            let drain = self.drained_after(class, shared(excess), all);
            let refusal = Refusal::TenantShare { drain };
            return Err(SpacedRefusal { refusal, interval });
        }
        // The job runs after all other work of its class, or with its tenant's share of the devices after its
        // tenant's own work, whichever is sooner. Rounds bound how much of its tenant's longer jobs is ahead.
        let others = u32::try_from(self.jobs.beside_in_class(job)).unwrap_or(u32::MAX);
        let in_turns = (needs + self.round() * 2).saturating_mul(others);
        let own = held.min(in_turns) + needs;
        let predicted = self
            .drained_after(class, used + needs, all)
            .min(self.drained_after(class, shared(own), all))
            .max(alone);
        let answered = corrected(predicted - alone, alone);
        if let Some(left) = left.filter(|left| answered > *left) {
            let refusal = Refusal::Deadline {
                predicted: answered,
                drain: answered - left,
            };
            return Err(SpacedRefusal { refusal, interval });
        }
        Ok(predicted)
    }

    /// Checks whether there is a place and memory. It evicts bulk jobs if an interactive one needs that.
    fn admit_place(
        &mut self,
        now: Time,
        job: &Job,
        is_new: bool,
        mut all: Holding,
        tenant: Holding,
    ) -> Result<(), SpacedRefusal> {
        let Bounds { jobs, bytes, .. } = self.policy.bounds;
        let evicts = job.class == Class::Interactive;
        let count = |held: &Holding| {
            if evicts {
                (
                    held.jobs - held.evictable_jobs,
                    held.bytes - held.evictable_bytes,
                )
            } else {
                (held.jobs, held.bytes)
            }
        };
        let ((used_jobs, used_bytes), (held_jobs, held_bytes)) = (count(&all), count(&tenant));
        let weight = job.weight.max(1);
        let weights = self.jobs.weights(job, |held| held.jobs > 0);
        let drain = self.one_ends_after(&all);
        let interval = scaled(drain, weights, weight);
        let more = usize::from(is_new);
        if used_jobs + more > jobs {
            let refusal = Refusal::Jobs { most: jobs, drain };
            return Err(SpacedRefusal { refusal, interval });
        }
        if job.bytes > bytes.saturating_sub(used_bytes) {
            let refusal = Refusal::Bytes { most: bytes, drain };
            return Err(SpacedRefusal { refusal, interval });
        }
        let has_share = |most: usize, used: usize, held: usize, more: usize| {
            let usage = Usage {
                most: most as u128,
                used: used as u128,
                held: held as u128,
                more: more as u128,
            };
            usage.check_share(weight, weights).is_ok()
        };
        if !has_share(jobs, used_jobs, held_jobs, more)
            || !has_share(bytes, used_bytes, held_bytes, job.bytes)
        {
            // One of the tenant's own jobs must end. They are served by the tenant's share.
            let drain = scaled(self.one_ends_after(&tenant), weights, weight);
            let refusal = Refusal::TenantShare { drain };
            return Err(SpacedRefusal { refusal, interval });
        }
        while all.jobs + more > jobs || all.bytes + job.bytes > bytes {
            let Some(evicted) = self.jobs.first_to_evict().filter(|_| evicts) else {
                break;
            };
            let retry = self.retry_after_eviction(now, evicted, &all);
            self.end_job(evicted, End::Evicted { retry });
            (all, ..) = self.jobs.beside(job);
        }
        Ok(())
    }

    /// Returns when the caller of an evicted job should retry: once the interactive work that displaced it is
    /// done, after callers of its tenant that were advised before.
    fn retry_after_eviction(&mut self, now: Time, id: JobId, all: &Holding) -> Duration {
        let slowdown = self.drain_rate.slowdown(now, self.policy.instances);
        let interactive = self.predict(all.work[Class::Interactive]);
        let first = self.drained_after(Class::Interactive, interactive, all);
        let slots = Slots {
            first: first.mul_f64(slowdown),
            interval: self.one_ends_after(all).mul_f64(slowdown),
            last: Duration::MAX,
        };
        let tenant = self.jobs.get(&id).map(|state| state.job.tenant.clone());
        tenant.map_or(slots.first, |tenant| {
            self.retry_schedule.next(now, Class::Bulk, &tenant, slots)
        })
    }

    /// Returns when the devices will have done this much of a class's work, as predicted. `all` holds the other
    /// class's work, which competes with it.
    fn drained_after(&self, class: Class, work: Duration, all: &Holding) -> Duration {
        let instances = self.instances();
        let share = self.policy.bulk_share.clamp(0.0, 0.9);
        let other = self.predict(all.work[class.other()]);
        let both = work.saturating_add(other) / instances;
        match class {
            // Bulk takes its share only as long as there is bulk work.
            Class::Interactive => both.min((work / instances).div_f64(1.0 - share)),
            // Interactive work runs first, except for bulk's share.
            Class::Bulk if share > 0.0 => both.min((work / instances).div_f64(share)),
            Class::Bulk => both,
        }
    }

    /// Returns when one of the jobs that hold this will have ended, as predicted.
    fn one_ends_after(&self, held: &Holding) -> Duration {
        let work: Duration = held.work.iter().map(|(_, work)| self.predict(*work)).sum();
        let jobs = u32::try_from(held.jobs.max(1)).unwrap_or(u32::MAX);
        work / jobs / self.instances()
    }

    /// Returns the device time of one job's round.
    fn round(&self) -> Duration {
        self.predict(Work {
            segments: ROUND / 2,
            steps: ROUND / 2,
        })
    }

    fn instances(&self) -> u32 {
        u32::try_from(self.policy.instances.max(1)).unwrap_or(u32::MAX)
    }
}

impl Usage {
    /// Checks whether a tenant with this weight may take `more`. It may in any of these cases:
    ///
    /// - What all tenants hold stays within the part of the bound that is not reserved.
    /// - The tenant stays within its share of the bound, `weight / (weights + 1)`.
    /// - No tenant holds anything. Without this case, a job that needs nearly all of the bound would be advised
    ///   to retry for ever.
    ///
    /// # Errors
    /// By how much the tenant exceeds what it may have, in the case that it exceeds least.
    fn check_share(&self, weight: u32, weights: u64) -> Result<(), u128> {
        let open = self.most - self.most / RESERVED;
        let share = self.most * u128::from(weight) / u128::from(weights + 1);
        let beyond_open = (self.used + self.more).saturating_sub(open).min(self.used);
        let beyond_share = (self.held + self.more).saturating_sub(share);
        match beyond_open.min(beyond_share) {
            0 => Ok(()),
            excess => Err(excess),
        }
    }
}

/// Returns how long `time` of work takes with `weight` parts out of `weights` of the devices.
fn scaled(time: Duration, weights: u64, weight: u32) -> Duration {
    time.saturating_mul(u32::try_from(weights).unwrap_or(u32::MAX)) / weight
}
