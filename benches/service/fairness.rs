//! How much longer short interactive calls wait beside long interactive recordings of the same tenant than beside the
//! same recordings of another tenant. All callers behind one proxy are the same tenant.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tonic::Code;
use undertone::service::pb::Priority;

use crate::caller::{Caller, Message};
use crate::common::Server;
use crate::load::{block_on, go_first, recording, utterance};
use crate::{Figures, quantile};

/// Rounds of the three phases, in turn. Medians count.
pub(crate) const ROUNDS: usize = 5;
const PHASE: Duration = Duration::from_secs(5);
/// Time at the start of a phase that does not count, until all long recordings are under way.
const FILLING: Duration = Duration::from_secs(1);
/// Callers of short calls. Each calls again when it has its answer.
const CALLERS: usize = 3;
/// Long recordings that are always under way, each a call with 13 minutes of audio.
const LONG: usize = 3;
const LONG_SECONDS: f64 = 13.0 * 60.0;
/// The tenant of the short calls.
const TENANT: &str = "bench";
/// The other tenant.
const OTHER: &str = "other";

/// Returns the p99 of short calls beside long recordings of the same tenant. It is divided by the p99 beside those of
/// another tenant, and by the p99 when nothing else is under way.
pub(crate) fn measure(rounds: usize) -> Figures {
    block_on(measure_one_server(rounds))
}

async fn measure_one_server(rounds: usize) -> Figures {
    let server = Server::start();
    go_first();
    let (short, long) = (utterance(), recording(LONG_SECONDS, Priority::Interactive));
    let (mut to_others, mut to_alone) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let mut p99s = Vec::new();
        for (beside, tenant) in [
            ("nothing else", None),
            ("another tenant's", Some(OTHER)),
            ("its own tenant's", Some(TENANT)),
        ] {
            let long = match tenant {
                Some(tenant) => keep_under_way(&server, tenant, &long).await,
                None => JoinSet::new(),
            };
            let (mut latencies, failed) = short_calls(&server, &short).await;
            drop(long);
            let p99 = quantile(&mut latencies, 0.99);
            println!(
                "fairness: {} short calls beside {LONG} long recordings ({beside}): p50 {:.1} ms, p99 {p99:.1} ms, \
                 {failed} failed",
                latencies.len(),
                quantile(&mut latencies, 0.5),
            );
            p99s.push(p99);
        }
        to_alone.push(p99s[2] / p99s[0]);
        to_others.push(p99s[2] / p99s[1]);
    }
    vec![
        (
            "short_beside_long_p99_ratio",
            format!("{:.2}", quantile(&mut to_others, 0.5)),
        ),
        (
            "short_beside_long_p99_ratio_to_undisturbed",
            format!("{:.2}", quantile(&mut to_alone, 0.5)),
        ),
    ]
}

/// Keeps long recordings under way until the returned set is dropped, each over a connection of its own.
async fn keep_under_way(server: &Server, tenant: &'static str, long: &Message) -> JoinSet<()> {
    let mut calls = JoinSet::new();
    for _ in 0..LONG {
        let (caller, long) = (
            Caller::connect(server).await.of_tenant(tenant),
            long.clone(),
        );
        calls.spawn(async move {
            loop {
                caller.classify(&long, None).await;
            }
        });
    }
    calls
}

/// Returns the milliseconds of the calls that were answered, and how many were not. Calls that are under way at the
/// end of the phase count too, because the longest are among them.
async fn short_calls(server: &Server, short: &Message) -> (Vec<f64>, usize) {
    let phase = Instant::now();
    let mut calls = JoinSet::new();
    for _ in 0..CALLERS {
        let (caller, short) = (
            Caller::connect(server).await.of_tenant(TENANT),
            short.clone(),
        );
        calls.spawn(async move {
            let mut ended = Vec::new();
            while phase.elapsed() < PHASE {
                let begun = Instant::now();
                let code = caller.classify(&short, None).await;
                if phase.elapsed() > FILLING {
                    ended.push((begun.elapsed().as_secs_f64() * 1e3, code));
                }
            }
            ended
        });
    }
    let ended = calls.join_all().await.concat();
    let answered = ended.iter().filter(|(_, code)| *code == Code::Ok);
    let latencies: Vec<f64> = answered.map(|(latency, _)| *latency).collect();
    let failed = ended.len() - latencies.len();
    (latencies, failed)
}
