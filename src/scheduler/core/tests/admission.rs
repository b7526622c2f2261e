//! Which jobs are admitted, whatever happened before, and whether a refusal states what helps.

use super::*;

/// Ends all that is held: first all batches end, then all jobs leave.
fn empty(driver: &mut Driver) {
    while !driver.running.is_empty() {
        driver.done(0, &BatchEnd::Fine);
    }
    for job in 0..driver.jobs.len() {
        if !driver.jobs[job].left {
            driver.leave(job);
        }
    }
    assert!(driver.core.is_empty());
}

/// Returns a driver after these events, without those that drain it.
fn after(setup: &Setup, events: &[Event]) -> Driver {
    let mut driver = Driver::new(setup, |_, _| ());
    for event in events {
        if !matches!(event, Event::Drain) {
            driver.step(event);
        }
    }
    driver
}

/// Returns the predicted time of a job that has all instances to itself.
fn alone(driver: &Driver, work: Work) -> Time {
    let costs = driver.core.costs();
    let in_full_batches = costs.predict(work, driver.policy.max_batch_time);
    (in_full_batches / driver.policy.instances as u32).max(costs.least(work))
}

fn within(driver: &Driver, wanted: &Job, left: Time) -> Job {
    Job {
        deadline: Some(driver.now + left),
        ..wanted.clone()
    }
}

prop_compose! {
    fn wanted()(class in prop_oneof![Just(Class::Interactive), Just(Class::Bulk)], work in work(), bytes in 0..2_000usize) -> Job {
        Job { class, bytes, ..job("late", class, work.segments.max(1), work.steps) }
    }
}

proptest! {
    #![proptest_config(replay::with_cases(320))]

    #[test]
    fn an_idle_core_admits_any_job_of_under_half_its_deadline_whatever_happened_before(
        setup in setup(), events in events(), wanted in wanted(),
    ) {
        let mut driver = after(&setup, &events);
        empty(&mut driver);
        let left = alone(&driver, wanted.work) * 2 + Time::from_nanos(100);
        let job = within(&driver, &wanted, left);
        let refusal = driver.job(job).err();
        prop_assert!(
            matches!(refusal, None | Some(Refusal::TooMuch { .. })),
            "{refusal:?}"
        );
    }

    /// A refusal advises a retry exactly if the same job is admitted once the others have left.
    #[test]
    fn a_refusal_advises_a_retry_only_if_it_helps(
        setup in setup(), events in events(), wanted in wanted(), times in prop_oneof![Just(0.9), Just(2.1), Just(9.0)],
    ) {
        let mut driver = after(&setup, &events);
        let left = alone(&driver, wanted.work).mul_f64(times);
        let job = within(&driver, &wanted, left);
        let Err(refusal) = driver.job(job) else {
            return Ok(());
        };
        empty(&mut driver);
        let job = within(&driver, &wanted, left);
        let retried = driver.job(job);
        prop_assert_eq!(refusal.drain().is_some(), retried.is_ok(), "{:?}", refusal);
    }
}

#[test]
fn a_stall_does_not_raise_the_predicted_delay() {
    let mut driver = Driver::new(&unbounded(Device::Cpu), |_, _| ());
    let deadline = |driver: &Driver| Some(driver.now + Time::from_millis(200));
    let short = |driver: &Driver| Job {
        deadline: deadline(driver),
        ..job("a", Class::Interactive, 8, 0)
    };
    let jobs: Vec<_> = (0..16)
        .map(|_| {
            let job = short(&driver);
            driver.job(job).unwrap()
        })
        .collect();
    driver.stall(Time::from_secs(3));
    for job in jobs {
        driver.leave(job);
    }
    // 128 segments of 129 ms are ahead, and 8 are its own. Any factor above 1.5 would refuse it.
    let ahead = driver.job(job("a", Class::Interactive, 120, 0));
    assert!(ahead.is_ok());
    let job = short(&driver);
    assert_eq!(driver.job(job).map(|_| ()), Ok(()));
}

#[test]
fn a_deadline_shorter_than_the_jobs_own_work_is_late_and_not_busy() {
    let mut driver = Driver::new(&unbounded(Device::Gpu), |_, _| ());
    // One segment takes 2.01 ms, the step after it 3.008 ms.
    let wanted = job("a", Class::Interactive, 1, 1);
    for others in [0, 320] {
        driver.job(job("b", Class::Interactive, others, 0)).unwrap();
        let job = within(&driver, &wanted, Time::from_millis(5));
        let refusal = driver.job(job).unwrap_err();
        let alone = Time::from_micros(2_010 + 3_008);
        assert_eq!(refusal, Refusal::Late { alone }, "beside {others}");
    }
}

#[test]
fn a_job_of_more_bytes_than_all_may_hold_is_not_advised_to_retry() {
    let mut setup = unbounded(Device::Gpu);
    setup.policy.bounds.bytes = 100;
    let mut driver = Driver::new(&setup, |_, _| ());
    let refusal = driver.job(Job {
        bytes: 101,
        ..job("a", Class::Bulk, 1, 0)
    });
    let (needs, most) = (101, 100);
    assert_eq!(refusal, Err(Refusal::TooManyBytes { needs, most }));
}

#[test]
fn a_short_call_with_a_deadline_is_admitted_beside_its_tenants_long_ones() {
    let mut driver = Driver::new(&unbounded(Device::Cpu), |_, _| ());
    for _ in 0..3 {
        // 6 s of the device each.
        driver.job(job("a", Class::Interactive, 6_000, 0)).unwrap();
    }
    // 8 ms of its own, and as much plus two rounds of 260 ms for each long one.
    let wanted = job("a", Class::Interactive, 8, 0);
    let soon = within(&driver, &wanted, Time::from_millis(1_700));
    assert_eq!(driver.job(soon).map(|_| ()), Ok(()));
}
