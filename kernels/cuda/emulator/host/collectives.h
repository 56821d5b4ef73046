// What all lanes of a warp do together. The layouts are those that the PTX manual gives for ldmatrix and
// mma.m16n8k16.
#pragma once

#include "block.h"

namespace emulator {

inline void load_matrices(uint32_t (&matrices)[4], uint32_t address) {
  struct Operand {
    uint32_t* matrices;
    uint32_t address;
  } operand{matrices, address};
  block->collective("ldmatrix", FULL_WARP, &operand, [](void** operands) {
    for (unsigned matrix = 0; matrix < 4; matrix++) {
      uint32_t banks = 0;
      for (unsigned row = 0; row < 8; row++) {
        uint32_t from = static_cast<Operand*>(operands[matrix * 8 + row])->address;
        const unsigned char* bytes = block->shared.matrix_row(from);
        banks |= 1u << from / 16 % 8;
        for (unsigned i = 0; i < 4; i++) {
          std::memcpy(&static_cast<Operand*>(operands[row * 4 + i])->matrices[matrix], bytes + 4 * i, 4);
        }
      }
      // Eight rows of 16 bytes take one pass if they fall on all 32 banks.
      block->counts.bank_conflicts += 8 - __builtin_popcount(banks);
    }
  });
}

// Halves of a packed word, low first.
template <Element E>
void unpack(uint32_t packed, float& low, float& high) {
  if constexpr (E == Element::F16) {
    _Float16 halves[2];
    std::memcpy(halves, &packed, 4);
    low = halves[0];
    high = halves[1];
  } else {
    uint32_t bits[2] = {packed << 16, packed & 0xffff0000u};
    std::memcpy(&low, &bits[0], 4);
    std::memcpy(&high, &bits[1], 4);
  }
}

// The tiles of a whole warp at once: the 16 products of a step are summed first, then added to `c`.
template <Element E, int ROWS, int COLUMNS>
void multiply_tiles(float (&c)[ROWS][COLUMNS][4], const uint32_t (&a)[ROWS][4], const uint32_t (&b)[COLUMNS][2]) {
  struct Operand {
    float (*c)[COLUMNS][4];
    const uint32_t (*a)[4];
    const uint32_t (*b)[2];
  } operand{c, a, b};
  block->collective("mma", FULL_WARP, &operand, [](void** operands) {
    constexpr int DEPTH = 16, HEIGHT = ROWS * 16, WIDTH = COLUMNS * 8;
    float left[HEIGHT][DEPTH], right[DEPTH][WIDTH], sums[HEIGHT][WIDTH];
    for (int lane = 0; lane < 32; lane++) {
      auto& of = *static_cast<Operand*>(operands[lane]);
      int group = lane / 4, pair = lane % 4 * 2;
      for (int i = 0; i < ROWS; i++) {
        for (int part = 0; part < 4; part++) {
          float* at = &left[i * 16 + group + part % 2 * 8][pair + part / 2 * 8];
          unpack<E>(of.a[i][part], at[0], at[1]);
        }
      }
      for (int j = 0; j < COLUMNS; j++) {
        for (int part = 0; part < 2; part++) {
          int depth = pair + part * 8, column = j * 8 + group;
          unpack<E>(of.b[j][part], right[depth][column], right[depth + 1][column]);
        }
      }
    }
    for (int row = 0; row < HEIGHT; row++) {
      float sum[WIDTH] = {};
      for (int k = 0; k < DEPTH; k++) {
        float factor = left[row][k];
        for (int column = 0; column < WIDTH; column++) sum[column] += factor * right[k][column];
      }
      std::memcpy(sums[row], sum, sizeof sum);
    }
    for (int lane = 0; lane < 32; lane++) {
      auto& of = *static_cast<Operand*>(operands[lane]);
      int group = lane / 4, pair = lane % 4 * 2;
      for (int i = 0; i < ROWS; i++) {
        for (int j = 0; j < COLUMNS; j++) {
          for (int part = 0; part < 4; part++) {
            of.c[i][j][part] += sums[i * 16 + group + part / 2 * 8][j * 8 + pair + part % 2];
          }
        }
      }
    }
    block->counts.matrix_products += ROWS * COLUMNS;
  });
}

template <class T>
T shuffle_xor(T value, uint32_t difference) {
  struct Operand {
    T value, result;
    uint32_t difference;
  } operand{value, value, difference};
  block->collective("a shuffle", FULL_WARP, &operand, [](void** operands) {
    for (unsigned lane = 0; lane < WARP; lane++) {
      auto& of = *static_cast<Operand*>(operands[lane]);
      if (of.difference >= WARP) block->fail("a shuffle reaches beyond the warp");
      of.result = static_cast<Operand*>(operands[lane ^ of.difference])->value;
    }
  });
  return operand.result;
}

inline uint32_t ballot(bool condition) {
  struct Operand {
    bool condition;
    uint32_t result;
  } operand{condition, 0};
  block->collective("a ballot", FULL_WARP, &operand, [](void** operands) {
    uint32_t votes = 0;
    for (unsigned lane = 0; lane < WARP; lane++) votes |= uint32_t{static_cast<Operand*>(operands[lane])->condition} << lane;
    for (unsigned lane = 0; lane < WARP; lane++) static_cast<Operand*>(operands[lane])->result = votes;
  });
  return operand.result;
}

}  // namespace emulator
