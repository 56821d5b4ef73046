// Preprocessing: crop, resize, normalise and layout of a batch of pictures of any sizes, in one pass over memory.
// The resize is Pillow's: two passes in 22-bit fixed point with bytes between them, bit for bit. The host makes
// the coefficients; "first" and "second" name the axes in the order that Pillow resamples them.
//
// A block makes one tile of one picture's result. It walks over the source along the second axis, so many
// positions at a time, resamples those along the first axis into shared memory, and adds them up. Pixels come
// from one place, `source_pixel`, which the back half of a JPEG decoder can take over.
#include "divisor.cuh"
#include "elements.cuh"

constexpr u32 SIDE = 16;  // of a tile
constexpr u32 THREADS = SIDE * SIDE;
constexpr u32 LINES = 32;  // source positions along the second axis at a time
constexpr u32 PRECISION_BITS = 22;

struct Color {
  u32 red, green, blue;
};

DEVICE Color unpack_color(u32 packed) { return {packed & 255, packed >> 8 & 255, packed >> 16 & 255}; }
DEVICE u32 pack_color(Color color) { return color.red | color.green << 8 | color.blue << 16; }

DEVICE Color source_pixel(const PictureArguments& picture, u32 first, u32 second) {
  const u8* pixel = reinterpret_cast<const u8*>(picture.pixels) + u64{first} * picture.first.stride + u64{second} * picture.second.stride;
  return {load_global<u8>(pixel), load_global<u8>(pixel + 1), load_global<u8>(pixel + 2)};
}

DEVICE u32 start_of(const AxisArguments& axis, u32 position) {
  return load_global<u32>(reinterpret_cast<const u32*>(axis.starts) + position);
}
DEVICE u32 weight_of(const AxisArguments& axis, u32 position, u32 tap) {
  return load_global<u32>(reinterpret_cast<const u32*>(axis.weights) + u64{position} * axis.taps + tap);
}

// Sums of products in fixed point, starting with half a unit; they wrap as 32-bit numbers do.
struct Sums {
  u32 red = 1u << (PRECISION_BITS - 1), green = red, blue = red;

  DEVICE void add(u32 weight, Color color) {
    red += weight * color.red;
    green += weight * color.green;
    blue += weight * color.blue;
  }
  DEVICE static u32 to_byte(u32 sum) {
    int value = static_cast<int>(sum) >> PRECISION_BITS;
    return value < 0 ? 0 : (value > 255 ? 255 : value);
  }
  DEVICE Color to_color() const { return {to_byte(red), to_byte(green), to_byte(blue)}; }
};

// Positions of a tile that show the picture, counted from the axis's first; end <= start if none does.
struct Range {
  u32 start, end;
};
DEVICE Range visible(const AxisArguments& axis, u32 tile) {
  u32 start = tile * SIDE, end = start + SIDE, last = axis.at + axis.count;
  start = start < axis.at ? axis.at : start;
  end = end > last ? last : end;
  return {start - axis.at, end > start ? end - axis.at : start - axis.at};
}

DEVICE Color resample(const PictureArguments& picture, u32 first_tile, u32 second_tile) {
  const AxisArguments &first = picture.first, &second = picture.second;
  u32 column = thread_index() % SIDE, row = thread_index() / SIDE;
  u32 first_position = first_tile * SIDE + column - first.at, second_position = second_tile * SIDE + row - second.at;
  Range rows = visible(second, second_tile);
  bool shows = first_position < first.count && second_position < second.count;
  Sums sums;
  if (rows.start >= rows.end) return {0, 0, 0};
  u32 line = start_of(second, rows.start), end = start_of(second, rows.end - 1) + second.taps;
  end = end > second.source ? second.source : end;
  u32 own_start = shows ? start_of(second, second_position) : 0, own_end = shows ? own_start + second.taps : 0;
  for (; line < end; line += LINES) {
    u32 count = end - line < LINES ? end - line : LINES;
    for (u32 i = row; i < count; i += SIDE) {
      if (first_position < first.count) {
        Sums made;
        u32 start = start_of(first, first_position);
        for (u32 tap = 0; tap < first.taps && start + tap < first.source; tap++) {
          made.add(weight_of(first, first_position, tap), source_pixel(picture, start + tap, line + i));
        }
        store_shared(((i * SIDE) + column) * 4, pack_color(made.to_color()));
      }
    }
    block_barrier();
    u32 from = own_start > line ? own_start : line, to = own_end < line + count ? own_end : line + count;
    for (u32 position = from; position < to; position++) {
      u32 made = load_shared<u32>(((position - line) * SIDE + column) * 4);
      sums.add(weight_of(second, second_position, position - own_start), unpack_color(made));
    }
    block_barrier();
  }
  return sums.to_color();
}

template <Element E>
DEVICE void store_value(u64 tensor, u64 index, float value) {
  if constexpr (E == Element::F32) {
    store_global(reinterpret_cast<float*>(tensor) + index, value);
  } else {
    store_global(reinterpret_cast<u16*>(tensor) + index, static_cast<u16>(pack<E>(value, 0.0f)));
  }
}

DEVICE bool within(const AxisArguments& axis, u32 position) {
  return position - axis.canvas_at < axis.canvas_count;
}

template <Element E>
DEVICE void resize_normalize(const ResizeArguments& arguments) {
  u32 number = divide(block_index(), arguments.by_picture_tiles);
  u32 tiles = arguments.column_tiles * ((arguments.out_height + SIDE - 1) / SIDE), tile = block_index() - number * tiles;
  u32 row_tile = divide(tile, arguments.by_column_tiles), column_tile = tile - row_tile * arguments.column_tiles;
  PictureArguments picture = load_global<PictureArguments>(reinterpret_cast<const PictureArguments*>(arguments.pictures) + number);
  bool rows_first = picture.rows_first != 0;
  u32 first_tile = rows_first ? row_tile : column_tile, second_tile = rows_first ? column_tile : row_tile;
  Color color = resample(picture, first_tile, second_tile);

  u32 first = first_tile * SIDE + thread_index() % SIDE, second = second_tile * SIDE + thread_index() / SIDE;
  u32 row = rows_first ? first : second, column = rows_first ? second : first;
  if (row >= arguments.out_height || column >= arguments.out_width) return;
  bool shows = first - picture.first.at < picture.first.count && second - picture.second.at < picture.second.count;
  bool on_canvas = within(picture.first, first) && within(picture.second, second);
  if (!shows) color = unpack_color(on_canvas ? picture.fill : 0);
  const float* numbers = reinterpret_cast<const float*>(arguments.numbers);
  float values[3] = {load_global<float>(numbers + color.red), load_global<float>(numbers + 256 + color.green),
                     load_global<float>(numbers + 512 + color.blue)};
  u64 index = u64{number} * arguments.picture_stride + (u64{row} * arguments.out_width + column) * arguments.pixel_stride;
  UNROLL for (int channel = 0; channel < 3; channel++) {
    store_value<E>(arguments.output, index + u64(channel) * arguments.channel_stride, values[channel]);
  }
  for (u32 channel = 3; channel < arguments.stored_channels; channel++) {
    store_value<E>(arguments.output, index + u64{channel} * arguments.channel_stride, 0.0f);
  }
}

KERNEL(u8_resize_normalize_f16, ResizeArguments, THREADS) { resize_normalize<Element::F16>(arguments); }
KERNEL(u8_resize_normalize_bf16, ResizeArguments, THREADS) { resize_normalize<Element::BF16>(arguments); }
KERNEL(u8_resize_normalize_f32, ResizeArguments, THREADS) { resize_normalize<Element::F32>(arguments); }
