//! How many threads to compute on when nobody says.

use super::thread_pool::{MAX_THREADS, usable_cpus};
use crate::error::{Error, ErrorKind, Result};

/// Read in this order; the first that is set counts.
const VARIABLES: [&str; 2] = ["LIBVISION_NUM_THREADS", "OMP_NUM_THREADS"];

/// Threads of one run: `asked`, or if that is 0 what the environment says, or else one per CPU that this
/// process may use (affinity and cgroup limits respected). Fails with `INVALID_ARGUMENT` if `asked` or
/// `LIBVISION_NUM_THREADS` is out of range.
pub(crate) fn thread_count(asked: usize) -> Result<usize> {
    decide(asked, |name| std::env::var(name).ok(), usable_cpus)
}

fn decide(
    asked: usize,
    variable: impl Fn(&str) -> Option<String>,
    available: impl Fn() -> usize,
) -> Result<usize> {
    if asked > MAX_THREADS {
        return Err(out_of_range("threads", &asked.to_string()));
    }
    if asked > 0 {
        return Ok(asked);
    }
    let set = VARIABLES.iter().find_map(|name| {
        let words = variable(name).filter(|words| !words.trim().is_empty())?;
        Some((*name, words))
    });
    match set {
        None => Ok(available()),
        Some((name, words)) => match words.trim().parse() {
            Ok(threads) if (1..=MAX_THREADS).contains(&threads) => Ok(threads),
            // Another library's variable, which may hold a list for nested loops.
            _ if name == VARIABLES[1] => Ok(available()),
            _ => Err(out_of_range(name, &words)),
        },
    }
}

fn out_of_range(name: &str, found: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("{name}: expected 1 to {MAX_THREADS}, found {found:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(asked: usize, own: Option<&str>, omp: Option<&str>) -> Result<usize> {
        let variable = |name: &str| {
            let value = if name == VARIABLES[0] { own } else { omp };
            value.map(str::to_owned)
        };
        decide(asked, variable, || 6)
    }

    #[test]
    fn the_argument_comes_before_the_environment() {
        let cases = [
            (3, Some("4"), Some("5"), 3),
            (0, Some("4"), Some("5"), 4),
            (0, Some(" "), Some("5"), 5),
            (0, None, Some("5"), 5),
            (0, None, Some("4,2"), 6),
            (0, None, Some("0"), 6),
            (0, None, None, 6),
        ];
        for (asked, own, omp, expected) in cases {
            assert_eq!(decided(asked, own, omp).expect("a number"), expected, "{asked} {own:?} {omp:?}");
        }
    }

    #[test]
    fn nonsense_is_an_error_that_names_its_source() {
        for (asked, own) in [(0, "0"), (0, "-1"), (0, "many"), (0, "257"), (257, "1")] {
            let error = decided(asked, Some(own), None).expect_err("out of range");
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            let name = if asked == 0 { "LIBVISION_NUM_THREADS" } else { "threads" };
            assert!(error.message().starts_with(name), "{}", error.message());
        }
    }

    #[test]
    fn the_machine_has_at_least_one() {
        assert!(thread_count(0).expect("environment of the tests") >= 1);
    }
}
