// Top-k by limits: a code can only be among the k nearest if it is nearer than the k-th of those seen so far. Filters
// over more and more rows append what is nearer than its query's limit; between them the limits are tightened. They
// start from those of a sample spread over the whole database, so that its order matters little. What is appended is a
// few times k, whatever the number of rows.
//
// Queries for which that fails, where very many codes lie equally near, go through the counting sort of search.cu; so
// do all queries where k or the width is too large for it, or the database too small to gain from it.
#include <cuda_runtime.h>

#include <algorithm>

#include "candidates.cuh"
#include "hashkernels/cuda.h"
#include "launch.cuh"
#include "search.cuh"
#include "tuning.cuh"

namespace hashkernels::cuda {
namespace {

using Tuning = tuning::Limits;

int64_t num_bins(int num_bytes) { return 8 * int64_t{num_bytes} + 1; }

bool by_limits(int64_t num_database, int num_bytes, int64_t k) {
  const int64_t selecting = tuning::Selecting::kSelected * sizeof(uint64_t) + num_bins(num_bytes) * sizeof(uint32_t);
  // Candidates are counted in 32 bits.
  return num_database >= Tuning::kMinRows && num_database <= UINT32_MAX && k <= Tuning::kMaxResults &&
         k * Tuning::kRowsPerResult <= num_database && selecting + 64 <= kSharedBytes;
}

bool are_few(int64_t num_queries) { return num_queries < Tuning::kFewQueries; }

int64_t capacity_for(int64_t num_queries, int64_t k) {
  const int64_t least = are_few(num_queries) ? Tuning::kFewCandidates : Tuning::kMinCandidates;
  return std::max(k * Tuning::kCandidatesPerResult, least);
}

// keys, counts, limits and failed, each from a whole int64 on.
int64_t candidate_values(int64_t num_queries, int64_t k) {
  return num_queries * capacity_for(num_queries, k) + 2 * divide_up(num_queries, 2) + divide_up(num_queries + 1, 2);
}

Candidates candidates_in(int64_t* workspace, int64_t num_queries, int64_t k) {
  const int64_t capacity = capacity_for(num_queries, k);
  int64_t* const counts = workspace + num_queries * capacity;
  int64_t* const limits = counts + divide_up(num_queries, 2);
  int64_t* const failed = limits + divide_up(num_queries, 2);
  return {num_queries,
          capacity,
          reinterpret_cast<uint64_t*>(workspace),
          reinterpret_cast<uint32_t*>(counts),
          reinterpret_cast<int32_t*>(limits),
          reinterpret_cast<uint32_t*>(failed)};
}

class Search {
 public:
  Search(const Codes& queries, const Codes& database, const uint8_t* allowed, int64_t k, bool matrices,
         int64_t* workspace, void* stream)
      : queries_(queries),
        database_(database),
        allowed_(allowed),
        k_(k),
        bins_(static_cast<int>(num_bins(queries.num_bytes))),
        matrices_(matrices && queries.num_codes >= Tuning::kMinMatrixQueries && queries.num_bytes <= kMaxBinaryBytes),
        few_(are_few(queries.num_codes)),
        found_(candidates_in(workspace, queries.num_codes, k)),
        stream_(stream) {}

  cudaError_t run(int32_t* distances, int64_t* indices) const {
    const int64_t rows = database_.num_codes;
    const int64_t most = few_ ? Tuning::kFewSample : Tuning::kMaxSample;
    const int64_t step = std::max(divide_up(rows, most), Tuning::kSampleShare);
    const Codes sample{database_.data, rows / step, database_.stride * step, database_.num_bytes};
    int64_t first_rows = 256;
    while (first_rows < 2 * k_) first_rows *= 2;
    cudaError_t error = begin(found_, bins_, stream_);
    if (error == cudaSuccess) error = filter_all(sample, step, first_rows, first_rows * growth());
    // As few as cannot overflow however many lie equally near; after them, what the sample speaks for.
    const int64_t next = sample.num_codes * (few_ ? Tuning::kFewRows : 1);
    if (error == cudaSuccess) error = filter_all(database_, 1, found_.capacity / 2, next);
    if (error == cudaSuccess) error = select(found_, k_, bins_, distances, indices, stream_);
    return error;
  }

  const uint32_t* failed() const { return found_.failed; }

 private:
  int64_t growth() const { return few_ ? Tuning::kFewGrowth : Tuning::kGrowth; }

  // Over the first `size` rows, those up to `next`, and on by factors. What a sample finds is not kept.
  cudaError_t filter_all(const Codes& rows, int64_t step, int64_t size, int64_t next) const {
    const bool sample = step > 1;
    int64_t first = 0;
    while (first < rows.num_codes) {
      const int64_t last = std::min(size, rows.num_codes);
      const Filter filtered{queries_, rows, allowed_, step, first, last, found_};
      cudaError_t error = matrices_ ? filter_by_matrices(filtered, stream_) : filter(filtered, stream_);
      const bool end = last == rows.num_codes;
      if (error == cudaSuccess && (sample || !end)) error = tighten(found_, k_, bins_, sample && end, stream_);
      if (error != cudaSuccess) return error;
      first = last;
      size = std::max(next, size * growth());
      next = 0;
    }
    return cudaSuccess;
  }

  Codes queries_, database_;
  const uint8_t* allowed_;
  int64_t k_;
  int bins_;
  bool matrices_, few_;
  Candidates found_;
  void* stream_;
};

}  // namespace

int64_t topk_workspace(int64_t num_queries, int64_t num_database, int num_bytes, int64_t k) noexcept {
  return counting_sort_workspace(num_queries, num_database, num_bytes) +
         (by_limits(num_database, num_bytes, k) ? candidate_values(num_queries, k) : 0);
}

bool has_binary_products(int device) noexcept {
  int capability = 0;
  return compute_capability(device, &capability) == cudaSuccess && capability >= 80 && capability <= 90;
}

Status topk(const Codes& queries, const Codes& database, int64_t k, const uint8_t* allowed, TopkMethod method,
            int32_t* distances, int64_t* indices, int64_t* workspace, int device, void* stream) noexcept {
  constexpr const char* kName = "topk";
  if (queries.num_codes == 0) return Status::kOk;
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return report(kName, guard.error());
  if (!by_limits(database.num_codes, queries.num_bytes, k)) {
    return report(kName, counting_sort(queries, database, k, allowed, nullptr, distances, indices, workspace, stream));
  }
  const bool matrices = method == TopkMethod::kFastest && has_binary_products(device);
  const Search search(queries, database, allowed, k, matrices, workspace, stream);
  cudaError_t error = search.run(distances, indices);
  if (error == cudaSuccess) {
    error = counting_sort(queries, database, k, allowed, search.failed(), distances, indices,
                          workspace + candidate_values(queries.num_codes, k), stream);
  }
  return report(kName, error);
}

}  // namespace hashkernels::cuda
