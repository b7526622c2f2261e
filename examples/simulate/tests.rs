//! What must hold for every simulation.

use std::fs;
use std::time::Duration;

use undertone::scheduler::core::Class;

use crate::device::{Device, DeviceKind};
use crate::policies::PolicyKind;
use crate::report::{Results, table};
use crate::trace::{self, Request, Trace, Workload};
use crate::world::{Conditions, Pauses, RequestEnd, World};

const SEED: u64 = 7;

fn run(policy: PolicyKind, device: &Device, trace: &Trace, hang_up: bool) -> Results {
    let conditions = Conditions {
        hang_up,
        pauses: None,
        seed: SEED,
    };
    let world = World::new(device, trace, policy.start(device), conditions);
    world.run(|_| {}).unwrap().0
}

fn tables() -> String {
    let device = Device::of(DeviceKind::Cpu);
    let trace = Workload::Poisson.make(1_500, 1.2, &device, SEED);
    let runs = PolicyKind::ALL.map(|kind| (kind.name(), run(kind, &device, &trace, false)));
    table(&runs, device.instances)
}

#[test]
fn the_same_seed_gives_the_same_table() {
    assert_eq!(tables(), tables());
}

#[test]
fn every_request_ends_exactly_once() {
    // If a request ends twice, the simulation itself returns an error.
    for device in [DeviceKind::Cpu, DeviceKind::Gpu].map(Device::of) {
        for workload in [
            Workload::Poisson,
            Workload::Bursts,
            Workload::Heavy,
            Workload::Abuse,
        ] {
            let trace = workload.make(800, 2.0, &device, SEED);
            for policy in PolicyKind::ALL {
                for hang_up in [false, true] {
                    let results = run(policy, &device, &trace, hang_up);
                    assert_eq!(
                        results.ends.iter().flatten().count(),
                        trace.requests.len(),
                        "{workload:?} {policy:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn all_requests_are_answered_at_light_load() {
    let device = Device::of(DeviceKind::Cpu);
    let trace = Workload::Poisson.make(500, 0.2, &device, SEED);
    for policy in PolicyKind::ALL {
        let results = run(policy, &device, &trace, false);
        let mut ends = results.ends.iter();
        assert!(
            ends.all(|end| matches!(end, Some(RequestEnd::Answered(_)))),
            "{policy:?}"
        );
    }
}

#[test]
fn device_time_is_shared_more_fairly_beside_an_abusive_tenant_than_by_fifo() {
    let device = Device::of(DeviceKind::Cpu);
    let trace = Workload::Abuse.make(10_000, 1.5, &device, SEED);
    let ours = run(PolicyKind::Ours, &device, &trace, false).fairness();
    let fifo = run(PolicyKind::Fifo, &device, &trace, false).fairness();
    assert!(ours > fifo, "{ours:.3} > {fifo:.3}");
}

/// Between two pauses, calls with a deadline of four times their own work are all answered, although sixteen others
/// waited through the first pause.
#[test]
fn a_pause_causes_no_refusals() {
    let device = Device::of(DeviceKind::Cpu);
    let minute = |arrival, deadline| Request {
        arrival,
        tenant: 0,
        class: Class::Interactive,
        segments: 470,
        deadline,
    };
    let work = minute(Duration::ZERO, None).work();
    let alone = device.costs.predict(work, device.max_batch_time);
    let (every, length) = (Duration::from_secs(10), Duration::from_secs(3));
    let waiting = (0..16).map(|_| minute(every - Duration::from_millis(1), None));
    let begin = every + length + 16 * alone;
    let later = (0..20).map(|call| minute(begin + call * 5 * alone, Some(4 * alone)));
    let trace = Trace {
        tenants: vec!["one".into()],
        requests: waiting.chain(later).collect(),
    };
    let conditions = Conditions {
        hang_up: true,
        pauses: Some(Pauses { every, length }),
        seed: SEED,
    };
    let world = World::new(&device, &trace, PolicyKind::Ours.start(&device), conditions);
    let results = world.run(|_| {}).unwrap().0;
    let answered = |end: &Option<RequestEnd>| matches!(end, Some(RequestEnd::Answered(_)));
    assert!(results.ends.iter().all(answered), "{:?}", results.ends);
}

#[test]
fn a_recorded_trace_is_read_or_the_error_names_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.csv");
    let heading = "arrival_s,tenant,class,segments,deadline_ms\n";
    fs::write(
        &path,
        format!("{heading}0.5,b,bulk,2400,\n0.25,a,interactive,24,200\n"),
    )
    .unwrap();
    let trace = trace::read(&path, 10).unwrap();
    assert_eq!(trace.tenants, ["b", "a"]);
    let [first, second] = trace.requests[..] else {
        panic!("{trace:?}");
    };
    assert_eq!((first.segments, first.tenant), (24, 1));
    assert_eq!((second.segments, second.deadline), (2_400, None));
    fs::write(&path, format!("{heading}0.5,b,slow,2400,\n")).unwrap();
    let error = trace::read(&path, 10).unwrap_err();
    assert!(error.contains("trace.csv:2"), "{error}");
}
