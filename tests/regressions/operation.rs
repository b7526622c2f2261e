//! Start, configuration and metrics of a server.

mod library;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod memory;

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tonic::Code;
use undertone::service::pb::GetModelRequest;

use crate::common::{Client, Server, free_port};

/// Runs `undertone serve --check` without the environment variables that a developer may have set.
fn check(flags: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_undertone"))
        .args(["serve", "--check"])
        .args(flags)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Returns the printed configuration.
fn printed(flags: &[&str], environment: &[(&str, &str)]) -> String {
    let output = check(flags, environment);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// Starts a server that may log nothing, and waits for at most a minute until it listens.
fn start(flags: &[&str], environment: &[(&str, &str)]) -> (Child, u16) {
    let port = free_port();
    let mut server = Command::new(env!("CARGO_BIN_EXE_undertone"))
        .args(["serve", "--listen", &format!("127.0.0.1:{port}")])
        .args(["--metrics-listen", "127.0.0.1:0", "--workers", "1"])
        .args(flags)
        .envs(environment.iter().copied())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        let ended = server.try_wait().unwrap();
        assert!(ended.is_none(), "{flags:?} {environment:?}: {ended:?}");
        assert!(begun.elapsed() < Duration::from_secs(60), "{flags:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    (server, port)
}

#[test]
fn a_flag_comes_before_the_environment_and_the_file_and_tables_are_merged() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("serve.toml");
    std::fs::write(&file, "workers = 3\n[tenant_weights]\nred = 5\nblue = 5\n").unwrap();
    let flags = [
        "--config",
        file.to_str().unwrap(),
        "--tenant-weights",
        "{green = 2}",
    ];
    let environment = [
        ("UNDERTONE_WORKERS", "4"),
        ("UNDERTONE_TENANT_WEIGHTS", "{red = 7, green = 7}"),
    ];
    let all = printed(&flags, &environment);
    for line in ["workers = 4", "red = 7", "blue = 5", "green = 2"] {
        assert!(all.lines().any(|printed| printed == line), "{line}: {all}");
    }
}

// The client must answer the end of the connection while the test waits for the server's end.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_works_with_any_log_level() {
    let flag = |level| (vec!["--log", level], vec![]);
    let levels = ["off", "error", "warn", "info", "debug", "trace"].map(flag);
    let directives = ["undertone=warn", "info,undertone=off"].map(flag);
    let variable = (vec![], vec![("UNDERTONE_LOG", "warn")]);
    for (flags, environment) in levels.into_iter().chain(directives).chain([variable]) {
        let (mut server, port) = start(&flags, &environment);
        let mut client = Client::connect(format!("http://127.0.0.1:{port}"))
            .await
            .unwrap();
        let model = loop {
            match client.get_model(GetModelRequest::default()).await {
                Ok(model) => break model.into_inner(),
                // It listens before the model is loaded.
                Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(!model.labels.is_empty());
        let id = server.id().to_string();
        let told = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(told.success());
        let ended = server.wait().unwrap();
        assert!(ended.success(), "{flags:?} {environment:?}: {ended}");
    }
}

#[test]
fn a_filter_that_would_log_nothing_is_refused_with_an_example() {
    for filter in ["wran", "undertone", "info,undertone=loud", "[", " "] {
        for output in [
            check(&["--log", filter], &[]),
            check(&[], &[("UNDERTONE_LOG", &format!("{filter},"))]),
        ] {
            assert_eq!(output.status.code(), Some(1), "{filter}");
            let errors = text(&output.stderr);
            assert!(errors.contains("`log` is"), "{errors}");
            assert!(errors.contains("info,undertone=debug"), "{errors}");
        }
    }
}

/// Classifies a fixture on the server at `address`.
fn classify(address: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_undertone"))
        .args(["classify", "--server", address, "book.flac"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audio"))
        .output()
        .unwrap()
}

#[test]
fn names_ipv6_and_unix_sockets_are_listened_on_and_called() {
    let folder = tempfile::tempdir().unwrap();
    let socket = format!("unix:{}/u.sock", folder.path().display());
    let mut addresses = vec!["localhost:0".to_owned(), "[::]:0".into(), "[::1]:0".into()];
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        addresses.truncate(1);
    }
    addresses.push(socket);
    for address in addresses {
        let server = Server::listening(&address, &[]);
        for bound in server.address.split(", ") {
            for url in [bound.to_owned(), format!("http://{bound}")] {
                if address.starts_with("unix:") && url.starts_with("http:") {
                    continue;
                }
                let output = classify(&url);
                assert!(output.status.success(), "{url}: {}", text(&output.stderr));
                assert!(text(&output.stdout).contains("book.flac"), "{url}");
            }
        }
        assert!(server.terminate().success(), "{address}");
    }
}

#[test]
fn metrics_are_also_served_under_a_host_name() {
    let port = free_port().to_string();
    let metrics = format!("localhost:{port}");
    let server = Server::spawned(&["--listen", "127.0.0.1:0", "--metrics-listen", &metrics]);
    let answered = server.metrics.split(", ").map(|address| {
        assert!(address.ends_with(&port), "{address}");
        TcpStream::connect(address).is_ok()
    });
    assert!(answered.into_iter().all(|answered| answered));
}

#[test]
fn the_socket_of_a_dead_server_is_replaced_and_that_of_a_running_server_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("u.sock");
    let address = format!("unix:{}", path.display());
    let killed = Server::listening(&address, &[]);
    // SIGKILL, so that the server cannot remove its file.
    drop(killed);
    assert!(path.exists());
    let server = Server::listening(&address, &[]);
    let second = Command::new(env!("CARGO_BIN_EXE_undertone"))
        .args([
            "serve",
            "--listen",
            &address,
            "--metrics-listen",
            "127.0.0.1:0",
        ])
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    let errors = text(&second.stderr);
    assert!(errors.contains("another server listens there"), "{errors}");
    assert!(classify(&address).status.success());
    assert!(server.terminate().success());
    assert!(!path.exists());
}

#[test]
fn the_usual_forms_of_addresses_are_accepted_in_flags_variables_and_files() {
    for (written, listen) in [
        ("localhost:50051", "localhost:50051"),
        ("localhost", "localhost:50051"),
        ("[::]", "[::]:50051"),
        ("[::1]:7", "[::1]:7"),
        ("unix:/run/u.sock", "unix:/run/u.sock"),
    ] {
        let line = format!("listen = \"{listen}\"\n");
        let folder = tempfile::tempdir().unwrap();
        let file = file(folder.path(), &format!("listen = \"{written}\""));
        for printed in [
            printed(&["--listen", written], &[]),
            printed(&[], &[("UNDERTONE_LISTEN", written)]),
            printed(&["--config", &file], &[]),
        ] {
            assert!(printed.contains(&line), "{written}: {printed}");
        }
    }
    for (flags, environment, code) in [
        (vec!["--listen", ":50051"], vec![], 2),
        (vec![], vec![("UNDERTONE_LISTEN", ":50051")], 1),
        (vec!["--listen", "50051"], vec![], 2),
        (vec![], vec![("UNDERTONE_LISTEN", "50051")], 1),
    ] {
        let output = check(&flags, &environment);
        assert_eq!(output.status.code(), Some(code), "{flags:?}");
        let errors = text(&output.stderr);
        assert!(errors.contains("127.0.0.1:50051"), "{errors}");
    }
}

/// Writes a configuration file.
fn file(folder: &Path, content: &str) -> String {
    let path = folder.join("undertone.toml");
    std::fs::write(&path, content).unwrap();
    path.display().to_string()
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let keys = [
        "CONFIG",
        "LISTEN",
        "METRICS_LISTEN",
        "BUNDLE",
        "ONNXRUNTIME",
        "DEVICE",
        "WORKERS",
        "THREADS",
        "MAX_REQUESTS",
        "BULK_SHARE",
        "TENANT_WEIGHTS",
        "MAX_AUDIO_SECONDS",
        "LOG_FORMAT",
        "LOG",
    ];
    let names = keys.map(|key| format!("UNDERTONE_{key}"));
    let empty: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    assert_eq!(printed(&[], &empty), printed(&[], &[]));
}

#[test]
fn a_misspelt_variable_or_key_is_named() {
    let others = [
        ("UNDERTONE_SERVICE_HOST", "10.0.0.1"),
        ("UNDERTONE_SERVICE_PORT", "50051"),
        ("UNDERTONE_PORT", "tcp://10.0.0.1:50051"),
        ("UNDERTONE_PORT_50051_TCP_ADDR", "10.0.0.1"),
    ];
    let quiet = check(&[], &others);
    assert_eq!(text(&quiet.stderr), "");
    for (variable, meant) in [
        ("UNDERTONE_WORKRS", "UNDERTONE_WORKERS"),
        ("UNDERTONE_LOGFORMAT", "UNDERTONE_LOG_FORMAT"),
        ("UNDERTONE_LISTNE", "UNDERTONE_LISTEN"),
        ("UNDERTONE_CONFG", "UNDERTONE_CONFIG"),
    ] {
        let output = check(&[], &[(variable, "4")]);
        assert!(output.status.success());
        let warning = format!("{variable} sets nothing; did you mean {meant}?");
        assert!(text(&output.stderr).contains(&warning), "{output:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path(), "workrs = 4");
    let output = check(&["--config", &file], &[]);
    assert_eq!(output.status.code(), Some(1));
    let errors = text(&output.stderr);
    assert!(errors.contains("did you mean `workers`?"), "{errors}");
}

#[test]
fn a_tenant_without_a_share_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path(), "[tenant_weights]\nacme = 2\narchive = 0");
    for output in [
        check(&["--config", &file], &[]),
        check(&[], &[("UNDERTONE_TENANT_WEIGHTS", "{archive=0}")]),
    ] {
        assert_eq!(output.status.code(), Some(1));
        let errors = text(&output.stderr);
        assert!(errors.contains("`tenant_weights.archive` is 0"), "{errors}");
    }
}

#[test]
fn a_printed_configuration_is_the_effective_one_and_can_be_loaded_again() {
    let folder = tempfile::tempdir().unwrap();
    let original = file(
        folder.path(),
        "workers = 2\nmax_channels = 2\n[tenant_weights]\nacme = 3",
    );
    let checked = printed(
        &["--config", &original, "--workers", "4"],
        &[("UNDERTONE_WORKERS", "3"), ("UNDERTONE_MAX_CHANNELS", "4")],
    );
    for line in [
        "workers = 4",
        "max_channels = 4",
        "acme = 3",
        "# bundle is not set",
    ] {
        assert!(checked.contains(line), "{checked}");
    }
    let again = file(folder.path(), &checked);
    assert_eq!(printed(&["--config", &again], &[]), checked);
    assert_eq!(printed(&[], &[("UNDERTONE_CONFIG", &again)]), checked);
    let broken = check(&["--workers", "0"], &[]);
    assert_eq!(broken.status.code(), Some(1));
    assert_eq!(text(&broken.stdout), "");
}
