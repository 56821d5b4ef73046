//! What an engine's machine was told, as lines of text, and the same decisions made again from them.
//!
//! The first lines name the format, the sizes and the limits; each other line is a moment in nanoseconds, an
//! event, and a digest of what the machine said. No picture and no result is in it.

use super::machine::{
    Action, Cost, Event, Machine, Policy, Priority, RequestId, RunOutcome, Shape, Time, Window,
};
use crate::error::{Error, ErrorKind, Result};
use std::hash::{Hash, Hasher};
use std::io::{BufRead, Write};
use std::time::Duration;

const FORMAT: &str = "libvision-trace 2";

/// Most that a size in a trace may be, as memory is taken by it: more than any engine has.
const LARGEST_SIZE: u64 = 1 << 16;

/// Writes a trace. A failure to write ends the recording and nothing else.
pub(super) struct Recorder {
    to: Option<Box<dyn Write + Send>>,
}

impl Recorder {
    /// Fails as the first lines cannot be written.
    pub(super) fn new(mut to: Box<dyn Write + Send>, machine: &Machine) -> std::io::Result<Self> {
        let Shape { max_batch_size, buckets, decoders, workers, stagings } = machine.shape();
        let buckets: Vec<String> = buckets.iter().map(ToString::to_string).collect();
        writeln!(to, "{FORMAT}")?;
        writeln!(to, "shape {max_batch_size} {decoders} {workers} {stagings} {}", buckets.join(" "))?;
        writeln!(to, "policy {}", policy_words(machine.policy()))?;
        Ok(Self { to: Some(to) })
    }

    pub(super) fn told(&mut self, now: Time, event: &Event, actions: &[Action]) {
        let line = format!("{} {} {:016x}", now.0, event_words(event), digest(actions));
        if let Some(to) = &mut self.to
            && writeln!(to, "{line}").is_err()
        {
            self.to = None;
        }
    }
}

/// One step of a trace that was replayed.
#[derive(Clone, Debug)]
pub struct Step {
    /// When.
    pub now: Time,
    /// What the machine was told.
    pub event: Event,
    /// What it says now.
    pub actions: Vec<Action>,
    /// Whether that is what it said then.
    pub is_the_same: bool,
}

/// Tells a new machine what the trace says, and calls `see` after each step; returns how many there were. Fails
/// with `INVALID_ARGUMENT`, naming the line, for what is no trace.
pub fn replay(trace: impl BufRead, mut see: impl FnMut(Step)) -> Result<u64> {
    let mut lines = trace.lines().enumerate().map(|(at, line)| match line {
        Ok(line) => Ok((at + 1, line)),
        Err(error) => Err(invalid(at + 1, "a line of text", &error.to_string())),
    });
    let mut head = |expected: &str| {
        let (at, line) = lines.next().unwrap_or_else(|| Ok((0, String::new())))?;
        match line.strip_prefix(expected) {
            Some(rest) => Ok((at, rest.to_owned())),
            None => Err(invalid(at, expected, &line)),
        }
    };
    head(FORMAT)?;
    let (at, line) = head("shape ")?;
    let sizes = numbers(&line)
        .filter(|sizes| sizes.len() >= 4 && sizes.iter().all(|size| (1..=LARGEST_SIZE).contains(size)));
    let sizes = sizes.ok_or_else(|| invalid(at, "sizes from 1 to 65536", &line))?;
    let shape = Shape {
        max_batch_size: sizes[0] as usize,
        decoders: sizes[1] as usize,
        workers: sizes[2] as usize,
        stagings: sizes[3] as usize,
        buckets: sizes[4..].iter().map(|size| *size as usize).collect(),
    };
    let (at, line) = head("policy ")?;
    let policy = numbers(&line).and_then(|words| policy_of(&words));
    let policy = policy.ok_or_else(|| invalid(at, "limits", &line))?;
    let mut machine = Machine::new(shape, policy);
    let (mut steps, mut latest, mut last_id) = (0, Time::default(), None);
    for line in lines {
        let (at, line) = line?;
        let parsed = step_of(&line).filter(|(now, event, _)| {
            *now >= latest && is_possible(event, machine.shape()) && follows(event, last_id)
        });
        let (now, event, said) =
            parsed.ok_or_else(|| invalid(at, "a moment, an event and a digest", &line))?;
        latest = now;
        if let Event::Arrived { id, .. } = event {
            last_id = Some(id);
        }
        let mut actions = Vec::new();
        machine.step(now, event, &mut actions);
        let is_the_same = digest(&actions) == said;
        see(Step { now, event, actions, is_the_same });
        steps += 1;
    }
    Ok(steps)
}

fn invalid(line: usize, expected: &str, found: &str) -> Error {
    Error::new(
        ErrorKind::InvalidArgument,
        format!("trace, line {line}: expected {expected}, found {found:?}"),
    )
}

/// Whether the machine could have been told this: it indexes by decoder and worker.
fn is_possible(event: &Event, shape: &Shape) -> bool {
    match event {
        Event::Decoded { decoder, .. } | Event::Filled { decoder, .. } => *decoder < shape.decoders,
        Event::Rebuilt { worker, .. } => *worker < shape.workers,
        _ => true,
    }
}

/// Whether a request has a name that none before it had.
fn follows(event: &Event, last_id: Option<RequestId>) -> bool {
    match event {
        Event::Arrived { id, .. } => last_id.is_none_or(|last| *id > last),
        _ => true,
    }
}

fn numbers(line: &str) -> Option<Vec<u64>> {
    line.split_whitespace().map(|word| word.parse().ok()).collect()
}

fn step_of(line: &str) -> Option<(Time, Event, u64)> {
    let (rest, digest) = line.rsplit_once(' ')?;
    let digest = u64::from_str_radix(digest, 16).ok()?;
    let (now, rest) = rest.split_once(' ')?;
    let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    Some((Time(now.parse().ok()?), event_of(name, &numbers(rest)?)?, digest))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn event_words(event: &Event) -> String {
    match *event {
        Event::Arrived { id, tenant, weight, priority, cost, deadline, twin } => {
            let twin = twin.unwrap_or(0);
            let Cost { slots, encoded_bytes, decode_bytes, decode_work } = cost;
            let deadline = deadline.map_or(0, |deadline| deadline.0);
            let priority = priority as u8;
            format!(
                "arrived {id} {tenant} {weight} {priority} {slots} {encoded_bytes} {decode_bytes} {decode_work} {deadline} {twin}"
            )
        }
        Event::Decoded { decoder, succeeded } => format!("decoded {decoder} {}", u8::from(succeeded)),
        Event::Filled { decoder, succeeded } => format!("filled {decoder} {}", u8::from(succeeded)),
        Event::RunDone { run, outcome } => format!("done {run} {}", outcome as u8),
        Event::Rebuilt { worker, succeeded } => format!("rebuilt {worker} {}", u8::from(succeeded)),
        Event::Cancelled { id } => format!("cancelled {id}"),
        Event::Tick => "tick".into(),
        Event::Reload { policy } => format!("reload {}", policy_words(&policy)),
        Event::Close { until } => format!("close {}", until.0),
    }
}

fn event_of(name: &str, words: &[u64]) -> Option<Event> {
    Some(match (name, words) {
        (
            "arrived",
            &[id, tenant, weight, priority, slots, encoded_bytes, decode_bytes, decode_work, deadline, twin],
        ) => {
            Event::Arrived {
                id,
                tenant: u32::try_from(tenant).ok()?,
                weight: u32::try_from(weight).ok()?,
                priority: *Priority::ALL.get(priority as usize)?,
                cost: Cost { slots: slots as usize, encoded_bytes, decode_bytes, decode_work },
                // Nothing has a deadline at moment zero.
                deadline: (deadline > 0).then_some(Time(deadline)),
                twin: (twin > 0).then_some(twin),
            }
        }
        ("decoded", &[decoder, succeeded]) => {
            Event::Decoded { decoder: decoder as usize, succeeded: succeeded == 1 }
        }
        ("filled", &[decoder, succeeded]) => {
            Event::Filled { decoder: decoder as usize, succeeded: succeeded == 1 }
        }
        ("done", &[run, outcome]) => {
            let all = [RunOutcome::Succeeded, RunOutcome::OutOfMemory, RunOutcome::Failed, RunOutcome::Lost];
            Event::RunDone { run, outcome: *all.get(outcome as usize)? }
        }
        ("rebuilt", &[worker, succeeded]) => {
            Event::Rebuilt { worker: worker as usize, succeeded: succeeded == 1 }
        }
        ("cancelled", &[id]) => Event::Cancelled { id },
        ("tick", []) => Event::Tick,
        ("reload", words) => Event::Reload { policy: policy_of(words)? },
        ("close", &[until]) => Event::Close { until: Time(until) },
        _ => return None,
    })
}

fn policy_words(policy: &Policy) -> String {
    let window = match policy.window {
        Window::Latency => 0,
        Window::Throughput => 1,
        Window::Adaptive => 2,
    };
    let words = [
        nanos(policy.max_queue_delay),
        window,
        policy.queue_capacity as u64,
        policy.encoded_bytes,
        policy.decode_bytes,
        nanos(policy.ageing),
        u64::from(policy.preserve_order),
        nanos(policy.stuck_after),
        nanos(policy.outage_patience),
        nanos(policy.self_test_every),
    ];
    words.map(|word| word.to_string()).join(" ")
}

fn policy_of(words: &[u64]) -> Option<Policy> {
    let &[delay, window, capacity, encoded_bytes, decode_bytes, ageing, order, stuck, outage, test] = words
    else {
        return None;
    };
    Some(Policy {
        max_queue_delay: Duration::from_nanos(delay),
        window: *[Window::Latency, Window::Throughput, Window::Adaptive].get(window as usize)?,
        queue_capacity: capacity as usize,
        encoded_bytes,
        decode_bytes,
        ageing: Duration::from_nanos(ageing),
        preserve_order: order == 1,
        stuck_after: Duration::from_nanos(stuck),
        outage_patience: Duration::from_nanos(outage),
        self_test_every: Duration::from_nanos(test),
    })
}

fn digest(actions: &[Action]) -> u64 {
    let mut digest = Digest(0xcbf2_9ce4_8422_2325);
    actions.hash(&mut digest);
    digest.finish()
}

/// FNV-1a (Fowler, Noll, Vo), which is the same in every build.
struct Digest(u64);

impl Hasher for Digest {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_they_were_written() {
        let cost = Cost { slots: 2, encoded_bytes: 3, decode_bytes: 4, decode_work: 5 };
        let arrival = |priority, deadline, twin| Event::Arrived {
            id: 7,
            tenant: 1,
            weight: 9,
            priority,
            cost,
            deadline,
            twin,
        };
        let mut events = vec![
            arrival(Priority::High, None, Some(4)),
            arrival(Priority::Low, Some(Time(8)), None),
            Event::Decoded { decoder: 1, succeeded: true },
            Event::Filled { decoder: 2, succeeded: false },
            Event::Rebuilt { worker: 3, succeeded: true },
            Event::Cancelled { id: 4 },
            Event::Tick,
            Event::Close { until: Time(5) },
            Event::Reload {
                policy: Policy { preserve_order: true, window: Window::Latency, ..Policy::default() },
            },
        ];
        let outcomes = [RunOutcome::Succeeded, RunOutcome::OutOfMemory, RunOutcome::Failed, RunOutcome::Lost];
        events.extend(outcomes.map(|outcome| Event::RunDone { run: 6, outcome }));
        for event in events {
            let line = format!("17 {} {:016x}", event_words(&event), 0xabc);
            assert_eq!(step_of(&line), Some((Time(17), event, 0xabc)), "{line}");
        }
    }

    #[test]
    fn what_is_no_trace_is_an_error_that_names_the_line() {
        let head = "libvision-trace 2\nshape 2 1 1 3\npolicy 0 1 9 9 9 0 0 9 9 0\n";
        assert_eq!(replay(head.as_bytes(), |_| ()).unwrap(), 0);
        let wrong = [
            "",
            "x",
            "libvision-trace 2\nshape 0 1 1 1",
            "libvision-trace 2\nshape 1 1 1 99999999999999\npolicy 0 1 9 9 9 0 0 9 9 0\n",
            "libvision-trace 2\nshape 18446744073709551615 1 1 1\npolicy 0 1 9 9 9 0 0 9 9 0\n",
            "libvision-trace 2\nshape 1 1 1 1\npolicy 1",
        ];
        let arrived = "5 arrived 3 0 1 1 1 1 1 0 0 0 0";
        let long = [
            "nonsense",
            "1 decoded 1 1 0",
            "1 rebuilt 5 1 0",
            "1 arrived 1 0",
            // Time goes back; a request comes twice.
            &format!("{arrived}\n4 tick 0"),
            &format!("{arrived}\n{arrived}"),
        ]
        .map(|line| format!("{head}{line}"));
        assert_eq!(replay(format!("{head}{arrived}").as_bytes(), |_| ()).unwrap(), 1);
        for trace in wrong.into_iter().map(str::to_owned).chain(long) {
            let error = replay(trace.as_bytes(), |_| ()).unwrap_err();
            assert!(error.message().contains("line"), "{trace:?}: {error}");
        }
    }
}
