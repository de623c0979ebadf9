// Searches of an index from one array to others in one call: one of few codes, or through tables, is over before a walk
// through tensors has begun.
#include <pybind11/numpy.h>

#include <algorithm>
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

// Queries as kernels read them, if they are rows of `num_bytes` bytes, at least one.
std::optional<Codes> plain_queries(const py::handle& object, int num_bytes) {
  if (!py::isinstance<py::array_t<uint8_t>>(object)) return std::nullopt;
  const auto queries = py::reinterpret_borrow<py::array>(object);
  if (queries.ndim() != 2) return std::nullopt;
  const int64_t count = queries.shape(0), stride = count > 1 ? queries.strides(0) : num_bytes;
  if (count < 1 || queries.shape(1) != num_bytes || stride < num_bytes) return std::nullopt;
  if (num_bytes > 1 && queries.strides(1) != 1) return std::nullopt;
  return Codes{static_cast<const uint8_t*>(queries.data()), count, stride, num_bytes};
}

Codes checked_queries(const py::handle& object, int num_bytes) {
  const std::optional<Codes> queries = plain_queries(object, num_bytes);
  if (!queries) throw py::value_error("queries must be such as are_plain_codes() takes");
  return *queries;
}

// Whether a search takes these queries as they are, for so many results a query: rows of bytes, at least one, none of
// whose last bytes has a bit of `pad`.
bool are_plain_codes(const py::handle& object, int num_bytes, int pad, int64_t results) {
  const std::optional<Codes> queries = plain_queries(object, num_bytes);
  if (!queries || results > kMostResults / queries->num_codes) return false;
  for (int64_t i = 0; pad != 0 && i < queries->num_codes; ++i) {
    if ((queries->row(i)[num_bytes - 1] & pad) != 0) return false;
  }
  return true;
}

class StoredCodes {
 public:
  // The caller keeps what all of this points to.
  StoredCodes(uintptr_t planes, int64_t count, int num_bytes, const HashTables* tables)
      : codes_{address<const uint64_t>(planes), count, num_bytes} {
    if (tables != nullptr) tables_ = *tables;
  }

  // Distances, positions, and how many queries the tables left to a scan.
  py::tuple topk(const py::handle& queries, int64_t k, int threads) const {
    const Codes q = checked_queries(queries, codes_.num_bytes);
    if (k < 1 || k > codes_.num_codes) throw py::value_error("k must be in 1..the number of codes");
    py::array_t<int32_t> distances({q.num_codes, k});
    py::array_t<int64_t> positions({q.num_codes, k});
    int32_t* const d = distances.mutable_data();
    int64_t* const p = positions.mutable_data();
    int64_t num_left = 0;
    call([&] {
      if (!tables_) return hashkernels::topk(q, codes_, k, nullptr, d, p, threads);
      std::vector<uint8_t> done(q.num_codes);
      const Status status =
          hashkernels::topk(q, *tables_, k, nullptr, most_work(q, threads), d, p, done.data(), threads);
      num_left = std::count(done.begin(), done.end(), 0);
      return status != Status::kOk || num_left == 0 ? status : scan_left(q, k, done, num_left, d, p, threads);
    });
    return py::make_tuple(std::move(distances), std::move(positions), num_left);
  }

  // Offsets, distances and positions.
  py::tuple range_search(const py::handle& queries, int radius, int threads) const {
    const Codes q = checked_queries(queries, codes_.num_bytes);
    RangeFinds finds;
    call([&] {
      bool done = false;
      const Status status = tables_ ? hashkernels::range_search(q, *tables_, radius, 0, nullptr, most_work(q, threads),
                                                                &done, &finds, threads)
                                    : Status::kOk;
      if (status != Status::kOk || done) return status;
      return hashkernels::range_search(q, codes_, radius, 0, nullptr, &finds, threads);
    });
    const int64_t* const ends = finds.offsets();
    py::array_t<int64_t> offsets(q.num_codes + 1, ends);
    py::array_t<int32_t> distances(ends[q.num_codes]);
    py::array_t<int64_t> positions(ends[q.num_codes]);
    call([&, d = distances.mutable_data(), p = positions.mutable_data()] { return finds.write(d, p, threads); });
    return py::make_tuple(std::move(offsets), std::move(distances), std::move(positions));
  }

  // Counts, alone in a tuple.
  py::tuple range_count(const py::handle& queries, int radius, int threads) const {
    const Codes q = checked_queries(queries, codes_.num_bytes);
    py::array_t<int64_t> counts(q.num_codes);
    call([&, out = counts.mutable_data()] {
      bool done = false;
      const Status status =
          tables_ ? hashkernels::range_count(q, *tables_, radius, nullptr, most_work(q, threads), &done, out, threads)
                  : Status::kOk;
      if (status != Status::kOk || done) return status;
      return hashkernels::range_count(q, codes_, radius, nullptr, out, threads);
    });
    return py::make_tuple(std::move(counts));
  }

 private:
  double most_work(const Codes& queries, int threads) const {
    return most_hash_work(codes_.num_bytes, queries.num_codes, codes_.num_codes, threads);
  }

  // The queries that are not done, by a scan.
  Status scan_left(const Codes& queries, int64_t k, const std::vector<uint8_t>& done, int64_t num_left,
                   int32_t* distances, int64_t* positions, int threads) const {
    std::vector<uint8_t> rows;
    for (int64_t i = 0; i < queries.num_codes; ++i) {
      if (done[i] == 0) rows.insert(rows.end(), queries.row(i), queries.row(i) + queries.num_bytes);
    }
    std::vector<int32_t> d(num_left * k);
    std::vector<int64_t> p(num_left * k);
    const Codes left{rows.data(), num_left, queries.num_bytes, queries.num_bytes};
    const Status status = hashkernels::topk(left, codes_, k, nullptr, d.data(), p.data(), threads);
    for (int64_t i = 0, from = 0; i < queries.num_codes; ++i) {
      if (done[i] != 0) continue;
      std::copy_n(d.data() + from, k, distances + i * k);
      std::copy_n(p.data() + from, k, positions + i * k);
      from += k;
    }
    return status;
  }

  SlicedCodes codes_;
  std::optional<HashTables> tables_;
};

}  // namespace

void register_stored_codes(py::module_& module) {
  module.def("are_plain_codes", are_plain_codes);
  py::class_<StoredCodes>(module, "StoredCodes")
      .def(py::init<uintptr_t, int64_t, int, const HashTables*>())
      .def("topk", &StoredCodes::topk)
      .def("range_search", &StoredCodes::range_search)
      .def("range_count", &StoredCodes::range_count);
}

}  // namespace hashkernels::bindings
