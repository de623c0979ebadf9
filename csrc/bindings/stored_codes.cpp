// Searches of an index from one array to others in one call: one of few codes, or through tables, is over before a walk
// through tensors has begun.
#include <pybind11/numpy.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "bindings.hpp"
#include "hashkernels/hash_tables.h"
#include "hashkernels/index.h"

namespace hashkernels::bindings {
namespace {

namespace py = pybind11;

// Results from here on lie on huge pages that callers of other functions ask for.
constexpr int64_t kMostResults = 1 << 18;

// Queries as kernels read them, if they are rows of `num_bytes` bytes, at least one, none of whose last bytes has a bit
// of `pad`.
std::optional<Codes> plain_queries(const py::array& queries, int num_bytes, int pad) {
  if (queries.dtype().num() != py::detail::npy_api::NPY_UBYTE_ || queries.ndim() != 2) return std::nullopt;
  const int64_t count = queries.shape(0), stride = count > 1 ? queries.strides(0) : num_bytes;
  if (count < 1 || queries.shape(1) != num_bytes || stride < num_bytes) return std::nullopt;
  if (num_bytes > 1 && queries.strides(1) != 1) return std::nullopt;
  const auto* rows = static_cast<const uint8_t*>(queries.data());
  for (int64_t i = 0; pad != 0 && i < count; ++i) {
    if ((rows[i * stride + num_bytes - 1] & pad) != 0) return std::nullopt;
  }
  return Codes{rows, count, stride, num_bytes};
}

class StoredCodes {
 public:
  // The caller keeps what all of this points to.
  StoredCodes(uintptr_t planes, int64_t count, int num_bytes, const HashTables* tables)
      : codes_{address<const uint64_t>(planes), count, num_bytes} {
    if (tables != nullptr) tables_ = *tables;
  }

  // Distances, positions, and how many queries the tables left to a scan.
  py::object topk(const py::array& queries, int64_t k, int pad, int threads, bool use_tables) const {
    const std::optional<Codes> q = plain_queries(queries, codes_.num_bytes, pad);
    if (!q || k < 1 || k > codes_.num_codes || q->num_codes * k > kMostResults) return py::none();
    py::array_t<int32_t> distances({q->num_codes, k});
    py::array_t<int64_t> positions({q->num_codes, k});
    int32_t* const d = distances.mutable_data();
    int64_t* const p = positions.mutable_data();
    int64_t num_left = 0;
    call([&] {
      if (!use_tables || !tables_) return hashkernels::topk(*q, codes_, k, nullptr, d, p, threads);
      std::vector<uint8_t> done(q->num_codes);
      const Status status =
          hashkernels::topk(*q, *tables_, k, nullptr, most_work(*q, threads), d, p, done.data(), threads);
      num_left = std::count(done.begin(), done.end(), 0);
      return status != Status::kOk || num_left == 0 ? status : scan_left(*q, k, done, num_left, d, p, threads);
    });
    return py::make_tuple(std::move(distances), std::move(positions), num_left);
  }

  // Offsets, distances and positions.
  py::object range_search(const py::array& queries, int radius, int pad, int threads, bool use_tables) const {
    const std::optional<Codes> q = plain_queries(queries, codes_.num_bytes, pad);
    if (!q || radius < 0 || q->num_codes > kMostResults) return py::none();
    RangeFinds finds;
    call([&] {
      bool done = false;
      const Status status = use_tables && tables_
                                ? hashkernels::range_search(*q, *tables_, radius, 0, nullptr, most_work(*q, threads),
                                                            &done, &finds, threads)
                                : Status::kOk;
      return status != Status::kOk || done ? status
                                           : hashkernels::range_search(*q, codes_, radius, 0, nullptr, &finds, threads);
    });
    const int64_t* const ends = finds.offsets();
    py::array_t<int64_t> offsets(q->num_codes + 1, ends);
    const int64_t total = ends[q->num_codes];
    py::array_t<int32_t> distances(total);
    py::array_t<int64_t> positions(total);
    call([&, d = distances.mutable_data(), p = positions.mutable_data()] { return finds.write(d, p, threads); });
    return py::make_tuple(std::move(offsets), std::move(distances), std::move(positions));
  }

  // Counts, alone in a tuple.
  py::object range_count(const py::array& queries, int radius, int pad, int threads, bool use_tables) const {
    const std::optional<Codes> q = plain_queries(queries, codes_.num_bytes, pad);
    if (!q || radius < 0) return py::none();
    py::array_t<int64_t> counts(q->num_codes);
    call([&, out = counts.mutable_data()] {
      bool done = false;
      const Status status =
          use_tables && tables_
              ? hashkernels::range_count(*q, *tables_, radius, nullptr, most_work(*q, threads), &done, out, threads)
              : Status::kOk;
      return status != Status::kOk || done ? status
                                           : hashkernels::range_count(*q, codes_, radius, nullptr, out, threads);
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
  py::class_<StoredCodes>(module, "StoredCodes")
      .def(py::init<uintptr_t, int64_t, int, const HashTables*>())
      .def("topk", &StoredCodes::topk)
      .def("range_search", &StoredCodes::range_search)
      .def("range_count", &StoredCodes::range_count);
}

}  // namespace hashkernels::bindings
