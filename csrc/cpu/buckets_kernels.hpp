// Buckets of hash tables, and which of their entries may be near a query.
#pragma once

#include <cstdint>

namespace hashkernels {

// A bucket that a query reads: entries begin..end of a chunk.
struct Probe {
  uint32_t query, begin, end;
  uint16_t tag;   // of the query
  uint16_t ring;  // how many bits the key of the bucket differs in
  uint16_t rest;  // how many bits outside of the chunk may differ
};

// What the entries of a chunk are, as hash_tables.h has it.
struct BucketEntries {
  const uint64_t* rows;
  const uint64_t* queries;  // in the order of the rows' bits
  int num_words;
  const uint32_t* slots;  // null in chunk 0, where entry i is row i
  int64_t num_entries;
  int tag_size;  // the uppermost bits of a slot
};

// Rows that may be near queries, as pairs of numbers.
struct Candidates {
  uint32_t *queries, *rows;
};

// So many entries are looked at in one step, and as many candidates written, of which those that count come first.
inline constexpr int kBucketStep = 8;

// Lists the entries of probes[0], probes[1], ... that may be within ring + rest of their queries, as their tags or
// their first words have it. Stops where less than kBucketStep of the room is left, having moved the begin of a bucket
// that it listed in part. Returns how many probes are done.
using ListCandidates = int (*)(const BucketEntries& entries, Probe* probes, int num_probes, Candidates out, int room,
                               int* num_candidates);
int list_candidates_scalar(const BucketEntries& entries, Probe* probes, int num_probes, Candidates out, int room,
                           int* num_candidates);
int list_candidates_avx2(const BucketEntries& entries, Probe* probes, int num_probes, Candidates out, int room,
                         int* num_candidates);

// distances[i] = bits in which candidate i's query and row differ; both are num_words words long.
using MeasureCandidates = void (*)(Candidates candidates, int count, const uint64_t* queries, const uint64_t* rows,
                                   int num_words, uint16_t* distances);
void measure_candidates_scalar(Candidates candidates, int count, const uint64_t* queries, const uint64_t* rows,
                               int num_words, uint16_t* distances);
void measure_candidates_avx2(Candidates candidates, int count, const uint64_t* queries, const uint64_t* rows,
                             int num_words, uint16_t* distances);

}  // namespace hashkernels
