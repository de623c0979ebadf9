// The CUDA kernels. Launchers run on the caller's device and stream, allocate nothing and never synchronise.
#pragma once

#include <cstdint>

#include "hashkernels/codes.h"
#include "hashkernels/counting.h"
#include "hashkernels/pairwise.h"
#include "hashkernels/status.h"
#include "hashkernels/triplets.h"

namespace hashkernels::cuda {

// What the kernels were built for.
struct BuildInfo {
  const char* version;        // "13.0"; null in a build without CUDA
  const char* architectures;  // "80-real,90-real,..."; empty without CUDA
};
BuildInfo build_info() noexcept;

// Usable devices; 0 without a driver, a device or a CUDA build.
int device_count() noexcept;

// The kernel and the CUDA error of this thread's last kDeviceError.
const char* last_device_error() noexcept;

// The kernels below answer as their namesakes of the CPU, bit for bit where numbers are integers or sums of precision,
// from device pointers; `stream` is a cudaStream_t. They can be captured in a CUDA graph. `workspace` is device memory
// of as many int64 as the function named <op>_workspace says for the same sizes; what it holds on entry does not
// matter.

template <class T>
Status hamming_distance(const Codes& queries, const Codes& database, T* out, int device, void* stream) noexcept;

// Values lie at multiples of their size. *has_nan, unless null, is set to 1 when any value is NaN, and else left alone.
Status pack_codes(const Values& values, uint8_t* out, int64_t out_stride, bool little, int32_t* has_nan, int device,
                  void* stream) noexcept;

Status unpack_codes(const Codes& codes, int bits, int8_t* out, int64_t out_stride, bool little, int device,
                    void* stream) noexcept;

Status retrieval_counts(const Codes& queries, const Codes& database, Labels query_labels, Labels database_labels,
                        int64_t* total, int64_t* relevant, int device, void* stream) noexcept;

// `cutoffs` is host memory. kUnsupported from 2^31 codes in the database on, and for cutoffs beyond 2^31.
int64_t index_order_workspace(int64_t num_queries, int64_t num_database, int num_bytes) noexcept;
Status index_order_sums(const Codes& queries, const Codes& database, Labels query_labels, Labels database_labels,
                        const RankStarts& starts, const int64_t* cutoffs, int num_cutoffs, int64_t* sums,
                        int64_t* workspace, int device, void* stream) noexcept;

// kFastest takes binary matrix products where the device has them, kPortable what all devices have; results are the
// same.
enum class TopkMethod { kFastest, kPortable };
bool has_binary_products(int device) noexcept;

int64_t topk_workspace(int64_t num_queries, int64_t num_database, int num_bytes, int64_t k) noexcept;
Status topk(const Codes& queries, const Codes& database, int64_t k, const uint8_t* allowed, TopkMethod method,
            int32_t* distances, int64_t* indices, int64_t* workspace, int device, void* stream) noexcept;

// range_fill uses up what range_count left in the workspace, for the same arguments; between the two
// the caller turns counts into offsets.
int64_t range_workspace(int64_t num_queries, int64_t num_database, int num_bytes, int radius) noexcept;
Status range_count(const Codes& queries, const Codes& database, int radius, const uint8_t* allowed, int64_t* counts,
                   int64_t* workspace, int device, void* stream) noexcept;
Status range_fill(const Codes& queries, const Codes& database, int radius, const uint8_t* allowed,
                  const int64_t* offsets, int32_t* distances, int64_t* indices, int64_t* workspace, int device,
                  void* stream) noexcept;

// The form of fixed size: the max_results nearest codes within `radius` of query q at distances[q * max_results ...],
// ordered by (distance, index) and padded with (INT32_MAX, -1). counts[q] is how many there are in all: a row with
// counts[q] > max_results is not complete.
Status range_nearest(const Codes& queries, const Codes& database, int radius, int64_t max_results,
                     const uint8_t* allowed, int64_t* counts, int32_t* distances, int64_t* indices, int64_t* workspace,
                     int device, void* stream) noexcept;

// Embeddings of kFloat32, kFloat16 or kBFloat16; row r starts at data + r * stride (stride in elements).
struct PairRows {
  const void* data;
  DType dtype;
  int64_t num_rows;
  int64_t stride;
};

// How embeddings are multiplied where both sides are float32; with a half type it is always on tensor cores.
enum class PairPrecision {
  kFloat32,  // as they are
  kSplit,    // on tensor cores, each as the sum of two bfloat16: 16 bits of it, an error of 2^-17
};

struct PairInputs {
  PairRows u, v;  // v.data == null: u against itself
  int64_t bits;
  Labels u_labels, v_labels;
  double quantization;  // the weight of sign_error(u), hashkernels/pairwise.h
  // Of a bank v, or null: the row of v that makes no pair with each row of u, or a number that is no row; and whether
  // each row of v makes any.
  const int64_t* left_out = nullptr;  // [u.num_rows]
  const bool* counted = nullptr;      // [v.num_rows]
};

struct PairOutputs {
  float* total;  // the sum of the terms
  double* sums;  // [5]: positive, negative and quantization term, positive and negative pairs
  float* grad;   // [u.num_rows][bits], or null
};

// The pairwise losses, added up in float32 and double, with the same bits from run to run. On tensor cores the values
// of half types enter exactly, slopes and float32 values as sums of two bfloat16. Distances are those of the values
// that enter, within 2^-18 of |u|^2 + |v|^2, on tensor cores as elsewhere. num_columns is that of v, or of u where the
// batch is taken against itself.
int64_t pairwise_loss_workspace(int64_t num_rows, int64_t num_columns, int64_t bits, bool with_grad) noexcept;
Status margin_loss(const PairInputs& inputs, const MarginLoss& loss, PairPrecision precision, const PairOutputs& out,
                   int64_t* workspace, int device, void* stream) noexcept;
Status likelihood_loss(const PairInputs& inputs, const LikelihoodLoss& loss, PairPrecision precision,
                       const PairOutputs& out, int64_t* workspace, int device, void* stream) noexcept;
Status cauchy_loss(const PairInputs& inputs, const CauchyLoss& loss, PairPrecision precision, const PairOutputs& out,
                   int64_t* workspace, int device, void* stream) noexcept;
int64_t contrastive_loss_workspace(int64_t num_rows, int64_t num_columns, int64_t bits, bool with_grad) noexcept;
Status contrastive_loss(const PairInputs& inputs, const ContrastiveLoss& loss, PairPrecision precision,
                        const PairOutputs& out, int64_t* workspace, int device, void* stream) noexcept;

// hashkernels/triplets.h, with the same bits from run to run. query_losses: [num_queries], what *loss is the sum of.
Status triplet_likelihood(const Triplets<float>& triplets, double* loss, float* grad, double* query_losses, int device,
                          void* stream) noexcept;

}  // namespace hashkernels::cuda
