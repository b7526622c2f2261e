//! `undertone serve`: binds the addresses, loads and checks the model, serves, and shuts down.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::error::CliError;
use super::message;
use super::signals::Signals;
use crate::address::{Address, AddressError, Bound};
use crate::config::{self, Config};
use crate::engine::{self, Engine, Provider};
use crate::service::{EmotionApi, Health, Listener, ServerError, server};
use crate::telemetry::readiness::Readiness;
use crate::telemetry::{admin, logs, metrics};

/// Flags override environment variables (`UNDERTONE_LISTEN`), which override the file.
#[derive(Debug, Default, Args, Serialize)]
pub(super) struct Flags {
    /// Configuration file, TOML; its keys are the flags' names with `_` for `-` [env: UNDERTONE_CONFIG]
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Print the effective configuration as TOML and exit
    #[arg(long)]
    #[serde(skip)]
    check: bool,
    /// Address of the gRPC service: HOST:PORT or unix:PATH [default: 127.0.0.1:50051]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<Address>,
    /// Address of the admin listener with /metrics, /healthz and /readyz: HOST:PORT [default: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDRESS", value_parser = metrics_address)]
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics_listen: Option<Address>,
    /// Folder of the model's bundle [default: the embedded one]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle: Option<PathBuf>,
    /// ONNX Runtime's shared library [default: ORT_DYLIB_PATH, then the usual places]
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    onnxruntime: Option<PathBuf>,
    /// What batches run on; cuda needs ONNX Runtime's GPU build, CUDA and cuDNN [default: cpu]
    #[arg(long, value_enum, value_name = "DEVICE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<Provider>,
    /// Sets of sessions, each on its own thread [default: measured at start]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    workers: Option<usize>,
    /// Threads inside each session [default: measured at start]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    threads: Option<usize>,
    /// Requests answered at a time; more are refused with a time to come back [default: 256]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_requests: Option<usize>,
    /// Bytes of tensors that requests may hold together [default: 536870912]
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_queue_bytes: Option<usize>,
    /// Seconds of device time that interactive requests may hold together [default: 10]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_interactive_seconds: Option<f64>,
    /// Seconds of device time that bulk requests may hold together [default: 120]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bulk_seconds: Option<f64>,
    /// Milliseconds that no batch exceeds, as predicted [default: 10]
    #[arg(long, value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_batch_ms: Option<f64>,
    /// Milliseconds to wait for companions on a free device, where they pay [default: 0]
    #[arg(long, value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_queue_delay_ms: Option<f64>,
    /// Share of device time that waiting bulk work is sure of, at most 250 ms of it late, 0 to 0.9 [default: 0.1]
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    bulk_share: Option<f64>,
    /// Seconds of the longest recording that stays interactive without a deadline; longer ones are bulk [default: 30]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    interactive_seconds: Option<f64>,
    /// Bytes of one recording [default: 268435456]
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_audio_bytes: Option<usize>,
    /// Seconds of one recording [default: 3600]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_audio_seconds: Option<f64>,
    /// Channels of one recording [default: 8]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_channels: Option<u16>,
    /// Seconds of audio that a megabyte may decode to, beyond ten minutes [default: 2500]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_seconds_per_megabyte: Option<f64>,
    /// Bytes of one recording once decoded: 64,000 a second and lane [default: 2147483648]
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_decoded_bytes: Option<usize>,
    /// Seconds that decoding one recording may take [default: 60]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_decode_seconds: Option<f64>,
    /// Seconds that requests under way are given to end at shutdown [default: 20]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    grace_seconds: Option<f64>,
    /// How a log line is written [default: human]
    #[arg(long, value_enum, value_name = "FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log_format: Option<logs::LogFormat>,
    /// Level of undertone's own lines, or directives such as info,h2=debug [default: info]
    #[arg(long, value_name = "FILTER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
}

/// Number of processors for each network thread. Under full load, network work takes a tenth of the processor time; the
/// rest is decoding and the model. With one network thread on each processor, calls would move between threads without a
/// benefit.
const PROCESSORS_PER_NETWORK_THREAD: usize = 4;

fn address(text: &str) -> Result<Address, AddressError> {
    Address::parse(text, config::PORT)
}

fn metrics_address(text: &str) -> Result<Address, AddressError> {
    Address::parse(text, config::METRICS_PORT)
}

pub(super) fn run(flags: &Flags) -> Result<ExitCode, CliError> {
    let file = flags.config.clone().or_else(config::file);
    let config = Config::load(file.as_deref(), flags)?;
    let misspelt = config::misspelt();
    if flags.check {
        for config::Misspelt { variable, meant } in misspelt {
            message::print(&format!("{variable} sets nothing; did you mean {meant}?"));
        }
        write!(std::io::stdout(), "{}", config.to_toml()?)?;
        return Ok(ExitCode::SUCCESS);
    }
    logs::start(config.log_format, logs::filter(&config.log)?)?;
    for config::Misspelt { variable, meant } in misspelt {
        tracing::warn!("{variable} sets nothing; did you mean {meant}?");
    }
    // Both calls must precede the start of any other thread.
    engine::use_batch_scheduling_policy();
    engine::limit_retained_memory();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(processors.div_ceil(PROCESSORS_PER_NETWORK_THREAD))
        .enable_all()
        .build()?;
    let served = runtime.block_on(serve(config));
    // A decoder may still be running. The process does not wait for it.
    runtime.shutdown_background();
    served.map(|()| ExitCode::SUCCESS)
}

async fn serve(config: Config) -> Result<(), CliError> {
    let started = Instant::now();
    let mut signals = Signals::listen()?;
    let recorder = metrics::install()?;
    // The addresses come first, so that a taken address is reported before the model is loaded.
    let listener = Listener::bind(&config.listen).await?;
    let (metrics_listeners, metrics_address) = bind_metrics(&config.metrics_listen).await?;
    let readiness = Readiness::default();
    let (stop_admin, stopping) = oneshot::channel::<()>();
    // The set aborts the listener if this function returns early.
    let mut admin = JoinSet::new();
    admin.spawn(admin::serve(
        metrics_listeners,
        recorder,
        readiness.clone(),
        // The channel ends with a message or by being dropped. Both mean that the listener must stop.
        async { drop(stopping.await) },
    ));
    let address = listener.address.clone();
    tracing::info!(%address, metrics = %metrics_address, "listening");

    let (emotion, health) = (EmotionApi::default(), Health::new().await);
    let (stop, drain) = oneshot::channel();
    let (end, cut) = oneshot::channel();
    let mut serving = tokio::spawn(server::run(
        listener,
        emotion.clone(),
        config.max_audio_bytes,
        health.clone(),
        readiness.clone(),
        async { drop(drain.await) },
        async { drop(cut.await) },
    ));
    let loaded = tokio::select! {
        loaded = load(&config, &mut signals) => loaded?,
        served = &mut serving => return Ok(served??),
    };
    if let Some(engine) = loaded {
        let manifest = engine.manifest();
        metrics::model(
            &manifest.name,
            &manifest.version,
            engine.provider().name(),
            "float32",
        );
        emotion.open(Arc::clone(&engine));
        health.serving().await;
        readiness.ready();
        tracing::info!(
            model = manifest.name,
            version = manifest.version,
            %address,
            metrics = %metrics_address,
            onnxruntime = engine.runtime(),
            ready_after_ms = started.elapsed().as_millis(),
            "serving"
        );
        let signal = tokio::select! {
            signal = signals.next() => signal.name(),
            served = &mut serving => return Ok(served??),
        };
        tracing::info!(signal, "stopping: waiting for requests under way");
    }
    // An error means that the server has already ended.
    let _ = stop.send(());
    let grace = config.grace();
    let ended = tokio::select! {
        served = &mut serving => Some(served),
        () = tokio::time::sleep(grace) => {
            tracing::warn!(?grace, "the grace period is over");
            None
        }
        signal = signals.next() => {
            tracing::warn!(signal = signal.name(), "second signal: ending at once");
            None
        }
    };
    // The server closes the connections that are still open.
    let _ = end.send(());
    match ended {
        Some(served) => served??,
        None => serving.await??,
    }
    drop(stop_admin);
    while let Some(ended) = admin.join_next().await {
        ended?;
    }
    tracing::info!("stopped");
    Ok(())
}

/// How long to wait, after a signal, for a model that is being loaded. On a CPU, loading stops within the time of one
/// batch. The compilation of a graph for a GPU cannot be stopped.
const LOADING_STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Loads the engine. Returns `None` if a signal came first.
async fn load(config: &Config, signals: &mut Signals) -> Result<Option<Arc<Engine>>, CliError> {
    let options = config.engine();
    let stopped = Arc::new(AtomicBool::new(false));
    let mut opening = tokio::task::spawn_blocking({
        let stopped = Arc::clone(&stopped);
        move || Engine::open_unless(&options, &|| stopped.load(Ordering::Relaxed))
    });
    let signal = tokio::select! {
        opened = &mut opening => return Ok(Some(Arc::new(opened??))),
        signal = signals.next() => signal.name(),
    };
    tracing::info!(signal, "stopping: loading of the model is abandoned");
    stopped.store(true, Ordering::Relaxed);
    // The process must not end while ONNX Runtime's threads run. The result of loading is not needed.
    let _ = tokio::time::timeout(LOADING_STOP_TIMEOUT, opening).await;
    Ok(None)
}

/// Binds the admin listener. Also returns the bound address as text.
async fn bind_metrics(address: &Address) -> Result<(Vec<TcpListener>, String), ServerError> {
    let failed = |source: io::Error| ServerError::Listen {
        address: address.to_string(),
        flag: "metrics-listen",
        source,
    };
    let bound = address.bind().await.map_err(failed)?;
    let written = bound.address();
    match bound {
        Bound::Tcp(listeners) => Ok((listeners, written)),
        Bound::Unix(..) => Err(failed(io::Error::other(
            "the admin listener serves Prometheus, which needs a TCP address",
        ))),
    }
}
