#include "hashkernels/surrogate.h"

#include "bindings.hpp"

namespace hashkernels::bindings {
namespace {

template <class T>
HiddenLayer<T> layer(uintptr_t x, int64_t block_stride, int64_t item_stride, uintptr_t weight, int64_t num_blocks,
                     int64_t num_items, int64_t hidden, int size) {
  return {address<const T>(x), block_stride, item_stride, address<const T>(weight),
          num_blocks,          num_items,    hidden,      size};
}

}  // namespace

void register_surrogate(pybind11::module_& module) {
  module.def("hidden_units", [](bool float64, uintptr_t x, int64_t block_stride, int64_t item_stride, uintptr_t weight,
                                int64_t num_blocks, int64_t num_items, int64_t hidden, int size, uintptr_t bias,
                                uintptr_t kept, double scale, uintptr_t units, uintptr_t slope, int threads) {
    const auto run = [&](auto zero) {
      using T = decltype(zero);
      call([&] {
        return hidden_units(layer<T>(x, block_stride, item_stride, weight, num_blocks, num_items, hidden, size),
                            address<const T>(bias), address<const uint64_t>(kept), static_cast<T>(scale),
                            address<T>(units), address<T>(slope), threads);
      });
    };
    float64 ? run(double{}) : run(float{});
  });

  module.def("pattern_errors",
             [](bool float64, uintptr_t patterns, int64_t num_blocks, int64_t num_items, int64_t num_patterns,
                uintptr_t logits, uintptr_t weights, uintptr_t errors, uintptr_t nll, int threads) {
               const Patterns chosen{address<const int64_t>(patterns), num_blocks, num_items, num_patterns};
               const auto run = [&](auto zero) {
                 using T = decltype(zero);
                 call([&] {
                   return pattern_errors(chosen, address<const T>(logits), address<const T>(weights),
                                         address<T>(errors), address<double>(nll), threads);
                 });
               };
               float64 ? run(double{}) : run(float{});
             });

  module.def(
      "hidden_gradients", [](bool float64, uintptr_t x, int64_t block_stride, int64_t item_stride, uintptr_t weight,
                             int64_t num_blocks, int64_t num_items, int64_t hidden, int size, uintptr_t patterns,
                             int64_t num_patterns, uintptr_t product, uintptr_t slope, uintptr_t weight_out,
                             uintptr_t grad_x, uintptr_t grad_weight, uintptr_t grad_bias, int threads) {
        const Patterns chosen{address<const int64_t>(patterns), num_blocks, num_items, num_patterns};
        const auto run = [&](auto zero) {
          using T = decltype(zero);
          const HiddenGradients<T> gradients{address<const T>(product),    address<const T>(slope),
                                             address<const T>(weight_out), address<T>(grad_x),
                                             address<T>(grad_weight),      address<T>(grad_bias)};
          call([&] {
            return hidden_gradients(layer<T>(x, block_stride, item_stride, weight, num_blocks, num_items, hidden, size),
                                    chosen, gradients, threads);
          });
        };
        float64 ? run(double{}) : run(float{});
      });
}

}  // namespace hashkernels::bindings
