//! Starting, configuring and watching a server.

/// Where ONNX Runtime's library is found.
mod library {
    use std::path::{Path, PathBuf};
    use std::process::{Command, Output};

    use undertone::runtime::Library;

    use crate::common;

    /// A copy of the program in a folder of its own, and a recording beside it.
    fn elsewhere() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("undertone");
        std::fs::copy(env!("CARGO_BIN_EXE_undertone"), &program).unwrap();
        std::fs::write(folder.path().join("book.flac"), common::book()).unwrap();
        (folder, program)
    }

    /// Classifies the recording with nothing in the environment that names a library.
    fn classify(program: &Path) -> Output {
        Command::new(program)
            .current_dir(program.parent().unwrap())
            .args(["classify", "book.flac"])
            .env_clear()
            .output()
            .unwrap()
    }

    #[test]
    fn the_library_beside_the_program_comes_before_the_builds() {
        let real = Library::load(None).unwrap().path;
        for place in ["", "lib"] {
            let (folder, program) = elsewhere();
            let place = folder.path().join(place);
            std::fs::create_dir_all(&place).unwrap();
            let library = place.join(real.file_name().unwrap());
            std::fs::write(&library, "no library").unwrap();
            let refused = classify(&program);
            let said = String::from_utf8_lossy(&refused.stderr);
            assert!(!refused.status.success(), "another library was loaded");
            assert!(said.contains(&library.display().to_string()), "{said}");

            std::fs::copy(&real, &library).unwrap();
            let answered = classify(&program);
            let said = String::from_utf8_lossy(&answered.stderr);
            assert!(answered.status.success(), "{said}");
            assert!(String::from_utf8_lossy(&answered.stdout).contains("book.flac"));
        }
    }
}

/// Memory goes back to the system after a peak.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod memory {
    use std::time::{Duration, Instant};

    use tokio::task::JoinSet;
    use undertone::service::pb::ClassifyRequest;

    use crate::common::{self, Server};

    /// Recordings at a time.
    const RECORDINGS: usize = 8;
    /// Seconds of each.
    const SECONDS: usize = 360;
    /// Seconds of a recording with so many samples a second that its message is hardly below the limit.
    const SHORT_SECONDS: usize = 75;
    const HIGH_RATE: u32 = 192_000;
    /// What the peak must have needed beyond the memory at rest, so that there is something to give back.
    const PEAK_MIB: f64 = 80.0;
    /// What may be left of it.
    const LEFT_MIB: f64 = 40.0;
    /// How long a server may take to give memory back; it looks every five seconds.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// A field of a server's `/proc/PID/status` in MiB.
    fn mib(server: &Server, field: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kib = line.unwrap().trim_start_matches(':').trim_end_matches("kB");
        kib.trim().parse::<f64>().unwrap() / 1024.0
    }

    fn request(audio: bytes::Bytes) -> ClassifyRequest {
        ClassifyRequest {
            audio,
            ..ClassifyRequest::default()
        }
    }

    #[tokio::test]
    async fn memory_of_long_recordings_goes_back_to_the_system() {
        let server = Server::start();
        let book = request(common::book().into());
        server.client().await.classify(book).await.unwrap();
        let rest = mib(&server, "VmRSS");
        // glibc keeps by itself twice as much of each heap as the largest piece was that it ever gave back.
        let tone = common::tone(SHORT_SECONDS * HIGH_RATE as usize);
        let large = request(common::wav(&tone, HIGH_RATE).into());
        server.client().await.classify(large).await.unwrap();
        let tone = common::tone(SECONDS * 8_000);
        let long = bytes::Bytes::from(common::wav(&tone, 8_000));
        let mut calls = JoinSet::new();
        for _ in 0..RECORDINGS {
            let (mut client, long) = (server.client().await, request(long.clone()));
            calls.spawn(async move { client.classify(long).await.unwrap() });
        }
        calls.join_all().await;
        let (peak, after) = (mib(&server, "VmHWM"), mib(&server, "VmRSS"));
        assert!(
            peak > rest + PEAK_MIB,
            "{rest:.0} MiB at rest, {peak:.0} at peak"
        );
        let begun = Instant::now();
        let mut left = after;
        while left > rest + LEFT_MIB {
            assert!(
                begun.elapsed() < PATIENCE,
                "{rest:.0} MiB at rest, {peak:.0} at peak, {after:.0} after it, and still {left:.0}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
            left = mib(&server, "VmRSS");
        }
        println!("{rest:.0} MiB at rest, {peak:.0} at peak, {after:.0} after it, {left:.0} later");
    }
}
