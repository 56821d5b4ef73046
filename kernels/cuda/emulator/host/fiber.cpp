// Switching of fibers, by hand: swapcontext makes two system calls each time, and this is the hot path.
#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

extern "C" void libvision_switch_stack(void** save, void* load);

#if defined(__x86_64__)
// Saves what the System V calling convention asks a callee to keep.
asm(R"(
.text
.type libvision_switch_stack, @function
libvision_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size libvision_switch_stack, .-libvision_switch_stack
)");
static constexpr int SAVED_WORDS = 6;
#elif defined(__aarch64__)
// Saves what the AAPCS64 calling convention asks a callee to keep; the last pair holds the return address.
asm(R"(
.text
.type libvision_switch_stack, %function
libvision_switch_stack:
  sub sp, sp, #160
  stp d8, d9, [sp, #0]
  stp d10, d11, [sp, #16]
  stp d12, d13, [sp, #32]
  stp d14, d15, [sp, #48]
  stp x19, x20, [sp, #64]
  stp x21, x22, [sp, #80]
  stp x23, x24, [sp, #96]
  stp x25, x26, [sp, #112]
  stp x27, x28, [sp, #128]
  stp x29, x30, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp d8, d9, [sp, #0]
  ldp d10, d11, [sp, #16]
  ldp d12, d13, [sp, #32]
  ldp d14, d15, [sp, #48]
  ldp x19, x20, [sp, #64]
  ldp x21, x22, [sp, #80]
  ldp x23, x24, [sp, #96]
  ldp x25, x26, [sp, #112]
  ldp x27, x28, [sp, #128]
  ldp x29, x30, [sp, #144]
  add sp, sp, #160
  ret
.size libvision_switch_stack, .-libvision_switch_stack
)");
static constexpr int SAVED_WORDS = 19;
#else
#error "the emulator switches fibers on x86-64 and aarch64 only"
#endif

namespace emulator {

void switch_fiber(Fiber& from, Fiber& to) { libvision_switch_stack(&from.stack_pointer, to.stack_pointer); }

Stacks::~Stacks() {
  if (memory_ != nullptr) munmap(memory_, BYTES * COUNT);
}

void Stacks::prepare(Fiber& fiber, unsigned index, void (*entry)()) {
  if (memory_ == nullptr) {
    // Pages that no fiber touches are never taken.
    void* mapped = mmap(nullptr, BYTES * COUNT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) {
      std::perror("emulator: no memory for the stacks of a block");
      std::abort();
    }
    memory_ = static_cast<unsigned char*>(mapped);
  }
  // Neighbouring stacks start at different cache sets.
  auto* top = reinterpret_cast<uintptr_t*>(memory_ + BYTES * (index + 1) - 64 * (index % 32 + 1));
  *--top = 0;  // where a debugger stops
#if defined(__x86_64__)
  *--top = reinterpret_cast<uintptr_t>(entry);
  top -= SAVED_WORDS;
#else
  top -= SAVED_WORDS + 1;
  top = reinterpret_cast<uintptr_t*>(reinterpret_cast<uintptr_t>(top) & ~uintptr_t{15});
  top[SAVED_WORDS] = reinterpret_cast<uintptr_t>(entry);
#endif
  fiber.stack_pointer = top;
}

}  // namespace emulator
