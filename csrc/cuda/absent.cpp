// Stands in for the CUDA kernels in a build without nvcc.
#include "hashkernels/cuda.h"

namespace hashkernels::cuda {

BuildInfo build_info() noexcept { return {nullptr, ""}; }
int device_count() noexcept { return 0; }
const char* last_device_error() noexcept { return "this build has no CUDA kernels"; }

template <class T>
Status hamming_distance(const Codes&, const Codes&, T*, int, void*) noexcept {
  return Status::kUnsupported;
}
template Status hamming_distance<uint8_t>(const Codes&, const Codes&, uint8_t*, int, void*) noexcept;
template Status hamming_distance<int16_t>(const Codes&, const Codes&, int16_t*, int, void*) noexcept;
template Status hamming_distance<int32_t>(const Codes&, const Codes&, int32_t*, int, void*) noexcept;

Status pack_codes(const Values&, uint8_t*, int64_t, bool, int32_t*, int, void*) noexcept {
  return Status::kUnsupported;
}
Status unpack_codes(const Codes&, int, int8_t*, int64_t, bool, int, void*) noexcept { return Status::kUnsupported; }

Status retrieval_counts(const Codes&, const Codes&, Labels, Labels, int64_t*, int64_t*, int, void*) noexcept {
  return Status::kUnsupported;
}

int64_t index_order_workspace(int64_t, int64_t, int) noexcept { return 0; }
Status index_order_sums(const Codes&, const Codes&, Labels, Labels, const RankStarts&, const int64_t*, int, int64_t*,
                        int64_t*, int, void*) noexcept {
  return Status::kUnsupported;
}

bool has_binary_products(int) noexcept { return false; }
int64_t topk_workspace(int64_t, int64_t, int, int64_t) noexcept { return 0; }
Status topk(const Codes&, const Codes&, int64_t, const uint8_t*, TopkMethod, int32_t*, int64_t*, int64_t*, int,
            void*) noexcept {
  return Status::kUnsupported;
}

int64_t range_workspace(int64_t, int64_t, int, int) noexcept { return 0; }
Status range_count(const Codes&, const Codes&, int, const uint8_t*, int64_t*, int64_t*, int, void*) noexcept {
  return Status::kUnsupported;
}
Status range_fill(const Codes&, const Codes&, int, const uint8_t*, const int64_t*, int32_t*, int64_t*, int64_t*, int,
                  void*) noexcept {
  return Status::kUnsupported;
}
Status range_nearest(const Codes&, const Codes&, int, int64_t, const uint8_t*, int64_t*, int32_t*, int64_t*, int64_t*,
                     int, void*) noexcept {
  return Status::kUnsupported;
}

int64_t pairwise_loss_workspace(int64_t, int64_t, int64_t, bool) noexcept { return 0; }
Status margin_loss(const PairInputs&, const MarginLoss&, PairPrecision, const PairOutputs&, int64_t*, int,
                   void*) noexcept {
  return Status::kUnsupported;
}
Status likelihood_loss(const PairInputs&, const LikelihoodLoss&, PairPrecision, const PairOutputs&, int64_t*, int,
                       void*) noexcept {
  return Status::kUnsupported;
}
Status cauchy_loss(const PairInputs&, const CauchyLoss&, PairPrecision, const PairOutputs&, int64_t*, int,
                   void*) noexcept {
  return Status::kUnsupported;
}
int64_t contrastive_loss_workspace(int64_t, int64_t, int64_t, bool) noexcept { return 0; }
Status contrastive_loss(const PairInputs&, const ContrastiveLoss&, PairPrecision, const PairOutputs&, int64_t*, int,
                        void*) noexcept {
  return Status::kUnsupported;
}

Status triplet_likelihood(const Triplets<float>&, double*, float*, double*, int, void*) noexcept {
  return Status::kUnsupported;
}

}  // namespace hashkernels::cuda
