#include "triplets_impl.hpp"

namespace hashkernels {

double triplets_f32_scalar(const TripletQuery<float>& query) { return triplets_of<Shape<float, 16, 1, 1>>(query); }

double triplets_f64_scalar(const TripletQuery<double>& query) { return triplets_of<Shape<double, 16, 1, 1>>(query); }

}  // namespace hashkernels
