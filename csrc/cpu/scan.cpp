#include "scan.hpp"

#include <algorithm>
#include <cstring>

namespace hashkernels {
namespace {

constexpr int64_t kQueriesForTables = 5;  // where planes are there; see also Kernels::queries_for_slicing

int bit(const uint64_t* words, int index) { return static_cast<int>((words[index / 64] >> (index % 64)) & 1); }

}  // namespace

SlicedShape sliced_shape(int num_bytes) {
  SlicedShape shape;
  shape.num_bytes = num_bytes;
  shape.num_chunks = (num_bytes + SlicedShape::kMaxChunkBytes - 1) / SlicedShape::kMaxChunkBytes;
  shape.chunk_bytes = (num_bytes + shape.num_chunks - 1) / shape.num_chunks;
  shape.num_bounds = 0;
  for (int bits = 8 * num_bytes; bits > 0; bits >>= 1) ++shape.num_bounds;
  return shape;
}

// The walk of build_table over the query's own bits.
void write_picks(const SlicedShape& shape, const uint64_t* words, uint16_t* picks) {
  constexpr int kEntryUnits = SlicedShape::kPlaneBytes / 8;
  const int chunk_bits = 8 * shape.chunk_bytes, nodes = shape.nodes();
  uint8_t queue[12 * SlicedShape::kMaxChunkBytes + 1];
  for (int chunk = 0; chunk < shape.num_chunks; ++chunk, picks += nodes + 1) {
    for (int i = 0; i <= chunk_bits; ++i) {
      const int index = chunk * chunk_bits + i;
      queue[i] = static_cast<uint8_t>(i < chunk_bits && index < 8 * shape.num_bytes ? bit(words, index) : 0);
    }
    for (int node = 0; node < nodes; ++node) {
      const uint8_t* in = queue + 3 * node;
      queue[chunk_bits + 1 + node] = in[0] ^ in[1] ^ in[2];
      picks[node] = static_cast<uint16_t>((8 * node + in[0] + 2 * in[1] + 4 * in[2]) * kEntryUnits);
    }
    picks[nodes] = static_cast<uint16_t>((8 * nodes + queue[3 * nodes]) * kEntryUnits);
  }
}

QueryWords::QueryWords(const Codes& queries)
    : num_words_(words_per_code(queries.num_bytes)), words_(queries.num_codes * num_words_) {
  if (!words_) return;
  for (int64_t q = 0; q < queries.num_codes; ++q) {
    load_code(queries.row(q), queries.num_bytes, words_.data() + q * num_words_);
  }
}

BlockReader::BlockReader(const Kernels& isa, const Database& database)
    : isa_(isa),
      database_(database),
      num_bits_(8 * database.codes.num_bytes),
      words_(words_per_code(database.codes.num_bytes) * kBlockCodes),
      planes_(database.planes == nullptr ? num_bits_ * kHitWords : 0) {}

bool BlockReader::load(int64_t block) {
  block_ = block;
  current_words_ = current_planes_ = nullptr;
  const int64_t first = block * kBlockCodes;
  const int64_t count = std::min(kBlockCodes, database_.codes.num_codes - first);
  if (database_.allowed == nullptr && count == kBlockCodes) {
    std::fill(valid_, valid_ + kHitWords, ~uint64_t{0});
    num_valid_ = kBlockCodes;
    return true;
  }
  std::fill(valid_, valid_ + kHitWords, 0);
  num_valid_ = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t valid = database_.allowed == nullptr || database_.allowed[first + i] != 0;
    valid_[i / 64] |= valid << (i % 64);
    num_valid_ += static_cast<int>(valid);
  }
  return num_valid_ > 0;
}

// Whole blocks of packed, aligned 8-byte codes already have the form that kernels read.
const uint64_t* BlockReader::words_in_place() const {
  const Codes& codes = database_.codes;
  const int64_t first = block_ * kBlockCodes;
  if (codes.num_bytes != 8 || codes.stride != 8 || codes.num_codes - first < kBlockCodes) return nullptr;
  const uint8_t* row = codes.row(first);
  return reinterpret_cast<uintptr_t>(row) % alignof(uint64_t) == 0 ? reinterpret_cast<const uint64_t*>(row) : nullptr;
}

const uint64_t* BlockReader::words() {
  if (current_words_ != nullptr) return current_words_;
  if (database_.planes != nullptr) {
    isa_.sliced->unslice(planes(), num_bits_, words_.data());
    return current_words_ = words_.data();
  }
  current_words_ = words_in_place();
  if (current_words_ != nullptr) return current_words_;
  load_block(database_.codes, block_ * kBlockCodes, words_.data());
  return current_words_ = words_.data();
}

void BlockReader::measure(const uint64_t* query, uint16_t* distances) const {
  const Codes& codes = database_.codes;
  const int64_t first = block_ * kBlockCodes;
  if (const uint64_t* words = words_in_place(); words != nullptr) return isa_.hamming_block(query, words, 1, distances);
  const auto count = static_cast<int>(std::min(kBlockCodes, codes.num_codes - first));
  isa_.measure_rows(query, codes.row(first), codes.stride, codes.num_bytes, count, distances);
  std::fill(distances + count, distances + kBlockCodes, uint16_t{0});
}

const uint64_t* BlockReader::planes() {
  if (current_planes_ != nullptr) return current_planes_;
  if (database_.planes != nullptr) return current_planes_ = database_.planes + block_ * num_bits_ * kHitWords;
  isa_.sliced->slice(words(), num_bits_, planes_.data());
  return current_planes_ = planes_.data();
}

ScanMethod plan_scan(const Kernels& isa, bool sliced, int num_bytes, int64_t num_queries) {
  if (!sliced) {
    const int enough = num_bytes <= 8 ? isa.queries_for_slicing : isa.queries_for_slicing_long;
    return num_queries >= enough ? ScanMethod::kTables : ScanMethod::kRows;
  }
  return num_queries >= kQueriesForTables ? ScanMethod::kTables : ScanMethod::kPlanes;
}

const char* scan_method_name(ScanMethod method) {
  constexpr const char* kNames[] = {"rows", "planes", "sums"};
  return kNames[static_cast<int>(method)];
}

TileScan::TileScan(const Kernels& isa, const Database& database, int64_t max_queries)
    : isa_(isa),
      method_(plan_scan(isa, database.planes != nullptr, database.codes.num_bytes, max_queries)),
      shape_(sliced_shape(database.codes.num_bytes)),
      sliced_scan_(isa.sliced->scan(shape_)),
      num_words_(words_per_code(database.codes.num_bytes)),
      record_bytes_(method_ == ScanMethod::kTables   ? shape_.record_bytes()
                    : method_ == ScanMethod::kPlanes ? 8 * (shape_.num_bounds + 8 * shape_.num_bytes)
                                                     : 8 * shape_.num_bounds),
      reader_(isa, database),
      words_(max_queries * num_words_),
      hits_((max_queries + 1) * kHitWords),
      hit_words_((max_queries + 1) * kHitWords),
      who_(max_queries + 1),
      queries_(max_queries),
      hit_places_((max_queries + 1) * kHitWords),
      thresholds_(max_queries),
      counts_(max_queries),
      lows_(max_queries),
      highs_(max_queries),
      records_(max_queries * record_bytes_),
      table_(method_ == ScanMethod::kTables ? shape_.table_bytes() : 0),
      distances_(method_ == ScanMethod::kRows ? max_queries * kBlockCodes : 0),
      found_(kHitBatch) {}

void TileScan::add(int query, const uint64_t* words, int threshold) {
  if (threshold == 0) return;
  const int record = num_records_++;
  queries_[record] = static_cast<uint32_t>(query);
  std::memcpy(words_.data() + record * num_words_, words, sizeof(uint64_t) * num_words_);
  if (method_ == ScanMethod::kTables) {
    write_picks(shape_, words, reinterpret_cast<uint16_t*>(bounds(record) + shape_.num_bounds));
  } else if (method_ == ScanMethod::kPlanes) {
    uint64_t* flips = bounds(record) + shape_.num_bounds;
    for (int i = 0; i < 8 * shape_.num_bytes; ++i) flips[i] = -static_cast<uint64_t>(bit(words, i));
  }
  set_threshold(record, threshold);
}

void TileScan::set_threshold(int64_t record, int threshold) {
  thresholds_[record] = threshold;
  const uint64_t complement = (uint64_t{1} << shape_.num_bounds) - threshold;
  for (int i = 0; i < shape_.num_bounds; ++i) bounds(record)[i] = -((complement >> i) & 1);
}

int TileScan::find() {
  prepare();
  return compare();
}

void TileScan::prepare() {
  if (method_ == ScanMethod::kTables) isa_.sliced->build_table(reader_.planes(), shape_, table_.data());
  if (method_ != ScanMethod::kRows) return;
  for (int record = 0; record < num_records_; ++record) {
    reader_.measure(words_.data() + record * num_words_, distances_.data() + record * kBlockCodes);
  }
}

int TileScan::compare() {
  if (method_ == ScanMethod::kTables) {
    return sliced_scan_(table_.data(), records_.data(), record_bytes_, num_records_, shape_.num_chunks,
                        shape_.num_bounds, hits_.data(), who_.data());
  }
  int found = 0;
  for (int record = 0; record < num_records_; ++record) {
    uint64_t* hits = hits_.data() + int64_t{found} * kHitWords;
    bool any;
    if (method_ == ScanMethod::kPlanes) {
      any = isa_.sliced->scan_one(reader_.planes(), bounds(record) + shape_.num_bounds, bounds(record),
                                  shape_.num_bytes, shape_.num_bounds, hits);
    } else {
      any = isa_.below(distances_.data() + record * kBlockCodes, thresholds_[record], hits);
    }
    who_[found] = record;
    found += any;
  }
  return found;
}

void TileScan::count(int64_t block, int64_t* totals) {
  if (!reader_.load(block)) return;
  const int num_entries = find();
  isa_.count_hits({hits_.data(), who_.data(), num_entries, reader_.valid()}, counts_.data());
  for (int i = 0; i < num_entries; ++i) totals[queries_[who_[i]]] += counts_[who_[i]];
}

// Bisection, all queries at once: fewer than k codes lie below `low`, at least k below the threshold.
void TileScan::lower_thresholds(int64_t block, int64_t k) {
  if (!reader_.load(block) || reader_.num_valid() < k) return;
  std::fill(lows_.data(), lows_.data() + num_records_, 0);
  std::copy(thresholds_.data(), thresholds_.data() + num_records_, highs_.data());
  prepare();
  for (int step = 0; step < shape_.num_bounds; ++step) {
    for (int record = 0; record < num_records_; ++record) {
      set_threshold(record, std::max(1, (lows_[record] + highs_[record]) / 2));
      counts_[record] = 0;
    }
    isa_.count_hits({hits_.data(), who_.data(), compare(), reader_.valid()}, counts_.data());
    for (int record = 0; record < num_records_; ++record) {
      (counts_[record] >= k ? highs_ : lows_)[record] = thresholds_[record];
    }
  }
  for (int record = 0; record < num_records_; ++record) set_threshold(record, highs_[record]);
}

int TileScan::gather(int num_entries) {
  const HitQueue queue{hits_.data(), who_.data(), num_entries, reader_.valid()};
  return num_entries == 0 ? 0 : isa_.gather_hits(queue, hit_words_.data(), hit_places_.data());
}

int TileScan::list(int first, int last, int* num_hits) {
  if (method_ == ScanMethod::kRows) return list_measured(first, last, num_hits);
  return isa_.list_hits(hit_words_.data(), hit_places_.data(), first, last, words_.data(), reader_.words(), num_words_,
                        found_.data(), num_hits);
}

int TileScan::list_measured(int first, int last, int* num_hits) {
  int count = 0, next = first;
  for (; next < last && count + 64 <= kHitBatch; ++next) {
    const uint32_t record = hit_places_[next] / kHitWords;
    const int base = 64 * static_cast<int>(hit_places_[next] % kHitWords);
    for (uint64_t rest = hit_words_[next]; rest != 0; rest &= rest - 1) {
      const int position = base + __builtin_ctzll(rest);
      found_[count++] = {record, static_cast<uint16_t>(position), distances_[record * kBlockCodes + position]};
    }
  }
  *num_hits = count;
  return next;
}

void TileScan::retire() {
  for (int record = num_records_ - 1; record >= 0; --record) {
    if (thresholds_[record] > 0) continue;
    const int last = --num_records_;
    if (record == last) continue;
    queries_[record] = queries_[last];
    thresholds_[record] = thresholds_[last];
    std::memcpy(words_.data() + record * num_words_, words_.data() + last * num_words_, sizeof(uint64_t) * num_words_);
    std::memcpy(records_.data() + record * record_bytes_, records_.data() + last * record_bytes_, record_bytes_);
  }
}

}  // namespace hashkernels
