//! The world around a scheduler: requests arrive, instances run batches, callers wait or hang up.
//!
//! Its clock is virtual: it jumps from event to event.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use undertone::scheduler::core::{
    End, Ended, Entry, EntryId, Graph, Job, JobId, Task, TenantId, Time,
};

use crate::device::Device;
use crate::policies::{Action, Policy, PolicyBatch};
use crate::report::Results;
use crate::trace::Trace;

/// The most segments of one entry.
const PIECE: usize = 64;
/// Entries of segments that a request has under way: the next is prepared while one runs.
const PIECES: usize = 2;
/// Batches take up to this part more or less than the cost table predicts.
const NOISE: f64 = 0.05;
/// An entry's number is that of its request, shifted by so many bits, plus its place within the request.
const ENTRIES: u32 = 20;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestEnd {
    /// After so long.
    Answered(Duration),
    Refused,
    Expired,
    Evicted,
}

/// The real time that calls of a policy took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Effort {
    pub(crate) calls: u64,
    pub(crate) total: Duration,
    pub(crate) longest: Duration,
}

impl Effort {
    fn measure<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = call();
        let took = started.elapsed();
        self.calls += 1;
        self.total += took;
        self.longest = self.longest.max(took);
        result
    }
}

/// The real time of each kind of call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Efforts {
    pub(crate) job: Effort,
    pub(crate) entry: Effort,
    pub(crate) poll: Effort,
    pub(crate) done: Effort,
    pub(crate) leave: Effort,
}

/// Conditions of a simulation beside its trace and its device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions {
    /// Callers leave at their deadline, whatever the policy does.
    pub(crate) hang_up: bool,
    /// When the whole process stands still.
    pub(crate) pauses: Option<Pauses>,
    pub(crate) seed: u64,
}

/// Regular times in which the process stands still: a paused machine, exhausted processor quota.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pauses {
    /// From the end of one to the start of the next.
    pub(crate) every: Duration,
    pub(crate) length: Duration,
}

#[derive(Debug)]
enum Event {
    /// A batch ends on an instance.
    Done(usize),
    /// A policy is to be polled again.
    Wake,
    /// A caller's deadline passes.
    HangUp(JobId),
}

/// The state of an admitted request.
#[derive(Debug, Default)]
struct RequestState {
    /// Segments that were submitted.
    submitted: usize,
    /// Segments that were encoded.
    encoded: usize,
    /// Steps that were submitted.
    submitted_steps: usize,
    /// Steps that were run.
    stepped: usize,
    /// Whether a chunk is under way.
    chunk: bool,
    entries: u64,
    under_way: Vec<(EntryId, Task)>,
}

/// A simulation of a trace with one policy, until the last request ends.
pub(crate) struct World<'a> {
    device: &'a Device,
    trace: &'a Trace,
    conditions: Conditions,
    /// When the process next stands still.
    next_pause: Option<Time>,
    policy: Box<dyn Policy>,
    random: StdRng,
    now: Time,
    /// Times and numbers of future events: by time, then in the order in which they were scheduled.
    events: BinaryHeap<Reverse<(Time, u64)>>,
    scheduled: HashMap<u64, Event>,
    next_event: u64,
    wake: Option<Time>,
    /// The batch that each instance runs, and its time.
    instances: Vec<Option<(PolicyBatch, Duration)>>,
    requests: HashMap<JobId, RequestState>,
    tenants: Vec<TenantId>,
    efforts: Efforts,
    results: Results,
}

impl<'a> World<'a> {
    pub(crate) fn new(
        device: &'a Device,
        trace: &'a Trace,
        policy: Box<dyn Policy>,
        conditions: Conditions,
    ) -> Self {
        let tenants = trace.tenants.iter().map(|name| name.as_str().into());
        Self {
            device,
            trace,
            next_pause: conditions.pauses.map(|pauses| pauses.every),
            conditions,
            policy,
            random: StdRng::seed_from_u64(conditions.seed),
            now: Time::ZERO,
            events: BinaryHeap::new(),
            scheduled: HashMap::new(),
            next_event: 0,
            wake: None,
            instances: (0..device.instances).map(|_| None).collect(),
            requests: HashMap::new(),
            tenants: tenants.collect(),
            efforts: Efforts::default(),
            results: Results::new(trace),
        }
    }

    /// Runs to the end. `progress` gets the number of requests that have arrived.
    ///
    /// # Errors
    /// The policy lost a request, ended one twice, or refused an entry of an admitted one.
    pub(crate) fn run(
        mut self,
        mut progress: impl FnMut(usize),
    ) -> Result<(Results, Efforts), String> {
        let mut arrived = 0;
        loop {
            let arrival = self.trace.requests.get(arrived).map(|next| next.arrival);
            let event = self.events.peek().map(|Reverse((time, _))| *time);
            let next = arrival.into_iter().chain(event).min();
            if let (Some(pause), Some(next)) = (self.next_pause, next)
                && pause <= next
            {
                self.stand_still(pause);
                continue;
            }
            match (arrival, event) {
                (Some(arrival), event) if event.is_none_or(|event| arrival < event) => {
                    self.now = self.now.max(arrival);
                    self.arrive(arrived)?;
                    arrived += 1;
                    progress(arrived);
                }
                (_, Some(_)) => self.happen()?,
                (Some(_), None) | (None, None) => break,
            }
            self.collect()?;
            self.poll()?;
        }
        if !self.requests.is_empty() || !self.policy.is_empty() {
            return Err(format!("{} requests never ended", self.requests.len()));
        }
        self.results.finish(self.now);
        Ok((self.results, self.efforts))
    }

    fn arrive(&mut self, number: usize) -> Result<(), String> {
        let request = &self.trace.requests[number];
        let id = JobId(number as u64);
        let job = Job {
            id,
            tenant: self.tenants[request.tenant].clone(),
            weight: 1,
            class: request.class,
            deadline: request.due(),
            work: request.work(),
            bytes: 0,
        };
        let (policy, now) = (&mut self.policy, self.now);
        if !self.efforts.job.measure(|| policy.job(now, job)) {
            return self.results.ended(id, now, RequestEnd::Refused);
        }
        if let Some(due) = request.due().filter(|_| self.conditions.hang_up) {
            self.schedule(due, Event::HangUp(id));
        }
        self.requests.insert(id, RequestState::default());
        self.submit(id)
    }

    /// The process stands still: batches end later and arrivals wait, but deadlines pass.
    fn stand_still(&mut self, from: Time) {
        let Some(Pauses { every, length }) = self.conditions.pauses else {
            return;
        };
        self.now = self.now.max(from) + length;
        self.next_pause = Some(self.now + every);
        let events = std::mem::take(&mut self.events).into_iter();
        let scheduled = &self.scheduled;
        self.events = events
            .map(|Reverse((time, number))| match scheduled.get(&number) {
                Some(Event::Done(_)) => Reverse((time + length, number)),
                Some(Event::HangUp(_) | Event::Wake) | None => Reverse((time, number)),
            })
            .collect();
        self.policy.stall(length);
    }

    /// Handles the next scheduled event.
    fn happen(&mut self) -> Result<(), String> {
        let Some(Reverse((time, number))) = self.events.pop() else {
            return Ok(());
        };
        self.now = self.now.max(time);
        match self.scheduled.remove(&number) {
            Some(Event::Done(instance)) => {
                if let Some((batch, took)) = self.instances[instance].take() {
                    let policy = &mut self.policy;
                    self.efforts.done.measure(|| policy.done(batch, took));
                }
            }
            Some(Event::HangUp(id)) if self.requests.contains_key(&id) => {
                self.leave(id, RequestEnd::Expired)?;
            }
            Some(Event::Wake) if self.wake == Some(time) => self.wake = None,
            Some(Event::HangUp(_) | Event::Wake) | None => {}
        }
        Ok(())
    }

    /// Collects what ended, and submits what can be run next.
    fn collect(&mut self) -> Result<(), String> {
        while let Some(ended) = self.policy.ended() {
            match ended {
                Ended::Entry(entry, End::Answered) => self.answered(entry)?,
                // The end of its request is reported next.
                Ended::Entry(..) => {}
                Ended::Job(id, End::Evicted { .. }) => self.leave(id, RequestEnd::Evicted)?,
                Ended::Job(id, _) => self.leave(id, RequestEnd::Expired)?,
            }
        }
        Ok(())
    }

    fn answered(&mut self, entry: EntryId) -> Result<(), String> {
        let id = JobId(entry.0 >> ENTRIES);
        let request = self.requests.get_mut(&id);
        let request =
            request.ok_or_else(|| format!("{entry:?} of an ended request is answered"))?;
        let place = request.under_way.iter().position(|(id, _)| *id == entry);
        let place = place.ok_or_else(|| format!("{entry:?} is answered twice"))?;
        match request.under_way.swap_remove(place).1 {
            Task::Encode { segments } => request.encoded += segments,
            Task::Advance { steps, .. } => {
                request.stepped += steps;
                request.chunk = false;
            }
        }
        let stepped = request.stepped;
        let offered = &self.trace.requests[id.0 as usize];
        if stepped == offered.segments {
            return self.leave(id, RequestEnd::Answered(self.now - offered.arrival));
        }
        self.submit(id)
    }

    /// Submits what of a request can be run now.
    fn submit(&mut self, id: JobId) -> Result<(), String> {
        let segments = self.trace.requests[id.0 as usize].segments;
        let most_steps = self.device.costs.shapes().most_steps();
        while let Some(request) = self.requests.get_mut(&id) {
            let pieces = request.under_way.len() - usize::from(request.chunk);
            let ready = request.encoded - request.submitted_steps;
            let task = if pieces < PIECES && request.submitted < segments {
                let piece = PIECE.min(segments - request.submitted);
                request.submitted += piece;
                Task::Encode { segments: piece }
            } else if !request.chunk
                && (ready >= most_steps || (ready > 0 && request.encoded == segments))
            {
                let (from, steps) = (request.submitted_steps, ready.min(most_steps));
                request.submitted_steps += steps;
                request.chunk = true;
                let stream = 0;
                Task::Advance {
                    stream,
                    from,
                    steps,
                }
            } else {
                break;
            };
            let entry = Entry {
                id: EntryId((id.0 << ENTRIES) | request.entries),
                job: id,
                task,
                bytes: 0,
            };
            request.entries += 1;
            request.under_way.push((entry.id, task));
            let (policy, now) = (&mut self.policy, self.now);
            if !self.efforts.entry.measure(|| policy.entry(now, entry)) {
                return Err(format!("{task:?} of {id:?} is refused"));
            }
        }
        Ok(())
    }

    fn leave(&mut self, id: JobId, end: RequestEnd) -> Result<(), String> {
        self.requests.remove(&id);
        let policy = &mut self.policy;
        let now = self.now;
        self.efforts.leave.measure(|| policy.leave(now, id));
        self.results.ended(id, self.now, end)
    }

    /// Polls the policy while an instance is free.
    fn poll(&mut self) -> Result<(), String> {
        while let Some(free) = self.instances.iter().position(Option::is_none) {
            let (policy, now) = (&mut self.policy, self.now);
            let next = self.efforts.poll.measure(|| policy.poll(now));
            self.collect()?;
            match next {
                Action::Run(batch) => self.start(free, batch),
                Action::Wait(until) => {
                    if self.wake.is_none_or(|wake| until < wake) {
                        self.wake = Some(until);
                        self.schedule(until, Event::Wake);
                    }
                    break;
                }
                Action::Nothing => break,
            }
        }
        Ok(())
    }

    fn start(&mut self, instance: usize, batch: PolicyBatch) {
        let noise = self.random.random_range(1.0 - NOISE..1.0 + NOISE);
        let predicted = self.device.costs.of(batch.graph, batch.shape);
        let took = predicted.mul_f64(noise);
        self.results.started(self.now, &batch, took);
        self.instances[instance] = Some((batch, took));
        self.schedule(self.now + took, Event::Done(instance));
    }

    fn schedule(&mut self, time: Time, event: Event) {
        self.next_event += 1;
        self.events.push(Reverse((time, self.next_event)));
        self.scheduled.insert(self.next_event, event);
    }
}

/// Returns how many items of a batch are not padding, and how many its shape holds.
pub(crate) fn filling(batch: &PolicyBatch) -> (usize, usize) {
    let items = batch.members.iter().map(|member| member.items).sum();
    let capacity = match batch.graph {
        Graph::Encoder => batch.shape.rows,
        Graph::Sequence => batch.shape.rows * batch.shape.steps,
    };
    (items, capacity)
}
