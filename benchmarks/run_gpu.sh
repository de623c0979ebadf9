#!/usr/bin/env bash
# Builds for the GPU of this machine, runs every test on it, checks kernels with compute-sanitizer where it is found,
# times them, and leaves all of it under benchmarks/results/. Needs no network, but nvcc and, in the environment of
# $PYTHON, torch with CUDA, pytest, hypothesis, scikit-build-core, pybind11, cmake and ninja.
#
#   PYTHON=python3 benchmarks/run_gpu.sh [name of the results]
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python}
compute_capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d '. ')
gpu_name=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -n 1 | tr 'A-Z ' 'a-z-')
results=benchmarks/results/${1:-$gpu_name-$(date -u +%Y%m%d-%H%M%S)}
mkdir -p "$results"

{
  git describe --always --dirty
  nvidia-smi
  nvcc --version
  "$PYTHON" -c 'import torch; print("torch", torch.__version__, "CUDA", torch.version.cuda)'
} > "$results/machine.txt" 2>&1
"$PYTHON" -c 'import torch; assert torch.cuda.is_available(), "torch sees no GPU"'

echo "building for sm_$compute_capability"
HASHKERNELS_CUDA=ON CUDAARCHS="$compute_capability-real" \
  "$PYTHON" -m pip install --quiet --no-index --no-deps --no-build-isolation \
  --config-settings=build-dir="build/gpu" --editable . 2>&1 | tee "$results/build.txt"

status=0
echo "testing"
"$PYTHON" -m pytest tests/cuda -q 2>&1 | tee "$results/tests_cuda.txt" || status=1
"$PYTHON" -m pytest tests -q 2>&1 | tee "$results/tests.txt" | tail -n 3 || status=1

sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2> /dev/null || true)
if [[ -n $sanitizer ]]; then
  # Without the caching allocator, so that memory past a tensor belongs to nobody.
  export PYTORCH_NO_CUDA_MEMORY_CACHING=1
  for tool in memcheck racecheck synccheck; do
    echo "compute-sanitizer $tool"
    "$sanitizer" --tool "$tool" --error-exitcode 1 --target-processes all \
      "$PYTHON" -m pytest tests/cuda/test_same_as_cpu.py -q -k 'not 200000 and not everything' \
      > "$results/$tool.txt" 2>&1 || status=1
    tail -n 2 "$results/$tool.txt"
  done
  unset PYTORCH_NO_CUDA_MEMORY_CACHING
else
  echo "no compute-sanitizer" | tee "$results/memcheck.txt"
fi

echo "timing"
"$PYTHON" -m hashkernels.benchmarks.gpu --output "$results/figures.json" 2>&1 | tee "$results/figures.txt" || status=1
echo "results in $results"
exit $status
