//! Cuts a layer into tasks of neighbouring pixels times neighbouring panels.
//!
//! Neither cut changes the order of any sum, so that results have the same bits with any number of threads.

use crate::parallel::part;
use std::ops::Range;

/// Pixels per task: with a K block's inputs they fit the second-level cache.
const M_BLOCK: usize = 200;
/// From this number of pixels per thread on a layer is cut by pixels: to multiply by a weight takes longer than to
/// fetch it, even if each thread fetches all of them.
const LARGE: usize = 64;
/// Layers with so few weights are cut by pixels too, as long as there are tiles for all threads: they are near.
const FEW_WEIGHTS: usize = 1 << 19;
/// Multiply-adds that are worth another thread: less is done before it has heard of it.
const WORTH_A_THREAD: usize = 1 << 17;
/// Tasks per thread where a layer is cut for the sake of threads.
const TASKS_PER_THREAD: usize = 2;
/// Tiles that are worth a task of their own.
const TILES_PER_TASK: usize = 2;

/// A grid of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Partition {
    pixels: usize,
    panels: usize,
    pixel_parts: usize,
    panel_parts: usize,
}

impl Partition {
    /// For `pixels` pixels (of the whole batch) and `panels` panels of `weights` floats together, with tiles of
    /// `rows` pixels.
    pub(crate) fn new(pixels: usize, panels: usize, weights: usize, rows: usize, threads: usize) -> Self {
        let mut pixel_parts = pixels.div_ceil(M_BLOCK);
        let mut panel_parts = 1;
        if threads > 1 && weights.saturating_mul(pixels) >= WORTH_A_THREAD {
            let wanted = threads * TASKS_PER_THREAD;
            let tiles = pixels.div_ceil(rows);
            if tiles >= threads && (pixels >= LARGE * threads || weights <= FEW_WEIGHTS) {
                let most = (tiles / TILES_PER_TASK).max(threads);
                pixel_parts = pixel_parts.max(wanted).next_multiple_of(threads).min(most);
            }
            panel_parts = even_parts(panels, wanted.div_ceil(pixel_parts), threads);
        }
        Self { pixels, panels, pixel_parts, panel_parts }
    }

    pub(crate) fn tasks(&self) -> usize {
        self.pixel_parts * self.panel_parts
    }

    /// Pixels and panels of a task, from the first pixels to the last.
    pub(crate) fn task(&self, index: usize) -> (Range<usize>, Range<usize>) {
        (
            part(self.pixels, self.pixel_parts, index / self.panel_parts),
            part(self.panels, self.panel_parts, index % self.panel_parts),
        )
    }
}

/// How many parts to cut `panels` into, at least `wanted` if there are as many: such that all threads get the
/// same number of panels, if a few more parts allow it.
fn even_parts(panels: usize, wanted: usize, threads: usize) -> usize {
    let mut candidates = wanted..=3 * wanted;
    let even = candidates.find(|parts| panels.is_multiple_of(*parts) && parts.is_multiple_of(threads));
    even.unwrap_or(wanted).min(panels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_pixel_and_panel_is_in_one_task() {
        for (pixels, panels) in [(1, 1), (1, 9), (49, 16), (196, 8), (784, 3), (1568, 2), (3136, 2)] {
            for threads in [1, 2, 3, 8] {
                let partition = Partition::new(pixels, panels, pixels * panels * 4096, 14, threads);
                let mut seen = vec![0; pixels * panels];
                for index in 0..partition.tasks() {
                    let (pixel_range, panel_range) = partition.task(index);
                    for panel in panel_range {
                        for pixel in pixel_range.clone() {
                            seen[panel * pixels + pixel] += 1;
                        }
                    }
                }
                assert!(seen.iter().all(|n| *n == 1), "{pixels} pixels, {panels} panels, {threads} threads");
            }
        }
    }

    #[test]
    fn threads_get_the_same_number_of_panels_where_it_can_be() {
        for panels in [4, 6, 8, 10, 12, 40, 64] {
            let partition = Partition::new(49, panels, panels << 16, 14, 2);
            let sizes: Vec<usize> = (0..partition.tasks()).map(|task| partition.task(task).1.len()).collect();
            assert!(
                sizes.len().is_multiple_of(2) && sizes.iter().all(|n| *n == sizes[0]),
                "{panels}: {sizes:?}"
            );
        }
    }

    #[test]
    fn no_thread_is_without_a_task_where_there_is_work_for_it() {
        for (pixels, panels) in [(49, 16), (196, 8), (784, 4), (3136, 2), (12544, 2)] {
            for threads in [2, 4, 8] {
                for weights in [panels << 13, panels << 16] {
                    let tasks = Partition::new(pixels, panels, weights, 14, threads).tasks();
                    assert!(tasks >= threads, "{pixels} pixels, {panels} panels: {tasks} tasks");
                }
            }
        }
    }

    #[test]
    fn a_thread_keeps_to_its_pixels_where_that_is_cheap() {
        // 1x1 layers of ResNet-50 at 14x14, of MobileNet-V2 at 7x7; of ResNet-50 at 7x7 the weights are too many.
        for (pixels, panels, weights, expected) in
            [(196, 32, 256 * 1024, true), (49, 30, 160 * 960, true), (49, 64, 512 * 2048, false)]
        {
            let partition = Partition::new(pixels, panels, weights, 14, 2);
            assert_eq!(partition.pixel_parts >= 2, expected, "{partition:?}");
        }
        assert_eq!(Partition::new(1, 36, 48 * 1152, 14, 2).tasks(), 1, "too little for two");
    }
}
