#include "hashkernels/counting.h"

#include <pybind11/stl.h>

#include <vector>

#include "bindings.hpp"

namespace hashkernels::bindings {

void register_counting(pybind11::module_& module) {
  module.def("retrieval_counts",
             [](uintptr_t queries, int64_t num_queries, int64_t query_stride, uintptr_t database, int64_t num_database,
                int64_t database_stride, int num_bytes, uintptr_t query_labels, uintptr_t database_labels,
                int label_words, uintptr_t out_total, uintptr_t out_relevant, int threads) {
               call([&] {
                 return retrieval_counts(codes(queries, num_queries, query_stride, num_bytes),
                                         codes(database, num_database, database_stride, num_bytes),
                                         {address<const void>(query_labels), label_words},
                                         {address<const void>(database_labels), label_words},
                                         address<int64_t>(out_total), address<int64_t>(out_relevant), threads);
               });
             });
  module.def("index_order_sums", [](uintptr_t queries, int64_t num_queries, int64_t query_stride, uintptr_t database,
                                    int64_t num_database, int64_t database_stride, int num_bytes,
                                    uintptr_t query_labels, uintptr_t database_labels, int label_words,
                                    uintptr_t start_ranks, uintptr_t start_hits, const std::vector<int64_t>& cutoffs,
                                    uintptr_t out_sums, int threads) {
    call([&] {
      return index_order_sums(codes(queries, num_queries, query_stride, num_bytes),
                              codes(database, num_database, database_stride, num_bytes),
                              {address<const void>(query_labels), label_words},
                              {address<const void>(database_labels), label_words},
                              {address<const int64_t>(start_ranks), address<const int64_t>(start_hits)}, cutoffs.data(),
                              static_cast<int>(cutoffs.size()), address<int64_t>(out_sums), threads);
    });
  });
}

}  // namespace hashkernels::bindings
