//! Classifies an audio file without a server: `cargo run --example embed -- FILE`.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use undertone::audio::{Encoding, LaneChoice};
use undertone::engine::{
    Audio, AudioFile, Caller, Class, DecodeProgress, Engine, EngineOptions, Request,
};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: embed FILE")?;
    // The embedded bundle. `EngineOptions::bundle` names the folder of another one.
    let engine = Engine::open(&EngineOptions::for_own_files())?;
    let file = AudioFile::open(Path::new(&path), DecodeProgress::default())?;
    let request = Request {
        audio: Audio::File(Arc::new(file)),
        encoding: Encoding::Auto,
        lanes: LaneChoice::Auto,
        window: None,
        caller: Caller {
            tenant: "me".into(),
            class: Class::Interactive,
            deadline: None,
        },
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let classification = runtime.block_on(engine.classify(request))?;
    for lane in &classification.lanes {
        let label = &engine.manifest().labels[lane.total.label];
        println!(
            "lane {}: {label} {:.3}",
            lane.index,
            lane.total.confidence()
        );
    }
    Ok(())
}
