// Fibers: each thread of a CUDA block is one, and gives way only where a primitive says so.
#pragma once

#include <cstddef>

namespace emulator {

// A suspended flow of control with a stack of its own.
struct Fiber {
  void* stack_pointer = nullptr;
};

// Suspends `from` and continues `to`; returns when somebody continues `from`.
void switch_fiber(Fiber& from, Fiber& to);

// Stacks for the fibers of one block, mapped once and used again for every block.
class Stacks {
 public:
  Stacks() = default;
  ~Stacks();
  Stacks(const Stacks&) = delete;
  Stacks& operator=(const Stacks&) = delete;

  // Makes `fiber` ready to run `entry` on stack `index`. `entry` must not return.
  void prepare(Fiber& fiber, unsigned index, void (*entry)());

 private:
  static constexpr size_t BYTES = 64 << 10;
  static constexpr unsigned COUNT = 1024;
  unsigned char* memory_ = nullptr;
};

}  // namespace emulator
