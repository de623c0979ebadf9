#include "hashkernels/cuda.h"

#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "bindings.hpp"
#include "pair_losses.hpp"

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
  module.def("cuda_index_order_sums",
             [](uintptr_t queries, int64_t num_queries, int64_t query_stride, uintptr_t database, int64_t num_database,
                int64_t database_stride, int num_bytes, uintptr_t query_labels, uintptr_t database_labels,
                int label_words, uintptr_t start_ranks, uintptr_t start_hits, const std::vector<int64_t>& cutoffs,
                uintptr_t out_sums, uintptr_t workspace, int device, uintptr_t stream) {
               call([&] {
                 return cuda::index_order_sums(
                     codes(queries, num_queries, query_stride, num_bytes),
                     codes(database, num_database, database_stride, num_bytes),
                     {address<const void>(query_labels), label_words},
                     {address<const void>(database_labels), label_words},
                     {address<const int64_t>(start_ranks), address<const int64_t>(start_hits)}, cutoffs.data(),
                     static_cast<int>(cutoffs.size()), address<int64_t>(out_sums), address<int64_t>(workspace), device,
                     address<void>(stream));
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
  module.def("cuda_has_binary_products", cuda::has_binary_products);
  module.def("cuda_topk_workspace", cuda::topk_workspace);
  module.def("cuda_topk", [](uintptr_t queries, int64_t num_queries, int64_t query_stride, uintptr_t database,
                             int64_t num_database, int64_t database_stride, int num_bytes, int64_t k, uintptr_t allowed,
                             bool portable, uintptr_t out_distances, uintptr_t out_indices, uintptr_t workspace,
                             int device, uintptr_t stream) {
    const auto method = portable ? cuda::TopkMethod::kPortable : cuda::TopkMethod::kFastest;
    const Codes q = codes(queries, num_queries, query_stride, num_bytes);
    const Codes db = codes(database, num_database, database_stride, num_bytes);
    call([&] {
      return cuda::topk(q, db, k, address<const uint8_t>(allowed), method, address<int32_t>(out_distances),
                        address<int64_t>(out_indices), address<int64_t>(workspace), device, address<void>(stream));
    });
  });
  module.def("cuda_range_workspace", cuda::range_workspace);
  module.def("cuda_range_count",
             [](uintptr_t queries, int64_t num_queries, int64_t query_stride, uintptr_t database, int64_t num_database,
                int64_t database_stride, int num_bytes, int radius, uintptr_t allowed, uintptr_t out_counts,
                uintptr_t workspace, int device, uintptr_t stream) {
               const Codes q = codes(queries, num_queries, query_stride, num_bytes);
               const Codes db = codes(database, num_database, database_stride, num_bytes);
               call([&] {
                 return cuda::range_count(q, db, radius, address<const uint8_t>(allowed), address<int64_t>(out_counts),
                                          address<int64_t>(workspace), device, address<void>(stream));
               });
             });
  module.def("cuda_range_fill", [](uintptr_t queries, int64_t num_queries, int64_t query_stride, uintptr_t database,
                                   int64_t num_database, int64_t database_stride, int num_bytes, int radius,
                                   uintptr_t allowed, uintptr_t offsets, uintptr_t out_distances, uintptr_t out_indices,
                                   uintptr_t workspace, int device, uintptr_t stream) {
    const Codes q = codes(queries, num_queries, query_stride, num_bytes);
    const Codes db = codes(database, num_database, database_stride, num_bytes);
    call([&] {
      return cuda::range_fill(q, db, radius, address<const uint8_t>(allowed), address<const int64_t>(offsets),
                              address<int32_t>(out_distances), address<int64_t>(out_indices),
                              address<int64_t>(workspace), device, address<void>(stream));
    });
  });
  module.def("cuda_range_nearest",
             [](uintptr_t queries, int64_t num_queries, int64_t query_stride, uintptr_t database, int64_t num_database,
                int64_t database_stride, int num_bytes, int radius, int64_t max_results, uintptr_t allowed,
                uintptr_t out_counts, uintptr_t out_distances, uintptr_t out_indices, uintptr_t workspace, int device,
                uintptr_t stream) {
               const Codes q = codes(queries, num_queries, query_stride, num_bytes);
               const Codes db = codes(database, num_database, database_stride, num_bytes);
               call([&] {
                 return cuda::range_nearest(q, db, radius, max_results, address<const uint8_t>(allowed),
                                            address<int64_t>(out_counts), address<int32_t>(out_distances),
                                            address<int64_t>(out_indices), address<int64_t>(workspace), device,
                                            address<void>(stream));
               });
             });
}

DType embedding_type(const std::string& name) {
  if (name == "float32") return DType::kFloat32;
  if (name == "float16") return DType::kFloat16;
  if (name == "bfloat16") return DType::kBFloat16;
  throw pybind11::value_error("embeddings must be float32, float16 or bfloat16, got " + name);
}

// Registers cuda_<name>, which takes the pairs, the parameters of the loss as make_loss takes them, the weight of the
// sign error, and the outputs as on the CPU.
template <class Loss, class... Parameters>
void register_pair_loss(pybind11::module_& module, const std::string& name, Loss (*make_loss)(Parameters...),
                        Status (*kernel)(const cuda::PairInputs&, const Loss&, cuda::PairPrecision,
                                         const cuda::PairOutputs&, int64_t*, int, void*) noexcept,
                        decltype(&cuda::pairwise_loss_workspace) workspace_size = cuda::pairwise_loss_workspace) {
  module.def(("cuda_" + name + "_workspace").c_str(), workspace_size);
  module.def(("cuda_" + name).c_str(),
             [make_loss, kernel](uintptr_t u, const std::string& row_dtype, int64_t num_rows, int64_t bits,
                                 int64_t row_stride, uintptr_t v, const std::string& column_dtype, int64_t num_columns,
                                 int64_t column_stride, uintptr_t row_labels, uintptr_t column_labels, int label_words,
                                 uintptr_t left_out, uintptr_t counted, Parameters... parameters, double quantization,
                                 bool split, uintptr_t out_total, uintptr_t out_sums, uintptr_t grad,
                                 uintptr_t workspace, int device, uintptr_t stream) {
               cuda::PairInputs inputs{
                   {address<const void>(u), embedding_type(row_dtype), num_rows, row_stride},
                   {address<const void>(v), embedding_type(column_dtype), num_columns, column_stride},
                   bits,
                   {address<const void>(row_labels), label_words},
                   {address<const void>(column_labels), label_words},
                   quantization,
                   address<const int64_t>(left_out),
                   address<const bool>(counted)};
               // An empty bank may have no address, and is a bank all the same.
               if (inputs.v.data == nullptr && num_columns == 0) inputs.v.data = inputs.u.data;
               const auto precision = split ? cuda::PairPrecision::kSplit : cuda::PairPrecision::kFloat32;
               call([&] {
                 return kernel(inputs, make_loss(parameters...), precision,
                               {address<float>(out_total), address<double>(out_sums), address<float>(grad)},
                               address<int64_t>(workspace), device, address<void>(stream));
               });
             });
}

void register_pairwise_on_cuda(pybind11::module_& module) {
  register_pair_loss(module, "margin_loss", make_margin_loss, cuda::margin_loss);
  register_pair_loss(module, "likelihood_loss", make_likelihood_loss, cuda::likelihood_loss);
  register_pair_loss(module, "cauchy_loss", make_cauchy_loss, cuda::cauchy_loss);
  register_pair_loss(module, "contrastive_loss", make_contrastive_loss, cuda::contrastive_loss,
                     cuda::contrastive_loss_workspace);
}

void register_triplets_on_cuda(pybind11::module_& module) {
  module.def("cuda_triplet_likelihood",
             [](uintptr_t similarities, uintptr_t relevant, uintptr_t irrelevant, uintptr_t weights,
                int64_t num_queries, int64_t num_items, double margin, uintptr_t loss, uintptr_t grad,
                uintptr_t query_losses, int device, uintptr_t stream) {
               const Triplets<float> triplets{address<const float>(similarities),
                                              address<const uint8_t>(relevant),
                                              address<const uint8_t>(irrelevant),
                                              address<const double>(weights),
                                              num_queries,
                                              num_items,
                                              margin};
               call([&] {
                 return cuda::triplet_likelihood(triplets, address<double>(loss), address<float>(grad),
                                                 address<double>(query_losses), device, address<void>(stream));
               });
             });
}

}  // namespace

void register_cuda(pybind11::module_& module) {
  register_codes_on_cuda(module);
  register_counting_on_cuda(module);
  register_search_on_cuda(module);
  register_pairwise_on_cuda(module);
  register_triplets_on_cuda(module);
}

}  // namespace hashkernels::bindings
