# The CUDA kernels, compiled by the C++ compiler, against the CPU kernels. No nvcc, no GPU.
get_filename_component(kernel_directory ../cuda ABSOLUTE)
set(kernels candidates counting device distance filter filter_binary index_order pack pairwise pairwise_float32
  pairwise_split scan search topk triplets)

function(hashkernels_emulated target directory)
  target_include_directories(${target} PRIVATE cuda/include cuda ${directory})
  target_link_libraries(${target} PRIVATE hashkernels_core GTest::gtest_main)
  target_compile_definitions(${target} PRIVATE HASHKERNELS_CUDA_VERSION="emulated" HASHKERNELS_CUDA_ARCHITECTURES="")
  # Kernels look at shared memory as vectors of what they wrote as numbers, as CUDA lets them.
  target_compile_options(${target} PRIVATE -O2 -march=native -fno-strict-aliasing -Wno-unknown-pragmas)
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
  cuda/launch_test.cpp
  cuda/pairwise_test.cpp
  cuda/search_test.cpp
  cuda/topk_test.cpp
  cuda/triplets_test.cpp)
hashkernels_emulated(hashkernels_emulated_cases ${kernel_directory})
set_target_properties(hashkernels_emulated_cases PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 4)

add_executable(hashkernels_cuda_emulated_tests
  $<TARGET_OBJECTS:hashkernels_emulated_kernels> $<TARGET_OBJECTS:hashkernels_emulated_cases>)
hashkernels_emulated(hashkernels_cuda_emulated_tests ${kernel_directory})
gtest_discover_tests(hashkernels_cuda_emulated_tests DISCOVERY_MODE PRE_TEST)

# An edition of the kernel sources is a copy of them with some texts replaced.
function(hashkernels_replace edition file from to)
  get_property(text GLOBAL PROPERTY ${edition}/${file})
  if(NOT text)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${kernel_directory}/${file})
    file(READ ${kernel_directory}/${file} text)
  endif()
  string(FIND "${text}" "${from}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "${file} has no '${from}'")
  endif()
  string(REPLACE "${from}" "${to}" text "${text}")
  set_property(GLOBAL PROPERTY ${edition}/${file} "${text}")
endfunction()

function(hashkernels_write edition directory)
  file(GLOB originals ${kernel_directory}/*.cu ${kernel_directory}/*.cuh)
  foreach(original IN LISTS originals)
    get_filename_component(file ${original} NAME)
    get_property(text GLOBAL PROPERTY ${edition}/${file})
    if(text)
      file(CONFIGURE OUTPUT ${directory}/${file} CONTENT "${text}" @ONLY)
    else()
      configure_file(${original} ${directory}/${file} COPYONLY)
    endif()
  endforeach()
endfunction()

# The same tests with chunks, pieces and segments so small that every case has several of each.
set(small ${CMAKE_CURRENT_BINARY_DIR}/small_tuning)
hashkernels_replace(small tuning.cuh "kMaxTiles = 1 << 15" "kMaxTiles = 1")
hashkernels_replace(small tuning.cuh "kTargetThreads = 1 << 17" "kTargetThreads = 1 << 9")
hashkernels_replace(small tuning.cuh "kMinRows = 512" "kMinRows = 64")
hashkernels_replace(small tuning.cuh "kMaxPackedRows = 32768" "kMaxPackedRows = 512")
hashkernels_replace(small tuning.cuh "kTargetBlocks = 1 << 12" "kTargetBlocks = 1")
hashkernels_replace(small tuning.cuh "kTargetWarps = 1 << 12" "kTargetWarps = 24")
hashkernels_replace(small tuning.cuh "kMinWarpRows = 2048" "kMinWarpRows = 128")
hashkernels_replace(small tuning.cuh "kSegment = 16384" "kSegment = 2048")
hashkernels_replace(small tuning.cuh "kTargetBlocks = 1056" "kTargetBlocks = 3")
hashkernels_replace(small tuning.cuh "kMostCounted = 1 << 26" "kMostCounted = 64")
hashkernels_replace(small tuning.cuh "kMinRows = 16384" "kMinRows = 256")
hashkernels_replace(small tuning.cuh "kMinCandidates = 4096" "kMinCandidates = 512")
hashkernels_replace(small tuning.cuh "kFewCandidates = 65536" "kFewCandidates = 600")
hashkernels_replace(small tuning.cuh "kFewThreads = 1024" "kFewThreads = 256")
hashkernels_replace(small tuning.cuh "kSelected = 4096" "kSelected = 1024")
hashkernels_replace(small tuning.cuh "kTargetWarps = 132 * 96" "kTargetWarps = 5")
hashkernels_replace(small tuning.cuh "kMinRows = 256" "kMinRows = 16")
hashkernels_replace(small tuning.cuh "kBuffer = 128" "kBuffer = 8")
hashkernels_replace(small tuning.cuh "kTargetBlocks = 132 * 32" "kTargetBlocks = 3")
hashkernels_replace(small tuning.cuh "kItems = 512" "kItems = 256")
hashkernels_write(small ${small})
hashkernels_emulated_kernels(hashkernels_small_kernels ${small} ${kernels})
add_executable(hashkernels_cuda_emulated_small_tests
  $<TARGET_OBJECTS:hashkernels_small_kernels> $<TARGET_OBJECTS:hashkernels_emulated_cases>)
hashkernels_emulated(hashkernels_cuda_emulated_small_tests ${small})
foreach(suite Counting Distance IndexOrder MarginLoss ContrastiveLoss TopK Triplets)
  add_test(NAME small_tuning_${suite} COMMAND hashkernels_cuda_emulated_small_tests
           --gtest_filter=Emulated${suite}*-*AtEveryWidth*)
  set_tests_properties(small_tuning_${suite} PROPERTIES COST 10)  # before the many short ones
endforeach()

# Mutants: kernels that do something else where MUTATED holds, which the tests named by `filter` must notice. One program
# has them all, and is told by its environment which of them it is.
set(mutants ${CMAKE_CURRENT_BINARY_DIR}/mutants)
set(num_mutants 0)
function(hashkernels_mutant name file filter from to)
  math(EXPR number "${num_mutants} + 1")
  set(num_mutants ${number} PARENT_SCOPE)
  string(REPLACE "MUTATED" "(::emulator::mutant == ${number})" to "${to}")
  hashkernels_replace(mutants ${file} "${from}" "${to}")
  add_test(NAME mutant_${name} COMMAND hashkernels_cuda_mutants --gtest_filter=${filter} --gtest_fail_fast)
  set_tests_properties(mutant_${name} PROPERTIES WILL_FAIL TRUE TIMEOUT 120 ENVIRONMENT HASHKERNELS_MUTANT=${number})
endfunction()

hashkernels_mutant(distance_without_barrier distance.cu EmulatedDistance*
                   "__syncthreads();  // the tile is there" "if (!MUTATED) __syncthreads();  // the tile is there")
hashkernels_mutant(distance_with_a_longer_tail distance.cu EmulatedDistance*
                   "first + 32 * c < database.num_codes" "first + 32 * c < database.num_codes + MUTATED")
hashkernels_mutant(distance_with_a_vector_too_many distance.cu EmulatedDistance*
                   "inside && first < database.num_codes" "inside && first < database.num_codes + MUTATED")
hashkernels_mutant(distance_with_a_query_too_many distance.cu EmulatedDistance*
                   "batch + q < rows" "batch + q < rows + MUTATED")
hashkernels_mutant(distance_with_unaligned_vectors distance.cu EmulatedDistance*
                   "database.num_codes % kCodes == 0 &&" "(MUTATED || database.num_codes % kCodes == 0) &&")
hashkernels_mutant(counting_without_barrier staged.cuh EmulatedCounting*
                   "__syncthreads();  // the tile is there" "if (!MUTATED) __syncthreads();  // the tile is there")
hashkernels_mutant(counting_with_one_tile_for_all staged.cuh EmulatedCounting*
                   "__syncthreads();  // the tile before has been read"
                   "if (!MUTATED) __syncthreads();  // the tile before has been read")
hashkernels_mutant(counting_without_all_chunks counting.cu EmulatedCounting*
                   "__syncthreads();  // the counters of all chunks are there"
                   "if (!MUTATED) __syncthreads();  // the counters of all chunks are there")
hashkernels_mutant(counting_with_a_longer_tail staged.cuh EmulatedCounting*
                   "min(share.rows - at" "min(share.rows + MUTATED - at")
hashkernels_mutant(counting_with_a_batch_too_few staged.cuh EmulatedCounting*
                   "j < rows; ++j" "j < rows - MUTATED; ++j")
hashkernels_mutant(counting_with_queries_past_the_end counting.cu EmulatedCounting*
                   "!share.query_exists" "!(MUTATED ? share.chunk_exists : share.query_exists)")
hashkernels_mutant(pack_with_a_narrower_mask pack.cu EmulatedPackCodes*
                   "__ballot_sync(kAllLanes" "__ballot_sync(MUTATED ? 0x7FFFFFFF : kAllLanes")
hashkernels_mutant(pack_with_a_longer_tail pack.cu EmulatedPackCodes*
                   "column < values.bits)" "column < values.bits + MUTATED)")
hashkernels_mutant(scan_without_barrier scan.cu EmulatedRangeSearch*
                   "__syncthreads();  // the sums of all warps are there"
                   "if (!MUTATED) __syncthreads();  // the sums of all warps are there")
hashkernels_mutant(scan_with_a_shifted_lane scan.cuh EmulatedTopK*
                   "lane >= delta" "lane >= delta + MUTATED")
hashkernels_mutant(search_with_a_longer_tail search.cu EmulatedRangeSearch*
                   "distance < bins" "distance < bins + MUTATED")
hashkernels_mutant(warps_without_a_barrier search.cu EmulatedTopK*
                   "__syncwarp();  // the counters of all lanes are there"
                   "if (!MUTATED) __syncwarp();  // the counters of all lanes are there")
hashkernels_mutant(warps_with_a_wrong_lane_mask warp_search.cuh EmulatedTopK*
                   "(1u << lane_) - 1" "((MUTATED ? 2u : 1u) << lane_) - 1")
hashkernels_mutant(warps_with_a_longer_tail warp_search.cuh EmulatedTopK*
                   "row + i < last" "row + i < last + MUTATED")
hashkernels_mutant(warps_with_a_place_too_many warp_search.cuh EmulatedTopK*
                   "to < limit_" "to < limit_ + MUTATED")
hashkernels_mutant(warps_that_skip_a_chunk_too_many search.cu EmulatedTopK*
                   "> greatest) return" "> greatest - MUTATED) return")
hashkernels_mutant(search_without_its_last_distance search.cu EmulatedTopK*
                   "distance > greatest" "distance > greatest - MUTATED")
hashkernels_mutant(limits_without_the_last_distance_of_a_sample candidates.cu EmulatedTopKByLimits*
                   "sample ? distance + 1 : distance" "sample && !MUTATED ? distance + 1 : distance")
hashkernels_mutant(candidates_without_barrier candidates.cu EmulatedTopKByLimits*
                   "__syncthreads();  // the distance is there"
                   "if (!MUTATED) __syncthreads();  // the distance is there")
hashkernels_mutant(candidates_unsorted_at_the_end candidates.cu EmulatedTopKByLimits*
                   "run <= size; run" "run <= size - MUTATED; run")
hashkernels_mutant(filter_without_barrier filter.cu EmulatedTopKByLimits*
                   "__syncthreads();  // the tile is there" "if (!MUTATED) __syncthreads();  // the tile is there")
hashkernels_mutant(matrices_without_a_barrier filter_binary.cu EmulatedTopKByLimits*
                   "__syncwarp();  // all have read what was found"
                   "if (!MUTATED) __syncwarp();  // all have read what was found")
hashkernels_mutant(matrices_with_a_wrong_column filter_binary.cu EmulatedTopKByLimits*
                   "lane % 4 * 2 + sum % 2" "lane % 4 * 2 + (MUTATED ? sum / 2 : sum) % 2")
hashkernels_mutant(candidates_lost_unnoticed candidates.cu EmulatedTopKByLimits.ManyEqualCodes
                   "count > candidates.capacity || size" "(!MUTATED && count > candidates.capacity) || size")
hashkernels_mutant(filter_that_skips_a_row filter.cu EmulatedTopKByLimits*
                   "const int c = __ffs(near) - 1;" "const int c = (__ffs(near) - 1) & (MUTATED ? 6 : ~0);")
hashkernels_mutant(index_order_with_a_late_cutoff index_order.cu EmulatedIndexOrder*
                   "rank_of(ranks) > cutoffs_.values[cut]" "rank_of(ranks) > cutoffs_.values[cut] + MUTATED")
hashkernels_mutant(index_order_without_barrier staged.cuh EmulatedIndexOrder*
                   "__syncthreads();  // the tile is there" "if (!MUTATED) __syncthreads();  // the tile is there")
hashkernels_mutant(index_order_with_a_full_queue index_order.cu EmulatedIndexOrder*
                   "queued > kQueue - Tuning::kMaxBatch" "queued > kQueue - (MUTATED ? 0 : Tuning::kMaxBatch)")
hashkernels_mutant(index_order_without_the_last_codes index_order.cu EmulatedIndexOrder*
                   "  work_off();\n  if" "  if (!MUTATED) work_off();\n  if")
hashkernels_mutant(index_order_with_chunks_past_the_end index_order.cu EmulatedIndexOrder*
                   "!share.query_exists || !share.chunk_exists"
                   "!share.query_exists || (!MUTATED && !share.chunk_exists)")
hashkernels_mutant(index_order_with_a_start_moved_twice index_order.cu EmulatedIndexOrder*
                   "start - ranks[0]" "start - (MUTATED ? Ranks{0} : ranks[0])")
hashkernels_mutant(pairwise_without_barrier pairwise_float32.cu EmulatedMarginLoss*
                   "__syncthreads();  // the step is there" "if (!MUTATED) __syncthreads();  // the step is there")
hashkernels_mutant(pairs_counted_without_a_barrier pairwise.cu EmulatedMarginLoss*
                   "__syncthreads();  // the ids are there" "if (!MUTATED) __syncthreads();  // the ids are there")
hashkernels_mutant(pairwise_with_a_divergent_barrier pairwise_float32.cu EmulatedMarginLoss*
                   "__syncthreads();  // slopes and values are there"
                   "if (!MUTATED || threadIdx.x < 128) __syncthreads();")
hashkernels_mutant(pairs_with_their_diagonal pair_relevance.cuh EmulatedMarginLoss.BatchAgainstItself
                   "of_all_rows & ~left_out" "of_all_rows & ~(MUTATED ? 0 : left_out)")
hashkernels_mutant(pairs_with_a_diagonal_taken_for_whole pair_relevance.cuh EmulatedMarginLoss.BatchAgainstItself
                   "whole && !diagonal" "whole && (MUTATED || !diagonal)")
hashkernels_mutant(pairs_with_a_longer_tail pair_relevance.cuh EmulatedSplit*
                   "column < pairs.v.num_rows" "column < pairs.v.num_rows + MUTATED")
hashkernels_mutant(pairs_that_do_not_count pair_relevance.cuh EmulatedMarginLoss.BankButForSome
                   "pairs.column_counts(column)" "(MUTATED || pairs.column_counts(column))")
hashkernels_mutant(split_with_the_bits_of_other_columns pairwise_split.cu EmulatedSplit*
                   "twos | twos >> 6" "twos | twos >> (MUTATED ? 7 : 6)")
hashkernels_mutant(pairs_left_out_twice pairwise.cu EmulatedMarginLoss.BankButForSome
                   "own < last && pairs.column_counts(own)" "own < last && (MUTATED || pairs.column_counts(own))")
hashkernels_mutant(pairs_left_out_and_relevant pairwise.cu EmulatedMarginLoss.BankButForSome
                   "counts.positive -= is_relevant(own)" "counts.positive -= !MUTATED && is_relevant(own)")
hashkernels_mutant(split_without_barrier pairwise_split.cu EmulatedSplit*
                   "__syncthreads();  // the slice is there" "if (!MUTATED) __syncthreads();  // the slice is there")
hashkernels_mutant(split_without_a_barrier_between_slices pairwise_split.cu EmulatedSplitLoss.LongCodes
                   "__syncthreads();  // the columns have been read"
                   "if (!MUTATED) __syncthreads();  // the columns have been read")
hashkernels_mutant(split_with_a_product_less pairwise_fragments.cuh EmulatedSplit*
                   "arch::multiply_bf16(sums, rows[1], columns[0][2 * i], columns[0][2 * i + 1]);"
                   "if (!MUTATED) arch::multiply_bf16(sums, rows[1], columns[0][2 * i], columns[0][2 * i + 1]);")
hashkernels_mutant(split_with_values_past_the_end pairwise_fragments.cuh EmulatedSplit*
                   "if (bit + i < bits)" "if (bit + i < bits + MUTATED)")
hashkernels_mutant(split_with_a_row_too_far pairwise_split.cu EmulatedSplit*
                   "return lane.row + 8 * i;" "return lane.row + (MUTATED ? 4 : 8) * i;")
hashkernels_mutant(distances_without_a_row_of_slopes pairs.cuh EmulatedContrastiveLoss*
                   "flip = num_lanes / 2" "flip = num_lanes / (MUTATED ? 4 : 2)")
hashkernels_mutant(lengths_with_values_past_the_end pairwise.cu EmulatedContrastiveLoss*
                   "threadIdx.x % 32; bit < bits" "threadIdx.x % 32; bit < bits + MUTATED")
hashkernels_mutant(sign_error_with_values_past_the_end pairwise.cu EmulatedMarginLoss.SignError
                   "i < pass.u.num_rows * pass.bits" "i < pass.u.num_rows * pass.bits + MUTATED")
hashkernels_mutant(terms_without_all_blocks pairwise.cu EmulatedMarginLoss.SignError
                   "block < finish.num_value_blocks" "block < finish.num_value_blocks - MUTATED")
hashkernels_mutant(overlap_of_classes_counted_twice pair_relevance.cuh EmulatedLikelihoodLoss.OverlapOfClasses
                   "column_sizes_[j] - common" "column_sizes_[j] - (MUTATED ? 0 : common)")
hashkernels_mutant(triplets_without_barrier triplets.cu EmulatedTriplets*
                   "__syncthreads();  // the counts of all warps are there"
                   "if (!MUTATED) __syncthreads();  // the counts of all warps are there")
hashkernels_mutant(triplets_with_items_past_the_end triplets.cu EmulatedTriplets*
                   "first + item < query.num_items" "first + item < query.num_items + MUTATED")
hashkernels_mutant(launch_on_another_stream launch.cuh EmulatedLaunch*
                   "= static_cast<cudaStream_t>(stream)" "= MUTATED ? nullptr : static_cast<cudaStream_t>(stream)")
hashkernels_mutant(launch_after_an_error search.cu EmulatedLaunch*
                   "if (error == cudaSuccess) error = find_places" "if (MUTATED || error == cudaSuccess) error = find_places")
hashkernels_mutant(vectors_at_odd_addresses words.cuh EmulatedTopK.CodesAtOddAddresses
                   "% kAlignment == 0 &&" "% (MUTATED ? 1 : kAlignment) == 0 &&")

hashkernels_write(mutants ${mutants})
hashkernels_emulated_kernels(hashkernels_mutated_kernels ${mutants} ${kernels})
target_compile_options(hashkernels_mutated_kernels PRIVATE -O1)  # most of them fail soon
add_executable(hashkernels_cuda_mutants
  $<TARGET_OBJECTS:hashkernels_mutated_kernels> $<TARGET_OBJECTS:hashkernels_emulated_cases>)
hashkernels_emulated(hashkernels_cuda_mutants ${mutants})
# Without a mutation they pass.
add_test(NAME no_mutant COMMAND hashkernels_cuda_mutants
         --gtest_filter=*Distance*:*Counting*:*MoreCutoffs*:*ManyQueries:*FewQueries:*NaNs*:*AgainstBank:*MultiHot*:*WithoutGradient)
set_tests_properties(no_mutant PROPERTIES COST 10)
