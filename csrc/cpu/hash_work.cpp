#include "hash_work.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace hashkernels {
namespace {

// For n = 0..bits: the share of all keys of `bits` bits that have at most n bits set.
std::vector<double> shares_within(int bits) {
  std::vector<double> shares;
  double ring = std::ldexp(1.0, -bits), sum = 0;
  for (int ones = 0; ones <= bits; ++ones) {
    sum += ring;
    shares.push_back(sum);
    ring = ring * (bits - ones) / (ones + 1);
  }
  return shares;
}

}  // namespace

HashWork::HashWork(const HashTables& tables, double keep) : tables_(tables) {
  constexpr double kCached = 32 << 20;
  const double words = static_cast<double>(words_per_code(tables.num_bytes));
  const double codes = static_cast<double>(tables.num_codes);
  const bool is_cached = codes * 8 * words <= kCached;
  bucket_ = is_cached ? 13 : 32;
  candidate_ = (is_cached ? 5 : 10) + 1.3 * words;
  find_ = keep + tables.num_chunks / 3.0;
  // Chunk 0 looks at the rest of a row's first word, the others at tags (ChunkFields).
  for (int c = 0; c < tables.num_chunks; ++c) {
    const int next = tables.widths[(c + 1) % tables.num_chunks];
    shares_.push_back(shares_within(c == 0 ? std::min(64, 8 * tables.num_bytes) - tables.widths[0]
                                           : std::min(tag_bits(tables.num_codes), next)));
  }
}

double HashWork::entry(int chunk, int rest) const {
  const std::vector<double>& shares = shares_[chunk];
  const double share = rest < 0 ? 0 : shares[std::min<size_t>(rest, shares.size() - 1)];
  return entry() + share * candidate_;
}

double HashWork::ring(int chunk, int ring, int rest) const {
  const int width = tables_.widths[chunk];
  const double entries = std::ldexp(static_cast<double>(tables_.num_codes), -width);
  return ring_size(width, ring) * (bucket_ + entries * entry(chunk, rest));
}

double ring_size(int width, int ones) {
  double size = 1;
  for (int i = 0; i < ones; ++i) size = size * (width - i) / (i + 1);
  return size;
}

}  // namespace hashkernels
