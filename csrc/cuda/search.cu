// Radius search, and top-k where limits do not serve (topk.cu), as one counting sort. A first pass counts, for every
// query and chunk, the codes at each distance; the prefix sums of these counters in (distance, chunk) order are where
// each of them begins in the query's row; a second pass finds the codes again and puts each at its final place. Nothing
// is compared but distances, any k costs the same two passes, and the order is (distance, index) because a thread, or
// for a few queries a warp, walks its chunk in that order.
#include <cuda_runtime.h>

#include "arch.cuh"
#include "chunks.cuh"
#include "hashkernels/cuda.h"
#include "launch.cuh"
#include "scan.cuh"
#include "search.cuh"
#include "warp_search.cuh"

namespace hashkernels::cuda {
namespace {

using Tuning = tuning::Chunks;

// What both passes look at: codes at distances below `bins` whose byte in `allowed`, unless null, is not zero, for the
// queries that `wanted`, unless null, marks; behind its marks is how many there are.
struct Search {
  Codes queries, database;
  const uint8_t* allowed;
  const uint32_t* wanted;
  int64_t bins;
  Chunks chunks;

  __device__ bool wants_any() const { return wanted == nullptr || wanted[queries.num_codes] != 0; }
  __device__ bool wants(int64_t query) const { return wanted == nullptr || wanted[query] != 0; }

  __device__ bool finds(int64_t row, int distance) const {
    return distance < bins && (allowed == nullptr || allowed[row] != 0);
  }

  // Of (query, chunk), a multiple of chunks.count apart for the distances.
  __device__ int64_t first_place(int64_t query, int64_t chunk) const { return query * bins * chunks.count + chunk; }
};

// The greatest distance at which a chunk still has a place below `limit`: places grow with the distance.
__device__ int greatest_distance(const Search& search, const int64_t* places, int64_t limit) {
  int low = -1;
  int high = static_cast<int>(search.bins);
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (places[middle * search.chunks.count] < limit) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

// places[(query * bins + distance) * chunks.count + chunk] = number of codes.
template <class Width, bool in_shared>
__global__ void __launch_bounds__(Tuning::kMaxThreads, Tuning::kBlocks)
    count_kernel(const Search search, int64_t* __restrict__ places) {
  if (!search.wants_any()) return;
  const Share share(search.queries.num_codes, search.chunks, search.database.num_codes);
  if (!share.exists(search.chunks) || !search.wants(share.query)) return;
  const Query<Width> query(search.queries, share.query);
  places += search.first_place(share.query, share.chunk);

  if constexpr (in_shared) {
    SharedColumn column(arch::dynamic_shared<uint32_t>(), search.bins);
    // A counter of 32 bits holds 2^32 - 1 codes; longer chunks are counted in pieces.
    constexpr int64_t kPiece = int64_t{1} << 31;
    int64_t first = share.first;
    do {
      for_each_distance(query, search.database, first, min(first + kPiece, share.last), [&](int64_t row, int distance) {
        if (search.finds(row, distance)) ++column[distance];
      });
      for (int64_t bin = 0; bin < search.bins; ++bin) {
        int64_t* const place = places + bin * search.chunks.count;
        *place = (first == share.first ? 0 : *place) + column[bin];
      }
      column.clear();
      first += kPiece;
    } while (first < share.last);
  } else {
    for (int64_t bin = 0; bin < search.bins; ++bin) places[bin * search.chunks.count] = 0;
    for_each_distance(query, search.database, share.first, share.last, [&](int64_t row, int distance) {
      if (search.finds(row, distance)) ++places[distance * search.chunks.count];
    });
  }
}

// places, scanned, is where the next code of (query, distance, chunk) goes, counted from the query's first place. That
// is offsets[query], or query * limit where offsets is null; places from `limit` on are left out.
template <class Width>
__global__ void __launch_bounds__(Tuning::kMaxThreads, Tuning::kBlocks)
    place_kernel(const Search search, int64_t* __restrict__ places, const int64_t* __restrict__ offsets, int64_t limit,
                 int32_t* __restrict__ distances, int64_t* __restrict__ indices) {
  if (!search.wants_any()) return;
  const Share share(search.queries.num_codes, search.chunks, search.database.num_codes);
  if (!share.exists(search.chunks) || !search.wants(share.query)) return;
  const Query<Width> query(search.queries, share.query);
  places += search.first_place(share.query, share.chunk);
  const int64_t start = offsets == nullptr ? share.query * limit : offsets[share.query];
  int greatest = greatest_distance(search, places, limit);
  for_each_distance(query, search.database, share.first, share.last, [&](int64_t row, int distance) {
    if (distance > greatest || (search.allowed != nullptr && search.allowed[row] == 0)) return;
    const int64_t place = places[distance * search.chunks.count]++;
    if (place < limit) {
      distances[start + place] = distance;
      indices[start + place] = row;
    }
    if (place + 1 >= limit) greatest = distance - 1;
  });
}

// Both passes by warps. The counters of a chunk are those of its 32 lanes together. The least distance of a chunk tells
// the second pass whether to read it again: of a large database it reads the few chunks that hold what is found.
template <class Width>
__global__ void __launch_bounds__(Tuning::kMaxThreads, Tuning::kBlocks)
    warp_count_kernel(const Search search, int64_t* __restrict__ places, int64_t* __restrict__ nearest) {
  if (!search.wants_any()) return;
  const WarpShare share(search.queries.num_codes, search.chunks, search.database.num_codes);
  if (!share.exists(search.chunks) || !search.wants(share.query)) return;
  const Query<Width> query(search.queries, share.query);
  uint32_t* const shared = arch::dynamic_shared<uint32_t>();
  SharedColumn column(shared, search.bins);
  for_each_lane_codes(query, search.database, share, [&](int64_t row, const int (&distances)[kLaneCodes<Width>]) {
#pragma unroll
    for (int i = 0; i < kLaneCodes<Width>; ++i) {
      if (search.finds(row + i, distances[i])) ++column[distances[i]];
    }
  });
  __syncwarp();  // the counters of all lanes are there
  places += search.first_place(share.query, share.chunk);
  const int first_column = static_cast<int>(threadIdx.x) - share.lane;
  int least = kNoCode;
  for (int64_t bin = share.lane; bin < search.bins; bin += 32) {
    int64_t sum = 0;
    // Every lane in another bank.
    for (int i = 0; i < 32; ++i) sum += shared[bin * blockDim.x + first_column + (i + share.lane) % 32];
    places[bin * search.chunks.count] = sum;
    if (sum > 0) least = min(least, static_cast<int>(bin));
  }
#pragma unroll
  for (int flip = 16; flip > 0; flip /= 2) least = min(least, __shfl_xor_sync(0xFFFFFFFF, least, flip));
  if (share.lane == 0) nearest[share.query * search.chunks.count + share.chunk] = least;
}

template <class Width>
__global__ void __launch_bounds__(Tuning::kMaxThreads, Tuning::kBlocks)
    warp_place_kernel(const Search search, int64_t* __restrict__ places, const int64_t* __restrict__ nearest,
                      const int64_t* __restrict__ offsets, int64_t limit, int32_t* __restrict__ distances,
                      int64_t* __restrict__ indices) {
  if (!search.wants_any()) return;
  const WarpShare share(search.queries.num_codes, search.chunks, search.database.num_codes);
  if (!share.exists(search.chunks) || !search.wants(share.query)) return;
  places += search.first_place(share.query, share.chunk);
  const int greatest = greatest_distance(search, places, limit);
  if (nearest[share.query * search.chunks.count + share.chunk] > greatest) return;
  const Query<Width> query(search.queries, share.query);
  const int64_t start = offsets == nullptr ? share.query * limit : offsets[share.query];
  WarpPlacer placer(places, search.chunks.count, limit, greatest, share.lane);
  for_each_lane_codes(query, search.database, share, [&](int64_t row, const int (&found)[kLaneCodes<Width>]) {
    uint32_t allowed = 0;
#pragma unroll
    for (int i = 0; i < kLaneCodes<Width>; ++i) allowed |= search.finds(row + i, found[i]) ? 1u << i : 0;
    placer.place(found, allowed, [&](int64_t place, int i, int distance) {
      distances[start + place] = distance;
      indices[start + place] = row + i;
    });
  });
}

// Rows of `limit` results without a code: (INT32_MAX, -1).
__global__ void __launch_bounds__(Tuning::kMaxThreads, Tuning::kBlocks)
    pad_kernel(int64_t count, int32_t* __restrict__ distances, int64_t* __restrict__ indices) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= count) return;
  distances[i] = INT32_MAX;
  indices[i] = -1;
}

bool by_warps(int64_t num_queries, int64_t bins) {
  return num_queries < Tuning::kWarpQueries && counting_threads(bins) != 0;
}

Chunks chunks_of(int64_t num_queries, int64_t num_database, int64_t bins) {
  return by_warps(num_queries, bins) ? plan_warp_chunks(num_queries, num_database, bins)
                                     : plan_chunks(num_queries, num_database, bins);
}

Search plan(const Codes& queries, const Codes& database, const uint8_t* allowed, const uint32_t* wanted, int64_t bins) {
  return {queries, database, allowed, wanted, bins, chunks_of(queries.num_codes, database.num_codes, bins)};
}

// The workspace: the places, by warps what is nearest in every chunk, and what the prefix sums want.
struct Workspace {
  Workspace(int64_t num_queries, int64_t bins, const Chunks& chunks)
      : row_length(bins * chunks.count),
        places(num_queries * row_length),
        nearest(by_warps(num_queries, bins) ? num_queries * chunks.count : 0),
        scan(scan_workspace(num_queries, row_length)) {}
  explicit Workspace(const Search& search) : Workspace(search.queries.num_codes, search.bins, search.chunks) {}

  int64_t row_length;
  int64_t places, nearest, scan;  // values
};

int64_t workspace_values(int64_t num_queries, int64_t num_database, int64_t bins) {
  const Workspace workspace(num_queries, bins, chunks_of(num_queries, num_database, bins));
  return workspace.places + workspace.nearest + workspace.scan;
}

int64_t num_bins(int num_bytes, int radius) { return std::min<int64_t>(8 * int64_t{num_bytes}, radius) + 1; }

dim3 grid_of(const Search& search, int threads) {
  const int64_t shares = search.queries.num_codes * search.chunks.count;
  return grid_for(by_warps(search.queries.num_codes, search.bins) ? 32 * shares : shares, threads);
}

cudaError_t count(const Search& search, int64_t* places, void* stream) {
  const int threads = counting_threads(search.bins);
  if (threads == 0) {
    return launch(count_kernel<Width<0, false>, false>, grid_of(search, Tuning::kMaxThreads), Tuning::kMaxThreads, 0,
                  stream, search, places);
  }
  const dim3 grid = grid_of(search, threads);
  const size_t shared_bytes = threads * search.bins * sizeof(uint32_t);
  if (by_warps(search.queries.num_codes, search.bins)) {
    return by_warp_width(search.queries, search.database, [&](auto width) {
      return launch(warp_count_kernel<decltype(width)>, grid, threads, shared_bytes, stream, search, places,
                    places + Workspace(search).places);
    });
  }
  return by_width(search.queries, search.database, [&](auto width) {
    return launch(count_kernel<decltype(width), true>, grid, threads, shared_bytes, stream, search, places);
  });
}

// Counts, and scans the counters; counts[query], unless null, receives the number of codes.
cudaError_t find_places(const Search& search, int64_t* workspace, int64_t* counts, void* stream) {
  const cudaError_t error = count(search, workspace, stream);
  if (error != cudaSuccess) return error;
  const Workspace sizes(search);
  const uint32_t* const wanted = search.wanted == nullptr ? nullptr : search.wanted + search.queries.num_codes;
  return exclusive_scan(workspace, search.queries.num_codes, sizes.row_length, counts,
                        workspace + sizes.places + sizes.nearest, stream, wanted);
}

cudaError_t place(const Search& search, int64_t* places, const int64_t* offsets, int64_t limit, int32_t* distances,
                  int64_t* indices, void* stream) {
  const dim3 grid = grid_of(search, Tuning::kMaxThreads);
  if (by_warps(search.queries.num_codes, search.bins)) {
    return by_warp_width(search.queries, search.database, [&](auto width) {
      return launch(warp_place_kernel<decltype(width)>, grid, Tuning::kMaxThreads, 0, stream, search, places,
                    places + Workspace(search).places, offsets, limit, distances, indices);
    });
  }
  return by_width(search.queries, search.database, [&](auto width) {
    return launch(place_kernel<decltype(width)>, grid, Tuning::kMaxThreads, 0, stream, search, places, offsets, limit,
                  distances, indices);
  });
}

cudaError_t pad(int64_t count, int32_t* distances, int64_t* indices, void* stream) {
  return launch(pad_kernel, grid_for(count, Tuning::kMaxThreads), Tuning::kMaxThreads, 0, stream, count, distances,
                indices);
}

}  // namespace

int64_t counting_sort_workspace(int64_t num_queries, int64_t num_database, int num_bytes) noexcept {
  return workspace_values(num_queries, num_database, num_bins(num_bytes, INT32_MAX));
}

cudaError_t counting_sort(const Codes& queries, const Codes& database, int64_t k, const uint8_t* allowed,
                          const uint32_t* wanted, int32_t* distances, int64_t* indices, int64_t* workspace,
                          void* stream) noexcept {
  const Search search = plan(queries, database, allowed, wanted, num_bins(queries.num_bytes, INT32_MAX));
  // Queries that a search by limits leaves have more than k.
  const bool padded = allowed == nullptr || wanted != nullptr;
  cudaError_t error = padded ? cudaSuccess : pad(queries.num_codes * k, distances, indices, stream);
  if (error == cudaSuccess) error = find_places(search, workspace, nullptr, stream);
  if (error == cudaSuccess) error = place(search, workspace, nullptr, k, distances, indices, stream);
  return error;
}

int64_t range_workspace(int64_t num_queries, int64_t num_database, int num_bytes, int radius) noexcept {
  return workspace_values(num_queries, num_database, num_bins(num_bytes, radius));
}

Status range_count(const Codes& queries, const Codes& database, int radius, const uint8_t* allowed, int64_t* counts,
                   int64_t* workspace, int device, void* stream) noexcept {
  constexpr const char* kName = "range_count";
  if (queries.num_codes == 0) return Status::kOk;
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return report(kName, guard.error());
  const Search search = plan(queries, database, allowed, nullptr, num_bins(queries.num_bytes, radius));
  return report(kName, find_places(search, workspace, counts, stream));
}

Status range_fill(const Codes& queries, const Codes& database, int radius, const uint8_t* allowed,
                  const int64_t* offsets, int32_t* distances, int64_t* indices, int64_t* workspace, int device,
                  void* stream) noexcept {
  constexpr const char* kName = "range_fill";
  if (queries.num_codes == 0) return Status::kOk;
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return report(kName, guard.error());
  const Search search = plan(queries, database, allowed, nullptr, num_bins(queries.num_bytes, radius));
  return report(kName, place(search, workspace, offsets, INT64_MAX, distances, indices, stream));
}

Status range_nearest(const Codes& queries, const Codes& database, int radius, int64_t max_results,
                     const uint8_t* allowed, int64_t* counts, int32_t* distances, int64_t* indices, int64_t* workspace,
                     int device, void* stream) noexcept {
  constexpr const char* kName = "range_nearest";
  if (queries.num_codes == 0) return Status::kOk;
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return report(kName, guard.error());
  const Search search = plan(queries, database, allowed, nullptr, num_bins(queries.num_bytes, radius));
  cudaError_t error = pad(queries.num_codes * max_results, distances, indices, stream);
  if (error == cudaSuccess) error = find_places(search, workspace, counts, stream);
  if (error == cudaSuccess) error = place(search, workspace, nullptr, max_results, distances, indices, stream);
  return report(kName, error);
}

}  // namespace hashkernels::cuda
