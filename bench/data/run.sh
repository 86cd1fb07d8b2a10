#!/usr/bin/env bash
# Decoding and loading against soundfile, torchaudio, h5py and torch's DataLoader: bench/data/run.sh [PAIRS].
# Needs EXP_DATA (esc10 and speech_commands). EXP_BENCH_PYTHON: a Python that has bench/requirements-data.txt (default:
# one made in .deps).
set -euo pipefail
cd "$(dirname "$0")/../.."
pairs=${1:-9}
python=${EXP_BENCH_PYTHON:-$(bench/venv.sh bench/requirements-data.txt)}
cmake --preset release -DCMAKE_MESSAGE_LOG_LEVEL=WARNING >/dev/null
cmake --build build/release --target decode_bench loader_bench >/dev/null
bin=build/release/bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
compare() {  # name goal metric ours theirs
  python3 bench/compare.py --name "$1" --goal "$2" --pairs "$pairs" --metric "$3" --ours "$4" --theirs "$5" || failed=1
}
ogg="--folder $EXP_DATA/esc10/audio --rate 16000 --clips 40"
compare "Ogg 5 s 44.1 kHz, decode and resample to 16 kHz" 1.1 clip_s "$bin/decode_bench $ogg" "$python bench/data/decode.py $ogg"
wav="--folder $EXP_DATA/speech_commands --rate 32000 --clips 600"
compare "WAV 1 s 16 kHz, decode and resample to 32 kHz" 2 clip_s "$bin/decode_bench $wav" "$python bench/data/decode.py $wav"
compare "decoding Ogg by two threads against one, wall" 1.8 wall_clip_s "$bin/decode_bench $ogg --threads 2" "$bin/decode_bench $ogg"
compare "decoding Ogg by two threads against one, CPU" 0.9 clip_s "$bin/decode_bench $ogg --threads 2" "$bin/decode_bench $ogg"
$bin/loader_bench --folder "$work/long" --make 200
for threads in 1 2; do
  for mode in pread rows; do
    loader="$bin/loader_bench --folder $work/long --threads $threads"
    compare "loader against $mode, $threads threads, CPU" 0.8 cpu_clip_s "$loader" "$loader --mode $mode"
  done
done
$bin/loader_bench --folder "$work/large" --make 4000
loader="$bin/loader_bench --folder $work/large --threads 2 --cold 1"
compare "loader against pread, 2 threads, from the disk, wall" 0.8 clip_s "$loader" "$loader --mode pread"
for workers in 0 1 2; do
  compare "loader with 2 threads against DataLoader over h5py, $workers workers" 3 clip_s "$bin/loader_bench --folder $work/long --threads 2" \
    "$python bench/data/loader.py --folder $work/long --workers $workers"
done
$bin/loader_bench --folder "$work/short" --make 600 --samples 1600
echo "growth of the process from 20,000 to 100,000 draws of 2 million clips, goal below 8 MB:"
$bin/loader_bench --folder "$work/short" --mode memory --threads 2
exit $failed
