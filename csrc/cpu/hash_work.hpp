// What a search through hash tables takes.
#pragma once

#include <vector>

#include "hash_tables.hpp"

namespace hashkernels {

// In nanoseconds of one core, measured on Zen 3 with AVX2: memory takes most of it, so one set serves all instruction
// sets.
class HashWork {
 public:
  // keep: what a search does with a find.
  HashWork(const HashTables& tables, double keep);

  // To find a bucket, whose place and entries lie in lines of memory of their own.
  double bucket() const { return bucket_; }
  // To look at an entry.
  double entry() const { return 0.8; }
  // To read and compare the row of one that may be near.
  double candidate() const { return candidate_; }
  // To look into a row that is near: where it has shown up before, and what to make of it.
  double find() const { return find_; }

  // For an entry that turns out to be near.
  double near_entry() const { return entry() + candidate() + find(); }

  // What an entry of `chunk` takes where up to `rest` bits outside of the chunk may differ, if bits are spread evenly.
  double entry(int chunk, int rest) const;

  // What a ring of buckets takes, each with as many entries as codes spread evenly would give it.
  double ring(int chunk, int ring, int rest) const;

 private:
  const HashTables& tables_;
  double bucket_, candidate_, find_;
  // Of each chunk, for each number of bits: the share of entries that differ in no more of those that are looked at.
  std::vector<std::vector<double>> shares_;
};

// How many keys of `width` bits have `ones` bits set.
double ring_size(int width, int ones);

}  // namespace hashkernels
