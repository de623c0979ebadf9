#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "hash_probes.hpp"
#include "query_groups.hpp"

namespace hashkernels {
namespace {

// The best of one query so far: (distance, position) in one number, in no order.
class Nearest {
 public:
  void start(int64_t k) { k_ = static_cast<size_t>(k); }

  // The farthest distance that may enter.
  int reach() const { return static_cast<int>(std::min<uint64_t>(limit_ >> 32, kMaxBits)); }

  void add(int distance, uint32_t position) {
    const uint64_t key = static_cast<uint64_t>(distance) << 32 | position;
    if (key > limit_) return;
    keys_.push_back(key);
    if (keys_.size() >= 2 * k_ + kRoom) cut();
  }

  // Whether k are in, none of them farther than `distance`.
  bool complete_at(int distance) {
    if (keys_.size() < k_) return false;
    cut();
    return static_cast<int>(limit_ >> 32) <= distance;
  }

  size_t count() const { return std::min(keys_.size(), k_); }
  bool is_full() const { return keys_.size() >= k_; }

  // The distance within which k codes lie, as far as those that are in show: each at distance d stands for weights[d].
  int likely_limit(const std::vector<double>& weights) {
    if (keys_.size() > k_) cut();
    std::sort(keys_.begin(), keys_.end());
    double stood_for = 0;
    for (uint64_t key : keys_) {
      stood_for += weights[key >> 32];
      if (stood_for >= static_cast<double>(k_)) return static_cast<int>(key >> 32);
    }
    return static_cast<int>(keys_.back() >> 32);
  }

  void write(int32_t* distances, int64_t* indices) {
    if (keys_.size() > k_) cut();
    std::sort(keys_.begin(), keys_.end());
    for (size_t i = 0; i < k_; ++i) {
      const bool found = i < keys_.size();
      distances[i] = found ? static_cast<int32_t>(keys_[i] >> 32) : std::numeric_limits<int32_t>::max();
      indices[i] = found ? static_cast<int64_t>(keys_[i] & 0xFFFFFFFF) : -1;
    }
  }

 private:
  static constexpr size_t kRoom = 64;  // makes cuts rare

  void cut() {
    std::nth_element(keys_.begin(), keys_.begin() + static_cast<int64_t>(k_) - 1, keys_.end());
    keys_.resize(k_);
    limit_ = keys_.back();
  }

  size_t k_ = 0;
  uint64_t limit_ = std::numeric_limits<uint64_t>::max();  // what lies beyond cannot be among the k nearest
  std::vector<uint64_t> keys_;
};

// What the rings of all chunks cost, and how much of what there is they show, where codes and flipped bits are spread
// evenly.
class Outlook {
 public:
  Outlook(const HashTables& tables, const HashWork& costs)
      : tables_(tables), costs_(costs), num_bits_(8 * tables.num_bytes) {
    double bits_of_chunks = 0;
    for (int c = 0; c < tables.num_chunks; ++c) bits_of_chunks += tables.widths[c];
    share_ = std::min(bits_of_chunks / tables.num_chunks / num_bits_, 0.999);  // that of all bits would divide by zero
  }

  // Of one ring of one chunk, looked at for codes up to `reach` away.
  double work(int chunk, int ring, int reach) const { return costs_.ring(chunk, ring, reach - ring); }

  // Of all steps, in the order of Group::run, up to the one that is sure to have shown all codes at `distance`.
  // A step has some entries more than that, which come of codes in clusters: all are compared, few are among the best.
  double work_up_to(int distance, double more_entries) const {
    double sum = 0;
    for (int step = 0; step <= distance; ++step) {
      sum += work(step % tables_.num_chunks, step / tables_.num_chunks, distance);
    }
    return sum + more_entries * (distance + 1) * (costs_.entry() + costs_.candidate());
  }

  // Of as many steps, how many entries there are where codes are spread evenly.
  double entries(int num_steps) const {
    double sum = 0;
    for (int step = 0; step < num_steps; ++step) {
      const int width = tables_.widths[step % tables_.num_chunks];
      sum += std::ldexp(ring_size(width, step / tables_.num_chunks) * static_cast<double>(tables_.num_codes), -width);
    }
    return sum;
  }

  // For each distance, how many codes there are for each that is found before the rings numbered `ring`.
  std::vector<double> weights(int ring) const {
    std::vector<double> result(num_bits_ + 1);
    for (int distance = 0; distance <= num_bits_; ++distance) {
      // With so many bits flipped anywhere, fewer than `ring` of them are in a given chunk.
      double near = 0, flips = std::pow(1 - share_, distance);
      for (int i = 0; i < std::min(ring, distance + 1); ++i) {
        near += flips;
        flips *= (distance - i) * share_ / ((i + 1) * (1 - share_));
      }
      const double found = 1 - std::pow(1 - std::min(near, 1.0), tables_.num_chunks);
      result[distance] = 1 / std::max(found, 1e-9);
    }
    return result;
  }

 private:
  const HashTables& tables_;
  const HashWork& costs_;
  int num_bits_;
  double share_;  // of the bits, in a chunk
};

// A group of queries that looks ever farther: ring after ring, in each ring chunk after chunk. A code shows up in the
// chunk that it is nearest in, the first of them, and is passed over in the others.
class Group {
 public:
  Group(const Kernels& isa, const HashTables& tables, const QueryRows& rows, int64_t first, int64_t last, int64_t k,
        const uint8_t* allowed, double max_work)
      : tables_(tables),
        allowed_(allowed),
        first_(first),
        k_(k),
        max_work_(max_work),
        costs_(tables, kKeep),
        outlook_(tables, costs_),
        // So many codes in one bucket are a cluster, of which most are near.
        probes_(isa, tables, costs_, rows, max_work * static_cast<double>(last - first),
                max_work / costs_.near_entry()) {
    for (int c = 0; c < tables.num_chunks; ++c) masks_.emplace_back(tables.widths[c]);
    nearest_.resize(last - first);
    for (Nearest& nearest : nearest_) nearest.start(k);
    for (int64_t q = first; q < last; ++q) open_.push_back(static_cast<uint32_t>(q));
  }

  // Until every query is answered or given up.
  void run() {
    // What may be spent in vain: most of the queries that are hopeless show it by then.
    constexpr double kTrial = 1.0 / 8;
    for (int ring = 0; !open_.empty(); ++ring) {
      if (ring > 0 &&
          average_work() + outlook_.work(0, ring, usual_reach()) * tables_.num_chunks > kTrial * max_work_) {
        give_up_hopeless(ring);
      }
      for (int chunk = 0; chunk < tables_.num_chunks; ++chunk) {
        if (open_.empty()) return;
        const double expected = outlook_.work(chunk, ring, usual_reach());
        const double work = probes_.work() + expected * static_cast<double>(open_.size());
        if (expected > max_work_ || work > max_work_ * static_cast<double>(nearest_.size())) return;
        look(chunk, ring);
        if (probes_.is_spent()) return;
        give_up_too_full();
        if (ring == tables_.widths[chunk]) return open_.clear();  // that was every bucket of a chunk: all codes
        const int seen = tables_.num_chunks * ring + chunk;
        const auto is_answered = [&](uint32_t query) { return nearest_[query - first_].complete_at(seen); };
        open_.erase(std::remove_if(open_.begin(), open_.end(), is_answered), open_.end());
      }
    }
  }

  void write(int64_t k, int32_t* distances, int64_t* indices, uint8_t* done) {
    for (size_t i = 0; i < nearest_.size(); ++i) {
      const int64_t query = first_ + static_cast<int64_t>(i);
      done[query] = 1;
      nearest_[i].write(distances + query * k, indices + query * k);
    }
    for (uint32_t query : open_) done[query] = 0;
    for (uint32_t query : given_up_) done[query] = 0;
  }

 private:
  static constexpr double kKeep = 20;

  // Of a query.
  double average_work() const { return probes_.work() / static_cast<double>(nearest_.size()); }

  // How far the queries that are open look, on average.
  int usual_reach() const {
    int64_t sum = 0;
    for (uint32_t query : open_) sum += nearest_[query - first_].reach();
    return static_cast<int>(sum / static_cast<int64_t>(open_.size()));
  }

  // Gives up the queries for which the codes found before the rings numbered `ring` foretell more than max_work_.
  void give_up_hopeless(int ring) {
    const double entries = static_cast<double>(probes_.num_entries()) / static_cast<double>(nearest_.size());
    const int num_steps = tables_.num_chunks * ring;
    const double more_entries = std::max(0.0, entries - outlook_.entries(num_steps)) / num_steps;
    const std::vector<double> weights = outlook_.weights(ring);
    const auto goes_on = [&](uint32_t query) {
      Nearest& nearest = nearest_[query - first_];
      const double found = static_cast<double>(nearest.count());
      // Too few for a forecast: as many more as are missing must be read at least.
      const double work = nearest.is_full() ? outlook_.work_up_to(nearest.likely_limit(weights), more_entries)
                                            : average_work() * static_cast<double>(k_) / (found + 1);
      return work <= max_work_;
    };
    keep_if(goes_on);
  }

  void give_up_too_full() {
    std::vector<uint32_t>& full = probes_.too_full();
    if (full.empty()) return;
    std::sort(full.begin(), full.end());
    keep_if([&](uint32_t query) { return !std::binary_search(full.begin(), full.end(), query); });
    full.clear();
  }

  template <class GoesOn>
  void keep_if(GoesOn&& goes_on) {
    const auto given_up = std::stable_partition(open_.begin(), open_.end(), goes_on);
    given_up_.insert(given_up_.end(), given_up, open_.end());
    open_.erase(given_up, open_.end());
  }

  void look(int chunk, int ring) {
    masks_[chunk].extend_to(ring);
    const auto met_before = [&](uint32_t query, uint32_t row) {
      for (int other = 0; other < tables_.num_chunks; ++other) {
        if (other != chunk && probes_.distance(query, row, other) < ring + (other < chunk)) return true;
      }
      return false;
    };
    probes_.read(
        chunk, open_, masks_[chunk], ring, ring, [&](uint32_t query) { return nearest_[query - first_].reach(); },
        [&](uint32_t query, uint32_t row, int distance) {
          if (met_before(query, row)) return;
          const uint32_t position = tables_.ids[row];
          if (allowed_ == nullptr || allowed_[position] != 0) nearest_[query - first_].add(distance, position);
        });
  }

  const HashTables& tables_;
  const uint8_t* allowed_;
  int64_t first_, k_;
  double max_work_;
  HashWork costs_;
  Outlook outlook_;
  std::vector<Nearest> nearest_;
  std::vector<uint32_t> open_, given_up_;
  Probes probes_;
  std::vector<Masks> masks_;
};

}  // namespace

Status topk(const Codes& queries, const HashTables& tables, int64_t k, const uint8_t* allowed, double max_work,
            int32_t* distances, int64_t* indices, uint8_t* done, int num_threads) noexcept {
  return or_out_of_memory([&] {
    const Kernels& isa = kernels();
    const QueryRows rows(queries, tables);
    return for_each_group(queries.num_codes, num_threads, [&](int64_t first, int64_t last) {
      Group group(isa, tables, rows, first, last, k, allowed, max_work);
      group.run();
      group.write(k, distances, indices, done);
    });
  });
}

}  // namespace hashkernels
