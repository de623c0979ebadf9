// Shared by the registrars: addresses come in as Python ints, a Status goes out as an exception.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>

#include "hashkernels/codes.h"
#include "hashkernels/status.h"

namespace hashkernels::bindings {

template <class T>
T* address(uintptr_t value) {
  return reinterpret_cast<T*>(value);
}

inline Codes codes(uintptr_t data, int64_t num_codes, int64_t stride, int num_bytes) {
  return {address<const uint8_t>(data), num_codes, stride, num_bytes};
}

// Rows of `bits` values of the type that `dtype_code` names, row_stride values apart.
Values values(uintptr_t data, const std::string& dtype_code, int64_t rows, int64_t bits, int64_t row_stride);

// Runs `kernel` without the GIL and raises what its Status says.
void check(Status status);

template <class Kernel>
void call(Kernel&& kernel) {
  Status status;
  {
    pybind11::gil_scoped_release release;
    status = kernel();
  }
  check(status);
}

// Calls kernel(T* out) with the distance type whose size is `out_size`.
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

void register_at_once(pybind11::module_& module);
void register_checksum(pybind11::module_& module);
void register_counting(pybind11::module_& module);
void register_codes(pybind11::module_& module);
void register_cuda(pybind11::module_& module);
void register_descent(pybind11::module_& module);
void register_hash_tables(pybind11::module_& module);
void register_elements(pybind11::module_& module);
void register_distance(pybind11::module_& module);
void register_pairwise(pybind11::module_& module);
void register_index(pybind11::module_& module);
void register_rescore(pybind11::module_& module);
void register_search(pybind11::module_& module);
void register_sums(pybind11::module_& module);
void register_surrogate(pybind11::module_& module);
void register_system(pybind11::module_& module);
void register_triplets(pybind11::module_& module);
void register_values(pybind11::module_& module);

}  // namespace hashkernels::bindings
