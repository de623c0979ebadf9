// Shared by the registrars: addresses come in as Python ints, a Status goes out as an exception.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>

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

void register_counting(pybind11::module_& module);
void register_codes(pybind11::module_& module);
void register_distance(pybind11::module_& module);
void register_pairwise(pybind11::module_& module);
void register_index(pybind11::module_& module);
void register_search(pybind11::module_& module);
void register_system(pybind11::module_& module);

}  // namespace hashkernels::bindings
