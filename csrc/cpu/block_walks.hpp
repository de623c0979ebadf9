// Tasks that walk through blocks of the database. A thread that finds no task left takes over the rear half of what
// another one still has before it: none waits long for a core that is slower, or busy with something else.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <thread>

#include "blocks.hpp"
#include "parallel.hpp"

namespace hashkernels {

struct WalkSizes {
  int64_t at_once;       // blocks that a walk takes for itself at a time
  int64_t least_shared;  // a walk with fewer left is not taken over: half of them take no longer than to begin a walk
};

// What is left to each of the threads that walk.
class BlockWalks {
 public:
  BlockWalks(int num_walkers, WalkSizes sizes)
      : num_walkers_(num_walkers), sizes_(sizes), walks_(new (std::nothrow) Walk[num_walkers]) {}
  explicit operator bool() const { return walks_ != nullptr; }

  void begin(int walker, int64_t task, BlockRange blocks) {
    Walk& own = walks_[walker];
    const std::lock_guard<std::mutex> lock(own.mutex);
    own.task = task;
    own.rest = blocks;
    own.num_turns = 0;
  }

  // Begins a walk through the rear half of the longest; false where none is worth it.
  bool take_over(int walker) {
    for (Longest longest; (longest = find_longest()).may_come && !stop_requested();) {
      if (longest.walk == nullptr) {
        std::this_thread::yield();
        continue;
      }
      int64_t task;
      BlockRange taken;
      {
        const std::lock_guard<std::mutex> lock(longest.walk->mutex);
        if (!may_be_shared(*longest.walk)) continue;  // another thread was faster
        BlockRange& rest = longest.walk->rest;
        task = longest.walk->task;
        taken = {rest.first + (rest.size() + 1) / 2, rest.last};
        rest.last = taken.first;
      }
      begin(walker, task, taken);
      return true;
    }
    return false;
  }

  // The next few blocks of a walk; empty where none is left.
  BlockRange next(int walker) {
    Walk& own = walks_[walker];
    const std::lock_guard<std::mutex> lock(own.mutex);
    const BlockRange some{own.rest.first, std::min(own.rest.first + sizes_.at_once, own.rest.last)};
    own.rest.first = some.last;
    ++own.num_turns;
    return some;
  }

  int64_t task(int walker) const { return walks_[walker].task; }
  BlockRange rest(int walker) const {
    const std::lock_guard<std::mutex> lock(walks_[walker].mutex);
    return walks_[walker].rest;
  }

 private:
  struct alignas(64) Walk {
    std::mutex mutex;
    int64_t task = 0;  // written by the walker alone
    BlockRange rest;
    int64_t num_turns = 0;
  };

  // Not in its first turn, which may turn out to be all that it has to do.
  bool may_be_shared(const Walk& walk) const { return walk.num_turns > 1 && walk.rest.size() >= sizes_.least_shared; }

  struct Longest {
    Walk* walk = nullptr;   // of those that may be shared
    bool may_come = false;  // whether there is one, or may soon be
  };

  Longest find_longest() {
    Longest found;
    int64_t most = 0;
    for (int i = 0; i < num_walkers_; ++i) {
      const std::lock_guard<std::mutex> lock(walks_[i].mutex);
      const int64_t blocks = walks_[i].rest.size();
      found.may_come |= blocks >= sizes_.least_shared;
      if (!may_be_shared(walks_[i]) || blocks <= most) continue;
      most = blocks;
      found.walk = &walks_[i];
    }
    return found;
  }

  const int num_walkers_;
  const WalkSizes sizes_;
  const std::unique_ptr<Walk[]> walks_;
};

// One thread's way through blocks of a task, in ascending order.
class BlockWalk {
 public:
  // Through blocks that nobody takes over.
  explicit BlockWalk(BlockRange blocks) : blocks_(blocks), some_(blocks) {}
  BlockWalk(BlockWalks& walks, int walker)
      : walks_(&walks), walker_(walker), task_(walks.task(walker)), blocks_(walks.rest(walker)) {}

  int64_t task() const { return task_; }
  int64_t first() const { return blocks_.first; }         // of its blocks
  int64_t most_blocks() const { return blocks_.size(); }  // as long as none are taken over

  // False where no block is left, or the caller is to be interrupted.
  bool next(int64_t* block) {
    constexpr int64_t kBlocksPerCheck = 64;  // milliseconds at the most queries
    if (some_.size() == 0 && walks_ != nullptr) some_ = walks_->next(walker_);
    if (some_.size() == 0 || (num_taken_++ % kBlocksPerCheck == 0 && stop_requested())) return false;
    *block = some_.first++;
    return true;
  }

 private:
  BlockWalks* const walks_ = nullptr;
  const int walker_ = 0;
  const int64_t task_ = 0;
  const BlockRange blocks_;
  BlockRange some_;
  int64_t num_taken_ = 0;
};

// Runs body(walk) for walks that go through blocks_of(task), a BlockRange, of every task; each goes through a part of
// the blocks of one task. The body may throw std::bad_alloc.
template <class BlocksOf, class Body>
Status parallel_walks(int64_t num_tasks, int num_threads, WalkSizes sizes, BlocksOf&& blocks_of, Body&& body) {
  const int num_walkers = static_cast<int>(std::min<int64_t>(num_tasks, std::max(num_threads, 1)));
  BlockWalks walks(num_walkers, sizes);
  if (!walks) return Status::kOutOfMemory;
  std::atomic<int64_t> next_task{0};
  std::atomic<bool> out_of_memory{false};
  const auto walk = [&](int walker) {
    try {
      BlockWalk own(walks, walker);
      body(own);
    } catch (const std::bad_alloc&) {
      out_of_memory.store(true, std::memory_order_relaxed);
    }
    walks.begin(walker, 0, {});  // what is left is nobody's
  };
  const Status status = parallel_for(num_walkers, num_threads, [&](int64_t index, int) {
    const int walker = static_cast<int>(index);
    for (int64_t task; !stop_requested() && (task = next_task.fetch_add(1, std::memory_order_relaxed)) < num_tasks;) {
      walks.begin(walker, task, blocks_of(task));
      walk(walker);
    }
    while (!stop_requested() && walks.take_over(walker)) walk(walker);
  });
  if (status != Status::kOk) return status;
  return out_of_memory.load(std::memory_order_relaxed) ? Status::kOutOfMemory : Status::kOk;
}

}  // namespace hashkernels
