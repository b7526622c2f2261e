//! Examples of how jobs and entries end: evicted, refused, expired, retried, cancelled.

use super::books::{Happened, HowEnded};
use super::cases::{ANSWERED, FAILED, chunks, driver, encode, ends, parts};
use super::*;

#[test]
fn eviction_picks_the_newest_bulk_job_of_the_tenant_with_most() {
    let mut setup = unbounded(Device::Gpu);
    setup.policy.bounds.jobs = 5;
    let mut driver = driver(&setup);
    for tenant in ["a", "b", "b", "b", "a"] {
        let bulk = driver.job(job(tenant, Class::Bulk, 1, 0)).unwrap();
        encode(&mut driver, bulk, 1);
    }
    let refused = driver.job(job("c", Class::Bulk, 1, 0)).unwrap_err();
    assert!(matches!(refused, Refusal::Jobs { most: 5, .. }));
    let evicted = |driver: &Driver| -> Vec<u64> {
        let log = driver.log.iter();
        log.filter_map(|what| match what {
            Happened::Job {
                id,
                end: End::Evicted { .. },
            } => Some(id.0),
            _ => None,
        })
        .collect()
    };
    for expected in [&[3][..], &[3, 4], &[3, 4, 2]] {
        driver.job(job("c", Class::Interactive, 1, 0)).unwrap();
        assert_eq!(evicted(&driver), expected);
    }
    // The first and the last are of one tenant: the last is advised to retry after the first.
    let log = driver.log.iter();
    let retries: Vec<Time> = log
        .filter_map(|what| match what {
            Happened::Job {
                end: End::Evicted { retry },
                ..
            } => Some(*retry),
            _ => None,
        })
        .collect();
    assert!(retries[2] > retries[0], "{retries:?}");
    // The last two have begun.
    assert_eq!(parts(&driver.poll().unwrap()), [(0, 0, 1), (1, 0, 1)]);
    let refused = [Class::Interactive; 2].map(|class| driver.job(job("c", class, 1, 0)));
    assert!(refused.iter().all(Result::is_err), "{refused:?}");
    assert_eq!(evicted(&driver), [3, 4, 2]);
}

#[test]
fn a_job_that_needs_nearly_all_of_a_bound_is_admitted_if_there_is_no_other() {
    // 100 segments take 101 ms on the CPU table, in the largest batches.
    for most in [102, 110, 116, 120] {
        let mut setup = unbounded(Device::Cpu);
        setup.policy.bounds.backlog = PerClass::from_fn(|_| Time::from_millis(most));
        setup.policy.bounds.bytes = 100;
        let mut driver = driver(&setup);
        let large = |tenant| Job {
            bytes: 95,
            ..job(tenant, Class::Interactive, 100, 0)
        };
        let first = driver.job(large("a")).unwrap();
        driver.job(large("b")).unwrap_err();
        driver.leave(first);
        driver.job(large("b")).unwrap();
    }
}

#[test]
fn a_deadline_that_cannot_be_met_is_refused_with_a_drain_time_if_a_wait_helps() {
    let setup = unbounded(Device::Gpu);
    let micros = Time::from_micros;
    // A full batch of 32 takes 2.32 ms, a single segment 2.01 ms.
    for (waiting, own, within, expected) in [
        (0, 1, micros(2_010), Ok(())),
        (0, 1, micros(2_000), Err(None)),
        (0, 64, micros(4_640), Ok(())),
        (320, 64, micros(27_840), Ok(())),
        (
            320,
            64,
            micros(20_000),
            Err(Some((micros(27_840), micros(7_840)))),
        ),
    ] {
        let mut driver = driver(&setup);
        // Of the same tenant, so the new job runs after all of it.
        driver
            .job(job("a", Class::Interactive, waiting, 0))
            .unwrap();
        let result = driver.job(Job {
            deadline: Some(within),
            ..job("a", Class::Interactive, own, 0)
        });
        let result = result.map(|_| ()).map_err(|refusal| match refusal {
            Refusal::Deadline { predicted, drain } => Some((predicted, drain)),
            // A retry does not help.
            Refusal::Late { .. } => None,
            other => panic!("{other}"),
        });
        assert_eq!(result, expected, "{own} behind {waiting} within {within:?}");
    }
}

#[test]
fn a_job_that_cannot_be_done_in_time_any_more_expires_without_a_batch() {
    let mut driver = driver(&unbounded(Device::Gpu));
    let deadline = Some(Time::from_millis(10));
    let late = driver.job(Job {
        deadline,
        ..job("a", Class::Interactive, 1, 1)
    });
    encode(&mut driver, late.unwrap(), 1);
    // 2.01 ms for the encoder and 3.008 for the sequence.
    driver.now = Time::from_micros(4_983);
    assert_eq!(driver.poll(), None);
    assert_eq!(ends(&driver), [Some(HowEnded::Of(End::Expired))]);
}

#[test]
fn a_failed_batch_is_retried_member_by_member_once() {
    let mut driver = driver(&unbounded(Device::Gpu));
    chunks(&mut driver, &[8, 8, 8]);
    assert_eq!(driver.poll().unwrap().members.len(), 3);
    driver.done(0, &BatchEnd::Failed);
    assert_eq!(ends(&driver), [None; 3]);
    for (entry, how) in [
        (0, BatchEnd::Fine),
        (1, BatchEnd::Failed),
        (2, BatchEnd::Fine),
    ] {
        assert_eq!(parts(&driver.poll().unwrap()), [(entry, 0, 8)]);
        driver.done(0, &how);
    }
    assert_eq!(ends(&driver), [ANSWERED, FAILED, ANSWERED]);
    assert_eq!(driver.poll(), None);
}

#[test]
fn a_retry_that_would_be_too_late_is_not_run() {
    let mut driver = driver(&unbounded(Device::Gpu));
    let job = driver.job(Job {
        deadline: Some(Time::from_millis(5)),
        ..job("a", Class::Interactive, 1, 0)
    });
    encode(&mut driver, job.unwrap(), 1);
    assert!(driver.poll().is_some());
    driver.now = Time::from_millis(3);
    driver.done(0, &BatchEnd::Failed);
    assert_eq!(driver.poll(), None);
    assert_eq!(ends(&driver), [Some(HowEnded::Of(End::Expired))]);
}

#[test]
fn a_member_with_non_finite_output_fails_alone() {
    let mut driver = driver(&unbounded(Device::Gpu));
    chunks(&mut driver, &[8, 8, 8]);
    assert!(driver.poll().is_some());
    driver.done(0, &BatchEnd::Broken(0b010));
    assert_eq!(ends(&driver), [ANSWERED, FAILED, ANSWERED]);
}

#[test]
fn a_batch_that_nobody_waits_for_is_stopped() {
    let mut driver = driver(&unbounded(Device::Gpu));
    chunks(&mut driver, &[8, 8]);
    assert!(driver.poll().is_some());
    driver.cancel(0);
    assert!(!driver.running[0].stopped, "somebody still waits");
    driver.leave(1);
    assert!(driver.running[0].stopped);
    driver.done(0, &BatchEnd::Failed);
    assert_eq!((driver.core.entries(), driver.poll()), (0, None));
}

#[test]
fn memory_that_a_batch_reads_counts_until_the_batch_ends() {
    let mut setup = unbounded(Device::Gpu);
    setup.policy.bounds.bytes = 100;
    let mut driver = driver(&setup);
    let large = || Job {
        bytes: 80,
        ..job("a", Class::Interactive, 1, 0)
    };
    let first = driver.job(large()).unwrap();
    driver
        .entry(first, Task::Encode { segments: 1 }, 80)
        .unwrap();
    assert!(driver.poll().is_some());
    driver.leave(first);
    let refused = driver.job(large()).unwrap_err();
    assert!(matches!(refused, Refusal::Bytes { most: 100, .. }));
    driver.done(0, &BatchEnd::Fine);
    driver.job(large()).unwrap();
}

#[test]
fn a_chunk_that_was_not_run_leaves_its_stream_where_it_was() {
    let mut driver = driver(&unbounded(Device::Gpu));
    let job = driver.job(job("a", Class::Interactive, 0, 100)).unwrap();
    let chunk = |from| Task::Advance {
        stream: 0,
        from,
        steps: 8,
    };
    let submit = |driver: &mut Driver, id, from| {
        let entry = Entry {
            id: EntryId(id),
            job: JobId(job as u64),
            task: chunk(from),
            bytes: 0,
        };
        driver.core.handle_entry(driver.now, entry)
    };
    submit(&mut driver, 0, 0).unwrap();
    driver.core.handle_cancel(EntryId(0));
    assert!(
        submit(&mut driver, 1, 8).is_err(),
        "its first steps were not run"
    );
    submit(&mut driver, 1, 0).unwrap();
    assert!(
        submit(&mut driver, 2, 8).is_err(),
        "the chunk before it is not done"
    );
}
