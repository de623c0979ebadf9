#include "hashkernels/triplets.h"

#include <algorithm>

#include "kernels.hpp"
#include "parallel.hpp"

namespace hashkernels {
namespace {

// Below this many pairs of a query and an item, waking a thread costs more than it saves.
constexpr int64_t kSerialPairs = 1 << 14;

template <class T>
TripletKernel<T> triplet_kernel(const Kernels& isa) {
  if constexpr (sizeof(T) == sizeof(float)) {
    return isa.triplets_f32;
  } else {
    return isa.triplets_f64;
  }
}

// Values and slopes of one query, relevant items at the front of each array, the others behind them.
template <class T>
struct Workspace {
  T* values;
  T* slopes;
};

// The weighed loss of query q, and the gradient by its similarities.
template <class T>
double run_query(const Triplets<T>& triplets, int64_t q, TripletKernel<T> kernel, Workspace<T> space, T* grad) {
  const int64_t items = triplets.num_items;
  const T* const row = triplets.similarities + q * items;
  const uint8_t* const relevant = triplets.relevant + q * items;
  const uint8_t* const irrelevant = triplets.irrelevant + q * items;
  const int64_t num_relevant = std::count(relevant, relevant + items, 1);
  int64_t p = 0, n = num_relevant;
  for (int64_t i = 0; i < items; ++i) {
    if (relevant[i]) {
      space.values[p++] = static_cast<T>(triplets.margin) - row[i];
    } else if (irrelevant[i]) {
      space.values[n++] = row[i];
    }
  }
  std::fill(space.slopes + num_relevant, space.slopes + n, T{0});
  const double sum = kernel({space.values, space.values + num_relevant, num_relevant, n - num_relevant, space.slopes,
                             space.slopes + num_relevant});
  const double weight = triplets.weights[q];
  if (grad != nullptr) {
    p = 0, n = num_relevant;
    const T scale = static_cast<T>(weight);
    for (int64_t i = 0; i < items; ++i) {
      grad[q * items + i] = relevant[i] ? -scale * space.slopes[p++] : irrelevant[i] ? scale * space.slopes[n++] : T{0};
    }
  }
  return weight * sum;
}

}  // namespace

template <class T>
Status triplet_likelihood(const Triplets<T>& triplets, double* loss, T* grad, int num_threads) noexcept {
  const int64_t queries = triplets.num_queries, items = triplets.num_items;
  const int64_t threads = queries * items < kSerialPairs ? 1 : std::max(num_threads, 1);
  const int64_t workers = std::max<int64_t>(std::min(threads, queries), 1);
  Buffer<T> space(2 * workers * items);
  Buffer<double> losses(queries);
  if (!space || !losses) return Status::kOutOfMemory;
  const TripletKernel<T> kernel = triplet_kernel<T>(kernels());
  const Status status = parallel_for(queries, static_cast<int>(threads), [&](int64_t q, int worker) {
    T* const own = space.data() + 2 * worker * items;
    losses[q] = run_query(triplets, q, kernel, {own, own + items}, grad);
  });
  *loss = 0;
  for (int64_t q = 0; q < queries; ++q) *loss += losses[q];
  return status;
}

template Status triplet_likelihood(const Triplets<float>&, double*, float*, int) noexcept;
template Status triplet_likelihood(const Triplets<double>&, double*, double*, int) noexcept;

}  // namespace hashkernels
