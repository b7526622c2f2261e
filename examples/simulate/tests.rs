//! What must hold of every run.

use std::fs;
use std::time::Duration;

use undertone::scheduler::core::Class;

use crate::device::{Device, Kind as DeviceKind};
use crate::policies::Kind;
use crate::report::{Seen, table};
use crate::trace::{self, Kind as TraceKind, Request, Trace};
use crate::world::{Conditions, Fate, Pauses, World};

const SEED: u64 = 7;

fn run(policy: Kind, device: &Device, trace: &Trace, hang_up: bool) -> Seen {
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
    let trace = TraceKind::Poisson.make(1_500, 1.2, &device, SEED);
    let runs = Kind::ALL.map(|kind| (kind.name(), run(kind, &device, &trace, false)));
    table(&runs, device.instances)
}

#[test]
fn the_same_seed_gives_the_same_table() {
    assert_eq!(tables(), tables());
}

#[test]
fn every_request_ends_exactly_once() {
    // A second end is an error of the run itself.
    for device in [DeviceKind::Cpu, DeviceKind::Gpu].map(Device::of) {
        for kind in [
            TraceKind::Poisson,
            TraceKind::Bursts,
            TraceKind::Heavy,
            TraceKind::Abuse,
        ] {
            let trace = kind.make(800, 2.0, &device, SEED);
            for policy in Kind::ALL {
                for hang_up in [false, true] {
                    let seen = run(policy, &device, &trace, hang_up);
                    assert_eq!(
                        seen.fates.iter().flatten().count(),
                        trace.requests.len(),
                        "{kind:?} {policy:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn light_load_is_answered_whole() {
    let device = Device::of(DeviceKind::Cpu);
    let trace = TraceKind::Poisson.make(500, 0.2, &device, SEED);
    for policy in Kind::ALL {
        let seen = run(policy, &device, &trace, false);
        let mut fates = seen.fates.iter();
        assert!(
            fates.all(|fate| matches!(fate, Some(Fate::Answered(_)))),
            "{policy:?}"
        );
    }
}

#[test]
fn an_abusive_tenant_gets_less_of_us_than_of_fifo() {
    let device = Device::of(DeviceKind::Cpu);
    let trace = TraceKind::Abuse.make(10_000, 1.5, &device, SEED);
    let ours = run(Kind::Ours, &device, &trace, false).fairness();
    let fifo = run(Kind::Fifo, &device, &trace, false).fairness();
    assert!(ours > fifo, "{ours:.3} > {fifo:.3}");
}

/// Calls whose deadline is four times what they need alone are all answered between two pauses, though
/// sixteen others waited through the first.
#[test]
fn a_pause_locks_nobody_out() {
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
    let world = World::new(&device, &trace, Kind::Ours.start(&device), conditions);
    let seen = world.run(|_| {}).unwrap().0;
    let answered = |fate: &Option<Fate>| matches!(fate, Some(Fate::Answered(_)));
    assert!(seen.fates.iter().all(answered), "{:?}", seen.fates);
}

#[test]
fn a_recorded_trace_is_read_or_the_line_is_named() {
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
