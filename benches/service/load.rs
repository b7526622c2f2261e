//! A real server under load, over real sockets, from this machine: what its neighbours do to a
//! caller who waits, and what is left of it when twice as much comes as it can do.
//!
//! Arrivals are an open loop: Poisson, and a latency counts from when the call was due, not from
//! when this process got round to it.

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
/// Rounds of the peak and what is held against it, in turn; medians count, for these machines are
/// not as fast from one minute to the next, and a stall of 50 ms, as virtual machines have them, is the
/// hundredth of five seconds' calls.
pub(crate) const ROUNDS: usize = 9;
/// Connections: one would be a bottleneck of its own.
const CONNECTIONS: usize = 4;
/// Of the peak, at which goodput is the most that an open loop gets: none of its calls can wait for
/// another's end, and at the peak itself there are moments in which too few have come.
const HARDLY_MORE: f64 = 1.1;
/// How often the rate rises by that until calls are refused: a machine may have become faster since the peak
/// was measured.
const RISES: usize = 4;
/// What overloading callers give an answer.
const DEADLINE: Duration = Duration::from_millis(500);
/// In so long from the start of a phase a queue fills, so that less comes out than goes in: it does not
/// count.
const FILLING: Duration = Duration::from_millis(500);
/// The server's default.
const MAX_BATCH_MS: f64 = 10.0;
/// Bulk recordings that are always under way.
const BULK: usize = 4;
/// How often overloading callers look for answers. Woken for each they would take the processors from the
/// server, the more so the more it refuses; elsewhere they have processors of their own.
const LOOK: Duration = Duration::from_micros(500);
/// Niceness of the callers.
const NICENESS: i32 = -10;

/// How a call ended.
struct Call {
    /// From when it was due, ms.
    latency: f64,
    /// From when it was sent, ms.
    since_sent: f64,
    /// It ended in the part of the phase that counts.
    counts: bool,
    code: Code,
}

/// Goodput when calls come twice as fast as they can be answered, as a share of the most that it is when
/// they come hardly faster than that: for each second of the processors that the callers left to the server,
/// and by the clock, by which the callers' own work beyond the peak is the server's fault. And by the clock
/// as a share of what callers get who come back one by one.
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
            let _dozing = doze();
            let before = (Instant::now(), own_time());
            let calls = open_loop(&callers, &utterance, (rate, PHASE), Some(DEADLINE)).await;
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
            println!("overload: no call was refused, so it could do more; {rate:.0}/s is tried");
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

/// Has the callers, this thread, sleep between one look for answers and the next, until it is dropped.
/// What they measure is later by a few times that, for a call goes through several tasks.
fn doze() -> JoinSet<()> {
    let mut dozing = JoinSet::new();
    dozing.spawn(async {
        loop {
            std::thread::sleep(LOOK);
            tokio::task::yield_now().await;
        }
    });
    dozing
}

fn count(calls: &[Call], code: Code) -> usize {
    calls.iter().filter(|call| call.code == code).count()
}

/// Answers in time a second.
fn good_rate(calls: &[Call]) -> f64 {
    let good = calls
        .iter()
        .filter(|call| call.counts && call.code == Code::Ok);
    good.count() as f64 / (PHASE - FILLING).as_secs_f64()
}

/// Processor time that this process has used: what calling costs, which the server on the same machine has
/// to do without.
fn own_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.try_into().unwrap()
}

fn processors() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64)
}

/// The 99th percentile of callers who wait, at 80 % of the peak with bulk filling the rest, as a
/// share of the bound: two batches and their own compute.
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
        let calls = open_loop(&callers, &utterance, (0.8 * peak, PHASE), None).await;
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

/// Has the callers, this thread, go before the server where they want the same processor: elsewhere they
/// have machines of their own, and a call that is sent late would be the server's fault here.
pub(crate) fn go_first() {
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        println!(
            "load: the callers wait for processors as the server does ({error}; root may help)"
        );
    }
}

/// Milliseconds that a call takes at the median when nothing else is going on.
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

/// Keeps bulk recordings under way until it is dropped.
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
    // One thread: handing calls from one to another would cost as much as making them.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(measure)
}

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

/// Answers a second when as many calls are always under way as fill the server.
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

/// Calls at a rate, for a time, whatever becomes of them.
async fn open_loop(
    callers: &[Caller],
    message: &Message,
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
