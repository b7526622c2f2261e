//! Admission: bounds on what is held, whatever arrives, and on what cannot be done in time.

use std::time::Duration;

use super::batch::End;
use super::job::{Class, Job, JobId, Work};
use super::jobs::Holding;
use super::refusal::Refusal;
use super::retry_schedule::Slots;
use super::rounds::ROUND;
use super::{Core, Time};

/// Of a bound, one part in this many is kept for tenants that hold less than their share, so that
/// a tenant who fills the rest does not shut the others out.
const KEPT: u128 = 8;

/// Slots for refused callers end after so many times as long as the work that is held takes. More callers than
/// that are most likely those who came back too early.
const MOST_REFUSED: u32 = 16;

/// Bounds on what the scheduler holds, waiting or under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Jobs.
    pub jobs: usize,
    /// Bytes of tensors.
    pub bytes: usize,
    /// Predicted device time of each class, all devices together, in the order of [`Class::ALL`].
    pub backlog: [Duration; 2],
}

/// A refusal that holds for one caller, and the predicted time between one such caller's turn and the next.
struct Refused {
    refusal: Refusal,
    interval: Duration,
}

impl Refused {
    /// One that no waiting helps.
    fn for_good(refusal: Refusal) -> Self {
        Self {
            refusal,
            interval: Duration::ZERO,
        }
    }
}

impl Core {
    /// Admits a job, with the time in which its answer is predicted, or says why not. Evicts bulk jobs that
    /// have not begun if an interactive one finds no place without.
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

    /// A refusal that says when this caller should come back, behind those of its tenant who were refused
    /// before.
    fn with_retry_slot(&mut self, now: Time, job: &Job, refused: Refused) -> Refusal {
        let Refused {
            mut refusal,
            interval,
        } = refused;
        if let Some(drain) = refusal.drain_mut() {
            // Places become free as slowly as work is really done.
            let slowdown = self.drain_rate.slowdown(now, self.policy.instances);
            let slower = |time: Duration| time.min(Duration::from_secs(3_600)).mul_f64(slowdown);
            let (all, ..) = self.jobs.beside(job);
            let held = self.predict(all.work[job.class as usize]);
            let slots = Slots {
                first: slower(*drain),
                interval: slower(interval),
                last: slower(self.drained_after(job.class, held, &all) * MOST_REFUSED),
            };
            *drain = self.retries.next(now, (job.class, &job.tenant), slots);
        }
        refusal
    }

    /// Whether the devices have the time.
    fn admit_time(
        &self,
        now: Time,
        job: &Job,
        needs: Duration,
        all: &Holding,
        tenant: &Holding,
    ) -> Result<Duration, Refused> {
        let class = job.class;
        let most = self.policy.bounds.backlog[class as usize];
        if needs > most {
            return Err(Refused::for_good(Refusal::TooMuch { class, needs, most }));
        }
        let alone = self
            .drained_after(class, needs, &Holding::default())
            .max(self.costs.least(job.work));
        let left = job.deadline.map(|deadline| deadline.saturating_sub(now));
        let corrected = |waiting, alone| self.delays[class as usize].corrected(now, waiting, alone);
        let soonest = corrected(Duration::ZERO, alone);
        if left.is_some_and(|left| soonest > left) {
            return Err(Refused::for_good(Refusal::Late { alone: soonest }));
        }
        let used = self.predict(all.work[class as usize]);
        let held = self.predict(tenant.work[class as usize]);
        let weight = job.weight.max(1);
        let weights = self
            .jobs
            .weights(job, |held| held.work[class as usize] != Default::default());
        // A tenant's own work takes so many times as long beside that of others.
        let shared = |time: Duration| scaled(time, weights, weight);
        let interval = shared(needs) / self.instances();
        if used + needs > most {
            let drain = self.drained_after(class, used + needs - most, all);
            let refusal = Refusal::Backlog { class, most, drain };
            return Err(Refused { refusal, interval });
        }
        let amounts = (used.as_nanos(), held.as_nanos(), needs.as_nanos());
        if let Err(excess) = share_allows(most.as_nanos(), amounts, (weight.into(), weights + 1)) {
            let excess = Duration::from_nanos(u64::try_from(excess).unwrap_or(u64::MAX));
            let drain = self.drained_after(class, shared(excess), all);
            let refusal = Refusal::TenantShare { drain };
            return Err(Refused { refusal, interval });
        }
        // Behind all of its class, or with its share of the device behind its tenant's own work, whichever
        // is sooner. Of its tenant's longer jobs no more is ahead of it than they may run meanwhile.
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
            return Err(Refused { refusal, interval });
        }
        Ok(predicted)
    }

    /// When an evicted job should come back: once the work that it made room for is done, behind those of its
    /// tenant who were told so before.
    fn retry_after_eviction(&mut self, now: Time, id: JobId, all: &Holding) -> Duration {
        let slowdown = self.drain_rate.slowdown(now, self.policy.instances);
        let interactive = self.predict(all.work[Class::Interactive as usize]);
        let first = self.drained_after(Class::Interactive, interactive, all);
        let slots = Slots {
            first: first.mul_f64(slowdown),
            interval: self.one_ends_after(all).mul_f64(slowdown),
            last: Duration::MAX,
        };
        let tenant = self.jobs.get(&id).map(|state| state.job.tenant.clone());
        tenant.map_or(slots.first, |tenant| {
            self.retries.next(now, (Class::Bulk, &tenant), slots)
        })
    }

    /// Whether there is a place and memory; makes some.
    fn admit_place(
        &mut self,
        now: Time,
        job: &Job,
        is_new: bool,
        mut all: Holding,
        tenant: Holding,
    ) -> Result<(), Refused> {
        let Bounds { jobs, bytes, .. } = self.policy.bounds;
        let evicts = job.class == Class::Interactive;
        let count = |held: &Holding| match evicts {
            true => (
                held.jobs - held.evictable_jobs,
                held.bytes - held.evictable_bytes,
            ),
            false => (held.jobs, held.bytes),
        };
        let ((used_jobs, used_bytes), (held_jobs, held_bytes)) = (count(&all), count(&tenant));
        let weight = job.weight.max(1);
        let weights = self.jobs.weights(job, |held| held.jobs > 0);
        let drain = self.one_ends_after(&all);
        let interval = scaled(drain, weights, weight);
        let more = usize::from(is_new);
        if used_jobs + more > jobs {
            let refusal = Refusal::Jobs { most: jobs, drain };
            return Err(Refused { refusal, interval });
        }
        if job.bytes > bytes.saturating_sub(used_bytes) {
            let refusal = Refusal::Bytes { most: bytes, drain };
            return Err(Refused { refusal, interval });
        }
        let allows = |most: usize, used: usize, held: usize, more: usize| {
            let amounts = (used as u128, held as u128, more as u128);
            share_allows(most as u128, amounts, (weight.into(), weights + 1)).is_ok()
        };
        if !allows(jobs, used_jobs, held_jobs, more)
            || !allows(bytes, used_bytes, held_bytes, job.bytes)
        {
            // One of the tenant's own must end, which are served by its share.
            let drain = scaled(self.one_ends_after(&tenant), weights, weight);
            let refusal = Refusal::TenantShare { drain };
            return Err(Refused { refusal, interval });
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

    /// When the devices will have done so much of a class' work beside what `all` holds of the other class,
    /// as predicted.
    fn drained_after(&self, class: Class, work: Duration, all: &Holding) -> Duration {
        let instances = self.instances();
        let share = self.policy.bulk_share.clamp(0.0, 0.9);
        let other = self.predict(all.work[class.other() as usize]);
        let both = work.saturating_add(other) / instances;
        match class {
            // Bulk has its share as long as there is some.
            Class::Interactive => both.min((work / instances).div_f64(1.0 - share)),
            // Interactive work goes first, but for bulk's share.
            Class::Bulk if share > 0.0 => both.min((work / instances).div_f64(share)),
            Class::Bulk => both,
        }
    }

    /// When one of the jobs that hold this will have ended, as predicted.
    fn one_ends_after(&self, held: &Holding) -> Duration {
        let work: Duration = held.work.iter().map(|work| self.predict(*work)).sum();
        let jobs = u32::try_from(held.jobs.max(1)).unwrap_or(u32::MAX);
        work / jobs / self.instances()
    }

    /// Device time of a round of one job.
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

/// A time that is `weight` parts out of `weights` of what is wanted.
fn scaled(time: Duration, weights: u64, weight: u32) -> Duration {
    time.saturating_mul(u32::try_from(weights).unwrap_or(u32::MAX)) / weight
}

/// Whether a tenant may take `more` of something of which all tenants hold `used` and this one
/// `held`: there is room that is nobody's, or it stays within its share of the bound, `weight` out
/// of `weights`, or nobody holds any. Without the last, what needs nearly all of the bound would be
/// told to come back for ever.
///
/// # Errors
/// By how much the tenant exceeds what it may have, whichever way is sooner.
fn share_allows(
    most: u128,
    (used, held, more): (u128, u128, u128),
    (weight, weights): (u64, u64),
) -> Result<(), u128> {
    let open = most - most / KEPT;
    let share = most * u128::from(weight) / u128::from(weights);
    let beyond_open = (used + more).saturating_sub(open).min(used);
    let beyond_share = (held + more).saturating_sub(share);
    match beyond_open.min(beyond_share) {
        0 => Ok(()),
        excess => Err(excess),
    }
}
