//! Layers of the stack that are one function each: what happens to a call on its way in and out.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tonic::body::Body;
use tower::{Layer, Service};

/// The answer to come of a call.
pub(super) type Answer<E> = Pin<Box<dyn Future<Output = Result<http::Response<Body>, E>> + Send>>;

/// What lies behind a layer.
pub(super) trait Inner:
    Service<
        http::Request<Body>,
        Response = http::Response<Body>,
        Error: Send + 'static,
        Future: Send + 'static,
    >
{
}

impl<S> Inner for S where
    S: Service<
            http::Request<Body>,
            Response = http::Response<Body>,
            Error: Send + 'static,
            Future: Send + 'static,
        >
{
}

/// What a layer does.
pub(super) trait Around {
    /// Passes a call on to `inner`, or answers it without.
    fn call<S: Inner>(&self, request: http::Request<Body>, inner: &mut S) -> Answer<S::Error>;
}

/// A layer that does this.
#[derive(Clone, Copy, Debug)]
pub(super) struct AroundLayer<A>(pub(super) A);

impl<A: Clone, S> Layer<S> for AroundLayer<A> {
    type Service = AroundService<A, S>;

    fn layer(&self, inner: S) -> Self::Service {
        AroundService {
            around: self.0.clone(),
            inner,
        }
    }
}

/// See [`AroundLayer`].
#[derive(Clone, Debug)]
pub(super) struct AroundService<A, S> {
    around: A,
    inner: S,
}

impl<A: Around, S: Inner> Service<http::Request<Body>> for AroundService<A, S> {
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Answer<S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.around.call(request, &mut self.inner)
    }
}
