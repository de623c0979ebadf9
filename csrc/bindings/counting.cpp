#include "hashkernels/counting.h"

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
  module.def("index_order_precision",
             [](uintptr_t queries, int64_t num_queries, int64_t query_stride, uintptr_t database, int64_t num_database,
                int64_t database_stride, int num_bytes, uintptr_t query_labels, uintptr_t database_labels,
                int label_words, uintptr_t total, uintptr_t relevant, int64_t counts_stride, int64_t num_levels,
                uintptr_t cutoffs, int num_cutoffs, uintptr_t out_hits, uintptr_t out_precision_sum, int threads) {
               call([&] {
                 return index_order_precision(
                     codes(queries, num_queries, query_stride, num_bytes),
                     codes(database, num_database, database_stride, num_bytes),
                     {address<const void>(query_labels), label_words},
                     {address<const void>(database_labels), label_words},
                     {address<const int64_t>(total), address<const int64_t>(relevant), counts_stride, num_levels},
                     address<const int64_t>(cutoffs), num_cutoffs, address<int64_t>(out_hits),
                     address<double>(out_precision_sum), threads);
               });
             });
}

}  // namespace hashkernels::bindings
