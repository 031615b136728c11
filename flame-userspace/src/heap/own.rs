//! Functions that the user names as a program's own allocator: a pool's, an arena's.
//!
//! They are found by their names in the symbol tables of every file of a target. One that does no
//! more than hand its arguments on to `malloc` gets no probe, as the C library's forwarders do; and
//! what one takes from `malloc` for itself, in its own code or in functions of its file that it
//! calls, is left out, since the blocks that it makes of that are counted.

use flame_common::heap::{Arguments, Role};

/// A function of the user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnFunction {
    /// What it was told as.
    text: String,
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Where the arguments are, at its entry, in the order that the role has them.
    pub(crate) arguments: Arguments,
}

/// The registers of a function's arguments, by their numbers.
const REGISTERS: [u8; 6] = [7, 6, 2, 1, 8, 9];

impl OwnFunction {
    /// A function that allocates: `NAME:size=arg1,ret`. `size=arg1*arg2` is a number of blocks of
    /// a size, `old=arg1` a block that it gives up for the new one.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn alloc(text: &str) -> Result<Self, String> {
        let (name, items) = text.rsplit_once(':').ok_or_else(|| {
            format!("an allocating function is told as NAME:size=arg1,ret, and not as {text:?}")
        })?;
        let (mut size, mut old) = (None, None);
        for item in items.split(',') {
            match item.split_once('=') {
                Some(("size", of)) if size.is_none() => size = Some(product(of)?),
                Some(("old", of)) if old.is_none() => old = Some(register(of)?),
                None if item == "ret" => {}
                _ => {
                    return Err(format!("known are size=argN, old=argN and ret, and not {item:?}"));
                }
            }
        }
        let size = size.ok_or("which argument is the size? NAME:size=arg1,ret")?;
        let [_, second, third] = Arguments::AT_ENTRY.0;
        let (role, arguments) = match (old, size) {
            (None, (one, None)) => (Role::Malloc, [one, second, third]),
            (None, (one, Some(two))) => (Role::Calloc, [one, two, third]),
            (Some(old), (one, None)) => (Role::Realloc, [old, one, third]),
            (Some(old), (one, Some(two))) => (Role::ReallocArray, [old, one, two]),
        };
        Self::new(text, name, role, arguments)
    }

    /// A function that frees: `NAME:arg1`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn free(text: &str) -> Result<Self, String> {
        let (name, block) = text.rsplit_once(':').ok_or_else(|| {
            format!("a freeing function is told as NAME:arg1, and not as {text:?}")
        })?;
        let [_, second, third] = Arguments::AT_ENTRY.0;
        Self::new(text, name, Role::Free, [register(block)?, second, third])
    }

    fn new(text: &str, name: &str, role: Role, arguments: [u8; 3]) -> Result<Self, String> {
        if name.is_empty() {
            return Err(format!("{text:?} names no function"));
        }
        let (text, name) = (text.to_owned(), name.to_owned());
        Ok(Self { text, name, role, arguments: Arguments(arguments) })
    }

    /// What it was told as.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// One argument, or two that are multiplied.
fn product(text: &str) -> Result<(u8, Option<u8>), String> {
    match text.split_once('*') {
        Some((one, two)) => Ok((register(one)?, Some(register(two)?))),
        None => Ok((register(text)?, None)),
    }
}

/// The register of an argument: `arg1` is the first.
fn register(text: &str) -> Result<u8, String> {
    let number = text.strip_prefix("arg").and_then(|number| number.parse::<usize>().ok());
    let register = number.and_then(|number| REGISTERS.get(number.checked_sub(1)?));
    register.copied().ok_or_else(|| format!("an argument is arg1 to arg6, and not {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocating_functions_are_understood() {
        let of = |text| OwnFunction::alloc(text).expect(text);
        let plain = of("pool_get:size=arg1,ret");
        assert_eq!((plain.name.as_str(), plain.role), ("pool_get", Role::Malloc));
        assert_eq!(plain.arguments, Arguments::AT_ENTRY);
        let second = of("arena::take:size=arg2");
        assert_eq!((second.name.as_str(), second.arguments.0[0]), ("arena::take", 6));
        let many = of("f:size=arg3*arg4,ret");
        assert_eq!((many.role, many.arguments.0), (Role::Calloc, [2, 1, 2]));
        let again = of("f:old=arg2,size=arg3,ret");
        assert_eq!((again.role, again.arguments.0[..2].to_vec()), (Role::Realloc, vec![6, 2]));
        assert_eq!(again.text(), "f:old=arg2,size=arg3,ret");
    }

    #[test]
    fn freeing_functions_are_understood() {
        let free = OwnFunction::free("pool_put:arg2").expect("a function");
        assert_eq!((free.role, free.arguments.0[0]), (Role::Free, 6));
        for wrong in ["pool_put", ":arg1", "f:arg0", "f:arg7", "f:1"] {
            assert!(OwnFunction::free(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for wrong in ["f", "f:", "f:ret", "f:size=1", "f:size=arg1,size=arg2", "f:size=arg1,x", ":"]
        {
            assert!(OwnFunction::alloc(wrong).is_err(), "{wrong}");
        }
    }
}
