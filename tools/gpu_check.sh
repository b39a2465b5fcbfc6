#!/usr/bin/env bash
# Everything that can only be known on a GPU, in one command of at most 10 minutes.
#
# usage: tools/gpu_check.sh BUILD_FOLDER RESULTS_FOLDER
#
# BUILD_FOLDER is a build of this project with nvcc (meson setup, ninja), made here or carried here.
# Each step leaves STEP.txt in RESULTS_FOLDER, and STEP.done with its exit code: run again, the
# script goes on where it was stopped. Delete a STEP.done to repeat it. At the end, RESULTS_FOLDER/
# table.txt has a line for each step. Exit code 0: all ran and hold; 1: one does not; 77: no GPU.
#
# FIRST=1 skips what takes longest (sanitizer, timings). BUDGET_S (default 570) is when no further
# step is begun.
set -u

if [ $# -ne 2 ] || [ ! -d "$1" ]; then
  echo "usage: tools/gpu_check.sh BUILD_FOLDER RESULTS_FOLDER" >&2
  exit 2
fi
build=$(cd "$1" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$2" || exit 2
results=$(cd "$2" && pwd)
started=$SECONDS
budget=${BUDGET_S:-570}
export MISTRAL_BACKEND_DIR=$build/backends LC_ALL=C.UTF-8
verify=$build/tools/mistral-verify
bench=$build/tools/mistral-bench

# step NAME SECONDS COMMAND... : once, within its time and what is left of all
step() {
  local name=$1 limit=$2 left code
  shift 2
  if [ -f "$results/$name.done" ]; then
    return
  fi
  left=$((budget - (SECONDS - started)))
  if [ "$left" -lt 15 ]; then
    echo "$name: not begun, the time is up; run the script again" >&2
    return
  fi
  [ "$limit" -gt "$left" ] && limit=$left
  echo "== $name (at most $limit s)" >&2
  timeout "$limit" "$@" >"$results/$name.txt" 2>&1
  code=$?
  # Stopped for want of time is not done: it is begun again.
  if [ "$code" -eq 124 ] && [ "$limit" -eq "$left" ]; then
    return
  fi
  echo "$code" >"$results/$name.done"
}

suites() {
  "$verify" --backend cuda --compute "$1" --model synthetic:probe --suite all --localize
}

# The shapes of 7B in the heads' size, and few of everything else: the tensor cores' kernel for 128.
wide_suites() {
  "$verify" --backend cuda --compute "$1" \
    --model synthetic:probe,dim=512,head_dim=128,n_heads=8,n_kv_heads=2,hidden_dim=1024,n_layers=2,sliding_window=24 \
    --suite chunking,window,ring,decode_vs_prefill,batching,nonfinite --length 200
}

sanitizer() {
  compute-sanitizer --tool "$1" --error-exitcode 99 "$verify" --backend cuda --compute bf16 \
    --model synthetic:probe,n_layers=1 --suite chunking --chunk 1,7,T
}

timings() {
  "$bench" synthetic:7b --backend cuda --compute bf16 "$@" --format json --output -
}

machine() {
  nvidia-smi && nvidia-smi -q -d CLOCK,POWER | head -60
  "$verify" --list
}

"$verify" --backend cuda --model synthetic:probe,n_layers=1 --suite determinism --quiet >/dev/null
if [ $? -eq 77 ]; then
  exit 77 # it has said why
fi

export -f suites wide_suites sanitizer timings machine
export verify bench
step machine 30 bash -c machine
step conformance 30 "$build/tests/cuda/cuda_conformance_gpu" "$root/tests/data/cuda_conformance.txt"
step answers 30 "$build/tests/cuda/cuda_conformance_gpu"
step ceilings 60 "$build/tests/cuda/cuda_ceilings"
step engine 60 "$build/tests/cuda/cuda_engine_gpu"
step suites_f32 90 bash -c 'suites f32'
step suites_bf16 90 bash -c 'suites bf16'
step wide_f32 60 bash -c 'wide_suites f32'
step wide_bf16 60 bash -c 'wide_suites bf16'
if [ -z "${FIRST:-}" ]; then
  step decode 120 bash -c 'timings --prompt 0 --generate 64 --depth 0,2048,4096,8192 --max-time 5'
  step prefill 120 bash -c 'timings --prompt 512,2048,4096,8192 --generate 0 --max-time 5'
  step decode_plain 60 bash -c 'timings --prompt 0 --generate 64 --max-time 5 --backend-option graphs=0'
  step decode_pdl 60 bash -c 'timings --prompt 0 --generate 64 --depth 0,4096 --max-time 5 --backend-option pdl=1'
  step ceilings_tuned 90 "$build/tests/cuda/cuda_ceilings" 8
  step prefill_tuned 120 bash -c 'timings --prompt 512,2048,4096 --generate 0 --max-time 5 --backend-option tune=8'
  if python3 -c 'import sys, torch, transformers; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
    step peers 180 python3 "$root/tests/peers/gpu_peers.py" "$build" --json "$results/peers.json"
  else
    echo "peers: python3 has no torch with a GPU, or no transformers: left out" >&2
  fi
  if command -v compute-sanitizer >/dev/null; then
    step memcheck 90 bash -c 'sanitizer memcheck'
    step racecheck 90 bash -c 'sanitizer racecheck'
  fi
fi

failed=0
{
  printf '%-14s %-6s %s\n' step code 'last line'
  for name in machine conformance answers ceilings engine suites_f32 suites_bf16 wide_f32 wide_bf16 decode prefill \
    decode_plain decode_pdl ceilings_tuned prefill_tuned peers memcheck racecheck; do
    code=$(cat "$results/$name.done" 2>/dev/null || echo -)
    printf '%-14s %-6s %s\n' "$name" "$code" "$(tail -n 1 "$results/$name.txt" 2>/dev/null | cut -c1-90)"
    # 5: a model too tame for one of the planted bugs, and no failure.
    case $name:$code in *:0 | *:- | wide_*:5) ;; *) failed=1 ;; esac
  done
} >"$results/table.txt"
cat "$results/table.txt"
exit $failed
