#include "scan.hpp"

#include <algorithm>
#include <cstring>

namespace hashkernels {
namespace {

// So many words of hits, or fewer, are better measured one record at a time than by bringing planes into words.
constexpr int kFewHitWords = 8;

int bit(const uint64_t* words, int index) { return static_cast<int>((words[index / 64] >> (index % 64)) & 1); }

// Eight bytes of 0 or 1, the lowest bit first.
uint64_t spread_bits(uint8_t byte) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  const uint64_t apart = (byte * kOnes) & 0x8040201008040201;
  return ((apart + 0x7F * kOnes) >> 7) & kOnes;
}

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
    for (int byte = 0; byte < shape.chunk_bytes; ++byte) {
      const int index = chunk * shape.chunk_bytes + byte;
      const uint64_t bits = index < shape.num_bytes ? spread_bits(words[index / 8] >> (8 * (index % 8))) : 0;
      std::memcpy(queue + 8 * byte, &bits, sizeof(bits));
    }
    queue[chunk_bits] = 0;
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
  if (block == block_) return num_valid_ > 0;
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

TileScan::TileScan(const Kernels& isa, const Database& database, ScanMethod method, int64_t max_queries)
    : isa_(isa),
      method_(method),
      shape_(sliced_shape(database.codes.num_bytes)),
      sliced_scan_(isa.sliced->scan(shape_)),
      sliced_sum_(isa.sliced->sum(shape_)),
      num_words_(words_per_code(database.codes.num_bytes)),
      record_bytes_(method_ == ScanMethod::kTables   ? shape_.record_bytes()
                    : method_ == ScanMethod::kPlanes ? 8 * (shape_.num_bounds + 8 * shape_.num_bytes)
                                                     : 0),
      reader_(isa, database),
      in_planes_(database.planes != nullptr),
      words_(max_queries * num_words_),
      hits_((max_queries + 1) * kHitWords),
      hit_words_((max_queries + 1) * kHitWords),
      who_(max_queries + 1),
      queries_(max_queries),
      hit_places_((max_queries + 1) * kHitWords),
      thresholds_(max_queries),
      counts_(max_queries),
      records_(max_queries * record_bytes_),
      table_(method_ == ScanMethod::kTables ? shape_.table_bytes() : 0),
      sums_(method_ == ScanMethod::kTables   ? sums_words()
            : method_ == ScanMethod::kPlanes ? max_queries * sums_words()
                                             : 0),
      distances_(method_ == ScanMethod::kRows ? max_queries * kBlockCodes : 0),
      found_(kHitBatch) {}

void TileScan::add(int query, const uint64_t* words, int threshold) {
  if (threshold == 0) return;
  prepared_block_ = -1;
  const int record = num_records_++;
  queries_[record] = static_cast<uint32_t>(query);
  std::memcpy(words_.data() + record * num_words_, words, sizeof(uint64_t) * num_words_);
  if (method_ == ScanMethod::kTables) {
    write_picks(shape_, words, reinterpret_cast<uint16_t*>(bounds(record) + shape_.num_bounds));
  } else if (method_ == ScanMethod::kPlanes) {
    uint64_t* flips = bounds(record) + shape_.num_bounds;
    for (int i = 0; i < 8 * shape_.num_bytes; ++i) flips[i] = -static_cast<uint64_t>(bit(words, i));
  }
  set_threshold(record, std::min(threshold, 8 * shape_.num_bytes + 1));
}

void TileScan::set_threshold(int64_t record, int threshold) {
  thresholds_[record] = threshold;
  if (method_ == ScanMethod::kRows) return;
  const uint64_t complement = (uint64_t{1} << shape_.num_bounds) - threshold;
  uint64_t* own = bounds(record);
  for (int i = 0, count = shape_.num_bounds; i < count; ++i) own[i] = -((complement >> i) & 1);
}

int TileScan::find() {
  prepare();
  return compare();
}

void TileScan::prepare() {
  if (prepared_block_ == reader_.block()) return;
  prepared_block_ = reader_.block();
  if (method_ == ScanMethod::kTables) return isa_.sliced->build_table(reader_.planes(), shape_, table_.data());
  for (int record = 0; record < num_records_; ++record) {
    if (method_ == ScanMethod::kPlanes) {
      isa_.sliced->sum_one(reader_.planes(), bounds(record) + shape_.num_bounds, shape_.num_bytes, shape_.num_bounds,
                           record == 0, sums_.data() + record * sums_words());
    } else {
      reader_.measure(words_.data() + record * num_words_, distances_.data() + record * kBlockCodes);
    }
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
    who_[found] = record;
    found += method_ == ScanMethod::kPlanes
                 ? isa_.sliced->below(sums_of(record), bounds(record), shape_.num_bounds, hits)
                 : isa_.below(distances_.data() + record * kBlockCodes, thresholds_[record], hits);
  }
  return found;
}

// The distances of a prepared block to one record, bit by bit. Not for rows.
const uint64_t* TileScan::sums_of(int record) {
  if (method_ == ScanMethod::kPlanes) return sums_.data() + record * sums_words();
  sliced_sum_(table_.data(), records_.data() + record * record_bytes_, shape_.num_chunks, shape_.num_bounds,
              sums_.data());
  return sums_.data();
}

void TileScan::count(int64_t block, int64_t* totals) {
  if (!reader_.load(block)) return;
  const int num_entries = find();
  isa_.count_hits({hits_.data(), who_.data(), num_entries, reader_.valid()}, counts_.data());
  for (int i = 0; i < num_entries; ++i) totals[queries_[who_[i]]] += counts_[who_[i]];
}

void TileScan::lower_thresholds(int64_t block, int64_t k) {
  if (!reader_.load(block) || reader_.num_valid() <= k) return;
  prepare();
  for (int record = 0; record < num_records_; ++record) {
    set_threshold(record, std::min(thresholds_[record], nth_distance(record, k) + 1));
  }
}

// The k-th least distance of the block's codes, of which more may be found.
int TileScan::nth_distance(int record, int64_t k) {
  if (method_ != ScanMethod::kRows) {
    return isa_.nth_distance(sums_of(record), shape_.num_bounds, reader_.valid(), k);
  }
  const uint32_t first = 0;
  int low = 0, high = 8 * shape_.num_bytes;
  while (low < high) {
    const int middle = (low + high) / 2;
    isa_.below(distances_.data() + record * kBlockCodes, middle + 1, hits_.data());
    isa_.count_hits({hits_.data(), &first, 1, reader_.valid()}, counts_.data());
    if (counts_[0] >= k) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

int TileScan::gather(int num_entries) {
  const HitQueue queue{hits_.data(), who_.data(), num_entries, reader_.valid()};
  return num_entries == 0 ? 0 : isa_.gather_hits(queue, hit_words_.data(), hit_places_.data());
}

int TileScan::list(int first, int last, int* num_hits) {
  if (method_ == ScanMethod::kRows) {
    return list_each(first, last, num_hits,
                     [&](uint32_t record, int position) { return distances_[record * kBlockCodes + position]; });
  }
  if (method_ == ScanMethod::kPlanes || (in_planes_ && last <= kFewHitWords)) {
    int64_t current = -1;
    const uint64_t* sums = nullptr;
    return list_each(first, last, num_hits, [&](uint32_t record, int position) {
      if (record != current) sums = sums_of(static_cast<int>(current = record));
      int distance = 0;
      for (int i = 0; i < shape_.num_bounds; ++i) {
        distance |= static_cast<int>((sums[i * kHitWords + position / 64] >> (position % 64)) & 1) << i;
      }
      return static_cast<uint16_t>(distance);
    });
  }
  return isa_.list_hits(hit_words_.data(), hit_places_.data(), first, last, words_.data(), reader_.words(), num_words_,
                        found_.data(), num_hits);
}

template <class Distance>
int TileScan::list_each(int first, int last, int* num_hits, Distance&& distance) {
  int count = 0, next = first;
  for (; next < last && count + 64 <= kHitBatch; ++next) {
    const uint32_t record = hit_places_[next] / kHitWords;
    const int base = 64 * static_cast<int>(hit_places_[next] % kHitWords);
    for (uint64_t rest = hit_words_[next]; rest != 0; rest &= rest - 1) {
      const int position = base + __builtin_ctzll(rest);
      found_[count++] = {record, static_cast<uint16_t>(position), distance(record, position)};
    }
  }
  *num_hits = count;
  return next;
}

void TileScan::retire() {
  for (int record = num_records_ - 1; record >= 0; --record) {
    if (thresholds_[record] > 0) continue;
    const int last = --num_records_;
    prepared_block_ = -1;
    if (record == last) continue;
    queries_[record] = queries_[last];
    thresholds_[record] = thresholds_[last];
    std::memcpy(words_.data() + record * num_words_, words_.data() + last * num_words_, sizeof(uint64_t) * num_words_);
    std::memcpy(records_.data() + record * record_bytes_, records_.data() + last * record_bytes_, record_bytes_);
  }
}

}  // namespace hashkernels
