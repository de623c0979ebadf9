#include "class_ids.hpp"

#include <algorithm>

namespace hashkernels {
namespace {

// Bits of an index into at least four times as many slots as there are queries. Few queries get many more: where no two
// ids meet, every search ends at once and no branch is hard to predict.
int bits_for(int64_t num_queries) {
  int bits = 10;
  while ((int64_t{1} << bits) < 4 * num_queries) ++bits;
  return bits;
}

}  // namespace

ClassIds::ClassIds(const int64_t* ids, int64_t count) : slot_bits_(bits_for(count)), slots_(size_t{1} << slot_bits_) {
  if (!slots_) return;
  std::fill_n(slots_.data(), size_t{1} << slot_bits_, Slot{0, 0});
  for (int64_t i = 0; i < count; ++i) {
    Slot& found = slots_[slot(ids[i])];
    if (found.number == 0) found = {ids[i], size_++};
  }
}

}  // namespace hashkernels
