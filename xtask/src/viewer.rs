//! The viewer's tests: its modules in Node, and pages in a browser.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::steps::Outcome;
use crate::{command, workspace};

/// Browsers that the tests can drive, the first that is there.
const BROWSERS: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

/// The tests of the viewer's modules.
pub(crate) fn test() -> Result<Outcome> {
    let folder = folder();
    let entries = fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))?;
    let mut tests: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    tests.retain(|path| path.extension().is_some_and(|extension| extension == "mjs"));
    tests.sort();
    command::run(Command::new(node()?).arg("--test").args(tests).current_dir(workspace::root()))?;
    Ok(Outcome::Passed)
}

/// The tests of whole pages in Chromium, where it and npm are there.
pub(crate) fn test_in_browser() -> Result<Outcome> {
    let Some(browser) = browser() else {
        return Ok(Outcome::Partly("not run: no Chromium here".to_owned()));
    };
    if !command::exists("npm") {
        return Ok(Outcome::Partly("not run: no npm here".to_owned()));
    }
    let modules = provide_modules("browser", &folder().join("browser"))?;
    let pages = workspace::target_dir().join("viewer-pages");
    make_pages(&["fixtures".as_ref(), pages.as_os_str()], false)?;
    command::run(
        Command::new(node()?)
            .arg(folder().join("browser/run.mjs"))
            .arg(pages)
            .env("NODE_PATH", modules)
            .env("CHROMIUM", browser),
    )?;
    Ok(Outcome::Passed)
}

/// The browser that the tests drive.
pub(crate) fn browser() -> Option<PathBuf> {
    BROWSERS.iter().find_map(|name| command::find_all(name).into_iter().next())
}

/// Node.
pub(crate) fn node() -> Result<PathBuf> {
    command::find_all("node").into_iter().next().context("find node")
}

/// Runs the example that makes pages and profiles.
pub(crate) fn make_pages(arguments: &[&std::ffi::OsStr], release: bool) -> Result<()> {
    let mut make = Command::new(workspace::cargo());
    make.args(["run", "--quiet", "--package", "flame", "--example", "pages"]);
    if release {
        make.arg("--release");
    }
    command::run(make.arg("--").args(arguments).current_dir(workspace::root()))
}

/// Installs the npm packages that `source` locks into a folder `name` of cargo's, unless they are
/// there; returns where they are.
pub(crate) fn provide_modules(name: &str, source: &std::path::Path) -> Result<PathBuf> {
    let tools = workspace::target_dir().join("tools").join(name);
    let modules = tools.join("node_modules");
    let lock = fs::read(source.join("package-lock.json"))
        .with_context(|| format!("read the lock file in {}", source.display()))?;
    // npm keeps a lock of its own there once it is done; ours says what that was made of.
    let done = modules.join(".flame-lock");
    if fs::read(&done).is_ok_and(|of| of == lock) {
        return Ok(modules);
    }
    fs::create_dir_all(&tools).with_context(|| format!("make {}", tools.display()))?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(source.join(file), tools.join(file)).with_context(|| format!("copy {file}"))?;
    }
    command::run(
        Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(&tools),
    )?;
    fs::write(&done, lock).with_context(|| format!("write {}", done.display()))?;
    Ok(modules)
}

fn folder() -> PathBuf {
    workspace::root().join("flame-userspace/viewer/test")
}
