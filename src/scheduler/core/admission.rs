//! What is let in: bounds on what is held, whatever arrives, and on what cannot be done in time.

use std::time::Duration;

use super::batch::End;
use super::job::{Class, Job};
use super::jobs::Holding;
use super::{Core, Time};

/// Of a bound, one part in this many is kept for tenants that hold less than their share, so that
/// a tenant who fills the rest does not shut the others out.
const KEPT: u128 = 8;

/// A refused caller is told to come back no sooner and no later than this.
const SOONEST: Duration = Duration::from_millis(1);
const LATEST: Duration = Duration::from_secs(60);

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

/// Why a job or an entry is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bound on jobs is reached.
    #[error("{most} requests are being answered, the bound")]
    Jobs {
        /// The bound.
        most: usize,
        /// When there may be room, as predicted.
        drain: Duration,
    },
    /// The bound on bytes would be exceeded.
    #[error("the requests being answered take {most} bytes, the bound")]
    Bytes {
        /// The bound.
        most: usize,
        /// As above.
        drain: Duration,
    },
    /// The bound on a class' device time would be exceeded.
    #[error("{} ms of {} work are waiting for the device, the bound", most.as_millis(), class.name())]
    Backlog {
        /// The class.
        class: Class,
        /// The bound.
        most: Duration,
        /// As above.
        drain: Duration,
    },
    /// The queue is nearly full and the tenant has its share of it.
    #[error("the server is busy and this tenant holds its share of the queue")]
    TenantShare {
        /// As above.
        drain: Duration,
    },
    /// The answer would come too late.
    #[error("the answer is predicted in {} ms, after the deadline", predicted.as_millis())]
    Deadline {
        /// When it would come, from now.
        predicted: Duration,
        /// When a job of this size would have met its deadline, from now.
        drain: Duration,
    },
    /// The answer would come too late if nothing else were to be done.
    #[error("the deadline is too near for any answer")]
    Late,
    /// The job alone is more than its class may hold.
    #[error("the recording needs {} s of the device; {} work may hold {} s{}", needs.as_secs_f64(), class.name(), most.as_secs_f64(), match class {
        Class::Interactive => "; send it as bulk, or in parts",
        Class::Bulk => "; send it in parts",
    })]
    TooMuch {
        /// The class.
        class: Class,
        /// Device time of the job.
        needs: Duration,
        /// The bound.
        most: Duration,
    },
    /// The server is shutting down.
    #[error("the scheduler is draining")]
    Draining,
    /// The job has ended, if it ever was let in.
    #[error("the job has ended")]
    Ended(Option<End>),
    /// An entry that its job did not ask for: empty, too long, too many bytes, or a stream's steps
    /// out of order. A fault of whoever submits.
    #[error("an entry breaks its job's terms: {0}")]
    Terms(&'static str),
}

impl Refusal {
    /// The reason in one word, as metrics label it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Jobs { .. } => "requests",
            Self::Bytes { .. } => "bytes",
            Self::Backlog { .. } => "backlog",
            Self::TenantShare { .. } => "tenant",
            Self::Deadline { .. } => "deadline",
            Self::Late => "late",
            Self::TooMuch { .. } => "too_much",
            Self::Draining => "draining",
            Self::Ended(_) => "ended",
            Self::Terms(_) => "terms",
        }
    }

    /// When trying again may do, as predicted; none if it would not, or not here.
    #[must_use]
    pub fn drain(&self) -> Option<Duration> {
        match self {
            Self::Jobs { drain, .. }
            | Self::Bytes { drain, .. }
            | Self::Backlog { drain, .. }
            | Self::TenantShare { drain }
            | Self::Deadline { drain, .. } => Some(*drain),
            Self::Late
            | Self::TooMuch { .. }
            | Self::Draining
            | Self::Ended(_)
            | Self::Terms(_) => None,
        }
    }
}

impl Core {
    /// Lets a job in, with the time in which its answer is predicted, or says why not. Evicts bulk
    /// jobs that have not begun if an interactive one finds no place without.
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
        let needs = self.predict(work);
        let predicted = self.admit_time(now, job, needs, &all, &tenant)?;
        self.admit_place(job, is_new, all, tenant)?;
        Ok(predicted)
    }

    /// Whether the devices have the time.
    fn admit_time(
        &self,
        now: Time,
        job: &Job,
        needs: Duration,
        all: &Holding,
        tenant: &Holding,
    ) -> Result<Duration, Refusal> {
        let class = job.class;
        let most = self.policy.bounds.backlog[class as usize];
        if needs > most {
            return Err(Refusal::TooMuch { class, needs, most });
        }
        let used = self.predict(all.work[class as usize]);
        let held = self.predict(tenant.work[class as usize]);
        if used + needs > most {
            let drain = self.drained_after(class, used + needs - most, all);
            return Err(Refusal::Backlog { class, most, drain });
        }
        let weight = u64::from(job.weight.max(1));
        let weights = self
            .jobs
            .weights(job, |held| held.work[class as usize] != Default::default());
        let amounts = (used.as_nanos(), held.as_nanos(), needs.as_nanos());
        if !share_allows(most.as_nanos(), amounts, (weight, weights + 1)) {
            let drain = self.drained_after(class, held, all);
            return Err(Refusal::TenantShare { drain });
        }
        // Behind all of its class, or with its share of the device behind its tenant's own work,
        // whichever is sooner.
        let behind_all = self.drained_after(class, used + needs, all);
        let shared = (held + needs).saturating_mul(u32::try_from(weights).unwrap_or(u32::MAX))
            / u32::try_from(weight).unwrap_or(1);
        let predicted = behind_all
            .min(self.drained_after(class, shared, all))
            .max(self.costs.least(job.work));
        if let Some(deadline) = job.deadline {
            let left = deadline.saturating_sub(now);
            if self.costs.least(job.work) > left {
                return Err(Refusal::Late);
            }
            let answered = self.pace[class as usize].of(now, predicted);
            if answered > left {
                let drain = (answered - left).max(SOONEST);
                return Err(Refusal::Deadline {
                    predicted: answered,
                    drain,
                });
            }
        }
        Ok(predicted)
    }

    /// Whether there is a place and memory; makes some.
    fn admit_place(
        &mut self,
        job: &Job,
        is_new: bool,
        mut all: Holding,
        tenant: Holding,
    ) -> Result<(), Refusal> {
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
        let drain = self.one_ends_after(&all);
        let more = usize::from(is_new);
        if used_jobs + more > jobs {
            return Err(Refusal::Jobs { most: jobs, drain });
        }
        if job.bytes > bytes.saturating_sub(used_bytes) {
            return Err(Refusal::Bytes { most: bytes, drain });
        }
        let weight = u64::from(job.weight.max(1));
        let weights = self.jobs.weights(job, |held| held.jobs > 0) + 1;
        let allows = |most: usize, used: usize, held: usize, more: usize| {
            let amounts = (used as u128, held as u128, more as u128);
            share_allows(most as u128, amounts, (weight, weights))
        };
        if !allows(jobs, used_jobs, held_jobs, more)
            || !allows(bytes, used_bytes, held_bytes, job.bytes)
        {
            return Err(Refusal::TenantShare { drain });
        }
        while all.jobs + more > jobs || all.bytes + job.bytes > bytes {
            let Some(evicted) = self.jobs.first_to_evict().filter(|_| evicts) else {
                break;
            };
            self.end_job(evicted, End::Evicted);
            (all, ..) = self.jobs.beside(job);
        }
        Ok(())
    }

    /// When the devices will have done so much of a class' work, as predicted.
    fn drained_after(&self, class: Class, work: Duration, all: &Holding) -> Duration {
        let instances = u32::try_from(self.policy.instances.max(1)).unwrap_or(u32::MAX);
        let share = self.policy.bulk_share.clamp(0.0, 0.9);
        let other = self.predict(all.work[class.other() as usize]);
        let both = (work + other) / instances;
        let after = match class {
            // Bulk has its share as long as there is some.
            Class::Interactive => both.min((work / instances).div_f64(1.0 - share)),
            // Interactive work goes first, but for bulk's share.
            Class::Bulk if share > 0.0 => both.min((work / instances).div_f64(share)),
            Class::Bulk => both,
        };
        after.clamp(SOONEST, LATEST)
    }

    /// When one of the jobs will have ended, as predicted.
    fn one_ends_after(&self, all: &Holding) -> Duration {
        let work: Duration = all.work.iter().map(|work| self.predict(*work)).sum();
        let jobs = all.jobs.saturating_mul(self.policy.instances).max(1);
        (work / u32::try_from(jobs).unwrap_or(u32::MAX)).clamp(SOONEST, LATEST)
    }
}

/// Whether a tenant may take `more` of something of which all tenants hold `used` and this one
/// `held`: there is room that is nobody's, or it stays within its share of the bound, `weight` out
/// of `weights`, or nobody holds any. Without the last, what needs nearly all of the bound would be
/// told to come back for ever.
fn share_allows(
    most: u128,
    (used, held, more): (u128, u128, u128),
    (weight, weights): (u64, u64),
) -> bool {
    let open = most - most / KEPT;
    used == 0
        || used + more <= open
        || (held + more) * u128::from(weights) <= most * u128::from(weight)
}
