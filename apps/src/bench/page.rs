//! What was measured as one HTML page that asks the network for nothing: a bar per step.

use super::Report;
use super::text::{milliseconds, name, percent, threads};
use libvision::measure::{Measurement, StepTime};

const STYLE: &str = include_str!("page.css");

/// The page.
pub fn page(report: &Report) -> String {
    let precise = if report.precise { ", precise" } else { "" };
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{0}: profile</title>\n\
         <style>\n{STYLE}</style>\n<h1>{0}</h1>\n<p>{1} on {2}, {3}{precise}</p>\n",
        escape(report.model),
        escape(&report.device),
        escape(&report.processor),
        super::text::precision(report),
    );
    html += "<p class=\"legend\">";
    for (class, words) in [
        ("direct", "direct"),
        ("winograd", "Winograd"),
        ("depthwise", "depthwise"),
        ("other", "not a convolution"),
    ] {
        html += &format!("<span class=\"{class}\">{words}</span> ");
    }
    html += "The length of a bar is the time of a step. Rates count the multiplications of direct convolution, \
             so that Winograd's can be above the peak.</p>\n";
    for measurement in report.measurements {
        html += &section(measurement);
    }
    html
}

fn section(m: &Measurement) -> String {
    let mut html = format!(
        "<h2>batch {}, {}</h2>\n<p>median {:.3} ms, p99 {:.3} ms, {:.1} images/s, {:.1} GFLOP/s, {} of a \
         peak of {} GFLOP/s; {} runs</p>\n<table>\n<tr><th>step<th>algorithm<th>ms<th>GFLOP/s<th>of peak<th>time</tr>\n",
        m.batch,
        threads(m),
        milliseconds(m.quantile(0.5)),
        milliseconds(m.quantile(0.99)),
        m.images_per_second(),
        m.flops() / 1e9,
        percent(m.share_of_peak()),
        m.peak_flops.map_or("?".into(), |peak| format!("{:.1}", peak / 1e9)),
        m.times.len(),
    );
    let times = m.steps.iter().map(|step| step.time.as_secs_f64());
    let (longest, total) = (times.clone().fold(0.0, f64::max), times.sum::<f64>());
    for step in &m.steps {
        html += &row(m, step, longest, total);
    }
    html + "</table>\n"
}

fn row(m: &Measurement, step: &StepTime, longest: f64, total: f64) -> String {
    let seconds = step.time.as_secs_f64();
    let flops = m.step_flops(step);
    let (rate, share) = match step.step.multiplications {
        0 => (String::new(), String::new()),
        _ => (format!("{:.1}", flops / 1e9), percent(m.peak_flops.map(|peak| flops / peak))),
    };
    let algorithm = step.step.algorithm;
    let classes = ["direct", "winograd", "depthwise"];
    let class = classes.into_iter().find(|class| algorithm.starts_with(class)).unwrap_or("other");
    format!(
        "<tr><td>{}<td>{}<td>{:.4}<td>{rate}<td>{share}<td class=\"bar\"><div class=\"{class}\" \
         style=\"width:{:.2}%\"></div><span>{:.1}%</span></tr>\n",
        escape(&name(step)),
        escape(algorithm),
        1e3 * seconds,
        80.0 * seconds / longest.max(1e-12),
        100.0 * seconds / total.max(1e-12),
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
