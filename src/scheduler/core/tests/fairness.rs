//! How much device time tenants and classes get that always have more to run.

use std::collections::BTreeMap;

use super::super::rounds::ROUND;
use super::*;

/// A tenant that always has work waiting.
#[derive(Clone, Debug)]
struct BusyTenant {
    weight: u32,
    /// Whether its entries are segments for the encoder, rather than chunks for the sequence.
    encodes: bool,
    /// Segments or steps of each entry.
    items: usize,
}

fn busy() -> impl Strategy<Value = BusyTenant> {
    (1..5u32, any::<bool>(), 1..33usize).prop_map(|(weight, encodes, items)| BusyTenant {
        weight,
        encodes,
        items,
    })
}

fn device() -> impl Strategy<Value = Device> {
    prop_oneof![Just(Device::Cpu), Just(Device::Gpu)]
}

/// Entries that always wait: more than a batch holds of the smallest.
const WAITING: usize = 40;

/// A tenant's job, and what it submits.
struct Feed {
    job: usize,
    encodes: bool,
    items: usize,
    /// Its latest entries, and the next stream.
    entries: Vec<usize>,
    streams: usize,
}

impl Feed {
    fn new(driver: &mut Driver, tenant: usize, class: Class, busy: &BusyTenant) -> Self {
        let job = Job {
            weight: busy.weight,
            ..job(&format!("tenant {tenant}"), class, 1_000_000, 1_000_000)
        };
        Self {
            job: driver.job(job).unwrap(),
            encodes: busy.encodes,
            items: busy.items,
            entries: Vec::new(),
            streams: 0,
        }
    }

    /// Submits until so many entries wait.
    fn fill(&mut self, driver: &mut Driver, most: usize) {
        let entries = &mut self.entries;
        entries.retain(|&entry| driver.entries[entry].waiting() > 0);
        while entries.len() < most {
            let entry = if self.encodes {
                let segments = self.items;
                driver.entry(self.job, Task::Encode { segments }, 0)
            } else {
                driver.advance(self.job, self.streams, self.items, 0)
            };
            self.streams += 1;
            entries.push(entry.unwrap());
        }
    }
}

/// Returns each member's job and part of a batch's time.
fn parts(batch: &Batch) -> Vec<(usize, Time)> {
    let rows = batch.rows() as u32;
    let members = batch.members.iter();
    let part = |member: &Member| {
        let mine = match batch.graph {
            Graph::Encoder => member.items as u32,
            Graph::Sequence => 1,
        };
        (member.job.0 as usize, batch.time * mine / rows)
    };
    members.map(part).collect()
}

proptest! {
    #![proptest_config(replay::with_cases(80))]

    /// The device times of two backlogged tenants, each divided by its weight, differ over any interval by at most
    /// two batches of each: a tenant may be one batch ahead at the start, and one at the end. This holds for entries
    /// without a deadline and of one size for each tenant, because the further members of a batch are the next that
    /// fit, not always the next in order.
    #[test]
    fn backlogged_tenants_differ_by_at_most_a_constant(
        device in device(),
        tenants in prop::collection::vec(busy(), 2..5),
        instances in 1..4usize,
        most in 5..40u64,
    ) {
        let mut setup = unbounded(device);
        setup.policy.instances = instances;
        setup.policy.max_batch_time = Time::from_millis(most);
        let mut driver = Driver::new(&setup, |_, _| ());
        let mut feeds: Vec<_> = tenants.iter().enumerate()
            .map(|(tenant, busy)| Feed::new(&mut driver, tenant, Class::Interactive, busy))
            .collect();
        let mut got = vec![0.0; tenants.len()];
        // The least and the most by which each tenant was ahead of each other tenant so far.
        let mut ahead = BTreeMap::new();
        let mut longest = 0.0f64;
        for _ in 0..60 {
            for feed in &mut feeds {
                feed.fill(&mut driver, WAITING);
            }
            let batch = driver.poll().unwrap();
            longest = longest.max(batch.time.as_secs_f64());
            for (job, part) in parts(&batch) {
                got[job] += part.as_secs_f64() / f64::from(tenants[job].weight);
            }
            if driver.running.len() == instances {
                driver.done(0, &BatchEnd::Fine);
            }
            for one in 0..tenants.len() {
                for other in 0..one {
                    let now = got[one] - got[other];
                    let (least, most) = ahead.entry((one, other)).or_insert((0.0f64, 0.0f64));
                    (*least, *most) = (least.min(now), most.max(now));
                    let both = [one, other].map(|tenant| 1.0 / f64::from(tenants[tenant].weight));
                    let bound = 2.0 * longest * (both[0] + both[1]);
                    prop_assert!(*most - *least <= bound, "{most} - {least} > {bound}: {got:?}");
                }
            }
        }
    }

    /// A tenant that has one entry at a time gets no more than one that always has entries waiting.
    #[test]
    fn returning_at_once_gains_nothing(device in device(), items in 1..33usize) {
        let setup = unbounded(device);
        let mut driver = Driver::new(&setup, |_, _| ());
        let busy = BusyTenant { weight: 1, encodes: true, items: 32 };
        let mut always = Feed::new(&mut driver, 0, Class::Interactive, &busy);
        let mut returns = Feed::new(&mut driver, 1, Class::Interactive, &BusyTenant { items, ..busy });
        let (mut got, mut longest) = ([Time::ZERO; 2], Time::ZERO);
        for _ in 0..60 {
            always.fill(&mut driver, WAITING);
            returns.fill(&mut driver, 1);
            let batch = driver.poll().unwrap();
            longest = longest.max(batch.time);
            for (job, part) in parts(&batch) {
                got[job] += part;
            }
            driver.done(0, &BatchEnd::Fine);
        }
        prop_assert!(got[1] <= got[0] + 2 * longest, "{got:?}");
    }

    /// While bulk waits, no batch of interactive work is formed if bulk has had less than its share of what ran
    /// since any earlier batch, less 250 ms. Bulk that is overdue takes as many batches in a row as it needs.
    #[test]
    fn bulk_that_waits_gets_its_share_at_most_250_ms_late(
        device in device(),
        interactive in prop::collection::vec(busy(), 1..4),
        bulk in busy(),
        share in 0.02..0.6f64,
        (most, delay) in (5..40u64, 0..10u64),
        pauses in prop::collection::vec(any::<bool>(), 300),
    ) {
        let mut setup = unbounded(device);
        setup.policy.bulk_share = share;
        setup.policy.max_batch_time = Time::from_millis(most);
        setup.policy.max_queue_delay = Time::from_millis(delay);
        let mut driver = Driver::new(&setup, |_, _| ());
        let mut feeds: Vec<_> = interactive.iter().enumerate()
            .map(|(tenant, busy)| Feed::new(&mut driver, tenant, Class::Interactive, busy))
            .collect();
        let mut bulk = Feed::new(&mut driver, 9, Class::Bulk, &bulk);
        let mut ran: Vec<(f64, f64)> = Vec::new();
        for pause in pauses {
            for feed in &mut feeds {
                feed.fill(&mut driver, if pause { 1 } else { WAITING });
            }
            bulk.fill(&mut driver, if pause { 1 } else { 5 });
            driver.now += Time::from_micros(100);
            let Some(batch) = driver.poll() else {
                continue;
            };
            let mine = parts(&batch).into_iter().filter(|(job, _)| *job == bulk.job);
            let mine: Time = mine.map(|(_, part)| part).sum();
            ran.push((batch.time.as_secs_f64(), mine.as_secs_f64()));
            let mut lacks = 0.0f64;
            let mut since = 0.0;
            for (time, bulk) in ran.iter().rev() {
                since += share * time - bulk;
                lacks = lacks.max(since);
            }
            let bulk_led = batch.members[0].class == Class::Bulk;
            prop_assert!(bulk_led || lacks < share * 0.25 + 1e-6, "{lacks}: {ran:?}");
            driver.done(0, &BatchEnd::Fine);
        }
    }
}

/// A call of one stream: all its segments, then its steps, in pieces as the engine cuts them.
struct Call {
    job: usize,
    work: Work,
    /// Segments and steps that it has submitted.
    submitted: Work,
    entries: Vec<usize>,
}

/// Segments of a piece.
const PIECE: usize = 64;
/// Pieces that are under way at a time.
const PIECES: usize = 3;

impl Call {
    fn new(driver: &mut Driver, segments: usize) -> Self {
        let steps = segments;
        Self {
            job: driver
                .job(job("one", Class::Interactive, segments, steps))
                .unwrap(),
            work: Work { segments, steps },
            submitted: Work::default(),
            entries: Vec::new(),
        }
    }

    /// Submits what can be run now. If all is done, it leaves and returns true.
    fn advance(&mut self, driver: &mut Driver) -> bool {
        self.entries
            .retain(|&entry| driver.entries[entry].how.is_none());
        while self.entries.len() < PIECES && self.submitted.segments < self.work.segments {
            let segments = PIECE.min(self.work.segments - self.submitted.segments);
            self.submitted.segments += segments;
            self.entries.push(
                driver
                    .entry(self.job, Task::Encode { segments }, 0)
                    .unwrap(),
            );
        }
        if !self.entries.is_empty() {
            return false;
        }
        let steps = (self.work.steps - self.submitted.steps).min(32);
        if steps == 0 {
            driver.leave(self.job);
            return true;
        }
        self.submitted.steps += steps;
        self.entries
            .push(driver.advance(self.job, 0, steps, 0).unwrap());
        false
    }

    fn has_begun(&self, driver: &Driver) -> bool {
        driver.jobs[self.job].begun
    }
}

/// Runs one batch on the only instance, for its predicted time.
fn run_one(driver: &mut Driver) -> Batch {
    let batch = driver.poll().unwrap();
    driver.now += batch.time;
    driver.done(0, &BatchEnd::Fine);
    batch
}

proptest! {
    #![proptest_config(replay::with_cases(60))]

    /// Until its first batch, a call waits for at most a round of each other call of its tenant and a batch,
    /// however long those calls are.
    #[test]
    fn a_call_waits_for_a_round_of_each_other_call_of_its_tenant_however_long_they_are(
        device in device(),
        long in 1..5usize,
        length in prop_oneof![Just(2_000usize), Just(20_000)],
        before in 0..300usize,
        short in 8..100usize,
    ) {
        let mut setup = unbounded(device);
        setup.policy.max_batch_time = Time::from_millis(20);
        let mut driver = Driver::new(&setup, |_, _| ());
        let mut others: Vec<_> = (0..long).map(|_| Call::new(&mut driver, length)).collect();
        for _ in 0..before {
            others.retain_mut(|call| !call.advance(&mut driver));
            if others.is_empty() {
                return Ok(());
            }
            run_one(&mut driver);
        }
        let mut call = Call::new(&mut driver, short);
        let mut items = 0;
        loop {
            call.advance(&mut driver);
            others.retain_mut(|call| !call.advance(&mut driver));
            let batch = run_one(&mut driver);
            if call.has_begun(&driver) {
                break;
            }
            items += batch.items();
        }
        let bound = long * (ROUND + PIECE);
        prop_assert!(items <= bound, "{items} items ahead of it, {long} long calls");
    }

    /// However many short calls a tenant has under way at a time, its long call gets an even part, less four
    /// rounds and a tenth.
    #[test]
    fn short_calls_do_not_starve_a_long_call_of_their_tenant(
        device in device(), beside in 1..20usize, short in 8..100usize,
    ) {
        let mut setup = unbounded(device);
        setup.policy.max_batch_time = Time::from_millis(20);
        let mut driver = Driver::new(&setup, |_, _| ());
        let mut long = Call::new(&mut driver, 1_000_000);
        let mut shorts: Vec<Call> = Vec::new();
        let (mut all, mut of_long) = (0, 0);
        for _ in 0..3_000 {
            long.advance(&mut driver);
            shorts.retain_mut(|call| !call.advance(&mut driver));
            while shorts.len() < beside {
                let mut call = Call::new(&mut driver, short);
                call.advance(&mut driver);
                shorts.push(call);
            }
            let batch = run_one(&mut driver);
            all += batch.items();
            let mine = batch.members.iter().filter(|member| member.job.0 as usize == long.job);
            of_long += mine.map(|member| member.items).sum::<usize>();
        }
        let even = all / (beside + 1);
        let behind = 4 * ROUND;
        prop_assert!(of_long + behind >= even * 9 / 10, "{of_long} of {all}, {even} is even");
    }
}
