//! What the object in the tree came from, as a file of `key = "value"` lines that TOML readers
//! understand too.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result, bail};

/// The record beside the object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Record {
    /// sha256 over the sources, see `sources`.
    pub(crate) sources: String,
    /// sha256 of the object.
    pub(crate) object: String,
    /// What built it.
    pub(crate) tools: Tools,
}

/// Everything beside the sources that decides the object's bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Tools {
    /// The machine whose register layout the programs read.
    pub(crate) arch: String,
    /// cargo puts a hash of its own making into symbol names.
    pub(crate) cargo: String,
    /// The first line of `rustc -vV`.
    pub(crate) rustc: String,
    /// bpf-linker's version.
    pub(crate) linker: String,
    /// The version of the LLVM that bpf-linker uses: it generates the code.
    pub(crate) llvm: String,
}

impl Record {
    /// Reads what `Display` writes.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut values = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let value = line.split_once('=').and_then(|(key, value)| {
                let value = value.trim().strip_prefix('"')?.strip_suffix('"')?;
                Some((key.trim().to_owned(), value.to_owned()))
            });
            let Some((key, value)) = value else {
                bail!("line {}: not `key = \"value\"`: {line}", number + 1);
            };
            if values.insert(key, value).is_some() {
                bail!("line {}: said twice: {line}", number + 1);
            }
        }
        let mut take =
            |key: &str| values.remove(key).with_context(|| format!("`{key}` is missing"));
        let record = Self {
            sources: take("sources")?,
            object: take("object")?,
            tools: Tools {
                arch: take("arch")?,
                cargo: take("cargo")?,
                rustc: take("rustc")?,
                linker: take("bpf-linker")?,
                llvm: take("llvm")?,
            },
        };
        if let Some(key) = values.keys().next() {
            bail!("`{key}` is not a key of the record");
        }
        Ok(record)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tools { arch, cargo, rustc, linker, llvm } = &self.tools;
        writeln!(f, "# Written by `cargo xtask build-ebpf`; not to be edited.")?;
        writeln!(f, "sources = \"{}\"", self.sources)?;
        writeln!(f, "object = \"{}\"", self.object)?;
        writeln!(f, "arch = \"{arch}\"")?;
        writeln!(f, "cargo = \"{cargo}\"")?;
        writeln!(f, "rustc = \"{rustc}\"")?;
        writeln!(f, "bpf-linker = \"{linker}\"")?;
        writeln!(f, "llvm = \"{llvm}\"")
    }
}

impl fmt::Display for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { arch, cargo, rustc, linker, llvm } = self;
        write!(f, "{rustc}, {cargo}, bpf-linker {linker} with LLVM {llvm}, for {arch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            sources: "aa".to_owned(),
            object: "bb".to_owned(),
            tools: Tools {
                arch: "x86_64".to_owned(),
                cargo: "cargo 1.95.0".to_owned(),
                rustc: "rustc 1.96.0 (ac68 2026-05-25) (built from source = true)".to_owned(),
                linker: "0.13.0".to_owned(),
                llvm: "22.1.8".to_owned(),
            },
        }
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() -> Result<()> {
        assert_eq!(Record::parse(&record().to_string())?, record());
        Ok(())
    }

    #[test]
    fn a_record_with_a_fault_is_refused_with_its_reason() {
        let text = record().to_string();
        for (broken, reason) in [
            (String::new(), "`sources` is missing"),
            (text.replace("llvm", "# llvm"), "`llvm` is missing"),
            (text.replace("\"bb\"", "bb"), "line 3: not `key"),
            (format!("{text}llvm = \"1\"\n"), "line 9: said twice"),
            (format!("{text}colour = \"red\"\n"), "`colour` is not a key"),
        ] {
            let error = Record::parse(&broken).expect_err(reason).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
