// Global memory of a launch: the buffers it was given, and which bytes of its outputs it has written.
#pragma once

#include <cstdint>
#include <vector>

namespace emulator {

// A buffer that the kernel may use; layout shared with the Rust side.
struct Buffer {
  uint64_t address;     // that the kernel knows it by
  unsigned char* data;  // where its bytes are
  uint64_t bytes;
  uint32_t writable;  // 0: read only; 1: each byte is written at most once and never read
  uint32_t unused;
};

class GlobalMemory {
 public:
  void begin_launch(const Buffer* buffers, unsigned count);

  // Where `bytes` at `address` are. Ends the block unless they lie in one buffer that may be read.
  const unsigned char* to_read(const void* address, uint32_t bytes, uint32_t alignment);
  // The same for writing; a byte that was written in this launch before is a race between threads.
  unsigned char* to_write(const void* address, uint32_t bytes, uint32_t alignment);

 private:
  struct Known {
    Buffer buffer;
    std::vector<unsigned char> written;
  };
  Known* find(uint64_t address, uint32_t bytes, uint32_t alignment, const char* does);

  std::vector<Known> buffers_;
  Known* last_ = nullptr;
};

}  // namespace emulator
