#include "hashkernels/distance.h"

#include "bindings.hpp"

namespace hashkernels::bindings {

void register_distance(pybind11::module_& module) {
  module.def("hamming_distance",
             [](uintptr_t queries, int64_t num_queries, int64_t query_stride, uintptr_t database, int64_t num_database,
                int64_t database_stride, int num_bytes, uintptr_t out, int out_size, int threads) {
               const Codes q = codes(queries, num_queries, query_stride, num_bytes);
               const Codes db = codes(database, num_database, database_stride, num_bytes);
               by_size(out_size, out, [&](auto* typed) { return hamming_distance(q, db, typed, threads); });
             });
}

}  // namespace hashkernels::bindings
