#include "hashkernels/index.h"

#include <memory>

#include "bindings.hpp"

namespace hashkernels::bindings {

void register_index(pybind11::module_& module) {
  module.def("sliced_size", sliced_size);
  module.def("slice_codes", [](uintptr_t src, int64_t num_codes, int64_t stride, int num_bytes, int64_t first,
                               uintptr_t planes, int threads) {
    const Codes rows = codes(src, num_codes, stride, num_bytes);
    call([&] { return slice_codes(rows, first, address<uint64_t>(planes), threads); });
  });
  module.def("unslice_codes", [](uintptr_t planes, int num_bytes, int64_t first, int64_t count, uintptr_t dst,
                                 int64_t dst_stride, int threads) {
    const SlicedCodes sliced{address<const uint64_t>(planes), first + count, num_bytes};
    call([&] { return unslice_codes(sliced, first, count, address<uint8_t>(dst), dst_stride, threads); });
  });
  module.def("gather_codes", [](uintptr_t planes, int num_bytes, uintptr_t positions, int64_t count, uintptr_t dst,
                                int64_t dst_stride) {
    const SlicedCodes sliced{address<const uint64_t>(planes), 0, num_bytes};
    call([&] {
      return gather_codes(sliced, address<const int64_t>(positions), count, address<uint8_t>(dst), dst_stride);
    });
  });
  module.def("sliced_topk", [](uintptr_t queries, int64_t num_queries, int64_t query_stride, uintptr_t planes,
                               int64_t num_database, int num_bytes, int64_t k, uintptr_t allowed,
                               uintptr_t out_distances, uintptr_t out_indices, int threads) {
    const Codes q = codes(queries, num_queries, query_stride, num_bytes);
    const SlicedCodes db{address<const uint64_t>(planes), num_database, num_bytes};
    call([&] {
      return topk(q, db, k, address<const uint8_t>(allowed), address<int32_t>(out_distances),
                  address<int64_t>(out_indices), threads);
    });
  });
  module.def("sliced_range_search",
             [](uintptr_t queries, int64_t num_queries, int64_t query_stride, uintptr_t planes, int64_t num_database,
                int num_bytes, int radius, int64_t max_results, uintptr_t allowed, int threads) {
               const Codes q = codes(queries, num_queries, query_stride, num_bytes);
               const SlicedCodes db{address<const uint64_t>(planes), num_database, num_bytes};
               auto finds = std::make_unique<RangeFinds>();
               call([&] {
                 return range_search(q, db, radius, max_results, address<const uint8_t>(allowed), finds.get(), threads);
               });
               return finds;
             });
  module.def("sliced_range_count", [](uintptr_t queries, int64_t num_queries, int64_t query_stride, uintptr_t planes,
                                      int64_t num_database, int num_bytes, int radius, uintptr_t allowed,
                                      uintptr_t out_counts, int threads) {
    const Codes q = codes(queries, num_queries, query_stride, num_bytes);
    const SlicedCodes db{address<const uint64_t>(planes), num_database, num_bytes};
    call([&] {
      return range_count(q, db, radius, address<const uint8_t>(allowed), address<int64_t>(out_counts), threads);
    });
  });
  module.def("search_method", search_method);
  module.def("most_hash_work", most_hash_work);
}

}  // namespace hashkernels::bindings
