//! How a batch is filled: with entries that wait for a graph, in fair order, as far as the cost table, the
//! members' deadlines and the batch bound allow. A plan changes nothing; [`super::dispatch`] starts it.

use std::time::Duration;

use super::class::Class;
use super::entry::{EntryId, Task};
use super::graph::Graph;
use super::machine::Core;
use super::shapes::Shape;
use super::time::{Time, time_of_rows};

/// Entries that are examined for a sequence batch, as a multiple of its rows. More than the rows are needed,
/// because some chunks do not fit beside the others.
const LOOK_AHEAD: usize = 4;
/// A larger batch is worth a wait if its cost per item is at most this part of that of the batch as it is.
const WORTH_WAITING: f64 = 0.9;
/// A plan yields to the other graph for `max_batch_time / YIELDS_FOR` at most. Several encoder batches fit
/// into that time, and each may lead to another chunk.
const YIELDS_FOR: u32 = 4;

/// A batch that could be formed now.
#[derive(Clone, Debug)]
pub(super) struct BatchPlan {
    pub(super) graph: Graph,
    pub(super) shape: Shape,
    pub(super) time: Duration,
    /// Entries and how many of their next items, in the order of the rows.
    pub(super) members: Vec<(EntryId, usize)>,
    /// The class that it is formed for. Entries of the other class fill rows that would be padding.
    pub(super) class: Class,
    /// Whether entries of the class wait for the graph that have no place in it.
    leaves_entries: bool,
}

impl BatchPlan {
    pub(super) fn rows(&self) -> usize {
        match self.graph {
            Graph::Encoder => self.members.iter().map(|(_, items)| items).sum(),
            Graph::Sequence => self.members.len(),
        }
    }
}

impl Core {
    /// Returns the batch that a class would run on a graph now. It takes at most `most`, or as long as the
    /// smallest batch if that takes longer.
    pub(super) fn plan(
        &self,
        now: Time,
        class: Class,
        graph: Graph,
        most: Duration,
    ) -> Option<BatchPlan> {
        let mut plan = match graph {
            Graph::Encoder => self.plan_segments(now, class, most),
            Graph::Sequence => self.plan_chunks(now, class, most),
        }?;
        self.backfill(now, &mut plan);
        Some(plan)
    }

    fn plan_segments(&self, now: Time, class: Class, most: Duration) -> Option<BatchPlan> {
        let graph = Graph::Encoder;
        let most = self.costs.bound(graph, most);
        let mut capacity = self.costs.largest(graph, 1, most);
        let mut members: Vec<(EntryId, usize)> = Vec::new();
        let mut rows = 0;
        for id in self.in_order(class, graph, most) {
            let Some(state) = self.entries.get(&id) else {
                continue;
            };
            let allowed = self.costs.largest(graph, 1, most.min(self.slack(now, id)));
            if allowed <= rows {
                continue;
            }
            capacity = capacity.min(allowed);
            let items = (state.entry.task.items() - state.taken).min(capacity - rows);
            members.push((id, items));
            rows += items;
            if rows == capacity {
                break;
            }
        }
        let rows = self.worth_padding(graph, rows, 1)?;
        trim(&mut members, rows);
        let shape = self.costs.shapes().fit(graph, rows, 1);
        Some(self.planned(class, graph, shape, members))
    }

    fn plan_chunks(&self, now: Time, class: Class, most: Duration) -> Option<BatchPlan> {
        let graph = Graph::Sequence;
        let most = self.costs.bound(graph, most);
        let mut members: Vec<(EntryId, usize)> = Vec::new();
        // Steps of the longest member, and the time until the earliest deadline.
        let (mut steps, mut limit) = (0, most);
        let look_ahead = LOOK_AHEAD * self.costs.shapes().most_rows(graph);
        for id in self.in_order(class, graph, most).take(look_ahead) {
            let Some(state) = self.entries.get(&id) else {
                continue;
            };
            let own = state.entry.task.items();
            let (rows, longest) = (members.len() + 1, steps.max(own));
            let tighter = limit.min(self.slack(now, id));
            if rows > 1 {
                if rows > self.costs.largest(graph, longest, tighter) {
                    continue;
                }
                let together = self.costs.between(graph, rows, longest);
                let apart =
                    self.costs.between(graph, rows - 1, steps) + self.costs.between(graph, 1, own);
                let shape = self.costs.shapes().fit(graph, rows, longest);
                if together > apart || self.costs.of(graph, shape) > tighter {
                    continue;
                }
            }
            members.push((id, own));
            (steps, limit) = (longest, tighter);
            if members.len() == self.costs.largest(graph, steps, limit) {
                break;
            }
        }
        let rows = self.worth_padding(graph, members.len(), steps)?;
        members.truncate(rows);
        let steps = members.iter().map(|(_, items)| *items).max()?;
        let shape = self.costs.shapes().fit(graph, rows, steps);
        Some(self.planned(class, graph, shape, members))
    }

    fn planned(
        &self,
        class: Class,
        graph: Graph,
        shape: Shape,
        members: Vec<(EntryId, usize)>,
    ) -> BatchPlan {
        BatchPlan {
            graph,
            shape,
            time: self.costs.of(graph, shape),
            leaves_entries: members.len() < self.queues[class].len(graph),
            members,
            class,
        }
    }

    /// Returns how many of these rows to run now: all of them with padding, or fewer that fill the next smaller
    /// shape, whichever runs more rows per second.
    fn worth_padding(&self, graph: Graph, rows: usize, steps: usize) -> Option<usize> {
        let shapes = self.costs.shapes();
        let fit = shapes.fit(graph, rows, steps);
        let Some(full) = shapes.below(graph, rows + 1).filter(|_| rows < fit.rows) else {
            return (rows > 0).then_some(rows);
        };
        let rate = |rows: usize, shape| rows as f64 / self.costs.of(graph, shape).as_secs_f64();
        let full_is_faster = rate(full, Shape { rows: full, ..fit }) > rate(rows, fit);
        Some(if full_is_faster { full } else { rows })
    }

    /// Fills rows that would be padding with entries of the other class. They cost nothing there.
    fn backfill(&self, now: Time, plan: &mut BatchPlan) {
        let mut free = plan.shape.rows - plan.rows();
        if free == 0 {
            return;
        }
        for id in self
            .in_order(plan.class.other(), plan.graph, plan.time)
            .take(plan.shape.rows)
        {
            let Some(state) = self.entries.get(&id) else {
                continue;
            };
            let left = state.entry.task.items() - state.taken;
            let (items, rows) = match state.entry.task {
                Task::Encode { .. } => (left.min(free), left.min(free)),
                Task::Advance { .. } => (left, 1),
            };
            let too_long =
                matches!(state.entry.task, Task::Advance { .. }) && left > plan.shape.steps;
            if too_long || self.slack(now, id) < plan.time {
                continue;
            }
            plan.members.push((id, items));
            free -= rows;
            if free == 0 {
                return;
            }
        }
    }

    /// Returns until when an instance should stay free for further members of a plan. Returns none if the plan
    /// should run now.
    pub(super) fn waits_until(&self, now: Time, plan: &BatchPlan) -> Option<Time> {
        self.gathers_until(now, plan, self.policy.max_queue_delay)
    }

    /// Returns whether a plan gains further members if the other graph's work runs first: segments become chunks.
    pub(super) fn yields(&self, now: Time, plan: &BatchPlan) -> bool {
        let delay = self.policy.max_batch_time / YIELDS_FOR;
        self.gathers_until(now, plan, delay).is_some()
    }

    /// Returns how long a plan can wait without any member missing its deadline.
    pub(super) fn spare(&self, now: Time, plan: &BatchPlan) -> Duration {
        let slacks = plan.members.iter().map(|(id, _)| self.slack(now, *id));
        let least = slacks.min().unwrap_or(Duration::MAX);
        least.saturating_sub(plan.time)
    }

    /// Returns until when further members of a plan are worth a wait. Returns none if that time has passed, or
    /// if a larger batch is not cheaper per item. No member waits longer than `delay` or misses its deadline.
    fn gathers_until(&self, now: Time, plan: &BatchPlan, delay: Duration) -> Option<Time> {
        // Entries that have no place in the plan must not wait for it to fill.
        if delay.is_zero() || self.draining || plan.leaves_entries {
            return None;
        }
        let most = self.costs.bound(plan.graph, self.policy.max_batch_time);
        let rows = self.costs.largest(plan.graph, plan.shape.steps, most);
        if plan.rows() >= rows {
            return None;
        }
        let full = self.costs.of(plan.graph, Shape { rows, ..plan.shape });
        let an_item_now = plan.time.as_secs_f64() / plan.rows() as f64;
        if full.as_secs_f64() / rows as f64 > an_item_now * WORTH_WAITING {
            return None;
        }
        let latest = plan.members.iter().filter_map(|(id, _)| {
            let arrived = self.entries.get(id)?.arrived;
            let start = now
                .saturating_add(self.slack(now, *id))
                .saturating_sub(full);
            Some(start.min(arrived + delay))
        });
        latest.min().filter(|latest| *latest > now)
    }

    /// Returns a class's entries that wait for a graph, in fair order.
    fn in_order(
        &self,
        class: Class,
        graph: Graph,
        most: Duration,
    ) -> impl Iterator<Item = EntryId> {
        let charge = move |id: EntryId| {
            let entry = self.entries.get(&id);
            let state = entry.and_then(|state| Some((state, self.jobs.get(&state.entry.job)?)));
            let Some((state, job)) = state else {
                return (Duration::ZERO, 1);
            };
            // Charged as in a full batch. A small entry alone would seem more expensive than it is, and its
            // tenant would get less than its share.
            let (own_rows, steps) = match state.entry.task {
                Task::Encode { segments } => (segments - state.taken, 1),
                Task::Advance { steps, .. } => (1, steps),
            };
            let rows = self.costs.largest(graph, steps, most);
            let full = self.costs.shapes().fit(graph, rows, steps);
            let time = time_of_rows(self.costs.of(graph, full), own_rows.min(rows), rows);
            (time, job.job.weight)
        };
        self.queues[class].in_order(graph, charge)
    }

    /// Returns the time until the deadline of an entry's job.
    fn slack(&self, now: Time, id: EntryId) -> Duration {
        let deadline = self.entries.get(&id).map(|state| state.place.deadline);
        deadline.unwrap_or(Time::MAX).saturating_sub(now)
    }
}

/// Removes items from the end until no more than this many rows are left.
fn trim(members: &mut Vec<(EntryId, usize)>, rows: usize) {
    let mut left = rows;
    members.retain_mut(|(_, items)| {
        *items = left.min(*items);
        left -= *items;
        *items > 0
    });
}
