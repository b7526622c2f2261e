//! Properties that hold at every step, whatever happens: one check for each property, with its test.

use super::books::{EntryBook, Happened, HowEnded};
use super::driver::Check;
use super::*;

/// Each entry ends once, for a reason that applies. The core's counts equal the driver's.
fn conserves(driver: &Driver, what: &Happened) {
    match what {
        Happened::Entry { id, how } => {
            let book = &driver.entries[id.0 as usize];
            assert_eq!(book.how, None, "{id:?} ends twice");
            match how {
                HowEnded::Of(End::Answered) => {
                    assert_eq!(book.done, book.entry.task.items(), "{id:?} was not all run");
                }
                HowEnded::Of(End::Expired) => assert!(driver.job_of(book).job.deadline.is_some()),
                HowEnded::Of(End::Evicted { .. }) => {
                    assert!(!driver.job_of(book).begun);
                    assert_eq!(driver.arriving, Some(Class::Interactive));
                }
                HowEnded::Of(End::Failed) | HowEnded::Cancelled => {}
            }
        }
        Happened::Job { id, .. } => {
            let mut entries = driver.entries_of(id.0 as usize);
            assert!(
                !entries.any(EntryBook::lives),
                "{id:?} ends before its entries"
            );
        }
        Happened::Settled => {
            let mut tally = Tally {
                admitted: driver.entries.len() as u64,
                ..Tally::default()
            };
            for how in driver.entries.iter().filter_map(|book| book.how) {
                *match how {
                    HowEnded::Cancelled => &mut tally.cancelled,
                    HowEnded::Of(End::Answered) => &mut tally.answered,
                    HowEnded::Of(End::Failed) => &mut tally.failed,
                    HowEnded::Of(End::Expired) => &mut tally.expired,
                    HowEnded::Of(End::Evicted { .. }) => &mut tally.evicted,
                } += 1;
            }
            assert_eq!(driver.core.tally(), tally);
            gauges_agree(driver);
        }
        _ => {}
    }
}

fn gauges_agree(driver: &Driver) {
    let core = &driver.core;
    let held = driver.entries.iter().filter(|book| book.is_held());
    assert_eq!(core.entries(), held.clone().count());
    let bytes: usize = held.map(|book| book.entry.bytes).sum();
    assert_eq!(core.bytes(), bytes);
    let living = driver.jobs.iter().filter(|job| job.lives());
    assert_eq!(core.jobs(), living.count());
    let mut retries = driver.entries.iter().map(|book| book.retries.len());
    let mut waits = retries.any(|retries| retries > 0);
    for class in Class::ALL {
        let mut left = Work::default();
        for job in driver.jobs.iter().filter(|job| job.lives()) {
            if job.job.class == class {
                left += job.promised;
            }
        }
        let mut waiting = PerGraph::<usize>::default();
        for book in &driver.entries {
            let (job, graph) = (driver.job_of(book), book.entry.task.graph());
            if job.job.class != class {
                continue;
            }
            waiting[graph] += usize::from(book.waiting() > 0);
            if job.lives() {
                *left.of_mut(graph) += if book.lives() {
                    book.entry.task.items() - book.done
                } else {
                    book.items_under_way
                };
            }
        }
        for graph in Graph::ALL {
            assert_eq!(core.waiting(graph, class), waiting[graph]);
        }
        waits |= waiting != PerGraph::default();
        let predicted = core.costs().predict(left, driver.policy.max_batch_time);
        assert_eq!(core.backlog(class), predicted);
    }
    assert_eq!(core.has_waiting(), waits);
}

/// An entry that runs is alive and can be done in time. A job that expires cannot.
fn runs_no_dead_work(driver: &Driver, what: &Happened) {
    match what {
        Happened::Formed { batch, .. } => {
            for member in &batch.members {
                let book = &driver.entries[member.entry.0 as usize];
                assert!(book.lives(), "{member:?} has ended");
                let deadline = driver.job_of(book).job.deadline;
                assert!(
                    deadline.is_none_or(|deadline| driver.now + batch.time <= deadline),
                    "{member:?} is late by {deadline:?}, at {:?}: {batch:?}",
                    driver.now
                );
                assert_eq!(member.waited, driver.now - book.arrived);
            }
        }
        Happened::Job {
            id,
            end: End::Expired,
        } => {
            let deadline = driver.jobs[id.0 as usize].job.deadline.expect("a deadline");
            assert!(driver.now + longest_left(driver, id.0 as usize) > deadline);
        }
        _ => {}
    }
}

/// Returns the longest time that a job takes if it has a device to itself and its work is one batch for each
/// graph.
fn longest_left(driver: &Driver, job: usize) -> Time {
    let costs = driver.core.costs();
    let longest = |graph| {
        let shapes = costs.shapes().all(graph).into_iter();
        shapes.map(|shape| costs.of(graph, shape)).max().unwrap()
    };
    let books = driver.entries_of(job);
    let waits = books.map(|book| book.entry.task.graph());
    let promised = driver.jobs[job].promised;
    let mut left = PerGraph::from_fn(|graph| promised.of(graph) > 0);
    waits.for_each(|graph| left[graph] = true);
    let graphs = Graph::ALL.into_iter().filter(|graph| left[*graph]);
    graphs.map(longest).sum()
}

/// Each batch has a shape of the closed set, and no smaller shape would hold its members.
fn pads_to_closed_shapes(driver: &Driver, what: &Happened) {
    let Happened::Formed { batch, .. } = what else {
        return;
    };
    let shapes = driver.core.costs().shapes();
    assert!(shapes.all(batch.graph).contains(&batch.shape), "{batch:?}");
    let items = batch.members.iter().map(|member| member.items);
    let steps = match batch.graph {
        Graph::Encoder => 1,
        Graph::Sequence => items.max().unwrap(),
    };
    let tightest = |sizes: &[usize], filled| sizes.iter().copied().find(|size| *size >= filled);
    let rows = tightest(shapes.rows(batch.graph), batch.rows());
    assert_eq!(rows, Some(batch.shape.rows), "{batch:?}");
    let steps = tightest(shapes.steps(batch.graph), steps);
    assert_eq!(steps, Some(batch.shape.steps), "{batch:?}");
}

/// No batch takes longer than the bound, unless it takes hardly longer than one smallest item.
fn bounds_batches(driver: &Driver, what: &Happened) {
    let Happened::Formed { batch, .. } = what else {
        return;
    };
    assert_eq!(batch.time, driver.core.costs().of(batch.graph, batch.shape));
    let costs = driver.core.costs();
    let shapes = costs.shapes().all(batch.graph).into_iter();
    let of_one = shapes
        .filter(|shape| shape.rows == 1)
        .map(|shape| costs.of(batch.graph, shape));
    let hardly_longer = of_one.max().unwrap().mul_f64(1.25);
    let bound = driver.policy.max_batch_time.max(hardly_longer);
    assert!(batch.time <= bound, "{batch:?}");
}

/// An instance is idle only while nothing waits, or while all entries that wait may wait longer.
fn conserves_work(driver: &Driver, what: &Happened) {
    let Happened::Rests { until } = what else {
        return;
    };
    for book in driver.entries.iter().filter(|book| book.lives()) {
        assert!(book.retries.is_empty(), "a retry waits");
        if book.waiting() == 0 {
            continue;
        }
        let until = until.expect("a wake time, because an entry waits");
        assert!(until > driver.now, "the wake time has passed");
        let wake = book.arrived + driver.policy.max_queue_delay;
        assert!(
            until <= wake,
            "{:?} has waited enough at {wake:?}",
            book.entry
        );
        let deadline = driver.job_of(book).job.deadline.unwrap_or(Time::MAX);
        assert!(until < deadline, "{:?} is late at {until:?}", book.entry);
    }
}

/// An entry's items run in order. A chunk runs whole, after the earlier chunks of its stream, and as the only one
/// of its stream.
fn keeps_streams_in_order(driver: &Driver, what: &Happened) {
    let Happened::Formed { batch, again } = what else {
        return;
    };
    for member in &batch.members {
        let book = &driver.entries[member.entry.0 as usize];
        if *again {
            assert!(book.retries.contains(&(member.first, member.items)));
        } else {
            assert_eq!(member.first, book.taken, "skipped or doubled: {member:?}");
        }
        let Task::Advance {
            stream,
            from,
            steps,
        } = book.entry.task
        else {
            continue;
        };
        assert_eq!((member.first, member.items), (0, steps));
        let mut before = 0;
        for other in driver.entries_of(member.job.0 as usize) {
            let Task::Advance {
                stream: its, steps, ..
            } = other.entry.task
            else {
                continue;
            };
            if its == stream && other.how == Some(HowEnded::Of(End::Answered)) {
                before += steps;
            }
            assert!(its != stream || other.under_way == 0, "two of a stream run");
        }
        assert_eq!(from, before, "a chunk does not begin where its stream is");
    }
}

/// What is held stays within its bounds. That includes the memory of a job that has left, while a batch reads it.
/// A class's device time is bounded as predicted at admission; in these tests predictions do not change. Batches
/// that nobody waits for do not count: at most one for each instance.
fn keeps_bounds(driver: &Driver, what: &Happened) {
    let (core, bounds) = (&driver.core, driver.policy.bounds);
    if *what == Happened::Settled {
        assert!(core.jobs() <= bounds.jobs);
        assert!(core.bytes() <= bounds.bytes, "{}", core.bytes());
        for class in Class::ALL {
            assert!(core.backlog(class) <= bounds.backlog[class]);
        }
    }
}

/// An entry fails only because of its own part in a batch: it gave a result that is not finite, or it failed
/// alone.
fn isolates_failures(driver: &Driver, what: &Happened) {
    match what {
        Happened::Entry {
            id,
            how: HowEnded::Of(End::Failed),
        } => {
            let (batch, outcome, again) = driver.ending.as_ref().expect("a batch ended");
            let mut members = batch.members.iter();
            let place = members.position(|member| member.entry == *id);
            let place = place.expect("a member of it");
            match outcome {
                Outcome::Ran { broken, .. } => assert!(broken.contains(&place)),
                Outcome::Failed => assert!(again, "a first failure fails no member"),
            }
        }
        Happened::Formed { batch, again } => {
            assert!(!again || batch.members.len() == 1);
        }
        // A batch is stopped exactly if nobody waits for any member.
        Happened::Stopped(id) => {
            let mut running = driver.running.iter();
            let run = running.find(|run| run.batch.id == *id).expect("under way");
            assert!(!run.stopped, "stopped twice");
        }
        Happened::Settled => {
            for run in &driver.running {
                let members = &mut run.batch.members.iter();
                let wanted = members.any(|member| driver.entries[member.entry.0 as usize].lives());
                assert_eq!(run.stopped, !wanted, "{:?}", run.batch);
            }
        }
        _ => {}
    }
}

fn play(setup: &Setup, events: &[Event], check: Check) -> Driver {
    Driver::play(setup, events, check)
}

proptest! {
    #![proptest_config(replay::with_cases(320))]

    #[test]
    fn every_admitted_entry_ends_exactly_once_and_tallies_agree(
        setup in setup(), events in events(),
    ) {
        let driver = play(&setup, &events, conserves);
        prop_assert!(driver.entries.iter().all(|book| book.how.is_some()));
    }

    #[test]
    fn no_batch_holds_a_cancelled_or_hopeless_entry(setup in setup(), events in events()) {
        play(&setup, &events, runs_no_dead_work);
    }

    #[test]
    fn every_batch_has_a_closed_shape_without_avoidable_padding(
        setup in setup(), events in events(),
    ) {
        play(&setup, &events, pads_to_closed_shapes);
    }

    #[test]
    fn no_batch_exceeds_the_batch_bound(setup in setup(), events in events()) {
        play(&setup, &events, bounds_batches);
    }

    #[test]
    fn no_instance_idles_while_something_runnable_is_past_its_wake_time(
        setup in setup(), events in events(),
    ) {
        play(&setup, &events, conserves_work);
    }

    #[test]
    fn a_streams_chunks_run_in_order_one_at_a_time(setup in setup(), events in events()) {
        play(&setup, &events, keeps_streams_in_order);
    }

    #[test]
    fn what_is_held_never_exceeds_its_bounds(setup in setup(), events in events()) {
        play(&setup, &events, keeps_bounds);
    }

    #[test]
    fn a_failure_ends_no_other_entry(setup in setup(), events in events()) {
        play(&setup, &events, isolates_failures);
    }

    #[test]
    fn a_drained_machine_becomes_empty_and_the_same_events_give_the_same_batches(
        setup in setup(), events in events(),
    ) {
        let run = || play(&setup, &events, |_, _| ());
        let (one, other) = (run(), run());
        prop_assert!(one.core.is_empty());
        prop_assert_eq!((one.core.entries(), one.core.bytes(), one.core.jobs()), (0, 0, 0));
        prop_assert_eq!(one.log, other.log);
    }
}

/// The other tests prove something only if their events reach all these cases.
#[test]
fn random_events_reach_everything_that_can_happen() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..200 {
        let (setup, events) = (setup(), events()).new_tree(&mut runner).unwrap().current();
        let driver = play(&setup, &events, |_, _| ());
        for what in &driver.log {
            let name = match what {
                Happened::Formed { batch, again } => match (again, batch.members.len()) {
                    (true, _) => "a retry",
                    (false, 1) => "a batch of one",
                    (false, _) => "a batch of several",
                },
                Happened::Rests { until: Some(_) } => "a wait",
                Happened::Rests { until: None } => "rest",
                Happened::Entry { how, .. } => match how {
                    HowEnded::Cancelled => "cancelled",
                    HowEnded::Of(End::Answered) => "answered",
                    HowEnded::Of(End::Failed) => "failed",
                    HowEnded::Of(End::Expired) => "expired",
                    HowEnded::Of(End::Evicted { .. }) => "evicted",
                },
                Happened::Stopped(_) => "stopped",
                Happened::Refused(refusal) => refusal.name(),
                Happened::Job { .. } | Happened::Settled => continue,
            };
            *counts.entry(name).or_insert(0) += 1;
        }
    }
    for name in [
        "a retry",
        "a batch of one",
        "a batch of several",
        "a wait",
        "rest",
        "cancelled",
        "answered",
        "failed",
        "expired",
        "evicted",
        "stopped",
        "requests",
        "bytes",
        "backlog",
        "tenant",
        "deadline",
        "too_much",
        "draining",
        "ended",
    ] {
        let count = counts.get(name).copied().unwrap_or(0);
        assert!(count >= 10, "{name}: {counts:?}");
    }
}
