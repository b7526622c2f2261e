//! The overhead of a call beside decoding and inference, on an idle machine.
//!
//! Most of the overhead is waking threads. It takes longer on a processor that sleeps, and longer still in a virtual
//! machine, because the hypervisor must schedule the processor again. The overhead is therefore measured twice, in
//! turn: with processors that are kept awake, and with processors that may sleep. A thread on each processor keeps it
//! awake: it computes whenever nothing else runs (`SCHED_IDLE`).

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
/// Calls of a round, of each kind, that count. A tenth as many before them do not count.
const CALLS: usize = 90;
const SECONDS: f64 = 1.0;

/// Times of calls in microseconds.
#[derive(Default)]
struct CallTimes {
    /// From admission to answer.
    whole: Vec<f64>,
    /// The same without decoding and inference.
    overhead: Vec<f64>,
}

/// Returns the medians of the overhead, in microseconds.
pub(crate) fn measure(rounds: usize) -> Figures {
    // One worker, because the time of batches that overlap on two workers would be subtracted twice.
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
    let (mut awake, mut asleep) = (CallTimes::default(), CallTimes::default());
    for _ in 0..rounds {
        let calls = || call(&engine, &audio, &runtime);
        awake.extend(with_processors_awake(calls));
        asleep.extend(calls());
    }
    vec![
        (
            "idle_overhead_us_p50",
            awake.report("processors kept awake by a SCHED_IDLE thread on each"),
        ),
        (
            "idle_overhead_asleep_us_p50",
            asleep.report("processors that may sleep"),
        ),
    ]
}

impl CallTimes {
    fn extend(&mut self, other: Self) {
        self.whole.extend(other.whole);
        self.overhead.extend(other.overhead);
    }

    /// Prints the times and returns the median of the overhead.
    fn report(&mut self, how: &str) -> String {
        println!(
            "idle: {how}: a {SECONDS} s utterance takes {:.2} ms at the median, {:.0} us of overhead (p99 {:.0})",
            quantile(&mut self.whole, 0.5) / 1e3,
            quantile(&mut self.overhead, 0.5),
            quantile(&mut self.overhead, 0.99),
        );
        format!("{:.0}", quantile(&mut self.overhead, 0.5))
    }
}

fn call(engine: &Engine, audio: &Bytes, runtime: &Runtime) -> CallTimes {
    let mut times = CallTimes::default();
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

/// Measures while a thread on each processor computes at the lowest priority.
fn with_processors_awake<T>(measured: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..threads {
            scope.spawn(|| compute_until(&is_over));
        }
        let _ends = Ends(&is_over);
        measured()
    })
}

/// Ends the threads, also if the measurement panics.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn compute_until(is_over: &AtomicBool) {
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let set = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy);
    if let Err(error) = set {
        // With its ordinary priority it would compete with what is measured.
        println!("idle: the processors cannot be kept awake ({error})");
        return;
    }
    while !is_over.load(Ordering::Relaxed) {
        std::hint::spin_loop();
    }
}
