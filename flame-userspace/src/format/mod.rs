//! Writers and readers of profiles: one file or folder a format, each on a
//! [`Profile`](crate::profile::Profile) alone.

mod bounded;
pub mod change;
pub mod date;
#[cfg(test)]
mod example;
pub mod firefox;
pub mod folded;
mod frame;
pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod pprof;
pub mod read;
pub mod share;
pub mod svg;
pub mod table;
pub mod text;

use std::io::{self, Write};

use crate::analyze::report::{Report, ReportOptions};
use crate::profile::{self, Profile};

/// A form in which a profile can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// gzip-compressed pprof.
    Pprof,
    /// The interactive page.
    Html,
    /// The report as Markdown.
    Markdown,
    /// A static image.
    Svg,
    /// Folded stacks, a line each.
    Folded,
    /// The Firefox Profiler's file.
    Firefox,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 6] =
        [Self::Pprof, Self::Html, Self::Markdown, Self::Svg, Self::Folded, Self::Firefox];

    /// The name that a user gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pprof => "pb",
            Self::Html => "html",
            Self::Markdown => "md",
            Self::Svg => "svg",
            Self::Folded => "folded",
            Self::Firefox => "firefox",
        }
    }

    /// What its files' names end in: the name, but where other tools go by the ending.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Firefox => "firefox.json.gz",
            other => other.name(),
        }
    }

    /// The format of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}

/// How a profile is shown.
#[derive(Debug, Clone, Copy)]
pub struct Presentation<'a> {
    /// The heading.
    pub title: &'a str,
    /// Whether each process is the outermost frame of its samples.
    pub by_process: bool,
    /// What a page was made from, for [`html::source_of`].
    pub source_id: &'a str,
    /// Whether inlined functions are locations of their own in pprof files, for readers that look
    /// at one function of a location alone.
    pub flat_inlines: bool,
}

/// Writes `profile` in a format. The image and the folded stacks are of its default sample type.
pub fn write(
    format: Format,
    profile: &Profile,
    presentation: &Presentation<'_>,
    out: &mut impl Write,
) -> io::Result<()> {
    let Presentation { title, by_process, source_id, flat_inlines } = *presentation;
    let sample_type = profile.default_sample_type();
    match format {
        Format::Pprof if flat_inlines => pprof::write(&profile::flat_inlines(profile), out),
        Format::Pprof => pprof::write(profile, out),
        Format::Firefox => firefox::write(profile, title, out),
        Format::Html => html::write(profile, &html::Page { title, by_process, source_id }, out),
        Format::Markdown => {
            let facts = Report::of(profile, ReportOptions::default());
            let heading = markdown::Heading { title, source: source_id };
            out.write_all(markdown::report(&facts, &heading).as_bytes())
        }
        Format::Svg => svg::write(profile, &svg::Options { title, sample_type, by_process }, out),
        Format::Folded => folded::write(profile, sample_type, by_process, out),
    }
}
