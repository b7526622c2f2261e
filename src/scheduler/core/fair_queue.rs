//! Who is next within a class: tenants by start-time fair queueing, and within a tenant the
//! earliest round ([`super::rounds`]), then the earliest deadline, then the earliest job.
//!
//! Each tenant carries a tag: the device time it was charged, divided by its weight, on a clock
//! that all tenants share. The least tag is served next. A tenant that comes back from idleness
//! starts at the clock, so nobody saves up. For two tenants that wait all along, charges differ by
//! a batch at most (Goyal, Vin and Cheng, Start-time Fair Queueing, SIGCOMM 1996).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, btree_set};
use std::iter::Peekable;
use std::time::Duration;

use super::Time;
use super::entry::{EntryId, Graph};
use super::job::TenantId;

/// Tenants without waiting work whose tags are remembered, so that nobody gains by leaving and
/// coming back at once. Beyond that the one that gains least is forgotten.
const REMEMBERED: usize = 1_024;

/// An entry's place among its tenant's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Of the job's work, by [`super::rounds`].
    pub(super) round: u64,
    /// Of the job; entries of a job without one come last.
    pub(super) deadline: Time,
    /// Number of the job's arrival: a job that is begun is finished before a later one.
    pub(super) job: u64,
    pub(super) entry: EntryId,
}

/// Nanoseconds of device time at weight 1.
type Tag = u64;

#[derive(Debug, Default)]
struct Tenant {
    tag: Tag,
    lines: [BTreeSet<Place>; 2],
}

impl Tenant {
    fn is_idle(&self) -> bool {
        self.lines.iter().all(BTreeSet::is_empty)
    }
}

/// Waiting entries of one class.
#[derive(Debug, Default)]
pub(super) struct FairQueue {
    tenants: BTreeMap<TenantId, Tenant>,
    /// Tenants with entries waiting for a graph, by tag.
    ready: [BTreeSet<(Tag, TenantId)>; 2],
    /// Tenants whose tags are only remembered.
    idle: BTreeSet<(Tag, TenantId)>,
    clock: Tag,
    waiting: [usize; 2],
}

impl FairQueue {
    pub(super) fn push(&mut self, tenant: &TenantId, graph: Graph, place: Place) {
        let clock = self.clock;
        let state = self.tenants.entry(tenant.clone()).or_default();
        if state.is_idle() {
            self.idle.remove(&(state.tag, tenant.clone()));
            state.tag = state.tag.max(clock);
        }
        if state.lines[graph as usize].insert(place) {
            self.waiting[graph as usize] += 1;
        }
        self.ready[graph as usize].insert((state.tag, tenant.clone()));
    }

    pub(super) fn remove(&mut self, tenant: &TenantId, graph: Graph, place: Place) {
        let Some(state) = self.tenants.get_mut(tenant) else {
            return;
        };
        if !state.lines[graph as usize].remove(&place) {
            return;
        }
        self.waiting[graph as usize] -= 1;
        if state.lines[graph as usize].is_empty() {
            self.ready[graph as usize].remove(&(state.tag, tenant.clone()));
        }
        if state.is_idle() {
            self.idle.insert((state.tag, tenant.clone()));
            self.forget();
        }
    }

    /// Charges a tenant for its part of a batch.
    pub(super) fn charge(&mut self, tenant: &TenantId, weight: u32, time: Duration) {
        let Some(state) = self.tenants.get_mut(tenant) else {
            return;
        };
        let before = state.tag;
        state.tag = before.saturating_add(cost(time, weight));
        for (line, ready) in state.lines.iter().zip(&mut self.ready) {
            if !line.is_empty() {
                ready.remove(&(before, tenant.clone()));
                ready.insert((state.tag, tenant.clone()));
            }
        }
        if self.idle.remove(&(before, tenant.clone())) {
            self.idle.insert((state.tag, tenant.clone()));
        }
    }

    /// The tenant with this tag is being served: the clock goes there.
    pub(super) fn serve(&mut self, tenant: &TenantId) {
        if let Some(state) = self.tenants.get(tenant) {
            self.clock = self.clock.max(state.tag);
        }
        self.forget();
    }

    /// The next entry, whatever its graph.
    pub(super) fn head(&self) -> Option<(Graph, EntryId)> {
        let first = |graph: Graph| self.ready[graph as usize].first();
        let tenant = Graph::ALL.into_iter().filter_map(first).min()?;
        let lines = &self.tenants.get(&tenant.1)?.lines;
        let first = |graph: Graph| Some((lines[graph as usize].first()?, graph));
        let (place, graph) = Graph::ALL.into_iter().filter_map(first).min()?;
        Some((graph, place.entry))
    }

    /// Entries that wait for a graph, in fair order, each charged as it is taken.
    pub(super) fn in_order<C>(&self, graph: Graph, charge: C) -> InOrder<'_, C>
    where
        C: Fn(EntryId) -> (Duration, u32),
    {
        InOrder {
            queue: self,
            graph,
            fresh: self.ready[graph as usize].iter().peekable(),
            again: BinaryHeap::new(),
            lines: Vec::new(),
            charge,
        }
    }

    /// Entries that wait for a graph, in part or whole.
    pub(super) fn len(&self, graph: Graph) -> usize {
        self.waiting[graph as usize]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting == [0, 0]
    }

    /// Forgets idle tenants whose tag the clock has passed, and the lowest of too many.
    fn forget(&mut self) {
        while let Some((tag, tenant)) = self.idle.first() {
            if *tag > self.clock && self.idle.len() <= REMEMBERED {
                return;
            }
            self.tenants.remove(tenant);
            self.idle.pop_first();
        }
    }
}

fn cost(time: Duration, weight: u32) -> Tag {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    nanos / u64::from(weight.max(1))
}

/// See [`FairQueue::in_order`].
pub(super) struct InOrder<'a, C> {
    queue: &'a FairQueue,
    graph: Graph,
    /// Tenants that have given nothing yet.
    fresh: Peekable<btree_set::Iter<'a, (Tag, TenantId)>>,
    /// Tenants that have given something, by the tag they would have then, and the places of their lines.
    again: BinaryHeap<Reverse<(Tag, &'a TenantId, usize)>>,
    /// What is left of the lines of tenants that have given something.
    lines: Vec<btree_set::Iter<'a, Place>>,
    charge: C,
}

impl<C: Fn(EntryId) -> (Duration, u32)> Iterator for InOrder<'_, C> {
    type Item = EntryId;

    fn next(&mut self) -> Option<EntryId> {
        loop {
            let again = self.again.peek();
            let again = again.map(|Reverse((tag, tenant, _))| (*tag, *tenant));
            let fresh = self.fresh.peek().map(|(tag, tenant)| (*tag, tenant));
            let (tag, tenant, line) = match (again, fresh) {
                (again, Some((tag, tenant))) if again.is_none_or(|again| again > (tag, tenant)) => {
                    self.fresh.next();
                    let state = self.queue.tenants.get(tenant)?;
                    self.lines.push(state.lines[self.graph as usize].iter());
                    (tag, tenant, self.lines.len() - 1)
                }
                _ => self.again.pop()?.0,
            };
            if let Some(place) = self.lines[line].next() {
                let (time, weight) = (self.charge)(place.entry);
                let tag = tag.saturating_add(cost(time, weight));
                self.again.push(Reverse((tag, tenant, line)));
                return Some(place.entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(entry: u64) -> Place {
        Place {
            round: 0,
            deadline: Time::MAX,
            job: entry,
            entry: EntryId(entry),
        }
    }

    /// Serves whoever is next, `cost` at a time, and gives the entries in order.
    fn serve(queue: &mut FairQueue, owner: impl Fn(u64) -> TenantId, times: usize) -> Vec<u64> {
        let mut served = Vec::new();
        for _ in 0..times {
            let Some((graph, entry)) = queue.head() else {
                break;
            };
            let tenant = owner(entry.0);
            queue.serve(&tenant);
            queue.remove(&tenant, graph, place(entry.0));
            queue.charge(&tenant, 1, Duration::from_millis(1));
            served.push(entry.0);
        }
        served
    }

    #[test]
    fn a_tenant_with_much_does_not_hold_up_one_with_little() {
        let owner = |entry| TenantId::from(if entry < 100 { "much" } else { "little" });
        let mut queue = FairQueue::default();
        for entry in [0, 1, 2, 3, 100, 101] {
            queue.push(&owner(entry), Graph::Encoder, place(entry));
        }
        assert_eq!(serve(&mut queue, owner, 9), [100, 0, 101, 1, 2, 3]);
    }

    #[test]
    fn idleness_saves_nothing_up_and_leaving_gains_nothing() {
        let owner = |entry| TenantId::from(if entry < 100 { "busy" } else { "late" });
        let mut queue = FairQueue::default();
        for entry in 0..20 {
            queue.push(&owner(entry), Graph::Encoder, place(entry));
        }
        serve(&mut queue, owner, 10);
        for entry in 100..120 {
            queue.push(&owner(entry), Graph::Encoder, place(entry));
        }
        let served = serve(&mut queue, owner, 8);
        assert_eq!(
            served.iter().filter(|&&entry| entry < 100).count(),
            4,
            "{served:?}"
        );
    }

    #[test]
    fn fair_order_is_what_serving_one_by_one_would_give() {
        let owner = |entry| TenantId::from(["a", "b", "c"][entry as usize % 3]);
        let mut queue = FairQueue::default();
        for entry in (0..30).filter(|entry| entry % 5 != 0) {
            queue.push(&owner(entry), Graph::Sequence, place(entry));
        }
        let order = queue.in_order(Graph::Sequence, |_| (Duration::from_millis(1), 1));
        let order: Vec<_> = order.map(|entry| entry.0).collect();
        assert_eq!(serve(&mut queue, owner, 30), order);
        assert!(queue.is_empty());
    }

    #[test]
    fn who_is_charged_twice_as_much_comes_half_as_often() {
        let mut queue = FairQueue::default();
        for entry in 0..12 {
            let tenant = TenantId::from(if entry < 6 { "dear" } else { "cheap" });
            queue.push(&tenant, Graph::Encoder, place(entry));
        }
        let charge = |EntryId(entry)| (Duration::from_millis(if entry < 6 { 2 } else { 1 }), 1);
        let order: Vec<_> = queue
            .in_order(Graph::Encoder, charge)
            .map(|entry| entry.0)
            .collect();
        // Where tags are equal, the name decides.
        assert_eq!(order, [6, 0, 7, 8, 1, 9, 10, 2, 11, 3, 4, 5]);
    }

    #[test]
    fn tenants_that_come_once_are_not_remembered_for_ever() {
        let mut queue = FairQueue::default();
        for entry in 0..5_000 {
            let tenant = TenantId::from(format!("tenant {entry}").as_str());
            queue.push(&tenant, Graph::Encoder, place(entry));
            serve(&mut queue, |_| tenant.clone(), 1);
        }
        assert!(queue.tenants.len() <= REMEMBERED, "{}", queue.tenants.len());
        assert_eq!(queue.tenants.len(), queue.idle.len());
    }
}
