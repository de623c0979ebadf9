#include "hashkernels/hash_tables.h"

#include <memory>
#include <vector>

#include "bindings.hpp"

namespace hashkernels::bindings {
namespace {

HashTables hash_tables(int64_t num_codes, int num_bytes, int num_chunks, uintptr_t widths, uintptr_t order,
                       uintptr_t offsets, uintptr_t rows, uintptr_t ids, uintptr_t slots) {
  return {num_codes,
          num_bytes,
          num_chunks,
          address<const int32_t>(widths),
          address<const uint16_t>(order),
          address<const uint32_t>(offsets),
          address<const uint64_t>(rows),
          address<const uint32_t>(ids),
          address<const uint32_t>(slots)};
}

}  // namespace

void register_hash_tables(pybind11::module_& module) {
  pybind11::class_<HashTables>(module, "HashTables").def(pybind11::init(&hash_tables));
  module.attr("max_chunks") = kMaxChunks;
  module.attr("max_chunk_bits") = kMaxChunkBits;
  module.attr("max_hashed_codes") = kMaxHashedCodes;
  module.def("tag_bits", &tag_bits);
  module.def("choose_chunks", [](uintptr_t planes, int64_t num_codes, int num_bytes, int bits, bool little,
                                 uintptr_t order, uintptr_t widths) {
    const SlicedCodes codes{address<const uint64_t>(planes), num_codes, num_bytes};
    pybind11::gil_scoped_release release;
    return choose_chunks(codes, bits, little, address<uint16_t>(order), address<int32_t>(widths));
  });
  module.def("build_hash_tables", [](uintptr_t planes, const HashTables& tables, int threads) {
    const SlicedCodes codes{address<const uint64_t>(planes), tables.num_codes, tables.num_bytes};
    call([&] {
      return build_hash_tables(codes, tables, const_cast<uint32_t*>(tables.offsets), const_cast<uint64_t*>(tables.rows),
                               const_cast<uint32_t*>(tables.ids), const_cast<uint32_t*>(tables.slots), threads);
    });
  });
  module.def("hash_range_search",
             [](uintptr_t queries, int64_t num_queries, int64_t query_stride, const HashTables& tables, int radius,
                int64_t max_results, uintptr_t allowed, double max_work, int threads) {
               const Codes q = codes(queries, num_queries, query_stride, tables.num_bytes);
               auto finds = std::make_unique<RangeFinds>();
               bool done = false;
               call([&] {
                 return range_search(q, tables, radius, max_results, address<const uint8_t>(allowed), max_work, &done,
                                     finds.get(), threads);
               });
               return done ? std::move(finds) : nullptr;
             });
  module.def("hash_range_count",
             [](uintptr_t queries, int64_t num_queries, int64_t query_stride, const HashTables& tables, int radius,
                uintptr_t allowed, double max_work, uintptr_t out_counts, int threads) {
               const Codes q = codes(queries, num_queries, query_stride, tables.num_bytes);
               bool done = false;
               call([&] {
                 return range_count(q, tables, radius, address<const uint8_t>(allowed), max_work, &done,
                                    address<int64_t>(out_counts), threads);
               });
               return done;
             });
  module.def("hash_topk", [](uintptr_t queries, int64_t num_queries, int64_t query_stride, const HashTables& tables,
                             int64_t k, uintptr_t allowed, double max_work, uintptr_t out_distances,
                             uintptr_t out_indices, uintptr_t out_left, int threads) {
    const Codes q = codes(queries, num_queries, query_stride, tables.num_bytes);
    std::vector<uint8_t> done(num_queries);
    call([&] {
      return topk(q, tables, k, address<const uint8_t>(allowed), max_work, address<int32_t>(out_distances),
                  address<int64_t>(out_indices), done.data(), threads);
    });
    int64_t* const left = address<int64_t>(out_left);
    int64_t num_left = 0;
    for (int64_t query = 0; query < num_queries; ++query) {
      if (done[query] == 0) left[num_left++] = query;
    }
    return num_left;
  });
}

}  // namespace hashkernels::bindings
