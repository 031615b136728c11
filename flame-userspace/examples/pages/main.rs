//! Makes what the viewer is tested and measured with.
//!
//!     pages fixtures FOLDER              pages of made-up profiles: cpu, heap, their diffs, hostile
//!     pages synthetic NODES FOLDER       a profile of so many call-tree nodes, as NODES.pb.gz, .folded
//!     pages diff BASE NEW PAGE           the page of the differences between two pprof files

mod fixtures;
mod synthetic;

use std::error::Error;
use std::fs;
use std::path::Path;

use flame::analyze::normalize::Normalize;
use flame::format::html::{DiffPage, write_diff};
use flame::format::{Format, Presentation, pprof, write};
use flame::profile::Profile;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["fixtures", folder] => make_fixtures(Path::new(folder)),
        ["synthetic", nodes, folder] => {
            let profile = synthetic::profile(nodes.parse()?);
            for (format, ending) in [(Format::Pprof, "pb.gz"), (Format::Folded, "folded")] {
                let bytes = written(format, &profile, nodes)?;
                fs::write(Path::new(folder).join(format!("{nodes}.{ending}")), bytes)?;
            }
            Ok(())
        }
        ["diff", base, new, page] => {
            let read = |path: &str| -> Result<Profile, Box<dyn Error>> {
                Ok(pprof::read(&fs::read(path)?)?)
            };
            fs::write(page, diff(&read(base)?, &read(new)?)?)?;
            Ok(())
        }
        _ => {
            Err("usage: pages fixtures FOLDER | synthetic NODES FOLDER | diff BASE NEW PAGE".into())
        }
    }
}

fn make_fixtures(folder: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    let pages = [
        ("cpu", fixtures::cpu(1.0, false)),
        ("heap", fixtures::heap()),
        ("hostile", fixtures::hostile()),
    ];
    for (name, profile) in pages {
        let title = if name == "hostile" { fixtures::EVIL } else { name };
        fs::write(folder.join(format!("{name}.html")), written(Format::Html, &profile, title)?)?;
        fs::write(folder.join(format!("{name}.svg")), written(Format::Svg, &profile, title)?)?;
    }
    let page = diff(&fixtures::cpu(1.0, false), &fixtures::cpu(1.2, true))?;
    fs::write(folder.join("diff.html"), page)?;
    let page = diff(&fixtures::heap(), &fixtures::grown_heap())?;
    fs::write(folder.join("heap-diff.html"), page)?;
    Ok(())
}

fn written(format: Format, profile: &Profile, title: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut bytes = Vec::new();
    let presentation =
        Presentation { title, by_process: true, source_id: title, flat_inlines: false };
    write(format, profile, &presentation, &mut bytes)?;
    Ok(bytes)
}

fn diff(base: &Profile, new: &Profile) -> Result<Vec<u8>, Box<dyn Error>> {
    let page = DiffPage {
        title: "before and after",
        base_name: "before.pb.gz",
        new_name: "after.pb.gz",
        by_process: true,
        sample_type: None,
        normalize: Some(Normalize::Totals),
        source_id: "before.pb.gz after.pb.gz",
    };
    let mut bytes = Vec::new();
    write_diff(base, new, &page, &mut bytes)?;
    Ok(bytes)
}
