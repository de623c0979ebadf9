#include "few_codes.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <memory>
#include <vector>

#include "blocks.hpp"
#include "kernels.hpp"
#include "query_groups.hpp"
#include "search_plan.hpp"
#include "sorted_finds.hpp"

namespace hashkernels {
namespace {

// The codes that may be found, as rows.
class FewCodes {
 public:
  FewCodes(const Kernels& isa, const Codes& rows) : isa_(isa), rows_(rows) {}

  // To be called first.
  Status load(const Database& database) {
    if (database.planes == nullptr && database.allowed == nullptr) return Status::kOk;
    const Codes& codes = database.codes;
    copy_.resize(codes.num_codes * codes.num_bytes);
    Status status = Status::kOk;
    if (database.planes != nullptr) {
      status = unslice_codes({database.planes, codes.num_codes, codes.num_bytes}, 0, codes.num_codes, copy_.data(),
                             codes.num_bytes, 1);
      rows_ = {copy_.data(), codes.num_codes, codes.num_bytes, codes.num_bytes};
    }
    if (database.allowed != nullptr) keep(database.allowed);
    return status;
  }

  int count() const { return static_cast<int>(rows_.num_codes); }
  int64_t position(uint32_t row) const { return positions_.empty() ? row : positions_[row]; }

  void measure(const uint8_t* query, uint16_t* distances) const {
    uint64_t words[kMaxWords];
    load_code(query, rows_.num_bytes, words);
    isa_.measure_rows(words, rows_.data, rows_.stride, rows_.num_bytes, count(), distances);
  }

 private:
  void keep(const uint8_t* allowed) {
    uint8_t* end = copy_.data();
    for (int64_t i = 0; i < rows_.num_codes; ++i) {
      if (allowed[i] == 0) continue;
      std::copy_n(rows_.row(i), rows_.num_bytes, end);
      end += rows_.num_bytes;
      positions_.push_back(static_cast<uint16_t>(i));
    }
    rows_ = {copy_.data(), static_cast<int64_t>(positions_.size()), rows_.num_bytes, rows_.num_bytes};
  }

  const Kernels& isa_;
  Codes rows_;
  std::vector<uint8_t> copy_;
  std::vector<uint16_t> positions_;  // of each row; empty: its own number
};

// What one query has found.
class Found {
 public:
  Found(const Kernels& isa, const FewCodes& codes) : isa_(isa), codes_(codes), count_(codes.count()) {
    std::fill(distances_ + count_, distances_ + kBlockCodes, kBeyond);
  }

  void measure(const uint8_t* query) { codes_.measure(query, distances_); }

  int count_within(int distance) const {
    const auto limit = static_cast<int16_t>(distance);
    uint16_t count = 0;
    for (int i = 0; i < count_; ++i) count += static_cast<int16_t>(distances_[i]) <= limit;
    return count;
  }

  // The k nearest at least, if there are as many.
  void find_nearest(int64_t k) {
    if (count_ == 0) return;
    int16_t low = std::numeric_limits<int16_t>::max(), high = 0;
    for (int i = 0; i < count_; ++i) {
      low = std::min(low, static_cast<int16_t>(distances_[i]));
      high = std::max(high, static_cast<int16_t>(distances_[i]));
    }
    if (k == 1) {
      const auto nearest = static_cast<uint32_t>(std::find(distances_, distances_ + count_, low) - distances_);
      keys_[0] = key(nearest);
      num_found_ = 1;
      return;
    }
    if (k >= count_) return sort_within(low, high);
    int least = low, most = high;
    while (least < most) {
      const int middle = (least + most) / 2;
      if (count_within(middle) >= k) {
        most = middle;
      } else {
        least = middle + 1;
      }
    }
    sort_within(low, least);
  }

  void find_within(int radius) { sort_within(0, radius); }

  int num_found() const { return num_found_; }
  int32_t distance(int rank) const { return static_cast<int32_t>(keys_[rank] >> 16); }
  int64_t position(int rank) const { return codes_.position(keys_[rank] & 0xFFFF); }

 private:
  static constexpr int kSorted = 10;                                        // more finds are put in order by counting
  static constexpr int kLookedAt = 24;                                      // more codes are compared by vectors
  static constexpr uint16_t kBeyond = std::numeric_limits<int16_t>::max();  // farther than any, also as a signed number

  uint32_t key(uint32_t row) const { return uint32_t{distances_[row]} << 16 | row; }

  // All rows whose distance is in low..high, in order; none is below.
  void sort_within(int low, int high) {
    num_found_ = 0;
    if (count_ <= kLookedAt) {
      for (int i = 0; i < count_; ++i) {
        keys_[num_found_] = key(i);
        num_found_ += distances_[i] <= high;
      }
    } else {
      alignas(64) uint64_t hits[kHitWords];
      isa_.below(distances_, high + 1, hits);
      for (int word = 0; word < kHitWords; ++word) {
        for (uint64_t rest = hits[word]; rest != 0; rest &= rest - 1) {
          keys_[num_found_++] = key(64 * word + std::countr_zero(rest));
        }
      }
    }
    if (num_found_ <= kSorted) {
      std::sort(keys_, keys_ + num_found_);
    } else {
      count_and_place(low, high);
    }
  }

  void count_and_place(int low, int high) {
    uint16_t starts[kMaxBits + 2];
    std::fill(starts, starts + (high - low + 2), uint16_t{0});
    for (int i = 0; i < num_found_; ++i) ++starts[(keys_[i] >> 16) - low + 1];
    for (int d = 1; d <= high - low; ++d) starts[d] += starts[d - 1];
    for (int i = 0; i < num_found_; ++i) placed_[starts[(keys_[i] >> 16) - low]++] = keys_[i];
    std::copy_n(placed_, num_found_, keys_);
  }

  const Kernels& isa_;
  const FewCodes& codes_;
  int count_, num_found_ = 0;
  alignas(64) uint16_t distances_[kBlockCodes];
  uint32_t keys_[kBlockCodes], placed_[kBlockCodes];  // distance, then row
};

// Waking a thread takes as long as comparing so many words.
int threads_for(const Codes& queries, const FewCodes& codes, int num_threads) {
  constexpr int64_t kWords = 1 << 16;
  const int64_t words = queries.num_codes * codes.count() * words_per_code(queries.num_bytes);
  return static_cast<int>(std::clamp<int64_t>(words / kWords, 1, std::max(num_threads, 1)));
}

// Calls body(first, last, found) for groups of queries.
template <class Body>
Status for_each_few(const Codes& queries, const Database& database, int num_threads, Body&& body) {
  return or_out_of_memory([&] {
    const Kernels& isa = kernels();
    FewCodes codes(isa, database.codes);
    if (const Status status = codes.load(database); status != Status::kOk) return status;
    return for_each_group(queries.num_codes, threads_for(queries, codes, num_threads),
                          [&](int64_t first, int64_t last) {
                            Found found(isa, codes);
                            body(first, last, found);
                          });
  });
}

}  // namespace

bool is_of_few(const Database& database, int64_t num_queries, int num_threads) {
  const SearchPlan plan(num_queries, database.codes.num_codes, num_threads);
  return plan.num_blocks <= 1 && database.scan_method(kernels().scan_costs, plan) == ScanMethod::kRows;
}

Status topk_of_few(const Codes& queries, const Database& database, int64_t k, int32_t* distances, int64_t* indices,
                   int num_threads) noexcept {
  return for_each_few(queries, database, num_threads, [&](int64_t first, int64_t last, Found& found) {
    for (int64_t q = first; q < last; ++q) {
      found.measure(queries.row(q));
      found.find_nearest(k);
      const int kept = static_cast<int>(std::min<int64_t>(k, found.num_found()));
      for (int rank = 0; rank < kept; ++rank) {
        distances[q * k + rank] = found.distance(rank);
        indices[q * k + rank] = found.position(rank);
      }
      std::fill(distances + q * k + kept, distances + (q + 1) * k, std::numeric_limits<int32_t>::max());
      std::fill(indices + q * k + kept, indices + (q + 1) * k, -1);
    }
  });
}

Status range_search_of_few(const Codes& queries, const Database& database, int radius, int64_t max_results,
                           RangeFinds* finds, int num_threads) noexcept {
  return or_out_of_memory([&] {
    auto state = std::make_unique<SortedFinds>(queries.num_codes, max_results);
    if (!*state) return Status::kOutOfMemory;
    const Status status = for_each_few(queries, database, num_threads, [&](int64_t first, int64_t last, Found& found) {
      SortedFinds::Group group{first, {}};
      for (int64_t q = first; q < last; ++q) {
        found.measure(queries.row(q));
        found.find_within(std::min(radius, 8 * database.codes.num_bytes));
        const int count = found.num_found();
        state->counts[q] = count;
        const auto kept = static_cast<int>(max_results == 0 ? count : std::min<int64_t>(max_results, count));
        for (int rank = 0; rank < kept; ++rank) {
          group.finds.push_back(
              SortedFinds::find(q - first, found.distance(rank), static_cast<uint32_t>(found.position(rank))));
        }
      }
      state->add(std::move(group));
    });
    if (status != Status::kOk) return status;
    state->set_offsets();
    finds->state = std::move(state);
    return status;
  });
}

Status range_count_of_few(const Codes& queries, const Database& database, int radius, int64_t* counts,
                          int num_threads) noexcept {
  return for_each_few(queries, database, num_threads, [&](int64_t first, int64_t last, Found& found) {
    for (int64_t q = first; q < last; ++q) {
      found.measure(queries.row(q));
      counts[q] = found.count_within(std::min(radius, 8 * database.codes.num_bytes));
    }
  });
}

}  // namespace hashkernels
