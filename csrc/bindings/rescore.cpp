#include "hashkernels/rescore.h"

#include "bindings.hpp"

namespace hashkernels::bindings {

void register_rescore(pybind11::module_& module) {
  module.def("score_codes", [](uintptr_t queries, int64_t num_queries, int64_t query_stride, int bits, uintptr_t codes,
                               int64_t num_candidates, bool little, uintptr_t scores, int threads) {
    const FloatQueries q{address<const float>(queries), num_queries, query_stride, bits};
    call([&] {
      return score_codes(q, address<const uint8_t>(codes), num_candidates, little, address<float>(scores), threads);
    });
  });
  module.def("score_vectors", [](uintptr_t queries, int64_t num_queries, int64_t query_stride, int num_values,
                                 uintptr_t vectors, bool int8, int64_t row_stride, uintptr_t positions,
                                 int64_t num_candidates, uintptr_t scores, int threads) {
    const FloatQueries q{address<const float>(queries), num_queries, query_stride, num_values};
    const auto run = [&](const auto* rows) {
      call([&] {
        return score_vectors(q, rows, row_stride, address<const int64_t>(positions), num_candidates,
                             address<float>(scores), threads);
      });
    };
    int8 ? run(address<const int8_t>(vectors)) : run(address<const float>(vectors));
  });
}

}  // namespace hashkernels::bindings
