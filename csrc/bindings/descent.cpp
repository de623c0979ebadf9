#include "hashkernels/descent.h"

#include "bindings.hpp"

namespace hashkernels::bindings {

void register_descent(pybind11::module_& module) {
  module.def("discrete_descent", [](uintptr_t pull, uintptr_t gram, bool float64, int64_t num_items, int bits,
                                    int sweeps, uintptr_t codes, int threads) {
    const auto run = [&](const auto* pulls, const auto* grams) {
      call([&] { return discrete_descent(pulls, grams, num_items, bits, sweeps, address<int8_t>(codes), threads); });
    };
    float64 ? run(address<const double>(pull), address<const double>(gram))
            : run(address<const float>(pull), address<const float>(gram));
  });
}

}  // namespace hashkernels::bindings
