#include "hashkernels/distance.h"

#include "bindings.hpp"
#include "hashkernels/cuda.h"

namespace hashkernels::bindings {
namespace {

// Calls kernel(T* out) with the type whose size is `out_size`.
template <class Kernel>
void by_size(int out_size, uintptr_t out, Kernel&& kernel) {
  switch (out_size) {
    case 1:
      return call([&] { return kernel(address<uint8_t>(out)); });
    case 2:
      return call([&] { return kernel(address<int16_t>(out)); });
    case 4:
      return call([&] { return kernel(address<int32_t>(out)); });
    default:
      throw pybind11::value_error("out_size must be 1, 2 or 4");
  }
}

}  // namespace

void register_distance(pybind11::module_& module) {
  module.def("hamming_distance",
             [](uintptr_t queries, int64_t num_queries, int64_t query_stride, uintptr_t database, int64_t num_database,
                int64_t database_stride, int num_bytes, uintptr_t out, int out_size, int threads) {
               const Codes q = codes(queries, num_queries, query_stride, num_bytes);
               const Codes db = codes(database, num_database, database_stride, num_bytes);
               by_size(out_size, out, [&](auto* typed) { return hamming_distance(q, db, typed, threads); });
             });
  module.def("cuda_hamming_distance", [](uintptr_t queries, int64_t num_queries, int64_t query_stride,
                                         uintptr_t database, int64_t num_database, int64_t database_stride,
                                         int num_bytes, uintptr_t out, int out_size, int device, uintptr_t stream) {
    const Codes q = codes(queries, num_queries, query_stride, num_bytes);
    const Codes db = codes(database, num_database, database_stride, num_bytes);
    by_size(out_size, out,
            [&](auto* typed) { return cuda::hamming_distance(q, db, typed, device, address<void>(stream)); });
  });
}

}  // namespace hashkernels::bindings
