// What a radius search keeps until the caller has made room for its result.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <utility>

#include "hashkernels/search.h"
#include "parallel.hpp"
#include "search_plan.hpp"
#include "tile_parts.hpp"

namespace hashkernels {

// The finds of one query in one part of the database, added in the order of their positions. Owns its memory.
class Finds {
 public:
  Finds() = default;
  Finds(const Finds&) = delete;
  Finds& operator=(const Finds&) = delete;
  ~Finds();

  // Where only the `max_results` nearest are wanted (0: all), what can no longer be among them is dropped, but counted.
  // False where there is no more memory.
  bool add(uint32_t position, int distance, int64_t max_results) {
    ++num_met_;
    if (distance >= limit_) return true;
    if (size_ == capacity_ && !make_room(max_results)) return false;
    positions_[size_] = position;
    distances_[size_] = static_cast<uint16_t>(distance);
    ++size_;
    return true;
  }

  int64_t num_met() const { return num_met_; }
  int64_t size() const { return size_; }
  uint32_t position(int64_t i) const { return positions_[i]; }
  int distance(int64_t i) const { return distances_[i]; }

 private:
  bool make_room(int64_t max_results);
  bool grow();
  void compact(int64_t max_results);

  uint32_t* positions_ = nullptr;
  uint16_t* distances_ = nullptr;
  int64_t size_ = 0, capacity_ = 0, num_met_ = 0;
  int limit_ = std::numeric_limits<int>::max();  // at this distance or beyond, enough were met before
};

// What every kind of search keeps, in a form of its own.
struct RangeFinds::State {
  State(int64_t queries, int64_t results)
      : num_queries(queries), max_results(results), offsets(queries + 1), counts(queries) {}
  virtual ~State() = default;
  virtual explicit operator bool() const { return offsets && counts; }

  // Every query's finds by (distance, position), at its place in the result.
  virtual Status write(int32_t* distances, int64_t* indices, int num_threads) const noexcept = 0;

  // Once the counts are known.
  void set_offsets();

  const int64_t num_queries, max_results;
  Buffer<int64_t> offsets, counts;
};

// What a walk finds for the queries of a tile.
struct FindsPart {
  FindsPart(int64_t own_tile, int64_t own_first_block, int64_t num_queries)
      : tile(own_tile), first_block(own_first_block), finds(std::make_unique<Finds[]>(num_queries)) {}

  const int64_t tile, first_block;
  const std::unique_ptr<Finds[]> finds;
};

// The finds of a scan.
class ScannedFinds final : public RangeFinds::State {
 public:
  ScannedFinds(const SearchPlan& plan, int max_distance, int64_t max_results);

  // Any thread. Throws std::bad_alloc.
  void add(std::unique_ptr<FindsPart> part) { parts_.add(std::move(part)); }
  // Once all finds are in. Throws std::bad_alloc.
  void finish();
  Status write(int32_t* distances, int64_t* indices, int num_threads) const noexcept override;

 private:
  // Calls visit(finds, first_code) for each part of the database, in order.
  template <class Visit>
  void for_each_part(int64_t query, Visit&& visit) const;
  // `starts`: kMaxBits + 2 values to work with.
  void write_query(int64_t query, int64_t* starts, int32_t* distances, int64_t* indices) const;

  const SearchPlan plan_;
  const int max_distance_;
  TileParts<FindsPart> parts_;
};

}  // namespace hashkernels
