//! Requests to an HTTP server from callers that do not wait for each other: how many are answered, and how late.

use crate::arrivals::Arrivals;
use crate::overhead::quantile;
use crate::{Options, Outcome};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Most requests under way at one time; a request that finds none free waits for one, and its time counts.
const CONNECTIONS: usize = 256;

/// Longest that is waited for one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Posts the JSON in `options.input` to `options.model`, an address and a path, `options.rate` times a second for
/// `options.runs` tenths of a second. Prints one line of JSON.
pub fn run(options: &Options) -> Outcome {
    let file = options.input.as_deref().ok_or("--input names the file with the body")?;
    let body = std::fs::read_to_string(file)?;
    let (address, path) = options.model.split_once('/').ok_or("expected ADDRESS:PORT/PATH")?;
    let message = format!(
        "POST /{path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let period = Duration::from_millis(100 * options.runs as u64);
    let (due, waiting) = channel();
    let waiting = Arc::new(Mutex::new(waiting));
    let message: Arc<str> = message.into();
    let callers: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (address, message) = (address.to_owned(), Arc::clone(&message));
            let waiting = Arc::clone(&waiting);
            std::thread::Builder::new().stack_size(1 << 18).spawn(move || call(&address, &message, &waiting))
        })
        .collect::<Result<_, _>>()?;
    let (started, mut sent) = (Instant::now(), 0_u64);
    Arrivals::Poisson.drive(options.rate, period, 1, || {
        sent += 1;
        // Callers end only after this.
        let _ = due.send(Instant::now());
    });
    drop(due);
    let (mut times, mut failed, mut last) = (Vec::new(), 0, started);
    for caller in callers {
        let (answered, failures) = caller.join().map_err(|_| "a caller panicked")?;
        failed += failures;
        for (took, at) in answered {
            times.push(took);
            last = last.max(at);
        }
    }
    let answered = times.len() as f64 / (last - started).as_secs_f64();
    println!(
        "{{\"offered\":{:.1},\"answered\":{answered:.1},\"failed\":{failed},\"p50_ms\":{:.3},\"p99_ms\":{:.3}}}",
        sent as f64 / period.as_secs_f64(),
        quantile(&mut times, 0.5),
        quantile(&mut times, 0.99)
    );
    Ok(())
}

/// Milliseconds and moment of each answer, and how many failed.
fn call(address: &str, message: &str, waiting: &Mutex<Receiver<Instant>>) -> (Vec<(f64, Instant)>, u64) {
    let (mut answered, mut failed, mut connection) = (Vec::new(), 0, None);
    loop {
        let due = match waiting.lock().map(|waiting| waiting.recv()) {
            Ok(Ok(due)) => due,
            _ => return (answered, failed),
        };
        match exchange(address, message, &mut connection) {
            Ok(()) => answered.push((due.elapsed().as_secs_f64() * 1e3, Instant::now())),
            Err(_) => {
                failed += 1;
                connection = None;
            }
        }
    }
}

fn exchange(
    address: &str,
    message: &str,
    connection: &mut Option<BufReader<TcpStream>>,
) -> std::io::Result<()> {
    let stream = match connection {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            connection.insert(BufReader::new(stream))
        }
    };
    stream.get_mut().write_all(message.as_bytes())?;
    let (mut line, mut length, mut is_ok) = (String::new(), 0, false);
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let lower = line.trim().to_ascii_lowercase();
        is_ok |= lower.starts_with("http/1.1 200");
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if lower.is_empty() {
            break;
        }
    }
    stream.read_exact(&mut vec![0; length])?;
    if is_ok { Ok(()) } else { Err(std::io::Error::other("an answer that is not 200")) }
}
