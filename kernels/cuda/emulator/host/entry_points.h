// The entry points that were compiled into this library, by name.
#pragma once

#include <cstddef>

namespace emulator {

// Made by KERNEL, one per entry point, before the library's first use.
struct EntryPoint {
  EntryPoint(const char* name, void (*run)(const void*), size_t argument_bytes, unsigned threads);

  const char* name;
  void (*run)(const void*);
  size_t argument_bytes;
  unsigned threads;
  const EntryPoint* next;
};

}  // namespace emulator
