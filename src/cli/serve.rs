//! `undertone serve`: bind, load, prove, serve, stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::CliError;
use crate::config::Config;
use crate::engine::{self, Engine, Provider};
use crate::service::server::{self, ServerError};
use crate::telemetry::{admin, logs, metrics};

/// Flags override environment variables (`UNDERTONE_LISTEN`), which override the file.
#[derive(Debug, Default, Args, Serialize)]
pub(super) struct Flags {
    /// Configuration file, TOML; its keys are the flags' names with `_` for `-`
    #[arg(long, env = "UNDERTONE_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Address of the gRPC service [default: 127.0.0.1:50051]
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<SocketAddr>,
    /// Address of the admin listener with /metrics [default: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics_listen: Option<SocketAddr>,
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
    /// Bytes of one recording [default: 33554432]
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
    /// Level, or directives such as info,undertone=debug [default: info]
    #[arg(long, value_name = "FILTER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
}

/// Talking to callers takes a tenth of the processors under full load, the rest is decoding and the model's.
/// With a thread on each processor calls would be handed from one to the other for nothing.
const PROCESSORS_PER_NETWORK_THREAD: usize = 4;

pub(super) fn run(flags: &Flags) -> Result<ExitCode, CliError> {
    let config = Config::load(flags.config.as_deref(), flags)?;
    logs::start(config.log_format, &config.log)?;
    // Before any other thread is started.
    engine::interrupt_nobody();
    engine::keep_little_memory();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(processors.div_ceil(PROCESSORS_PER_NETWORK_THREAD))
        .enable_all()
        .build()?;
    let served = runtime.block_on(serve(config));
    // A decode that was cut off is not waited for.
    runtime.shutdown_background();
    served.map(|()| ExitCode::SUCCESS)
}

async fn serve(config: Config) -> Result<(), CliError> {
    let begun = Instant::now();
    let mut signals = Signals::listen()?;
    let recorder = metrics::install()?;
    // Addresses first: one that is taken should not cost a model's loading.
    let listener = server::Listener::bind(config.listen)?;
    let metrics_listener = TcpListener::bind(config.metrics_listen)
        .await
        .map_err(|error| {
            let (address, flag) = (config.metrics_listen, "metrics-listen");
            ServerError::Listen {
                address,
                flag,
                reason: error.to_string(),
            }
        })?;
    let metrics_address = metrics_listener.local_addr()?;
    let (stopped, stopping) = tokio::sync::oneshot::channel::<()>();
    let admin = tokio::spawn(admin::serve(metrics_listener, recorder, async {
        // Either way of ending the wait means that it is time to stop.
        let _ = stopping.await;
    }));

    let options = config.engine();
    let engine = Arc::new(tokio::task::spawn_blocking(move || Engine::open(&options)).await??);
    let manifest = engine.manifest();
    metrics::model(
        &manifest.name,
        &manifest.version,
        engine.provider().name(),
        "float32",
    );
    tracing::info!(
        model = manifest.name,
        version = manifest.version,
        address = %listener.address,
        metrics = %metrics_address,
        onnxruntime = engine.runtime(),
        ready_after_ms = begun.elapsed().as_millis(),
        "serving"
    );
    let grace = config.grace();
    let (stop, cut) = tokio::sync::oneshot::channel();
    let signalled = async move {
        tracing::info!(
            signal = signals.next().await,
            "stopping: requests under way end"
        );
        // The server is gone if nobody hears this.
        let _ = stop.send(());
        tokio::select! {
            () = tokio::time::sleep(grace) => tracing::warn!(?grace, "the grace is over"),
            signal = signals.next() => tracing::warn!(signal, "a second signal: ending at once"),
        }
    };
    server::run(listener, engine, async { drop(cut.await) }, signalled).await?;
    drop(stopped);
    admin.await?;
    tracing::info!("stopped");
    Ok(())
}

/// SIGTERM and SIGINT, heard from the start.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next; gives its name.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
