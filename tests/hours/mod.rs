//! Measures decoding, resampling and segmenting of hours of 48 kHz stereo, which are generated piece by piece.

use std::fs;
use std::sync::Arc;

use flacenc::component::{BitRepr, Stream};
use flacenc::error::{Verified, Verify as _};
use flacenc::source::{Fill as _, FrameBuf};
use rustix::time::{ClockId, clock_gettime};
use undertone::audio::{self, AudioError, Decoder, Encoding, LaneChoice, Limits};
use undertone::frontend::{BINS, Segmenter, Segments, Spec};

const RATE: usize = 48_000;
const CHANNELS: usize = 2;
/// Frames sent at a time, which is also the size of a FLAC frame.
const BLOCK: usize = 4_096;

/// The format in which the sound is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// 16-bit WAV with a header of unknown length.
    Wav,
    /// FLAC.
    Flac,
}

/// The result of one measurement.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "each user of this module reads a part of it")]
pub(crate) struct Cost {
    /// Bytes sent.
    pub(crate) bytes: usize,
    /// Segments of both lanes.
    pub(crate) segments: usize,
    /// Peak of resident memory minus the memory before, in bytes.
    pub(crate) peak: usize,
    /// Processor time of decoder, resampler and front end, in milliseconds per second of audio.
    pub(crate) cpu_ms: f64,
}

/// Generates and decodes `seconds` of audio.
pub(crate) fn measure(sent: Sent, seconds: usize) -> Cost {
    let mut sender = Sender::new(sent);
    let mut piece = Vec::new();
    let limits = Limits {
        bytes: usize::MAX,
        seconds: f64::INFINITY,
        ..Limits::default()
    };
    let spec = Arc::new(Spec::new(16, vec![-12.0; BINS], vec![3.0; BINS]).unwrap());
    // The memory of the sender must not count.
    sender.block(0, &mut piece);
    let before = reset_peak();
    let (mut bytes, mut segments, mut cpu) = (0, 0, 0.0);
    let mut decoder = Decoder::start(Encoding::Auto, LaneChoice::Each, &limits).unwrap();
    let mut lanes: Vec<(Segmenter, Segments)> = (0..CHANNELS)
        .map(|_| (Segmenter::new(Arc::clone(&spec)), Segments::default()))
        .collect();
    let mut segment = |samples: &[Vec<f32>]| {
        for ((segmenter, new), samples) in lanes.iter_mut().zip(samples) {
            segmenter.push(samples, new).unwrap();
            segments += std::mem::take(new).len();
        }
        Ok::<_, AudioError>(())
    };
    piece.clear();
    sender.header(&mut piece);
    for number in 0..=(seconds * RATE).div_ceil(BLOCK) {
        let start = processor_seconds();
        decoder.push(&piece, &mut segment).unwrap();
        cpu += processor_seconds() - start;
        bytes += piece.len();
        piece.clear();
        sender.block(number, &mut piece);
    }
    let ending = decoder.finish(&mut segment).unwrap();
    let peak = resident("VmHWM") - before;
    assert!(!ending.held && !ending.truncated);
    Cost {
        bytes,
        segments,
        peak,
        cpu_ms: cpu * 1e3 / seconds as f64,
    }
}

/// Generates the bytes.
struct Sender {
    sent: Sent,
    /// Speech at 48 kHz, which is repeated.
    speech: Vec<i32>,
    frame: FrameBuf,
    stream: Stream,
    config: Verified<flacenc::config::Encoder>,
}

impl Sender {
    fn new(sent: Sent) -> Self {
        let book = audio::decode(
            include_bytes!("../audio/book.flac"),
            Encoding::Auto,
            LaneChoice::Mix,
            &Limits::default(),
        );
        let book = &book.unwrap().lanes[0];
        let pairs = book.windows(2);
        let speech = pairs.flat_map(|pair| {
            // Linear interpolation turns 16 kHz into 48 kHz. The sound need not be good.
            [0.0, 1.0 / 3.0, 2.0 / 3.0].map(|at| pair[0] + at * (pair[1] - pair[0]))
        });
        let mut stream = Stream::new(RATE, CHANNELS, 16).unwrap();
        let info = stream.stream_info_mut();
        info.set_block_sizes(BLOCK, BLOCK).unwrap();
        Self {
            sent,
            speech: speech.map(|x| (x * 32_767.0) as i32).collect(),
            frame: FrameBuf::with_size(CHANNELS, BLOCK).unwrap(),
            stream,
            config: flacenc::config::Encoder::default().into_verified().unwrap(),
        }
    }

    /// Appends the header.
    fn header(&self, into: &mut Vec<u8>) {
        match self.sent {
            Sent::Wav => {
                let rate = RATE as u32;
                into.extend(b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x02\0");
                into.extend([rate, 4 * rate].map(u32::to_le_bytes).concat());
                into.extend(b"\x04\0\x10\0data\xff\xff\xff\xff");
            }
            Sent::Flac => self.coded(&self.stream, into),
        }
    }

    /// Appends a block: the speech on the left, and the speech from three seconds later on the right.
    fn block(&mut self, number: usize, into: &mut Vec<u8>) {
        let at = |frame: usize| self.speech[frame % self.speech.len()];
        let first = number * BLOCK;
        let frames = (first..first + BLOCK).flat_map(|frame| [at(frame), at(frame + 3 * RATE)]);
        match self.sent {
            Sent::Wav => into.extend(frames.flat_map(|x| (x as i16).to_le_bytes())),
            Sent::Flac => {
                let samples: Vec<i32> = frames.collect();
                self.frame.fill_interleaved(&samples).unwrap();
                let info = self.stream.stream_info();
                let frame =
                    flacenc::encode_fixed_size_frame(&self.config, &self.frame, number, info);
                self.coded(&frame.unwrap(), into);
            }
        }
    }

    fn coded(&self, part: &impl BitRepr, into: &mut Vec<u8>) {
        let mut bits = flacenc::bitsink::ByteSink::new();
        part.write(&mut bits).unwrap();
        into.extend_from_slice(bits.as_slice());
    }
}

/// Resets the peak of resident memory. Returns the resident memory in bytes.
fn reset_peak() -> usize {
    fs::write("/proc/self/clear_refs", "5").unwrap();
    resident("VmRSS")
}

/// Returns a value of /proc/self/status in bytes.
fn resident(name: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
    kilobytes.unwrap().parse::<usize>().unwrap() << 10
}

/// Returns the processor time of all threads.
fn processor_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
