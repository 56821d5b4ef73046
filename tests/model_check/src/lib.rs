//! What model checks share: mistakes that are planted in copies of the checked source when it is built, and the proof
//! that each of them is found.

use std::io;
use std::process::Command;

/// A change of one place of the source: `right` is there once in `file`; with `wrong` in its place a scenario fails
/// and says `symptom`.
#[derive(Debug)]
pub struct Mistake {
    /// What goes wrong.
    pub what: &'static str,
    /// Name of the file.
    pub file: &'static str,
    /// What stands there.
    pub right: &'static str,
    /// What is planted instead.
    pub wrong: &'static str,
    /// Of what the failing scenario says.
    pub symptom: &'static str,
}

/// Names and tests.
pub type Scenarios = &'static [(&'static str, fn())];

/// The number of the mistake that a process of its own is to run the scenarios with.
const NUMBER: &str = "LIBVISION_PLANTED_MISTAKE";

/// The text of `file`, with the mistake if it belongs there. Panics if it does and its place is not there once.
pub fn planted(text: String, file: &str, mistake: Option<&Mistake>) -> String {
    let Some(mistake) = mistake.filter(|mistake| mistake.file == file) else { return text };
    let found = text.matches(mistake.right).count();
    assert!(found == 1, "{file}: {:?} is there {found} times; mistakes.rs wants it once", mistake.right);
    text.replace(mistake.right, mistake.wrong)
}

/// Source that declares the module `unchanged`, one module for each mistake, and `MISTAKEN`: the scenarios of each,
/// which lie at the path `scenarios` in its module. `copy` makes the module of a name and gives its declaration.
pub fn modules(
    mistakes: &[Mistake],
    scenarios: &str,
    copy: impl Fn(&str, Option<&Mistake>) -> io::Result<String>,
) -> io::Result<String> {
    let mut modules = copy("unchanged", None)?;
    let mut table = String::new();
    for (number, mistake) in mistakes.iter().enumerate() {
        let name = format!("mistake_{number}");
        modules += &copy(&name, Some(mistake))?;
        table += &format!("{name}::{scenarios}, ");
    }
    Ok(modules + &format!("/// By number of the mistake.\nconst MISTAKEN: &[Scenarios] = &[{table}];\n"))
}

/// Runs all scenarios, each after its name.
pub fn run(scenarios: Scenarios) {
    for (name, scenario) in scenarios {
        println!("{name}");
        scenario();
    }
}

/// Runs the test `with_a_planted_mistake` of this program once for each mistake, in a process of its own, since what
/// the checker does when it finds one may end it. Panics if one is not found.
pub fn assert_all_are_found(mistakes: &[Mistake]) {
    let program = std::env::current_exe().expect("this test");
    for (number, mistake) in mistakes.iter().enumerate() {
        let output = Command::new(&program)
            .args(["--exact", "with_a_planted_mistake", "--ignored", "--nocapture"])
            .env(NUMBER, number.to_string())
            .env("RUST_BACKTRACE", "0")
            .output()
            .expect("the same program again");
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "not found: {}", mistake.what);
        assert!(
            said.contains(mistake.symptom),
            "{}: expected {:?}, found\n{said}",
            mistake.what,
            mistake.symptom
        );
    }
}

/// Of the scenarios with each mistake, those that [`assert_all_are_found`] asked this process for.
pub fn asked_for(mistaken: &[Scenarios]) -> Scenarios {
    let number: usize = std::env::var(NUMBER).expect("a number").parse().expect("a number");
    mistaken[number]
}
