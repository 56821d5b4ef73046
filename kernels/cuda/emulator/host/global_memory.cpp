// Bounds and single writers of global memory.
#include "global_memory.h"

#include <cstring>

#include "block.h"

namespace emulator {

void GlobalMemory::begin_launch(const Buffer* buffers, unsigned count) {
  buffers_.clear();
  last_ = nullptr;
  for (unsigned i = 0; i < count; i++) {
    Known known{buffers[i], {}};
    if (buffers[i].writable) known.written.resize(buffers[i].bytes);
    buffers_.push_back(std::move(known));
  }
}

GlobalMemory::Known* GlobalMemory::find(uint64_t address, uint32_t bytes, uint32_t alignment, const char* does) {
  auto holds = [&](const Known& known) {
    return address >= known.buffer.address && address + bytes <= known.buffer.address + known.buffer.bytes;
  };
  if (address % alignment != 0) {
    block->fail("it %s global memory at an address that is not a multiple of %u", does, alignment);
  }
  if (last_ != nullptr && holds(*last_)) return last_;
  for (Known& known : buffers_) {
    if (holds(known)) return last_ = &known;
  }
  for (unsigned i = 0; i < buffers_.size(); i++) {
    auto distance = static_cast<int64_t>(address - buffers_[i].buffer.address);
    if (distance >= -4096 && distance < static_cast<int64_t>(buffers_[i].buffer.bytes) + 4096) {
      block->fail("it %s %u bytes at %lld of buffer %u, which has %llu bytes", does, bytes, static_cast<long long>(distance), i,
                  static_cast<unsigned long long>(buffers_[i].buffer.bytes));
    }
  }
  block->fail("it %s global memory that belongs to no buffer", does);
}

const unsigned char* GlobalMemory::to_read(const void* address, uint32_t bytes, uint32_t alignment) {
  uint64_t at = reinterpret_cast<uintptr_t>(address);
  const Buffer& buffer = find(at, bytes, alignment, "reads")->buffer;
  if (buffer.writable) block->fail("it reads from a buffer that it writes");
  return buffer.data + (at - buffer.address);
}

unsigned char* GlobalMemory::to_write(const void* address, uint32_t bytes, uint32_t alignment) {
  uint64_t at = reinterpret_cast<uintptr_t>(address);
  Known* known = find(at, bytes, alignment, "writes");
  if (!known->buffer.writable) block->fail("it writes to a buffer that is read only");
  size_t offset = at - known->buffer.address;
  for (uint32_t i = 0; i < bytes; i++) {
    if (known->written[offset + i]) block->fail("race: byte %zu of an output is written twice", offset + i);
  }
  std::memset(known->written.data() + offset, 1, bytes);
  return known->buffer.data + offset;
}

}  // namespace emulator
