//! What the heap's workloads tell of themselves, and how far a profile is from it: in units of
//! the error that the profile itself states, pooled over many sites and runs.

use std::collections::BTreeMap;

use flame::profile::{Profile, StackId};

/// A number that a heap profile has of each site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quantity {
    /// Blocks made.
    AllocObjects,
    /// Bytes asked for.
    AllocSpace,
    /// Blocks still held.
    InuseObjects,
    /// Bytes still held.
    InuseSpace,
}

impl Quantity {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::AllocObjects, Self::AllocSpace, Self::InuseObjects, Self::InuseSpace];

    /// The sample type of the profile.
    pub const fn sample_type(self) -> &'static str {
        match self {
            Self::AllocObjects => "alloc_objects",
            Self::AllocSpace => "alloc_space",
            Self::InuseObjects => "inuse_objects",
            Self::InuseSpace => "inuse_space",
        }
    }
}

/// What a function allocated, as the program counted it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Site {
    /// Blocks made.
    pub objects: u64,
    /// Bytes asked for.
    pub bytes: u64,
    /// Blocks held at the end by processes that live then.
    pub held_objects: u64,
    /// Their bytes.
    pub held_bytes: u64,
    /// Blocks held by children when they ended.
    pub exited_objects: u64,
    /// Their bytes.
    pub exited_bytes: u64,
}

impl Site {
    /// One of its numbers.
    pub const fn of(&self, quantity: Quantity) -> u64 {
        match quantity {
            Quantity::AllocObjects => self.objects,
            Quantity::AllocSpace => self.bytes,
            Quantity::InuseObjects => self.held_objects,
            Quantity::InuseSpace => self.held_bytes,
        }
    }
}

/// What a workload told of its sites, by name.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    /// All sites.
    pub sites: BTreeMap<String, Site>,
}

impl Truth {
    /// Reads the lines `site` and `exited` of what the workload printed.
    pub fn read(printed: &str) -> Self {
        let mut truth = Self::default();
        for line in printed.lines() {
            let mut words = line.split_ascii_whitespace();
            let kind = words.next();
            if !matches!(kind, Some("site" | "exited")) {
                continue;
            }
            let name = words.next().expect("a site's name");
            let numbers: Vec<u64> =
                words.map(|word| word.parse().expect("a number of a site")).collect();
            let site = truth.sites.entry(name.to_owned()).or_default();
            match (kind, numbers.as_slice()) {
                (Some("site"), &[objects, bytes, held_objects, held_bytes]) => {
                    *site = Site { objects, bytes, held_objects, held_bytes, ..Site::default() };
                }
                (Some("exited"), &[objects, bytes]) => {
                    (site.exited_objects, site.exited_bytes) = (objects, bytes);
                }
                _ => panic!("a line that says nothing: {line:?}"),
            }
        }
        assert!(!truth.sites.is_empty(), "the workload told nothing: {printed:?}");
        truth
    }

    /// The sum over all sites.
    pub fn total(&self, quantity: Quantity) -> u64 {
        self.sites.values().map(|site| site.of(quantity)).sum()
    }
}

/// Whether a function, by the name that a profile gives it, is a site: `site` in C, with its
/// arguments in C++, behind its modules in Rust.
pub fn is_site(function: &str, site: &str) -> bool {
    let plain = function.split_once('(').map_or(function, |(name, _)| match name {
        // `(anonymous namespace)::site(...)`
        "" => function,
        name => name,
    });
    let plain = plain.strip_prefix("(anonymous namespace)::").unwrap_or(plain);
    let plain = plain.split_once('(').map_or(plain, |(name, _)| name);
    plain.rsplit("::").next() == Some(site)
}

/// What a profile says of each site of a truth; `None` for a quantity that the profile has no
/// sample type for.
pub fn estimates(
    profile: &Profile,
    truth: &Truth,
    quantity: Quantity,
) -> Option<BTreeMap<String, i64>> {
    let column = profile.sample_type_index(quantity.sample_type())?;
    let mut sums: BTreeMap<String, i64> =
        truth.sites.keys().map(|name| (name.clone(), 0)).collect();
    for sample in profile.samples() {
        if let Some(site) = site_of(profile, sample.stack, truth) {
            *sums.get_mut(site).expect("a site of the truth") += sample.values[column];
        }
    }
    Some(sums)
}

/// The innermost site on a stack.
fn site_of<'a>(profile: &Profile, stack: Option<StackId>, truth: &'a Truth) -> Option<&'a str> {
    let names = profile.frames(stack).flat_map(|location| {
        profile.location(location).lines.iter().map(|line| profile.function(line.function).name)
    });
    names.into_iter().find_map(|name| {
        let name = profile.string(name);
        truth.sites.keys().find(|site| is_site(name, site)).map(String::as_str)
    })
}

/// An estimate beside the truth.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// Whose.
    pub site: String,
    /// What.
    pub quantity: Quantity,
    /// What the profile says.
    pub estimate: f64,
    /// What the program counted.
    pub truth: f64,
    /// The standard error that the profile states.
    pub standard_error: f64,
}

impl Compared {
    /// The error in units of the stated one. Infinite where an error of nothing was stated and
    /// there is one.
    pub fn z(&self) -> f64 {
        let error = self.estimate - self.truth;
        if error == 0.0 { 0.0 } else { error / self.standard_error }
    }
}

/// Compares all sites that held or made at least `least` by the truth: where fewer than some 20
/// samples are to be expected, their number is far from normal. A choice by the estimates instead
/// would favour those that came out high. `standard_error` gives what the profile states.
pub fn compare(
    profile: &Profile,
    truth: &Truth,
    quantity: Quantity,
    least: u64,
    standard_error: impl Fn(&str) -> f64,
) -> Vec<Compared> {
    let estimates = estimates(profile, truth, quantity);
    let estimates =
        estimates.unwrap_or_else(|| panic!("the profile has no {}", quantity.sample_type()));
    let large = truth.sites.iter().filter(|(_, site)| site.of(quantity) >= least.max(1));
    large
        .map(|(name, site)| Compared {
            site: name.clone(),
            quantity,
            estimate: estimates[name] as f64,
            truth: site.of(quantity) as f64,
            standard_error: standard_error(name),
        })
        .collect()
}

/// Errors of many sites and runs, in units of the stated ones.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    /// What was compared.
    pub all: Vec<Compared>,
}

impl Pool {
    /// The mean of z: 0 where the estimates are unbiased.
    pub fn mean(&self) -> f64 {
        self.all.iter().map(Compared::z).sum::<f64>() / self.all.len() as f64
    }

    /// The standard deviation of z: 1 where the stated errors are right.
    pub fn deviation(&self) -> f64 {
        let mean = self.mean();
        let squares: f64 = self.all.iter().map(|one| (one.z() - mean).powi(2)).sum();
        (squares / (self.all.len() as f64 - 1.0)).sqrt()
    }

    /// The share of z beyond a limit, on either side.
    pub fn share_beyond(&self, limit: f64) -> f64 {
        // An error that is no number (0 / 0 cannot be: see `z`) is beyond any limit.
        let within = self.all.iter().filter(|one| one.z().abs() <= limit).count();
        // Counted, since 1 less a share is not the other share: 2 of 200 came out as more than 1 %.
        (self.all.len() - within) as f64 / self.all.len() as f64
    }

    /// The worst, for messages.
    pub fn worst(&self) -> String {
        let mut all: Vec<&Compared> = self.all.iter().collect();
        all.sort_by(|a, b| b.z().abs().total_cmp(&a.z().abs()));
        let line = |one: &&Compared| {
            let Compared { site, quantity, estimate, truth, standard_error } = one;
            let name = quantity.sample_type();
            let z = one.z();
            format!("{site} {name}: {estimate} of {truth}, +-{standard_error:.1}: z {z:+.2}\n")
        };
        all.iter().take(12).map(line).collect()
    }

    /// Asserts what unbiased estimates with right errors fulfil.
    pub fn assert_sound(&self) {
        let (count, mean, deviation) = (self.all.len(), self.mean(), self.deviation());
        let beyond = self.share_beyond(3.0);
        let said = format!(
            "{count} site-runs: z {mean:+.3} on average, deviation {deviation:.3}, {:.1} % beyond 3\n{}",
            beyond * 100.0,
            self.worst()
        );
        assert!(count >= 200, "too few to tell: {said}");
        assert!(mean.abs() < 0.2, "biased: {said}");
        assert!((0.85..=1.15).contains(&deviation), "the stated errors are wrong: {said}");
        assert!(beyond <= 0.01, "too many are far off: {said}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(estimate: f64, standard_error: f64) -> Compared {
        Compared {
            site: "site".to_owned(),
            quantity: Quantity::AllocSpace,
            estimate,
            truth: 100.0,
            standard_error,
        }
    }

    /// Errors of z as a normal distribution has them, and `shift` added.
    fn pool(shift: f64, spread: f64) -> Pool {
        // Sums of twelve uniform numbers, less six, are close to normal.
        let mut state = 7_u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        let mut normal = || (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
        let all = (0..2000).map(|_| compared(100.0 + 10.0 * (shift + spread * normal()), 10.0));
        Pool { all: all.collect() }
    }

    #[test]
    fn what_a_workload_tells_is_read() {
        let truth = Truth::read("hello\nsite a 3 30 1 10\nsite b 1 5 0 0\nexited b 2 7\n");
        let a = truth.sites["a"];
        assert_eq!(Quantity::ALL.map(|quantity| a.of(quantity)), [3, 30, 1, 10]);
        assert_eq!((truth.sites["b"].exited_objects, truth.sites["b"].exited_bytes), (2, 7));
        assert_eq!(truth.total(Quantity::AllocSpace), 35);
    }

    #[test]
    fn sites_are_known_by_the_names_of_three_languages() {
        assert!(is_site("leaked", "leaked"));
        assert!(is_site("leaked(int, char const*)", "leaked"));
        assert!(is_site("(anonymous namespace)::leaked(worker*)", "leaked"));
        assert!(is_site("(anonymous namespace)::leaked", "leaked"));
        assert!(is_site("heap_sites::leaked", "leaked"));
        assert!(!is_site("leaked_too", "leaked"));
        assert!(!is_site("call(leaked)", "leaked"));
        assert!(!is_site("heap_sites::leaked::{closure#0}", "leaked"));
    }

    #[test]
    fn sound_errors_pass_and_others_do_not() {
        pool(0.0, 1.0).assert_sound();
        for (shift, spread) in [(0.3, 1.0), (-0.3, 1.0), (0.0, 1.3), (0.0, 0.7)] {
            let caught = std::panic::catch_unwind(|| pool(shift, spread).assert_sound());
            assert!(caught.is_err(), "shift {shift}, spread {spread}");
        }
    }

    #[test]
    fn as_many_as_may_be_far_off_are_sound() {
        let far = |count: usize| {
            let sign = |index: usize| if index.is_multiple_of(2) { 1.0 } else { -1.0 };
            let z = |index| sign(index) * if index < count { 3.5 } else { 1.0 };
            Pool { all: (0..200).map(|index| compared(100.0 + 10.0 * z(index), 10.0)).collect() }
        };
        far(2).assert_sound();
        assert!(std::panic::catch_unwind(|| far(3).assert_sound()).is_err());
    }

    #[test]
    fn an_error_that_was_not_stated_is_beyond_any_limit() {
        assert_eq!(compared(100.0, 0.0).z().to_bits(), 0.0_f64.to_bits());
        assert!(compared(101.0, 0.0).z().is_infinite());
        let mut pool = pool(0.0, 1.0);
        pool.all.push(compared(101.0, 0.0));
        assert!(std::panic::catch_unwind(|| pool.assert_sound()).is_err());
    }
}
