//! How a planned batch starts: its items are taken, and tenants and bulk's share are charged.

use std::time::Duration;

use super::batch::{Batch, BatchId, Member};
use super::class::Class;
use super::forming::BatchPlan;
use super::graph::Graph;
use super::machine::{Core, Retry, RunningBatch};
use super::shapes::Shape;
use super::time::{Time, time_of_rows};

impl Core {
    /// Returns bulk's part of a plan's time.
    pub(super) fn bulk_part(&self, plan: &BatchPlan) -> Duration {
        let class = |id| {
            let state = self.entries.get(id)?;
            Some(self.jobs.get(&state.entry.job)?.job.class)
        };
        let bulk = plan
            .members
            .iter()
            .filter(|(id, _)| class(id) == Some(Class::Bulk));
        let rows: usize = bulk.map(|(_, items)| plan.graph.rows_of(*items)).sum();
        time_of_rows(plan.time, rows, plan.rows())
    }

    /// Starts a plan: takes its items and charges for them.
    pub(super) fn start(&mut self, now: Time, plan: BatchPlan) -> Batch {
        self.charge_bulk_share(plan.time, self.bulk_part(&plan));
        self.drain_rate.started(now, plan.time);
        let id = self.next_batch();
        let rows = plan.rows();
        let mut served = false;
        let mut members = Vec::with_capacity(plan.members.len());
        for (entry, items) in plan.members {
            let Some(state) = self.entries.get_mut(&entry) else {
                continue;
            };
            let Some(job) = self.jobs.begin(&state.entry, items) else {
                continue;
            };
            let queue = &mut self.queues[job.class];
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
            // The tenant is charged before its entry is removed, because the removal may forget the tenant. A
            // tenant with one entry at a time would otherwise never be charged.
            let time = time_of_rows(plan.time, plan.graph.rows_of(items), rows);
            queue.charge(&job.tenant, job.weight, time);
            if state.taken == state.entry.task.items() {
                queue.remove(&job.tenant, plan.graph, state.place);
            }
        }
        let batch = Batch {
            id,
            graph: plan.graph,
            shape: plan.shape,
            time: plan.time,
            members,
        };
        self.record_running(batch, false)
    }

    /// Starts a member of a failed batch, alone.
    pub(super) fn start_retry(&mut self, now: Time, retry: &Retry) -> Batch {
        let id = self.next_batch();
        let (shape, time) = self.retry_cost(retry);
        let mut member = retry.member;
        let bulk = match member.class {
            Class::Interactive => Duration::ZERO,
            Class::Bulk => time,
        };
        self.charge_bulk_share(time, bulk);
        self.drain_rate.started(now, time);
        if let Some(state) = self.entries.get_mut(&member.entry) {
            member.waited = now.saturating_sub(state.arrived);
            state.under_way.retain(|batch| *batch != retry.failed);
            state.under_way.push(id);
        }
        if let Some(job) = self.jobs.get(&member.job) {
            self.queues[member.class].charge(&job.job.tenant, job.job.weight, time);
        }
        let batch = Batch {
            id,
            graph: retry.graph,
            shape,
            time,
            members: vec![member],
        };
        self.record_running(batch, true)
    }

    /// Returns the shape in which a retry runs, and its time.
    pub(super) fn retry_cost(&self, retry: &Retry) -> (Shape, Duration) {
        let (rows, steps) = match retry.graph {
            Graph::Encoder => (retry.member.items, 1),
            Graph::Sequence => (1, retry.member.items),
        };
        let shape = self.costs.shapes().fit(retry.graph, rows, steps);
        (shape, self.costs.of(retry.graph, shape))
    }

    /// Counts a batch that is about to start, with bulk's part of its time.
    fn charge_bulk_share(&mut self, time: Duration, bulk: Duration) {
        if !self.queues[Class::Bulk].is_empty() {
            self.bulk_share.observe(time, bulk);
        } else if !self.runs_bulk() {
            self.bulk_share.reset();
        }
    }

    /// Returns whether bulk work is under way. The entries that follow it continue its wait.
    fn runs_bulk(&self) -> bool {
        let mut members = self.running.values().flat_map(|run| &run.batch.members);
        members.any(|member| member.class == Class::Bulk)
    }

    fn next_batch(&mut self) -> BatchId {
        self.next_batch += 1;
        BatchId(self.next_batch)
    }

    fn record_running(&mut self, batch: Batch, is_retry: bool) -> Batch {
        let running = RunningBatch {
            alive: batch.members.len(),
            batch: batch.clone(),
            is_retry,
        };
        self.running.insert(batch.id, running);
        batch
    }
}
