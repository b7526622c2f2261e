//! gRPC health checking. The service and the server as a whole have the same status.

use tonic::server::NamedService as _;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use super::emotion::EmotionApi;
use super::pb::emotion_service_server::EmotionServiceServer;

const SERVICES: [&str; 2] = ["", EmotionServiceServer::<EmotionApi>::NAME];

/// The health status that the server reports. Clones share the status.
#[derive(Clone, Debug)]
pub struct Health(HealthReporter);

impl Health {
    /// Creates the status NOT_SERVING.
    pub async fn new() -> Self {
        let health = Self(HealthReporter::new());
        health.set(ServingStatus::NotServing).await;
        health
    }

    /// Sets the status SERVING.
    pub async fn serving(&self) {
        self.set(ServingStatus::Serving).await;
    }

    /// Sets the status NOT_SERVING and ends the streams of `Watch`. Without the end, a connection with such a stream
    /// would never close.
    pub(super) async fn end(mut self) {
        self.set(ServingStatus::NotServing).await;
        for service in SERVICES {
            self.0.clear_service_status(service).await;
        }
    }

    /// Returns the gRPC service `grpc.health.v1.Health`.
    pub(super) fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.0.clone()))
    }

    async fn set(&self, status: ServingStatus) {
        for service in SERVICES {
            self.0.set_service_status(service, status).await;
        }
    }
}
