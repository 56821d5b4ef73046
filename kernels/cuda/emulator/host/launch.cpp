// The C interface: a launch, block by block in random order.
#include <cstdio>
#include <cstring>
#include <numeric>
#include <vector>

#include "block.h"
#include "entry_points.h"

namespace emulator {

static const EntryPoint* first_entry_point = nullptr;

EntryPoint::EntryPoint(const char* name, void (*run)(const void*), size_t argument_bytes, unsigned threads)
    : name(name), run(run), argument_bytes(argument_bytes), threads(threads), next(first_entry_point) {
  first_entry_point = this;
}

// What the Rust side passes; layout shared with it.
struct Launch {
  const char* entry_point;
  const void* arguments;
  uint64_t argument_bytes;
  uint32_t blocks;
  uint32_t threads;
  uint32_t shared_bytes;
  uint32_t buffer_count;
  const Buffer* buffers;
  uint64_t seed;
};

static bool refuse(char* message, size_t size, const char* name, const char* why) {
  std::snprintf(message, size, "%s: %s", name, why);
  return false;
}

static bool run(const Launch& launch, Counts& counts, char* message, size_t size) {
  const EntryPoint* entry = first_entry_point;
  while (entry != nullptr && std::strcmp(entry->name, launch.entry_point) != 0) entry = entry->next;
  const char* name = launch.entry_point;
  if (entry == nullptr) return refuse(message, size, name, "no such entry point");
  if (entry->argument_bytes != launch.argument_bytes) return refuse(message, size, name, "the argument block has another size");
  if (entry->threads != launch.threads) return refuse(message, size, name, "it was compiled for another number of threads");
  if (launch.shared_bytes > SharedMemory::MAX_BYTES) return refuse(message, size, name, "no device has so much shared memory");
  if (launch.blocks == 0) return refuse(message, size, name, "a grid without blocks");

  static thread_local Block running;
  block = &running;
  running.failure.clear();
  running.counts = {};
  running.random.state = launch.seed * 0x9e3779b97f4a7c15ull | 1;
  running.global.begin_launch(launch.buffers, launch.buffer_count);
  std::vector<uint32_t> order(launch.blocks);
  std::iota(order.begin(), order.end(), 0u);
  for (uint32_t i = launch.blocks - 1; i > 0; i--) std::swap(order[i], order[running.random.below(i + 1)]);
  for (uint32_t index : order) {
    running.run(entry->run, launch.arguments, launch.threads, launch.shared_bytes, index);
    if (!running.failure.empty()) return refuse(message, size, name, running.failure.c_str());
  }
  counts = running.counts;
  return true;
}

}  // namespace emulator

// Runs a launch to its end. Returns false with a message if the kernel or the launch is wrong.
extern "C" __attribute__((visibility("default"))) bool libvision_emulate(const emulator::Launch* launch,
                                                                         emulator::Counts* counts, char* message,
                                                                         size_t message_bytes) {
  return emulator::run(*launch, *counts, message, message_bytes);
}

// Calls `visit` with the name, the threads and the size of the argument block of every entry point.
extern "C" __attribute__((visibility("default"))) void libvision_entry_points(void (*visit)(void*, const char*, unsigned, size_t),
                                                                              void* context) {
  for (auto* entry = emulator::first_entry_point; entry != nullptr; entry = entry->next) {
    visit(context, entry->name, entry->threads, entry->argument_bytes);
  }
}
