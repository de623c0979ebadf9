#include "hashkernels/threads.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "../cpu/parallel.hpp"

namespace hashkernels {
namespace {

TEST(ParallelFor, RunsEveryIndexOnce) {
  for (int threads : {1, 2, 7}) {
    std::vector<std::atomic<int>> runs(1000);
    ASSERT_EQ(parallel_for(1000, threads, [&](int64_t i, int) { ++runs[i]; }), Status::kOk);
    for (const auto& count : runs) ASSERT_EQ(count, 1);
  }
}

TEST(ParallelFor, WorkerNumbersAreUniqueAtAnyMoment) {
  std::atomic<int> inside[4] = {};
  std::atomic<bool> clash{false};
  ASSERT_EQ(parallel_for(200, 4,
                         [&](int64_t, int worker) {
                           ASSERT_GE(worker, 0);
                           ASSERT_LT(worker, 4);
                           if (++inside[worker] != 1) clash = true;
                           std::this_thread::sleep_for(std::chrono::microseconds(50));
                           --inside[worker];
                         }),
            Status::kOk);
  EXPECT_FALSE(clash);
}

TEST(ParallelFor, TasksMayStartTasks) {
  std::atomic<int> runs{0};
  ASSERT_EQ(
      parallel_for(8, 3,
                   [&](int64_t, int) { ASSERT_EQ(parallel_for(50, 3, [&](int64_t, int) { ++runs; }), Status::kOk); }),
      Status::kOk);
  EXPECT_EQ(runs, 400);
}

TEST(ParallelFor, ServesManyCallersAtOnce) {
  std::atomic<int64_t> sum{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 8; ++c) {
    callers.emplace_back([&] {
      for (int round = 0; round < 50; ++round) parallel_for(20, 3, [&](int64_t i, int) { sum += i; });
    });
  }
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(sum, 8 * 50 * 190);
}

TEST(ParallelFor, WorksInAForkedChild) {
  parallel_for(8, 4, [](int64_t, int) {});
  const pid_t child = fork();
  if (child == 0) {
    std::atomic<int> count{0};
    parallel_for(100, 4, [&](int64_t, int) { ++count; });
    _exit(count == 100 ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(ParallelFor, StopsWhenInterrupted) {
  set_interrupt_check([] { return true; });
  std::atomic<int> count{0};
  const Status status = parallel_for(1000000, 2, [&](int64_t, int) {
    ++count;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  });
  set_interrupt_check(nullptr);
  EXPECT_EQ(status, Status::kInterrupted);
  EXPECT_LT(count, 1000);
}

}  // namespace
}  // namespace hashkernels
