//! Refused callers that retry when they are advised to, compared with callers that wait a fixed time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;

/// Requests that may be held, as by the server's default; one tenant may hold seven eighths of them.
const MOST: usize = 256;
/// After this many tries a caller gives up.
const TRIES: usize = 6;
/// Segments of a clip of 3 s.
const CLIP: usize = 23;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// A batch ends.
    Done(BatchId),
    /// An entry has ended: the caller's job submits its steps, or is done.
    Entry(EntryId),
    /// A caller tries for the time with this number.
    Try { caller: usize, times: usize },
}

/// How callers that arrived together fared.
#[derive(Debug, PartialEq)]
struct Fared {
    gave_up: usize,
    /// When the last was answered.
    finished: Time,
}

/// Plays callers of one tenant that all arrive at once. After a refusal, each waits for `backoff` of the advice
/// and its number.
fn play(callers: usize, backoff: impl Fn(Time, usize) -> Time) -> Fared {
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
    let mut events: BinaryHeap<Reverse<(Time, Step)>> = (0..callers)
        .map(|caller| Reverse((Time::ZERO, Step::Try { caller, times: 1 })))
        .collect();
    let mut running: Vec<Batch> = Vec::new();
    let mut fared = Fared {
        gave_up: 0,
        finished: Time::ZERO,
    };
    // An entry's number is twice its caller's, plus one for steps.
    let entry = |caller: u64, steps: bool| Entry {
        id: EntryId(2 * caller + u64::from(steps)),
        job: JobId(caller),
        task: if steps {
            Task::Advance {
                stream: 0,
                from: 0,
                steps: CLIP,
            }
        } else {
            Task::Encode { segments: CLIP }
        },
        bytes: 0,
    };
    while let Some(Reverse((now, event))) = events.pop() {
        match event {
            Step::Try { caller, times } => {
                let wanted = Job {
                    id: JobId(caller as u64),
                    ..job("one", Class::Interactive, CLIP, CLIP)
                };
                match core.handle_job(now, wanted) {
                    Ok(()) => core.handle_entry(now, entry(caller as u64, false)).unwrap(),
                    Err(_) if times == TRIES => fared.gave_up += 1,
                    Err(refusal) => {
                        let advice = refusal.drain().unwrap();
                        let next = Step::Try {
                            caller,
                            times: times + 1,
                        };
                        events.push(Reverse((now + backoff(advice, caller), next)));
                    }
                }
            }
            Step::Done(batch) => {
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
            Step::Entry(id) if id.0 % 2 == 0 => {
                core.handle_entry(now, entry(id.0 / 2, true)).unwrap();
            }
            Step::Entry(id) => {
                core.handle_leave(now, JobId(id.0 / 2));
                fared.finished = now;
            }
        }
        while let Some(ended) = core.poll_ended() {
            let Ended::Entry(id, End::Answered) = ended else {
                panic!("{ended:?}");
            };
            events.push(Reverse((now, Step::Entry(id))));
        }
        while running.len() < 2
            && let Next::Run(batch) = core.poll(now)
        {
            events.push(Reverse((now + batch.time, Step::Done(batch.id))));
            running.push(batch);
        }
    }
    fared
}

#[test]
fn callers_that_follow_the_advice_all_succeed_and_sooner_than_with_any_fixed_backoff() {
    for callers in [300, 600, 1_200] {
        let advised = play(callers, |advice, _| advice);
        assert_eq!(advised.gave_up, 0, "of {callers}");
        for millis in [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000] {
            let fixed = play(callers, |_, _| Time::from_millis(millis));
            assert!(
                fixed.gave_up > 0 || fixed.finished >= advised.finished,
                "{callers} callers, {millis} ms: {fixed:?}, {advised:?}"
            );
        }
    }
}
