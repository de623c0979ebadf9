#include "hashkernels/threads.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <new>
#include <thread>
#include <utility>

namespace hashkernels {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kCheckEvery{50};

// To sleep and be woken takes a thread about as long, so it first looks whether that can be avoided. Where threads have
// to share a core, whoever has work goes first.
constexpr std::chrono::microseconds kSpin{50};

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

template <class Done>
void spin_until(Done&& done) {
  for (const auto deadline = Clock::now() + kSpin; Clock::now() < deadline; std::this_thread::yield()) {
    for (int i = 0; i < 16; ++i) {
      if (done()) return;
      relax();
    }
  }
}

struct Job {
  Task task;
  void* context;
  int64_t num_tasks;
  int open_seats;   // helpers that may still join; guarded by the pool's mutex
  int next_worker;  // worker number of the next helper; guarded by the pool's mutex
  InterruptCheck interrupt_check;
  Clock::time_point next_check = Clock::now() + kCheckEvery;  // the caller's own
  std::atomic<int> active{0};                                 // helpers inside run(); changed under the pool's mutex
  std::atomic<int64_t> next{0};
  std::atomic<bool> stopped{false};
  Job* following = nullptr;  // in the queue; guarded by the pool's mutex

  bool run_one(int worker) {
    const int64_t index = next.fetch_add(1, std::memory_order_relaxed);
    if (index >= num_tasks) return false;
    Job* const outer = std::exchange(current, this);
    const int outer_worker = std::exchange(current_worker, worker);
    task(context, index, worker);
    current = outer;
    current_worker = outer_worker;
    return true;
  }

  // Only the caller, worker 0, may ask.
  bool check(int worker) {
    if (worker == 0 && interrupt_check != nullptr && !stopped.load(std::memory_order_relaxed) &&
        Clock::now() >= next_check) {
      if (interrupt_check()) {
        stopped.store(true, std::memory_order_relaxed);
        next.store(num_tasks, std::memory_order_relaxed);
      }
      next_check = Clock::now() + kCheckEvery;
    }
    return stopped.load(std::memory_order_relaxed);
  }

  static thread_local Job* current;  // whose task this thread is in
  static thread_local int current_worker;
};

thread_local Job* Job::current = nullptr;
thread_local int Job::current_worker = 0;

class Pool {
 public:
  Status run(Job& job) {
    const bool alone = job.open_seats == 0;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      // The seats are what is missing after the threads that exist; a system that has no more threads to give leaves
      // the rest to us.
      while (num_threads_ < job.open_seats && start_thread()) {
      }
      place_of(nullptr) = &job;
      open_seats_ += job.open_seats;
    }
    if (!alone) work_.notify_all();

    while (job.run_one(0)) job.check(0);

    std::unique_lock<std::mutex> lock(mutex_);
    place_of(&job) = job.following;
    open_seats_ -= job.open_seats;
    if (job.active > 0) {
      lock.unlock();
      spin_until([&] { return job.active == 0; });
      lock.lock();
    }
    done_.wait(lock, [&] { return job.active == 0; });
    return job.stopped.load(std::memory_order_relaxed) ? Status::kInterrupted : Status::kOk;
  }

 private:
  // What points to a job of the queue; of none: the end. The queue is of the jobs themselves, so that it needs no
  // memory.
  Job*& place_of(const Job* job) {
    Job** place = &first_;
    while (*place != job) place = &(*place)->following;
    return *place;
  }

  bool start_thread() {
    try {
      std::thread(&Pool::work, this).detach();
    } catch (const std::exception&) {  // no thread, or no memory for one
      return false;
    }
    ++num_threads_;
    return true;
  }

  void work() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      Job* job;
      work_.wait(lock, [&] {
        for (job = first_; job != nullptr && job->open_seats == 0;) job = job->following;
        return job != nullptr;
      });
      --job->open_seats;
      --open_seats_;
      ++job->active;
      const int worker = job->next_worker++;
      lock.unlock();
      while (job->run_one(worker)) {
      }
      lock.lock();
      if (--job->active == 0) done_.notify_all();
      if (open_seats_ > 0) continue;
      lock.unlock();
      spin_until([&] { return open_seats_ > 0; });
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable work_, done_;
  Job* first_ = nullptr;  // of the queue
  int num_threads_ = 0;
  std::atomic<int> open_seats_{0};  // of all jobs; changed under the mutex
};

// Never destroyed: its threads outlive every static. A forked child has none of them, and perhaps a locked mutex: it
// gets a new pool.
std::atomic<Pool*> g_pool{nullptr};
std::once_flag g_pool_once;

Pool* pool() {
  std::call_once(g_pool_once, [] {
    g_pool.store(new (std::nothrow) Pool);
    pthread_atfork(nullptr, nullptr, [] { g_pool.store(new (std::nothrow) Pool); });
  });
  return g_pool.load();
}

std::atomic<InterruptCheck> g_interrupt_check{nullptr};

}  // namespace

Status parallel_for(int64_t num_tasks, int num_threads, Task task, void* context) noexcept {
  if (num_tasks <= 0) return Status::kOk;
  const int helpers = static_cast<int>(std::min<int64_t>(std::max(num_threads, 1), num_tasks) - 1);
  Pool* shared = pool();
  if (shared == nullptr) return Status::kOutOfMemory;
  Job job{task, context, num_tasks, helpers, 1, g_interrupt_check.load(std::memory_order_relaxed)};
  return shared->run(job);
}

bool stop_requested() noexcept { return Job::current != nullptr && Job::current->check(Job::current_worker); }

void set_interrupt_check(InterruptCheck check) noexcept { g_interrupt_check.store(check, std::memory_order_relaxed); }

}  // namespace hashkernels
