# The sanctioned commands, each run in the environment that holds the package and its dev extra (make install).
PYTHON ?= python
BUILD ?= build/cpp
CMAKE_FLAGS ?=
CXX_SOURCES = $(shell git ls-files 'csrc/*.cpp' 'csrc/*.hpp' 'csrc/*.h' 'csrc/*.cu' 'csrc/*.cuh')

FUZZ_SECONDS ?= 5

SANITIZE_FLAGS = -DHASHKERNELS_CUDA=OFF -DHASHKERNELS_BUILD_PYTHON=OFF -DHASHKERNELS_BUILD_TESTS=ON -DHASHKERNELS_WERROR=ON

# The loop over all pairs of 32 bits takes longest and asks for no memory. What the thread sanitizer looks at: the pool, and
# what splits its work over threads, which every instruction set does alike.
ADDRESS_TESTS = -E 'symbols|PassTheRangeOf32Bits'
THREAD_TESTS = -R 'Parallel|Thread|scalar' -E 'symbols|PairwiseFunctions'

.PHONY: help install test fuzz cpp-test sanitize arm-test lint format typecheck bench bench-check check

help:  ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

install:  ## editable install with everything that development needs
	$(PYTHON) -m pip install -c constraints.txt scikit-build-core pybind11 ninja
	$(PYTHON) -m pip install -c constraints.txt --no-build-isolation -e '.[dev]'

test:  ## Python tests, docstring examples included
	$(PYTHON) -m pytest tests

fuzz:  ## mutated files for every reader, FUZZ_SECONDS each (needs atheris)
	$(PYTHON) fuzz/fuzz_readers.py --seconds $(FUZZ_SECONDS)

cpp-test:  ## C++ tests under every instruction set of this machine (needs GoogleTest)
	cmake -S . -B $(BUILD) -G Ninja -DHASHKERNELS_BUILD_PYTHON=OFF -DHASHKERNELS_BUILD_TESTS=ON -DHASHKERNELS_WERROR=ON $(CMAKE_FLAGS)
	cmake --build $(BUILD)
	ctest --test-dir $(BUILD) --output-on-failure --parallel $(shell nproc)

sanitize:  ## C++ tests under the address and undefined-behaviour sanitizers, then the threaded ones under that for threads
	cmake -S . -B build/address -G Ninja -DHASHKERNELS_SANITIZE=address,undefined $(SANITIZE_FLAGS)
	cmake --build build/address --target hashkernels_tests
	ctest --test-dir build/address --output-on-failure --parallel $(shell nproc) $(ADDRESS_TESTS)
	cmake -S . -B build/thread -G Ninja -DHASHKERNELS_SANITIZE=thread $(SANITIZE_FLAGS)
	cmake --build build/thread --target hashkernels_tests
	TSAN_OPTIONS=die_after_fork=0 ctest --test-dir build/thread --output-on-failure --parallel $(shell nproc) $(THREAD_TESTS)

arm-test:  ## C++ tests of the NEON kernels, cross-compiled and emulated (needs g++-aarch64-linux-gnu, qemu-user, libgtest-dev)
	cmake -S . -B build/arm -G Ninja -DCMAKE_TOOLCHAIN_FILE=cmake/aarch64-linux-gnu.cmake -DHASHKERNELS_CUDA=OFF \
	  -DHASHKERNELS_BUILD_PYTHON=OFF -DHASHKERNELS_BUILD_TESTS=ON -DHASHKERNELS_WERROR=ON
	cmake --build build/arm
	ctest --test-dir build/arm --output-on-failure --parallel $(shell nproc) -E 'scalar|ForkedChild|PassTheRangeOf32Bits'
# The scalar kernels run natively elsewhere. qemu-user itself aborts when a threaded program forks, and takes minutes for
# the pairs of the other test.

lint:  ## ruff and clang-format, without changing anything
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	clang-format --dry-run --Werror $(CXX_SOURCES)

format:  ## let ruff and clang-format rewrite the sources
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .
	clang-format -i $(CXX_SOURCES)

typecheck:  ## mypy, strict
	$(PYTHON) -m mypy

bench:  ## time every benchmark against its peers
	$(PYTHON) -m pytest benchmarks

bench-check:  ## run every benchmark once, for its correctness check, without timing
	$(PYTHON) -m pytest benchmarks --benchmark-disable

check: lint typecheck test cpp-test sanitize bench-check  ## all tests and checks but fuzz and arm-test
