#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "bindings.hpp"
#include "hashkernels/cuda.h"
#include "hashkernels/isa.h"
#include "hashkernels/threads.h"

namespace py = pybind11;

namespace hashkernels::bindings {
namespace {

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (size_t i = 0; i < kNumIsas; ++i) {
    if (isa_available(static_cast<Isa>(i))) names.emplace_back(isa_name(static_cast<Isa>(i)));
  }
  return names;
}

void set_isa(const std::string& name) {
  std::string choices;
  for (size_t i = 0; i < kNumIsas; ++i) {
    const Isa isa = static_cast<Isa>(i);
    if (!isa_available(isa)) continue;
    if (name == isa_name(isa)) {
      select_isa(isa);
      return;
    }
    choices += (choices.empty() ? "" : ", ") + std::string(isa_name(isa));
  }
  throw py::value_error("name must be one of " + choices + " on this machine, got '" + name + "'");
}

// Ctrl-C during a long kernel: asks Python, which may have a signal waiting. Only the main thread ever does.
bool interrupted() {
  py::gil_scoped_acquire acquire;
  return PyErr_CheckSignals() != 0;
}

py::dict build_info() {
  const cuda::BuildInfo info = cuda::build_info();
  py::list architectures;
  for (const char* p = info.architectures; *p != '\0';) {
    const std::string rest(p);
    const size_t end = rest.find(',');
    architectures.append(rest.substr(0, end));
    p += end == std::string::npos ? rest.size() : end + 1;
  }
  py::dict result;
  result["compiler"] = HASHKERNELS_COMPILER;
  result["cuda"] = info.version != nullptr;
  result["cuda_version"] = info.version == nullptr ? py::object(py::none()) : py::object(py::str(info.version));
  result["cuda_architectures"] = architectures;
  return result;
}

}  // namespace

void check(Status status) {
  switch (status) {
    case Status::kOk:
      return;
    case Status::kOutOfMemory:
      throw std::bad_alloc();
    case Status::kInterrupted:
      throw py::error_already_set();
    case Status::kUnsupported:
      throw std::runtime_error("hashkernels was built without this kernel");
    case Status::kDeviceError:
      throw std::runtime_error(cuda::last_device_error());
  }
}

void register_system(py::module_& module) {
  module.def("isa", [] { return isa_name(active_isa()); });
  module.def("available_isas", available_isas);
  module.def("set_isa", set_isa);
  module.def("build_info", build_info);
  module.def("cuda_device_count", cuda::device_count);
  set_interrupt_check(interrupted);
}

}  // namespace hashkernels::bindings
