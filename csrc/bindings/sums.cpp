#include "bindings.hpp"
#include "hashkernels/fixed_sums.h"
#include "hashkernels/harmonic.h"
#include "hashkernels/running_sums.h"
#include "hashkernels/tie_precision.h"

namespace hashkernels::bindings {

void register_sums(pybind11::module_& module) {
  const auto without_gil = pybind11::call_guard<pybind11::gil_scoped_release>();
  module.def(
      "harmonic_sums",
      [](uintptr_t start, uintptr_t count, int64_t num_values, uintptr_t table_reciprocal, uintptr_t table_ramp,
         int table_size, uintptr_t out_reciprocal, uintptr_t out_ramp) {
        harmonic_sums(address<const int64_t>(start), address<const int64_t>(count), num_values,
                      {address<const double>(table_reciprocal), address<const double>(table_ramp), table_size},
                      address<double>(out_reciprocal), address<double>(out_ramp));
      },
      without_gil);
  module.def(
      "log2",
      [](uintptr_t values, int64_t num_values, uintptr_t out) {
        log2_values(address<const double>(values), num_values, address<double>(out));
      },
      without_gil);
  module.def(
      "running_sums",
      [](uintptr_t values, int64_t rows, int64_t columns, uintptr_t out) {
        running_sums(address<const int64_t>(values), rows, columns, address<int64_t>(out));
      },
      without_gil);
  module.def(
      "fixed_sums",
      [](uintptr_t values, int64_t rows, int64_t columns, uintptr_t high, uintptr_t low) {
        fixed_sums(address<const double>(values), rows, columns, address<int64_t>(high), address<int64_t>(low));
      },
      without_gil);
  module.def(
      "tie_precision_sums",
      [](uintptr_t size, uintptr_t positives, int64_t rows, int64_t columns, uintptr_t table_reciprocal,
         uintptr_t table_ramp, int table_size, uintptr_t out_mean, uintptr_t out_least, uintptr_t out_greatest) {
        tie_precision_sums(address<const int64_t>(size), address<const int64_t>(positives), rows, columns,
                           {address<const double>(table_reciprocal), address<const double>(table_ramp), table_size},
                           {address<double>(out_mean), address<double>(out_least), address<double>(out_greatest)});
      },
      without_gil);
}

}  // namespace hashkernels::bindings
