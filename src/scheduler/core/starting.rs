//! How a planned batch starts: its items are taken, and their tenants and bulk's share charged.

use std::time::Duration;

use super::batch::{Batch, BatchId, Member};
use super::entry::Graph;
use super::forming::Plan;
use super::job::Class;
use super::shapes::Shape;
use super::{Again, Core, Running, Time, part, rows_of};

impl Core {
    /// Bulk's part of a plan's time.
    pub(super) fn bulk_part(&self, plan: &Plan) -> Duration {
        let class = |id| {
            let state = self.entries.get(id)?;
            Some(self.jobs.get(&state.entry.job)?.job.class)
        };
        let bulk = plan
            .members
            .iter()
            .filter(|(id, _)| class(id) == Some(Class::Bulk));
        let rows: usize = bulk.map(|(_, items)| rows_of(plan.graph, *items)).sum();
        part(plan.time, rows, plan.rows())
    }

    /// Takes a plan's items and charges for them.
    pub(super) fn form(&mut self, now: Time, plan: Plan) -> Batch {
        self.count_share(plan.time, self.bulk_part(&plan));
        self.drain_rate.started(now, plan.time);
        let id = self.next_batch();
        let rows = plan.rows();
        let mut served = false;
        let mut members = Vec::with_capacity(plan.members.len());
        for (entry, items) in plan.members {
            let Some(state) = self.entries.get_mut(&entry) else {
                continue;
            };
            let Some(job) = self.jobs.take(state.entry.job, plan.graph, items) else {
                continue;
            };
            let queue = &mut self.queues[job.class as usize];
            if job.class == plan.class && !served {
                queue.serve(&job.tenant);
                served = true;
            }
            members.push(Member {
                entry,
                job: job.id,
                class: job.class,
                first: state.taken,
                items,
                waited: now.saturating_sub(state.arrived),
            });
            state.taken += items;
            state.under_way.push(id);
            // Before it is gone, or a tenant with one entry at a time would be forgotten uncharged.
            let time = part(plan.time, rows_of(plan.graph, items), rows);
            queue.charge(&job.tenant, job.weight, time);
            if state.taken == state.entry.task.items() {
                queue.remove(&job.tenant, plan.graph, state.place);
            }
        }
        self.started(
            Batch {
                id,
                graph: plan.graph,
                shape: plan.shape,
                time: plan.time,
                members,
            },
            false,
        )
    }

    /// A failed batch's member by itself.
    pub(super) fn form_again(&mut self, now: Time, again: &Again) -> Batch {
        let id = self.next_batch();
        let (shape, time) = self.alone(again);
        let mut member = again.member;
        let bulk = match member.class {
            Class::Interactive => Duration::ZERO,
            Class::Bulk => time,
        };
        self.count_share(time, bulk);
        self.drain_rate.started(now, time);
        if let Some(state) = self.entries.get_mut(&member.entry) {
            member.waited = now.saturating_sub(state.arrived);
            state.under_way.retain(|batch| *batch != again.failed);
            state.under_way.push(id);
        }
        if let Some(job) = self.jobs.get(&member.job) {
            self.queues[member.class as usize].charge(&job.job.tenant, job.job.weight, time);
        }
        self.started(
            Batch {
                id,
                graph: again.graph,
                shape,
                time,
                members: vec![member],
            },
            true,
        )
    }

    /// The shape in which a member runs by itself, and its time.
    pub(super) fn alone(&self, again: &Again) -> (Shape, Duration) {
        let (rows, steps) = match again.graph {
            Graph::Encoder => (again.member.items, 1),
            Graph::Sequence => (1, again.member.items),
        };
        let shape = self.costs.shapes().fit(again.graph, rows, steps);
        (shape, self.costs.of(again.graph, shape))
    }

    /// A batch is about to be formed, so much of it for bulk.
    fn count_share(&mut self, time: Duration, bulk: Duration) {
        if !self.queues[Class::Bulk as usize].is_empty() {
            self.share.formed(time, bulk);
        } else if !self.runs_bulk() {
            self.share.nobody_waits();
        }
    }

    /// Whether bulk work is under way: what carries on after it has waited before.
    fn runs_bulk(&self) -> bool {
        let mut members = self.running.values().flat_map(|run| &run.batch.members);
        members.any(|member| member.class == Class::Bulk)
    }

    fn next_batch(&mut self) -> BatchId {
        self.next_batch += 1;
        BatchId(self.next_batch)
    }

    fn started(&mut self, batch: Batch, again: bool) -> Batch {
        let running = Running {
            alive: batch.members.len(),
            batch: batch.clone(),
            again,
        };
        self.running.insert(batch.id, running);
        batch
    }
}
