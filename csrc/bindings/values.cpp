#include "hashkernels/values.h"

#include "bindings.hpp"

namespace hashkernels::bindings {

namespace {

// Few values are looked at in less time than it takes to release the GIL.
template <class Look>
auto look(int64_t count, Look&& at_all) {
  constexpr int64_t kFew = 1 << 16;
  if (count <= kFew) return at_all();
  pybind11::gil_scoped_release release;
  return at_all();
}

}  // namespace

void register_values(pybind11::module_& module) {
  module.def("all_finite", [](uintptr_t values, bool float64, int64_t count) {
    return look(count, [&] {
      return float64 ? all_finite(address<const double>(values), count)
                     : all_finite(address<const float>(values), count);
    });
  });
  module.def("scale", [](uintptr_t values, bool float64, double factor, int64_t count, uintptr_t out) {
    look(count, [&] {
      if (float64) {
        scale(address<const double>(values), factor, count, address<double>(out));
      } else {
        scale(address<const float>(values), static_cast<float>(factor), count, address<float>(out));
      }
    });
  });
  module.def("least_and_greatest", [](uintptr_t values, int64_t count) {
    const auto [least, greatest] =
        look(count, [&] { return least_and_greatest(address<const int64_t>(values), count); });
    return pybind11::make_tuple(least, greatest);
  });
}

}  // namespace hashkernels::bindings
