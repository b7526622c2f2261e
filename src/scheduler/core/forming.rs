//! How a batch is filled: from the entries that wait for a graph, in fair order, up to what the
//! table, the members' deadlines and the batch bound allow. Changes nothing: it plans.

use std::time::Duration;

use super::entry::{EntryId, Graph, Task};
use super::job::Class;
use super::shapes::Shape;
use super::{Core, Time, part};

/// Entries looked at for a sequence batch, as a multiple of its rows: some do not fit beside the
/// others.
const LOOK_AHEAD: usize = 4;

/// A batch that could be formed now.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) graph: Graph,
    pub(super) shape: Shape,
    pub(super) time: Duration,
    /// Entries and how many of their next items, in the order of the rows.
    pub(super) members: Vec<(EntryId, usize)>,
    /// The class that asked for it; others ride in rows that would be padding.
    pub(super) class: Class,
    /// Others of the class wait for the graph that have no place in it.
    leaves: bool,
}

impl Plan {
    pub(super) fn rows(&self) -> usize {
        match self.graph {
            Graph::Encoder => self.members.iter().map(|(_, items)| items).sum(),
            Graph::Sequence => self.members.len(),
        }
    }
}

impl Core {
    /// The batch that a class would run on a graph now, taking no longer than `most` if its
    /// smallest item allows.
    pub(super) fn plan(
        &self,
        now: Time,
        class: Class,
        graph: Graph,
        most: Duration,
    ) -> Option<Plan> {
        let mut plan = match graph {
            Graph::Encoder => self.plan_segments(now, class, most),
            Graph::Sequence => self.plan_chunks(now, class, most),
        }?;
        self.let_ride(now, &mut plan);
        Some(plan)
    }

    fn plan_segments(&self, now: Time, class: Class, most: Duration) -> Option<Plan> {
        let graph = Graph::Encoder;
        let most = self.costs.bound(graph, most);
        let mut room = self.costs.largest(graph, 1, most);
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
            room = room.min(allowed);
            let items = (state.entry.task.items() - state.taken).min(room - rows);
            members.push((id, items));
            rows += items;
            if rows == room {
                break;
            }
        }
        let rows = self.worth_padding(graph, rows, 1)?;
        trim(&mut members, rows);
        let shape = self.costs.shapes().fit(graph, rows, 1);
        Some(self.planned(class, graph, shape, members))
    }

    fn plan_chunks(&self, now: Time, class: Class, most: Duration) -> Option<Plan> {
        let graph = Graph::Sequence;
        let most = self.costs.bound(graph, most);
        let mut members: Vec<(EntryId, usize)> = Vec::new();
        // Steps of the longest member, and the time that the most urgent one leaves.
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
                let exceeds = |time| time > tighter;
                if together > apart
                    || exceeds(
                        self.costs
                            .of(graph, self.costs.shapes().fit(graph, rows, longest)),
                    )
                {
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
    ) -> Plan {
        Plan {
            graph,
            shape,
            time: self.costs.of(graph, shape),
            leaves: members.len() < self.queues[class as usize].len(graph),
            members,
            class,
        }
    }

    /// Of so many rows, those to run now: all of them padded, or fewer that fill a smaller shape,
    /// whichever gives more rows in its time.
    fn worth_padding(&self, graph: Graph, rows: usize, steps: usize) -> Option<usize> {
        let shapes = self.costs.shapes();
        let fit = shapes.fit(graph, rows, steps);
        let Some(full) = shapes.below(graph, rows + 1).filter(|_| rows < fit.rows) else {
            return (rows > 0).then_some(rows);
        };
        let pace = |rows: usize, shape| rows as f64 / self.costs.of(graph, shape).as_secs_f64();
        let fuller = pace(full, Shape { rows: full, ..fit }) > pace(rows, fit);
        Some(if fuller { full } else { rows })
    }

    /// Fills rows that would be padding with the other class' entries: they cost nothing there.
    fn let_ride(&self, now: Time, plan: &mut Plan) {
        let mut room = plan.shape.rows - plan.rows();
        if room == 0 {
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
                Task::Encode { .. } => (left.min(room), left.min(room)),
                Task::Advance { .. } => (left, 1),
            };
            let too_long =
                matches!(state.entry.task, Task::Advance { .. }) && left > plan.shape.steps;
            if too_long || self.slack(now, id) < plan.time {
                continue;
            }
            plan.members.push((id, items));
            room -= rows;
            if room == 0 {
                return;
            }
        }
    }

    /// Until when an instance is best kept free for a plan's companions, if that is not over.
    pub(super) fn patience(&self, now: Time, plan: &Plan) -> Option<Time> {
        self.gathers(now, plan, self.policy.max_queue_delay)
    }

    /// Whether a plan gains by companions while the other graph's work runs, from which they come.
    pub(super) fn yields(&self, now: Time, plan: &Plan) -> bool {
        let delay = self.policy.max_batch_time / YIELDS_FOR;
        self.gathers(now, plan, delay).is_some()
    }

    /// How long a plan can wait without harm to anybody in it.
    pub(super) fn spare(&self, now: Time, plan: &Plan) -> Duration {
        let slacks = plan.members.iter().map(|(id, _)| self.slack(now, *id));
        let least = slacks.min().unwrap_or(Duration::MAX);
        least.saturating_sub(plan.time)
    }

    /// Until when companions for a plan are worth waiting for, if that is not over: a larger batch
    /// must be cheaper an item, nobody waits longer than `delay`, and nobody in it may come to harm.
    fn gathers(&self, now: Time, plan: &Plan, delay: Duration) -> Option<Time> {
        // Who has no place in it must not wait for its companions.
        if delay.is_zero() || self.draining || plan.leaves {
            return None;
        }
        let most = self.costs.bound(plan.graph, self.policy.max_batch_time);
        let rows = self.costs.largest(plan.graph, plan.shape.steps, most);
        if plan.rows() >= rows {
            return None;
        }
        let full = self.costs.of(plan.graph, Shape { rows, ..plan.shape });
        let dearer = plan.time.as_secs_f64() / plan.rows() as f64;
        if full.as_secs_f64() / rows as f64 > dearer * WORTH_WAITING {
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
            // As in a full batch: by itself a small entry would seem dearer than it is, and its
            // tenant be left behind.
            let (mine, steps) = match state.entry.task {
                Task::Encode { segments } => (segments - state.taken, 1),
                Task::Advance { steps, .. } => (1, steps),
            };
            let rows = self.costs.largest(graph, steps, most);
            let full = self.costs.shapes().fit(graph, rows, steps);
            let time = part(self.costs.of(graph, full), mine.min(rows), rows);
            (time, job.job.weight)
        };
        self.queues[class as usize].in_order(graph, charge)
    }

    /// Time until an entry's job must be answered.
    fn slack(&self, now: Time, id: EntryId) -> Duration {
        let deadline = self.entries.get(&id).map(|state| state.place.deadline);
        deadline.unwrap_or(Time::MAX).saturating_sub(now)
    }
}

/// A plan yields to the other graph for the longest batch's time divided by this: some encoder batches,
/// after each of which there may be another chunk.
const YIELDS_FOR: u32 = 4;

/// A larger batch must be this much cheaper an item to be worth waiting for.
const WORTH_WAITING: f64 = 0.9;

/// Drops what exceeds so many rows, from the end.
fn trim(members: &mut Vec<(EntryId, usize)>, rows: usize) {
    let mut left = rows;
    members.retain_mut(|(_, items)| {
        *items = left.min(*items);
        left -= *items;
        *items > 0
    });
}
