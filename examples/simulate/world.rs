//! The world around a scheduler: requests arrive, instances run, callers wait or hang up. Its
//! clock is virtual: it jumps from event to event.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use undertone::scheduler::core::{
    End, Ended, Entry, EntryId, Graph, Job, JobId, Task, TenantId, Time,
};

use crate::device::Device;
use crate::policies::{Do, Policy, Run};
use crate::report::Seen;
use crate::trace::Trace;

/// Segments of one entry, at most.
const PIECE: usize = 64;
/// Pieces that a request has in hand: the next is cut while one runs.
const PIECES: usize = 2;
/// Runs take this much more or less than the table says.
const NOISE: f64 = 0.05;
/// An entry's number is its request's, shifted, and its place among that request's.
const ENTRIES: u32 = 20;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// After so long.
    Answered(Duration),
    Refused,
    Expired,
    Evicted,
}

/// Real time that a policy's decisions took.
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

/// By kind of call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Efforts {
    pub(crate) job: Effort,
    pub(crate) entry: Effort,
    pub(crate) poll: Effort,
    pub(crate) done: Effort,
    pub(crate) leave: Effort,
}

/// What the world is like, beside its requests and its device.
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
    /// A policy wanted to be asked again.
    Wake,
    /// A caller's patience ends.
    HangUp(JobId),
}

/// A request that was let in.
#[derive(Debug, Default)]
struct Flight {
    /// Segments handed over for encoding, and those that came back.
    cut: usize,
    encoded: usize,
    /// Steps handed over, and whether a chunk is under way.
    begun: usize,
    stepped: usize,
    chunk: bool,
    entries: u64,
    in_hand: Vec<(EntryId, Task)>,
}

/// Runs a trace through a policy, to the end of the last request.
pub(crate) struct World<'a> {
    device: &'a Device,
    trace: &'a Trace,
    conditions: Conditions,
    /// When the process stands still next.
    next_pause: Option<Time>,
    policy: Box<dyn Policy>,
    random: StdRng,
    now: Time,
    /// By time, then in the order in which they were foreseen.
    events: BinaryHeap<Reverse<(Time, u64)>>,
    foreseen: HashMap<u64, Event>,
    next_event: u64,
    wake: Option<Time>,
    /// What each instance runs, and for how long in all.
    instances: Vec<Option<(Run, Duration)>>,
    flights: HashMap<JobId, Flight>,
    tenants: Vec<TenantId>,
    efforts: Efforts,
    seen: Seen,
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
            foreseen: HashMap::new(),
            next_event: 0,
            wake: None,
            instances: (0..device.instances).map(|_| None).collect(),
            flights: HashMap::new(),
            tenants: tenants.collect(),
            efforts: Efforts::default(),
            seen: Seen::new(trace),
        }
    }

    /// Runs to the end; tells now and then how many requests have arrived.
    ///
    /// # Errors
    /// The policy did what it must not: lost a request, or ended one twice.
    pub(crate) fn run(
        mut self,
        mut progress: impl FnMut(usize),
    ) -> Result<(Seen, Efforts), String> {
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
            self.tell()?;
            self.ask()?;
        }
        if !self.flights.is_empty() || !self.policy.is_empty() {
            return Err(format!("{} requests never ended", self.flights.len()));
        }
        self.seen.ends(self.now);
        Ok((self.seen, self.efforts))
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
            return self.seen.ended(id, now, Fate::Refused);
        }
        if let Some(due) = request.due().filter(|_| self.conditions.hang_up) {
            self.foresee(due, Event::HangUp(id));
        }
        self.flights.insert(id, Flight::default());
        self.submit(id)
    }

    /// The process stands still: batches end later, arrivals wait, and callers' patience runs on.
    fn stand_still(&mut self, from: Time) {
        let Some(Pauses { every, length }) = self.conditions.pauses else {
            return;
        };
        self.now = self.now.max(from) + length;
        self.next_pause = Some(self.now + every);
        let events = std::mem::take(&mut self.events).into_iter();
        let foreseen = &self.foreseen;
        self.events = events
            .map(|Reverse((time, number))| match foreseen.get(&number) {
                Some(Event::Done(_)) => Reverse((time + length, number)),
                Some(Event::HangUp(_) | Event::Wake) | None => Reverse((time, number)),
            })
            .collect();
        self.policy.stall(length);
    }

    /// The next event that was foreseen.
    fn happen(&mut self) -> Result<(), String> {
        let Some(Reverse((time, number))) = self.events.pop() else {
            return Ok(());
        };
        self.now = self.now.max(time);
        match self.foreseen.remove(&number) {
            Some(Event::Done(instance)) => {
                if let Some((run, took)) = self.instances[instance].take() {
                    let policy = &mut self.policy;
                    self.efforts.done.measure(|| policy.done(run, took));
                }
            }
            Some(Event::HangUp(id)) if self.flights.contains_key(&id) => {
                self.leave(id, Fate::Expired)?;
            }
            Some(Event::Wake) if self.wake == Some(time) => self.wake = None,
            Some(Event::HangUp(_) | Event::Wake) | None => {}
        }
        Ok(())
    }

    /// Hears what ended, and hands over what can be run next.
    fn tell(&mut self) -> Result<(), String> {
        while let Some(ended) = self.policy.ended() {
            match ended {
                Ended::Entry(entry, End::Answered) => self.answered(entry)?,
                // Its request is told of next.
                Ended::Entry(..) => {}
                Ended::Job(id, End::Evicted { .. }) => self.leave(id, Fate::Evicted)?,
                Ended::Job(id, _) => self.leave(id, Fate::Expired)?,
            }
        }
        Ok(())
    }

    fn answered(&mut self, entry: EntryId) -> Result<(), String> {
        let id = JobId(entry.0 >> ENTRIES);
        let flight = self.flights.get_mut(&id);
        let flight = flight.ok_or_else(|| format!("{entry:?} of an ended request is answered"))?;
        let place = flight.in_hand.iter().position(|(known, _)| *known == entry);
        let place = place.ok_or_else(|| format!("{entry:?} is answered twice"))?;
        match flight.in_hand.swap_remove(place).1 {
            Task::Encode { segments } => flight.encoded += segments,
            Task::Advance { steps, .. } => {
                flight.stepped += steps;
                flight.chunk = false;
            }
        }
        let request = &self.trace.requests[id.0 as usize];
        if flight.stepped == request.segments {
            return self.leave(id, Fate::Answered(self.now - request.arrival));
        }
        self.submit(id)
    }

    /// Hands over what of a request can be run now.
    fn submit(&mut self, id: JobId) -> Result<(), String> {
        let segments = self.trace.requests[id.0 as usize].segments;
        let most_steps = self.device.costs.shapes().most_steps();
        while let Some(flight) = self.flights.get_mut(&id) {
            let pieces = flight.in_hand.len() - usize::from(flight.chunk);
            let ready = flight.encoded - flight.begun;
            let task = if pieces < PIECES && flight.cut < segments {
                let piece = PIECE.min(segments - flight.cut);
                flight.cut += piece;
                Task::Encode { segments: piece }
            } else if !flight.chunk
                && (ready >= most_steps || (ready > 0 && flight.encoded == segments))
            {
                let (from, steps) = (flight.begun, ready.min(most_steps));
                flight.begun += steps;
                flight.chunk = true;
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
                id: EntryId((id.0 << ENTRIES) | flight.entries),
                job: id,
                task,
                bytes: 0,
            };
            flight.entries += 1;
            flight.in_hand.push((entry.id, task));
            let (policy, now) = (&mut self.policy, self.now);
            if !self.efforts.entry.measure(|| policy.entry(now, entry)) {
                return Err(format!("{task:?} of {id:?} is refused"));
            }
        }
        Ok(())
    }

    fn leave(&mut self, id: JobId, fate: Fate) -> Result<(), String> {
        self.flights.remove(&id);
        let policy = &mut self.policy;
        let now = self.now;
        self.efforts.leave.measure(|| policy.leave(now, id));
        self.seen.ended(id, self.now, fate)
    }

    /// Asks the policy for work while an instance is free.
    fn ask(&mut self) -> Result<(), String> {
        while let Some(free) = self.instances.iter().position(Option::is_none) {
            let (policy, now) = (&mut self.policy, self.now);
            let next = self.efforts.poll.measure(|| policy.poll(now));
            self.tell()?;
            match next {
                Do::Run(run) => self.start(free, run),
                Do::Wait(until) => {
                    if self.wake.is_none_or(|wake| until < wake) {
                        self.wake = Some(until);
                        self.foresee(until, Event::Wake);
                    }
                    break;
                }
                Do::Nothing => break,
            }
        }
        Ok(())
    }

    fn start(&mut self, instance: usize, run: Run) {
        let off = self.random.random_range(1.0 - NOISE..1.0 + NOISE);
        let took = self.device.costs.of(run.graph, run.shape).mul_f64(off);
        self.seen.started(self.now, &run, took);
        self.instances[instance] = Some((run, took));
        self.foresee(self.now + took, Event::Done(instance));
    }

    fn foresee(&mut self, time: Time, event: Event) {
        self.next_event += 1;
        self.events.push(Reverse((time, self.next_event)));
        self.foreseen.insert(self.next_event, event);
    }
}

/// Items of a batch that are not padding, and those that it has room for.
pub(crate) fn filling(run: &Run) -> (usize, usize) {
    let items = run.members.iter().map(|member| member.items).sum();
    let room = match run.graph {
        Graph::Encoder => run.shape.rows,
        Graph::Sequence => run.shape.rows * run.shape.steps,
    };
    (items, room)
}
