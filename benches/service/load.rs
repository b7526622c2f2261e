//! A real server under load, over real sockets, from this machine: what its neighbours do to a
//! caller who waits, and what is left of it when twice as much comes as it can do.
//!
//! Arrivals are an open loop: Poisson, and a latency counts from when the call was due, not from
//! when this process got round to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use tonic::{Code, Request};
use undertone::service::pb::{ClassifyRequest, Options, Priority};

use crate::common::{Client, Server};
use crate::{Figures, quantile, speech};

const PHASE: Duration = Duration::from_secs(5);
/// How long callers who wait are watched beside bulk: of five seconds' calls a single stall of 50 ms, as
/// virtual machines have them, would be the hundredth.
const WATCH: Duration = Duration::from_secs(20);
/// Rounds of the peak and what is held against it, in turn; medians count, for these machines are
/// not as fast from one minute to the next.
const ROUNDS: usize = 5;
const WATCHES: usize = 3;
/// Connections: one would be a bottleneck of its own.
const CONNECTIONS: usize = 4;
/// What overloading callers give an answer.
const DEADLINE: Duration = Duration::from_millis(500);
/// The server's default.
const MAX_BATCH_MS: f64 = 10.0;
/// Bulk recordings that are always under way.
const BULK: usize = 4;

/// How a call ended.
struct Call {
    /// From when it was due, ms.
    latency: f64,
    /// From when it was sent, ms.
    since_sent: f64,
    code: Code,
}

/// Goodput at twice the peak, as a share of the peak.
pub(crate) fn overload() -> Figures {
    block_on(overload_of_one_server())
}

async fn overload_of_one_server() -> Figures {
    let server = Server::start();
    let clients = connect(&server).await;
    let utterance = Arc::new(utterance());
    let (mut ratios, mut refusals, mut own) = (Vec::new(), Vec::new(), [Vec::new(), Vec::new()]);
    for _ in 0..ROUNDS {
        let before = own_time();
        let peak = closed_loop(&clients, &utterance, PHASE).await;
        let between = own_time();
        let calls = open_loop(&clients, &utterance, (2.0 * peak, PHASE), Some(DEADLINE)).await;
        own[0].push(between - before);
        own[1].push(own_time() - between);
        let count = |code| calls.iter().filter(|call| call.code == code).count();
        let (good, refused) = (count(Code::Ok), count(Code::ResourceExhausted));
        let good_rate = good as f64 / PHASE.as_secs_f64();
        println!(
            "overload: peak {peak:.0}/s in a closed loop; offered {:.0}/s, answered in time \
             {good_rate:.0}/s, refused {refused}, other {}",
            2.0 * peak,
            calls.len() - good - refused,
        );
        ratios.push(good_rate / peak);
        let refused = calls
            .iter()
            .filter(|call| call.code == Code::ResourceExhausted);
        refusals.extend(refused.map(|call| call.since_sent));
    }
    let all =
        PHASE.as_secs_f64() * std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
    println!(
        "overload: the callers themselves take {:.1} % of the processors at the peak, {:.1} % beyond it",
        100.0 * quantile(&mut own[0], 0.5) / all,
        100.0 * quantile(&mut own[1], 0.5) / all,
    );
    println!(
        "overload: goodput {:.2} to {:.2} of the peak; refusals take {:.1} ms at the median",
        quantile(&mut ratios, 0.0),
        quantile(&mut ratios, 1.0),
        quantile(&mut refusals, 0.5),
    );
    vec![
        (
            "overload_goodput_ratio",
            format!("{:.2}", quantile(&mut ratios, 0.5)),
        ),
        (
            "overload_refusal_ms_p99",
            format!("{:.1}", quantile(&mut refusals, 0.99)),
        ),
    ]
}

/// Seconds of processor time that this process has used: what calling costs, which the server on the
/// same machine has to do without.
fn own_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: f64 = ticks.map(|ticks| ticks.parse::<f64>().unwrap()).sum();
    // USER_HZ, which Linux keeps at 100.
    ticks / 100.0
}

/// The 99th percentile of callers who wait, at 80 % of the peak with bulk filling the rest, as a
/// share of the bound: two batches and their own compute.
pub(crate) fn neighbours() -> Figures {
    block_on(neighbours_of_one_server())
}

async fn neighbours_of_one_server() -> Figures {
    let server = Server::start();
    let clients = connect(&server).await;
    let utterance = Arc::new(utterance());
    let (mut ratios, mut shares) = (Vec::new(), Vec::new());
    for _ in 0..WATCHES {
        let peak = closed_loop(&clients, &utterance, PHASE).await;
        let own = alone(&clients[0], &utterance).await;
        let bulk = fill_with_bulk(&clients);
        let before = server.metric("undertone_audio_seconds_total{class=\"bulk\"}");
        let calls = open_loop(&clients, &utterance, (0.8 * peak, WATCH), None).await;
        let bulk_seconds = server.metric("undertone_audio_seconds_total{class=\"bulk\"}") - before;
        drop(bulk);
        let interactive = calls.len() as f64 * UTTERANCE;
        let mut latencies: Vec<f64> = calls.iter().map(|call| call.latency).collect();
        let failed = calls.iter().filter(|call| call.code != Code::Ok).count();
        let bound = 2.0 * MAX_BATCH_MS + own;
        let p99 = quantile(&mut latencies, 0.99);
        let share = bulk_seconds / (bulk_seconds + interactive);
        println!(
            "neighbours: peak {peak:.0}/s, offered {:.0}/s interactive with {BULK} bulk recordings \
             always under way: p50 {:.1} ms, p99 {p99:.1} ms, {failed} failed; alone {own:.1} ms, \
             bound {bound:.1}; bulk got {:.0} % of the audio",
            0.8 * peak,
            quantile(&mut latencies, 0.5),
            100.0 * share,
        );
        ratios.push(p99 / bound);
        shares.push(share);
    }
    vec![
        (
            "interactive_p99_over_bound",
            format!("{:.2}", quantile(&mut ratios, 0.5)),
        ),
        (
            "bulk_share_of_audio",
            format!("{:.2}", quantile(&mut shares, 0.5)),
        ),
    ]
}

/// Milliseconds that a call takes at the median when nothing else is going on.
async fn alone(client: &Client, request: &Arc<ClassifyRequest>) -> f64 {
    let mut times = Vec::new();
    for _ in 0..200 {
        let begun = Instant::now();
        let answer = client.clone().classify((**request).clone()).await;
        answer.unwrap();
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    quantile(&mut times, 0.5)
}

/// Keeps bulk recordings under way until it is dropped.
fn fill_with_bulk(clients: &[Client]) -> JoinSet<()> {
    let long = recording(60.0, Priority::Bulk);
    let mut bulk = JoinSet::new();
    for number in 0..BULK {
        let (client, long) = (clients[number % CONNECTIONS].clone(), long.clone());
        bulk.spawn(async move {
            loop {
                let _ = client.clone().classify(long.clone()).await;
            }
        });
    }
    bulk
}

fn block_on(measure: impl Future<Output = Figures>) -> Figures {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(measure)
}

const UTTERANCE: f64 = 3.0;

fn utterance() -> ClassifyRequest {
    recording(UTTERANCE, Priority::Interactive)
}

fn recording(seconds: f64, priority: Priority) -> ClassifyRequest {
    ClassifyRequest {
        audio: speech::telephone(seconds).into(),
        options: Some(Options {
            priority: priority.into(),
            ..Options::default()
        }),
        config: None,
    }
}

async fn connect(server: &Server) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(server.client().await);
    }
    clients
}

/// Answers a second when as many calls are always under way as fill the server.
async fn closed_loop(clients: &[Client], request: &Arc<ClassifyRequest>, time: Duration) -> f64 {
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for number in 0..16 {
        let (client, request) = (clients[number % CONNECTIONS].clone(), Arc::clone(request));
        callers.spawn(async move {
            let mut answered = 0_u32;
            while begun.elapsed() < time {
                client.clone().classify((*request).clone()).await.unwrap();
                answered += 1;
            }
            answered
        });
    }
    let answered: u32 = callers.join_all().await.into_iter().sum();
    f64::from(answered) / begun.elapsed().as_secs_f64()
}

/// Calls at a rate, for a time, whatever becomes of them.
async fn open_loop(
    clients: &[Client],
    request: &Arc<ClassifyRequest>,
    (rate, time): (f64, Duration),
    deadline: Option<Duration>,
) -> Vec<Call> {
    let mut random = StdRng::seed_from_u64(4);
    let mut calls = JoinSet::new();
    let begun = tokio::time::Instant::now();
    let mut due = begun;
    let mut number = 0;
    while due < begun + time {
        tokio::time::sleep_until(due).await;
        let (client, request) = (clients[number % CONNECTIONS].clone(), Arc::clone(request));
        calls.spawn(async move {
            let sent = Instant::now();
            let mut request = Request::new((*request).clone());
            if let Some(deadline) = deadline {
                request.set_timeout(deadline);
            }
            let answer = client.clone().classify(request).await;
            Call {
                latency: due.elapsed().as_secs_f64() * 1e3,
                since_sent: sent.elapsed().as_secs_f64() * 1e3,
                code: answer.map_or_else(|status| status.code(), |_| Code::Ok),
            }
        });
        due += Duration::from_secs_f64(-(1.0 - random.random::<f64>()).ln() / rate);
        number += 1;
    }
    calls.join_all().await
}
