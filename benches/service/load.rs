//! A real server under load, over real sockets, from this machine: how long interactive callers wait beside bulk work,
//! and how much is answered when calls arrive at twice the rate that the server can serve.
//!
//! Arrivals are an open loop: a Poisson process. A latency counts from when the call was due, not from when this
//! process sent it.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use tonic::Code;
use undertone::service::pb::{ClassifyOptions, ClassifyRequest, Priority};

use crate::caller::{Caller, Message};
use crate::common::Server;
use crate::{Figures, quantile, speech};

const PHASE: Duration = Duration::from_secs(5);
/// Rounds of the peak and of the phases that are compared with it, in turn. Medians count, because the speed of virtual
/// machines changes within minutes, and because they stall: a stall of 50 ms affects one in a hundred calls of a phase.
pub(crate) const ROUNDS: usize = 9;
/// Connections to the server. A single one would be a bottleneck.
const CONNECTIONS: usize = 4;
/// The rate at which an open loop has the highest goodput, as a multiple of the peak. At the peak itself there are
/// moments with too few calls, because no call of an open loop waits for the end of another.
const HARDLY_MORE: f64 = 1.1;
/// How often the rate rises by that factor until calls are refused. The machine may have become faster since the peak
/// was measured.
const RISES: usize = 4;
/// The deadline of calls in the overload part.
const DEADLINE: Duration = Duration::from_millis(500);
/// Time at the start of a phase that does not count, because the queue fills: fewer calls are answered than arrive.
const FILLING: Duration = Duration::from_millis(500);
/// The server's default.
const MAX_BATCH_MS: f64 = 10.0;
/// Bulk recordings that are always under way.
const BULK: usize = 4;
/// How often callers in the overload part look for answers. If each answer woke them, they would take the processors
/// from the server, and the more so the more it refuses. In practice callers have processors of their own.
const LOOK: Duration = Duration::from_micros(500);
/// Niceness of the callers.
const NICENESS: i32 = -10;

/// How a call ended.
struct Call {
    /// Milliseconds from when it was due.
    latency: f64,
    /// Milliseconds from when it was sent.
    since_sent: f64,
    /// Whether it ended in the part of the phase that counts.
    counts: bool,
    code: Code,
}

/// Returns the goodput when calls arrive twice as fast as they can be answered, in three ratios:
///
/// - to the goodput at a rate just above the peak, per second of processor time that the callers left to the server;
/// - the same by the clock, which counts the callers' own work beyond the peak against the server;
/// - by the clock, to the goodput of a closed loop, in which each caller calls again when it has its answer.
pub(crate) fn overload(rounds: usize) -> Figures {
    block_on(overload_of_one_server(rounds))
}

async fn overload_of_one_server(rounds: usize) -> Figures {
    let server = Server::start();
    go_first();
    let callers = connect(&server).await;
    let utterance = utterance();
    let (mut ratios, mut by_clock, mut of_closed) = (Vec::new(), Vec::new(), Vec::new());
    let mut refusals = Vec::new();
    let mut own = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        let peak = closed_loop(&callers, &utterance, PHASE).await;
        let offer = async |rate: f64| {
            let _polling = poll_rarely();
            let before = (Instant::now(), own_time());
            let calls = open_loop(&callers, &utterance, rate, PHASE, Some(DEADLINE)).await;
            let own = (own_time() - before.1).as_secs_f64() / before.0.elapsed().as_secs_f64();
            (calls, own / processors())
        };
        let mut rate = HARDLY_MORE * peak;
        let (mut calls, mut callers_part) = offer(rate).await;
        for _ in 0..RISES {
            if count(&calls, Code::ResourceExhausted) > 0 {
                break;
            }
            rate *= HARDLY_MORE;
            println!(
                "overload: no call was refused, so the server can do more; {rate:.0}/s is tried"
            );
            (calls, callers_part) = offer(rate).await;
        }
        own[0].push(callers_part);
        let most = good_rate(&calls);
        let beyond = 2.0 / HARDLY_MORE * rate;
        let (calls, callers_part) = offer(beyond).await;
        own[1].push(callers_part);
        let good = good_rate(&calls);
        let left = own.each_ref().map(|own| 1.0 - own[own.len() - 1]);
        let refused = count(&calls, Code::ResourceExhausted);
        println!(
            "overload: peak {peak:.0}/s in a closed loop; offered {rate:.0}/s, answered in time \
             {most:.0}/s; offered {beyond:.0}/s, answered in time {good:.0}/s, refused {refused}, other {}",
            calls.len() - count(&calls, Code::Ok) - refused,
        );
        ratios.push((good / left[1]) / (most / left[0]));
        by_clock.push(good / most);
        of_closed.push(good / peak);
        let refused = calls
            .iter()
            .filter(|call| call.code == Code::ResourceExhausted);
        refusals.extend(refused.map(|call| call.since_sent));
    }
    println!(
        "overload: the callers themselves take {:.1} % of the processors at the peak, {:.1} % beyond it",
        100.0 * quantile(&mut own[0], 0.5),
        100.0 * quantile(&mut own[1], 0.5),
    );
    println!(
        "overload: goodput {:.2} to {:.2} of the most, by the clock {:.2} to {:.2}; refusals take {:.1} ms at \
         the median",
        quantile(&mut ratios, 0.0),
        quantile(&mut ratios, 1.0),
        quantile(&mut by_clock, 0.0),
        quantile(&mut by_clock, 1.0),
        quantile(&mut refusals, 0.5),
    );
    vec![
        (
            "overload_goodput_ratio",
            format!("{:.2}", quantile(&mut ratios, 0.5)),
        ),
        (
            "overload_goodput_ratio_by_the_clock",
            format!("{:.2}", quantile(&mut by_clock, 0.5)),
        ),
        (
            "overload_goodput_of_closed_loop",
            format!("{:.2}", quantile(&mut of_closed, 0.5)),
        ),
        (
            "overload_refusal_ms_p99",
            format!("{:.1}", quantile(&mut refusals, 0.99)),
        ),
    ]
}

/// Makes the callers, which are this thread, sleep between two looks for answers until the returned set is dropped.
/// Their latencies are longer by a few times [`LOOK`], because a call passes through several tasks.
fn poll_rarely() -> JoinSet<()> {
    let mut sleeping = JoinSet::new();
    sleeping.spawn(async {
        loop {
            std::thread::sleep(LOOK);
            tokio::task::yield_now().await;
        }
    });
    sleeping
}

fn count(calls: &[Call], code: Code) -> usize {
    calls.iter().filter(|call| call.code == code).count()
}

/// Returns the answers in time per second.
fn good_rate(calls: &[Call]) -> f64 {
    let good = calls
        .iter()
        .filter(|call| call.counts && call.code == Code::Ok);
    good.count() as f64 / (PHASE - FILLING).as_secs_f64()
}

/// Returns the processor time that this process has used. The server on the same machine cannot use it.
fn own_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.try_into().unwrap()
}

fn processors() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64)
}

/// Returns the 99th percentile of interactive latencies at 80 % of the peak, while bulk work fills the rest. It is
/// divided by the bound, which is two batches and the call's own compute. Also returns bulk's share of the audio.
pub(crate) fn neighbours(rounds: usize) -> Figures {
    block_on(neighbours_of_one_server(rounds))
}

async fn neighbours_of_one_server(rounds: usize) -> Figures {
    let server = Server::start();
    go_first();
    let callers = connect(&server).await;
    let utterance = utterance();
    let (mut ratios, mut shares, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let peak = closed_loop(&callers, &utterance, PHASE).await;
        let own = alone(&callers[0], &utterance).await;
        let bulk = fill_with_bulk(&callers);
        let before = server.metric("undertone_audio_seconds_total{class=\"bulk\"}");
        let calls = open_loop(&callers, &utterance, 0.8 * peak, PHASE, None).await;
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
        all.extend(latencies);
    }
    println!(
        "neighbours: p99 {:.2} to {:.2} of the bound; of all rounds' calls {:.1} ms",
        quantile(&mut ratios, 0.0),
        quantile(&mut ratios, 1.0),
        quantile(&mut all, 0.99),
    );
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

/// Gives the callers, which are this thread, priority over the server. In practice callers have machines of their own.
/// Here, a call that is sent late would count against the server.
pub(crate) fn go_first() {
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        println!("load: the callers have no priority over the server ({error}; root may help)");
    }
}

/// Returns the median of a call's time in milliseconds when nothing else is under way.
async fn alone(caller: &Caller, message: &Message) -> f64 {
    let mut times = Vec::new();
    for _ in 0..200 {
        let begun = Instant::now();
        if caller.classify(message, None).await == Code::Ok {
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
    }
    quantile(&mut times, 0.5)
}

/// Keeps bulk recordings under way until the returned set is dropped.
fn fill_with_bulk(callers: &[Caller]) -> JoinSet<()> {
    let long = recording(60.0, Priority::Bulk);
    let mut bulk = JoinSet::new();
    for number in 0..BULK {
        let (caller, long) = (callers[number % CONNECTIONS].clone(), long.clone());
        bulk.spawn(async move {
            loop {
                caller.classify(&long, None).await;
            }
        });
    }
    bulk
}

pub(crate) fn block_on(measure: impl Future<Output = Figures>) -> Figures {
    // One thread, because moving calls between threads would cost as much as making them.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(measure)
}

/// Length of an utterance, in seconds.
const UTTERANCE: f64 = 3.0;

pub(crate) fn utterance() -> Message {
    recording(UTTERANCE, Priority::Interactive)
}

pub(crate) fn recording(seconds: f64, priority: Priority) -> Message {
    Message::of(&ClassifyRequest {
        audio: speech::telephone(seconds).into(),
        options: Some(ClassifyOptions {
            priority: priority.into(),
            ..ClassifyOptions::default()
        }),
        config: None,
    })
}

async fn connect(server: &Server) -> Vec<Caller> {
    let mut callers = Vec::new();
    for _ in 0..CONNECTIONS {
        callers.push(Caller::connect(server).await);
    }
    callers
}

/// Returns the answers per second when enough calls are always under way to fill the server.
async fn closed_loop(callers: &[Caller], message: &Message, time: Duration) -> f64 {
    let begun = Instant::now();
    let mut calls = JoinSet::new();
    for number in 0..16 {
        let (caller, message) = (callers[number % CONNECTIONS].clone(), message.clone());
        calls.spawn(async move {
            let (mut answered, mut failed) = (0_u32, 0_u32);
            while begun.elapsed() < time {
                match caller.classify(&message, None).await {
                    Code::Ok => answered += 1,
                    _ => failed += 1,
                }
            }
            (answered, failed)
        });
    }
    let ended = calls.join_all().await;
    let answered: u32 = ended.iter().map(|(answered, _)| answered).sum();
    let failed: u32 = ended.iter().map(|(_, failed)| failed).sum();
    if failed > 0 {
        println!("load: {failed} calls of the closed loop failed");
    }
    f64::from(answered) / begun.elapsed().as_secs_f64()
}

/// Calls at a rate for a time, however the calls end.
async fn open_loop(
    callers: &[Caller],
    message: &Message,
    rate: f64,
    time: Duration,
    deadline: Option<Duration>,
) -> Vec<Call> {
    let mut random = StdRng::seed_from_u64(4);
    let mut calls = JoinSet::new();
    let begun = tokio::time::Instant::now();
    let mut due = begun;
    let mut number = 0;
    while due < begun + time {
        tokio::time::sleep_until(due).await;
        let (caller, message) = (callers[number % CONNECTIONS].clone(), message.clone());
        calls.spawn(async move {
            let sent = Instant::now();
            let code = caller.classify(&message, deadline).await;
            Call {
                latency: due.elapsed().as_secs_f64() * 1e3,
                since_sent: sent.elapsed().as_secs_f64() * 1e3,
                counts: (FILLING..time).contains(&begun.elapsed()),
                code,
            }
        });
        due += Duration::from_secs_f64(-(1.0 - random.random::<f64>()).ln() / rate);
        number += 1;
    }
    calls.join_all().await
}
