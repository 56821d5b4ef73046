//! Which distributed trace a request belongs to, as the header `traceparent` says it (W3C Trace Context,
//! level 2, <https://www.w3.org/TR/trace-context-2/>).

use std::fmt;

/// Carried from a request to its result, its error in a log and its span. Nothing is sent anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace_id: [u8; 16],
    parent_id: [u8; 8],
    flags: u8,
}

impl TraceContext {
    /// Length of the text that [`Display`](fmt::Display) writes.
    pub const TEXT_LENGTH: usize = 55;

    /// Reads a header's value. `None` for what the specification says must be ignored: a malformed value,
    /// version `ff`, an id of nothing but zeros. What a later version has beyond version `00` is dropped.
    pub fn parse(text: &str) -> Option<Self> {
        let (known, rest) = text.as_bytes().split_at_checked(Self::TEXT_LENGTH)?;
        let ([v0, v1, b'-', trace_id @ .., b'-', f0, f1], true) =
            (known, rest.first().is_none_or(|b| *b == b'-'))
        else {
            return None;
        };
        let (trace_id, parent_id) = trace_id.split_at_checked(32)?;
        let parent_id = parent_id.strip_prefix(b"-")?;
        let [version] = bytes_of([*v0, *v1].as_slice())?;
        let [flags] = bytes_of([*f0, *f1].as_slice())?;
        let context = Self { trace_id: bytes_of(trace_id)?, parent_id: bytes_of(parent_id)?, flags };
        let is_valid = version != 0xff
            && (version != 0 || rest.is_empty())
            && context.trace_id != [0; 16]
            && context.parent_id != [0; 8];
        // Of later versions only the flag `sampled` and level 2's `random` are known.
        is_valid.then_some(if version == 0 { context } else { Self { flags: flags & 3, ..context } })
    }

    /// Which trace.
    pub fn trace_id(&self) -> [u8; 16] {
        self.trace_id
    }

    /// The caller's span in it.
    pub fn parent_id(&self) -> [u8; 8] {
        self.parent_id
    }

    /// Whether the caller may have recorded its part.
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }
}

impl fmt::Display for TraceContext {
    /// As a header's value, in version `00`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trace_id = u128::from_be_bytes(self.trace_id);
        let parent_id = u64::from_be_bytes(self.parent_id);
        write!(f, "00-{trace_id:032x}-{parent_id:016x}-{:02x}", self.flags)
    }
}

/// The bytes that lower-case hexadecimal digits stand for; upper case is not allowed.
fn bytes_of<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The specification's own example.
    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_header_comes_back_as_it_was() {
        let context = TraceContext::parse(EXAMPLE).expect("well formed");
        assert_eq!(context.to_string(), EXAMPLE);
        assert_eq!((context.trace_id()[0], context.parent_id()[1], context.is_sampled()), (0x4b, 0xf0, true));
        let unsampled = EXAMPLE.replace("-01", "-00");
        assert!(TraceContext::parse(&unsampled).is_some_and(|context| !context.is_sampled()));
    }

    #[test]
    fn a_later_version_is_read_as_far_as_this_one_goes() {
        let later = format!("cc-{}-what-follows", &EXAMPLE[3..]);
        assert_eq!(TraceContext::parse(&later).map(|context| context.to_string()), Some(EXAMPLE.into()));
        let flags = EXAMPLE.replace("00-4b", "01-4b").replace("-01", "-ff");
        assert_eq!(TraceContext::parse(&flags).map(|c| c.to_string()), Some(EXAMPLE.replace("-01", "-03")));
    }

    #[test]
    fn what_the_specification_has_ignored_is_ignored() {
        let malformed = [
            String::new(),
            "00".into(),
            EXAMPLE[..54].into(),
            format!("{EXAMPLE}-"),
            format!("{EXAMPLE}-00"),
            format!("{EXAMPLE}0"),
            format!("cc{}0", &EXAMPLE[2..]),
            format!("ff{}", &EXAMPLE[2..]),
            format!(" {}", &EXAMPLE[..54]),
            EXAMPLE.to_uppercase(),
            EXAMPLE.replace('-', "_"),
            EXAMPLE.replace("4bf9", "4bg9"),
            EXAMPLE.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            EXAMPLE.replace("00f067aa0ba902b7", &"0".repeat(16)),
            EXAMPLE.replace("4bf9", "4é9"),
        ];
        for text in malformed {
            assert_eq!(TraceContext::parse(&text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_ignored_and_what_is_read_is_stable(text in "[0-9a-f-]{50,60}|.{0,80}") {
            if let Some(context) = TraceContext::parse(&text) {
                prop_assert_eq!(TraceContext::parse(&context.to_string()), Some(context));
            }
        }
    }
}
