//! `bench viewer`: pages of 1,000 to 1,000,000 call-tree nodes in Chromium, beside react-pprof,
//! speedscope and inferno on the same profiles.

mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use self::report::{Made, Report, Row, Seen};
use super::Folder;
use super::process::Process;
use crate::{command, viewer, workspace};

/// The sizes of the profiles.
const SIZES: [usize; 4] = [1_000, 20_000, 200_000, 1_000_000];
/// What is compared, flame first.
const VIEWERS: [&str; 4] = ["flame", "react-pprof", "speedscope", "inferno"];
/// inferno's version; the others' are in package.json.
const INFERNO: &str = "0.12.8";

#[derive(Debug, Args)]
pub(super) struct ViewerArgs {
    /// The smallest profile and flame's page alone, to see that it works; prints the tables instead
    #[arg(long)]
    quick: bool,
    /// flame's page alone; prints the tables instead
    #[arg(long)]
    alone: bool,
    /// How long a page may take until it shows something
    #[arg(long, value_name = "SECONDS", default_value_t = 40)]
    limit: u64,
}

/// Runs the benchmark; a full run writes its tables to BENCHMARKS.md.
pub(super) fn run(args: &ViewerArgs) -> Result<()> {
    let Some(browser) = viewer::browser() else {
        bail!("there is no Chromium here:\n\n    sudo apt-get install chromium\n");
    };
    let source = workspace::root().join("xtask/src/bench/viewer");
    let modules = viewer::provide_modules("bench-viewer", &source)?;
    command::run(
        Command::new(workspace::cargo())
            .args(["build", "--release", "--locked", "--package", "flame"])
            .args(["--bin", "flame", "--example", "pages"])
            .current_dir(workspace::root()),
    )?;
    let folder = Folder::make()?;
    let bench = Bench {
        folder: folder.path(),
        modules,
        inferno: if args.quick || args.alone { PathBuf::new() } else { provide_inferno()? },
        flame: workspace::target_dir().join("release/flame"),
        browser,
    };
    let report = bench.measure(args)?;
    if args.quick || args.alone {
        println!("{report}");
        return Ok(());
    }
    report.write(&workspace::root().join("BENCHMARKS.md"))
}

struct Bench<'a> {
    folder: &'a Path,
    modules: PathBuf,
    inferno: PathBuf,
    flame: PathBuf,
    browser: PathBuf,
}

impl Bench<'_> {
    fn measure(&self, args: &ViewerArgs) -> Result<Report> {
        let sizes = if args.quick { &SIZES[..1] } else { &SIZES[..] };
        let viewers = if args.quick || args.alone { &VIEWERS[..1] } else { &VIEWERS[..] };
        let mut rows = Vec::new();
        let mut jobs = Vec::new();
        for &nodes in sizes {
            eprintln!("{nodes} nodes: profile and pages");
            let size = nodes.to_string();
            viewer::make_pages(
                &["synthetic".as_ref(), size.as_ref(), self.folder.as_os_str()],
                true,
            )?;
            for &of in viewers {
                let (page, made) = self.make(of, nodes)?;
                // Of the peers' slow pages one run is enough to tell.
                let runs = if of == "flame" { 3 } else { 1 };
                jobs.push(json!({
                    "viewer": of,
                    "url": page,
                    "runs": runs,
                    "limit_ms": args.limit * 1000,
                }));
                rows.push((nodes, of, made));
            }
        }
        let seen = self.open(&jobs)?;
        let rows = rows
            .into_iter()
            .zip(seen)
            .map(|((nodes, viewer, made), seen)| Row { nodes, viewer, made, seen })
            .collect();
        Report::new(rows, &self.browser, &self.flame, &self.modules)
    }

    /// Makes the page of a profile; its address.
    fn make(&self, viewer: &str, nodes: usize) -> Result<(String, Made)> {
        let file = |ending: &str| self.folder.join(format!("{nodes}{ending}"));
        let profile = file(".pb.gz");
        let page = file(&format!(".{viewer}.html"));
        let mut address = format!("file://{}", page.display());
        let mut make = match viewer {
            "flame" => {
                let mut make = Command::new(&self.flame);
                make.args(["generate", "--force", "--format", "html", "--output"]);
                make.arg(&page).arg(&profile);
                make
            }
            "react-pprof" => {
                let mut make = Command::new(viewer::node()?);
                make.arg(self.modules.join("react-pprof/cli.js"));
                make.arg(&profile).arg("-o").arg(&page);
                make
            }
            "speedscope" => return self.speedscope(&profile, nodes),
            "inferno" => {
                let page = file(".svg");
                address = format!("file://{}", page.display());
                let mut make = Command::new(self.inferno.join("bin/inferno-flamegraph"));
                make.arg(file(".folded"));
                make.stdout(fs::File::create(&page).context("make inferno's image")?);
                make
            }
            unknown => bail!("no viewer is called {unknown}"),
        };
        if viewer != "inferno" {
            make.stdout(Stdio::null());
        }
        let start = Instant::now();
        let usage = Process::start(make.stderr(Stdio::null()))?.wait()?;
        let time = start.elapsed();
        if !usage.succeeded {
            bail!("{viewer} made no page of {nodes} nodes");
        }
        let path = address.trim_start_matches("file://");
        let bytes = fs::metadata(path).with_context(|| format!("look at {path}"))?.len();
        Ok((address, Made { bytes, time: Some(time), peak_rss_bytes: usage.peak_rss_bytes }))
    }

    /// speedscope has no page of its own for a profile: it opens a script with it, as its own
    /// command makes one.
    fn speedscope(&self, profile: &Path, nodes: usize) -> Result<(String, Made)> {
        let packed = command::output(Command::new("base64").args(["-w", "0"]).arg(profile))?;
        let script = self.folder.join(format!("{nodes}.speedscope.js"));
        let text =
            format!("speedscope.loadFileFromBase64({:?}, {:?})", "profile.pb.gz", packed.trim());
        fs::write(&script, &text).context("write speedscope's script")?;
        let app = self.modules.join("speedscope/dist/release/index.html");
        let address = format!("file://{}#localProfilePath={}", app.display(), script.display());
        let made = Made { bytes: text.len() as u64, time: None, peak_rss_bytes: 0 };
        Ok((address, made))
    }

    fn open(&self, jobs: &[Value]) -> Result<Vec<Option<Seen>>> {
        let list = self.folder.join("jobs.json");
        fs::write(&list, serde_json::to_vec(jobs)?).context("write the list of pages")?;
        let mut measure = Command::new(viewer::node()?);
        measure
            .arg(workspace::root().join("xtask/src/bench/viewer/measure.mjs"))
            .arg(&list)
            .env("NODE_PATH", &self.modules)
            .env("CHROMIUM", &self.browser)
            .stderr(Stdio::inherit())
            .stdout(Stdio::piped());
        let output = measure.output().context("run measure.mjs")?;
        if !output.status.success() {
            bail!("measure.mjs: {}", output.status);
        }
        let results: Vec<Value> = serde_json::from_slice(&output.stdout).context("read results")?;
        Ok(results.iter().map(seen).collect())
    }
}

fn seen(result: &Value) -> Option<Seen> {
    let number = |name: &str| result[name].as_f64();
    let time = |name: &str| number(name).map(|ms| Duration::from_secs_f64(ms / 1000.0));
    Some(Seen {
        first: time("first")?,
        longest: time("longest")?,
        zoom: time("zoom"),
        rss_bytes: number("rss")? as u64 * 1024,
        peak_bytes: number("peak")? as u64 * 1024,
    })
}

fn provide_inferno() -> Result<PathBuf> {
    let folder = workspace::target_dir().join("tools/inferno");
    if !folder.join("bin/inferno-flamegraph").exists() {
        command::run(
            Command::new(workspace::cargo())
                .args(["install", "--quiet", "--locked", "--version", INFERNO, "--root"])
                .arg(&folder)
                .arg("inferno"),
        )?;
    }
    Ok(folder)
}
