//! How jobs end before they are done: too late for their deadline, or for another's sake.

use std::time::Duration;

use super::batch::{End, Ended};
use super::entry::{Graph, Task};
use super::job::JobId;
use super::jobs::JobState;
use super::{Core, Time};

impl Core {
    /// Ends every job that could no longer be done in time if it had a device to itself.
    pub(super) fn expire(&mut self, now: Time) {
        let shapes = self.costs.shapes();
        // Nothing that is still to come takes longer than this at least.
        let horizon: Duration = Graph::ALL
            .into_iter()
            .map(|graph| {
                self.costs
                    .of(graph, shapes.fit(graph, 1, shapes.most_steps()))
            })
            .sum();
        let again = self.again.iter().map(|again| self.alone(again).1);
        let horizon = again.fold(horizon, Duration::max);
        let late: Vec<JobId> = self
            .jobs
            .due(now.saturating_add(horizon))
            .filter(|(deadline, id)| {
                let least = self
                    .jobs
                    .get(id)
                    .map_or(Duration::ZERO, |job| self.least(job));
                now.saturating_add(least) > *deadline
            })
            .map(|(_, id)| id)
            .collect();
        for job in late {
            self.end_job(job, End::Expired);
        }
    }

    /// Ends a job and all its entries.
    pub(super) fn end_job(&mut self, id: JobId, end: End) {
        for entry in self.jobs.entries(id) {
            if !self.abandon(entry) {
                continue;
            }
            match end {
                End::Expired => self.tally.expired += 1,
                End::Evicted => self.tally.evicted += 1,
                End::Answered | End::Failed => {}
            }
            self.ended.push_back(Ended::Entry(entry, end));
        }
        self.jobs.close(id, end);
        self.ended.push_back(Ended::Job(id, end));
    }

    /// The least time that what is not under way of a job can take.
    fn least(&self, job: &JobState) -> Duration {
        let shapes = self.costs.shapes();
        let smallest = |graph, items: usize| match items {
            0 => Duration::ZERO,
            _ => self.costs.of(graph, shapes.fit(graph, 1, 1)),
        };
        let segments = job.promised.segments + job.waiting.segments;
        let through_both =
            smallest(Graph::Encoder, segments) + smallest(Graph::Sequence, job.promised.steps);
        let chunks = job.entries().filter_map(|id| self.entries.get(&id));
        let chunk = chunks.filter_map(|state| match state.entry.task {
            Task::Advance { steps, .. } if state.taken == 0 && !state.abandoned => {
                let shape = shapes.fit(Graph::Sequence, 1, steps);
                Some(self.costs.of(Graph::Sequence, shape))
            }
            Task::Advance { .. } | Task::Encode { .. } => None,
        });
        let again = self.again.iter();
        let again = again.filter(|again| again.member.job == job.job.id);
        chunk
            .chain(again.map(|again| self.alone(again).1))
            .fold(through_both, Duration::max)
    }
}
