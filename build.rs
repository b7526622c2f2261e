//! Build script: generates the protocol's Rust code, without an installed protoc, and provides ONNX Runtime's shared
//! library.

#[path = "build/onnxruntime.rs"]
mod onnxruntime;
#[path = "build/protocol.rs"]
mod protocol;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    let enabled = |feature: &str| std::env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    let protocol = if enabled("SERVER") {
        protocol::compile()
    } else {
        Ok(())
    };
    let library = if enabled("RUNTIME") {
        onnxruntime::provide(enabled("FETCH_ONNXRUNTIME"))
    } else {
        Ok(())
    };
    for cause in [protocol, library].into_iter().filter_map(Result::err) {
        println!("cargo::error={cause}");
    }
}
