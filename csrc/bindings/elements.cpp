#include "hashkernels/elements.h"

#include <pybind11/stl.h>

#include <vector>

#include "bindings.hpp"

namespace hashkernels::bindings {

void register_elements(pybind11::module_& module) {
  module.def("element_loss",
             [](bool float64, uintptr_t u, uintptr_t targets, int64_t count, const std::vector<int>& functions,
                const std::vector<double>& parameters, const std::vector<double>& weights, uintptr_t terms,
                uintptr_t total, uintptr_t grad, int threads) {
               std::vector<ElementTerm> wanted;
               for (size_t i = 0; i < functions.size(); ++i) {
                 if (functions[i] < 0 || functions[i] >= kElementFunctions)
                   throw pybind11::value_error("no such function");
                 wanted.push_back({static_cast<ElementFunction>(functions[i]), parameters.at(i), weights.at(i)});
               }
               const auto run = [&](auto zero) {
                 using T = decltype(zero);
                 std::vector<double> sums(wanted.size());
                 call([&] {
                   return element_loss(address<const T>(u), address<const int8_t>(targets), count, wanted.data(),
                                       static_cast<int>(wanted.size()), sums.data(), address<T>(grad), threads);
                 });
                 double sum = 0;
                 for (size_t i = 0; i < wanted.size(); ++i) {
                   sum += sums[i];
                   address<T>(terms)[i] = static_cast<T>(sums[i]);
                 }
                 *address<T>(total) = static_cast<T>(sum);
               };
               float64 ? run(double{}) : run(float{});
             });
}

}  // namespace hashkernels::bindings
