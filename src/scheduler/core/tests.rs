//! Invariants of the core over random event sequences.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds {
    entries: 20,
    bytes: 2_000,
};

#[derive(Clone, Debug)]
enum Event {
    Arrival {
        graph: Graph,
        items: usize,
        bytes: usize,
    },
    Cancel {
        of: usize,
    },
    Poll,
    Done {
        of: usize,
        succeeded: bool,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let arrival = (any::<bool>(), 1..70usize, 0..400usize).prop_map(|(encoder, items, bytes)| {
        let (graph, items) = match encoder {
            true => (Graph::Encoder, items),
            false => (Graph::Sequence, items.min(32)),
        };
        Event::Arrival {
            graph,
            items,
            bytes,
        }
    });
    prop_oneof![
        4 => arrival,
        1 => (0..40usize).prop_map(|of| Event::Cancel { of }),
        3 => Just(Event::Poll),
        3 => (0..8usize, prop::bool::weighted(0.8))
            .prop_map(|(of, succeeded)| Event::Done { of, succeeded }),
    ]
}

/// Drives a core as the shell would, and holds every promise against what it does.
struct Driver {
    core: Core,
    now: Time,
    admitted: Vec<Entry>,
    /// Items run so far, and how the entry ended.
    run: HashMap<EntryId, usize>,
    ended: HashMap<EntryId, &'static str>,
    cancelled: HashSet<EntryId>,
    running: Vec<Batch>,
    log: Vec<Batch>,
}

impl Driver {
    fn new() -> Self {
        Self {
            core: Core::new(BOUNDS, Shapes::default()),
            now: Time::ZERO,
            admitted: Vec::new(),
            run: HashMap::new(),
            ended: HashMap::new(),
            cancelled: HashSet::new(),
            running: Vec::new(),
            log: Vec::new(),
        }
    }

    fn step(&mut self, event: &Event) {
        self.now += Time::from_millis(1);
        match *event {
            Event::Arrival {
                graph,
                items,
                bytes,
            } => {
                let id = EntryId(self.admitted.len() as u64);
                let entry = Entry {
                    id,
                    caller: CallerId(0),
                    graph,
                    items,
                    bytes,
                };
                if self.core.handle_arrival(self.now, entry.clone()).is_ok() {
                    self.admitted.push(entry);
                }
            }
            Event::Cancel { of } => {
                let id = EntryId(of as u64);
                self.core.handle_cancel(id);
                if of < self.admitted.len() && !self.ended.contains_key(&id) {
                    self.end(id, "cancelled");
                    self.cancelled.insert(id);
                }
            }
            Event::Poll => {
                if let Some(batch) = self.core.poll_batch(self.now) {
                    self.check(&batch);
                    self.log.push(batch.clone());
                    self.running.push(batch);
                }
            }
            Event::Done { of, succeeded } if of < self.running.len() => {
                let batch = self.running.remove(of);
                for (id, end) in self.core.handle_done(batch.id, succeeded) {
                    match end {
                        End::Answered => {
                            let items = self.admitted[id.0 as usize].items;
                            assert_eq!(self.run[&id], items, "answered before all was run");
                            self.end(id, "answered");
                        }
                        End::Failed => {
                            assert!(!succeeded && batch.members.iter().any(|m| m.entry == id));
                            self.end(id, "failed");
                        }
                    }
                }
            }
            Event::Done { .. } => {}
        }
        assert!(self.core.entries() <= BOUNDS.entries && self.core.bytes() <= BOUNDS.bytes);
    }

    fn end(&mut self, id: EntryId, how: &'static str) {
        assert_eq!(self.ended.insert(id, how), None, "{id:?} ended twice");
    }

    fn check(&mut self, batch: &Batch) {
        assert!(
            Shapes::default().all(batch.graph).contains(&batch.shape),
            "{:?}",
            batch.shape
        );
        let items: usize = batch.members.iter().map(|member| member.items).sum();
        let filled = match batch.graph {
            Graph::Encoder => items,
            Graph::Sequence => batch.members.len(),
        };
        assert!(filled <= batch.shape.rows, "{batch:?}");
        assert!(
            filled > batch.shape.rows / 2,
            "a smaller shape would have done: {batch:?}"
        );
        for member in &batch.members {
            assert!(!self.ended.contains_key(&member.entry), "a dead entry runs");
            let run = self.run.entry(member.entry).or_default();
            assert_eq!(*run, member.first, "items run out of order or twice");
            *run += member.items;
        }
    }

    fn finish(&mut self) {
        self.core.handle_drain();
        let refused = Entry {
            id: EntryId(u64::MAX),
            caller: CallerId(0),
            graph: Graph::Encoder,
            items: 1,
            bytes: 0,
        };
        assert_eq!(
            self.core.handle_arrival(self.now, refused),
            Err(Refusal::Draining)
        );
        while !self.core.is_empty() {
            let before = (self.log.len(), self.running.len());
            self.step(&Event::Poll);
            self.step(&Event::Done {
                of: 0,
                succeeded: true,
            });
            assert!(before != (self.log.len(), self.running.len()) || self.core.is_empty());
        }
        assert_eq!(
            self.ended.len(),
            self.admitted.len(),
            "an entry never ended"
        );
        assert_eq!((self.core.entries(), self.core.bytes()), (0, 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Conservation, no dead work, closed shapes, bounded memory and drain.
    #[test]
    fn every_admitted_entry_ends_exactly_once(events in prop::collection::vec(event(), 0..200)) {
        let mut driver = Driver::new();
        events.iter().for_each(|event| driver.step(event));
        driver.finish();
    }

    #[test]
    fn the_same_events_give_the_same_batches(events in prop::collection::vec(event(), 0..200)) {
        let run = || {
            let mut driver = Driver::new();
            events.iter().for_each(|event| driver.step(event));
            driver.log
        };
        prop_assert_eq!(run(), run());
    }
}

fn core_with(entries: &[(Graph, usize)]) -> Core {
    let mut core = Core::new(
        Bounds {
            entries: 100,
            bytes: 0,
        },
        Shapes::default(),
    );
    for (number, &(graph, items)) in entries.iter().enumerate() {
        let entry = Entry {
            id: EntryId(number as u64),
            caller: CallerId(0),
            graph,
            items,
            bytes: 0,
        };
        core.handle_arrival(Time::from_millis(number as u64), entry)
            .unwrap();
    }
    core
}

fn summary(batch: &Batch) -> (Graph, Shape, Vec<(u64, usize, usize)>) {
    let members = batch
        .members
        .iter()
        .map(|m| (m.entry.0, m.first, m.items))
        .collect();
    (batch.graph, batch.shape, members)
}

#[test]
fn segments_of_several_callers_share_a_batch_and_a_long_run_is_split() {
    let mut core = core_with(&[
        (Graph::Encoder, 3),
        (Graph::Encoder, 40),
        (Graph::Encoder, 1),
    ]);
    let now = Time::from_millis(10);
    let first = core.poll_batch(now).unwrap();
    let full = Shape { rows: 32, steps: 1 };
    assert_eq!(
        summary(&first),
        (Graph::Encoder, full, vec![(0, 0, 3), (1, 0, 29)])
    );
    assert_eq!(first.members[1].waited, Time::from_millis(9));
    let second = core.poll_batch(now).unwrap();
    let rest = Shape { rows: 16, steps: 1 };
    assert_eq!(
        summary(&second),
        (Graph::Encoder, rest, vec![(1, 29, 11), (2, 0, 1)])
    );
    assert_eq!(core.poll_batch(now), None);
}

#[test]
fn chunks_of_unequal_length_share_a_batch_padded_to_a_closed_shape() {
    let mut core = core_with(&[
        (Graph::Sequence, 5),
        (Graph::Sequence, 17),
        (Graph::Sequence, 32),
    ]);
    let batch = core.poll_batch(Time::from_millis(10)).unwrap();
    let shape = Shape { rows: 4, steps: 32 };
    assert_eq!(
        summary(&batch),
        (
            Graph::Sequence,
            shape,
            vec![(0, 0, 5), (1, 0, 17), (2, 0, 32)]
        )
    );
}

#[test]
fn the_graph_of_the_oldest_entry_runs_first() {
    let mut core = core_with(&[
        (Graph::Sequence, 8),
        (Graph::Encoder, 1),
        (Graph::Sequence, 8),
    ]);
    let graphs: Vec<_> = std::iter::from_fn(|| core.poll_batch(Time::ZERO))
        .map(|b| b.graph)
        .collect();
    assert_eq!(graphs, [Graph::Sequence, Graph::Encoder]);
}

#[test]
fn a_failed_batch_fails_its_members_and_nobody_else() {
    let mut core = core_with(&[(Graph::Encoder, 40), (Graph::Encoder, 30)]);
    let first = core.poll_batch(Time::ZERO).unwrap();
    let second = core.poll_batch(Time::ZERO).unwrap();
    assert_eq!(
        core.handle_done(first.id, false),
        [(EntryId(0), End::Failed)]
    );
    let third = core.poll_batch(Time::ZERO).unwrap();
    assert_eq!(core.handle_done(second.id, true), []);
    assert_eq!(
        core.handle_done(third.id, true),
        [(EntryId(1), End::Answered)]
    );
    assert!(core.is_empty());
}

#[test]
fn what_exceeds_a_bound_is_refused_and_leaves_no_trace() {
    let mut core = Core::new(
        Bounds {
            entries: 1,
            bytes: 100,
        },
        Shapes::default(),
    );
    let entry = |id, graph, items, bytes| Entry {
        id: EntryId(id),
        caller: CallerId(0),
        graph,
        items,
        bytes,
    };
    let refused = |core: &mut Core, entry| core.handle_arrival(Time::ZERO, entry).unwrap_err();
    assert_eq!(
        refused(&mut core, entry(0, Graph::Encoder, 0, 1)),
        Refusal::Empty
    );
    assert_eq!(
        refused(&mut core, entry(0, Graph::Encoder, 1, 101)),
        Refusal::Bytes(100)
    );
    let long = entry(0, Graph::Sequence, 33, 1);
    assert_eq!(
        refused(&mut core, long),
        Refusal::TooLong {
            steps: 33,
            most: 32
        }
    );
    assert!(core.is_empty());
    core.handle_arrival(Time::ZERO, entry(0, Graph::Encoder, 1, 1))
        .unwrap();
    assert_eq!(
        refused(&mut core, entry(1, Graph::Encoder, 1, 1)),
        Refusal::Entries(1)
    );
}
