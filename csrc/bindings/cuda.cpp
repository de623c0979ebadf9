#include "hashkernels/cuda.h"

#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "bindings.hpp"

namespace hashkernels::bindings {
namespace {

void register_codes_on_cuda(pybind11::module_& module) {
  module.def("cuda_pack_codes",
             [](uintptr_t src, const std::string& dtype_code, int64_t rows, int64_t bits, int64_t row_stride,
                uintptr_t dst, int64_t dst_row_stride, bool little, uintptr_t has_nan, int device, uintptr_t stream) {
               const Values packable = values(src, dtype_code, rows, bits, row_stride);
               call([&] {
                 return cuda::pack_codes(packable, address<uint8_t>(dst), dst_row_stride, little,
                                         address<int32_t>(has_nan), device, address<void>(stream));
               });
             });
  module.def("cuda_unpack_codes", [](uintptr_t src, int64_t rows, int bits, int64_t row_stride, uintptr_t dst,
                                     int64_t dst_row_stride, bool little, int device, uintptr_t stream) {
    const Codes packed = codes(src, rows, row_stride, (bits + 7) / 8);
    call([&] {
      return cuda::unpack_codes(packed, bits, address<int8_t>(dst), dst_row_stride, little, device,
                                address<void>(stream));
    });
  });
}

void register_counting_on_cuda(pybind11::module_& module) {
  module.def("cuda_retrieval_counts",
             [](uintptr_t queries, int64_t num_queries, int64_t query_stride, uintptr_t database, int64_t num_database,
                int64_t database_stride, int num_bytes, uintptr_t query_labels, uintptr_t database_labels,
                int label_words, uintptr_t out_total, uintptr_t out_relevant, int device, uintptr_t stream) {
               call([&] {
                 return cuda::retrieval_counts(codes(queries, num_queries, query_stride, num_bytes),
                                               codes(database, num_database, database_stride, num_bytes),
                                               {address<const void>(query_labels), label_words},
                                               {address<const void>(database_labels), label_words},
                                               address<int64_t>(out_total), address<int64_t>(out_relevant), device,
                                               address<void>(stream));
               });
             });
  module.def("cuda_index_order_workspace", cuda::index_order_workspace);
  module.def("cuda_index_order_precision",
             [](uintptr_t queries, int64_t num_queries, int64_t query_stride, uintptr_t database, int64_t num_database,
                int64_t database_stride, int num_bytes, uintptr_t query_labels, uintptr_t database_labels,
                int label_words, const std::vector<int64_t>& cutoffs, uintptr_t out_hits, uintptr_t out_precision_sum,
                uintptr_t workspace, int device, uintptr_t stream) {
               call([&] {
                 return cuda::index_order_precision(codes(queries, num_queries, query_stride, num_bytes),
                                                    codes(database, num_database, database_stride, num_bytes),
                                                    {address<const void>(query_labels), label_words},
                                                    {address<const void>(database_labels), label_words}, cutoffs.data(),
                                                    static_cast<int>(cutoffs.size()), address<int64_t>(out_hits),
                                                    address<double>(out_precision_sum), address<int64_t>(workspace),
                                                    device, address<void>(stream));
               });
             });
}

void register_search_on_cuda(pybind11::module_& module) {
  module.def("cuda_hamming_distance", [](uintptr_t queries, int64_t num_queries, int64_t query_stride,
                                         uintptr_t database, int64_t num_database, int64_t database_stride,
                                         int num_bytes, uintptr_t out, int out_size, int device, uintptr_t stream) {
    const Codes q = codes(queries, num_queries, query_stride, num_bytes);
    const Codes db = codes(database, num_database, database_stride, num_bytes);
    by_size(out_size, out,
            [&](auto* typed) { return cuda::hamming_distance(q, db, typed, device, address<void>(stream)); });
  });
  module.def("cuda_topk_workspace", cuda::topk_workspace);
  module.def("cuda_topk", [](uintptr_t queries, int64_t num_queries, int64_t query_stride, uintptr_t database,
                             int64_t num_database, int64_t database_stride, int num_bytes, int64_t k, uintptr_t allowed,
                             uintptr_t out_distances, uintptr_t out_indices, uintptr_t workspace, int device,
                             uintptr_t stream) {
    const Codes q = codes(queries, num_queries, query_stride, num_bytes);
    const Codes db = codes(database, num_database, database_stride, num_bytes);
    call([&] {
      return cuda::topk(q, db, k, address<const uint8_t>(allowed), address<int32_t>(out_distances),
                        address<int64_t>(out_indices), address<int64_t>(workspace), device, address<void>(stream));
    });
  });
  module.def("cuda_range_workspace", cuda::range_workspace);
  module.def("cuda_range_count", [](uintptr_t queries, int64_t num_queries, int64_t query_stride, uintptr_t database,
                                    int64_t num_database, int64_t database_stride, int num_bytes, int radius,
                                    uintptr_t out_counts, uintptr_t workspace, int device, uintptr_t stream) {
    const Codes q = codes(queries, num_queries, query_stride, num_bytes);
    const Codes db = codes(database, num_database, database_stride, num_bytes);
    call([&] {
      return cuda::range_count(q, db, radius, address<int64_t>(out_counts), address<int64_t>(workspace), device,
                               address<void>(stream));
    });
  });
  module.def("cuda_range_fill",
             [](uintptr_t queries, int64_t num_queries, int64_t query_stride, uintptr_t database, int64_t num_database,
                int64_t database_stride, int num_bytes, int radius, uintptr_t offsets, uintptr_t out_distances,
                uintptr_t out_indices, uintptr_t workspace, int device, uintptr_t stream) {
               const Codes q = codes(queries, num_queries, query_stride, num_bytes);
               const Codes db = codes(database, num_database, database_stride, num_bytes);
               call([&] {
                 return cuda::range_fill(q, db, radius, address<const int64_t>(offsets),
                                         address<int32_t>(out_distances), address<int64_t>(out_indices),
                                         address<int64_t>(workspace), device, address<void>(stream));
               });
             });
  module.def("cuda_range_nearest",
             [](uintptr_t queries, int64_t num_queries, int64_t query_stride, uintptr_t database, int64_t num_database,
                int64_t database_stride, int num_bytes, int radius, int64_t max_results, uintptr_t out_counts,
                uintptr_t out_distances, uintptr_t out_indices, uintptr_t workspace, int device, uintptr_t stream) {
               const Codes q = codes(queries, num_queries, query_stride, num_bytes);
               const Codes db = codes(database, num_database, database_stride, num_bytes);
               call([&] {
                 return cuda::range_nearest(q, db, radius, max_results, address<int64_t>(out_counts),
                                            address<int32_t>(out_distances), address<int64_t>(out_indices),
                                            address<int64_t>(workspace), device, address<void>(stream));
               });
             });
}

struct PairArguments {
  PairArguments(const Embeddings<float>& rows, const Embeddings<float>& columns, int64_t num_bits,
                Labels labels_of_rows, Labels labels_of_columns)
      : u(rows), v(columns), bits(num_bits), row_labels(labels_of_rows), column_labels(labels_of_columns) {
    // An empty bank may have no address, and is a bank all the same.
    if (v.data == nullptr && v.num_rows == 0) v.data = u.data;
  }

  Embeddings<float> u, v;
  int64_t bits;
  Labels row_labels, column_labels;
};

PairMean mean_of(bool weighted) { return weighted ? PairMean::kWeighted : PairMean::kEachKind; }

void register_pairwise_on_cuda(pybind11::module_& module) {
  module.def("cuda_margin_loss_workspace", cuda::pairwise_loss_workspace);
  module.def(
      "cuda_margin_loss",
      [](uintptr_t u, int64_t num_rows, int64_t bits, int64_t row_stride, uintptr_t v, int64_t num_columns,
         int64_t column_stride, uintptr_t row_labels, uintptr_t column_labels, int label_words, double positive_margin,
         double negative_margin, double positive_scale, double negative_scale, uintptr_t out_terms,
         uintptr_t out_counts, uintptr_t grad, uintptr_t workspace, int device, uintptr_t stream) {
        const PairArguments pairs(
            {address<const float>(u), num_rows, row_stride}, {address<const float>(v), num_columns, column_stride},
            bits, {address<const void>(row_labels), label_words}, {address<const void>(column_labels), label_words});
        call([&] {
          return cuda::margin_loss(pairs.u, pairs.v, pairs.bits, pairs.row_labels, pairs.column_labels,
                                   {positive_margin, negative_margin, positive_scale, negative_scale},
                                   address<double>(out_terms), address<int64_t>(out_counts), address<float>(grad),
                                   address<int64_t>(workspace), device, address<void>(stream));
        });
      });
  module.def("cuda_likelihood_loss_workspace", cuda::pairwise_loss_workspace);
  module.def("cuda_likelihood_loss", [](uintptr_t u, int64_t num_rows, int64_t bits, int64_t row_stride, uintptr_t v,
                                        int64_t num_columns, int64_t column_stride, uintptr_t row_labels,
                                        uintptr_t column_labels, int label_words, double scale, double positive_scale,
                                        double negative_scale, bool weighted, uintptr_t out_terms, uintptr_t out_counts,
                                        uintptr_t grad, uintptr_t workspace, int device, uintptr_t stream) {
    const PairArguments pairs(
        {address<const float>(u), num_rows, row_stride}, {address<const float>(v), num_columns, column_stride}, bits,
        {address<const void>(row_labels), label_words}, {address<const void>(column_labels), label_words});
    call([&] {
      return cuda::likelihood_loss(pairs.u, pairs.v, pairs.bits, pairs.row_labels, pairs.column_labels,
                                   {scale, positive_scale, negative_scale, mean_of(weighted)},
                                   address<double>(out_terms), address<int64_t>(out_counts), address<float>(grad),
                                   address<int64_t>(workspace), device, address<void>(stream));
    });
  });
  module.def("cuda_cauchy_loss_workspace", cuda::pairwise_loss_workspace);
  module.def("cuda_cauchy_loss", [](uintptr_t u, int64_t num_rows, int64_t bits, int64_t row_stride, uintptr_t v,
                                    int64_t num_columns, int64_t column_stride, uintptr_t row_labels,
                                    uintptr_t column_labels, int label_words, double gamma, double distance_scale,
                                    double min_distance, double positive_scale, double negative_scale, bool weighted,
                                    uintptr_t out_terms, uintptr_t out_counts, uintptr_t grad, uintptr_t workspace,
                                    int device, uintptr_t stream) {
    const PairArguments pairs(
        {address<const float>(u), num_rows, row_stride}, {address<const float>(v), num_columns, column_stride}, bits,
        {address<const void>(row_labels), label_words}, {address<const void>(column_labels), label_words});
    call([&] {
      return cuda::cauchy_loss(pairs.u, pairs.v, pairs.bits, pairs.row_labels, pairs.column_labels,
                               {gamma, distance_scale, min_distance, positive_scale, negative_scale, mean_of(weighted)},
                               address<double>(out_terms), address<int64_t>(out_counts), address<float>(grad),
                               address<int64_t>(workspace), device, address<void>(stream));
    });
  });
}

}  // namespace

void register_cuda(pybind11::module_& module) {
  register_codes_on_cuda(module);
  register_counting_on_cuda(module);
  register_search_on_cuda(module);
  register_pairwise_on_cuda(module);
}

}  // namespace hashkernels::bindings
