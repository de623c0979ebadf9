#include "bindings.hpp"
#include "hashkernels/fixed_sums.h"
#include "hashkernels/harmonic.h"
#include "hashkernels/hit_means.h"
#include "hashkernels/running_sums.h"
#include "hashkernels/tie_precision.h"

namespace hashkernels::bindings {
namespace {

HarmonicTable table(uintptr_t reciprocal, uintptr_t ramp, int size) {
  return {address<const double>(reciprocal), address<const double>(ramp), size};
}

// Queries in rows.
TieCounts rows_of_ties(uintptr_t size, uintptr_t positives, int64_t num_queries, int64_t num_ties) {
  return {address<const int64_t>(size), address<const int64_t>(positives), num_queries, num_ties, num_ties, 1};
}

}  // namespace

void register_sums(pybind11::module_& module) {
  const auto without_gil = pybind11::call_guard<pybind11::gil_scoped_release>();
  module.def(
      "harmonic_sums",
      [](uintptr_t start, uintptr_t count, int64_t num_values, uintptr_t table_reciprocal, uintptr_t table_ramp,
         int table_size, uintptr_t out_reciprocal, uintptr_t out_ramp) {
        harmonic_sums(address<const int64_t>(start), address<const int64_t>(count), num_values,
                      table(table_reciprocal, table_ramp, table_size), address<double>(out_reciprocal),
                      address<double>(out_ramp));
      },
      without_gil);
  module.def(
      "log2",
      [](uintptr_t values, int64_t num_values, uintptr_t out) {
        log2_values(address<const double>(values), num_values, address<double>(out));
      },
      without_gil);
  module.def(
      "hit_means",
      [](uintptr_t numbers, int64_t count, uintptr_t out) {
        const double* const of = address<const double>(numbers);
        hit_means({of, of + count, of + 2 * count, of + 3 * count, of + 4 * count, of + 5 * count, of + 6 * count,
                   of + 7 * count, count},
                  address<double>(out));
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
  module.def("share_sums", [](uintptr_t size, uintptr_t positives, int64_t num_queries, int64_t num_ties,
                              bool unanswerable, uintptr_t high, uintptr_t low, int threads) {
    call([&] {
      return share_sums(rows_of_ties(size, positives, num_queries, num_ties), unanswerable, address<int64_t>(high),
                        address<int64_t>(low), threads);
    });
  });
  module.def("tie_precision_sums", [](uintptr_t size, uintptr_t positives, int64_t num_ties, int64_t num_queries,
                                      uintptr_t table_reciprocal, uintptr_t table_ramp, int table_size,
                                      uintptr_t out_mean, uintptr_t out_least, uintptr_t out_greatest, int threads) {
    call([&] {
      return tie_precision_sums(
          {address<const int64_t>(size), address<const int64_t>(positives), num_queries, num_ties, 1, num_queries},
          table(table_reciprocal, table_ramp, table_size), address<double>(out_mean), address<double>(out_least),
          address<double>(out_greatest), threads);
    });
  });
  module.def("cut_precision_sums", [](uintptr_t size, uintptr_t positives, int64_t num_queries, int64_t num_ties,
                                      uintptr_t cutoffs, int64_t num_cutoffs, uintptr_t table_reciprocal,
                                      uintptr_t table_ramp, int table_size, uintptr_t out_relevant, uintptr_t out_cuts,
                                      uintptr_t out_sums, int threads) {
    call([&] {
      return cut_precision_sums(rows_of_ties(size, positives, num_queries, num_ties), address<const int64_t>(cutoffs),
                                num_cutoffs, table(table_reciprocal, table_ramp, table_size),
                                address<int64_t>(out_relevant), address<int64_t>(out_cuts), address<double>(out_sums),
                                threads);
    });
  });
}

}  // namespace hashkernels::bindings
