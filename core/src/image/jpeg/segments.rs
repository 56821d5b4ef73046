//! Walks the segments of a JPEG file (ITU-T T.81, annex B): sizes, components, number of scans, where
//! metadata lies, and whether the file ends where it should. Decodes nothing and allocates little.

use crate::error::Result;
use crate::image::failure::Place;
use crate::image::format::ImageFormat;
use crate::image::orientation::Orientation;
use std::ops::Range;

/// A component of the frame header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Component {
    pub(super) id: u8,
    pub(super) horizontal: usize,
    pub(super) vertical: usize,
}

/// The frame header.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) offset: usize,
    pub(super) progressive: bool,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) components: Vec<Component>,
}

/// What the walk has found so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Segments {
    pub(super) frame: Option<Frame>,
    /// Components in the first scan.
    pub(super) first_scan_components: usize,
    /// Scan headers seen.
    pub(super) scans: usize,
    /// The file says that it is JFIF.
    pub(super) jfif: bool,
    /// Colour transform of the Adobe segment.
    pub(super) adobe_transform: Option<u8>,
    /// There are bytes that play no part in decoding: application data, comments, idle markers and what
    /// lies between segments.
    pub(super) has_extras: bool,
    pub(super) orientation: Orientation,
    /// Byte after the end-of-image marker.
    pub(super) end: usize,
}

/// Where a walk stops.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// After the first scan header: everything that a header says is known.
    FirstScan,
    /// At the end-of-image marker. Stops early once there are more scans than this.
    End { max_scans: usize },
}

mod marker {
    pub(super) const TEM: u8 = 0x01;
    pub(super) const SOI: u8 = 0xd8;
    pub(super) const EOI: u8 = 0xd9;
    pub(super) const SOS: u8 = 0xda;
    pub(super) const DQT: u8 = 0xdb;
    pub(super) const DHT: u8 = 0xc4;
    pub(super) const DAC: u8 = 0xcc;
    pub(super) const DNL: u8 = 0xdc;
    pub(super) const DRI: u8 = 0xdd;
    pub(super) const COM: u8 = 0xfe;
}

const fn place(stage: &'static str, offset: usize) -> Place {
    Place::at(ImageFormat::Jpeg, stage, offset)
}

/// A marker with its data.
struct Segment<'a> {
    code: u8,
    /// Place of the marker.
    start: usize,
    data: &'a [u8],
    /// Place after the segment.
    end: usize,
}

fn segment_at(bytes: &[u8], position: usize) -> Result<Segment<'_>> {
    let (start, code) = next_marker(bytes, position)?;
    let after = start + 2;
    match code {
        marker::TEM | marker::SOI | marker::EOI | 0xd0..=0xd7 => {
            Ok(Segment { code, start, data: &[], end: after })
        }
        _ => {
            let payload = segment_payload(bytes, start, after)?;
            Ok(Segment { code, start, end: payload.end, data: &bytes[payload] })
        }
    }
}

/// Walks the file.
pub(super) fn walk(bytes: &[u8], until: Until) -> Result<Segments> {
    let mut found = Segments::default();
    let mut position = 2;
    loop {
        let segment = segment_at(bytes, position)?;
        let Segment { code, start, data, end } = segment;
        found.has_extras |= start > position;
        position = end;
        match code {
            marker::EOI if found.scans == 0 => {
                return Err(place("end of image", start).corrupt("it comes before any scan"));
            }
            marker::EOI => {
                found.end = end;
                return Ok(found);
            }
            marker::SOI => {
                return Err(place("segment", start).corrupt("a second start of image inside the first"));
            }
            0xc0..=0xc2 if found.frame.is_some() => {
                return Err(place("frame header", start).corrupt("a second frame in one image"));
            }
            0xc0..=0xc2 => found.frame = Some(frame_header(data, start, code == 0xc2)?),
            marker::DHT | marker::DQT | marker::DRI => {}
            // The height is known from the frame header, and a restart marker has no meaning here.
            marker::TEM | marker::DNL | 0xd0..=0xd7 => found.has_extras = true,
            0xc3 | 0xc5..=0xcf => return Err(place("frame header", start).unsupported(coding_name(code))),
            marker::SOS => {
                let scan = scan_header(data, start, &found)?;
                if found.scans == 0 {
                    found.first_scan_components = scan.components;
                }
                found.scans += 1;
                match until {
                    Until::FirstScan => return Ok(found),
                    Until::End { max_scans } if found.scans > max_scans => return Ok(found),
                    Until::End { .. } => position = skip_entropy_coded(bytes, end)?,
                }
                if (position - end) * 8 < scan.fewest_bits {
                    let needed = scan.fewest_bits.div_ceil(8);
                    let what = format!("{} bytes, the scan takes at least {needed}", position - end);
                    return Err(place("entropy-coded data", end).corrupt(what));
                }
            }
            0xe0..=0xef | marker::COM => application_data(&segment, &mut found),
            _ => return Err(place("segment", start).corrupt(format_args!("unknown marker ff{code:02x}"))),
        }
    }
}

/// The file without what plays no part in decoding, and without the Adobe segment unless `keep_adobe`.
/// The file must have been walked to its end.
pub(super) fn without_extras(bytes: &[u8], keep_adobe: bool) -> Result<Vec<u8>> {
    let mut kept = Vec::with_capacity(bytes.len());
    kept.extend_from_slice(&bytes[..2]);
    let mut position = 2;
    loop {
        let segment = segment_at(bytes, position)?;
        position = match segment.code {
            marker::SOS => skip_entropy_coded(bytes, segment.end)?,
            _ => segment.end,
        };
        let keep = match segment.code {
            0xe0..=0xef => segment.is_jfif() || (keep_adobe && segment.adobe_transform().is_some()),
            marker::COM | marker::TEM | marker::DNL | 0xd0..=0xd7 => false,
            _ => true,
        };
        if keep {
            kept.extend_from_slice(&bytes[segment.start..position]);
        }
        if segment.code == marker::EOI {
            return Ok(kept);
        }
    }
}

impl Segment<'_> {
    fn is_jfif(&self) -> bool {
        self.code == 0xe0 && self.data.starts_with(b"JFIF\0")
    }

    fn adobe_transform(&self) -> Option<u8> {
        let adobe = self.code == 0xee && self.data.starts_with(b"Adobe");
        if adobe { self.data.get(11).copied() } else { None }
    }
}

/// Place and code of the next marker. As in libjpeg, bytes before it that make no marker are skipped.
fn next_marker(bytes: &[u8], position: usize) -> Result<(usize, u8)> {
    let mut start = position;
    while let Some(offset) = bytes[start..].iter().position(|&byte| byte == 0xff) {
        start += offset;
        match bytes.get(start + 1) {
            Some(0) => start += 2,
            Some(0xff) => start += 1,
            Some(&code) => return Ok((start, code)),
            None => break,
        }
    }
    Err(place("marker", position).truncated("the file ends before the end-of-image marker"))
}

/// Bytes of the segment after its length field.
fn segment_payload(bytes: &[u8], start: usize, position: usize) -> Result<Range<usize>> {
    let Some(&[high, low]) = bytes.get(position..position + 2) else {
        return Err(place("segment", start).truncated("the file ends inside its length"));
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length < 2 {
        return Err(place("segment", start).corrupt(format_args!("length {length}, expected at least 2")));
    }
    let end = position + length;
    if end > bytes.len() {
        let what = format!("its length is {length}, the file has {} bytes more", bytes.len() - position);
        return Err(place("segment", start).truncated(what));
    }
    Ok(position + 2..end)
}

fn coding_name(code: u8) -> &'static str {
    match code {
        0xc3 => "lossless coding",
        0xc5..=0xc7 | 0xcd..=0xcf => "hierarchical coding",
        marker::DAC | 0xc9..=0xcb => "arithmetic coding",
        _ => "an extension",
    }
}

fn frame_header(data: &[u8], start: usize, progressive: bool) -> Result<Frame> {
    let place = place("frame header", start);
    let &[precision, h0, h1, w0, w1, count, ref rest @ ..] = data else {
        return Err(place.corrupt(format_args!("{} bytes, expected at least 6", data.len())));
    };
    let (width, height) = (u16::from_be_bytes([w0, w1]), u16::from_be_bytes([h0, h1]));
    if precision != 8 {
        return Err(place.unsupported(format_args!("{precision} bits per sample, expected 8")));
    }
    if rest.len() != usize::from(count) * 3 {
        let what = format!("{count} components take {} bytes, found {}", usize::from(count) * 3, rest.len());
        return Err(place.corrupt(what));
    }
    if width == 0 {
        return Err(place.corrupt("width 0"));
    }
    if height == 0 {
        return Err(place.unsupported("height 0, which means that it is given only after the first scan"));
    }
    if !matches!(count, 1 | 3 | 4) {
        return Err(place.unsupported(format_args!("{count} components, expected 1, 3 or 4")));
    }
    let mut components = Vec::with_capacity(usize::from(count));
    for fields in rest.chunks_exact(3) {
        let (horizontal, vertical) = (usize::from(fields[1] >> 4), usize::from(fields[1] & 15));
        if !(1..=4).contains(&horizontal) || !(1..=4).contains(&vertical) {
            let what = format!("sampling factors {horizontal} x {vertical}, expected 1 to 4");
            return Err(place.corrupt(what));
        }
        components.push(Component { id: fields[0], horizontal, vertical });
    }
    let (width, height) = (usize::from(width), usize::from(height));
    Ok(Frame { offset: start, progressive, width, height, components })
}

/// What a scan header says.
struct Scan {
    components: usize,
    /// Bits that the shortest codes would take.
    fewest_bits: usize,
}

fn scan_header(data: &[u8], start: usize, found: &Segments) -> Result<Scan> {
    let place = place("scan header", start);
    let Some(frame) = &found.frame else {
        return Err(place.corrupt("it comes before the frame header"));
    };
    let count = data.first().map_or(0, |&count| usize::from(count));
    if !(1..=frame.components.len()).contains(&count) || data.len() != 4 + 2 * count {
        let what =
            format!("{count} components in {} bytes, the frame has {}", data.len(), frame.components.len());
        return Err(place.corrupt(what));
    }
    let bits_per_block = match (frame.progressive, data[1 + 2 * count]) {
        // One for the first coefficient, one for the end of the block.
        (false, _) => 2,
        (true, 0) => 1,
        // Runs of blocks may take none.
        (true, _) => 0,
    };
    let mut fewest_bits = 0;
    for selector in data[1..1 + 2 * count].chunks_exact(2) {
        let Some(component) = frame.components.iter().find(|component| component.id == selector[0]) else {
            return Err(place.corrupt(format_args!("component {} is not in the frame", selector[0])));
        };
        fewest_bits += frame.blocks(component) * bits_per_block;
    }
    Ok(Scan { components: count, fewest_bits })
}

impl Frame {
    /// Horizontal and vertical sampling factor that stand for full resolution.
    pub(super) fn largest_factors(&self) -> [usize; 2] {
        let largest = |factor: fn(&Component) -> usize| self.components.iter().map(factor).max().unwrap_or(1);
        [largest(|component| component.horizontal), largest(|component| component.vertical)]
    }

    /// Blocks of 8 x 8 samples that hold a component's part of the picture.
    fn blocks(&self, component: &Component) -> usize {
        let [h_max, v_max] = self.largest_factors();
        let columns = (self.width * component.horizontal).div_ceil(8 * h_max);
        let rows = (self.height * component.vertical).div_ceil(8 * v_max);
        columns * rows
    }
}

/// Position of the first marker after entropy-coded data, restart markers being part of the data.
fn skip_entropy_coded(bytes: &[u8], start: usize) -> Result<usize> {
    let mut position = start;
    while let Some(offset) = bytes[position..].iter().position(|&byte| byte == 0xff) {
        position += offset;
        match bytes.get(position + 1) {
            Some(0 | 0xd0..=0xd7) => position += 2,
            Some(0xff) => position += 1,
            Some(_) => return Ok(position),
            None => break,
        }
    }
    Err(place("entropy-coded data", start).truncated("the file ends before the end-of-image marker"))
}

fn application_data(segment: &Segment<'_>, found: &mut Segments) {
    if segment.is_jfif() {
        found.jfif = true;
    } else if let Some(transform) = segment.adobe_transform() {
        found.adobe_transform = Some(transform);
    } else {
        found.has_extras = true;
    }
    let exif = segment.code == 0xe1 && segment.data.starts_with(b"Exif\0\0");
    if exif && found.orientation == Orientation::Upright {
        found.orientation = Orientation::from_exif(segment.data);
    }
}
