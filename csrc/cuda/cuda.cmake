# The CUDA kernels, where nvcc is found; otherwise a stub that reports their absence.
set(cuda_found FALSE)
if(NOT HASHKERNELS_CUDA STREQUAL "OFF")
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES AND NOT DEFINED ENV{CUDAARCHS})
    set(CMAKE_CUDA_ARCHITECTURES OFF)  # those below
  endif()
  if(NOT DEFINED CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    # Through the environment: a preset CMAKE_CUDA_COMPILER would turn check_language off.
    find_program(HASHKERNELS_NVCC nvcc PATHS /usr/local/cuda/bin)
    if(HASHKERNELS_NVCC)
      set(ENV{CUDACXX} "${HASHKERNELS_NVCC}")
    endif()
  endif()
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    find_package(CUDAToolkit REQUIRED)
    set(cuda_found TRUE)
  elseif(HASHKERNELS_CUDA STREQUAL "ON")
    message(FATAL_ERROR "HASHKERNELS_CUDA=ON needs a working nvcc: put it on PATH or set CUDACXX, "
                        "or build for the CPU alone with HASHKERNELS_CUDA=OFF")
  endif()
endif()

if(NOT cuda_found)
  message(STATUS "hashkernels: CPU kernels only")
  target_sources(hashkernels_core PRIVATE cuda/absent.cpp)
  return()
endif()

set(architectures ${CMAKE_CUDA_ARCHITECTURES})
if(NOT architectures)
  # Code for one architecture runs on the later ones of its generation: sm_80 serves 86 and 89. PTX serves what comes.
  # Most of the time goes into PTX, which is the same for 80 and 90, and for 100 and 120: it is made once for both.
  set(architectures 80-real 90-real 100-real 120-real 100-virtual)
  set(generate_code --generate-code=arch=compute_80,code=[sm_80,sm_90]
                    --generate-code=arch=compute_100,code=[sm_100,sm_120,compute_100])
endif()
message(STATUS "hashkernels: CUDA kernels by nvcc ${CMAKE_CUDA_COMPILER_VERSION} for ${architectures}")
# Those that take longest come first, or one of them is compiled alone at the end.
add_library(hashkernels_cuda OBJECT
  cuda/pairwise_split.cu
  cuda/search.cu
  cuda/pairwise_float32.cu
  cuda/distance.cu
  cuda/index_order.cu
  cuda/counting.cu
  cuda/filter.cu
  cuda/filter_binary.cu
  cuda/pairwise.cu
  cuda/pack.cu
  cuda/candidates.cu
  cuda/device.cu
  cuda/scan.cu
  cuda/topk.cu
  cuda/triplets.cu)
# Metrics come out as on the CPU, whose compiler fuses no multiplication with an addition either.
set_source_files_properties(cuda/index_order.cu PROPERTIES COMPILE_OPTIONS --fmad=false)
target_include_directories(hashkernels_cuda PRIVATE include cuda)
set_target_properties(hashkernels_cuda PROPERTIES CUDA_STANDARD 17 CUDA_STANDARD_REQUIRED ON CUDA_EXTENSIONS OFF CUDA_RUNTIME_LIBRARY Static CUDA_VISIBILITY_PRESET hidden)
list(JOIN architectures "," architectures)
target_compile_definitions(hashkernels_cuda PRIVATE
  HASHKERNELS_CUDA_VERSION="${CUDAToolkit_VERSION_MAJOR}.${CUDAToolkit_VERSION_MINOR}"
  HASHKERNELS_CUDA_ARCHITECTURES="${architectures}")
target_compile_options(hashkernels_cuda PRIVATE ${generate_code})
if(CMAKE_CUDA_COMPILER_VERSION VERSION_GREATER_EQUAL 13)
  # A third of the size; the drivers that run code of CUDA 13 all unpack it.
  target_compile_options(hashkernels_cuda PRIVATE --compress-mode=size)
endif()
if(HASHKERNELS_WERROR)
  target_compile_options(hashkernels_cuda PRIVATE "SHELL:-Werror all-warnings -Xptxas -Werror,-warn-spills,-warn-lmem-usage")
endif()
target_sources(hashkernels_core PRIVATE $<TARGET_OBJECTS:hashkernels_cuda>)
# That target is older than the language, and links its objects.
set_target_properties(hashkernels_core PROPERTIES CUDA_ARCHITECTURES "${CMAKE_CUDA_ARCHITECTURES}" CUDA_STANDARD 17)
target_link_libraries(hashkernels_core PUBLIC CUDA::cudart_static)
