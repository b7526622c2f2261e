//! Writes the results as Markdown: a table by container and codec, then each file that differs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use undertone::audio::SAMPLE_RATE;

use crate::DecodedTwice;
use crate::compare::{Comparison, EQUAL};

/// Returns the seconds of a codec's frame. Lengths may differ by that much, because encoders add padding.
fn frame_seconds(codec: &str, rate: u32) -> f64 {
    let frames = match codec {
        "mp3" if rate < 32_000 => 576.0,
        "mp3" | "mp2" => 1_152.0,
        "aac" | "vorbis" => 1_024.0,
        "opus" => 960.0,
        _ => 0.0,
    };
    // Both round up to whole samples of 16 kHz.
    frames / f64::from(rate) + 2.0 / f64::from(SAMPLE_RATE)
}

/// Returns the ratio of signal to difference in dB below which a file is listed.
fn enough_snr(codec: &str) -> f64 {
    match codec {
        "opus" => 60.0,
        "mp3" | "mp2" | "aac" | "vorbis" => 70.0,
        _ => 90.0,
    }
}

/// Returns the whole report.
pub(crate) fn markdown(outcomes: &[DecodedTwice]) -> String {
    let mut groups = BTreeMap::<(&str, &str), Vec<&DecodedTwice>>::new();
    for outcome in outcomes {
        let format = &outcome.format;
        let key = (format.container.as_str(), format.codec.as_str());
        groups.entry(key).or_default().push(outcome);
    }
    let mut text = String::from(
        "| container | codec | files | ffmpeg decodes | undertone decodes | length agrees | SNR, dB: worst | median |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for ((container, codec), group) in &groups {
        row(&mut text, container, codec, group);
    }
    let all: Vec<_> = outcomes.iter().collect();
    row(&mut text, "**all**", "", &all);
    text.push_str(
        "\n| file | codec | ffmpeg | undertone | what differs |\n|---|---|---|---|---|\n",
    );
    for outcome in outcomes {
        if let Some(difference) = difference(outcome) {
            let (ours, theirs) = (ours(outcome), theirs(outcome));
            let (name, codec) = (&outcome.name, &outcome.format.codec);
            let _ = writeln!(
                text,
                "| `{name}` | {codec} | {theirs} | {ours} | {difference} |"
            );
        }
    }
    text.push_str("\n| refused by both | undertone's error |\n|---|---|\n");
    for outcome in outcomes {
        if let (Err(error), Err(_)) = (&outcome.ours, &outcome.theirs) {
            let limit = if error.is_limit() { " (a limit)" } else { "" };
            let _ = writeln!(text, "| `{}` | {error}{limit} |", outcome.name);
        }
    }
    text
}

fn row(text: &mut String, container: &str, codec: &str, group: &[&DecodedTwice]) {
    let theirs = group
        .iter()
        .filter(|outcome| outcome.theirs.is_ok())
        .count();
    let compared: Vec<_> = group
        .iter()
        .filter_map(|outcome| Some((*outcome, outcome.comparison()?)))
        .collect();
    let agree = compared
        .iter()
        .filter(|(outcome, comparison)| same_length(outcome, comparison))
        .count();
    let mut snrs: Vec<f64> = compared.iter().map(|(_, c)| c.snr).collect();
    snrs.sort_by(f64::total_cmp);
    let decibels = |snr: Option<&f64>| snr.map_or_else(|| "–".into(), |&snr| decibel_text(snr));
    let (worst, median) = (decibels(snrs.first()), decibels(snrs.get(snrs.len() / 2)));
    let _ = writeln!(
        text,
        "| {container} | {codec} | {} | {theirs} | {} | {agree} | {worst} | {median} |",
        group.len(),
        compared.len()
    );
}

fn decibel_text(snr: f64) -> String {
    if snr >= EQUAL {
        "equal".into()
    } else {
        format!("{snr:.0}")
    }
}

fn same_length(outcome: &DecodedTwice, comparison: &Comparison) -> bool {
    let rate = outcome
        .ours
        .as_ref()
        .map_or(SAMPLE_RATE, |r| r.source.sample_rate);
    comparison.longer.abs() <= frame_seconds(&outcome.format.codec, rate)
}

/// Describes the difference of the two decodings, if there is one.
fn difference(outcome: &DecodedTwice) -> Option<String> {
    match (&outcome.ours, &outcome.theirs) {
        (Err(_), Err(_)) => return None,
        (Ok(_), Err(_)) => return Some("ffmpeg refuses".into()),
        (Err(_), Ok(_)) => return Some("undertone refuses".into()),
        (Ok(_), Ok(_)) => {}
    }
    let comparison = outcome.comparison()?;
    let codec = &outcome.format.codec;
    let mut differences = Vec::new();
    let (ours, theirs) = comparison.channels;
    if ours != theirs {
        differences.push(format!("{ours} channels instead of {theirs}"));
    }
    if !same_length(outcome, &comparison) {
        differences.push(format!("{:+.3} s", comparison.longer));
    }
    if comparison.later != 0.0 {
        differences.push(format!("{:+.1} ms late", comparison.later));
    }
    if comparison.snr < enough_snr(codec) {
        differences.push(format!("{:.0} dB", comparison.snr));
    }
    (!differences.is_empty()).then(|| differences.join(", "))
}

fn ours(outcome: &DecodedTwice) -> String {
    match &outcome.ours {
        Ok(recording) if recording.truncated => format!("{:.3} s, truncated", recording.seconds()),
        Ok(recording) => format!("{:.3} s", recording.seconds()),
        Err(error) => error.to_string(),
    }
}

fn theirs(outcome: &DecodedTwice) -> String {
    match &outcome.theirs {
        Ok(recording) => format!("{:.3} s", recording.seconds()),
        Err(message) => message.clone(),
    }
}
