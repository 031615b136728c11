//! Reading the profiles that commands are given.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::format::read as reader;
use crate::profile::Profile;

/// Reads a profile, bounded.
pub(super) fn read(file: &Path) -> Result<Profile> {
    let shown = file.display();
    let open = File::open(file).with_context(|| format!("open {shown}"))?;
    if open.metadata().with_context(|| format!("look at {shown}"))?.is_dir() {
        bail!("{shown} is a folder; a profile is wanted");
    }
    let most = reader::MAX_BYTES;
    let mut bytes = Vec::new();
    open.take(most + 1).read_to_end(&mut bytes).with_context(|| format!("read {shown}"))?;
    if bytes.len() as u64 > most {
        bail!("{shown} is larger than {most} bytes, the most that flame reads");
    }
    reader::read(&bytes).with_context(|| format!("read {shown}"))
}

/// A file's name without its folder.
pub(super) fn name_of(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
