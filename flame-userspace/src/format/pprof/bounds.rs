//! Bounds on what a profile comes to once it is shown. Rows of a file share texts, frames and
//! callers, so that a file of a few KB can stand for a picture of many GB: such a file is refused
//! before anything is made of it.

use super::{MAX_DECOMPRESSED_BYTES, ReadError};
use crate::format::text::visible;
use crate::profile::Profile;
use crate::profile::size::{name_bytes, processes, stack_frames, tree_nodes};

/// The most frames that a profile's stacks are made of: callers that stacks of one process share
/// counted once, inlined functions each. A profile of a million frames is large.
pub(in crate::format) const MAX_FRAMES: usize = 64 << 20;

/// The most sample types: readers compare them with each other, and draw a choice of them.
pub(super) const MAX_SAMPLE_TYPES: usize = 1 << 10;

/// The most that what is shared may come to where it is told each time: as much as the largest file
/// has that shares nothing, with a byte for each frame.
const MAX_REPEATED: u64 = MAX_DECOMPRESSED_BYTES;

/// The frames of every sample's stack.
const FRAMES: &str = "frames in the stacks of all samples";
/// The names of every distinct frame and set of labels.
const NAMES: &str = "bytes in the names of frames and labels";

/// Refuses a profile that was read, if it comes to too much.
pub(in crate::format) fn check(profile: &Profile) -> Result<(), ReadError> {
    check_within(profile, MAX_FRAMES as u64, MAX_REPEATED)
}

fn check_within(profile: &Profile, nodes: u64, repeated: u64) -> Result<(), ReadError> {
    if tree_nodes(profile, &processes(profile), nodes) > nodes {
        return Err(ReadError::TooManyFrames { limit: nodes });
    }
    for (what, count) in [(FRAMES, stack_frames(profile)), (NAMES, shown_bytes(profile))] {
        if count > repeated {
            return Err(ReadError::TooMuchRepeated { limit: repeated, what });
        }
    }
    Ok(())
}

/// The bytes of names as they are shown, where a control character takes several.
fn shown_bytes(profile: &Profile) -> u64 {
    name_bytes(profile, |text| visible(text).len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::example;

    #[test]
    fn a_profile_passes_at_the_bounds_and_not_beyond_them() {
        let profile = example::small();
        let nodes = tree_nodes(&profile, &processes(&profile), u64::MAX);
        let repeated = stack_frames(&profile).max(shown_bytes(&profile));
        assert!(check(&profile).is_ok());
        assert!(check_within(&profile, nodes, repeated).is_ok());
        let error = check_within(&profile, nodes - 1, repeated).expect_err("a node too many");
        assert!(matches!(error, ReadError::TooManyFrames { .. }), "{error}");
        let error = check_within(&profile, nodes, repeated - 1).expect_err("a byte too many");
        assert!(matches!(error, ReadError::TooMuchRepeated { what: NAMES, .. }), "{error}");
        let error = check_within(&profile, nodes, 1).expect_err("more than a frame");
        assert!(matches!(error, ReadError::TooMuchRepeated { what: FRAMES, .. }), "{error}");
    }
}
