#include "hashkernels/checksum.h"

#include "bindings.hpp"

namespace hashkernels::bindings {

void register_checksum(pybind11::module_& module) {
  module.def("crc32c_blocks", [](uintptr_t data, int64_t size, int64_t block_size, uintptr_t out, int threads) {
    call(
        [&] { return crc32c_blocks(address<const uint8_t>(data), size, block_size, address<uint32_t>(out), threads); });
  });
}

}  // namespace hashkernels::bindings
