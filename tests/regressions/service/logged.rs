//! A server process with a readable log, from before its model is loaded.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;
use tonic::transport::Channel;

/// Far longer than any response takes. A server that hangs fails its test.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Logged {
    process: Child,
    lines: Receiver<Value>,
    pub(super) address: String,
    pub(super) metrics: String,
}

impl Logged {
    /// Starts a server and waits until it listens.
    pub(super) fn listening(flags: &[&str]) -> Self {
        Self::run(Command::new(env!("CARGO_BIN_EXE_undertone")), flags)
    }

    /// Starts a server with a command that passes these flags on.
    pub(super) fn run(mut command: Command, flags: &[&str]) -> Self {
        let mut process = command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(["--metrics-listen", "127.0.0.1:0", "--log-format", "json"])
            .args(flags)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let read = BufReader::new(process.stderr.take().unwrap()).lines();
        let (written, lines) = channel();
        std::thread::spawn(move || {
            for line in read.map_while(Result::ok) {
                println!("server: {line}");
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if written.send(line).is_err() {
                    return;
                }
            }
        });
        let mut server = Self {
            process,
            lines,
            address: String::new(),
            metrics: String::new(),
        };
        let listening = server.line("listening");
        let field = |name: &str| listening["fields"][name].as_str().unwrap().to_owned();
        (server.address, server.metrics) = (field("address"), field("metrics"));
        server
    }

    /// Waits for the next line with this message.
    pub(super) fn line(&self, message: &str) -> Value {
        self.lines_until(message).pop().unwrap()
    }

    /// Waits for the next line with a field of this name.
    pub(super) fn line_with(&self, field: &str) -> Value {
        loop {
            let line = self.next_line(field);
            if !line["fields"][field].is_null() {
                return line;
            }
        }
    }

    fn next_line(&self, wanted: &str) -> Value {
        let next = self.lines.recv_timeout(PATIENCE);
        next.unwrap_or_else(|error| panic!("no line has {wanted:?}: {error}"))
    }

    /// Returns the lines up to and including the next one with this message.
    pub(super) fn lines_until(&self, message: &str) -> Vec<Value> {
        let mut lines = Vec::new();
        loop {
            let line = self.next_line(message);
            let found = line["fields"]["message"] == message;
            lines.push(line);
            if found {
                return lines;
            }
        }
    }

    pub(super) async fn channel(&self) -> Channel {
        let url = format!("http://{}", self.address);
        Channel::from_shared(url).unwrap().connect().await.unwrap()
    }

    /// Returns status and body of a GET on the admin listener.
    pub(super) fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.metrics).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        (code, body.to_owned())
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends SIGTERM.
    pub(super) fn terminate(&self) {
        let id = self.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end of the process. Also returns the lines that have not been read.
    pub(super) fn ended(mut self) -> (ExitStatus, Vec<Value>) {
        let status = self.process.wait().unwrap();
        (status, self.lines.iter().collect())
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
