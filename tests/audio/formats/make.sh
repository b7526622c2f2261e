#!/usr/bin/env bash
# Makes the clips of this folder from ../book.flac and ../call.flac with ffmpeg (5.1 was used).
#
# The tests compare lossless clips with book.flac, call.flac or surround.flac. They compare lossy clips
# with NAME.ref.flac beside them, which is ffmpeg's decoding (with libopus for Opus).
set -euo pipefail
cd "$(dirname "$0")"

run() { ffmpeg -nostdin -v error -y "$@"; }
bare=(-map_metadata -1 -fflags +bitexact -flags:a +bitexact -metadata_header_padding 0)
make() { run -i "$@" "${bare[@]}" "${out:?}"; }

run -ss 1.5 -t 0.4 -i ../book.flac -af volume=10dB -sample_fmt s16 "${bare[@]}" book.flac
run -ss 6.0 -t 0.3 -i ../call.flac -sample_fmt s16 "${bare[@]}" call.flac
pan="pan=5.1|FL=c0|FR=c1|FC=0.5*c0-0.5*c1|LFE=0.2*c1|BL=0.7*c1|BR=0.6*c0+0.3*c1"
run -t 0.1 -i call.flac -af "$pan" -ar 48000 -sample_fmt s16 "${bare[@]}" surround.flac

# Lossless.
out=extensible24.wav make book.flac -t 0.1 -c:a pcm_s24le
out=float64.wav make book.flac -t 0.1 -c:a pcm_f64le
out=rf64.wav make book.flac -t 0.1 -rf64 always
out=wave64.w64 make book.flac -t 0.1
out=wave64_f32.w64 make call.flac -t 0.1 -c:a pcm_f32le
out=sun.au make book.flac -t 0.1 -c:a pcm_s16be
out=sun_f64.au make call.flac -t 0.1 -c:a pcm_f64be
out=big_endian.aiff make book.flac -t 0.1
out=apple.caf make book.flac -t 0.1 -c:a pcm_s24be
out=flac.ogg make book.flac -c:a flac -page_duration 80000
out=flac.mka make call.flac -c:a flac
out=alac.m4a make call.flac -c:a alac

# Lossy, each with a reference.
lossy() {
  local name=$1 decoder=$2
  shift 2
  out=$name make "$@"
  # shellcheck disable=SC2086
  run $decoder -i "$name" -sample_fmt s16 "${bare[@]}" "${name%.*}.ref.flac"
}
lossy mulaw.au "" call.flac -t 0.1 -c:a pcm_mulaw
lossy alaw.w64 "" call.flac -t 0.1 -c:a pcm_alaw
lossy ima.wav "" call.flac -c:a adpcm_ima_wav
lossy ms.wav "" call.flac -c:a adpcm_ms
lossy layer3.mp3 "" book.flac -c:a libmp3lame -b:a 32k
lossy layer3_48k.mp3 "" surround.flac -ac 2 -c:a libmp3lame -b:a 64k
lossy vorbis.ogg "" book.flac -c:a libvorbis -q:a 2
lossy adts.aac "" book.flac -c:a aac -b:a 32k
lossy aac.m4a "" book.flac -c:a aac -b:a 32k
lossy fragmented.mp4 "" book.flac -c:a aac -b:a 32k -movflags frag_keyframe+empty_moov
lossy voice.opus "-c:a libopus" book.flac -c:a libopus -b:a 16k -application voip -page_duration 80000
lossy music.opus "-c:a libopus" call.flac -c:a libopus -b:a 64k -frame_duration 10
lossy browser.webm "-c:a libopus" book.flac -c:a libopus -b:a 24k
out=phone.mp4 make book.flac -c:a libopus -b:a 24k -strict -2
lossy surround.opus "-c:a libopus" surround.flac -c:a libopus -b:a 160k -mapping_family 1
cat voice.opus voice.opus >chained.opus
run -i voice.opus -c copy "${bare[@]}" voice.caf
