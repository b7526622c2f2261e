//! Who runs when: the server's own scheduler, and three plain ones to measure it by.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use undertone::scheduler::core::{
    BatchId, Bounds, Class, Core, End, Ended, Entry, EntryId, Graph, Job, JobId, Member, Next,
    Outcome, PerClass, PerGraph, Policy as Terms, Shape, Task, Time,
};

use crate::device::Device;

/// Requests that any policy holds at most.
const MOST_JOBS: usize = 1_024;
/// How long the plain ones wait for companions.
const DELAY: Duration = Duration::from_millis(5);
/// EDF takes a request without a deadline as one that is due so long after it arrived.
const EDF_PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// The server's scheduler.
    Ours,
    /// First come, first served.
    Fifo,
    /// Interactive before bulk, always.
    Priority,
    /// The earliest deadline first.
    Edf,
}

impl Kind {
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

/// What an instance runs.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    id: Option<BatchId>,
    pub(crate) graph: Graph,
    pub(crate) shape: Shape,
    pub(crate) members: Vec<Member>,
}

impl Run {
    /// Rows that a member takes.
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
pub(crate) enum Do {
    Run(Run),
    Wait(Time),
    Nothing,
}

/// A scheduler, as the simulated world sees it.
pub(crate) trait Policy {
    /// A request arrives: is it let in?
    fn job(&mut self, now: Time, job: Job) -> bool;
    /// Some of its work is ready to run.
    fn entry(&mut self, now: Time, entry: Entry) -> bool;
    /// An instance is free.
    fn poll(&mut self, now: Time) -> Do;
    /// A batch took so long.
    fn done(&mut self, run: Run, took: Duration);
    /// The whole process stood still for so long.
    fn stall(&mut self, lost: Duration);
    /// Nobody waits for a request any more.
    fn leave(&mut self, now: Time, job: JobId);
    /// What ended since this was last asked.
    fn ended(&mut self) -> Option<Ended>;
    /// Whether nothing is held.
    fn is_empty(&self) -> bool;
}

struct Ours(Core);

impl Ours {
    /// With the server's defaults.
    fn new(device: &Device) -> Self {
        let terms = Terms {
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
        Self(Core::new(terms, device.costs.clone()))
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

    fn poll(&mut self, now: Time) -> Do {
        match self.0.poll(now) {
            Next::Run(batch) => Do::Run(Run {
                id: Some(batch.id),
                graph: batch.graph,
                shape: batch.shape,
                members: batch.members,
            }),
            Next::Wait(until) => Do::Wait(until),
            Next::Idle => Do::Nothing,
        }
    }

    fn done(&mut self, run: Run, took: Duration) {
        let broken = Vec::new();
        if let Some(id) = run.id {
            self.0.handle_done(id, &Outcome::Ran { cost: took, broken });
        }
    }

    fn leave(&mut self, now: Time, job: JobId) {
        self.0.handle_leave(now, job);
        // A batch that nobody waits for runs to its end here: no device stops at once.
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

/// One queue in a fixed order, with a fixed delay for companions, filled to the largest batch, refusing what exceeds its bound.
struct Plain {
    kind: Kind,
    device: Device,
    jobs: HashMap<JobId, (u64, Class, Vec<EntryId>)>,
    entries: HashMap<EntryId, Waiting>,
    /// By graph.
    queues: PerGraph<BTreeMap<Key, EntryId>>,
    ended: VecDeque<Ended>,
}

impl Plain {
    fn new(kind: Kind, device: &Device) -> Self {
        Self {
            kind,
            device: device.clone(),
            jobs: HashMap::new(),
            entries: HashMap::new(),
            queues: Default::default(),
            ended: VecDeque::new(),
        }
    }

    /// Until when to wait for companions, if that is not over.
    fn patience(&self, now: Time, graph: Graph) -> Option<Time> {
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

    fn form(&mut self, now: Time, graph: Graph) -> Run {
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
        Run {
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
            Kind::Ours | Kind::Fifo => 0,
            Kind::Priority => job.class as u64,
            Kind::Edf => nanos(job.deadline.unwrap_or(now + EDF_PATIENCE)),
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
        let items = match entry.task {
            Task::Encode { segments } => segments,
            Task::Advance { steps, .. } => steps,
        };
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

    fn poll(&mut self, now: Time) -> Do {
        let mut heads: Vec<(Key, Graph)> = Graph::ALL
            .into_iter()
            .filter_map(|graph| Some((*self.queues[graph].first_key_value()?.0, graph)))
            .collect();
        heads.sort_by_key(|(key, _)| *key);
        let mut wait: Option<Time> = None;
        for (_, graph) in heads {
            match self.patience(now, graph) {
                Some(until) => wait = Some(wait.map_or(until, |wait| wait.min(until))),
                None => return Do::Run(self.form(now, graph)),
            }
        }
        wait.map_or(Do::Nothing, Do::Wait)
    }

    fn done(&mut self, run: Run, _took: Duration) {
        for member in run.members {
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
