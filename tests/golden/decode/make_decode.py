#!/usr/bin/env python3
"""Writes small pictures of every format and what Pillow makes of them.

    pip install pillow==13.0.0 numpy simplejpeg
    python make_decode.py

pictures/        the files
expected.txt     for each file: name, width and height of the RGB picture, how it is compared (exact or
                 close), SHA-256 of the RGB bytes, and for files with an EXIF orientation width, height and
                 SHA-256 of the upright picture
close/NAME.png   for lossy formats that need only be close: the RGB bytes

All of it is deterministic; the same libraries write the same bytes.
"""

import hashlib
import io
import pathlib
import shutil
import struct
import zlib

import numpy as np
import simplejpeg
from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).parent
WIDTH, HEIGHT = 45, 35


def photo(width=WIDTH, height=HEIGHT, channels=3):
    """A picture with slopes, edges and some noise."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [
        127 + 120 * np.sin(x / 7.0 + y / 11.0),
        255.0 * x / width * (1 - y / height / 2),
        np.where((x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 3) ** 2, 220, 30) + y,
        255.0 * y / height,
    ]
    noise = np.random.default_rng(7).integers(-6, 7, (height, width, channels))
    return np.clip(np.stack(planes[:channels], -1) + noise, 0, 255).astype(np.uint8)


# ---- PNG -------------------------------------------------------------------------------------------


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pack_rows(samples, depth):
    """Rows of samples (height x width x channels) as PNG and BMP pack them."""
    rows = samples.reshape(samples.shape[0], -1)
    if depth == 16:
        return [row.astype(">u2").tobytes() for row in rows]
    if depth == 8:
        return [row.astype(np.uint8).tobytes() for row in rows]
    bits = ((rows[..., None] >> np.arange(depth - 1, -1, -1)) & 1).reshape(rows.shape[0], -1)
    return [np.packbits(row.astype(np.uint8)).tobytes() for row in bits]


def png(samples, color, depth, interlaced=False, extra=b"", filters=(0, 1, 2, 3, 4)):
    height, width, channels = samples.shape
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    raw = bytearray()
    step = max(1, channels * depth // 8)
    for top, left, down, right in passes:
        part = samples[top::down, left::right]
        if part.size == 0:
            continue
        previous = None
        for index, row in enumerate(pack_rows(part, depth)):
            kind = filters[index % len(filters)]
            raw.append(kind)
            raw += png_filter(kind, row, previous, step)
            previous = row
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, int(interlaced))
    data = zlib.compress(bytes(raw), 9)
    half = len(data) // 2
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + extra
        + png_chunk(b"IDAT", data[:half])
        + png_chunk(b"IDAT", data[half:])
        + png_chunk(b"IEND", b"")
    )


def png_filter(kind, row, previous, step):
    out = bytearray()
    for i, byte in enumerate(row):
        a = row[i - step] if i >= step else 0
        b = previous[i] if previous else 0
        c = previous[i - step] if previous and i >= step else 0
        estimate = a + b - c
        nearest = min((abs(estimate - a), 0, a), (abs(estimate - b), 1, b), (abs(estimate - c), 2, c))[2]
        out.append((byte - (0, a, b, (a + b) // 2, nearest)[kind]) & 255)
    return bytes(out)


def palette_of(count):
    rng = np.random.default_rng(count)
    return rng.integers(0, 256, (count, 3)).astype(np.uint8)


def png_files():
    wide = photo(channels=4).astype(np.uint32) * 257 + 13
    wide = np.clip(wide, 0, 65535)
    grey = photo(channels=1)
    for depth in (1, 2, 4, 8, 16):
        samples = wide[..., :1] if depth == 16 else grey >> (8 - depth)
        yield f"grey{depth}.png", png(samples, 0, depth)
        yield f"grey{depth}_interlaced.png", png(samples, 0, depth, interlaced=True)
    yield "grey16_dark.png", png(wide[..., :1] >> 7, 0, 16)
    yield "grey8_transparent.png", png(grey, 0, 8, extra=png_chunk(b"tRNS", b"\0\x20"))
    yield "grey16_transparent.png", png(wide[..., :1], 0, 16, extra=png_chunk(b"tRNS", b"\x01\x0d"))
    for depth in (1, 2, 4, 8):
        colors = palette_of(1 << depth)
        plte = png_chunk(b"PLTE", colors.tobytes())
        yield f"palette{depth}.png", png(grey >> (8 - depth), 3, depth, extra=plte)
        trns = png_chunk(b"tRNS", bytes(range(0, 1 << depth, 3)))
        yield f"palette{depth}_transparent_interlaced.png", png(
            grey >> (8 - depth), 3, depth, interlaced=True, extra=plte + trns
        )
    short = png_chunk(b"PLTE", palette_of(5).tobytes())
    yield "palette8_short.png", png(grey >> 5, 3, 8, extra=short)
    for color, name, channels in ((2, "rgb", 3), (4, "grey_alpha", 2), (6, "rgba", 4)):
        for depth in (8, 16):
            samples = (wide if depth == 16 else photo(channels=4))[..., -channels:]
            yield f"{name}{depth}.png", png(samples, color, depth)
            yield f"{name}{depth}_interlaced.png", png(samples, color, depth, interlaced=True)
    yield "rgb8_transparent.png", png(photo(), 2, 8, extra=png_chunk(b"tRNS", b"\0\1\0\2\0\3"))
    text = png_chunk(b"tEXt", b"Comment\0not a picture") + png_chunk(b"gAMA", struct.pack(">I", 45455))
    yield "rgb8_metadata.png", png(photo(), 2, 8, extra=text)
    yield "one_pixel.png", png(photo(1, 1), 2, 8)
    yield "one_pixel_interlaced.png", png(photo(1, 1), 2, 8, interlaced=True)
    yield "one_column.png", png(photo(1, 40), 2, 8)
    yield "one_row_interlaced.png", png(photo(40, 1), 2, 8, interlaced=True)
    for value in range(1, 9):
        exif = png_chunk(b"eXIf", exif_orientation(value)[6:])
        yield f"orientation{value}.png", png(photo(), 2, 8, extra=exif)


def exif_orientation(value):
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, value, 0)
    return b"Exif\0\0" + b"II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0)


# ---- BMP -------------------------------------------------------------------------------------------


def bmp(rows, width, height, bits, palette=b"", compression=0, masks=b"", header=40, top_down=False, colors=0):
    if not top_down and compression in (0, 3):
        rows = rows[::-1]
    pixels = b"".join(row + bytes(-len(row) % 4) for row in rows) if compression in (0, 3) else rows
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        signed = -height if top_down else height
        info = struct.pack("<IiiHHIIiiII", header, width, signed, 1, bits, compression, len(pixels), 0, 0, colors, 0)
        if header > 40:
            info += masks + bytes(header - 40 - len(masks))
        else:
            info += masks
    offset = 14 + len(info) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(pixels), 0, 0, offset) + info + palette + pixels


def bmp_palette(colors, size=4):
    return b"".join(bytes([b, g, r]) + bytes(size - 3) for r, g, b in colors.tolist())


def run_lengths(indices, four_bits):
    """RLE with runs, literals and a line end per row, bottom row first."""
    out = bytearray()
    for row in indices[::-1].tolist():
        x = 0
        while x < len(row):
            run = 1
            while x + run < len(row) and run < 255 and row[x + run] == row[x]:
                run += 1
            literal = min(7, len(row) - x)
            if run < 3 and literal >= 3:
                values = row[x : x + literal]
                if four_bits:
                    packed = bytes((a << 4) | b for a, b in zip(values[::2], values[1::2] + [0]))
                else:
                    packed = bytes(values)
                out += bytes([0, literal]) + packed + bytes(len(packed) % 2)
                x += literal
            else:
                value = row[x]
                out += bytes([run, value << 4 | value if four_bits else value])
                x += run
        out += b"\0\0"
    return bytes(out[:-2] + b"\0\1")


def bmp_files():
    grey, color = photo(channels=1), photo()
    bgr = color[..., ::-1]
    for bits in (1, 4, 8):
        rows = pack_rows(grey >> (8 - bits), bits)
        colors = palette_of(1 << bits)
        yield f"palette{bits}.bmp", bmp(rows, WIDTH, HEIGHT, bits, bmp_palette(colors))
    rows8 = pack_rows(grey >> 4, 8)
    yield "palette8_short.bmp", bmp(rows8, WIDTH, HEIGHT, 8, bmp_palette(palette_of(16)), colors=16)
    yield "palette8_os2.bmp", bmp(
        pack_rows(grey, 8), WIDTH, HEIGHT, 8, bmp_palette(palette_of(256), 3), header=12
    )
    rows24 = pack_rows(bgr, 8)
    yield "rgb24.bmp", bmp(rows24, WIDTH, HEIGHT, 24)
    yield "rgb24_top_down.bmp", bmp(rows24, WIDTH, HEIGHT, 24, top_down=True)
    yield "rgb24_os2.bmp", bmp(rows24, WIDTH, HEIGHT, 24, header=12)
    four = np.concatenate([bgr, photo(channels=4)[..., 3:]], -1)
    yield "rgb32.bmp", bmp(pack_rows(four, 8), WIDTH, HEIGHT, 32)
    wide = color.astype(np.uint16)
    word555 = (wide[..., 0] >> 3) << 10 | (wide[..., 1] >> 3) << 5 | wide[..., 2] >> 3
    word565 = (wide[..., 0] >> 3) << 11 | (wide[..., 1] >> 2) << 5 | wide[..., 2] >> 3
    rows555 = [row.astype("<u2").tobytes() for row in word555]
    rows565 = [row.astype("<u2").tobytes() for row in word565]
    yield "rgb16.bmp", bmp(rows555, WIDTH, HEIGHT, 16)
    yield "rgb555_masks.bmp", bmp(
        rows555, WIDTH, HEIGHT, 16, compression=3, masks=struct.pack("<III", 0x7C00, 0x3E0, 0x1F)
    )
    yield "rgb565_masks.bmp", bmp(
        rows565, WIDTH, HEIGHT, 16, compression=3, masks=struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    )
    masks32 = struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)
    yield "rgb32_masks.bmp", bmp(pack_rows(four, 8), WIDTH, HEIGHT, 32, compression=3, masks=masks32)
    yield "rgba32_v4.bmp", bmp(
        pack_rows(four, 8), WIDTH, HEIGHT, 32, compression=3, header=108,
        masks=masks32 + struct.pack("<I", 0xFF000000),
    )
    reversed_masks = struct.pack("<IIII", 0xFF, 0xFF00, 0xFF0000, 0xFF000000)
    yield "rgba32_v5_reversed.bmp", bmp(
        pack_rows(four[..., [2, 1, 0, 3]], 8), WIDTH, HEIGHT, 32, compression=3, header=124, masks=reversed_masks
    )
    flat = (grey[..., 0] >> 5).astype(np.uint8)
    yield "rle8.bmp", bmp(run_lengths(flat, False), WIDTH, HEIGHT, 8, bmp_palette(palette_of(256)), compression=1)
    yield "rle4.bmp", bmp(run_lengths(flat, True), WIDTH, HEIGHT, 4, bmp_palette(palette_of(16)), compression=2)


# ---- GIF -------------------------------------------------------------------------------------------


def lzw(indices, code_size):
    """LZW with a growing table that is cleared when it is full."""
    clear, end = 1 << code_size, (1 << code_size) + 1
    bits, count, out = 0, 0, bytearray()

    def put(code, width):
        nonlocal bits, count
        bits |= code << count
        count += width
        while count >= 8:
            out.append(bits & 255)
            bits >>= 8
            count -= 8

    table, width = {(i,): i for i in range(clear)}, code_size + 1
    put(clear, width)
    prefix = ()
    for index in indices:
        longer = prefix + (index,)
        if longer in table:
            prefix = longer
            continue
        put(table[prefix], width)
        table[longer] = len(table) + 2
        if len(table) + 2 > 4095:
            put(clear, width)
            table, width = {(i,): i for i in range(clear)}, code_size + 1
        elif table[longer] >= 1 << width:
            width += 1
        prefix = (index,)
    put(table[prefix], width)
    put(end, width)
    if count:
        out.append(bits & 255)
    return bytes(out)


def gif_frame(indices, left=0, top=0, palette=None, transparent=None, interlaced=False, code_size=8):
    height, width = indices.shape
    order = range(height)
    if interlaced:
        order = [y for start, step in ((0, 8), (4, 8), (2, 4), (1, 2)) for y in range(start, height, step)]
    out = b""
    if transparent is not None:
        out += b"\x21\xf9\x04" + struct.pack("<BHB", 1, 0, transparent) + b"\0"
    flags = (0x40 if interlaced else 0) | (0x80 | (palette_bits(palette) - 1) if palette is not None else 0)
    out += b"\x2c" + struct.pack("<HHHHB", left, top, width, height, flags)
    if palette is not None:
        out += palette.tobytes()
    data = lzw([int(i) for y in order for i in indices[y]], code_size)
    out += bytes([code_size])
    for start in range(0, len(data), 255):
        block = data[start : start + 255]
        out += bytes([len(block)]) + block
    return out + b"\0"


def palette_bits(palette):
    return (len(palette) - 1).bit_length()


def gif(frames, width=WIDTH, height=HEIGHT, palette=None, background=0, version=b"GIF89a", extra=b""):
    flags = 0x80 | (palette_bits(palette) - 1) if palette is not None else 0
    out = version + struct.pack("<HHBBB", width, height, flags, background, 0)
    if palette is not None:
        out += palette.tobytes()
    return out + extra + b"".join(frames) + b"\x3b"


def gif_files():
    grey = photo(channels=1)[..., 0]
    full = palette_of(256)
    part = grey[5:25, 10:30]
    comment = b"\x21\xfe\x05hello\x03you\0"
    yield "plain.gif", gif([gif_frame(grey)], palette=full, version=b"GIF87a")
    yield "interlaced.gif", gif([gif_frame(grey, interlaced=True)], palette=full, extra=comment)
    yield "two_colors.gif", gif([gif_frame(grey >> 7, code_size=2)], palette=palette_of(2))
    yield "four_colors.gif", gif([gif_frame(grey >> 6, code_size=2)], palette=palette_of(4))
    yield "local_palette.gif", gif([gif_frame(grey, palette=palette_of(256)[::-1].copy())], palette=full)
    yield "no_palette.gif", gif([gif_frame(grey)])
    yield "transparent.gif", gif([gif_frame(grey >> 4, transparent=9, code_size=4)], palette=palette_of(16))
    yield "partial.gif", gif([gif_frame(part, 10, 5)], palette=full, background=77)
    yield "partial_transparent.gif", gif([gif_frame(part, 10, 5, transparent=130)], palette=full, background=77)
    yield "partial_local.gif", gif([gif_frame(part, 3, 2, palette=palette_of(256)[::-1].copy())], palette=full)
    yield "beyond_screen.gif", gif([gif_frame(part, 40, 30)], palette=full)
    yield "short_palette.gif", gif([gif_frame(grey)], palette=palette_of(64))
    yield "animated.gif", gif([gif_frame(grey), gif_frame(grey[::-1].copy())], palette=full)
    yield "long_lzw.gif", gif(
        [gif_frame(np.random.default_rng(3).integers(0, 256, (90, 90)))], 90, 90, palette=full
    )


# ---- WebP ------------------------------------------------------------------------------------------


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def riff(chunks):
    body = b"WEBP" + b"".join(k + struct.pack("<I", len(d)) + d + bytes(len(d) % 2) for k, d in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def bitstream(file):
    """Kind and data of the bitstream of a WebP file."""
    at = 12
    while True:
        kind, length = file[at : at + 4], struct.unpack_from("<I", file, at + 4)[0]
        if kind in (b"VP8 ", b"VP8L"):
            return kind, file[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def u24(number):
    return struct.pack("<I", number)[:3]


def webp_files():
    color, alpha = Image.fromarray(photo()), Image.fromarray(photo(channels=4))
    even = Image.fromarray(photo(32, 48))
    for quality in (5, 75, 95):
        yield f"lossy{quality}.webp", saved(color, "WEBP", quality=quality)
    yield "lossy_even.webp", saved(even, "WEBP", quality=80)
    yield "lossy_alpha.webp", saved(alpha, "WEBP", quality=75, exact=True)
    yield "lossless.webp", saved(color, "WEBP", lossless=True)
    yield "lossless_alpha.webp", saved(alpha, "WEBP", lossless=True, exact=True)
    for levels in (2, 4, 16, 200):
        few = Image.fromarray(palette_of(levels)[photo(channels=1)[..., 0].astype(int) * levels // 256])
        yield f"lossless_palette{levels}.webp", saved(few, "WEBP", lossless=True, method=6)
    y, x = np.mgrid[0:130, 0:150]
    smooth = np.stack([x + y, 2 * x + 30 * np.sin(y / 9.0), (x * y) // 90], -1).astype(np.uint8)
    smooth[40:80, 50:100] = np.random.default_rng(1).integers(0, 256, (40, 50, 3))
    for method in (0, 4, 6):
        yield f"lossless_large_method{method}.webp", saved(
            Image.fromarray(smooth), "WEBP", lossless=True, method=method, quality=100
        )
    yield "lossless_one_pixel.webp", saved(Image.fromarray(photo(1, 1)), "WEBP", lossless=True)
    yield "lossy_one_pixel.webp", saved(Image.fromarray(photo(1, 1)), "WEBP", quality=80)
    frames = [Image.fromarray(photo()[::-1])]
    yield "animated_lossy.webp", saved(color, "WEBP", save_all=True, append_images=frames, quality=80)
    yield "animated_lossless.webp", saved(alpha, "WEBP", save_all=True, append_images=frames, lossless=True)
    for name, options in (("lossy", {"quality": 80}), ("lossless", {"lossless": True})):
        kind, data = bitstream(saved(even, "WEBP", **options))
        frame = u24(4 // 2) + u24(6 // 2) + u24(31) + u24(47) + u24(100) + b"\0"
        header = bytes([2, 0, 0, 0]) + u24(49) + u24(59)
        chunk = kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
        yield f"animated_partial_{name}.webp", riff(
            [(b"VP8X", header), (b"ANIM", b"\x10\x20\x30\xff\0\0"), (b"ANMF", frame + chunk)]
        )
    for value in (1, 6):
        yield f"orientation{value}.webp", saved(color, "WEBP", lossless=True, exif=exif_orientation(value))


# ---- JPEG ------------------------------------------------------------------------------------------


def jpeg_files():
    for width, height in ((45, 35), (64, 48), (7, 9)):
        color = Image.fromarray(photo(width, height))
        grey = Image.fromarray(photo(width, height, 1)[..., 0])
        size = f"{width}x{height}"
        for sampling in ("4:4:4", "4:2:2", "4:2:0"):
            name = sampling.replace(":", "")
            for progressive in (False, True):
                kind = "progressive" if progressive else "baseline"
                yield f"{kind}_{name}_{size}.jpg", saved(
                    color, "JPEG", quality=85, subsampling=sampling, progressive=progressive
                )
        for sampling in ("440", "411"):
            yield f"baseline_{sampling}_{size}.jpg", simplejpeg.encode_jpeg(
                photo(width, height), quality=85, colorsubsampling=sampling
            )
        yield f"grey_{size}.jpg", saved(grey, "JPEG", quality=85)
        yield f"grey_progressive_{size}.jpg", saved(grey, "JPEG", quality=85, progressive=True)
    color = Image.fromarray(photo())
    yield "quality30.jpg", saved(color, "JPEG", quality=30)
    yield "quality100.jpg", saved(color, "JPEG", quality=100, subsampling=0)
    yield "restart_blocks.jpg", saved(color, "JPEG", quality=85, restart_marker_blocks=2)
    yield "restart_rows_progressive.jpg", saved(color, "JPEG", quality=85, restart_marker_rows=1, progressive=True)
    yield "optimized.jpg", saved(color, "JPEG", quality=85, optimize=True)
    yield "rgb.jpg", saved(color, "JPEG", quality=85, keep_rgb=True)
    inks = Image.fromarray(photo(channels=4), "CMYK") if False else Image.merge("CMYK", [
        Image.fromarray(plane) for plane in np.moveaxis(photo(channels=4), -1, 0)
    ])
    cmyk = saved(inks, "JPEG", quality=90)
    yield "cmyk.jpg", cmyk
    yield "cmyk_progressive.jpg", saved(inks, "JPEG", quality=90, progressive=True)
    adobe = cmyk.index(b"Adobe")
    yield "ycck.jpg", cmyk[: adobe + 11] + b"\x02" + cmyk[adobe + 12 :]
    yield "comment_and_profile.jpg", saved(
        color, "JPEG", quality=85, comment=b"a comment", icc_profile=b"not a profile" * 20
    )
    for value in range(1, 9):
        yield f"orientation{value}.jpg", saved(color, "JPEG", quality=85, exif=exif_orientation(value))


# ---- all of them -----------------------------------------------------------------------------------


def digest(image):
    return hashlib.sha256(image.tobytes()).hexdigest()


def main():
    for folder in ("pictures", "close"):
        shutil.rmtree(HERE / folder, ignore_errors=True)
        (HERE / folder).mkdir()
    lines = []
    groups = (png_files, bmp_files, gif_files, webp_files, jpeg_files)
    for group in groups:
        for name, data in group():
            (HERE / "pictures" / name).write_bytes(data)
            image = Image.open(io.BytesIO(data)).convert("RGB")
            lossy = name.endswith(".jpg")
            fields = [name, image.width, image.height, "close" if lossy else "exact", digest(image)]
            if lossy:
                image.save(HERE / "close" / (name + ".png"), optimize=True)
            if name.startswith("orientation"):
                upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
                fields += [upright.width, upright.height, digest(upright)]
            lines.append(" ".join(map(str, fields)))
    (HERE / "expected.txt").write_text("\n".join(lines) + "\n")


main()
