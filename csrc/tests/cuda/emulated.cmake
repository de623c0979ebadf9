# The CUDA kernels, compiled by the C++ compiler, against the CPU kernels. No nvcc, no GPU.
get_filename_component(kernel_directory ../cuda ABSOLUTE)
set(kernels candidates counting device distance filter filter_binary index_order pack pairwise pairwise_float32
  pairwise_split scan search topk triplets)

function(hashkernels_emulated target directory)
  target_include_directories(${target} PRIVATE cuda/include cuda ${directory})
  target_link_libraries(${target} PRIVATE hashkernels_core GTest::gtest_main)
  target_compile_definitions(${target} PRIVATE HASHKERNELS_CUDA_VERSION="emulated" HASHKERNELS_CUDA_ARCHITECTURES="")
  # Kernels look at shared memory as vectors of what they wrote as numbers, as CUDA lets them.
  target_compile_options(${target} PRIVATE -O2 -fno-strict-aliasing -Wno-unknown-pragmas)
  hashkernels_warnings(${target})
endfunction()

function(hashkernels_emulated_kernels target directory)
  list(TRANSFORM ARGN REPLACE "(.+)" "${directory}/\\1.cu" OUTPUT_VARIABLE sources)
  set_source_files_properties(${sources} PROPERTIES LANGUAGE CXX)
  add_library(${target} OBJECT ${sources})
  hashkernels_emulated(${target} ${directory})
endfunction()

hashkernels_emulated_kernels(hashkernels_emulated_kernels ${kernel_directory} ${kernels})
add_library(hashkernels_emulated_cases OBJECT
  cuda/codes_test.cpp
  cuda/counting_test.cpp
  cuda/distance_test.cpp
  cuda/emulator_test.cpp
  cuda/pairwise_test.cpp
  cuda/search_test.cpp
  cuda/topk_test.cpp
  cuda/triplets_test.cpp)
hashkernels_emulated(hashkernels_emulated_cases ${kernel_directory})

add_executable(hashkernels_cuda_emulated_tests
  $<TARGET_OBJECTS:hashkernels_emulated_kernels> $<TARGET_OBJECTS:hashkernels_emulated_cases>)
hashkernels_emulated(hashkernels_cuda_emulated_tests ${kernel_directory})
gtest_discover_tests(hashkernels_cuda_emulated_tests DISCOVERY_MODE PRE_TEST)

# Copies the kernel sources to `directory` and replaces texts in one of them: FROM TO, FROM TO ...
function(hashkernels_rewrite directory file)
  file(GLOB originals ${kernel_directory}/*.cu ${kernel_directory}/*.cuh)
  list(REMOVE_ITEM originals ${kernel_directory}/${file})
  foreach(original IN LISTS originals)
    get_filename_component(base ${original} NAME)
    configure_file(${original} ${directory}/${base} COPYONLY)
  endforeach()
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${kernel_directory}/${file})
  file(READ ${kernel_directory}/${file} text)
  math(EXPR last "${ARGC} - 1")
  foreach(i RANGE 2 ${last} 2)
    math(EXPR next "${i} + 1")
    string(FIND "${text}" "${ARGV${i}}" at)
    if(at EQUAL -1)
      message(FATAL_ERROR "${file} has no '${ARGV${i}}'")
    endif()
    string(REPLACE "${ARGV${i}}" "${ARGV${next}}" text "${text}")
  endforeach()
  file(CONFIGURE OUTPUT ${directory}/${file} CONTENT "${text}" @ONLY)
endfunction()

# The same tests with chunks, pieces and segments so small that every case has several of each.
set(small ${CMAKE_CURRENT_BINARY_DIR}/small_tuning)
hashkernels_rewrite(${small} tuning.cuh
  "kMaxTiles = 1 << 15" "kMaxTiles = 1"
  "kTargetThreads = 1 << 17" "kTargetThreads = 1 << 9"
  "kMinRows = 512" "kMinRows = 64"
  "kMaxPackedRows = 32768" "kMaxPackedRows = 512"
  "kTargetBlocks = 1 << 12" "kTargetBlocks = 1"
  "kTargetWarps = 1 << 12" "kTargetWarps = 24"
  "kMinWarpRows = 2048" "kMinWarpRows = 128"
  "kSegment = 16384" "kSegment = 2048"
  "kTargetBlocks = 1056" "kTargetBlocks = 3"
  "kMinRows = 16384" "kMinRows = 256"
  "kMinCandidates = 4096" "kMinCandidates = 512"
  "kFewCandidates = 65536" "kFewCandidates = 600"
  "kFewThreads = 1024" "kFewThreads = 256"
  "kSelected = 4096" "kSelected = 1024"
  "kTargetWarps = 132 * 96" "kTargetWarps = 5"
  "kMinRows = 256" "kMinRows = 16"
  "kBuffer = 128" "kBuffer = 8"
  "kTargetBlocks = 132 * 32" "kTargetBlocks = 3"
  "kItems = 512" "kItems = 256")
hashkernels_emulated_kernels(hashkernels_small_kernels ${small} ${kernels})
add_executable(hashkernels_cuda_emulated_small_tests
  $<TARGET_OBJECTS:hashkernels_small_kernels> $<TARGET_OBJECTS:hashkernels_emulated_cases>)
hashkernels_emulated(hashkernels_cuda_emulated_small_tests ${small})
foreach(suite Counting Distance IndexOrder MarginLoss ContrastiveLoss TopK Triplets)
  add_test(NAME small_tuning_${suite} COMMAND hashkernels_cuda_emulated_small_tests
           --gtest_filter=Emulated${suite}*-*AtEveryWidth*)
endforeach()

# Mutants: one kernel with one text replaced, in its own file or in the header named last, which the tests named by
# `filter` must notice.
function(hashkernels_mutant name kernel filter from to)
  set(directory ${CMAKE_CURRENT_BINARY_DIR}/mutants/${name})
  set(file ${kernel}.cu ${ARGN})
  list(GET file -1 file)
  hashkernels_rewrite(${directory} ${file} "${from}" "${to}")
  hashkernels_emulated_kernels(mutated_${name} ${directory} ${kernel})
  target_compile_options(mutated_${name} PRIVATE -O1)  # run once, to fail soon
  add_executable(mutant_${name} $<TARGET_OBJECTS:mutated_${name}> $<TARGET_OBJECTS:hashkernels_emulated_cases>
    "$<FILTER:$<TARGET_OBJECTS:hashkernels_emulated_kernels>,EXCLUDE,/${kernel}\\.cu>")
  hashkernels_emulated(mutant_${name} ${kernel_directory})
  add_test(NAME mutant_${name} COMMAND mutant_${name} --gtest_filter=${filter} --gtest_fail_fast)
  set_tests_properties(mutant_${name} PROPERTIES WILL_FAIL TRUE TIMEOUT 120)
endfunction()

hashkernels_mutant(distance_without_barrier distance EmulatedDistance*
                   "__syncthreads();  // the tile is there" "")
hashkernels_mutant(distance_with_a_longer_tail distance EmulatedDistance*
                   "first + 32 * c < database.num_codes" "first + 32 * c <= database.num_codes")
hashkernels_mutant(distance_with_a_vector_too_many distance EmulatedDistance*
                   "inside && first < database.num_codes" "inside && first <= database.num_codes")
hashkernels_mutant(distance_with_a_query_too_many distance EmulatedDistance*
                   "batch + q < rows" "batch + q <= rows")
hashkernels_mutant(distance_with_unaligned_vectors distance EmulatedDistance*
                   "database.num_codes % kCodes == 0 &&" "")
hashkernels_mutant(counting_without_barrier counting EmulatedCounting*
                   "__syncthreads();  // the tile is there" "" staged.cuh)
hashkernels_mutant(counting_with_one_tile_for_all counting EmulatedCounting*
                   "__syncthreads();  // the tile before has been read" "" staged.cuh)
hashkernels_mutant(counting_without_all_chunks counting EmulatedCounting*
                   "__syncthreads();  // the counters of all chunks are there" "")
hashkernels_mutant(counting_with_a_longer_tail counting EmulatedCounting*
                   "min(share.rows - at" "min(share.rows + 1 - at" staged.cuh)
hashkernels_mutant(counting_with_a_batch_too_few counting EmulatedCounting*
                   "j < rows; ++j" "j < rows - 1; ++j" staged.cuh)
hashkernels_mutant(counting_with_queries_past_the_end counting EmulatedCounting*
                   "!share.query_exists" "!share.chunk_exists")
hashkernels_mutant(pack_with_a_narrower_mask pack EmulatedPackCodes*
                   "kAllLanes = 0xFFFFFFFF" "kAllLanes = 0x7FFFFFFF")
hashkernels_mutant(pack_with_a_longer_tail pack EmulatedPackCodes* "column < values.bits)" "column <= values.bits)")
hashkernels_mutant(scan_without_barrier scan EmulatedRangeSearch*
                   "__syncthreads();  // the sums of all warps are there" "")
hashkernels_mutant(scan_with_a_shifted_lane scan EmulatedTopK* "lane >= delta" "lane > delta" scan.cuh)
hashkernels_mutant(search_with_a_longer_tail search EmulatedRangeSearch*
                   "distance < bins" "distance <= bins")
hashkernels_mutant(warps_without_a_barrier search EmulatedTopK*
                   "__syncwarp();  // the counters of all lanes are there" "")
hashkernels_mutant(warps_with_a_wrong_lane_mask search EmulatedTopK*
                   "(1u << lane_) - 1" "(2u << lane_) - 1" warp_search.cuh)
hashkernels_mutant(warps_with_a_longer_tail search EmulatedTopK* "row + i < last" "row + i <= last" warp_search.cuh)
hashkernels_mutant(warps_with_a_place_too_many search EmulatedTopK* "to < limit_" "to <= limit_" warp_search.cuh)
hashkernels_mutant(warps_that_skip_a_chunk_too_many search EmulatedTopK* "> greatest) return" ">= greatest) return")
hashkernels_mutant(search_without_its_last_distance search EmulatedTopK* "distance > greatest" "distance >= greatest")
hashkernels_mutant(limits_without_the_last_distance_of_a_sample candidates EmulatedTopKByLimits*
                   "sample ? distance + 1 : distance" "distance")
hashkernels_mutant(candidates_without_barrier candidates EmulatedTopKByLimits*
                   "__syncthreads();  // the distance is there" "")
hashkernels_mutant(candidates_unsorted_at_the_end candidates EmulatedTopKByLimits*
                   "run <= size; run" "run < size; run")
hashkernels_mutant(filter_without_barrier filter EmulatedTopKByLimits*
                   "__syncthreads();  // the tile is there" "")
hashkernels_mutant(matrices_without_a_barrier filter_binary EmulatedTopKByLimits*
                   "__syncwarp();  // all have read what was found" "")
hashkernels_mutant(matrices_with_a_wrong_column filter_binary EmulatedTopKByLimits*
                   "lane % 4 * 2 + sum % 2" "lane % 4 * 2 + sum / 2 % 2")
hashkernels_mutant(candidates_lost_unnoticed candidates EmulatedTopKByLimits.ManyEqualCodes
                   "count > candidates.capacity || size" "size")
hashkernels_mutant(filter_that_skips_a_row filter EmulatedTopKByLimits*
                   "const int c = __ffs(near) - 1;" "const int c = (__ffs(near) - 1) & 6;")
hashkernels_mutant(index_order_with_a_late_cutoff index_order EmulatedIndexOrder*
                   "rank_of(ranks) > cutoffs_.values[cut]" "rank_of(ranks) > cutoffs_.values[cut] + 1")
hashkernels_mutant(index_order_without_barrier index_order EmulatedIndexOrder*
                   "__syncthreads();  // the tile is there" "" staged.cuh)
hashkernels_mutant(index_order_with_a_full_queue index_order EmulatedIndexOrder*
                   "queued > kQueue - Tuning::kMaxBatch" "queued > kQueue")
hashkernels_mutant(index_order_without_the_last_codes index_order EmulatedIndexOrder*
                   "  work_off();\n  if" "  if")
hashkernels_mutant(index_order_with_chunks_past_the_end index_order EmulatedIndexOrder*
                   "!share.query_exists || !share.chunk_exists" "!share.query_exists")
hashkernels_mutant(pairwise_without_barrier pairwise_float32 EmulatedMarginLoss*
                   "__syncthreads();  // the step is there" "")
hashkernels_mutant(pairs_counted_without_a_barrier pairwise EmulatedMarginLoss*
                   "__syncthreads();  // the ids are there" "")
hashkernels_mutant(pairwise_with_a_divergent_barrier pairwise_float32 EmulatedMarginLoss*
                   "__syncthreads();  // slopes and values are there" "if (threadIdx.x < 128) __syncthreads();")
hashkernels_mutant(pairwise_with_its_diagonal pairwise_float32 EmulatedMarginLoss*
                   "j - i != to_diagonal" "j - i != to_diagonal + kTile")
hashkernels_mutant(split_without_barrier pairwise_split EmulatedSplit*
                   "__syncthreads();  // the slice is there" "")
hashkernels_mutant(split_without_a_barrier_between_slices pairwise_split EmulatedSplitLoss.LongCodes
                   "__syncthreads();  // the columns have been read" "")
hashkernels_mutant(split_with_a_longer_tail pairwise_split EmulatedSplit*
                   "column < columns_left" "column <= columns_left")
hashkernels_mutant(split_with_its_diagonal pairwise_split EmulatedSplit*
                   "column - row != to_diagonal" "column - row != to_diagonal + kRows")
hashkernels_mutant(split_with_a_product_less pairwise_split EmulatedSplit*
                   "arch::multiply_bf16(sums, rows[1], columns[0][2 * i], columns[0][2 * i + 1]);" ""
                   pairwise_fragments.cuh)
hashkernels_mutant(split_with_values_past_the_end pairwise_split EmulatedSplit*
                   "if (bit + i < bits)" "if (bit + i <= bits)" pairwise_fragments.cuh)
hashkernels_mutant(split_with_a_row_too_far pairwise_split EmulatedSplit* "row = 8 * (e / 2);" "row = 8 * (e % 2);")
hashkernels_mutant(distances_without_a_row_of_slopes pairwise_split EmulatedContrastiveLoss*
                   "flip = num_lanes / 2" "flip = num_lanes / 4" pairs.cuh)
hashkernels_mutant(lengths_with_values_past_the_end pairwise EmulatedContrastiveLoss*
                   "threadIdx.x % 32; bit < bits" "threadIdx.x % 32; bit <= bits")
hashkernels_mutant(overlap_of_classes_counted_twice pairwise_float32 EmulatedLikelihoodLoss.OverlapOfClasses
                   "column_sizes_[j] - common" "column_sizes_[j]" pair_relevance.cuh)
hashkernels_mutant(triplets_without_barrier triplets EmulatedTriplets*
                   "__syncthreads();  // the counts of all warps are there" "")
hashkernels_mutant(triplets_with_items_past_the_end triplets EmulatedTriplets*
                   "first + item < query.num_items" "first + item <= query.num_items")
