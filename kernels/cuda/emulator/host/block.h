// One block at a time: its threads as fibers, its warps, its barrier, and who may run next.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fiber.h"
#include "global_memory.h"
#include "shared_memory.h"

namespace emulator {

constexpr unsigned WARP = 32;
constexpr unsigned FULL_WARP = 0xffffffffu;

// A generator of repeatable disorder (xorshift*, Marsaglia 2003).
struct Random {
  uint64_t state;
  uint32_t below(uint32_t bound) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return static_cast<uint32_t>(((state * 0x2545f4914f6cdd1dull >> 32) * bound) >> 32);
  }
};

// What a launch did; layout shared with the Rust side.
struct Counts {
  uint64_t matrix_products = 0;
  uint64_t asynchronous_copies = 0;
  uint64_t barriers = 0;
  uint64_t bank_conflicts = 0;  // of ldmatrix
};

// One copy of cp.async that has been asked for and has not arrived.
struct PendingCopy {
  uint32_t target;
  uint32_t bytes;
  const unsigned char* source;  // null: zeros
};

struct Thread {
  Fiber fiber;
  bool finished = false;
  bool runnable = true;
  const char* waits_for = nullptr;  // what a deadlock report says
  // Copies in order; `group_ends` holds the length after each commit.
  std::vector<PendingCopy> copies;
  std::vector<size_t> group_ends;
};

struct Warp {
  uint32_t lanes = 0;     // that exist and have not finished
  uint32_t runnable = 0;  // those of them that do not wait
  // The collective that lanes are gathering for.
  const char* operation = nullptr;
  uint32_t mask = 0;
  uint32_t arrived = 0;
  void* operands[WARP];
};

// The block that this host thread emulates.
class Block {
 public:
  // Runs `kernel(arguments)` as one block. A mistake of the kernel ends the block; `failure` then says which.
  void run(void (*kernel)(const void*), const void* arguments, unsigned threads, uint32_t shared_bytes, uint32_t index);

  // Ends the block with a message; never returns to the kernel.
  [[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 2, 3)));

  // Waits until every thread that has not finished is here.
  void barrier();

  // Waits until all lanes of `mask` are here with the same operation; the last to come performs it with
  // the operands of all, indexed by lane.
  template <class Perform>
  void collective(const char* operation, uint32_t mask, void* operand, Perform perform) {
    if (gather(operation, mask, operand)) {
      Warp& warp = warps_[current / WARP];
      perform(warp.operands);
      release(warp);
    }
  }

  void copy_async(uint32_t target, const unsigned char* source, uint32_t bytes);
  void commit_copies();
  // Completes all but the `left` newest groups of the current thread.
  void wait_copies(unsigned left);

  unsigned current = 0;  // thread
  unsigned thread_count = 0;
  uint32_t index = 0;
  SharedMemory shared;
  GlobalMemory global;
  Counts counts;
  Random random{1};
  std::string failure;

 private:
  static void enter();
  bool gather(const char* operation, uint32_t mask, void* operand);
  void release(Warp& warp);
  void finish_thread();
  void release_barrier();
  void give_way(const char* why);
  bool run_a_warp();
  void report_deadlock();

  Stacks stacks_;
  Fiber scheduler_;
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  unsigned unfinished_ = 0;
  unsigned at_barrier_ = 0;
  void (*kernel_)(const void*) = nullptr;
  const void* arguments_ = nullptr;
};

extern thread_local Block* block;

}  // namespace emulator
