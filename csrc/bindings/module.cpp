#include "bindings.hpp"

PYBIND11_MODULE(_native, module) {
  namespace bindings = hashkernels::bindings;
  module.doc() = "Kernels over plain addresses; hashkernels._ops checks every argument before it calls them.";
  bindings::register_system(module);
  bindings::register_checksum(module);
  bindings::register_counting(module);
  bindings::register_codes(module);
  bindings::register_cuda(module);
  bindings::register_descent(module);
  bindings::register_distance(module);
  bindings::register_elements(module);
  bindings::register_pairwise(module);
  bindings::register_index(module);
  bindings::register_rescore(module);
  bindings::register_search(module);
  bindings::register_sums(module);
  bindings::register_surrogate(module);
  bindings::register_hash_tables(module);
  bindings::register_at_once(module);
  bindings::register_triplets(module);
  bindings::register_values(module);
}
