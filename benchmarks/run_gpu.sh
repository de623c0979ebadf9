#!/usr/bin/env bash
# Builds for the GPU of this machine, runs every test on it, times the kernels, looks at them with compute-sanitizer and
# ncu where these are found, and leaves all of it under benchmarks/results/, in under ten minutes. Needs no network, but
# nvcc and, in the environment of $PYTHON, torch with CUDA, scikit-build-core, pybind11, cmake, ninja, pytest and what
# else the tests import: those that miss a package are named, and the others run.
#
#   PYTHON=python3 benchmarks/run_gpu.sh [folder for the results]
#
# STEPS="build figures table" runs those alone, LIMIT=300 ends after so many seconds.
#
# A step that fails or takes too long does not stop the later ones; the exit status is 1 if any did.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

PYTHON=${PYTHON:-python}
PATH=$PATH:${CUDA_HOME:-/usr/local/cuda}/bin
LIMIT=${LIMIT:-570} # seconds for all of it
export PYTHONUNBUFFERED=1 # a step that is stopped leaves what it printed until then
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
  [[ -z ${STEPS:-} || " $STEPS " == *" $name "* ]] || return 0
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
step figures 240 "$PYTHON" -m hashkernels.benchmarks.gpu --output "$results/figures.json" --seconds 200
step kernels 40 "$PYTHON" -m hashkernels.benchmarks.gpu_kernels

# found NAME: where that tool is; says so where it is not.
found() {
  command -v "$1" && return
  echo "$1: not found, left out" >> "$results/steps.txt"
  return 1
}

if sanitizer=$(found compute-sanitizer); then
  # Without the caching allocator, so that memory past a tensor belongs to nobody; a few sizes of every kernel.
  export PYTORCH_NO_CUDA_MEMORY_CACHING=1
  for tool in memcheck racecheck initcheck; do
    step "$tool" 60 "$sanitizer" --tool "$tool" --error-exitcode 1 "$PYTHON" -m pytest tests/cuda/test_small.py -q
  done
  unset PYTORCH_NO_CUDA_MEMORY_CACHING
fi

if ncu=$(found ncu); then
  step ncu 90 "$ncu" --csv --page details --section SpeedOfLight --clock-control none \
    --profile-from-start off --kernel-name-base mangled --kernel-name regex:hashkernels \
    "$PYTHON" -m hashkernels.benchmarks.gpu_kernels --once
fi

table=()
[[ -e $results/ncu.txt ]] && table+=(--ncu "$results/ncu.txt")
"$PYTHON" -c 'import matplotlib' 2> /dev/null && table+=(--plot "$results/roofline.svg")
step table 30 "$PYTHON" -m hashkernels.benchmarks.gpu_table "$results/figures.json" "${table[@]}"

# The rest of the suite uses the CPU, and what of the GPU the ops there use.
workers=()
"$PYTHON" -c 'import xdist' 2> /dev/null && workers=(-n "$(nproc)")
step tests 240 env OMP_NUM_THREADS=2 "$PYTHON" -m pytest tests -q --ignore=tests/cuda \
  --continue-on-collection-errors "${workers[@]}"

echo "results in $results, after $SECONDS s"
exit $status
