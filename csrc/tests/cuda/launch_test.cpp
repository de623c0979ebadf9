// What launchers do around their kernels: the caller's device and stream, errors by name, nothing for nothing.
#include <cuda_runtime.h>

#include <functional>
#include <string>

#include "emulated.hpp"

namespace hashkernels {
namespace {

using namespace testing;

// Every launcher, over so many queries (rows) and codes (columns).
class Launchers {
 public:
  using Call = std::function<Status(int device, void* stream)>;
  struct Named {
    std::string name;
    Call call;
  };

  Launchers(int64_t num_queries, int64_t num_database)
      : queries_(RandomCodes(num_queries, kBits, 1).view()),
        database_(RandomCodes(num_database, kBits, 2).view()),
        query_labels_(num_queries, 0, 3),
        database_labels_(num_database, 0, 4),
        floats_(std::vector<float>(std::max(num_queries, num_database) * kBits, 0.5f)),
        marks_(std::vector<uint8_t>(num_queries * num_database, 1)),
        weights_(std::vector<double>(num_queries, 1.0)),
        offsets_(num_queries + 1),
        workspace_(1 << 18),
        distances_(num_queries * std::max<int64_t>(num_database, kBits)),
        indices_(num_queries * std::max<int64_t>(num_database, kBits) + 3 * num_queries * (kBits + 1)),
        doubles_(num_queries + 8),
        total_(1),
        grad_(num_queries * std::max<int64_t>(num_database, kBits)) {}

  std::vector<Named> all() {
    const Codes q = queries_.view(), d = database_.view();
    const Labels ql = query_labels_.device(), dl = database_labels_.device();
    int64_t* const space = workspace_.data();
    const Values values{floats_.data(), DType::kFloat32, q.num_codes, kBits, kBits * 4};
    const cuda::PairInputs batch{{floats_.data(), DType::kFloat32, q.num_codes, kBits}, {}, kBits, ql, {}, 0.5};
    cuda::PairInputs bank = batch;
    bank.v = {floats_.data(), DType::kFloat32, d.num_codes, kBits};
    bank.v_labels = dl;
    const cuda::PairOutputs out{total_.data(), doubles_.data(), grad_.data()};
    const Triplets<float> triplets{
        floats_.data(), marks_.data(), marks_.data(), weights_.data(), q.num_codes, d.num_codes, 1.0};
    std::vector<Named> named{
        {"hamming_distance",
         [=, this](int device, void* stream) {
           return cuda::hamming_distance(q, d, distances_.data(), device, stream);
         }},
        {"pack_codes",
         [=, this](int device, void* stream) {
           return cuda::pack_codes(values, bytes(), kBits / 8, false, nullptr, device, stream);
         }},
        {"unpack_codes",
         [=, this](int device, void* stream) {
           return cuda::unpack_codes(q, kBits, reinterpret_cast<int8_t*>(bytes()), kBits, false, device, stream);
         }},
        {"retrieval_counts",
         [=, this](int device, void* stream) {
           return cuda::retrieval_counts(q, d, ql, dl, indices_.data(), space, device, stream);
         }},
        {"index_order_sums",
         [=, this](int device, void* stream) {
           return cuda::index_order_sums(q, d, ql, dl, {}, kCutoffs, 2, indices_.data(), space, device, stream);
         }},
        {"range_count",
         [=, this](int device, void* stream) {
           return cuda::range_count(q, d, kBits, nullptr, offsets_.data(), space, device, stream);
         }},
        {"range_nearest",
         [=, this](int device, void* stream) {
           return cuda::range_nearest(q, d, kBits, 2, nullptr, offsets_.data(), distances_.data(), indices_.data(),
                                      space, device, stream);
         }},
        {"margin_loss",
         [=](int device, void* stream) {
           return cuda::margin_loss(batch, {}, cuda::PairPrecision::kFloat32, out, space, device, stream);
         }},
        {"likelihood_loss",
         [=](int device, void* stream) {
           return cuda::likelihood_loss(bank, {}, cuda::PairPrecision::kSplit, out, space, device, stream);
         }},
        {"cauchy_loss",
         [=](int device, void* stream) {
           return cuda::cauchy_loss(batch, {}, cuda::PairPrecision::kSplit, out, space, device, stream);
         }},
        {"contrastive_loss",
         [=](int device, void* stream) {
           return cuda::contrastive_loss(bank, {}, cuda::PairPrecision::kFloat32, out, space, device, stream);
         }},
        {"triplet_likelihood", [=, this](int device, void* stream) {
           return cuda::triplet_likelihood(triplets, total_double(), grad_.data(), doubles_.data(), device, stream);
         }}};
    if (d.num_codes == 0) return named;
    named.push_back({"topk", [=, this](int device, void* stream) {
                       return cuda::topk(q, d, 1, nullptr, cuda::TopkMethod::kFastest, distances_.data(),
                                         indices_.data(), space, device, stream);
                     }});
    return named;
  }

 private:
  static constexpr int kBits = 16;
  static constexpr int64_t kCutoffs[] = {1, 2};

  uint8_t* bytes() { return reinterpret_cast<uint8_t*>(indices_.data()); }
  double* total_double() { return doubles_.data() + offsets_.host().size() - 1; }

  DeviceCodes queries_, database_;
  RandomLabels query_labels_, database_labels_;
  emulator::DeviceArray<float> floats_;
  emulator::DeviceArray<uint8_t> marks_;
  emulator::DeviceArray<double> weights_;
  emulator::DeviceArray<int64_t> offsets_, workspace_;
  emulator::DeviceArray<int32_t> distances_;
  emulator::DeviceArray<int64_t> indices_;
  emulator::DeviceArray<double> doubles_;
  emulator::DeviceArray<float> total_, grad_;
};

class EmulatedLaunch : public ::testing::Test {
 protected:
  ~EmulatedLaunch() override {
    emulator::wanted_device = 0;
    emulator::wanted_stream = nullptr;
    emulator::work_left = INT64_MAX;
  }
};

TEST_F(EmulatedLaunch, EverythingGoesToTheDeviceAndTheStreamOfTheCaller) {
  Launchers launchers(5, 700);
  int stream = 0;
  emulator::wanted_stream = &stream;
  for (const auto& [name, call] : launchers.all()) {
    for (int device : {0, 1}) {
      emulator::wanted_device = device;
      EXPECT_EQ(call(device, &stream), Status::kOk) << name;
      EXPECT_EQ(emulator::current_device, 0) << name;
    }
  }
}

TEST_F(EmulatedLaunch, TheCurrentDeviceIsNotSetAgain) {
  Launchers launchers(5, 700);
  const int before = emulator::device_changes;
  for (const auto& [name, call] : launchers.all()) EXPECT_EQ(call(0, nullptr), Status::kOk) << name;
  EXPECT_EQ(emulator::device_changes, before);
}

TEST_F(EmulatedLaunch, AnErrorEndsTheCallAndHasTheNameOfTheKernel) {
  Launchers launchers(5, 700);
  for (const auto& [name, call] : launchers.all()) {
    SCOPED_TRACE(name);
    int64_t taken = 0;
    for (;; ++taken) {
      emulator::work_left = taken;
      const Status status = call(0, nullptr);
      if (status == Status::kOk) break;
      ASSERT_EQ(status, Status::kDeviceError);
      EXPECT_EQ(emulator::work_left, -1);
      EXPECT_EQ(std::string(cuda::last_device_error()), "CUDA kernel " + name + ": out of memory");
    }
    EXPECT_GT(taken, 0);
  }
}

TEST_F(EmulatedLaunch, DevicesThatNoKernelIsBuiltForAreRefused) {
  Launchers launchers(5, 700);
  for (const auto& [name, call] : launchers.all()) {
    for (int device : {emulator::kDevices - 1, emulator::kDevices}) {
      EXPECT_EQ(call(device, nullptr), Status::kDeviceError) << name;
      EXPECT_EQ(emulator::current_device, 0) << name;
    }
  }
  cuda::unpack_codes({nullptr, 1, 1, 1}, 8, nullptr, 8, false, emulator::kDevices - 1, nullptr);
  EXPECT_NE(std::string(cuda::last_device_error()).find("need compute capability 8.0"), std::string::npos);
}

TEST_F(EmulatedLaunch, NothingToLookAtIsNoError) {
  for (auto [num_queries, num_database] : {std::pair{0, 700}, std::pair{5, 0}, std::pair{0, 0}}) {
    Launchers launchers(num_queries, num_database);
    for (const auto& [name, call] : launchers.all()) EXPECT_EQ(call(0, nullptr), Status::kOk) << name;
  }
}

}  // namespace
}  // namespace hashkernels
