//! Refused callers who come back when they are told, beside callers who wait as they like.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;

/// Requests that may be held, as the server's default, of a tenant seven eighths.
const MOST: usize = 256;
/// A caller tries so often, then gives up.
const TRIES: usize = 6;
/// Segments of a clip of three seconds.
const CLIP: usize = 23;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    /// A batch ends.
    Done(BatchId),
    /// A caller's job submits its steps, or is done.
    Entry(EntryId),
    /// A caller tries for so many times.
    Try { caller: usize, times: usize },
}

/// What became of callers who arrived together.
#[derive(Debug, PartialEq)]
struct Seen {
    gave_up: usize,
    /// When the last was answered.
    finished: Time,
}

/// So many callers of one tenant ask at once. Each waits after a refusal for `backoff` of the advice and of
/// its number.
fn play(callers: usize, backoff: impl Fn(Time, usize) -> Time) -> Seen {
    let costs = CostTable::new(Shapes::default(), |graph, Shape { rows, steps }| {
        let micros = match graph {
            Graph::Encoder => 5 + 20 * rows,
            Graph::Sequence => 60 + 5 * rows * steps,
        };
        Time::from_micros(micros as u64)
    });
    let mut policy = unbounded(Device::Cpu).policy;
    policy.bounds.jobs = MOST;
    policy.instances = 2;
    policy.max_batch_time = Time::from_millis(10);
    let mut core = Core::new(policy, costs);
    let mut events: BinaryHeap<Reverse<(Time, Next)>> = (0..callers)
        .map(|caller| Reverse((Time::ZERO, Next::Try { caller, times: 1 })))
        .collect();
    let mut running: Vec<Batch> = Vec::new();
    let mut seen = Seen {
        gave_up: 0,
        finished: Time::ZERO,
    };
    // An entry's number is twice its caller's, and one more for steps.
    let entry = |caller: u64, steps: bool| Entry {
        id: EntryId(2 * caller + u64::from(steps)),
        job: JobId(caller),
        task: match steps {
            true => Task::Advance {
                stream: 0,
                from: 0,
                steps: CLIP,
            },
            false => Task::Encode { segments: CLIP },
        },
        bytes: 0,
    };
    while let Some(Reverse((now, event))) = events.pop() {
        match event {
            Next::Try { caller, times } => {
                let wanted = Job {
                    id: JobId(caller as u64),
                    ..job("one", Class::Interactive, CLIP, CLIP)
                };
                match core.handle_job(now, wanted) {
                    Ok(()) => core.handle_entry(now, entry(caller as u64, false)).unwrap(),
                    Err(_) if times == TRIES => seen.gave_up += 1,
                    Err(refusal) => {
                        let advice = refusal.drain().unwrap();
                        let next = Next::Try {
                            caller,
                            times: times + 1,
                        };
                        events.push(Reverse((now + backoff(advice, caller), next)));
                    }
                }
            }
            Next::Done(batch) => {
                let place = running.iter().position(|other| other.id == batch).unwrap();
                let cost = running.swap_remove(place).time;
                core.handle_done(
                    batch,
                    &Outcome::Ran {
                        cost,
                        broken: Vec::new(),
                    },
                );
            }
            Next::Entry(id) if id.0 % 2 == 0 => {
                core.handle_entry(now, entry(id.0 / 2, true)).unwrap();
            }
            Next::Entry(id) => {
                core.handle_leave(now, JobId(id.0 / 2));
                seen.finished = now;
            }
        }
        while let Some(ended) = core.poll_ended() {
            let Ended::Entry(id, End::Answered) = ended else {
                panic!("{ended:?}");
            };
            events.push(Reverse((now, Next::Entry(id))));
        }
        while running.len() < 2
            && let super::super::Next::Run(batch) = core.poll(now)
        {
            events.push(Reverse((now + batch.time, Next::Done(batch.id))));
            running.push(batch);
        }
    }
    seen
}

#[test]
fn callers_who_obey_the_advice_fail_no_more_and_are_done_sooner_than_with_any_fixed_backoff() {
    for callers in [300, 600, 1_200] {
        let obeying = play(callers, |advice, _| advice);
        assert_eq!(obeying.gave_up, 0, "of {callers}");
        for millis in [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000] {
            let fixed = play(callers, |_, _| Time::from_millis(millis));
            assert!(
                fixed.gave_up > 0 || fixed.finished >= obeying.finished,
                "{callers} callers, {millis} ms: {fixed:?}, {obeying:?}"
            );
        }
    }
}
