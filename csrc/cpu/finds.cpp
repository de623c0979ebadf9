#include "finds.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>

#include "blocks.hpp"

namespace hashkernels {

Finds::~Finds() {
  std::free(positions_);
  std::free(distances_);
}

bool Finds::make_room(int64_t max_results) {
  if (max_results == 0 || size_ < 2 * max_results) return grow();
  compact(max_results);
  return true;
}

bool Finds::grow() {
  const int64_t roomier = std::max<int64_t>(16, 2 * capacity_);
  void* positions = std::realloc(positions_, sizeof(uint32_t) * roomier);
  if (positions == nullptr) return false;
  positions_ = static_cast<uint32_t*>(positions);
  void* distances = std::realloc(distances_, sizeof(uint16_t) * roomier);
  if (distances == nullptr) return false;
  distances_ = static_cast<uint16_t*>(distances);
  capacity_ = roomier;
  return true;
}

void Finds::compact(int64_t max_results) {
  int64_t counts[kMaxBits + 1] = {};
  for (int64_t i = 0; i < size_; ++i) ++counts[distances_[i]];
  int64_t ties = max_results;
  for (limit_ = 0; counts[limit_] < ties; ++limit_) ties -= counts[limit_];
  int64_t kept = 0;
  for (int64_t i = 0; i < size_; ++i) {
    const bool keep = distances_[i] < limit_ || (distances_[i] == limit_ && ties-- > 0);
    positions_[kept] = positions_[i];
    distances_[kept] = distances_[i];
    kept += keep;
  }
  size_ = kept;
}

void RangeFinds::State::set_offsets() {
  offsets[0] = 0;
  for (int64_t q = 0; q < num_queries; ++q) {
    offsets[q + 1] = offsets[q] + (max_results == 0 ? counts[q] : std::min(counts[q], max_results));
  }
}

ScannedFinds::ScannedFinds(const SearchPlan& plan, int max_distance, int64_t max_found)
    : State(plan.num_queries, max_found), plan_(plan), max_distance_(max_distance) {}

template <class Visit>
void ScannedFinds::for_each_part(int64_t query, Visit&& visit) const {
  for (const auto& part : parts_.of(query / plan_.queries_per_tile)) {
    visit(part->finds[query % plan_.queries_per_tile], part->first_block * kBlockCodes);
  }
}

void ScannedFinds::finish() {
  parts_.sort(plan_.num_tiles);
  for (int64_t q = 0; q < num_queries; ++q) {
    counts[q] = 0;
    for_each_part(q, [&](const Finds& finds, int64_t) { counts[q] += finds.num_met(); });
  }
  set_offsets();
}

Status ScannedFinds::write(int32_t* distances, int64_t* indices, int num_threads) const noexcept {
  constexpr int64_t kQueriesPerTask = 16;
  return parallel_for(divide_up(num_queries, kQueriesPerTask), num_threads, [&](int64_t task, int) {
    int64_t starts[kMaxBits + 2];
    const int64_t last = std::min((task + 1) * kQueriesPerTask, num_queries);
    for (int64_t q = task * kQueriesPerTask; q < last; ++q) write_query(q, starts, distances, indices);
  });
}

// Sorts by counting, part after part.
void ScannedFinds::write_query(int64_t query, int64_t* starts, int32_t* distances, int64_t* indices) const {
  std::fill(starts, starts + max_distance_ + 2, 0);
  for_each_part(query, [&](const Finds& finds, int64_t) {
    for (int64_t i = 0; i < finds.size(); ++i) ++starts[finds.distance(i) + 1];
  });
  starts[0] = offsets[query];
  for (int d = 0; d <= max_distance_; ++d) starts[d + 1] += starts[d];
  for_each_part(query, [&](const Finds& finds, int64_t first_code) {
    for (int64_t i = 0; i < finds.size(); ++i) {
      const int64_t rank = starts[finds.distance(i)]++;
      if (rank >= offsets[query + 1]) continue;
      distances[rank] = finds.distance(i);
      indices[rank] = first_code + finds.position(i);
    }
  });
}

RangeFinds::RangeFinds() noexcept = default;
RangeFinds::~RangeFinds() = default;

const int64_t* RangeFinds::offsets() const noexcept { return state->offsets.data(); }
const int64_t* RangeFinds::counts() const noexcept { return state->counts.data(); }

Status RangeFinds::write(int32_t* distances, int64_t* indices, int num_threads) const noexcept {
  return state->write(distances, indices, num_threads);
}

}  // namespace hashkernels
