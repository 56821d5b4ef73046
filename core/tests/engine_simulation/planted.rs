//! Mistakes that somebody could make in the machine, as replacements in its files, and whether the simulation
//! finds each. The list is checked with every test run; the long form builds and simulates all of them:
//! `cargo test --release -p libvision --test engine_simulation -- --ignored planted`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A file of the machine, what stands there, and what stands there instead.
type Bug = (&'static str, &'static str, &'static str);

#[rustfmt::skip]
const PLANTED: &[Bug] = &[
    ("tenants.rs", "if queued >= capacity {", "if queued > capacity {"),
    ("admission.rs", "&& cost.encoded_bytes <= policy.encoded_bytes", ""),
    ("admission.rs", "if self.encoded_bytes().saturating_add(cost.encoded_bytes) > policy.encoded_bytes {", "if false {"),
    ("admission.rs", "(end > deadline).then", "false.then"),
    ("admission.rs", "if self.closes_at.is_some() {", "if false {"),
    ("admission.rs", "return Some((Refusal::QueueFull, Some(self.time_of_a_batch())));", "return Some((Refusal::QueueFull, None));"),
    ("mod.rs", "self.encoded_bytes -= cost.encoded_bytes;", ""),
    ("mod.rs", "[deadline, due,", "[deadline.filter(|_| false), due,"),
    ("mod.rs", "[deadline, due,", "[deadline, due.filter(|_| false),"),
    ("mod.rs", "&& deadline <= now", "&& deadline < now"),
    ("decoding.rs", "self.queue.rise(now, self.policy.ageing);", ""),
    ("fair_queue.rs", "&& at <= now", "&& at.0 == u64::MAX"),
    ("mod.rs", "Stage::Held { decoder, .. } => self.discard(decoder, actions),", "Stage::Held { .. } => {}"),
    ("mod.rs", "if self.policy.preserve_order {", "if false {"),
    ("mod.rs", "if self.finished == 0 {", "if self.finished <= 1 {"),
    ("mod.rs", "self.closes_at.is_some_and(|until| until <= now)", "false"),
    ("mod.rs", "(usable < of).then_some", "(usable == 0).then_some"),
    ("running.rs", "self.counters.self_tests_failed += 1;", ""),
    ("twins.rs", "if !matches!(refusal, Refusal::Cancelled | Refusal::DeadlineExceeded) {", "if true {"),
    ("twins.rs", "actions.extend(followers.iter().map(|&to| Action::Copy { from: id, to }));", ""),
    ("twins.rs", "twins.followers.remove(&id);", ""),
    ("twins.rs", "self.lead(first, followers);", "self.lead(first, BTreeSet::new());"),
    ("twins.rs", "self.followers_bytes += cost.encoded_bytes;", ""),
    ("twins.rs", "self.twins.insert(twin, Twins { leader: id, followers });", ""),
    ("mod.rs", "if self.held.is_empty() || self.free_stagings.is_empty() {", "if true {"),
    ("decoding.rs", "self.decode_bytes -= self.decoders[decoder].cost.decode_bytes;", ""),
    ("decoding.rs", "return;\n            }\n            self.queue.take(id);", "}\n            self.queue.take(id);"),
    ("decoding.rs", "(true, false) => {\n                self.let_go(decoder);", "(true, false) => {"),
    ("fair_queue.rs", "self.levels.iter_mut().find_map", "self.levels.iter_mut().rev().find_map"),
    ("fair_queue.rs", "*line.ids.front()?", "*line.ids.back()?"),
    ("fair_queue.rs", "self.ring.rotate_left(1);", ""),
    ("fair_queue.rs", "waiting.level -= 1;", "waiting.level = 0;"),
    ("forming.rs", "State::Filling | State::Abandoned => self.members[at].state = State::Abandoned,", "State::Filling | State::Abandoned => self.free(at),"),
    ("forming.rs", "!window.contains(&true)", "!window[0]"),
    ("forming.rs", "self.members.iter().all(|member| member.state == State::Filled)", "true"),
    ("placing.rs", "self.shape.max_batch_size, now)", "self.shape.max_batch_size + 1, now)"),
    ("placing.rs", "self.held.front()", "self.held.back()"),
    ("placing.rs", "Window::Latency => batch.opened,", "Window::Latency => latest(batch.opened),"),
    ("placing.rs", ".map_or(batch.opened, |wait| since.after(wait).min(latest))", ".map_or(batch.opened, |wait| since.after(wait))"),
    ("placing.rs", ".map_or(batch.opened, |wait|", ".map_or(latest, |wait|"),
    ("placing.rs", "Some(end) if end > batch.joined =>", "Some(end) if false =>"),
    ("placing.rs", "now.since(busy) > self.curve.run(1)", "false"),
    ("gaps.rs", "if gain > best.map_or(0, |(most, _)| most) {", "if gain < best.map_or(0, |(most, _)| most) {"),
    ("gaps.rs", "- those_there * (gap + with_it - now);", ";"),
    ("margin.rs", "self.share + RAISED_BY", "self.share"),
    ("policy.rs", "bucket >= images", "bucket > images"),
    ("running.rs", "if run.is_abandoned {", "if false {"),
    ("running.rs", "self.refuse(place.id, Refusal::BackendStuck, actions);", ""),
    ("running.rs", "actions.push(Action::Rebuild { worker });", ""),
    ("running.rs", "outcome == RunOutcome::OutOfMemory && !run.is_split && run.members.len() > 1", "false"),
    ("running.rs", "&& !run.is_split && run.members.len() > 1", "&& run.members.len() > 1"),
    ("running.rs", "self.run_half(now, run.worker, staging, (first, rest), actions);", "self.run_half(now, run.worker, staging, (first, Vec::new()), actions);"),
    ("running.rs", "Place { id, first_slot, slots }\n    };", "Place { id, slots, first_slot: first_slot + 1 }\n    };"),
    ("running.rs", "self.free_stagings.extend(run.staging);", ""),
    ("running.rs", "        if !is_under_way {", "        if true {"),
    ("running.rs", "self.refuse_hopeless(now, &mut places, actions);", ""),
    ("running.rs", "self.counters.images += images as u64;", "self.counters.images += size as u64;"),
    ("running.rs", "since.after(self.policy.outage_patience) <= now", "false"),
    ("running.rs", "self.is_out = false;", ""),
    ("running.rs", "Worker::Resting { until } if until <= now", "Worker::Resting { until } if until < now"),
    ("running.rs", "if outcome != RunOutcome::Succeeded {", "if false {"),
    ("running.rs", "if outcome == RunOutcome::Lost {", "if false {"),
    ("running.rs", "run.limit <= now", "run.limit < now"),
];

/// How many of them may stay hidden.
const HIDDEN: usize = 1;

/// Within so many events each must be found.
const EVENTS: u64 = 10_000_000;

/// A machine that makes no progress is found out by the time it takes: twenty times what one that does needs.
const PATIENCE: Duration = Duration::from_secs(600);

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine/machine")
}

#[test]
fn every_planted_bug_has_its_place() {
    assert!(PLANTED.len() >= 30);
    for (file, right, wrong) in PLANTED {
        let text = fs::read_to_string(sources().join(file)).expect("a file of the machine");
        assert_eq!(text.matches(right).count(), 1, "{file}: {right:?} is not there once");
        assert_ne!(right, wrong);
    }
}

#[test]
#[ignore = "builds the machine once for each planted bug: minutes"]
fn planted_bugs_are_found() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let right = build(folder.path(), None);
    assert!(!is_found(&right, EVENTS / 10), "the machine as it is has a bug");
    let mut hidden = Vec::new();
    for bug in PLANTED {
        let started = Instant::now();
        let found = is_found(&build(folder.path(), Some(bug)), EVENTS);
        println!(
            "{} in {:?}: {} -> {:?}",
            if found { "found" } else { "HIDDEN" },
            started.elapsed(),
            bug.1,
            bug.2
        );
        if !found {
            hidden.push(bug);
        }
    }
    println!("{} of {} found", PLANTED.len() - hidden.len(), PLANTED.len());
    assert!(hidden.len() <= HIDDEN, "{hidden:?}");
}

/// The set scenes first, then random events.
const MAIN: &str = "fn main() {
    window::a_lone_request_leaves_at_once();
    window::callers_at_the_same_time_share_batches();
    window::waiting_costs_nobody_much_at_any_load();
    scenes::overload_wastes_nothing_and_keeps_deadlines();
    world::simulate_many(std::env::args().nth(1).unwrap().parse().unwrap(), 0);
}";

/// A program that simulates the machine with one bug.
fn build(folder: &Path, bug: Option<&Bug>) -> PathBuf {
    let machine = folder.join("machine");
    fs::create_dir_all(&machine).expect("a folder");
    for entry in fs::read_dir(sources()).expect("the machine's files") {
        let path = entry.expect("a file").path();
        let mut text = fs::read_to_string(&path).expect("text");
        let name = path.file_name().expect("a name");
        if let Some((file, right, wrong)) = bug
            && name == *file
        {
            text = text.replacen(right, wrong, 1);
        }
        fs::write(machine.join(name), text).expect("a copy");
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engine_simulation");
    let module = |name: &str, path: PathBuf| format!("#[path = {path:?}]\nmod {name};\n");
    let main = [
        "#![allow(warnings)]\n".to_owned(),
        module("machine", machine.join("mod.rs")),
        module("random", here.join("random.rs")),
        module("scenes", here.join("scenes.rs")),
        module("truth", here.join("truth.rs")),
        module("window", here.join("window.rs")),
        module("world", here.join("world.rs")),
        MAIN.to_owned(),
    ];
    let (source, program) = (folder.join("main.rs"), folder.join("simulation"));
    fs::write(&source, main.concat()).expect("a program");
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let built = Command::new(rustc)
        .args(["--edition", "2024", "-O", "-C", "overflow-checks=on", "-o"])
        .args([&program, &source])
        .status()
        .expect("rustc runs");
    assert!(built.success(), "{bug:?} does not build");
    program
}

/// Whether the simulation fails, or does not end.
fn is_found(program: &Path, events: u64) -> bool {
    let null = std::process::Stdio::null;
    let mut run = Command::new(program)
        .arg(events.to_string())
        .stderr(null())
        .stdout(null())
        .spawn()
        .expect("the simulation runs");
    let end = Instant::now() + PATIENCE;
    loop {
        match run.try_wait().expect("a child of ours") {
            Some(status) => return !status.success(),
            None if Instant::now() > end => {
                let _ = run.kill();
                let _ = run.wait();
                return true;
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}
