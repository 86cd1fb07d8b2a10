#!/usr/bin/env bash
# The front end on one core against torchaudio: bench/frontend/run.sh [PAIRS].
# EXP_BENCH_PYTHON: a Python that has bench/requirements.txt (default: one made in .deps).
set -euo pipefail
cd "$(dirname "$0")/../.."
pairs=${1:-15}
python=${EXP_BENCH_PYTHON:-$(bench/venv.sh)}
cmake --preset release -DCMAKE_MESSAGE_LOG_LEVEL=WARNING >/dev/null
cmake --build build/release --target log_mel_bench >/dev/null
failed=0
compare() {  # name goal kind seconds
  python3 bench/compare.py --name "$1" --goal "$2" --pairs "$pairs" --metric clip_s \
    --ours "build/release/bin/log_mel_bench --kind $3 --seconds $4 --repeats 3 --clips 200" \
    --theirs "$python bench/frontend/log_mel.py --kind $3 --seconds $4 --repeats 3 --clips 16" || failed=1
}
compare "Kaldi fbank, 10 s at 16 kHz" 4 kaldi 10
compare "Kaldi fbank, 1 s at 16 kHz" 4 kaldi 1
compare "PaSST mel, 10 s at 32 kHz" 8 augment_mel 10
exit $failed
