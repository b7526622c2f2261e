//! Turns of lanes with given sounds, and properties that hold for any sounds.

use proptest::prelude::*;

use super::*;
use crate::frontend::LEFTOVER_FRAMES;

const RULE: TurnRule = TurnRule {
    least_speech: 25,
    end_silence: 100,
    lead_in: 23,
    lead_out: 0,
};

/// Returns the steps and turns of a lane whose frames hold speech or silence, with segments every `hop` frames.
fn track(rule: TurnRule, frames: &[bool], hop: usize) -> (Vec<DetectedStep>, Vec<DetectedTurn>) {
    track_sounds(rule, &sounds(frames), hop)
}

/// Returns the steps and turns of a lane with these sounds. The last segment ends with the lane, as in the segmenter.
fn track_sounds(
    rule: TurnRule,
    sounds: &[Sound],
    hop: usize,
) -> (Vec<DetectedStep>, Vec<DetectedTurn>) {
    let mut tracker = TurnTracker::new(rule, hop);
    let (mut steps, mut turns) = (Vec::new(), Vec::new());
    let mut left = 0;
    for (number, sound) in sounds.iter().enumerate() {
        turns.extend(tracker.frame(*sound));
        if let Sound::Steady(before) = sound {
            let retracted: &mut [DetectedStep] =
                &mut steps[tracker.first_retracted_step(*before)..];
            retracted.iter_mut().for_each(|step| step.speech = false);
        }
        left += 1;
        let complete_at = (number + 1).checked_sub(SEGMENT_FRAMES);
        if complete_at.is_some_and(|start| start.is_multiple_of(hop)) {
            steps.push(tracker.segment());
            left = 0;
        }
    }
    if !steps.is_empty() && left >= LEFTOVER_FRAMES {
        steps.push(tracker.segment());
    }
    turns.extend(tracker.finish());
    (steps, turns)
}

/// Returns speech for each frame that is true, and silence for the others.
fn sounds(frames: &[bool]) -> Vec<Sound> {
    let sound = |&speech: &bool| {
        if speech {
            Sound::Speech
        } else {
            Sound::Silence
        }
    };
    frames.iter().map(sound).collect()
}

/// Returns for each frame of a lane whether it holds speech, which it does in the ranges `spoken`.
fn lane(frames: usize, spoken: &[Range<usize>]) -> Vec<bool> {
    (0..frames)
        .map(|frame| spoken.iter().any(|range| range.contains(&frame)))
        .collect()
}

#[test]
fn a_turn_has_the_steps_of_its_speech_and_of_its_lead_in() {
    let (steps, turns) = track(RULE, &lane(1_000, &[200..400, 450..500, 700..800]), 16);
    // Step 11 starts at 176, a frame before the lead-in, and holds eight frames of speech.
    // Step 30 starts at 480 and holds 20 frames of the first turn's speech. Step 31 holds four.
    assert_eq!(turns[0].steps, 11..31);
    assert_eq!(turns[0].frames, 200..500);
    assert_eq!(turns[1].steps, 43..50);
    assert_eq!(turns.len(), 2);
    assert_eq!((steps[11].begins, steps[43].begins), (Some(11), Some(43)));
}

#[test]
fn a_silence_that_is_one_frame_shorter_than_the_rule_does_not_end_a_turn() {
    for (gap, turns) in [(99, 1), (100, 2)] {
        let frames = lane(600, &[100..200, 200 + gap..400]);
        assert_eq!(track(RULE, &frames, 16).1.len(), turns, "{gap}");
    }
}

#[test]
fn clicks_and_short_noises_are_not_turns() {
    for (spoken, turns) in [(7, 0), (24, 0), (25, 1)] {
        let frames: Vec<bool> = (0..300).map(|frame| frame < spoken).collect();
        assert_eq!(track(RULE, &frames, 16).1.len(), turns, "{spoken}");
    }
    let clicks: Vec<bool> = (0..2_000).map(|frame| frame % 20 < 7).collect();
    assert_eq!(track(RULE, &clicks, 16).1, []);
}

#[test]
fn lead_in_and_lead_out_have_no_steps_of_another_turn() {
    let rule = TurnRule {
        lead_in: 60,
        lead_out: 60,
        ..RULE
    };
    let frames = lane(1_000, &[200..400, 505..600]);
    let (steps, turns) = track(rule, &frames, 16);
    // Step 9 starts at 144, within 60 frames before the speech. Step 28 starts at 448, within 60 frames after it.
    assert_eq!(turns[0].steps, 9..29);
    // Step 28 also lies in the lead-in of this turn.
    assert_eq!(turns[1].steps, 29..41);
    // Step 11 is complete at 208, when the first turn's speech is confirmed.
    assert_eq!(steps[11].begins, Some(9));
    assert_eq!(steps.iter().filter_map(|step| step.begins).count(), 2);
}

#[test]
fn a_turn_that_starts_with_the_lane_begins_with_the_first_step() {
    let (steps, turns) = track(RULE, &[true; 64], 16);
    assert_eq!((steps[0].begins, steps[0].speech), (Some(0), true));
    assert_eq!(turns[0].steps, 0..3);
    assert_eq!(turns[0].frames, 0..64);
}

/// Frames before a steady one that are retracted.
const RETRACTED: usize = 72;

#[test]
fn a_steady_sound_is_not_a_turn_and_does_not_end_one() {
    let track = |spoken: &[Range<usize>], steady: &[usize]| {
        let mut sounds = sounds(&lane(1_000, spoken));
        for frame in steady {
            sounds[*frame] = Sound::Steady(RETRACTED);
        }
        track_sounds(RULE, &sounds, 16)
    };
    let noise = 200..200 + RETRACTED;
    let (steps, turns) = track(std::slice::from_ref(&noise), &[noise.end]);
    assert_eq!(turns, []);
    // A turn began, because the sound was not found to be steady until later.
    assert_eq!(steps[11].begins, Some(11));
    // A word, and the noise of an opening line half a second after it.
    let (word, noise) = (200..230, 280..280 + RETRACTED);
    let (_, alone) = track(std::slice::from_ref(&word), &[]);
    let (_, both) = track(&[word, noise.clone()], &[noise.end]);
    assert_eq!(both, alone);
    // A click before the noise is not enough speech.
    assert_eq!(track(&[200..210, noise.clone()], &[noise.end]).1, []);
    // The noise of a fan between two words of a turn. Steps 15 to 18, from frame 240 on, hold no other speech.
    let fan = 240..240 + RETRACTED;
    let (steps, turns) = track(&[200..230, fan.clone(), 320..400], &[fan.end]);
    assert_eq!(turns[0].frames, 200..400);
    let speech: Vec<usize> = (0..steps.len())
        .filter(|step| steps[*step].speech)
        .collect();
    assert_eq!(speech, (11..15).chain(19..25).collect::<Vec<_>>());
    // Speech after a steady sound begins a turn.
    let (_, after) = track(&[noise.clone(), 360..400], &[noise.end]);
    assert_eq!(after[0].frames, 360..400);
}

#[test]
fn a_noise_does_not_shorten_the_lead_in_of_the_next_turn() {
    let rule = TurnRule {
        lead_in: 187,
        ..RULE
    };
    let (steps, turns) = track(rule, &lane(600, &[200..220, 380..450]), 16);
    assert_eq!(turns.len(), 1);
    // Step 13 starts at 208, within the noise.
    assert_eq!(turns[0].steps.start, 13);
    let begins: Vec<usize> = steps.iter().filter_map(|step| step.begins).collect();
    assert_eq!(begins, [1, 13]);
}

#[test]
fn a_tone_that_lasts_is_not_part_of_the_next_lead_in() {
    let rule = TurnRule {
        lead_in: 187,
        ..RULE
    };
    let mut sounds = sounds(&lane(600, &[50..120, 280..400]));
    sounds[120] = Sound::Steady(70);
    sounds[121..250].fill(Sound::Steady(0));
    let (steps, turns) = track_sounds(rule, &sounds, 16);
    // Step 16 starts at 256, after the tone.
    assert_eq!((turns.len(), turns[0].steps.start), (1, 16));
    let begins: Vec<usize> = steps.iter().filter_map(|step| step.begins).collect();
    assert_eq!(begins, [0, 16]);
    // If speech follows at once, its turn still has the first step that holds enough of it.
    sounds[250..280].fill(Sound::Speech);
    let (_, turns) = track_sounds(rule, &sounds, 16);
    assert_eq!((turns.len(), turns[0].steps.start), (1, 15));
}

/// Returns the stretches of speech that no ending silence divides, each with its number of frames of confirmed speech.
fn stretches(rule: TurnRule, frames: &[bool]) -> Vec<(Range<usize>, usize)> {
    let mut stretches: Vec<(Range<usize>, usize)> = Vec::new();
    let mut start = 0;
    for run in frames.chunk_by(|a, b| a == b) {
        let end = start + run.len();
        if run[0] && run.len() >= CONFIRMED_FRAMES {
            match stretches.last_mut() {
                Some((last, speech)) if start < last.end + rule.end_silence => {
                    last.end = end;
                    *speech += run.len();
                }
                _ => stretches.push((start..end, run.len())),
            }
        }
        start = end;
    }
    stretches
}

prop_compose! {
    /// Silence and speech alternately.
    fn frames()(
        runs in prop::collection::vec((1..120usize, 1..200usize), 1..12),
        silence in prop_oneof![Just(0), 0..60usize],
    ) -> Vec<bool> {
        let mut frames: Vec<bool> = runs
            .iter()
            .flat_map(|(silence, speech)| {
                std::iter::repeat_n(false, *silence).chain(std::iter::repeat_n(true, *speech))
            })
            .collect();
        frames.extend(std::iter::repeat_n(false, silence));
        frames
    }
}

prop_compose! {
    /// Any valid rule.
    fn rules()(
        least_speech in LEAST_SPEECH_FRAMES..60,
        lead_in in prop_oneof![0..SEGMENT_FRAMES, 0..150usize],
        lead_out in 0..100usize,
        longer in prop_oneof![Just(ENDING_FRAMES), ENDING_FRAMES..150],
    ) -> TurnRule {
        TurnRule { least_speech, end_silence: lead_out + longer, lead_in, lead_out }
    }
}

proptest! {
    #![proptest_config(replay::with_cases(2_000))]
    #[test]
    fn each_stretch_of_enough_speech_is_one_turn_with_all_its_steps(
        frames in frames(), rule in rules(), hop in 1..=SEGMENT_FRAMES,
    ) {
        prop_assume!(frames.len() >= SEGMENT_FRAMES);
        let (steps, turns) = track(rule, &frames, hop);
        let enough: Vec<Range<usize>> = stretches(rule, &frames)
            .into_iter()
            .filter(|(_, speech)| *speech >= rule.least_speech)
            .map(|(stretch, _)| stretch)
            .collect();
        let detected: Vec<Range<usize>> = turns.iter().map(|turn| turn.frames.clone()).collect();
        prop_assert_eq!(detected, enough);
        let start = |step: usize| (hop * step).min(frames.len() - SEGMENT_FRAMES);
        for DetectedTurn { steps: own, frames } in turns {
            prop_assert!(!own.is_empty() && own.end <= steps.len());
            let late = |step: usize| start(step) + CONFIRMED_FRAMES > frames.end + rule.lead_out;
            let last = own.end - 1;
            prop_assert!(last == own.start || !late(last));
            prop_assert!(own.end == steps.len() || late(own.end));
            let most = rule.lead_in.max(SEGMENT_FRAMES - CONFIRMED_FRAMES);
            prop_assert!(start(own.start) + most >= frames.start);
        }
    }

    #[test]
    fn turns_do_not_overlap_are_in_order_and_begin_where_the_sequence_starts_anew(
        frames in frames(), rule in rules(), hop in 1..=SEGMENT_FRAMES,
        steady in prop::collection::vec((any::<prop::sample::Index>(), 0..RECENT_FRAMES), 0..4),
    ) {
        let mut sounds = sounds(&frames);
        for (frame, before) in steady {
            *frame.get_mut(&mut sounds) = Sound::Steady(before);
        }
        let (steps, turns) = track_sounds(rule, &sounds, hop);
        let begins: Vec<usize> = steps.iter().filter_map(|step| step.begins).collect();
        prop_assert!(begins.is_sorted());
        for turn in &turns {
            prop_assert!(!turn.steps.is_empty() && turn.steps.end <= steps.len());
            let inside = begins.iter().filter(|step| turn.steps.contains(step));
            prop_assert!(begins.contains(&turn.steps.start));
            prop_assert!(inside.into_iter().all(|step| *step == turn.steps.start));
            prop_assert!(turn.frames.len() >= rule.least_speech);
        }
        for pair in turns.windows(2) {
            prop_assert!(pair[0].steps.end <= pair[1].steps.start);
            prop_assert!(pair[0].frames.end + rule.end_silence <= pair[1].frames.start);
        }
    }
}
