//! Examples of which batches the core forms.

use super::books::{Happened, HowEnded};
use super::*;

pub(super) fn driver(setup: &Setup) -> Driver {
    Driver::new(setup, |_, _| ())
}

pub(super) fn encode(driver: &mut Driver, job: usize, segments: usize) -> usize {
    driver.entry(job, Task::Encode { segments }, 0).unwrap()
}

/// Submits interactive jobs of one tenant, each with a chunk of so many steps.
pub(super) fn chunks(driver: &mut Driver, steps: &[usize]) {
    for &steps in steps {
        let job = driver.job(job("a", Class::Interactive, 0, steps)).unwrap();
        driver.advance(job, 0, steps, 0).unwrap();
    }
}

/// Returns each member's entry, first item and number of items.
pub(super) fn parts(batch: &Batch) -> Vec<(u64, usize, usize)> {
    let members = batch.members.iter();
    members
        .map(|member| (member.entry.0, member.first, member.items))
        .collect()
}

/// Returns how each entry ended, if it did.
pub(super) fn ends(driver: &Driver) -> Vec<Option<HowEnded>> {
    driver.entries.iter().map(|book| book.how).collect()
}

pub(super) const ANSWERED: Option<HowEnded> = Some(HowEnded::Of(End::Answered));
pub(super) const FAILED: Option<HowEnded> = Some(HowEnded::Of(End::Failed));

#[test]
fn segments_of_several_callers_share_a_batch_and_a_long_run_is_split() {
    let mut driver = driver(&unbounded(Device::Gpu));
    for segments in [3, 40, 1] {
        let job = driver.job(job("a", Class::Interactive, segments, 0));
        encode(&mut driver, job.unwrap(), segments);
    }
    let first = driver.poll().unwrap();
    assert_eq!(first.shape, Shape { rows: 32, steps: 1 });
    assert_eq!(parts(&first), [(0, 0, 3), (1, 0, 29)]);
    driver.done(0, &BatchEnd::Fine);
    let second = driver.poll().unwrap();
    assert_eq!(second.shape, Shape { rows: 16, steps: 1 });
    assert_eq!(parts(&second), [(1, 29, 11), (2, 0, 1)]);
    driver.done(0, &BatchEnd::Fine);
    assert_eq!(ends(&driver), [ANSWERED; 3]);
}

#[test]
fn chunks_of_unequal_length_share_a_batch() {
    let mut driver = driver(&unbounded(Device::Gpu));
    chunks(&mut driver, &[5, 17, 32]);
    let batch = driver.poll().unwrap();
    assert_eq!(batch.shape, Shape { rows: 4, steps: 32 });
    assert_eq!(parts(&batch), [(0, 0, 5), (1, 0, 17), (2, 0, 32)]);
}

#[test]
fn a_long_chunk_does_not_pad_short_ones_if_that_costs_more_than_a_batch_of_its_own() {
    let mut driver = driver(&unbounded(Device::Cpu));
    chunks(&mut driver, &[8, 32, 8, 8, 8]);
    let batch = driver.poll().unwrap();
    assert_eq!(batch.shape, Shape { rows: 4, steps: 8 });
    assert_eq!(parts(&batch), [(0, 0, 8), (2, 0, 8), (3, 0, 8), (4, 0, 8)]);
}

#[test]
fn the_most_urgent_goes_first_and_bulk_last() {
    let mut setup = unbounded(Device::Cpu);
    setup.policy.max_batch_time = Time::ZERO;
    setup.policy.bulk_share = 0.0;
    let mut driver = driver(&setup);
    let cases = [
        (Class::Bulk, Some(100)),
        (Class::Interactive, None),
        (Class::Interactive, Some(900)),
        (Class::Interactive, Some(800)),
        (Class::Interactive, None),
    ];
    for (class, within) in cases {
        let deadline = within.map(Time::from_millis);
        let job = driver.job(Job {
            deadline,
            ..job("a", class, 1, 0)
        });
        encode(&mut driver, job.unwrap(), 1);
    }
    let order: Vec<_> = std::iter::from_fn(|| {
        let batch = driver.poll()?;
        driver.done(0, &BatchEnd::Fine);
        Some(batch.members[0].entry.0)
    })
    .collect();
    assert_eq!(order, [3, 2, 1, 4, 0]);
}

#[test]
fn bulk_fills_rows_that_would_be_padding() {
    let mut setup = unbounded(Device::Gpu);
    setup.policy.bulk_share = 0.0;
    let mut driver = driver(&setup);
    for (class, segments) in [(Class::Bulk, 20), (Class::Interactive, 3)] {
        let job = driver.job(job("a", class, segments, 0)).unwrap();
        encode(&mut driver, job, segments);
    }
    let batch = driver.poll().unwrap();
    assert_eq!(batch.shape, Shape { rows: 4, steps: 1 });
    assert_eq!(parts(&batch), [(1, 0, 3), (0, 0, 1)]);
}

#[test]
fn bulk_gets_its_share_in_batches_as_long_as_those_that_they_displace() {
    let mut driver = driver(&unbounded(Device::Cpu));
    for class in Class::ALL {
        let job = driver.job(job("a", class, 800, 0)).unwrap();
        encode(&mut driver, job, 800);
    }
    // 16 batches of 16.06 ms are the first to exceed 250 ms, of both of which bulk's share is a tenth.
    let bulk = |batch: &Batch| batch.members[0].class == Class::Bulk;
    let batches: Vec<_> = (0..40)
        .map(|_| {
            let batch = driver.poll().unwrap();
            driver.done(0, &BatchEnd::Fine);
            (bulk(&batch), batch.items())
        })
        .collect();
    assert!(batches.iter().all(|(_, items)| *items == 16), "{batches:?}");
    let bulk = (0..40).filter(|place| batches[*place].0);
    assert_eq!(bulk.collect::<Vec<_>>(), [15, 25, 35]);
}

#[test]
fn bulk_with_one_entry_at_a_time_gets_its_share_on_several_instances() {
    let mut setup = unbounded(Device::Cpu);
    setup.policy.instances = 2;
    let mut driver = driver(&setup);
    let [interactive, bulk] =
        Class::ALL.map(|class| driver.job(job("a", class, 100_000, 0)).unwrap());
    encode(&mut driver, interactive, 50_000);
    let mut waits = encode(&mut driver, bulk, 16);
    let (mut all, mut of_bulk) = (Time::ZERO, Time::ZERO);
    for _ in 0..400 {
        if driver.entries[waits].how.is_some() {
            waits = encode(&mut driver, bulk, 16);
        }
        while driver.running.len() < 2 {
            let batch = driver.poll().unwrap();
            all += batch.time;
            if batch.members[0].class == Class::Bulk {
                of_bulk += batch.time;
            }
        }
        driver.done(0, &BatchEnd::Fine);
    }
    assert!(
        of_bulk.as_secs_f64() > 0.08 * all.as_secs_f64(),
        "{of_bulk:?} of {all:?}"
    );
}

#[test]
fn jobs_given_up_at_their_deadline_raise_the_predicted_delay() {
    let mut driver = driver(&unbounded(Device::Cpu));
    let ms = Time::from_millis;
    // 16 segments take 16.06 ms.
    let try_job = |driver: &mut Driver| {
        driver.job(Job {
            deadline: Some(driver.now + ms(50)),
            ..job("a", Class::Interactive, 16, 0)
        })
    };
    // Another job's work is ahead of each.
    driver.job(job("a", Class::Interactive, 16, 0)).unwrap();
    for _ in 0..20 {
        let Ok(job) = try_job(&mut driver) else {
            return;
        };
        driver.now += ms(50);
        driver.leave(job);
    }
    panic!("each job is admitted although those before were late");
}

#[test]
fn overdue_bulk_leaves_an_urgent_batch_its_time() {
    let mut driver = driver(&unbounded(Device::Cpu));
    let bulk = driver.job(job("a", Class::Bulk, 100, 0)).unwrap();
    encode(&mut driver, bulk, 100);
    let before = driver.job(job("a", Class::Interactive, 15 * 16, 0));
    encode(&mut driver, before.unwrap(), 15 * 16);
    // 16 segments take 16.06 ms, two 2.06 ms and four 4.06 ms.
    for _ in 0..15 {
        let time = driver.poll().unwrap().time;
        driver.now += time;
        driver.done(0, &BatchEnd::Fine);
    }
    let urgent = driver.job(Job {
        deadline: Some(driver.now + Time::from_millis(20)),
        ..job("a", Class::Interactive, 16, 0)
    });
    let urgent = encode(&mut driver, urgent.unwrap(), 16);
    for expected in [(0, 2), (2, 16)] {
        let batch = driver.poll().unwrap();
        assert_eq!((batch.members[0].entry.0, batch.items()), expected);
        driver.now += batch.time;
        driver.done(0, &BatchEnd::Fine);
    }
    assert_eq!(driver.entries[urgent].how, ANSWERED);
}

#[test]
fn a_chunk_yields_to_segments_as_long_as_further_chunks_may_come_of_them() {
    let ms = Time::from_millis;
    // Until when a chunk that arrived at 0 yields: for a quarter of the longest batch, or as long as it meets its
    // deadline after 32 segments of 2.32 ms and its own batch of 3.008 ms.
    for (within, last) in [
        (None, ms(25) - Time::from_nanos(1)),
        (Some(ms(9)), Time::from_micros(3_672)),
    ] {
        let mut setup = unbounded(Device::Gpu);
        setup.policy.max_batch_time = ms(100);
        let mut driver = driver(&setup);
        let chunk = driver.job(Job {
            deadline: within,
            ..job("a", Class::Interactive, 0, 8)
        });
        driver.advance(chunk.unwrap(), 0, 8, 0).unwrap();
        for (now, graph) in [
            (ms(0), Graph::Encoder),
            (last, Graph::Encoder),
            (last + Time::from_nanos(1), Graph::Sequence),
        ] {
            let job = driver.job(job("b", Class::Interactive, 32, 0)).unwrap();
            encode(&mut driver, job, 32);
            driver.now = now;
            assert_eq!(driver.poll().unwrap().graph, graph, "{now:?}");
            driver.done(0, &BatchEnd::Fine);
        }
    }
}

#[test]
fn a_chunk_runs_at_once_if_nothing_else_waits() {
    let mut driver = driver(&unbounded(Device::Gpu));
    chunks(&mut driver, &[8]);
    assert_eq!(driver.poll().unwrap().graph, Graph::Sequence);
}

#[test]
fn a_small_batch_waits_for_further_members_only_if_they_pay_and_as_long_as_it_may() {
    let ms = Time::from_millis;
    // The deadline, and until when the first segment waits. A full batch of 32 takes 2.32 ms on the GPU. On the
    // CPU, larger batches are hardly cheaper per item.
    for (device, within, until) in [
        (Device::Gpu, None, Some(ms(5))),
        (Device::Gpu, Some(ms(6)), Some(Time::from_micros(3_680))),
        (Device::Gpu, Some(Time::from_micros(2_300)), None),
        (Device::Cpu, None, None),
    ] {
        let mut setup = unbounded(device);
        setup.policy.max_queue_delay = ms(5);
        let mut driver = driver(&setup);
        let first = driver.job(Job {
            deadline: within,
            ..job("a", Class::Interactive, 1, 0)
        });
        encode(&mut driver, first.unwrap(), 1);
        assert_eq!(driver.poll().is_none(), until.is_some());
        let Some(until) = until else {
            continue;
        };
        let rests = Happened::Rests { until: Some(until) };
        assert_eq!(driver.log.last(), Some(&rests));
        driver.now = until - Time::from_nanos(1);
        assert_eq!(driver.poll(), None);
        driver.now = until;
        assert!(driver.poll().is_some());
        driver.done(0, &BatchEnd::Fine);
    }
}

#[test]
fn an_entry_that_does_not_fit_into_the_batch_does_not_wait_for_it_to_fill() {
    let mut setup = unbounded(Device::Cpu);
    setup.policy.max_queue_delay = Time::from_millis(5);
    let mut driver = driver(&setup);
    chunks(&mut driver, &[8]);
    assert_eq!(driver.poll(), None, "it waits for further members");
    chunks(&mut driver, &[32]);
    assert_eq!(parts(&driver.poll().unwrap()), [(0, 0, 8)]);
}
