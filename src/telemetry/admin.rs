//! The admin HTTP listener: `/metrics` for Prometheus, `/healthz` and `/readyz` for probes.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use futures_util::future::join_all;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::accept::AcceptErrors;
use super::readiness::Readiness;

/// Largest number of concurrent connections of one listener. A scraper and a prober need one connection each; more than
/// this is a mistake or an attack.
const MAX_CONNECTIONS: usize = 32;
/// Time in which a client must send the head of its request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves on all listeners and maintains the metrics until `stop` completes.
pub async fn serve(
    listeners: Vec<TcpListener>,
    metrics: PrometheusHandle,
    readiness: Readiness,
    stop: impl Future<Output = ()>,
) {
    let accepting = listeners
        .into_iter()
        .map(|listener| accept(listener, metrics.clone(), readiness.clone()));
    tokio::select! {
        () = stop => {}
        _ = join_all(accepting) => {}
        _ = maintain(&metrics) => {}
    }
    super::calls::report_left_out();
}

/// Maintains the metrics of the process every [`super::metrics::UPKEEP`]. Must run once a process, because a gauge covers
/// the time since the last run.
async fn maintain(metrics: &PrometheusHandle) -> Infallible {
    let mut upkeep = tokio::time::interval(super::metrics::UPKEEP);
    loop {
        upkeep.tick().await;
        super::calls::report_left_out();
        let metrics = metrics.clone();
        // This takes milliseconds under load, for which calls would wait on a network thread.
        let maintained = tokio::task::spawn_blocking(move || {
            super::batches::busy_since_last();
            metrics.run_upkeep();
        });
        if let Err(error) = maintained.await {
            tracing::error!(%error, "the upkeep of the metrics panicked; it runs again after its interval");
        }
    }
}

/// Serves one listener. Its connections end when this future is dropped.
async fn accept(
    listener: TcpListener,
    metrics: PrometheusHandle,
    readiness: Readiness,
) -> Infallible {
    let mut connections = JoinSet::new();
    let mut errors = AcceptErrors::new("metrics");
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => {
                let stream = match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        if let Some(pause) = errors.pause_after(&error) {
                            tokio::time::sleep(pause).await;
                        }
                        continue;
                    }
                };
                let (metrics, readiness) = (metrics.clone(), readiness.clone());
                let service = service_fn(move |request| {
                    let (metrics, readiness) = (metrics.clone(), readiness.clone());
                    async move { Ok::<_, Infallible>(answer(&request, metrics, &readiness).await) }
                });
                connections.spawn(async move {
                    // An error means that the client closed the connection, which needs no action.
                    let _ = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(HEAD_TIMEOUT)
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        }
    }
}

async fn answer(
    request: &Request<Incoming>,
    metrics: PrometheusHandle,
    readiness: &Readiness,
) -> Response<Full<Bytes>> {
    let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
    let (status, body) = match request.uri().path() {
        "/metrics" | "/healthz" | "/readyz" if !is_get => (
            StatusCode::METHOD_NOT_ALLOWED,
            "this path accepts only GET\n".into(),
        ),
        "/metrics" => rendered(metrics).await,
        // A response by itself shows that the process is alive.
        "/healthz" => (StatusCode::OK, "the process runs\n".into()),
        "/readyz" => match readiness.state().reason() {
            None => (StatusCode::OK, "ready\n".into()),
            Some(reason) => (
                StatusCode::SERVICE_UNAVAILABLE,
                format!("not ready: {reason}\n"),
            ),
        },
        _ => (
            StatusCode::NOT_FOUND,
            "this server has only /metrics, /healthz and /readyz\n".into(),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let plain = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

async fn rendered(metrics: PrometheusHandle) -> (StatusCode, String) {
    let rendered = tokio::task::spawn_blocking(move || {
        metrics_process::Collector::default().collect();
        metrics.render()
    });
    match rendered.await {
        Ok(rendered) => (StatusCode::OK, rendered),
        Err(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics cannot be rendered; see the log\n".into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn all_listeners_are_served_until_the_server_is_stopped() {
        let mut listeners = Vec::new();
        for _ in 0..2 {
            listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
        }
        let addresses = listeners.iter().map(|each| each.local_addr().unwrap());
        let addresses: Vec<_> = addresses.collect();
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(serve(listeners, metrics, Readiness::default(), async {
            drop(stopped.await);
        }));
        for address in addresses {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            stream.write_all(head).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        drop(stop);
        serving.await.unwrap();
    }
}
