//! The search for ONNX Runtime's library.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use undertone::runtime::Library;

/// Returns the library that a server loads if no environment variable names one.
fn loaded_by(program: &Path) -> String {
    let mut server = Command::new(program)
        .args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen"])
        .args(["127.0.0.1:0", "--log-format", "json"])
        .env_clear()
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(server.stderr.take().unwrap()).lines();
    let lines = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let mut told = lines.map(|line| line["fields"]["onnxruntime"].as_str().map(str::to_owned));
    let library = told
        .find_map(|library| library)
        .expect("a server that serves");
    server.kill().unwrap();
    server.wait().unwrap();
    library
}

#[test]
fn the_library_beside_the_program_is_preferred_to_that_of_the_build() {
    let real = Library::load(None).unwrap().path;
    for place in ["", "lib"] {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("undertone");
        std::fs::copy(env!("CARGO_BIN_EXE_undertone"), &program).unwrap();
        let place = folder.path().join(place);
        std::fs::create_dir_all(&place).unwrap();
        let library = place.join(real.file_name().unwrap());
        std::fs::copy(&real, &library).unwrap();
        let loaded = loaded_by(&program);
        assert!(
            loaded.starts_with(&library.display().to_string()),
            "{loaded}"
        );
    }
}
