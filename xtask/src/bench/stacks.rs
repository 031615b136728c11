//! Distributions of whole stacks, by function names, and how far two of them are apart.

use std::collections::HashMap;

/// The share of each stack: its functions' names, outermost first.
#[derive(Debug, Default)]
pub(super) struct Stacks {
    weights: HashMap<String, f64>,
    total: f64,
}

impl Stacks {
    /// Of folded stacks.
    pub(super) fn of_folded(text: &str) -> Self {
        let mut stacks = Self::default();
        for line in text.lines() {
            let Some((path, weight)) = line.rsplit_once(' ') else { continue };
            let names: Vec<&str> = path.split(';').map(plain).collect();
            stacks.add(&names.join(";"), weight.parse().unwrap_or(0.0));
        }
        stacks
    }

    /// Of what `perf script -F ip,sym,dso` tells, without the kernel's frames: a line for each
    /// frame, innermost first, and an empty one between stacks. Stacks of the kernel alone have
    /// no line left, and are no stacks here.
    pub(super) fn of_perf_script(text: &str) -> Self {
        let mut stacks = Self::default();
        for block in text.split("\n\n") {
            let frames = block.lines().filter_map(|line| {
                let (_, rest) = line.trim().split_once(' ')?;
                let (name, file) = rest.rsplit_once(" (")?;
                (!file.starts_with("[kernel")).then(|| plain(name).to_owned())
            });
            let mut names: Vec<String> = frames.collect();
            names.reverse();
            if !names.is_empty() {
                stacks.add(&names.join(";"), 1.0);
            }
        }
        stacks
    }

    fn add(&mut self, path: &str, weight: f64) {
        *self.weights.entry(path.to_owned()).or_default() += weight;
        self.total += weight;
    }

    /// Frames of a stack, on average.
    pub(super) fn mean_depth(&self) -> f64 {
        let frames =
            self.weights.iter().map(|(path, weight)| weight * path.split(';').count() as f64);
        frames.sum::<f64>() / self.total
    }

    fn share(&self, path: &str) -> f64 {
        self.weights.get(path).map_or(0.0, |weight| weight / self.total)
    }

    /// The total variation distance in percent: half the sum of the differences of all shares.
    pub(super) fn distance(&self, other: &Self) -> f64 {
        let here = self.weights.keys();
        let there = other.weights.keys().filter(|path| !self.weights.contains_key(*path));
        let differences =
            here.chain(there).map(|path| (self.share(path) - other.share(path)).abs());
        differences.sum::<f64>() * 50.0
    }

    /// The stacks whose shares differ the most, with the difference in points.
    pub(super) fn farthest(&self, other: &Self) -> Vec<(f64, String)> {
        let paths = self.weights.keys().chain(other.weights.keys());
        let mut all: Vec<(f64, String)> = paths
            .map(|path| ((self.share(path) - other.share(path)) * 100.0, path.clone()))
            .collect();
        all.sort_by(|one, next| next.0.abs().total_cmp(&one.0.abs()).then(one.1.cmp(&next.1)));
        all.dedup();
        all.truncate(5);
        all
    }
}

/// A name without what tells apart the names of one function: the C library's `__GI_` and
/// leading underscores, and versions.
fn plain(name: &str) -> &str {
    let name = name.split('@').next().unwrap_or(name);
    let name = name.strip_prefix("__GI_").unwrap_or(name);
    let bare = name.trim_start_matches('_');
    if bare.is_empty() { name } else { bare }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_stacks_and_perfs_text_give_the_same() {
        let folded = Stacks::of_folded("_start;main;f 3\n_start;main 1\n");
        let frames = |names: &[&str]| -> String {
            names.iter().flat_map(|name| ["\t  12ab ", name, " (/bin/x)\n"]).collect()
        };
        let deep = frames(&["f", "main", "_start"]);
        let kernel = "\t ffff do_irq ([kernel.kallsyms])\n";
        let text =
            format!("{deep}\n{kernel}{deep}\n{deep}\n{}\n{kernel}\n", frames(&["main", "_start"]));
        let script = Stacks::of_perf_script(&text);
        assert!(folded.distance(&script) < 1e-9, "{script:?}");
        assert!((script.mean_depth() - 2.75).abs() < 1e-9);
    }

    #[test]
    fn the_distance_is_the_share_that_would_have_to_move() {
        let one = Stacks::of_folded("a 1\nb 3\n");
        let other = Stacks::of_folded("a 30\nc 10\n");
        assert!((one.distance(&other) - 75.0).abs() < 1e-9);
        assert!(one.distance(&one) < 1e-9);
        assert_eq!(one.farthest(&other)[0].1, "b");
    }

    #[test]
    fn names_of_one_function_are_one() {
        assert_eq!(
            [plain("__GI_raise"), plain("raise@@GLIBC_2.2.5"), plain("__")],
            ["raise", "raise", "__"]
        );
    }
}
