//! Compiles the protocol without an installed protoc, and provides ONNX Runtime's shared library.

#[path = "build/onnxruntime.rs"]
mod onnxruntime;
#[path = "build/protocol.rs"]
mod protocol;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    let enabled = |feature: &str| std::env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    if enabled("SERVER") {
        protocol::compile();
    }
    if enabled("RUNTIME") {
        onnxruntime::provide(enabled("FETCH_ONNXRUNTIME"));
    }
}
