//! What a call costs beside decoding and inference when nothing else is going on.
//!
//! Most of that is threads that are woken, and waking one on a processor that sleeps takes long, the longer in a
//! virtual machine, whose sleeping processor the hypervisor has to bring back. So it is measured twice, in turn:
//! with processors kept awake, by a thread on each that computes whenever nothing else wants to (`SCHED_IDLE`), and
//! with processors that sleep when they like.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use thread_priority::ThreadPriority;
use thread_priority::unix::{
    NormalThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};
use tokio::runtime::Runtime;
use undertone::audio::{Encoding, LaneChoice};
use undertone::engine::{Caller, Class, Engine, EngineOptions, Request};

use crate::{Figures, quantile, speech};

/// Rounds of calls with processors awake and of calls with processors that may sleep.
pub(crate) const ROUNDS: usize = 4;
/// Calls of a round, of each kind, that count; a tenth as many before them do not.
const CALLS: usize = 90;
const SECONDS: f64 = 1.0;

/// Times of calls in microseconds: from admission to answer, and that less decoding and inference.
#[derive(Default)]
struct Times {
    whole: Vec<f64>,
    overhead: Vec<f64>,
}

/// The medians of the overhead, in microseconds.
pub(crate) fn measure(rounds: usize) -> Figures {
    // One worker: of batches side by side on two, time that overlaps would be taken off twice.
    let options = EngineOptions {
        workers: Some(1),
        ..EngineOptions::default()
    };
    let engine = Engine::open(&options).unwrap();
    let audio = Bytes::from(speech::telephone(SECONDS));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let (mut awake, mut asleep) = (Times::default(), Times::default());
    for _ in 0..rounds {
        let calls = || call(&engine, &audio, &runtime);
        awake.extend(with_processors_awake(calls));
        asleep.extend(calls());
    }
    vec![
        (
            "idle_overhead_us_p50",
            awake.tell("processors kept awake by a SCHED_IDLE thread on each"),
        ),
        (
            "idle_overhead_asleep_us_p50",
            asleep.tell("processors that may sleep"),
        ),
    ]
}

impl Times {
    fn extend(&mut self, other: Self) {
        self.whole.extend(other.whole);
        self.overhead.extend(other.overhead);
    }

    /// Prints them; gives the median of the overhead.
    fn tell(&mut self, how: &str) -> String {
        println!(
            "idle: {how}: a {SECONDS} s utterance takes {:.2} ms at the median, {:.0} us of overhead (p99 {:.0})",
            quantile(&mut self.whole, 0.5) / 1e3,
            quantile(&mut self.overhead, 0.5),
            quantile(&mut self.overhead, 0.99),
        );
        format!("{:.0}", quantile(&mut self.overhead, 0.5))
    }
}

fn call(engine: &Engine, audio: &Bytes, runtime: &Runtime) -> Times {
    let mut times = Times::default();
    for call in 0..CALLS + CALLS / 10 {
        let request = Request {
            audio: audio.clone().into(),
            encoding: Encoding::Auto,
            lanes: LaneChoice::Auto,
            window: None,
            caller: Caller {
                tenant: "bench".into(),
                class: Class::Interactive,
                deadline: None,
            },
        };
        let begun = Instant::now();
        let answer = runtime.block_on(engine.classify(request)).unwrap();
        let took = begun.elapsed();
        if call >= CALLS / 10 {
            let work = answer.timing.decode + answer.timing.spent.device;
            times
                .overhead
                .push((took.as_secs_f64() - work.as_secs_f64()) * 1e6);
            times.whole.push(took.as_secs_f64() * 1e6);
        }
    }
    times
}

/// Has a thread a processor compute, behind everything else, for as long as something is measured.
fn with_processors_awake<T>(measured: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..threads {
            scope.spawn(|| compute_until(&over));
        }
        let _ends = Ends(&over);
        measured()
    })
}

/// Ends the threads, also if what is measured panics.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn compute_until(over: &AtomicBool) {
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let told = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy);
    if let Err(error) = told {
        // It would compete with what is measured.
        println!("idle: the processors cannot be kept awake ({error})");
        return;
    }
    while !over.load(Ordering::Relaxed) {
        std::hint::spin_loop();
    }
}
