//! Layers of the stack that are one function each: what happens to a call on its way in and out.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tonic::body::Body;
use tower::{Layer, Service};

/// The answer to come of a call.
pub(super) type AnswerFuture<E> =
    Pin<Box<dyn Future<Output = Result<http::Response<Body>, E>> + Send>>;

/// What lies behind a layer.
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

/// What a layer does.
pub(super) trait Intercept {
    /// Passes a call on to `inner`, or answers it without.
    fn call<S: InnerService>(
        &self,
        request: http::Request<Body>,
        inner: &mut S,
    ) -> AnswerFuture<S::Error>;
}

/// A layer that does this.
#[derive(Clone, Copy, Debug)]
pub(super) struct InterceptLayer<A>(pub(super) A);

impl<A: Clone, S> Layer<S> for InterceptLayer<A> {
    type Service = InterceptService<A, S>;

    fn layer(&self, inner: S) -> Self::Service {
        InterceptService {
            around: self.0.clone(),
            inner,
        }
    }
}

/// See [`InterceptLayer`].
#[derive(Clone, Debug)]
pub(super) struct InterceptService<A, S> {
    around: A,
    inner: S,
}

impl<A: Intercept, S: InnerService> Service<http::Request<Body>> for InterceptService<A, S> {
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = AnswerFuture<S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.around.call(request, &mut self.inner)
    }
}
