#include "hashkernels/triplets.h"

#include "bindings.hpp"

namespace hashkernels::bindings {

void register_triplets(pybind11::module_& module) {
  module.def("triplet_likelihood",
             [](uintptr_t similarities, bool float64, uintptr_t relevant, uintptr_t irrelevant, uintptr_t weights,
                int64_t num_queries, int64_t num_items, double margin, uintptr_t loss, uintptr_t grad, int threads) {
               const auto run = [&](auto zero) {
                 using T = decltype(zero);
                 const Triplets<T> triplets{address<const T>(similarities),
                                            address<const uint8_t>(relevant),
                                            address<const uint8_t>(irrelevant),
                                            address<const double>(weights),
                                            num_queries,
                                            num_items,
                                            margin};
                 call([&] { return triplet_likelihood(triplets, address<double>(loss), address<T>(grad), threads); });
               };
               float64 ? run(double{}) : run(float{});
             });
}

}  // namespace hashkernels::bindings
