#include "hashkernels/search.h"

#include <algorithm>
#include <memory>

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
  pybind11::class_<RangeFinds>(module, "RangeFinds")
      .def("ranges",
           [](const RangeFinds& finds, int64_t num_queries, uintptr_t offsets, uintptr_t counts) {
             std::copy_n(finds.offsets(), num_queries + 1, address<int64_t>(offsets));
             std::copy_n(finds.counts(), num_queries, address<int64_t>(counts));
             return finds.offsets()[num_queries];
           })
      .def("write", [](const RangeFinds& finds, uintptr_t distances, uintptr_t indices, int threads) {
        call([&] { return finds.write(address<int32_t>(distances), address<int64_t>(indices), threads); });
      });
  module.def("range_search", [](uintptr_t queries, int64_t num_queries, int64_t query_stride, uintptr_t database,
                                int64_t num_database, int64_t database_stride, int num_bytes, int radius,
                                int64_t max_results, uintptr_t allowed, int threads) {
    const Codes q = codes(queries, num_queries, query_stride, num_bytes);
    const Codes db = codes(database, num_database, database_stride, num_bytes);
    auto finds = std::make_unique<RangeFinds>();
    call([&] {
      return range_search(q, db, radius, max_results, address<const uint8_t>(allowed), finds.get(), threads);
    });
    return finds;
  });
  module.def("range_count", [](uintptr_t queries, int64_t num_queries, int64_t query_stride, uintptr_t database,
                               int64_t num_database, int64_t database_stride, int num_bytes, int radius,
                               uintptr_t allowed, uintptr_t out_counts, int threads) {
    const Codes q = codes(queries, num_queries, query_stride, num_bytes);
    const Codes db = codes(database, num_database, database_stride, num_bytes);
    call([&] {
      return range_count(q, db, radius, address<const uint8_t>(allowed), address<int64_t>(out_counts), threads);
    });
  });
}

}  // namespace hashkernels::bindings
