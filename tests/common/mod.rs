//! A real server process on its own ports, and real audio.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "each test file mounts it and uses its part"
)]

pub(crate) mod calls;
mod wav;

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tonic::transport::Channel;
use undertone::service::pb::emotion_service_client::EmotionServiceClient;

pub(crate) use wav::wav;

pub type Client = EmotionServiceClient<Channel>;

/// A server process. It ends when this is dropped.
pub struct Server {
    process: Child,
    pub address: String,
    pub metrics: String,
}

impl Server {
    pub fn start() -> Self {
        Self::with(&[])
    }

    pub fn with(flags: &[&str]) -> Self {
        Self::listening("127.0.0.1:0", flags)
    }

    /// Starts a server that listens on `address`.
    pub fn listening(address: &str, flags: &[&str]) -> Self {
        let addresses = ["--listen", address, "--metrics-listen", "127.0.0.1:0"];
        Self::spawned(&[&addresses, flags].concat())
    }

    /// Starts a server with these flags only.
    pub fn spawned(flags: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_undertone"))
            .arg("serve")
            .args(["--log-format", "json"])
            .args(flags)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let ready = loop {
            let line = lines
                .next()
                .expect("the server ended before it served")
                .unwrap();
            match serde_json::from_str::<serde_json::Value>(&line) {
                Ok(event) if event["fields"]["message"] == "serving" => break event,
                _ => eprintln!("server: {line}"),
            }
        };
        // The pipe must be read on, otherwise a server that logs much would block.
        std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .for_each(|line| eprintln!("server: {line}"));
        });
        let field = |name: &str| ready["fields"][name].as_str().unwrap().to_owned();
        Self {
            process,
            address: field("address"),
            metrics: field("metrics"),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub async fn channel(&self) -> Channel {
        Channel::from_shared(self.url())
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    pub async fn client(&self) -> Client {
        EmotionServiceClient::new(self.channel().await)
    }

    /// Returns the id of the process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends SIGTERM and waits for the end of the process.
    pub fn terminate(self) -> std::process::ExitStatus {
        self.signal();
        self.ended()
    }

    /// Sends SIGTERM.
    pub fn signal(&self) {
        let id = self.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for the end of the process.
    pub fn ended(mut self) -> std::process::ExitStatus {
        self.process.wait().unwrap()
    }

    /// Returns the text that Prometheus scrapes.
    pub fn scrape(&self) -> String {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect(&self.metrics).unwrap();
        write!(
            stream,
            "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        body.to_owned()
    }

    /// Returns the value of one sample in [`Server::scrape`], by its name and labels as written there.
    pub fn metric(&self, sample: &str) -> f64 {
        let scrape = self.scrape();
        let line = scrape
            .lines()
            .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns a fixture in the repository: `tests/audio/NAME`.
pub fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/audio")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Speech of the call between a customer and an agent: two channels, 8 kHz.
pub fn call() -> Vec<u8> {
    fixture("call.flac")
}

/// Speech read from a book: one channel, 16 kHz.
pub fn book() -> Vec<u8> {
    fixture("book.flac")
}

/// Returns a tone with slowly changing amplitude, at most half of full scale.
pub fn tone(samples: usize) -> Vec<f32> {
    (0..samples)
        .map(|i| 0.5 * (i as f32 * 0.2).sin() * (i as f32 * 0.001).sin().abs())
        .collect()
}

/// Returns a port that was free a moment ago, for a server that does not report the port that it chose.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
