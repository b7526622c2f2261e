//! The policies: the server's own scheduler, and three simple ones to compare it with.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use undertone::scheduler::core::{
    BatchId, Bounds, Class, Core, End, Ended, Entry, EntryId, Graph, Job, JobId, Member, Next,
    Outcome, PerClass, PerGraph, Policy as CorePolicy, Shape, Time,
};

use crate::device::Device;

/// The most requests that any policy holds.
const MOST_JOBS: usize = 1_024;
/// How long the simple policies wait for further members of a batch.
const DELAY: Duration = Duration::from_millis(5);
/// For EDF, a request without a deadline is due so long after its arrival.
const EDF_DEADLINE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PolicyKind {
    /// The server's scheduler.
    Ours,
    /// First come, first served.
    Fifo,
    /// Interactive before bulk, always.
    Priority,
    /// The earliest deadline first.
    Edf,
}

impl PolicyKind {
    pub(crate) const ALL: [Self; 4] = [Self::Ours, Self::Fifo, Self::Priority, Self::Edf];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Fifo => "fifo",
            Self::Priority => "priority",
            Self::Edf => "edf",
        }
    }

    pub(crate) fn start(self, device: &Device) -> Box<dyn Policy> {
        match self {
            Self::Ours => Box::new(Ours::new(device)),
            Self::Fifo | Self::Priority | Self::Edf => Box::new(Plain::new(self, device)),
        }
    }
}

/// A batch that an instance runs.
#[derive(Clone, Debug)]
pub(crate) struct PolicyBatch {
    /// The core's name of it; none of a simple policy.
    id: Option<BatchId>,
    pub(crate) graph: Graph,
    pub(crate) shape: Shape,
    pub(crate) members: Vec<Member>,
}

impl PolicyBatch {
    /// Returns how many rows a member fills.
    pub(crate) fn rows_of(&self, member: &Member) -> usize {
        match self.graph {
            Graph::Encoder => member.items,
            Graph::Sequence => 1,
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.members.iter().map(|member| self.rows_of(member)).sum()
    }
}

/// What a free instance does.
#[derive(Debug)]
pub(crate) enum Action {
    Run(PolicyBatch),
    Wait(Time),
    Nothing,
}

/// A scheduler, as the simulation uses it. The methods correspond to those of [`Core`].
pub(crate) trait Policy {
    /// A request arrives. Returns whether it is admitted.
    fn job(&mut self, now: Time, job: Job) -> bool;
    /// Some of its work is ready to run. Returns whether that is accepted.
    fn entry(&mut self, now: Time, entry: Entry) -> bool;
    /// An instance is free. Returns what it does.
    fn poll(&mut self, now: Time) -> Action;
    /// A batch has ended after so long.
    fn done(&mut self, batch: PolicyBatch, took: Duration);
    /// The whole process stood still for so long.
    fn stall(&mut self, lost: Duration);
    /// A request leaves: it is answered, ended, or its caller gave up.
    fn leave(&mut self, now: Time, job: JobId);
    /// Returns the next entry or request that ended.
    fn ended(&mut self) -> Option<Ended>;
    /// Returns whether nothing is held.
    fn is_empty(&self) -> bool;
}

/// The server's scheduler.
struct Ours(Core);

impl Ours {
    /// Returns the server's scheduler with its default settings.
    fn new(device: &Device) -> Self {
        let policy = CorePolicy {
            instances: device.instances,
            bounds: Bounds {
                jobs: MOST_JOBS,
                bytes: usize::MAX,
                backlog: PerClass {
                    interactive: Duration::from_secs(10),
                    bulk: Duration::from_secs(120),
                },
            },
            max_batch_time: device.max_batch_time,
            max_queue_delay: device.max_queue_delay,
            bulk_share: 0.1,
        };
        Self(Core::new(policy, device.costs.clone()))
    }
}

impl Policy for Ours {
    fn stall(&mut self, lost: Duration) {
        self.0.handle_stall(lost);
    }

    fn job(&mut self, now: Time, job: Job) -> bool {
        self.0.handle_job(now, job).is_ok()
    }

    fn entry(&mut self, now: Time, entry: Entry) -> bool {
        self.0.handle_entry(now, entry).is_ok()
    }

    fn poll(&mut self, now: Time) -> Action {
        match self.0.poll(now) {
            Next::Run(batch) => Action::Run(PolicyBatch {
                id: Some(batch.id),
                graph: batch.graph,
                shape: batch.shape,
                members: batch.members,
            }),
            Next::Wait(until) => Action::Wait(until),
            Next::Idle => Action::Nothing,
        }
    }

    fn done(&mut self, batch: PolicyBatch, took: Duration) {
        let broken = Vec::new();
        if let Some(id) = batch.id {
            self.0.handle_done(id, &Outcome::Ran { cost: took, broken });
        }
    }

    fn leave(&mut self, now: Time, job: JobId) {
        self.0.handle_leave(now, job);
        // In the simulation a batch that nobody waits for runs to its end, because no device stops at once.
        while self.0.poll_stop().is_some() {}
    }

    fn ended(&mut self) -> Option<Ended> {
        self.0.poll_ended()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Class or deadline, then arrival of the request, then of the entry.
type Key = (u64, JobId, EntryId);

#[derive(Debug)]
struct Waiting {
    items: usize,
    taken: usize,
    done: usize,
    arrived: Time,
    key: Key,
    graph: Graph,
}

/// One queue for each graph, in a fixed order. Batches wait a fixed time to fill, up to the largest shape. Requests
/// beyond [`MOST_JOBS`] are refused.
struct Plain {
    kind: PolicyKind,
    device: Device,
    jobs: HashMap<JobId, (u64, Class, Vec<EntryId>)>,
    entries: HashMap<EntryId, Waiting>,
    queues: PerGraph<BTreeMap<Key, EntryId>>,
    ended: VecDeque<Ended>,
}

impl Plain {
    fn new(kind: PolicyKind, device: &Device) -> Self {
        Self {
            kind,
            device: device.clone(),
            jobs: HashMap::new(),
            entries: HashMap::new(),
            queues: Default::default(),
            ended: VecDeque::new(),
        }
    }

    /// Returns until when to wait for further members of a batch; none if it should run now.
    fn waits_until(&self, now: Time, graph: Graph) -> Option<Time> {
        let queue = &self.queues[graph];
        let most = self.device.costs.shapes().most_rows(graph);
        let mut rows = 0;
        for id in queue.values() {
            rows += match graph {
                Graph::Encoder => self
                    .entries
                    .get(id)
                    .map_or(0, |held| held.items - held.taken),
                Graph::Sequence => 1,
            };
            if rows >= most {
                return None;
            }
        }
        let (_, oldest) = queue.first_key_value()?;
        let until = self.entries.get(oldest)?.arrived + DELAY;
        Some(until).filter(|until| *until > now)
    }

    fn form(&mut self, now: Time, graph: Graph) -> PolicyBatch {
        let most = self.device.costs.shapes().most_rows(graph);
        let mut members: Vec<Member> = Vec::new();
        let mut rows = 0;
        while rows < most
            && let Some(first) = self.queues[graph].first_entry()
        {
            let id = *first.get();
            let Some(held) = self.entries.get_mut(&id) else {
                first.remove();
                continue;
            };
            let (items, own) = match graph {
                Graph::Encoder => {
                    let items = (held.items - held.taken).min(most - rows);
                    (items, items)
                }
                Graph::Sequence => (held.items, 1),
            };
            let job = first.key().1;
            members.push(Member {
                entry: id,
                job,
                class: self.jobs.get(&job).map_or(Class::Bulk, |job| job.1),
                first: held.taken,
                items,
                waited: now.saturating_sub(held.arrived),
            });
            held.taken += items;
            rows += own;
            if held.taken == held.items {
                first.remove();
            }
        }
        let steps = match graph {
            Graph::Encoder => 1,
            Graph::Sequence => members.iter().map(|member| member.items).max().unwrap_or(1),
        };
        let shapes = self.device.costs.shapes();
        let at_least = |sizes: &[usize], wanted: usize| {
            let fit = sizes.iter().copied().find(|size| *size >= wanted);
            fit.unwrap_or(wanted)
        };
        let shape = Shape {
            rows: at_least(shapes.rows(graph), rows),
            steps: at_least(shapes.steps(graph), steps),
        };
        PolicyBatch {
            id: None,
            graph,
            shape,
            members,
        }
    }

    fn forget(&mut self, id: EntryId) {
        if let Some(held) = self.entries.remove(&id) {
            self.queues[held.graph].remove(&held.key);
        }
    }
}

impl Policy for Plain {
    fn stall(&mut self, _: Duration) {}

    fn job(&mut self, now: Time, job: Job) -> bool {
        if self.jobs.len() == MOST_JOBS {
            return false;
        }
        let rank = match self.kind {
            PolicyKind::Ours | PolicyKind::Fifo => 0,
            PolicyKind::Priority => job.class as u64,
            PolicyKind::Edf => nanos(job.deadline.unwrap_or(now + EDF_DEADLINE)),
        };
        self.jobs.insert(job.id, (rank, job.class, Vec::new()));
        true
    }

    fn entry(&mut self, now: Time, entry: Entry) -> bool {
        let Some((rank, _, entries)) = self.jobs.get_mut(&entry.job) else {
            return false;
        };
        let graph = entry.task.graph();
        let key = (*rank, entry.job, entry.id);
        entries.push(entry.id);
        self.queues[graph].insert(key, entry.id);
        let items = entry.task.items();
        let held = Waiting {
            items,
            taken: 0,
            done: 0,
            arrived: now,
            key,
            graph,
        };
        self.entries.insert(entry.id, held);
        true
    }

    fn poll(&mut self, now: Time) -> Action {
        let mut heads: Vec<(Key, Graph)> = Graph::ALL
            .into_iter()
            .filter_map(|graph| Some((*self.queues[graph].first_key_value()?.0, graph)))
            .collect();
        heads.sort_by_key(|(key, _)| *key);
        let mut wait: Option<Time> = None;
        for (_, graph) in heads {
            match self.waits_until(now, graph) {
                Some(until) => wait = Some(wait.map_or(until, |wait| wait.min(until))),
                None => return Action::Run(self.form(now, graph)),
            }
        }
        wait.map_or(Action::Nothing, Action::Wait)
    }

    fn done(&mut self, batch: PolicyBatch, _took: Duration) {
        for member in batch.members {
            let Some(held) = self.entries.get_mut(&member.entry) else {
                continue;
            };
            held.done += member.items;
            if held.done == held.items {
                self.forget(member.entry);
                if let Some((.., entries)) = self.jobs.get_mut(&member.job) {
                    entries.retain(|entry| *entry != member.entry);
                }
                self.ended
                    .push_back(Ended::Entry(member.entry, End::Answered));
            }
        }
    }

    fn leave(&mut self, _: Time, job: JobId) {
        if let Some((.., entries)) = self.jobs.remove(&job) {
            for entry in entries {
                self.forget(entry);
            }
        }
    }

    fn ended(&mut self) -> Option<Ended> {
        self.ended.pop_front()
    }

    fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.entries.is_empty()
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
