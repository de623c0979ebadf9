#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#include "../cpu/scan.hpp"

namespace hashkernels {
namespace {

// How often each block of each tile was visited.
class Visits {
 public:
  explicit Visits(const SearchPlan& plan) : plan_(plan), counts_(plan.num_tiles * plan.num_blocks) {}

  void visit(const BlockWalk& walk, int64_t block) {
    ++counts_[plan_.task(walk.task()).tile * plan_.num_blocks + block];
  }
  void expect_one_each() const {
    for (const auto& count : counts_) ASSERT_EQ(count, 1);
  }

 private:
  const SearchPlan& plan_;
  std::vector<std::atomic<int>> counts_;
};

TEST(ParallelWalks, GoThroughEveryBlockOnceInOrder) {
  for (int64_t num_queries : {1, 200, 3000}) {
    for (int64_t num_codes : {1, 513, 100'000, 1'000'000}) {
      for (int threads : {1, 2, 7}) {
        const SearchPlan plan(num_queries, num_codes, threads);
        Visits visits(plan);
        ASSERT_EQ(parallel_scans(plan, threads,
                                 [&](BlockWalk& walk) {
                                   int64_t next = walk.first();
                                   for (int64_t block; walk.next(&block);) {
                                     EXPECT_EQ(block, next++);
                                     visits.visit(walk, block);
                                   }
                                 }),
                  Status::kOk);
        visits.expect_one_each();
      }
    }
  }
}

// Two tasks, of which one stops in its second turn until somebody has begun another walk through its blocks.
TEST(ParallelWalks, AreTakenOverFromAThreadThatIsSlow) {
  const SearchPlan plan(200, 1'000'000, 2);
  ASSERT_EQ(plan.num_tasks(), 2);
  Visits visits(plan);
  constexpr int64_t kInSecondTurn = 20;
  std::atomic<int> walks_of_first{0};
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  ASSERT_EQ(parallel_scans(plan, 2,
                           [&](BlockWalk& walk) {
                             if (walk.task() == 0) ++walks_of_first;
                             for (int64_t block; walk.next(&block);) {
                               while (walk.task() == 0 && block == kInSecondTurn && walks_of_first == 1 &&
                                      std::chrono::steady_clock::now() < deadline) {
                                 std::this_thread::yield();
                               }
                               visits.visit(walk, block);
                             }
                           }),
            Status::kOk);
  EXPECT_GT(walks_of_first, 1);
  visits.expect_one_each();
}

TEST(ParallelWalks, LeaveToNobodyWhatAWalkGaveUp) {
  const SearchPlan plan(200, 1'000'000, 2);
  std::atomic<int64_t> visited{0};
  ASSERT_EQ(parallel_scans(plan, 2,
                           [&](BlockWalk& walk) {
                             int64_t block;
                             visited += walk.next(&block);
                           }),
            Status::kOk);
  EXPECT_EQ(visited, 2);  // the first of each, as walks are not taken over before they have gone on
}

TEST(ParallelWalks, ReportThatMemoryRanOut) {
  const SearchPlan plan(200, 1'000'000, 2);
  EXPECT_EQ(parallel_scans(plan, 2,
                           [](BlockWalk& walk) {
                             if (walk.task() == 1) throw std::bad_alloc();
                           }),
            Status::kOutOfMemory);
}

}  // namespace
}  // namespace hashkernels
