//! The server before its model is loaded and at its end.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tonic::{Code, Streaming};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use undertone::bundle::{Bundle, embedded, writer};
use undertone::service::pb::emotion_service_client::EmotionServiceClient;
use undertone::service::pb::{BatchClassifyRequest, ClassifyRequest, GetModelRequest};

use super::logged::Logged;
use crate::common;

const SERVICES: [&str; 2] = ["", "undertone.v1.EmotionService"];

/// A bundle that cannot be opened until this is released. Another process has a lease on its manifest, and the system
/// blocks the opening of a file with a lease.
struct Held {
    folder: tempfile::TempDir,
    holder: Child,
}

const HOLD: &str = "
import fcntl, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = open(sys.argv[1], 'r+b')
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print('held', flush=True)
sys.stdin.read()
";

impl Held {
    fn new() -> Self {
        // Not every file system has leases. One in memory has.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        };
        let folder = folder.unwrap();
        let bundle = folder.path().join("bundle");
        writer::write(&Bundle::from_files(embedded::files()).unwrap(), &bundle).unwrap();
        let mut holder = Command::new("python3")
            .args(["-c", HOLD])
            .arg(bundle.join("bundle.toml"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut says = BufReader::new(holder.stdout.as_mut().unwrap());
        says.read_line(&mut said).unwrap();
        assert_eq!(said, "held\n");
        Self { folder, holder }
    }

    fn server(&self) -> Logged {
        let bundle = self.folder.path().join("bundle");
        Logged::listening(&["--bundle", bundle.to_str().unwrap()])
    }

    /// Ends the lease, so that the bundle can be opened.
    fn release(&mut self) {
        drop(self.holder.stdin.take());
        self.holder.wait().unwrap();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}

fn asked(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.into(),
    }
}

async fn next(watched: &mut Streaming<HealthCheckResponse>) -> Option<ServingStatus> {
    let update = watched.message().await.unwrap();
    update.map(|update| update.status())
}

#[tokio::test]
async fn health_and_readiness_change_when_the_model_is_warm_and_when_the_server_drains() {
    let mut held = Held::new();
    let server = held.server();
    let channel = server.channel().await;
    let mut health = HealthClient::new(channel.clone());
    for service in SERVICES {
        let answer = health.check(asked(service)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::NotServing, "{service:?}");
    }
    let mut client = EmotionServiceClient::new(channel);
    let audio = || ClassifyRequest {
        audio: common::book().into(),
        ..Default::default()
    };
    let item = BatchClassifyRequest {
        id: "1".into(),
        request: Some(audio()),
    };
    let refused = [
        client.classify(audio()).await.unwrap_err(),
        client
            .get_model(GetModelRequest::default())
            .await
            .unwrap_err(),
        client
            .batch_classify(futures_util::stream::iter([item]))
            .await
            .unwrap_err(),
    ];
    for status in refused {
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        assert!(status.message().contains("being loaded"), "{status}");
    }
    assert_eq!(server.get("/healthz"), (200, "the process runs\n".into()));
    let (code, reason) = server.get("/readyz");
    assert_eq!(code, 503);
    assert!(reason.contains("being loaded"), "{reason}");
    let (code, metrics) = server.get("/metrics");
    assert_eq!(code, 200);
    assert!(metrics.contains("undertone_build_info"), "{metrics}");
    assert_eq!(server.get("/").0, 404);

    let mut watched = Vec::new();
    for service in SERVICES {
        watched.push(health.watch(asked(service)).await.unwrap().into_inner());
    }
    for watched in &mut watched {
        assert_eq!(next(watched).await, Some(ServingStatus::NotServing));
    }
    held.release();
    for watched in &mut watched {
        assert_eq!(next(watched).await, Some(ServingStatus::Serving));
    }
    let serving = server.line("serving");
    assert_eq!(serving["fields"]["address"], *server.address);
    assert_eq!(server.get("/readyz"), (200, "ready\n".into()));
    assert!(client.classify(audio()).await.is_ok());

    server.terminate();
    for watched in &mut watched {
        assert_eq!(next(watched).await, Some(ServingStatus::NotServing));
        assert_eq!(next(watched).await, None);
    }
    drop((health, client, watched));
    assert_eq!(server.ended().0.code(), Some(0));
}

#[test]
fn a_signal_during_loading_ends_the_process_successfully() {
    // The loading of the first bundle cannot be stopped, that of the second can.
    let held = Held::new();
    for server in [held.server(), Logged::listening(&[])] {
        server.terminate();
        let (status, lines) = server.ended();
        assert_eq!(status.code(), Some(0));
        let mut messages = lines.iter().map(|line| &line["fields"]["message"]);
        assert_eq!(messages.next_back().unwrap(), "stopped");
    }
}
