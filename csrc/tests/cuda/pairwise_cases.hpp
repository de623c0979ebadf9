// Pairwise losses on emulated kernels against the CPU's in float64.
#pragma once

#include <array>
#include <cmath>
#include <limits>
#include <memory>

#include "emulated.hpp"
#include "hashkernels/pairwise.h"
#include "matrix.hpp"

namespace hashkernels::testing {

using cuda::PairInputs;
using cuda::PairOutputs;
using cuda::PairPrecision;
using cuda::PairRows;

// How embeddings are given and multiplied.
struct Way {
  DType dtype = DType::kFloat32;
  PairPrecision precision = PairPrecision::kFloat32;
};
constexpr Way kSplit{DType::kFloat32, PairPrecision::kSplit};
constexpr Way kFloat16{DType::kFloat16}, kBFloat16{DType::kBFloat16};

// Embeddings of about unit variance, rows `gap` values apart, and nothing after the last.
class DeviceItems {
 public:
  DeviceItems(int64_t count, int64_t bits, int64_t gap, DType dtype, unsigned seed, size_t alignment)
      : dtype_(dtype),
        count_(count),
        stride_(bits + gap),
        size_(count == 0 ? 0 : (count - 1) * stride_ + bits),
        memory_(size_ * value_size(), std::max(alignment, value_size())) {
    std::mt19937_64 random(seed);
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < size_; ++i) {
      set(i, i % stride_ < bits ? normal(random) : std::numeric_limits<float>::quiet_NaN());
    }
  }

  void set(int64_t i, float value) {
    unsigned char* const at = memory_.data() + i * value_size();
    if (dtype_ == DType::kFloat32) {
      std::memcpy(at, &value, 4);
    } else if (dtype_ == DType::kBFloat16) {
      const uint16_t half = emulator::float_to_bfloat16(value);
      std::memcpy(at, &half, 2);
    } else {
      const _Float16 half = static_cast<_Float16>(value);
      std::memcpy(at, &half, 2);
    }
  }

  // The values, as they were rounded.
  std::vector<double> host() {
    std::vector<double> values(size_);
    for (int64_t i = 0; i < size_; ++i) {
      const unsigned char* const at = memory_.data() + i * value_size();
      uint16_t half;
      float value;
      std::memcpy(&half, at, 2);
      if (dtype_ == DType::kFloat32) std::memcpy(&value, at, 4);
      values[i] = dtype_ == DType::kFloat32   ? value
                  : dtype_ == DType::kFloat16 ? emulator::float16_to_float(half)
                                              : emulator::bfloat16_to_float(half);
    }
    return values;
  }

  PairRows view() { return {memory_.data(), dtype_, count_, stride_}; }

 private:
  size_t value_size() const { return dtype_ == DType::kFloat32 ? 4 : 2; }

  DType dtype_;
  int64_t count_, stride_, size_;
  emulator::GuardedMemory memory_;
};

struct Answer {
  float total;
  std::vector<double> terms, num_pairs;
  std::vector<float> grad;
  bool operator==(const Answer&) const = default;
};

// The losses, by the type of their parameters.
template <class Loss, class... Arguments>
Status on_device(const PairInputs& inputs, const Loss& loss, Arguments... rest) {
  if constexpr (std::is_same_v<Loss, MarginLoss>) {
    return cuda::margin_loss(inputs, loss, rest...);
  } else if constexpr (std::is_same_v<Loss, LikelihoodLoss>) {
    return cuda::likelihood_loss(inputs, loss, rest...);
  } else if constexpr (std::is_same_v<Loss, ContrastiveLoss>) {
    return cuda::contrastive_loss(inputs, loss, rest...);
  } else {
    return cuda::cauchy_loss(inputs, loss, rest...);
  }
}

template <class Loss, class... Arguments>
Status on_cpu(const Loss& loss, const Embeddings<double>& u, const Embeddings<double>& v, int64_t bits, Labels u_labels,
              Labels v_labels, Arguments... rest) {
  if constexpr (std::is_same_v<Loss, MarginLoss>) {
    return margin_loss<double>(u, v, bits, u_labels, v_labels, loss, rest...);
  } else if constexpr (std::is_same_v<Loss, LikelihoodLoss>) {
    return likelihood_loss<double>(u, v, bits, u_labels, v_labels, loss, rest...);
  } else if constexpr (std::is_same_v<Loss, ContrastiveLoss>) {
    return contrastive_loss<double>(u, v, bits, u_labels, v_labels, loss, rest...);
  } else {
    return cauchy_loss<double>(u, v, bits, u_labels, v_labels, loss, rest...);
  }
}

inline MarginLoss margins(int64_t bits) { return {0.8 * bits, -0.3 * bits, 1.0 / bits, 0.5 / bits}; }
inline ContrastiveLoss contrastive(int64_t bits) { return {2.0 * bits, 1.0, 0.7, PairMean::kWeighted}; }

template <class Loss>
class PairCase {
 public:
  // num_columns < 0: the batch against itself.
  PairCase(int64_t num_rows, int64_t num_columns, int64_t bits, int label_words, const Loss& loss, int64_t gap = 0,
           Way way = {}, size_t alignment = 4)
      : rows_(num_rows),
        columns_(num_columns),
        bits_(bits),
        stride_(bits + gap),
        way_(way),
        u_(num_rows, bits, gap, way.dtype, 1, alignment),
        v_(std::max<int64_t>(num_columns, 0), bits, gap, way.dtype, 2, alignment),
        u_labels_(num_rows, label_words, 3),
        v_labels_(std::max<int64_t>(num_columns, 0), label_words, 4),
        loss_(loss) {}

  DeviceItems& u() { return u_; }

  PairCase& with_sign_error(double weight) {
    quantization_ = weight;
    return *this;
  }

  // Of a bank: every row leaves out a column, or names none.
  PairCase& leaving_out(unsigned seed) {
    std::mt19937_64 random(seed);
    left_out_.resize(rows_);
    for (int64_t& column : left_out_) column = static_cast<int64_t>(random() % (columns_ + 4)) - 2;
    return *this;
  }

  // Of a bank: about every `nth` column counts.
  PairCase& counting(int nth, unsigned seed) {
    std::mt19937_64 random(seed);
    counted_.resize(columns_);
    for (unsigned char& counts : counted_) counts = random() % nth == 0;
    return *this;
  }

  Answer run(bool with_grad = true) {
    emulator::DeviceArray<float> grad(with_grad ? rows_ * bits_ : 0);
    emulator::DeviceArray<float> total(1);
    emulator::DeviceArray<double> sums(5);
    const auto workspace_size =
        std::is_same_v<Loss, ContrastiveLoss> ? cuda::contrastive_loss_workspace : cuda::pairwise_loss_workspace;
    emulator::DeviceArray<int64_t> workspace(workspace_size(rows_, other(), bits_, with_grad));
    const PairRows bank = columns_ < 0 ? PairRows{nullptr, way_.dtype, 0, 0} : v_.view();
    emulator::DeviceArray<int64_t> left_out(left_out_);
    emulator::DeviceArray<unsigned char> counted(counted_);
    const PairInputs inputs{u_.view(),
                            bank,
                            bits_,
                            u_labels_.device(),
                            v_labels_.device(),
                            quantization_,
                            left_out_.empty() ? nullptr : left_out.data(),
                            counted_.empty() ? nullptr : reinterpret_cast<const bool*>(counted.data())};
    const PairOutputs out{total.data(), sums.data(), with_grad ? grad.data() : nullptr};
    EXPECT_EQ(on_device(inputs, loss_, way_.precision, out, workspace.data(), 0, nullptr), Status::kOk);
    const std::vector<double> all = sums.host();
    return {total.host()[0], {all.begin(), all.begin() + 3}, {all.begin() + 3, all.end()}, grad.host()};
  }

  // A number that is split loses 2^-17: on tensor cores the slopes always are, float32 embeddings too.
  void expect_close_to_cpu(const Answer& answer) {
    const bool split = way_.precision == PairPrecision::kSplit || way_.dtype != DType::kFloat32;
    const double tolerance = split ? 0x1p-15 : 1e-5;
    const CpuAnswer cpu = on_cpu_in_float64();
    double largest = 0;
    for (double value : cpu.grad) largest = std::max(largest, std::abs(value));
    // The contrastive loss is a difference of margin and distance.
    const double least = std::is_same_v<Loss, ContrastiveLoss> ? static_cast<double>(bits_) : 0;
    const auto error = [&](double term) { return tolerance * std::max(term, least); };
    expect_near(answer, cpu, {error(cpu.terms[0]), error(cpu.terms[1]), 1e-12 * cpu.terms[2]}, tolerance * largest);
  }

  void expect_near_cpu(const Answer& answer, double term_error, double grad_error) {
    expect_near(answer, on_cpu_in_float64(), {term_error, term_error, 0}, grad_error);
  }

  // Close to the CPU, and the same bits under every schedule.
  void expect_right(uint64_t schedules = kSchedules) {
    SCOPED_TRACE(::testing::Message() << rows_ << " x " << columns_ << " items, " << bits_ << " bits");
    std::unique_ptr<Answer> first;
    for_each_schedule(
        [&] {
          const Answer answer = run();
          if (first == nullptr) {
            expect_close_to_cpu(answer);
            first = std::make_unique<Answer>(answer);
          }
          ASSERT_EQ(answer, *first);
        },
        schedules);
  }

 private:
  struct CpuAnswer {
    std::vector<double> terms, num_pairs, grad;
  };

  // The columns that count, their labels, and where those that rows leave out are among them.
  struct Bank {
    std::vector<double> values;
    std::vector<int64_t> labels, left_out;
    int64_t size = 0;
  };

  Bank counted_bank() {
    const std::vector<double> v = v_.host();
    const int words = std::max(v_labels_.host().words, 1);
    const int64_t* const labels = static_cast<const int64_t*>(v_labels_.host().data);
    std::vector<int64_t> place(std::max<int64_t>(columns_, 0), -1);
    Bank bank;
    for (int64_t column = 0; column < columns_; ++column) {
      if (!counted_.empty() && counted_[column] == 0) continue;
      place[column] = bank.size++;
      for (int64_t bit = 0; bit < bits_; ++bit) bank.values.push_back(v[column * stride_ + bit]);
      bank.labels.insert(bank.labels.end(), labels + column * words, labels + (column + 1) * words);
    }
    for (int64_t column : left_out_) bank.left_out.push_back(column >= 0 && column < columns_ ? place[column] : -1);
    return bank;
  }

  CpuAnswer on_cpu_in_float64() {
    const std::vector<double> u = u_.host();
    const Bank kept = counted_bank();
    std::vector<double> grad(rows_ * bits_);
    PairwiseResult result{};
    const double* const columns = columns_ < 0 ? nullptr : kept.size == 0 ? u.data() : kept.values.data();
    const int64_t* const left_out = kept.left_out.empty() ? nullptr : kept.left_out.data();
    const Embeddings<double> bank{columns, kept.size, bits_, left_out};
    const Embeddings<double> items{u.data(), rows_, stride_};
    const Labels labels{kept.labels.data(), v_labels_.host().words};
    EXPECT_EQ(on_cpu(loss_, items, bank, bits_, u_labels_.host(), labels, &result, grad.data(), 1), Status::kOk);
    const double sign_errors = sign_error(items, bits_, quantization_, grad.data());
    return {{result.positive_term, result.negative_term, sign_errors},
            {static_cast<double>(result.positive_pairs), static_cast<double>(result.negative_pairs)},
            grad};
  }

  static void expect_near(const Answer& answer, const CpuAnswer& cpu, const std::array<double, 3>& term_errors,
                          double grad_error) {
    ASSERT_EQ(answer.num_pairs, cpu.num_pairs);
    for (int i = 0; i < 3; ++i) ASSERT_NEAR(answer.terms[i], cpu.terms[i], term_errors[i]) << i;
    ASSERT_EQ(answer.total, static_cast<float>(answer.terms[0] + answer.terms[1] + answer.terms[2]));
    for (size_t i = 0; i < cpu.grad.size(); ++i) ASSERT_NEAR(answer.grad[i], cpu.grad[i], grad_error) << i;
  }

  int64_t other() const { return columns_ < 0 ? rows_ : columns_; }

  int64_t rows_, columns_, bits_, stride_;
  Way way_;
  double quantization_ = 0;
  std::vector<int64_t> left_out_;
  std::vector<unsigned char> counted_;
  DeviceItems u_, v_;
  RandomLabels u_labels_, v_labels_;
  Loss loss_;
};

}  // namespace hashkernels::testing
