// The thread pool that every CPU kernel shares.
//
// Threads start once, on first use, and sleep between calls, after a moment in which more work may come. Any number of
// callers may be inside parallel_for at the same time. A forked child starts with an empty pool of its own.
#pragma once

#include <cstdint>

#include "hashkernels/status.h"

namespace hashkernels {

// One unit of work: `index` in [0, num_tasks), `worker` in [0, num_threads) is unique among the threads that run at
// that moment.
using Task = void (*)(void* context, int64_t index, int worker);

// Runs `task` once for every index, on the calling thread and up to num_threads - 1 others, and returns when all are
// done. Which thread runs which index is not defined, so results must not depend on it. Returns kInterrupted when the
// interrupt check of the calling thread fired: the remaining tasks were skipped.
Status parallel_for(int64_t num_tasks, int num_threads, Task task, void* context) noexcept;

// For tasks that take long: whether the parallel_for that runs the calling task is to return kInterrupted, and the task
// may return early.
bool stop_requested() noexcept;

// Called now and then on the calling thread during parallel_for; true means stop. Null (the default) never stops.
using InterruptCheck = bool (*)();
void set_interrupt_check(InterruptCheck check) noexcept;

}  // namespace hashkernels
