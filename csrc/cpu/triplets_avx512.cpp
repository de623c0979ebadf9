#include "triplets_impl.hpp"

namespace hashkernels {

double triplets_f32_avx512(const TripletQuery<float>& query) { return triplets_of<Shape<float, 64, 1, 1>>(query); }

double triplets_f64_avx512(const TripletQuery<double>& query) { return triplets_of<Shape<double, 64, 1, 1>>(query); }

}  // namespace hashkernels
