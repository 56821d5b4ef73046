// Shared memory of a block: bounds, alignment, and a race detector.
//
// Every word remembers who wrote and who read it last, and when, counted in meetings of the block and of the
// warp. Two accesses of which one writes are in order if one thread makes both, if the block met at a barrier
// in between, or if both are of one warp and its lanes met in between. Anything else is a race.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

namespace emulator {

class SharedMemory {
 public:
  // Largest block of shared memory of any device here.
  static constexpr uint32_t MAX_BYTES = 227 << 10;

  SharedMemory();

  void begin_block(uint32_t bytes);
  void block_has_met() { block_epoch_++; }
  void warp_has_met(unsigned warp, uint32_t lanes);

  template <class T>
  T load(uint32_t address) {
    check(address, sizeof(T), alignof(T), "reads");
    for (uint32_t word = address / 4; word <= (address + sizeof(T) - 1) / 4; word++) note_read(word);
    T value;
    std::memcpy(&value, bytes_.data() + address, sizeof(T));
    return value;
  }

  template <class T>
  void store(uint32_t address, const T& value) {
    check(address, sizeof(T), alignof(T), "writes");
    for (uint32_t word = address / 4; word <= (address + sizeof(T) - 1) / 4; word++) note_write(word);
    std::memcpy(bytes_.data() + address, &value, sizeof(T));
  }

  // The 16 bytes of a row that ldmatrix reads on behalf of the current thread's warp.
  const unsigned char* matrix_row(uint32_t address);

  // A copy has been asked for: the bytes are nobody's until it has arrived.
  void begin_copy(uint32_t address, uint32_t bytes);
  // It has arrived; a null source stands for zeros.
  void end_copy(uint32_t address, const unsigned char* source, uint32_t bytes);

 private:
  // A moment: who, and how often block and warp had met.
  struct Stamp {
    uint32_t block_epoch = 0;  // 0: never
    uint16_t warp_epoch = 0;
    uint16_t thread = 0;
  };
  struct Word {
    Stamp write;
    Stamp read;
  };
  // In place of a thread: an asynchronous copy is under way.
  static constexpr uint16_t IN_FLIGHT = 0xffff;
  // In place of a reader: several lanes of one warp (plus the warp), or several warps.
  static constexpr uint16_t WARP_READERS = 0x8000;
  static constexpr uint16_t MANY_READERS = 0xfffe;

  void check(uint32_t address, uint32_t bytes, uint32_t alignment, const char* does);
  Stamp now() const;
  bool ordered(const Stamp& before, const Stamp& after) const;
  void note_read(uint32_t word);
  void note_write(uint32_t word);

  std::vector<unsigned char> bytes_;
  std::vector<Word> words_;
  uint32_t size_ = 0;
  uint32_t block_epoch_ = 1;
  uint32_t first_epoch_ = 1;
  std::vector<uint16_t> warp_epochs_;
};

}  // namespace emulator
