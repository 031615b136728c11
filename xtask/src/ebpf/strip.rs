//! Takes the DWARF out of the object: it is most of the file, and nothing reads it. BTF stays, as
//! the loader and the verifier's log need it.

use anyhow::{Context as _, Result, ensure};
use object::build::elf::{Builder, SectionData};
use object::{Endianness, elf};

/// The object without its DWARF sections and what refers to them.
pub(crate) fn strip_dwarf(object: &[u8]) -> Result<Vec<u8>> {
    let mut builder = Builder::read(object).context("read the compiled object")?;
    for section in &mut builder.sections {
        let name = section.name.as_slice();
        section.delete = is_dwarf(name.strip_prefix(b".rel").unwrap_or(name));
    }
    builder.delete_orphans();
    // LLVM keeps the sections' names among the symbols'; the builder wants a section for them.
    if !builder.sections.iter().any(|section| matches!(section.data, SectionData::SectionString)) {
        add_section_names(&mut builder);
    }
    let mut stripped = Vec::new();
    builder.write(&mut stripped).context("write the stripped object")?;
    Ok(stripped)
}

/// Checks that a finished object has its BTF, no DWARF, and none of these texts.
pub(crate) fn check(object: &[u8], forbidden: &[String]) -> Result<()> {
    let builder = Builder::<'_>::read(object).context("read the stripped object")?;
    ensure!(
        builder.header.e_machine == elf::EM_BPF && builder.endian == Endianness::Little,
        "the object is not a little-endian BPF object"
    );
    let has = |name: &[u8]| builder.sections.iter().any(|section| section.name.as_slice() == name);
    for name in [".BTF", ".BTF.ext", "license"] {
        ensure!(has(name.as_bytes()), "the object has no section {name}");
    }
    ensure!(
        !builder.sections.iter().any(|section| is_dwarf(section.name.as_slice())),
        "the object still has DWARF"
    );
    for text in forbidden {
        let found = object.windows(text.len()).any(|window| window == text.as_bytes());
        ensure!(!found, "the object carries a path of this machine, {text}");
    }
    Ok(())
}

fn add_section_names(builder: &mut Builder<'_>) {
    let section = builder.sections.add();
    section.name = b".shstrtab".as_slice().into();
    section.sh_type = elf::SHT_STRTAB;
    section.sh_addralign = 1;
    section.data = SectionData::SectionString;
}

fn is_dwarf(section: &[u8]) -> bool {
    section.starts_with(b".debug_")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A BPF object with these sections, each holding its own name.
    fn object(sections: &[&'static str]) -> Vec<u8> {
        let mut builder = Builder::new(Endianness::Little, true);
        builder.header.e_type = elf::ET_REL;
        builder.header.e_machine = elf::EM_BPF;
        for name in sections {
            let section = builder.sections.add();
            section.name = name.as_bytes().into();
            section.sh_type = elf::SHT_PROGBITS;
            section.sh_addralign = 1;
            section.data = SectionData::Data(name.as_bytes().into());
        }
        add_section_names(&mut builder);
        let mut bytes = Vec::new();
        builder.write(&mut bytes).expect("a vector takes any object");
        bytes
    }

    #[test]
    fn dwarf_goes_and_btf_stays() -> Result<()> {
        let whole = object(&["license", ".debug_info", ".BTF", ".BTF.ext", ".debug_str"]);
        assert!(check(&whole, &[]).is_err());
        let stripped = strip_dwarf(&whole)?;
        check(&stripped, &[])?;
        assert!(stripped.len() < whole.len());
        Ok(())
    }

    #[test]
    fn an_object_without_btf_or_with_a_local_path_is_refused() {
        let said = |object: &[u8], forbidden: &[String]| {
            check(object, forbidden).expect_err("there is a fault").to_string()
        };
        assert!(said(&object(&["license", ".BTF"]), &[]).contains(".BTF.ext"));
        let leaky = object(&["license", ".BTF", ".BTF.ext", "/build/here"]);
        assert!(said(&leaky, &["/build/here".to_owned()]).contains("/build/here"));
    }
}
