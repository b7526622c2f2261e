//! Who is next: first come, first served, one line a graph.

use std::collections::BTreeMap;

use super::{Entry, EntryId, Graph};

/// Waiting entries by order of arrival.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Arrival number to entry. Numbers grow, so the first is the oldest.
    encoder: BTreeMap<u64, EntryId>,
    sequence: BTreeMap<u64, EntryId>,
    arrivals: BTreeMap<EntryId, u64>,
    next: u64,
}

impl Queue {
    pub(super) fn push(&mut self, entry: &Entry) {
        self.arrivals.insert(entry.id, self.next);
        let number = self.next;
        self.line_mut(entry.graph).insert(number, entry.id);
        self.next += 1;
    }

    /// The graph whose oldest entry has waited longest.
    pub(super) fn oldest(&self) -> Option<Graph> {
        let first = |graph| {
            self.line(graph)
                .first_key_value()
                .map(|(number, _)| (*number, graph))
        };
        let oldest = Graph::ALL
            .into_iter()
            .filter_map(first)
            .min_by_key(|(number, _)| *number);
        oldest.map(|(_, graph)| graph)
    }

    pub(super) fn front(&self, graph: Graph) -> Option<EntryId> {
        self.line(graph).first_key_value().map(|(_, id)| *id)
    }

    pub(super) fn pop(&mut self, graph: Graph) {
        if let Some((_, id)) = self.line_mut(graph).pop_first() {
            self.arrivals.remove(&id);
        }
    }

    pub(super) fn remove(&mut self, entry: &Entry) {
        if let Some(number) = self.arrivals.remove(&entry.id) {
            self.line_mut(entry.graph).remove(&number);
        }
    }

    pub(super) fn len(&self, graph: Graph) -> usize {
        self.line(graph).len()
    }

    fn line(&self, graph: Graph) -> &BTreeMap<u64, EntryId> {
        match graph {
            Graph::Encoder => &self.encoder,
            Graph::Sequence => &self.sequence,
        }
    }

    fn line_mut(&mut self, graph: Graph) -> &mut BTreeMap<u64, EntryId> {
        match graph {
            Graph::Encoder => &mut self.encoder,
            Graph::Sequence => &mut self.sequence,
        }
    }
}
