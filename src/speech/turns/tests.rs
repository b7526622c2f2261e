//! Turns out of frames that are told, and what holds for any of them.

use proptest::prelude::*;

use super::*;
use crate::frontend::LEFTOVER_FRAMES;

const RULE: TurnRule = TurnRule {
    least_speech: 25,
    end_silence: 100,
    lead_in: 23,
    lead_out: 0,
};

/// Steps and turns of a lane that speaks where it is told, in segments every `hop` frames.
fn follow(rule: TurnRule, frames: &[bool], hop: usize) -> (Vec<DetectedStep>, Vec<DetectedTurn>) {
    follow_sounds(rule, &sounds(frames), hop)
}

/// The last segment is right-aligned, as the segmenter does it.
fn follow_sounds(
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
            let doubtful: &mut [DetectedStep] = &mut steps[tracker.first_doubtful(*before)..];
            doubtful.iter_mut().for_each(|step| step.speech = false);
        }
        left += 1;
        let whole = (number + 1).checked_sub(SEGMENT_FRAMES);
        if whole.is_some_and(|start| start.is_multiple_of(hop)) {
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

fn sounds(frames: &[bool]) -> Vec<Sound> {
    let sound = |speech: &bool| match speech {
        true => Sound::Speech,
        false => Sound::Silence,
    };
    frames.iter().map(sound).collect()
}

fn lane(frames: usize, spoken: &[Range<usize>]) -> Vec<bool> {
    (0..frames)
        .map(|frame| spoken.iter().any(|range| range.contains(&frame)))
        .collect()
}

#[test]
fn a_turn_is_the_steps_with_its_speech_and_a_lead_in() {
    let (steps, turns) = follow(RULE, &lane(1_000, &[200..400, 450..500, 700..800]), 16);
    // DetectedStep 11 starts at 176, a frame before the lead-in, and has eight frames of speech.
    // DetectedStep 30 starts at 480 and has 20 frames of the first turn's speech, step 31 has four.
    assert_eq!(turns[0].steps, 11..31);
    assert_eq!(turns[0].frames, 200..500);
    assert_eq!(turns[1].steps, 43..50);
    assert_eq!(turns.len(), 2);
    assert_eq!((steps[11].begins, steps[43].begins), (Some(11), Some(43)));
}

#[test]
fn the_silence_that_ends_a_turn_may_be_one_frame_longer_but_not_shorter() {
    for (gap, turns) in [(99, 1), (100, 2)] {
        let frames = lane(600, &[100..200, 200 + gap..400]);
        assert_eq!(follow(RULE, &frames, 16).1.len(), turns, "{gap}");
    }
}

#[test]
fn clicks_and_noises_are_no_turn() {
    for (spoken, turns) in [(7, 0), (24, 0), (25, 1)] {
        let frames: Vec<bool> = (0..300).map(|frame| frame < spoken).collect();
        assert_eq!(follow(RULE, &frames, 16).1.len(), turns, "{spoken}");
    }
    let clicks: Vec<bool> = (0..2_000).map(|frame| frame % 20 < 7).collect();
    assert_eq!(follow(RULE, &clicks, 16).1, []);
}

#[test]
fn lead_in_and_lead_out_are_silence_around_a_turn_and_never_steps_of_another() {
    let rule = TurnRule {
        lead_in: 60,
        lead_out: 60,
        ..RULE
    };
    let frames = lane(1_000, &[200..400, 505..600]);
    let (steps, turns) = follow(rule, &frames, 16);
    // DetectedStep 9 starts at 144, within 60 frames before the speech, and step 28 at 448, within 60 behind.
    assert_eq!(turns[0].steps, 9..29);
    // DetectedStep 28 lies in this one's lead-in as well.
    assert_eq!(turns[1].steps, 29..41);
    // DetectedStep 11 is whole at 208, when the first turn's speech is confirmed.
    assert_eq!(steps[11].begins, Some(9));
    assert_eq!(steps.iter().filter_map(|step| step.begins).count(), 2);
}

#[test]
fn speech_from_the_first_frame_begins_with_the_first_step() {
    let (steps, turns) = follow(RULE, &[true; 64], 16);
    assert_eq!((steps[0].begins, steps[0].speech), (Some(0), true));
    assert_eq!(turns[0].steps, 0..3);
    assert_eq!(turns[0].frames, 0..64);
}

/// Frames before a steady one that hold no speech either.
const LONG: usize = 72;

#[test]
fn a_steady_sound_is_no_turn_nor_the_end_of_one() {
    let heard = |spoken: &[Range<usize>], steady: &[usize]| {
        let mut sounds = sounds(&lane(1_000, spoken));
        for frame in steady {
            sounds[*frame] = Sound::Steady(LONG);
        }
        follow_sounds(RULE, &sounds, 16)
    };
    let noise = 200..200 + LONG;
    let (steps, turns) = heard(std::slice::from_ref(&noise), &[noise.end]);
    assert_eq!(turns, []);
    // It has begun all the same, which nobody could know better.
    assert_eq!(steps[11].begins, Some(11));
    // A word, and a line that opens half a second behind it.
    let (word, noise) = (200..230, 280..280 + LONG);
    let (_, alone) = heard(std::slice::from_ref(&word), &[]);
    let (_, both) = heard(&[word, noise.clone()], &[noise.end]);
    assert_eq!(both, alone);
    // A click before that is not enough.
    assert_eq!(heard(&[200..210, noise.clone()], &[noise.end]).1, []);
    // A fan between two words of a turn: steps 15 to 17, from 240 on, hold nothing else.
    let fan = 240..240 + LONG;
    let (steps, turns) = heard(&[200..230, fan.clone(), 320..400], &[fan.end]);
    assert_eq!(turns[0].frames, 200..400);
    let speech: Vec<usize> = (0..steps.len())
        .filter(|step| steps[*step].speech)
        .collect();
    assert_eq!(speech, (11..15).chain(19..25).collect::<Vec<_>>());
    // Who speaks then begins a turn of his own.
    let (_, after) = heard(&[noise.clone(), 360..400], &[noise.end]);
    assert_eq!(after[0].frames, 360..400);
}

#[test]
fn a_noise_takes_nothing_from_the_lead_in_of_the_turn_behind_it() {
    let rule = TurnRule {
        lead_in: 187,
        ..RULE
    };
    let (steps, turns) = follow(rule, &lane(600, &[200..220, 380..450]), 16);
    assert_eq!(turns.len(), 1);
    // DetectedStep 13 starts at 208, within the noise.
    assert_eq!(turns[0].steps.start, 13);
    let begins: Vec<usize> = steps.iter().filter_map(|step| step.begins).collect();
    assert_eq!(begins, [1, 13]);
}

#[test]
fn a_tone_that_goes_on_is_no_part_of_the_lead_in_behind_it() {
    let rule = TurnRule {
        lead_in: 187,
        ..RULE
    };
    let mut sounds = sounds(&lane(600, &[50..120, 280..400]));
    sounds[120] = Sound::Steady(70);
    sounds[121..250].fill(Sound::Steady(0));
    let (steps, turns) = follow_sounds(rule, &sounds, 16);
    // Step 16 starts at 256, behind the tone.
    assert_eq!((turns.len(), turns[0].steps.start), (1, 16));
    let begins: Vec<usize> = steps.iter().filter_map(|step| step.begins).collect();
    assert_eq!(begins, [0, 16]);
    // Speech that follows at once has the first step that holds enough of it all the same.
    sounds[250..280].fill(Sound::Speech);
    let (_, turns) = follow_sounds(rule, &sounds, 16);
    assert_eq!((turns.len(), turns[0].steps.start), (1, 15));
}

/// Stretches of speech, of so many frames that count, without the silence that ends a turn.
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
    /// Silence and speech in turn.
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
        let (steps, turns) = follow(rule, &frames, hop);
        let enough: Vec<Range<usize>> = stretches(rule, &frames)
            .into_iter()
            .filter(|(_, speech)| *speech >= rule.least_speech)
            .map(|(stretch, _)| stretch)
            .collect();
        let heard: Vec<Range<usize>> = turns.iter().map(|turn| turn.frames.clone()).collect();
        prop_assert_eq!(heard, enough);
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
    fn turns_are_apart_in_order_and_begin_where_the_sequence_starts_anew(
        frames in frames(), rule in rules(), hop in 1..=SEGMENT_FRAMES,
        steady in prop::collection::vec((any::<prop::sample::Index>(), 0..KEPT), 0..4),
    ) {
        let mut sounds = sounds(&frames);
        for (frame, before) in steady {
            *frame.get_mut(&mut sounds) = Sound::Steady(before);
        }
        let (steps, turns) = follow_sounds(rule, &sounds, hop);
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
