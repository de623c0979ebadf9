# The CUDA kernels, where nvcc is found; otherwise a stub that reports their absence.
target_sources(hashkernels_core PRIVATE cuda/absent.cpp)
