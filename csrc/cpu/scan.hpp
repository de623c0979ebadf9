// The scan under every search: walks over blocks of the database and finds, for each query of a tile, the codes below
// its threshold.
#pragma once

#include <algorithm>
#include <cstdint>

#include "block_walks.hpp"
#include "blocks.hpp"
#include "database.hpp"
#include "hits_kernels.hpp"
#include "kernels.hpp"
#include "parallel.hpp"
#include "scan_method.hpp"
#include "search_plan.hpp"
#include "sliced_kernels.hpp"

namespace hashkernels {

SlicedShape sliced_shape(int num_bytes);

// Writes the table entries that one query picks: nodes() + 1 for every chunk (sliced_kernels.hpp).
void write_picks(const SlicedShape& shape, const uint64_t* words, uint16_t* picks);

// Runs body(walk) for walks through the blocks of every task of a search.
template <class Body>
Status parallel_scans(const SearchPlan& plan, int num_threads, Body&& body) {
  const auto blocks_of = [&](int64_t task) { return plan.task(task).blocks; };
  return parallel_walks(plan.num_tasks(), num_threads, {.at_once = 16, .least_shared = 256}, blocks_of, body);
}

// The words of many queries, one after the other.
class QueryWords {
 public:
  explicit QueryWords(const Codes& queries);
  explicit operator bool() const { return static_cast<bool>(words_); }
  const uint64_t* operator[](int64_t query) const { return words_.data() + query * num_words_; }

 private:
  int num_words_;
  Buffer<uint64_t> words_;
};

// One block of the database in each form that somebody asks for.
class BlockReader {
 public:
  BlockReader(const Kernels& isa, const Database& database);
  explicit operator bool() const { return words_ && planes_; }

  // False when no code of the block may be found.
  bool load(int64_t block);
  int64_t block() const { return block_; }
  // distances[i] = that of code i to a query, read where the codes lie.
  void measure(const uint64_t* query, uint16_t* distances) const;
  const uint64_t* words();
  const uint64_t* planes();
  const uint64_t* valid() const { return valid_; }
  int num_valid() const { return num_valid_; }

 private:
  const uint64_t* words_in_place() const;

  const Kernels& isa_;
  Database database_;
  int num_bits_;
  int64_t block_ = -1;
  Buffer<uint64_t> words_, planes_;
  const uint64_t *current_words_ = nullptr, *current_planes_ = nullptr;
  alignas(64) uint64_t valid_[kHitWords];
  int num_valid_ = 0;
};

// A tile of queries on its way through the database. Queries whose threshold falls to 0 drop out.
class TileScan {
 public:
  TileScan(const Kernels& isa, const Database& database, ScanMethod method, int64_t max_queries);
  explicit operator bool() const {
    return reader_ && words_ && hits_ && hit_words_ && hit_places_ && who_ && queries_ && thresholds_ && counts_ &&
           records_ && table_ && sums_ && distances_ && found_;
  }

  // A threshold beyond every distance stands for the least that is.
  void add(int query, const uint64_t* words, int threshold);
  bool empty() const { return num_records_ == 0; }

  // Lowers every query's threshold as far as still leaves k codes of this one block below it, if it has that many, and
  // calls start(query, threshold).
  template <class Start>
  void warm_up(int64_t block, int64_t k, Start&& start) {
    lower_thresholds(block, k);
    for (int record = 0; record < num_records_; ++record) start(queries_[record], thresholds_[record]);
  }

  // Adds the number of finds of one block to totals[query].
  void count(int64_t block, int64_t* totals);

  // Hands every find of one block to sink.take(query, position, distance), for one query in the order of positions.
  // When take returns true, sink.threshold(query) is the new threshold; finds of this block may still lie at or beyond
  // it.
  template <class Sink>
  void scan(int64_t block, Sink&& sink) {
    if (!reader_.load(block)) return;
    bool retired = false;
    for (int first = 0, last = gather(find()); first < last;) {
      int num_hits = 0;
      first = list(first, last, &num_hits);
      for (int i = 0; i < num_hits; ++i) {
        const Hit& soon = found_[std::min(i + kPrefetch, num_hits - 1)];
        sink.prefetch(queries_[soon.record], soon.distance);
        const uint32_t record = found_[i].record;
        const uint32_t query = queries_[record];
        if (!sink.take(query, found_[i].position, found_[i].distance)) continue;
        const int threshold = sink.threshold(query);
        set_threshold(record, threshold);
        retired |= threshold == 0;
      }
    }
    if (retired) retire();
  }

 private:
  static constexpr int kPrefetch = 8;  // hits between asking for a query's state and using it

  // Queues the hits of every record in the block that was loaded: first what thresholds have no part in, then the rest.
  int find();
  void prepare();
  int compare();
  void lower_thresholds(int64_t block, int64_t k);
  int nth_distance(int record, int64_t k);
  const uint64_t* sums_of(int record);
  int gather(int num_entries);
  int list(int first, int last, int* num_hits);
  template <class Distance>
  int list_each(int first, int last, int* num_hits, Distance&& distance);
  void set_threshold(int64_t record, int threshold);
  void retire();
  int64_t sums_words() const { return int64_t{shape_.num_bounds} * kHitWords; }
  // What the bit-sliced kernels read of a query: the bounds of its threshold, then picks (tables) or flips (planes).
  uint64_t* bounds(int64_t record) { return reinterpret_cast<uint64_t*>(records_.data() + record * record_bytes_); }

  const Kernels& isa_;
  ScanMethod method_;
  SlicedShape shape_;
  SlicedScan sliced_scan_;
  SlicedSums sliced_sum_;
  int num_words_;
  int64_t record_bytes_;
  BlockReader reader_;
  bool in_planes_;  // the database, so that words cost something
  int num_records_ = 0;
  int64_t prepared_block_ = -1;
  Buffer<uint64_t> words_, hits_, hit_words_;  // of each record; of each entry of the queue; gathered
  Buffer<uint32_t> who_, queries_, hit_places_;
  Buffer<int> thresholds_, counts_;
  Buffer<uint8_t> records_, table_;
  Buffer<uint64_t> sums_;       // planes: distances to the block, bit by bit, of every record; tables: of one
  Buffer<uint16_t> distances_;  // rows: of every code of the block, record after record
  Buffer<Hit> found_;
};

}  // namespace hashkernels
