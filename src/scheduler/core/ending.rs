//! How entries and jobs end: done, failed, given up, expired or evicted.

use std::time::Duration;

use super::batch::{BatchId, End, Ended, Member};
use super::entry::{EntryId, Task};
use super::graph::Graph;
use super::job::JobId;
use super::job_state::JobState;
use super::machine::{Core, Retry};
use super::time::Time;

impl Core {
    /// Ends every job that could not be done in time any more even if it had a device to itself.
    pub(super) fn expire(&mut self, now: Time) {
        let shapes = self.costs.shapes();
        // An upper bound of `least` over all jobs, so only jobs with a deadline up to it are examined.
        let horizon: Duration = Graph::ALL
            .into_iter()
            .map(|graph| {
                self.costs
                    .of(graph, shapes.fit(graph, 1, shapes.most_steps()))
            })
            .sum();
        let retries = self.retries.iter().map(|retry| self.retry_cost(retry).1);
        let horizon = retries.fold(horizon, Duration::max);
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
                End::Evicted { .. } => self.tally.evicted += 1,
                End::Answered | End::Failed => {}
            }
            self.ended.push_back(Ended::Entry(entry, end));
        }
        self.jobs.close(id, end);
        self.ended.push_back(Ended::Job(id, end));
    }

    /// Records the end of a member's part in a batch, and whether its result is good.
    pub(super) fn part_done(&mut self, batch: BatchId, member: &Member, is_good: bool) {
        let Some(state) = self.entries.get_mut(&member.entry) else {
            return;
        };
        state.done += member.items;
        state.under_way.retain(|other| *other != batch);
        let complete = state.done == state.entry.task.items();
        let (abandoned, last) = (state.abandoned, state.under_way.is_empty());
        let graph = state.entry.task.graph();
        self.jobs.done(member.job, graph, member.items);
        if abandoned {
            if last {
                self.forget(member.entry);
            }
        } else if !is_good {
            self.abandon(member.entry);
            self.tally.failed += 1;
            self.ended
                .push_back(Ended::Entry(member.entry, End::Failed));
        } else if complete {
            self.forget(member.entry);
            self.tally.answered += 1;
            self.ended
                .push_back(Ended::Entry(member.entry, End::Answered));
        }
    }

    /// Schedules a member of a failed batch to run alone, if somebody waits for it.
    pub(super) fn retry(&mut self, failed: BatchId, graph: Graph, member: Member) {
        let abandoned = self
            .entries
            .get(&member.entry)
            .is_none_or(|state| state.abandoned);
        if abandoned {
            self.part_done(failed, &member, false);
        } else {
            self.retries.push_back(Retry {
                failed,
                graph,
                member,
            });
        }
    }

    /// Gives an entry up: what waits is dropped, and a batch that nobody waits for any more is stopped. Returns
    /// whether the entry was alive before.
    pub(super) fn abandon(&mut self, id: EntryId) -> bool {
        let Some(state) = self.entries.get_mut(&id).filter(|state| !state.abandoned) else {
            return false;
        };
        state.abandoned = true;
        let (job, graph) = (state.entry.job, state.entry.task.graph());
        let (place, waiting) = (state.place, state.entry.task.items() - state.taken);
        let mut dropped = waiting;
        let under_way = &mut state.under_way;
        self.retries.retain(|retry| {
            let is_own = retry.member.entry == id;
            if is_own {
                under_way.retain(|batch| *batch != retry.failed);
                dropped += retry.member.items;
            }
            !is_own
        });
        for batch in under_way.iter() {
            if let Some(running) = self.running.get_mut(batch) {
                running.alive -= 1;
                if running.alive == 0 {
                    self.stops.push_back(*batch);
                }
            }
        }
        let has_ended = under_way.is_empty();
        if let Some(job) = self.jobs.get(&job)
            && waiting > 0
        {
            self.queues[job.job.class].remove(&job.job.tenant, graph, place);
        }
        self.jobs.dropped(job, graph, waiting, dropped - waiting);
        if has_ended {
            self.forget(id);
        }
        true
    }

    fn forget(&mut self, id: EntryId) {
        if let Some(state) = self.entries.remove(&id) {
            self.bytes -= state.entry.bytes;
            self.jobs.remove_entry(&state.entry, !state.abandoned);
        }
    }

    /// Returns the least time that the part of a job that is not under way can take.
    fn least(&self, job: &JobState) -> Duration {
        let shapes = self.costs.shapes();
        let smallest = |graph, items: usize| match items {
            0 => Duration::ZERO,
            _ => self.costs.of(graph, shapes.fit(graph, 1, 1)),
        };
        let segments = job.promised.segments + job.waiting.segments;
        let through_both =
            smallest(Graph::Encoder, segments) + smallest(Graph::Sequence, job.promised.steps);
        let entries = job.entries().filter_map(|id| self.entries.get(&id));
        let chunk = entries.filter_map(|state| match state.entry.task {
            Task::Advance { steps, .. } if state.taken == 0 && !state.abandoned => {
                let shape = shapes.fit(Graph::Sequence, 1, steps);
                Some(self.costs.of(Graph::Sequence, shape))
            }
            Task::Advance { .. } | Task::Encode { .. } => None,
        });
        let retries = self.retries.iter();
        let retries = retries.filter(|retry| retry.member.job == job.job.id);
        chunk
            .chain(retries.map(|retry| self.retry_cost(retry).1))
            .fold(through_both, Duration::max)
    }
}
