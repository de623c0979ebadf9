// That the emulator itself sees what it is there to see.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <numeric>

namespace emulator {
namespace {

void run(int threads, const std::function<void()>& kernel, size_t shared_bytes = 0) {
  launch(dim3(1), dim3(threads), shared_bytes, kernel);
}

TEST(Emulator, RunsEveryThreadOfEveryBlock) {
  std::vector<int> seen(6 * 40, 0);
  launch(dim3(3, 2), dim3(20, 2), 0,
         [&] { ++seen[(blockIdx.y * gridDim.x + blockIdx.x) * 40 + threadIdx.y * blockDim.x + threadIdx.x]; });
  EXPECT_EQ(seen, std::vector<int>(240, 1));
}

TEST(Emulator, SchedulesDependOnTheSeedAlone) {
  const auto order = [](uint64_t seed) {
    block.seed(seed);
    std::vector<int> result;
    run(16, [&] { result.push_back(static_cast<int>(threadIdx.x)); });
    return result;
  };
  EXPECT_EQ(order(1), order(1));
  EXPECT_NE(order(1), order(2));
}

TEST(Emulator, SharedMemoryStartsPoisoned) {
  struct Words {
    uint32_t words[8];
  };
  for (int i = 0; i < 2; ++i) {
    run(
        1,
        [] {
          EXPECT_EQ(shared_object<Words>().words[7], 0xA5A5A5A5);
          EXPECT_EQ(dynamic_shared_array<uint32_t>()[3], 0xA5A5A5A5);
          shared_object<Words>().words[7] = dynamic_shared_array<uint32_t>()[3] = 0;
        },
        16);
  }
}

TEST(Emulator, WarpOperationsOfMasks) {
  std::vector<int> sums(64);
  run(64, [&] {
    const int lane = static_cast<int>(threadIdx.x % 32);
    const uint32_t mask = lane < 8 ? 0xFF : 0xFFFFFF00;
    const int value = __shfl_sync(mask, lane * lane, lane < 8 ? 7 : 9);
    const int above = __shfl_down_sync(0xFFFFFFFF, lane, 1), below = __shfl_up_sync(0xFFFFFFFF, lane, 3);
    const uint32_t odd = __ballot_sync(0xFFFFFFFF, lane % 2);
    const uint32_t same = __match_any_sync(0xFFFFFFFF, lane / 4);
    EXPECT_EQ(value, lane < 8 ? 49 : 81);
    EXPECT_EQ(above, lane == 31 ? 31 : lane + 1);
    EXPECT_EQ(below, lane < 3 ? lane : lane - 3);
    EXPECT_EQ(odd, 0xAAAAAAAA);
    EXPECT_EQ(same, 0xFu << lane / 4 * 4);
    EXPECT_EQ(__shfl_xor_sync(0xFFFFFFFF, lane, 16), lane ^ 16);
    EXPECT_EQ(__reduce_add_sync(0xFFFFFFFF, lane), 496u);
    EXPECT_TRUE(__any_sync(0xFFFFFFFF, lane == 30));
    sums[threadIdx.x] = value;
  });
  EXPECT_EQ(std::accumulate(sums.begin(), sums.end(), 0), 2 * (8 * 49 + 24 * 81));
}

TEST(Emulator, AMissingBarrierChangesResults) {
  const auto mirrored = [](bool with_barrier) {
    bool same = true;
    for (uint64_t seed = 0; seed < 20; ++seed) {
      block.seed(seed);
      run(
          32,
          [&] {
            int* const shared = dynamic_shared_array<int>();
            shared[threadIdx.x] = static_cast<int>(threadIdx.x);
            if (with_barrier) __syncthreads();
            same = same && shared[31 - threadIdx.x] == 31 - static_cast<int>(threadIdx.x);
          },
          128);
    }
    return same;
  };
  EXPECT_TRUE(mirrored(true));
  EXPECT_FALSE(mirrored(false));
}

void two_barriers() {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

TEST(EmulatorDeathTest, BarriersMustBeReachedByAllThreadsAtOneLine) {
  const auto exits = ::testing::ExitedWithCode(1);
  EXPECT_EXIT(run(33,
                  [] {
                    if (threadIdx.x < 32) __syncthreads();
                  }),
              exits, "a barrier not all threads reach");
  EXPECT_EXIT(run(33, two_barriers), exits, "a barrier not all threads reach");
}

TEST(EmulatorDeathTest, MasksMustBeTrue) {
  const auto exits = ::testing::ExitedWithCode(1);
  EXPECT_EXIT(run(32,
                  [] {
                    if (threadIdx.x != 5) __syncwarp();
                  }),
              exits, "never came");
  EXPECT_EXIT(run(32, [] { __ballot_sync(0xFFFF, 1); }), exits, "outside of its own mask");
  EXPECT_EXIT(run(16, [] { __syncwarp(); }), exits, "a lane that the block does not have");
  EXPECT_EXIT(run(32,
                  [] {
                    if (threadIdx.x < 4) __shfl_sync(0xF, 1, 4);
                  }),
              exits, "from a lane outside of its mask");
}

TEST(EmulatorDeathTest, MemoryEndsWhereItEnds) {
  const auto exits = ::testing::ExitedWithCode(1);
  EXPECT_EXIT(run(1, [] { dynamic_shared_array<char>()[16] = 1; }, 16), exits, "outside a buffer");
  EXPECT_EXIT(
      {
        DeviceArray<int> values(3);
        volatile int value = values.data()[3];
        static_cast<void>(value);
      },
      exits, "outside a buffer");
  EXPECT_EXIT(
      {
        DeviceArray<int> values(3);
        values.data()[-1] = 0;
      },
      exits, "beside a buffer");
}

TEST(EmulatorDeathTest, LaunchesMustBePossible) {
  const auto exits = ::testing::ExitedWithCode(1);
  EXPECT_EXIT(run(1025, [] {}), exits, "1024 threads");
  EXPECT_EXIT(run(32, [] {}, 49153), exits, "more shared memory");
  EXPECT_EXIT(launch(dim3(0), dim3(32), 0, [] {}), exits, "empty grid");
  EXPECT_EXIT(launch(dim3(1, 65536), dim3(32), 0, [] {}), exits, "too large a grid");
}

}  // namespace
}  // namespace emulator
