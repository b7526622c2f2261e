//! What the response and the command line report about a recording that changes, is cut or is sent as samples.

use undertone::service::pb::{AudioConfig, AudioEncoding, ClassifyRequest};

use super::clip;
use crate::common::Server;

#[tokio::test]
async fn the_response_reports_that_audio_changes_or_ends_early_and_refuses_files_sent_as_samples() {
    let server = Server::start();
    let client = server.client().await;
    let classify = |audio: Vec<u8>, encoding: AudioEncoding| {
        let config = AudioConfig {
            encoding: encoding.into(),
            sample_rate_hz: 8_000,
            ..Default::default()
        };
        let mut client = client.clone();
        async move {
            let request = ClassifyRequest {
                audio: audio.into(),
                config: Some(config),
                ..Default::default()
            };
            client
                .classify(request)
                .await
                .map(tonic::Response::into_inner)
        }
    };
    let joined = [clip("flac.ogg"), clip("call-flac.ogg")].concat();
    let response = classify(joined.clone(), AudioEncoding::Auto).await.unwrap();
    assert_eq!(
        (
            response.channels_changed,
            response.truncated,
            response.lanes.len()
        ),
        (true, false, 1)
    );
    let cut = joined[..joined.len() - 9].to_vec();
    let response = classify(cut, AudioEncoding::Auto).await.unwrap();
    assert!(response.truncated);
    let response = classify(clip("call.flac"), AudioEncoding::Auto)
        .await
        .unwrap();
    assert!(!response.channels_changed && !response.truncated);
    let status = classify(clip("call.mp3"), AudioEncoding::Mulaw)
        .await
        .unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    assert!(
        status
            .message()
            .contains("sent as raw µ-law, but it looks like MP3"),
        "{}",
        status.message()
    );
}

#[test]
fn the_command_line_shows_that_a_file_is_cut_or_changes() {
    let folder = std::env::temp_dir().join(format!("undertone-cut-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (cut, joined) = (folder.join("cut.mka"), folder.join("joined.ogg"));
    let whole = clip("call.mka");
    std::fs::write(&cut, &whole[..whole.len() * 7 / 10]).unwrap();
    std::fs::write(&joined, [clip("flac.ogg"), clip("call-flac.ogg")].concat()).unwrap();
    let run = |flags: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_undertone"))
            .arg("classify")
            .args(flags)
            .args([&cut, &joined])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let table = run(&[]);
    let line = |name: &str| {
        table
            .lines()
            .find(|line| line.contains(name))
            .unwrap()
            .to_owned()
    };
    assert!(line("cut.mka").contains("truncated"), "{table}");
    assert!(line("joined.ogg").contains("channels change"), "{table}");
    let rows: Vec<serde_json::Value> = run(&["--json"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for row in rows {
        let is_cut = row["file"].as_str().unwrap().ends_with("cut.mka");
        assert_eq!(
            (row["truncated"] == is_cut, row["remixed"] == !is_cut),
            (true, true),
            "{row}"
        );
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
