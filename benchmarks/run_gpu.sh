#!/usr/bin/env bash
# Builds for the GPU of this machine, runs every test on it, checks kernels with compute-sanitizer where it is found,
# times them, and leaves all of it under benchmarks/results/, in under ten minutes. Needs no network, but nvcc and, in
# the environment of $PYTHON, torch with CUDA, pytest, hypothesis, scikit-build-core, pybind11, cmake and ninja.
#
#   PYTHON=python3 benchmarks/run_gpu.sh [folder for the results]
#
# A step that fails or takes too long does not stop the later ones; the exit status is 1 if any did.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

PYTHON=${PYTHON:-python}
PATH=$PATH:/usr/local/cuda/bin
LIMIT=${LIMIT:-570} # seconds for all of it
compute_capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d '. ')
gpu_name=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -n 1 | tr 'A-Z ' 'a-z-')
if [[ -z $compute_capability ]]; then
  echo "nvidia-smi sees no GPU" >&2
  exit 1
fi
results=${1:-benchmarks/results/$gpu_name-$(date -u +%Y%m%d-%H%M%S)}
mkdir -p "$results"
status=0

# step NAME SECONDS COMMAND...: runs it for at most that long, and no longer than what is left of the whole, with its
# output in NAME.txt and the end of it on the screen.
step() {
  local name=$1 seconds=$2 code=0
  shift 2
  local left=$((LIMIT - SECONDS))
  if ((left < 10)); then
    echo "$name: no time was left" | tee -a "$results/steps.txt"
    status=1
    return 1
  fi
  ((seconds < left)) || seconds=$left
  local began=$SECONDS
  timeout --kill-after=5 "$seconds" "$@" > "$results/$name.txt" 2>&1 || code=$?
  tail -n 3 "$results/$name.txt"
  echo "$name: exit status $code after $((SECONDS - began)) s" | tee -a "$results/steps.txt"
  ((code == 0)) || status=1
  return "$code"
}

{
  git describe --always --dirty
  nvidia-smi
  nvcc --version
  "$PYTHON" -c 'import torch; print("torch", torch.__version__, "CUDA", torch.version.cuda)'
} > "$results/machine.txt" 2>&1

step torch 60 "$PYTHON" -c 'import torch; assert torch.cuda.is_available(), "torch sees no GPU"' || exit 1
step build 240 env HASHKERNELS_CUDA=ON CUDAARCHS="$compute_capability-real" CMAKE_BUILD_PARALLEL_LEVEL="$(nproc)" \
  "$PYTHON" -m pip install --quiet --no-index --no-deps --no-build-isolation \
  --config-settings=build-dir=build/gpu --editable . || exit 1

step tests_cuda 120 "$PYTHON" -m pytest tests/cuda -q --maxfail 40
step figures 220 "$PYTHON" -m hashkernels.benchmarks.gpu --output "$results/figures.json" --seconds 180

sanitizer=$(command -v compute-sanitizer)
if [[ -n $sanitizer ]]; then
  # Without the caching allocator, so that memory past a tensor belongs to nobody; a few sizes of every kernel.
  export PYTORCH_NO_CUDA_MEMORY_CACHING=1
  for tool in memcheck racecheck; do
    step "$tool" 90 "$sanitizer" --tool "$tool" --error-exitcode 1 "$PYTHON" -m pytest tests/cuda/test_small.py -q
  done
  unset PYTORCH_NO_CUDA_MEMORY_CACHING
else
  echo "no compute-sanitizer" | tee "$results/memcheck.txt"
fi

# The rest of the suite uses the CPU, and what of the GPU the ops there use.
workers=()
"$PYTHON" -c 'import xdist' 2> /dev/null && workers=(-n 8)
step tests 240 "$PYTHON" -m pytest tests -q --ignore=tests/cuda "${workers[@]}"

echo "results in $results, after $SECONDS s"
exit $status
