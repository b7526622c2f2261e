//! The layer that refuses calls while the model is loaded, before a byte of their bodies is read.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tonic::body::Body;
use tower::{Layer, Service};

use super::pb::emotion_service_server::SERVICE_NAME;
use super::status;
use crate::telemetry::readiness::{Readiness, State};

/// Refuses.
#[derive(Clone, Debug)]
pub(super) struct GateLayer(pub(super) Readiness);

impl<S> Layer<S> for GateLayer {
    type Service = GateService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GateService {
            inner,
            readiness: self.0.clone(),
        }
    }
}

/// See [`GateLayer`].
#[derive(Clone, Debug)]
pub(super) struct GateService<S> {
    inner: S,
    readiness: Readiness,
}

impl<S> Service<http::Request<Body>> for GateService<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let path = request.uri().path();
        let needs_model = path.split('/').nth(1) == Some(SERVICE_NAME);
        if needs_model && self.readiness.state() == State::Loading {
            return Box::pin(std::future::ready(Ok(status::loading().into_http())));
        }
        Box::pin(self.inner.call(request))
    }
}
