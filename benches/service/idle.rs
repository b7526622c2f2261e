//! What a call costs beside decoding and inference when nothing else is going on.

use std::time::Instant;

use undertone::audio::{Encoding, LaneChoice};
use undertone::engine::{Caller, Class, Engine, Options, Request};

use crate::{Figures, quantile, speech};

const CALLS: usize = 400;
const SECONDS: f64 = 1.0;

/// Admission to answer, less decoding and inference, in microseconds.
pub(crate) fn measure() -> Figures {
    // One worker: of batches side by side on two, time that overlaps would be taken off twice.
    let options = Options {
        workers: Some(1),
        ..Options::default()
    };
    let engine = Engine::open(&options).unwrap();
    let audio = bytes::Bytes::from(speech::telephone(SECONDS));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut overheads = Vec::new();
    let mut whole = Vec::new();
    for call in 0..CALLS {
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
            overheads.push((took.as_secs_f64() - work.as_secs_f64()) * 1e6);
            whole.push(took.as_secs_f64() * 1e3);
        }
    }
    println!(
        "idle: a {SECONDS} s utterance takes {:.2} ms at the median, {:.0} us of overhead (p99 {:.0})",
        quantile(&mut whole, 0.5),
        quantile(&mut overheads, 0.5),
        quantile(&mut overheads, 0.99),
    );
    vec![(
        "idle_overhead_us_p50",
        format!("{:.0}", quantile(&mut overheads, 0.5)),
    )]
}
