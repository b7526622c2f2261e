//! gRPC health of the service and of the server as a whole, which are one.

use tonic::server::NamedService as _;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use super::emotion::EmotionApi;
use super::pb::emotion_service_server::EmotionServiceServer;

const SERVICES: [&str; 2] = ["", EmotionServiceServer::<EmotionApi>::NAME];

/// What is answered to who asks for health. Clones are one.
#[derive(Clone, Debug)]
pub struct Health(HealthReporter);

impl Health {
    /// NOT_SERVING.
    pub async fn new() -> Self {
        let health = Self(HealthReporter::new());
        health.set(ServingStatus::NotServing).await;
        health
    }

    /// SERVING from now on.
    pub async fn serving(&self) {
        self.set(ServingStatus::Serving).await;
    }

    /// NOT_SERVING, and then the end of the streams of those who watch: a connection that somebody watches
    /// would stay open for ever.
    pub(super) async fn end(mut self) {
        self.set(ServingStatus::NotServing).await;
        for service in SERVICES {
            self.0.clear_service_status(service).await;
        }
    }

    pub(super) fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.0.clone()))
    }

    async fn set(&self, status: ServingStatus) {
        for service in SERVICES {
            self.0.set_service_status(service, status).await;
        }
    }
}
