//! A flamegraph as one static SVG image: the root on top, callees by falling value. Frames too
//! narrow to see are left out, so the file stays small however large the profile is.

mod draw;
mod layout;

use std::io;

use super::bounded::{Bounded, MAX_BYTES};
use crate::profile::Profile;
use crate::profile::tree::{CallTree, TreeOptions};

/// A brief image has no narrower boxes, ...
const BRIEF_NARROWEST: f64 = 8.0;
/// ... no more of them, ...
const BRIEF_BOXES: usize = 80;
/// ... and of each name so many characters.
const BRIEF_NAME: usize = 160;

/// What an image shows.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// The heading.
    pub title: &'a str,
    /// The column whose values are the widths.
    pub sample_type: usize,
    /// Whether each process is the outermost frame of its samples.
    pub by_process: bool,
}

/// Writes `profile` as an image. Panics if it has no such sample type but has samples.
///
/// More than a GiB is an error: a stack of millions of frames is as many boxes.
pub fn write(profile: &Profile, options: &Options, out: &mut impl io::Write) -> io::Result<()> {
    let tree = if profile.sample_count() == 0 {
        CallTree::default()
    } else {
        let options =
            TreeOptions { sample_type: options.sample_type, by_process: options.by_process };
        CallTree::build(profile, options)
    };
    let boxes = layout::lay_out(&tree, draw::WIDTH, draw::NARROWEST);
    let mut out = Bounded::new(out, "the image", MAX_BYTES);
    draw::draw(profile, options, &tree, &boxes, draw::LONGEST_NAME, &mut out)
}

/// Writes the outermost and heaviest frames of `tree`, in few bytes: a picture within a page.
pub(super) fn write_brief(
    profile: &Profile,
    tree: &CallTree,
    options: &Options,
    out: &mut impl io::Write,
) -> io::Result<()> {
    let mut boxes = layout::lay_out(tree, draw::WIDTH, BRIEF_NARROWEST);
    // They come level by level.
    boxes.truncate(BRIEF_BOXES);
    draw::draw(profile, options, tree, &boxes, BRIEF_NAME, out)
}
