// Searches from arrays to others in one call: one of few codes, or through tables, is over before a walk through
// tensors has begun.
#include <pybind11/numpy.h>

#include <optional>
#include <vector>

#include "bindings.hpp"
#include "hashkernels/hash_tables.h"
#include "hashkernels/index.h"

namespace hashkernels::bindings {
namespace {

namespace py = pybind11;

// So many results are made at once; more of them are worth room of their own kind.
constexpr int64_t kMostResults = 1 << 18;

// An array as kernels read codes, if it is rows of bytes, at least one.
std::optional<Codes> plain_codes(const py::handle& object) {
  if (!py::isinstance<py::array_t<uint8_t>>(object)) return std::nullopt;
  const auto array = py::reinterpret_borrow<py::array>(object);
  if (array.ndim() != 2) return std::nullopt;
  const int64_t count = array.shape(0), num_bytes = array.shape(1);
  const int64_t stride = count > 1 ? array.strides(0) : num_bytes;
  if (count < 1 || num_bytes < 1 || num_bytes > kMaxBytes || stride < num_bytes) return std::nullopt;
  if (num_bytes > 1 && array.strides(1) != 1) return std::nullopt;
  return Codes{static_cast<const uint8_t*>(array.data()), count, stride, static_cast<int>(num_bytes)};
}

Codes checked_codes(const py::handle& object) {
  const std::optional<Codes> codes = plain_codes(object);
  if (!codes) throw py::value_error("codes must be such as are_plain_codes() takes");
  return *codes;
}

Codes checked_queries(const py::handle& object, int num_bytes) {
  const Codes queries = checked_codes(object);
  if (queries.num_bytes != num_bytes) throw py::value_error("queries must be as wide as the codes");
  return queries;
}

// Whether a search takes these codes as they are, for so many results each: rows of `num_bytes` bytes, at least one,
// none of whose last bytes has a bit of `pad`.
bool are_plain_codes(const py::handle& object, int64_t num_bytes, int pad, int64_t results) {
  const std::optional<Codes> codes = plain_codes(object);
  if (!codes || codes->num_bytes != num_bytes || results > kMostResults / codes->num_codes) return false;
  for (int64_t i = 0; pad != 0 && i < codes->num_codes; ++i) {
    if ((codes->row(i)[num_bytes - 1] & pad) != 0) return false;
  }
  return true;
}

struct Nearest {
  py::array_t<int32_t> distances;
  py::array_t<int64_t> positions;
};

// What search(distances, positions) writes.
template <class Search>
Nearest nearest(const Codes& queries, int64_t num_codes, int64_t k, Search&& search) {
  if (k < 1 || k > num_codes) throw py::value_error("k must be in 1..the number of codes");
  Nearest found{py::array_t<int32_t>({queries.num_codes, k}), py::array_t<int64_t>({queries.num_codes, k})};
  call([&, d = found.distances.mutable_data(), p = found.positions.mutable_data()] { return search(d, p); });
  return found;
}

// Offsets, distances and positions of what search(finds) finds; None where there are no finds.
template <class Search>
py::object within(const Codes& queries, int threads, Search&& search) {
  RangeFinds finds;
  call([&] { return search(&finds); });
  if (finds.state == nullptr) return py::none();
  const int64_t* const ends = finds.offsets();
  py::array_t<int64_t> offsets(queries.num_codes + 1, ends);
  py::array_t<int32_t> distances(ends[queries.num_codes]);
  py::array_t<int64_t> positions(ends[queries.num_codes]);
  call([&, d = distances.mutable_data(), p = positions.mutable_data()] { return finds.write(d, p, threads); });
  return py::make_tuple(std::move(offsets), std::move(distances), std::move(positions));
}

// Codes, which the caller keeps, in the form in which they lie.
template <class Database>
struct Searched {
  Database codes;

  py::tuple topk(const py::handle& queries, int64_t k, int threads) const {
    const Codes q = checked_queries(queries, codes.num_bytes);
    Nearest found = nearest(q, codes.num_codes, k, [&](int32_t* distances, int64_t* positions) {
      return hashkernels::topk(q, codes, k, nullptr, distances, positions, threads);
    });
    return py::make_tuple(std::move(found.distances), std::move(found.positions));
  }

  py::object range_search(const py::handle& queries, int radius, int threads) const {
    const Codes q = checked_queries(queries, codes.num_bytes);
    return within(q, threads, [&](RangeFinds* finds) {
      return hashkernels::range_search(q, codes, radius, 0, nullptr, finds, threads);
    });
  }

  py::tuple range_count(const py::handle& queries, int radius, int threads) const {
    const Codes q = checked_queries(queries, codes.num_bytes);
    py::array_t<int64_t> counts(q.num_codes);
    call(
        [&, out = counts.mutable_data()] { return hashkernels::range_count(q, codes, radius, nullptr, out, threads); });
    return py::make_tuple(std::move(counts));
  }
};

template <class Database>
py::class_<Searched<Database>> register_searched(py::module_& module, const char* name) {
  return py::class_<Searched<Database>>(module, name)
      .def("topk", &Searched<Database>::topk)
      .def("range_search", &Searched<Database>::range_search)
      .def("range_count", &Searched<Database>::range_count);
}

// What a query may take until a scan of all codes would be faster.
double most_work(const HashTables& tables, const Codes& queries, int threads) {
  return most_hash_work(tables.num_bytes, queries.num_codes, tables.num_codes, threads);
}

// Also the queries that were given up.
py::tuple topk_through(const HashTables& tables, const py::handle& queries, int64_t k, int threads) {
  const Codes q = checked_queries(queries, tables.num_bytes);
  std::vector<uint8_t> done(q.num_codes);
  Nearest found = nearest(q, tables.num_codes, k, [&](int32_t* distances, int64_t* positions) {
    return topk(q, tables, k, nullptr, most_work(tables, q, threads), distances, positions, done.data(), threads);
  });
  std::vector<int64_t> left;
  for (int64_t query = 0; query < q.num_codes; ++query) {
    if (done[query] == 0) left.push_back(query);
  }
  return py::make_tuple(std::move(found.distances), std::move(found.positions),
                        py::array_t<int64_t>(static_cast<int64_t>(left.size()), left.data()));
}

py::object range_search_through(const HashTables& tables, const py::handle& queries, int radius, int threads) {
  const Codes q = checked_queries(queries, tables.num_bytes);
  return within(q, threads, [&](RangeFinds* finds) {
    bool done = false;
    return range_search(q, tables, radius, 0, nullptr, most_work(tables, q, threads), &done, finds, threads);
  });
}

py::object range_count_through(const HashTables& tables, const py::handle& queries, int radius, int threads) {
  const Codes q = checked_queries(queries, tables.num_bytes);
  py::array_t<int64_t> counts(q.num_codes);
  bool done = false;
  call([&, out = counts.mutable_data()] {
    return range_count(q, tables, radius, nullptr, most_work(tables, q, threads), &done, out, threads);
  });
  return done ? py::object(py::make_tuple(std::move(counts))) : py::none();
}

}  // namespace

void register_at_once(py::module_& module) {
  module.def("are_plain_codes", are_plain_codes);
  register_searched<Codes>(module, "PlainCodes").def(py::init([](const py::handle& codes) {
    return Searched<Codes>{checked_codes(codes)};
  }));
  register_searched<SlicedCodes>(module, "PlainPlanes")
      .def(py::init([](uintptr_t planes, int64_t count, int num_bytes) {
        return Searched<SlicedCodes>{{address<const uint64_t>(planes), count, num_bytes}};
      }));
  py::reinterpret_borrow<py::class_<HashTables>>(
      module.attr("HashTables"))  // of register_hash_tables, which comes first
      .def("topk", topk_through)
      .def("range_search", range_search_through)
      .def("range_count", range_count_through);
}

}  // namespace hashkernels::bindings
