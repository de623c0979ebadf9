# The CUDA kernels, compiled by the C++ compiler, against the CPU kernels. No nvcc, no GPU.
set(kernel_directory ${CMAKE_CURRENT_SOURCE_DIR}/../cuda)
set(kernels counting device distance index_order pack pairwise scan search)
list(TRANSFORM kernels PREPEND ${kernel_directory}/ OUTPUT_VARIABLE kernel_sources)
list(TRANSFORM kernel_sources APPEND .cu)
set_source_files_properties(${kernel_sources} PROPERTIES LANGUAGE CXX)

function(hashkernels_emulated target)
  target_include_directories(${target} PRIVATE cuda/include cuda ${kernel_directory})
  target_link_libraries(${target} PRIVATE hashkernels_core GTest::gtest_main)
  target_compile_definitions(${target} PRIVATE HASHKERNELS_CUDA_VERSION="emulated" HASHKERNELS_CUDA_ARCHITECTURES="")
  # Kernels look at shared memory as vectors of what they wrote as numbers, as CUDA lets them.
  target_compile_options(${target} PRIVATE -O2 -fno-strict-aliasing -Wno-unknown-pragmas)
  hashkernels_warnings(${target})
endfunction()

add_library(hashkernels_emulated_kernels OBJECT ${kernel_sources})
hashkernels_emulated(hashkernels_emulated_kernels)
add_library(hashkernels_emulated_cases OBJECT
  cuda/codes_test.cpp
  cuda/counting_test.cpp
  cuda/distance_test.cpp
  cuda/emulator_test.cpp
  cuda/pairwise_test.cpp
  cuda/search_test.cpp)
hashkernels_emulated(hashkernels_emulated_cases)

add_executable(hashkernels_cuda_emulated_tests
  $<TARGET_OBJECTS:hashkernels_emulated_kernels> $<TARGET_OBJECTS:hashkernels_emulated_cases>)
hashkernels_emulated(hashkernels_cuda_emulated_tests)
gtest_discover_tests(hashkernels_cuda_emulated_tests DISCOVERY_MODE PRE_TEST)

# Mutants: one kernel file with one text replaced, which the tests named by `filter` must notice.
function(hashkernels_mutant name kernel filter from to)
  set(original ${kernel_directory}/${kernel}.cu)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${original})
  file(READ ${original} text)
  string(FIND "${text}" "${from}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "mutant ${name}: ${kernel}.cu has no '${from}'")
  endif()
  string(REPLACE "${from}" "${to}" text "${text}")
  set(mutated ${CMAKE_CURRENT_BINARY_DIR}/mutants/${name}.cu)
  file(CONFIGURE OUTPUT ${mutated} CONTENT "${text}" @ONLY)
  set_source_files_properties(${mutated} PROPERTIES LANGUAGE CXX)
  set(objects "$<FILTER:$<TARGET_OBJECTS:hashkernels_emulated_kernels>,EXCLUDE,/${kernel}\\.cu>")
  add_executable(mutant_${name} ${mutated} ${objects} $<TARGET_OBJECTS:hashkernels_emulated_cases>)
  hashkernels_emulated(mutant_${name})
  add_test(NAME mutant_${name} COMMAND mutant_${name} --gtest_filter=${filter})
  set_tests_properties(mutant_${name} PROPERTIES WILL_FAIL TRUE TIMEOUT 60)
endfunction()

hashkernels_mutant(distance_without_barrier distance EmulatedDistance.*
                   "__syncthreads();  // the step before has been read" "")
hashkernels_mutant(distance_with_a_longer_tail distance EmulatedDistance.*
                   "if (code < database.num_codes)" "if (code <= database.num_codes)")
