#include "hashkernels/search.h"

#include "bindings.hpp"

namespace hashkernels::bindings {

void register_search(pybind11::module_& module) {
  module.def("topk", [](uintptr_t queries, int64_t num_queries, int64_t query_stride, uintptr_t database,
                        int64_t num_database, int64_t database_stride, int num_bytes, int64_t k, uintptr_t allowed,
                        uintptr_t out_distances, uintptr_t out_indices, int threads) {
    const Codes q = codes(queries, num_queries, query_stride, num_bytes);
    const Codes db = codes(database, num_database, database_stride, num_bytes);
    call([&] {
      return topk(q, db, k, address<const uint8_t>(allowed), address<int32_t>(out_distances),
                  address<int64_t>(out_indices), threads);
    });
  });
  module.def("range_count",
             [](uintptr_t queries, int64_t num_queries, int64_t query_stride, uintptr_t database, int64_t num_database,
                int64_t database_stride, int num_bytes, int radius, uintptr_t out_counts, int threads) {
               const Codes q = codes(queries, num_queries, query_stride, num_bytes);
               const Codes db = codes(database, num_database, database_stride, num_bytes);
               call([&] { return range_count(q, db, radius, address<int64_t>(out_counts), threads); });
             });
  module.def("range_fill", [](uintptr_t queries, int64_t num_queries, int64_t query_stride, uintptr_t database,
                              int64_t num_database, int64_t database_stride, int num_bytes, int radius,
                              uintptr_t offsets, uintptr_t out_distances, uintptr_t out_indices, int threads) {
    const Codes q = codes(queries, num_queries, query_stride, num_bytes);
    const Codes db = codes(database, num_database, database_stride, num_bytes);
    call([&] {
      return range_fill(q, db, radius, address<const int64_t>(offsets), address<int32_t>(out_distances),
                        address<int64_t>(out_indices), threads);
    });
  });
}

}  // namespace hashkernels::bindings
