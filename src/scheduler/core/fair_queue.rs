//! The order of entries within a class: tenants by start-time fair queueing, and within a tenant the earliest
//! round ([`super::rounds`]), then the earliest deadline, then the earliest job.
//!
//! Each tenant has a tag: the device time that it was charged, divided by its weight. The tenant with the least
//! tag is served next, and the clock follows the tags of served tenants. A tenant that was idle starts at the
//! clock, so idleness gains nothing. The charges of two tenants that wait all the time differ by at most a batch
//! (Goyal, Vin and Cheng, Start-time Fair Queueing, SIGCOMM 1996).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, btree_set};
use std::iter::Peekable;
use std::time::Duration;

use super::entry::EntryId;
use super::graph::{Graph, PerGraph};
use super::job::TenantId;
use super::time::Time;

/// Tags that are kept of tenants without waiting work, so that no tenant gains by leaving and returning at once.
/// Beyond that the least tag is forgotten, because its tenant gains least.
const REMEMBERED: usize = 1_024;

/// An entry's place among the entries of its tenant, in the order of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryPlace {
    /// The round of the job's work, by [`super::rounds`].
    pub(super) round: u64,
    /// The job's deadline. Entries of a job without one are last.
    pub(super) deadline: Time,
    /// The number of the job's arrival, so that an earlier job finishes before a later one.
    pub(super) job: u64,
    pub(super) entry: EntryId,
}

/// Nanoseconds of device time at weight 1.
type Tag = u64;

#[derive(Debug, Default)]
struct TenantQueue {
    tag: Tag,
    /// Entries that wait for each graph.
    entries: PerGraph<BTreeSet<EntryPlace>>,
}

impl TenantQueue {
    fn is_idle(&self) -> bool {
        self.entries.iter().all(|(_, entries)| entries.is_empty())
    }
}

/// Waiting entries of one class.
#[derive(Debug, Default)]
pub(super) struct FairQueue {
    tenants: BTreeMap<TenantId, TenantQueue>,
    /// Tenants with entries that wait for each graph, by tag.
    ready: PerGraph<BTreeSet<(Tag, TenantId)>>,
    /// Tenants without waiting entries of which the tags are kept.
    idle: BTreeSet<(Tag, TenantId)>,
    clock: Tag,
    /// Entries that wait for each graph.
    waiting: PerGraph<usize>,
}

impl FairQueue {
    pub(super) fn push(&mut self, tenant: &TenantId, graph: Graph, place: EntryPlace) {
        let clock = self.clock;
        let state = self.tenants.entry(tenant.clone()).or_default();
        if state.is_idle() {
            self.idle.remove(&(state.tag, tenant.clone()));
            state.tag = state.tag.max(clock);
        }
        if state.entries[graph].insert(place) {
            self.waiting[graph] += 1;
        }
        self.ready[graph].insert((state.tag, tenant.clone()));
    }

    pub(super) fn remove(&mut self, tenant: &TenantId, graph: Graph, place: EntryPlace) {
        let Some(state) = self.tenants.get_mut(tenant) else {
            return;
        };
        if !state.entries[graph].remove(&place) {
            return;
        }
        self.waiting[graph] -= 1;
        if state.entries[graph].is_empty() {
            self.ready[graph].remove(&(state.tag, tenant.clone()));
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
        for (graph, ready) in self.ready.iter_mut() {
            if !state.entries[graph].is_empty() {
                ready.remove(&(before, tenant.clone()));
                ready.insert((state.tag, tenant.clone()));
            }
        }
        if self.idle.remove(&(before, tenant.clone())) {
            self.idle.insert((state.tag, tenant.clone()));
        }
    }

    /// Records that a tenant is served: the clock advances to its tag.
    pub(super) fn serve(&mut self, tenant: &TenantId) {
        if let Some(state) = self.tenants.get(tenant) {
            self.clock = self.clock.max(state.tag);
        }
        self.forget();
    }

    /// Returns the next entry, of either graph.
    pub(super) fn head(&self) -> Option<(Graph, EntryId)> {
        let first = |graph: Graph| self.ready[graph].first();
        let tenant = Graph::ALL.into_iter().filter_map(first).min()?;
        let entries = &self.tenants.get(&tenant.1)?.entries;
        let first = |graph: Graph| Some((entries[graph].first()?, graph));
        let (place, graph) = Graph::ALL.into_iter().filter_map(first).min()?;
        Some((graph, place.entry))
    }

    /// Returns the entries that wait for a graph, in fair order. `charge` gives the device time and the weight by
    /// which an entry moves its tenant's tag; the queue itself does not change.
    pub(super) fn in_order<C>(&self, graph: Graph, charge: C) -> FairOrder<'_, C>
    where
        C: Fn(EntryId) -> (Duration, u32),
    {
        FairOrder {
            queue: self,
            graph,
            fresh: self.ready[graph].iter().peekable(),
            charged: BinaryHeap::new(),
            rests: Vec::new(),
            charge,
        }
    }

    /// Returns how many entries wait for a graph, in part or whole.
    pub(super) fn len(&self, graph: Graph) -> usize {
        self.waiting[graph]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.iter().all(|(_, waiting)| *waiting == 0)
    }

    /// Forgets idle tenants that the clock has passed, and those with the least tags if there are too many.
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

/// Returns by how much a charge moves a tag.
fn cost(time: Duration, weight: u32) -> Tag {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    nanos / u64::from(weight.max(1))
}

/// The iterator of [`FairQueue::in_order`].
pub(super) struct FairOrder<'a, C> {
    queue: &'a FairQueue,
    graph: Graph,
    /// Tenants of which no entry was returned yet.
    fresh: Peekable<btree_set::Iter<'a, (Tag, TenantId)>>,
    /// Tenants of which an entry was returned, by the tag that they would have then, with their place in `rests`.
    charged: BinaryHeap<Reverse<(Tag, &'a TenantId, usize)>>,
    /// The remaining entries of the tenants in `charged`.
    rests: Vec<btree_set::Iter<'a, EntryPlace>>,
    charge: C,
}

impl<C: Fn(EntryId) -> (Duration, u32)> Iterator for FairOrder<'_, C> {
    type Item = EntryId;

    fn next(&mut self) -> Option<EntryId> {
        loop {
            let charged = self.charged.peek();
            let charged = charged.map(|Reverse((tag, tenant, _))| (*tag, *tenant));
            let fresh = self.fresh.peek().map(|(tag, tenant)| (*tag, tenant));
            let (tag, tenant, rest) = match (charged, fresh) {
                (charged, Some((tag, tenant)))
                    if charged.is_none_or(|charged| charged > (tag, tenant)) =>
                {
                    self.fresh.next();
                    let state = self.queue.tenants.get(tenant)?;
                    self.rests.push(state.entries[self.graph].iter());
                    (tag, tenant, self.rests.len() - 1)
                }
                _ => self.charged.pop()?.0,
            };
            if let Some(place) = self.rests[rest].next() {
                let (time, weight) = (self.charge)(place.entry);
                let tag = tag.saturating_add(cost(time, weight));
                self.charged.push(Reverse((tag, tenant, rest)));
                return Some(place.entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(entry: u64) -> EntryPlace {
        EntryPlace {
            round: 0,
            deadline: Time::MAX,
            job: entry,
            entry: EntryId(entry),
        }
    }

    /// Serves the next entry a number of times, for a millisecond each. Returns the entries in order.
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
    fn a_tenant_with_many_entries_does_not_delay_one_with_few() {
        let owner = |entry| TenantId::from(if entry < 100 { "much" } else { "little" });
        let mut queue = FairQueue::default();
        for entry in [0, 1, 2, 3, 100, 101] {
            queue.push(&owner(entry), Graph::Encoder, place(entry));
        }
        assert_eq!(serve(&mut queue, owner, 9), [100, 0, 101, 1, 2, 3]);
    }

    #[test]
    fn neither_idleness_nor_leaving_gains_anything() {
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
    fn the_fair_order_is_that_of_serving_one_by_one() {
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
    fn a_tenant_that_is_charged_twice_as_much_is_served_half_as_often() {
        let mut queue = FairQueue::default();
        for entry in 0..12 {
            let tenant = TenantId::from(if entry < 6 { "expensive" } else { "cheap" });
            queue.push(&tenant, Graph::Encoder, place(entry));
        }
        let charge = |EntryId(entry)| (Duration::from_millis(if entry < 6 { 2 } else { 1 }), 1);
        let order: Vec<_> = queue
            .in_order(Graph::Encoder, charge)
            .map(|entry| entry.0)
            .collect();
        // If tags are equal, the name decides.
        assert_eq!(order, [6, 0, 7, 8, 1, 9, 10, 2, 11, 3, 4, 5]);
    }

    #[test]
    fn tenants_that_are_seen_once_are_forgotten() {
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
