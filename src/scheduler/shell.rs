//! The scheduler as the engine uses it: starts workers, admits jobs, and shuts down.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::clock::Clock;
use super::core::{CostTable, Job, JobId, Policy, Refusal};
use super::shared::Shared;
use super::sync::thread;
use super::ticket::{Terms, Ticket};
use crate::runtime::{Device, Sizes};

/// The running scheduler. Callers submit from any thread, through a [`Ticket`]. When it is dropped, submitted
/// work runs to its end and everything else is refused.
#[derive(Debug)]
pub struct Scheduler {
    shared: Arc<Shared>,
    workers: Vec<thread::JoinHandle<()>>,
}

impl Scheduler {
    /// Starts a worker thread for each device.
    ///
    /// # Errors
    /// The system does not start a thread.
    pub fn start<D: Device + 'static>(
        devices: Vec<D>,
        sizes: Sizes,
        policy: Policy,
        costs: CostTable,
        clock: Clock,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::new(policy, costs, sizes, clock));
        let mut scheduler = Self {
            shared: Arc::clone(&shared),
            workers: Vec::new(),
        };
        for (number, device) in devices.into_iter().enumerate() {
            let shared = Arc::clone(&shared);
            let worker = thread::Builder::new()
                .name(format!("device-{number}"))
                .spawn(move || shared.work(number, device))?;
            scheduler.workers.push(worker);
        }
        Ok(scheduler)
    }

    /// Admits a request or stream.
    ///
    /// # Errors
    /// Why it is not admitted.
    pub fn admit(&self, terms: Terms) -> Result<Ticket, Refusal> {
        let (sender, ended) = oneshot::channel();
        let job = self.shared.change(|state, now| {
            if state.is_closed {
                return Err(Refusal::Draining);
            }
            let id = JobId(state.next_job);
            let job = Job {
                id,
                tenant: terms.tenant,
                weight: terms.weight,
                class: terms.class,
                deadline: terms
                    .deadline
                    .map(|instant| self.shared.clock.time(instant)),
                work: terms.work,
                bytes: terms.bytes,
            };
            state.core.handle_job(now, job)?;
            state.next_job += 1;
            state.jobs.insert(id, sender);
            Ok(id)
        })?;
        Ok(Ticket::new(Arc::clone(&self.shared), job, ended))
    }

    /// Admits no further job. Admitted jobs are still served.
    pub fn drain(&self) {
        self.shared.change(|state, _| state.core.handle_drain());
    }

    /// Returns the steps of the longest chunk that [`Ticket::advance`] accepts.
    #[must_use]
    pub fn most_steps(&self) -> usize {
        self.shared.longest
    }

    /// Returns whether the scheduler holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.lock().core.is_empty()
    }

    /// Wakes the workers, so that they read the time again after a driven clock was advanced.
    pub fn tick(&self) {
        self.shared.wake_all();
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.shared.change(|state, _| {
            state.core.handle_drain();
            state.is_closed = true;
        });
        self.shared.wake_all();
        for worker in self.workers.drain(..) {
            // If the worker panicked, its message is in the log already.
            let _ = worker.join();
        }
    }
}
