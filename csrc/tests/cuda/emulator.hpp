// Runs CUDA kernels, compiled by the C++ compiler from their unchanged sources, one block at a time.
//
// Every CUDA thread is a fiber that runs until a barrier, a warp operation or an atomic; which fiber goes on is drawn
// from a seed, so that a kernel which needs an order that it does not enforce gives another result under another seed.
// Shared memory is poisoned before each block and guarded at its end. Barriers and warp operations that not all of
// their threads reach, or reach at different lines, and lanes outside of their own mask end the program.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <array>
#include <bit>
#include <cstdlib>
#include <functional>
#include <memory>

#include "memory.hpp"

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

inline dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {

// Which of the mutants (emulated.cmake) this program is; 0: none of them.
inline const int mutant = [] {
  const char* const number = std::getenv("HASHKERNELS_MUTANT");
  return number == nullptr ? 0 : std::atoi(number);
}();

inline constexpr int kWarp = 32;
inline constexpr size_t kStackBytes = 128 << 10;
inline constexpr size_t kSharedBytes = 48 << 10;  // what a block gets without asking for more

enum class State { kRunnable, kAtBarrier, kAtWarp, kDone };
enum class Operation { kSync, kShuffle, kVote, kMatch, kReduce, kLoadMatrix, kMultiply };

// Where a thread waits: all threads of a barrier must stand at the same line, those of a warp operation also agree
// about its kind and mask.
struct Site {
  const char* file;
  int line;
  Operation operation;
  uint32_t mask;
  bool operator==(const Site&) const = default;
};

struct Thread {
  dim3 index;
  ucontext_t start;
  jmp_buf resume;
  std::unique_ptr<char[]> stack;
  bool started = false;
  State state = State::kDone;
  Site site{};
  uint64_t value = 0;                // what this lane brought to a warp operation
  std::array<uint64_t, kWarp> seen;  // and what all lanes of its mask brought
};

class Block {
 public:
  void seed(uint64_t value) { random_ = 0x9E3779B97F4A7C15u * (value + 1); }

  uint64_t random() {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return random_ >> 11;
  }

  void run(int num_threads, const std::function<void()>& body) {
    body_ = &body;
    num_threads_ = num_threads;
    while (static_cast<int>(threads_.size()) < num_threads) threads_.push_back(std::make_unique<Thread>());
    runnable_.clear();
    waiting_.assign((num_threads + kWarp - 1) / kWarp, 0);
    for (int t = 0; t < num_threads; ++t) {
      threads_[t]->index = dim3(t % blockDim.x, t / blockDim.x % blockDim.y, t / (blockDim.x * blockDim.y));
      make_runnable(t);
    }
    for (int done = 0; done < num_threads;) {
      if (runnable_.empty()) release_barrier();
      std::swap(runnable_[random() % runnable_.size()], runnable_.back());
      current_ = runnable_.back();
      runnable_.pop_back();
      threadIdx = thread().index;
      resume_current();
      done += thread().state == State::kDone;
    }
  }

  void barrier(const char* file, int line) {
    thread().site = {file, line, Operation::kSync, 0};
    thread().state = State::kAtBarrier;
    leave();
  }

  // Lets another thread go first, now and then.
  void maybe_leave() {
    if (random() % 4 != 0) return;
    runnable_.push_back(current_);
    leave();
  }

  // Waits for all lanes of `mask` and returns what they brought.
  const std::array<uint64_t, kWarp>& exchange(Operation operation, uint32_t mask, uint64_t value, const char* file,
                                              int line) {
    Thread& self = thread();
    if ((mask >> lane() & 1) == 0) fail_at("a lane outside of its own mask", {file, line, operation, mask});
    if (warp() * kWarp + static_cast<int>(std::bit_width(mask)) > num_threads_) {
      fail_at("a mask names a lane that the block does not have", {file, line, operation, mask});
    }
    self.site = {file, line, operation, mask};
    self.value = value;
    self.state = State::kAtWarp;
    waiting_[warp()] |= 1u << lane();
    if ((waiting_[warp()] & mask) == mask) complete_warp_operation(warp() * kWarp, self.site);
    leave();
    return self.seen;
  }

  int lane() const { return current_ % kWarp; }
  int warp() const { return current_ / kWarp; }
  int thread_index() const { return current_; }

 private:
  Thread& thread() { return *threads_[current_]; }

  void make_runnable(int t) {
    threads_[t]->state = State::kRunnable;
    runnable_.push_back(t);
  }

  // All lanes of the mask wait.
  void complete_warp_operation(int first, const Site& site) {
    std::array<uint64_t, kWarp> values{};
    for (int l = 0; l < kWarp; ++l) {
      if ((site.mask >> l & 1) == 0) continue;
      const Thread& other = *threads_[first + l];
      if (!(other.site == site)) return;
      values[l] = other.value;
    }
    for (int l = 0; l < kWarp; ++l) {
      if ((site.mask >> l & 1) == 0) continue;
      threads_[first + l]->seen = values;
      make_runnable(first + l);
    }
    waiting_[first / kWarp] &= ~site.mask;
  }

  // Nobody can go on: either all stand at one barrier, or the kernel would hang or do what CUDA leaves undefined.
  void release_barrier() {
    const Site site = threads_[0]->site;
    for (int t = 0; t < num_threads_; ++t) {
      const Thread& other = *threads_[t];
      if (other.state == State::kAtWarp) fail_at("lanes of a mask that never came to a warp operation", other.site);
      if (other.state != State::kAtBarrier || !(other.site == site)) fail_at("a barrier not all threads reach", site);
    }
    for (int t = 0; t < num_threads_; ++t) make_runnable(t);
  }

  [[noreturn]] static void fail_at(const char* message, const Site& site) {
    std::fprintf(stderr, "emulator: %s:%d, mask %08x: ", site.file, site.line, site.mask);
    fail(message);
  }

  static void entry();

  // The first switch to a fiber goes by its context, later ones by longjmp, which makes no system call. A fiber never
  // ends: it waits for the next block.
  [[gnu::noinline]] void resume_current() {
    Thread& self = thread();
    if (_setjmp(scheduler_) != 0) return;
    if (self.started) _longjmp(self.resume, 1);
    self.started = true;
    self.stack = std::make_unique_for_overwrite<char[]>(kStackBytes);
    getcontext(&self.start);
    self.start.uc_stack.ss_sp = self.stack.get();
    self.start.uc_stack.ss_size = kStackBytes;
    self.start.uc_link = nullptr;
    makecontext(&self.start, entry, 0);
    setcontext(&self.start);
  }

  [[gnu::noinline]] void leave() {
    if (_setjmp(thread().resume) == 0) _longjmp(scheduler_, 1);
  }

  uint64_t random_ = 1;
  int num_threads_ = 0, current_ = 0;
  std::vector<std::unique_ptr<Thread>> threads_;
  std::vector<int> runnable_;
  std::vector<uint32_t> waiting_;  // lanes of each warp that wait for others
  const std::function<void()>* body_ = nullptr;
  jmp_buf scheduler_;
};

inline Block block;

inline void Block::entry() {
  for (;;) {
    (*block.body_)();
    block.thread().state = State::kDone;
    block.leave();
  }
}

// Objects in shared memory live as long as the program and are poisoned before each block.
inline std::vector<std::unique_ptr<GuardedMemory>> static_shared;
inline std::unique_ptr<GuardedMemory> dynamic_shared;

template <class T>
T& shared_object() {
  static_assert(sizeof(T) <= kSharedBytes);
  static GuardedMemory* const memory = [] {
    static_shared.push_back(std::make_unique<GuardedMemory>(sizeof(T), alignof(T)));
    return static_shared.back().get();
  }();
  return *reinterpret_cast<T*>(memory->data());
}

template <class T>
T* dynamic_shared_array() {
  return reinterpret_cast<T*>(dynamic_shared->data());
}

inline void launch(dim3 grid, dim3 threads, size_t shared_bytes, const std::function<void()>& body) {
  const int num_threads = static_cast<int>(threads.x * threads.y * threads.z);
  if (num_threads < 1 || num_threads > 1024) fail("a launch with a block of less than 1 or more than 1024 threads");
  if (grid.x < 1 || grid.y < 1 || grid.z < 1) fail("a launch with an empty grid");
  if (grid.x > 0x7FFFFFFF || grid.y > 65535 || grid.z > 65535) fail("a launch with too large a grid");
  if (shared_bytes > kSharedBytes) fail("a launch with more shared memory than a block has");
  gridDim = grid;
  blockDim = threads;
  dynamic_shared = std::make_unique<GuardedMemory>(shared_bytes, 16);
  // Blocks come in no order either.
  const uint64_t blocks = uint64_t{grid.x} * grid.y * grid.z, first = block.random() % blocks;
  for (uint64_t i = 0; i < blocks; ++i) {
    const uint64_t b = (first + blocks - i) % blocks;
    blockIdx = dim3(static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y),
                    static_cast<unsigned>(b / grid.x / grid.y));
    dynamic_shared->poison();
    for (auto& memory : static_shared) memory->poison();
    block.run(num_threads, body);
    dynamic_shared->check();
  }
}

}  // namespace emulator
