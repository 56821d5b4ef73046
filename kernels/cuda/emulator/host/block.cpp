// The scheduler of a block: warps take turns in random order, lanes run until they must wait.
#include "block.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace emulator {

thread_local Block* block = nullptr;

void Block::run(void (*kernel)(const void*), const void* arguments, unsigned threads, uint32_t shared_bytes,
                uint32_t block_index) {
  kernel_ = kernel;
  arguments_ = arguments;
  index = block_index;
  thread_count = unfinished_ = threads;
  at_barrier_ = 0;
  shared.begin_block(shared_bytes);
  if (threads_.size() < threads) threads_.resize(threads);
  warps_.assign((threads + WARP - 1) / WARP, Warp{});
  for (unsigned i = 0; i < threads; i++) {
    Thread& thread = threads_[i];
    thread.finished = false;
    thread.waits_for = nullptr;
    thread.copies.clear();
    thread.group_ends.clear();
    stacks_.prepare(thread.fiber, i, &Block::enter);
    warps_[i / WARP].lanes |= 1u << i % WARP;
  }
  for (Warp& warp : warps_) warp.runnable = warp.lanes;
  while (unfinished_ > 0 && failure.empty()) {
    if (!run_a_warp()) report_deadlock();
  }
}

bool Block::run_a_warp() {
  unsigned count = warps_.size(), first = random.below(count);
  for (unsigned i = 0; i < count; i++) {
    unsigned chosen = (first + i) % count;
    Warp& warp = warps_[chosen];
    if (warp.runnable == 0) continue;
    unsigned rotation = random.below(WARP);
    for (unsigned j = 0; j < WARP && failure.empty(); j++) {
      unsigned lane = (rotation + j) % WARP;
      if ((warp.runnable >> lane & 1) == 0) continue;
      current = chosen * WARP + lane;
      switch_fiber(scheduler_, threads_[current].fiber);
    }
    return true;
  }
  return false;
}

void Block::enter() {
  block->kernel_(block->arguments_);
  block->finish_thread();
}

void Block::finish_thread() {
  Thread& thread = threads_[current];
  if (!thread.copies.empty()) fail("it ends with asynchronous copies that it never waited for");
  thread.finished = true;
  Warp& warp = warps_[current / WARP];
  warp.lanes &= ~(1u << current % WARP);
  warp.runnable &= warp.lanes;
  unfinished_--;
  // Threads that have ended are not expected at a barrier.
  if (unfinished_ > 0 && at_barrier_ == unfinished_) release_barrier();
  switch_fiber(thread.fiber, scheduler_);
}

void Block::give_way(const char* why) {
  Thread& thread = threads_[current];
  thread.waits_for = why;
  warps_[current / WARP].runnable &= ~(1u << current % WARP);
  switch_fiber(thread.fiber, scheduler_);
}

void Block::barrier() {
  if (++at_barrier_ == unfinished_) {
    release_barrier();
    return;
  }
  give_way("a barrier");
}

void Block::release_barrier() {
  at_barrier_ = 0;
  counts.barriers++;
  shared.block_has_met();
  for (Warp& warp : warps_) warp.runnable = warp.lanes;
}

bool Block::gather(const char* operation, uint32_t mask, void* operand) {
  Warp& warp = warps_[current / WARP];
  uint32_t lane = 1u << current % WARP;
  if ((mask & lane) == 0) fail("a lane that is not in mask %08x calls %s", mask, operation);
  if (warp.arrived == 0) {
    warp.operation = operation;
    warp.mask = mask;
  } else if (warp.operation != operation) {
    fail("lanes of a warp diverge: some at %s, some at %s", warp.operation, operation);
  } else if (warp.mask != mask) {
    fail("lanes of a warp name different masks at %s: %08x and %08x", operation, warp.mask, mask);
  }
  warp.operands[current % WARP] = operand;
  warp.arrived |= lane;
  if (warp.arrived == mask) return true;
  give_way(operation);
  return false;
}

void Block::release(Warp& warp) {
  shared.warp_has_met(current / WARP, warp.mask);
  warp.runnable |= warp.arrived;
  warp.arrived = 0;
  warp.operation = nullptr;
}

void Block::copy_async(uint32_t target, const unsigned char* source, uint32_t bytes) {
  counts.asynchronous_copies++;
  shared.begin_copy(target, bytes);
  threads_[current].copies.push_back({target, bytes, source});
}

void Block::commit_copies() {
  Thread& thread = threads_[current];
  thread.group_ends.push_back(thread.copies.size());
}

void Block::wait_copies(unsigned left) {
  Thread& thread = threads_[current];
  if (thread.group_ends.size() <= left) return;
  size_t groups = thread.group_ends.size() - left, count = thread.group_ends[groups - 1];
  for (size_t i = 0; i < count; i++) {
    const PendingCopy& copy = thread.copies[i];
    shared.end_copy(copy.target, copy.source, copy.bytes);
  }
  thread.copies.erase(thread.copies.begin(), thread.copies.begin() + count);
  thread.group_ends.erase(thread.group_ends.begin(), thread.group_ends.begin() + groups);
  for (size_t& end : thread.group_ends) end -= count;
}

void Block::report_deadlock() {
  unsigned shown = 0;
  while (threads_[shown].finished) shown++;
  const char* first = threads_[shown].waits_for;
  unsigned alike = 0;
  const char* other = nullptr;
  for (unsigned i = 0; i < thread_count; i++) {
    if (threads_[i].finished) continue;
    if (threads_[i].waits_for == first) {
      alike++;
    } else {
      other = threads_[i].waits_for;
    }
  }
  char text[256];
  std::snprintf(text, sizeof text, "block %u: deadlock: %u threads wait for %s, %u for %s, %u have ended", index, alike,
                first, unfinished_ - alike, other ? other : "anything else", thread_count - unfinished_);
  failure = text;
}

void Block::fail(const char* format, ...) {
  char text[512];
  va_list values;
  va_start(values, format);
  int used = std::snprintf(text, sizeof text, "block %u, thread %u: ", index, current);
  std::vsnprintf(text + used, sizeof text - used, format, values);
  va_end(values);
  failure = text;
  // The kernel's fibers own nothing, so they can be left where they are.
  Fiber abandoned;
  switch_fiber(abandoned, scheduler_);
  __builtin_unreachable();
}

}  // namespace emulator
