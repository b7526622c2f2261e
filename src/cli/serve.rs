//! `undertone serve`: binds the addresses, loads and checks the model, serves, and shuts down.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::error::CliError;
use super::message;
use super::signals::Signals;
use crate::address::{Address, Bound};
use crate::config::{self, Config};
use crate::engine::{self, Engine};
use crate::service::{EmotionApi, Health, Listener, ServerError, server};
use crate::telemetry::readiness::Readiness;
use crate::telemetry::{admin, logs, metrics};

/// The flags of `undertone serve`: those of the command itself, and the settings of [`Config`].
#[derive(Debug, Args)]
pub(super) struct Flags {
    /// Configuration file in TOML; a key is a flag's name with `_` instead of `-` [env: UNDERTONE_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the effective configuration as TOML and exit
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    settings: config::Given,
}

/// Number of processors for each network thread. Under full load, network work takes a tenth of the processor time; the
/// rest is decoding and the model. With one network thread on each processor, calls would move between threads without a
/// benefit.
const PROCESSORS_PER_NETWORK_THREAD: usize = 4;

pub(super) fn run(flags: &Flags) -> Result<ExitCode, CliError> {
    let file = flags.config.clone().or_else(config::file);
    let config = Config::load(file.as_deref(), &flags.settings)?;
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
