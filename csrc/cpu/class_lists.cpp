#include "class_lists.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "blocks.hpp"
#include "count_group.hpp"

namespace hashkernels {
namespace {

// Costs, where to count a pair without its relevance is 1: relevance adds a fifth at least, and to list a code of the
// database costs about as much as this many pairs.
constexpr int64_t kRelevanceCosts = 5;
constexpr int64_t kListingCosts = 32;

// The database is taken in slabs, so that memory does not grow with it.
constexpr int64_t kSlabRows = int64_t{1} << 18;

// Queries for which the codes of a class are gathered once.
constexpr int64_t kPieceQueries = 256;

// order[ends[n - 1] .. ends[n]) = the items of first .. first + count - 1 with number n, ascending, for n >= 1; number
// 0 is left out. ends has one element more than there are numbers.
template <class Number>
void sort_by_number(int64_t first, int64_t count, uint32_t num_numbers, Number number, int64_t* order, int64_t* ends) {
  std::fill_n(ends, num_numbers + 1, 0);
  for (int64_t i = first; i < first + count; ++i) {
    const uint32_t n = number(i);
    ends[n + 1] += n != 0;
  }
  for (uint32_t n = 1; n <= num_numbers; ++n) ends[n] += ends[n - 1];  // where n begins
  for (int64_t i = first; i < first + count; ++i) {
    const uint32_t n = number(i);
    if (n != 0) order[ends[n]++] = i;  // at last, where n ends
  }
}

// Codes of some rows, one after the other.
struct Gathered {
  Gathered(const Codes& from, const int64_t* rows, int64_t count)
      : bytes(count * from.num_bytes), codes{bytes.data(), count, from.num_bytes, from.num_bytes} {
    if (!bytes) return;
    uint8_t* to = bytes.data();
    for (int64_t i = 0; i < count; ++i, to += from.num_bytes) std::memcpy(to, from.row(rows[i]), from.num_bytes);
  }

  Buffer<uint8_t> bytes;
  Codes codes;
};

}  // namespace

// Queries by_class_[first .. last - 1], all of one class.
struct ClassLists::Piece {
  uint32_t number;
  int64_t first, last;
};

// Rows of the database by class: those of class c are rows[ends[c - 1] .. ends[c]).
struct ClassLists::Slab {
  Slab(int64_t num_rows, uint32_t num_classes) : rows(num_rows), ends(size_t{num_classes} + 1) {}
  explicit operator bool() const { return rows && ends; }

  Buffer<int64_t> rows, ends;
};

ClassLists::ClassLists(const Codes& queries, const Codes& database, Labels query_labels, Labels database_labels)
    : queries_(queries),
      database_(database),
      query_ids_(static_cast<const int64_t*>(query_labels.data)),
      database_ids_(static_cast<const int64_t*>(database_labels.data)),
      ids_(query_ids_, queries.num_codes),
      by_class_(queries.num_codes),
      query_ends_(size_t{ids_.size()} + 1) {
  if (!*this) return;
  sort_by_number(
      0, queries.num_codes, ids_.size(), [&](int64_t q) { return ids_(query_ids_[q]); }, by_class_.data(),
      query_ends_.data());
  // A block of each class is not full.
  int64_t costs = queries.num_codes * kBlockCodes + database.num_codes * kListingCosts;
  for (int64_t row = 0; row < database.num_codes; ++row) {
    const uint32_t number = ids_(database_ids_[row]);
    if (number != 0) costs += query_ends_[number] - query_ends_[number - 1];
  }
  are_short_ = costs <= queries.num_codes * database.num_codes / kRelevanceCosts;
}

Status ClassLists::count(const Kernels& isa, int64_t* relevant, int num_threads) const {
  const uint32_t num_classes = ids_.size();
  Slab slab(std::min(kSlabRows, database_.num_codes), num_classes);
  Buffer<Piece> pieces(queries_.num_codes);
  if (!slab || !pieces) return Status::kOutOfMemory;
  int64_t num_pieces = 0;
  for (uint32_t number = 1; number < num_classes; ++number) {
    const int64_t last = query_ends_[number];
    for (int64_t first = query_ends_[number - 1]; first < last; first += kPieceQueries) {
      pieces[num_pieces++] = {number, first, std::min(first + kPieceQueries, last)};
    }
  }
  std::atomic<bool> out_of_memory{false};
  for (int64_t first = 0; first < database_.num_codes; first += kSlabRows) {
    const int64_t rows = std::min(kSlabRows, database_.num_codes - first);
    sort_by_number(
        first, rows, num_classes, [&](int64_t row) { return ids_(database_ids_[row]); }, slab.rows.data(),
        slab.ends.data());
    const Status status = parallel_for(num_pieces, num_threads, [&](int64_t index, int) {
      if (!count_piece(isa, pieces[index], slab, relevant)) out_of_memory = true;
    });
    if (status != Status::kOk) return status;
    if (out_of_memory) return Status::kOutOfMemory;
  }
  return Status::kOk;
}

bool ClassLists::count_piece(const Kernels& isa, const Piece& piece, const Slab& slab, int64_t* relevant) const {
  const int64_t first_row = slab.ends[piece.number - 1], num_rows = slab.ends[piece.number] - first_row;
  if (num_rows == 0) return true;
  const int64_t* order = by_class_.data() + piece.first;
  const Gathered queries(queries_, order, piece.last - piece.first);
  const Gathered database(database_, slab.rows.data() + first_row, num_rows);
  const int64_t num_bins = 8 * int64_t{queries_.num_bytes} + 1, size = queries.codes.num_codes * num_bins;
  Buffer<int64_t> counts(size);
  if (!queries.bytes || !database.bytes || !counts) return false;
  std::memset(counts.data(), 0, sizeof(int64_t) * size);
  if (!count_alone(isa, queries.codes, database.codes, counts.data())) return false;
  for (int64_t i = 0; i < size; ++i) relevant[order[i / num_bins] * num_bins + i % num_bins] += counts[i];
  return true;
}

}  // namespace hashkernels
