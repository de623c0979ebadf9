// Memory whose end lies against a page that nobody may touch, so that the first byte read or written past it stops the
// program with a message; bytes before its start are checked when it is freed.
#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace emulator {

inline constexpr unsigned char kPoison = 0xA5;

[[noreturn]] inline void fail(const char* message) {
  std::fprintf(stderr, "emulator: %s\n", message);
  std::_Exit(1);
}

// Turns a touched guard page into a message and exit status 1. Fibers have small stacks, so the handler has its own.
inline void report_guard_pages() {
  static const bool installed = [] {
    static char stack[16384];
    stack_t alternative{};
    alternative.ss_sp = stack;
    alternative.ss_size = sizeof(stack);
    sigaltstack(&alternative, nullptr);
    struct sigaction action{};
    action.sa_handler = [](int) {
      constexpr char kMessage[] = "emulator: access outside a buffer\n";
      if (write(STDERR_FILENO, kMessage, sizeof(kMessage) - 1) < 0) std::_Exit(2);
      std::_Exit(1);
    };
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGSEGV, &action, nullptr);
    sigaction(SIGBUS, &action, nullptr);
    return true;
  }();
  static_cast<void>(installed);
}

class GuardedMemory {
 public:
  // `alignment` of the first byte; what is left of it behind the last byte is checked like the bytes before the first.
  explicit GuardedMemory(size_t size, size_t alignment = 1) : size_(size) {
    report_guard_pages();
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    slack_ = (alignment - size % alignment) % alignment;
    inner_ = (size + slack_ + page - 1) / page * page;
    void* const base = mmap(nullptr, inner_ + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) fail("no memory");
    base_ = static_cast<unsigned char*>(base);
    mapped_ = inner_ + 2 * page;
    if (inner_ > 0) mprotect(base_ + page, inner_, PROT_READ | PROT_WRITE);
    begin_ = base_ + page + inner_ - size - slack_;
    std::memset(base_ + page, kPoison, inner_);
  }
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;
  ~GuardedMemory() {
    check();
    munmap(base_, mapped_);
  }

  unsigned char* data() { return begin_; }
  size_t size() const { return size_; }
  void poison() { std::memset(begin_, kPoison, size_); }

  void check() const {
    const auto touched = [](unsigned char byte) { return byte != kPoison; };
    if (std::any_of(begin_ - (inner_ - size_ - slack_), begin_, touched) ||
        std::any_of(begin_ + size_, begin_ + size_ + slack_, touched)) {
      fail("bytes beside a buffer were written");
    }
  }

 private:
  unsigned char *base_, *begin_;
  size_t size_, slack_, inner_, mapped_;
};

// An array as a kernel sees it.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t size) : size_(size), memory_(size * sizeof(T), alignof(T)) {}
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
    if (!values.empty()) std::memcpy(memory_.data(), values.data(), size_ * sizeof(T));
  }

  T* data() { return reinterpret_cast<T*>(memory_.data()); }
  std::vector<T> host() { return std::vector<T>(data(), data() + size_); }

 private:
  size_t size_;
  GuardedMemory memory_;
};

}  // namespace emulator
