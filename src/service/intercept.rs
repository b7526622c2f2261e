//! Layers of the server's stack, each written as one function that sees the request and the response of a call.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tonic::body::Body;
use tower::{Layer, Service};

/// The future response of a call.
pub(super) type AnswerFuture<E> =
    Pin<Box<dyn Future<Output = Result<http::Response<Body>, E>> + Send>>;

/// The service inside a layer.
pub(super) trait InnerService:
    Service<
        http::Request<Body>,
        Response = http::Response<Body>,
        Error: Send + 'static,
        Future: Send + 'static,
    >
{
}

impl<S> InnerService for S where
    S: Service<
            http::Request<Body>,
            Response = http::Response<Body>,
            Error: Send + 'static,
            Future: Send + 'static,
        >
{
}

/// The function of a layer.
pub(super) trait Intercept {
    /// Passes a call to `inner`, or answers it without `inner`.
    fn call<S: InnerService>(
        &self,
        request: http::Request<Body>,
        inner: &mut S,
    ) -> AnswerFuture<S::Error>;
}

/// A tower layer that applies an [`Intercept`].
#[derive(Clone, Copy, Debug)]
pub(super) struct InterceptLayer<I>(pub(super) I);

impl<I: Clone, S> Layer<S> for InterceptLayer<I> {
    type Service = InterceptService<I, S>;

    fn layer(&self, inner: S) -> Self::Service {
        InterceptService {
            intercept: self.0.clone(),
            inner,
        }
    }
}

/// The service that [`InterceptLayer`] makes of an inner service.
#[derive(Clone, Debug)]
pub(super) struct InterceptService<I, S> {
    intercept: I,
    inner: S,
}

impl<I: Intercept, S: InnerService> Service<http::Request<Body>> for InterceptService<I, S> {
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = AnswerFuture<S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.intercept.call(request, &mut self.inner)
    }
}
