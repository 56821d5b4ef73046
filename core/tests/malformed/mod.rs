//! Malformed model files, each with what its error must say.

mod configs;
mod graphs;
mod weights;
mod wire;

use std::path::Path;

/// A folder of files.
pub struct Case {
    /// For messages of the test.
    pub name: String,
    /// Names and contents.
    pub files: Vec<(String, Vec<u8>)>,
    /// What the error's message contains; `None` if the files may be fine after all.
    pub expected: Option<&'static str>,
}

/// Every file that must be refused.
pub fn cases() -> Vec<Case> {
    [wire::cases(), graphs::cases(), weights::cases(), configs::cases()].into_iter().flatten().collect()
}

/// Good files with a few bits turned over: refused, or loaded.
pub fn mutations() -> Vec<Case> {
    [wire::mutations(), weights::mutations(), configs::mutations()].into_iter().flatten().collect()
}

fn golden(path: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A folder with one file.
fn one(name: String, file: &str, content: Vec<u8>, expected: &'static str) -> Case {
    Case { name, files: vec![(file.into(), content)], expected: Some(expected) }
}

/// Copies of `content` with one to three bits turned over, the same ones in each run.
fn turned_over(file: &str, content: &[u8], others: &[(&str, &[u8])], count: u64) -> Vec<Case> {
    let copy = |seed: u64| {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut content = content.to_vec();
        for _ in 0..1 + seed % 3 {
            // Most structure lies at one of the two ends.
            let length = content.len() as u64;
            let reach = if seed.is_multiple_of(2) { length } else { length.min(400) };
            let place = (next() % reach) as usize;
            content[place] ^= 1 << (next() % 8);
        }
        let mut files: Vec<(String, Vec<u8>)> =
            others.iter().map(|(name, content)| (name.to_string(), content.to_vec())).collect();
        files.push((file.into(), content));
        Case { name: format!("{file} mutated by {seed}"), files, expected: None }
    };
    (1..=count).map(copy).collect()
}
