//! Property tests of the core, over random events.
//!
//! A [`Driver`] acts as the shell and keeps records of its own ([`books`]). A test gives it a [`Setup`], events and
//! the one property ([`driver::Check`]) to check.

mod admission;
mod books;
mod cases;
mod driver;
mod endings;
mod fairness;
mod invariants;
mod retries;

use proptest::prelude::*;

use super::*;
use driver::Driver;

/// How a batch ends.
#[derive(Clone, Debug)]
enum BatchEnd {
    Fine,
    /// The members at these places, as bits, give a result that is not finite.
    Broken(u32),
    Failed,
}

/// What happens outside the core. Jobs, entries and batches are named by a number that the driver takes
/// modulo how many there are.
#[derive(Clone, Debug)]
enum Event {
    Job {
        tenant: usize,
        class: Class,
        /// The deadline, from now.
        within: Option<Time>,
        work: Work,
        bytes: usize,
    },
    Measured {
        of: usize,
        class: Class,
        work: Work,
        bytes: usize,
    },
    Encode {
        of: usize,
        segments: usize,
        bytes: usize,
    },
    Advance {
        of: usize,
        stream: usize,
        steps: usize,
        bytes: usize,
    },
    Cancel {
        of: usize,
    },
    Leave {
        of: usize,
    },
    Poll,
    Done {
        of: usize,
        how: BatchEnd,
    },
    Pass(Time),
    /// Time passes in which the process stands still.
    Stall(Time),
    Drain,
}

/// What batches cost. The figures are not measured, so every run of the tests is the same.
#[derive(Clone, Copy, Debug)]
enum Device {
    /// The encoder gains little by batches, the sequence much.
    Cpu,
    /// The time of a batch hardly depends on its size.
    Gpu,
}

impl Device {
    fn costs(self) -> CostTable {
        CostTable::new(Shapes::default(), |graph, Shape { rows, steps }| {
            let (rows, steps) = (rows as u64, steps as u64);
            Time::from_micros(match (self, graph) {
                (Self::Cpu, Graph::Encoder) => 60 + 1_000 * rows,
                (Self::Cpu, Graph::Sequence) => 500 + 40 * rows * steps,
                (Self::Gpu, Graph::Encoder) => 2_000 + 10 * rows,
                (Self::Gpu, Graph::Sequence) => 3_000 + rows * steps,
            })
        })
    }
}

#[derive(Clone, Debug)]
struct Setup {
    device: Device,
    policy: Policy,
}

fn setup() -> impl Strategy<Value = Setup> {
    let device = prop_oneof![Just(Device::Cpu), Just(Device::Gpu)];
    let times = (1..40u64, 0..15u64);
    let share = prop_oneof![Just(0.0), Just(0.1), Just(0.5)];
    (device, 1..4usize, times, share).prop_map(|(device, instances, (most, delay), bulk_share)| {
        let bounds = Bounds {
            jobs: 8,
            bytes: 2_000,
            backlog: PerClass {
                interactive: Time::from_millis(200),
                bulk: Time::from_millis(400),
            },
        };
        let policy = Policy {
            instances,
            bounds,
            max_batch_time: Time::from_millis(most),
            max_queue_delay: Time::from_millis(delay),
            bulk_share,
        };
        Setup { device, policy }
    })
}

fn work() -> impl Strategy<Value = Work> {
    let segments = prop_oneof![9 => 0..80usize, 1 => 0..800usize];
    (segments, 0..120usize).prop_map(|(segments, steps)| Work { segments, steps })
}

fn event() -> impl Strategy<Value = Event> {
    let class = || prop_oneof![Just(Class::Interactive), Just(Class::Bulk)];
    let within = prop::option::of((1..300u64).prop_map(Time::from_millis));
    let job = (0..4usize, class(), within, work(), 0..500usize).prop_map(
        |(tenant, class, within, work, bytes)| Event::Job {
            tenant,
            class,
            within,
            work,
            bytes,
        },
    );
    let measured = (0..64usize, class(), work(), 0..500usize);
    let encode = (0..64usize, 0..50usize, 0..200usize);
    let advance = (0..64usize, 0..3usize, 0..34usize, 0..200usize);
    let how = prop_oneof![
        6 => Just(BatchEnd::Fine),
        1 => any::<u32>().prop_map(BatchEnd::Broken),
        2 => Just(BatchEnd::Failed),
    ];
    let moment = prop_oneof![0..2_000u64, 0..30_000u64];
    prop_oneof![
        40 => job,
        10 => measured.prop_map(|(of, class, work, bytes)| Event::Measured {
            of,
            class,
            work,
            bytes,
        }),
        60 => encode.prop_map(|(of, segments, bytes)| Event::Encode { of, segments, bytes }),
        60 => advance.prop_map(|(of, stream, steps, bytes)| Event::Advance {
            of,
            stream,
            steps,
            bytes,
        }),
        10 => (0..200usize).prop_map(|of| Event::Cancel { of }),
        10 => (0..64usize).prop_map(|of| Event::Leave { of }),
        80 => Just(Event::Poll),
        60 => (0..8usize, how).prop_map(|(of, how)| Event::Done { of, how }),
        40 => moment.prop_map(|micros| Event::Pass(Time::from_micros(micros))),
        4 => (1..5_000u64).prop_map(|ms| Event::Stall(Time::from_millis(ms))),
        1 => Just(Event::Drain),
    ]
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(event(), 0..160)
}

/// Returns a job of a tenant, without a deadline.
fn job(tenant: &str, class: Class, segments: usize, steps: usize) -> Job {
    Job {
        id: JobId(0),
        tenant: tenant.into(),
        weight: 1,
        class,
        deadline: None,
        work: Work { segments, steps },
        bytes: 0,
    }
}

/// Returns a setup with bounds that nothing reaches, no wait for further members, and batches of any size.
fn unbounded(device: Device) -> Setup {
    let policy = Policy {
        instances: 1,
        bounds: Bounds {
            jobs: usize::MAX / 2,
            bytes: usize::MAX / 2,
            backlog: PerClass::from_fn(|_| Time::from_secs(1_000_000)),
        },
        max_batch_time: Time::from_secs(1),
        max_queue_delay: Time::ZERO,
        bulk_share: 0.1,
    };
    Setup { device, policy }
}
