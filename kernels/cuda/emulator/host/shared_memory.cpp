// Who touched which word of shared memory when, and whether that was in order.
#include "shared_memory.h"

#include "block.h"

namespace emulator {

// What memory holds that nobody has written: half-precision and single-precision NaN.
static constexpr unsigned char GARBAGE = 0xff;

SharedMemory::SharedMemory() : bytes_(MAX_BYTES), words_(MAX_BYTES / 4), warp_epochs_(32) {}

void SharedMemory::begin_block(uint32_t bytes) {
  size_ = bytes;
  // Stamps of earlier blocks are older than this epoch, which saves clearing them.
  first_epoch_ = ++block_epoch_;
  std::memset(bytes_.data(), GARBAGE, bytes);
}

void SharedMemory::warp_has_met(unsigned warp, uint32_t lanes) {
  // A meeting of some lanes orders only those, which the stamps cannot express: it counts for none.
  if (lanes == FULL_WARP) warp_epochs_[warp]++;
}

void SharedMemory::check(uint32_t address, uint32_t bytes, uint32_t alignment, const char* does) {
  if (address > size_ || bytes > size_ - address) {
    block->fail("it %s %u bytes at %u of %u bytes of shared memory", does, bytes, address, size_);
  }
  if (address % alignment != 0) block->fail("it %s shared memory at %u, which is not a multiple of %u", does, address, alignment);
}

SharedMemory::Stamp SharedMemory::now() const {
  return {block_epoch_, warp_epochs_[block->current / WARP], static_cast<uint16_t>(block->current)};
}

bool SharedMemory::ordered(const Stamp& before, const Stamp& after) const {
  if (before.block_epoch != after.block_epoch || before.thread == after.thread) return true;
  return before.thread / WARP == after.thread / WARP && before.warp_epoch != after.warp_epoch;
}

void SharedMemory::note_read(uint32_t index) {
  Word& word = words_[index];
  Stamp stamp = now();
  if (word.write.block_epoch < first_epoch_) block->fail("it reads shared memory at %u, which nobody has written", index * 4);
  if (word.write.thread == IN_FLIGHT) block->fail("it reads shared memory at %u before an asynchronous copy to it was waited for", index * 4);
  if (!ordered(word.write, stamp)) block->fail("race: it reads shared memory at %u, which thread %u has just written", index * 4, word.write.thread);
  Stamp& read = word.read;
  uint16_t warp = static_cast<uint16_t>(WARP_READERS | stamp.thread / WARP);
  if (read.block_epoch != stamp.block_epoch || read.thread == stamp.thread) {
    read = stamp;
  } else if (read.thread != MANY_READERS) {
    bool same_warp = read.thread == warp || (read.thread < WARP_READERS && read.thread / WARP == stamp.thread / WARP);
    read.thread = same_warp ? warp : MANY_READERS;
    read.warp_epoch = stamp.warp_epoch;
  }
}

void SharedMemory::note_write(uint32_t index) {
  Word& word = words_[index];
  Stamp stamp = now();
  if (word.write.block_epoch >= first_epoch_) {
    if (word.write.thread == IN_FLIGHT) block->fail("it writes shared memory at %u while an asynchronous copy to it is under way", index * 4);
    if (!ordered(word.write, stamp)) block->fail("race: it writes shared memory at %u, as thread %u has just done", index * 4, word.write.thread);
  }
  const Stamp& read = word.read;
  if (read.block_epoch == stamp.block_epoch) {
    uint16_t warp = static_cast<uint16_t>(WARP_READERS | stamp.thread / WARP);
    bool in_order = read.thread == warp ? read.warp_epoch != stamp.warp_epoch
                                        : read.thread < WARP_READERS && ordered(read, stamp);
    if (!in_order) block->fail("race: it writes shared memory at %u, which other threads may still read", index * 4);
  }
  word.write = stamp;
}

const unsigned char* SharedMemory::matrix_row(uint32_t address) {
  check(address, 16, 16, "loads a matrix row of");
  for (uint32_t word = address / 4; word < address / 4 + 4; word++) note_read(word);
  return bytes_.data() + address;
}

void SharedMemory::begin_copy(uint32_t address, uint32_t bytes) {
  check(address, bytes, bytes, "copies to");
  for (uint32_t word = address / 4; word < (address + bytes) / 4; word++) {
    note_write(word);
    words_[word].write.thread = IN_FLIGHT;
  }
  std::memset(bytes_.data() + address, GARBAGE, bytes);
}

void SharedMemory::end_copy(uint32_t address, const unsigned char* source, uint32_t bytes) {
  if (source == nullptr) {
    std::memset(bytes_.data() + address, 0, bytes);
  } else {
    std::memcpy(bytes_.data() + address, source, bytes);
  }
  for (uint32_t word = address / 4; word < (address + bytes) / 4; word++) words_[word].write = now();
}

}  // namespace emulator
