//! What flame and the process that reads a file's symbols tell each other: each one protobuf
//! message, up to the stream's end.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};

use super::Symbol;

/// Addresses of a file's own address space.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Question {
    #[prost(bool, tag = "1")]
    pub(super) inlined: bool,
    #[prost(fixed64, repeated, tag = "2")]
    pub(super) addresses: Vec<u64>,
}

/// The functions at them.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Answer {
    /// Each text once.
    #[prost(string, repeated, tag = "1")]
    texts: Vec<String>,
    /// Those of all addresses, one address after the other.
    #[prost(message, repeated, tag = "2")]
    functions: Vec<Function>,
    /// How many of them each address has.
    #[prost(uint32, repeated, tag = "3")]
    counts: Vec<u32>,
    /// Why there are none.
    #[prost(string, tag = "4")]
    problem: String,
}

/// A function, by the numbers of its texts.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(super) struct Function {
    #[prost(uint32, tag = "1")]
    name: u32,
    #[prost(uint32, tag = "2")]
    system_name: u32,
    #[prost(uint32, tag = "3")]
    file: u32,
    #[prost(uint32, tag = "4")]
    line: u32,
    #[prost(uint32, tag = "5")]
    column: u32,
}

impl Answer {
    /// No functions, for this reason.
    pub(super) fn none(problem: String) -> Self {
        Self { problem, ..Self::default() }
    }

    pub(super) fn of(found: &[Vec<Symbol>]) -> Self {
        let mut answer = Self::default();
        let mut known: HashMap<Arc<str>, u32> = HashMap::new();
        let mut texts = Vec::new();
        let mut number = |text: &Arc<str>| {
            *known.entry(Arc::clone(text)).or_insert_with(|| {
                texts.push(text.to_string());
                texts.len() as u32 - 1
            })
        };
        for symbols in found {
            answer.counts.push(symbols.len() as u32);
            answer.functions.extend(symbols.iter().map(|symbol| Function {
                name: number(&symbol.name),
                system_name: number(&symbol.system_name),
                file: number(&symbol.file),
                line: symbol.line,
                column: symbol.column.into(),
            }));
        }
        answer.texts = texts;
        answer
    }

    /// The functions at each of so many addresses.
    pub(super) fn symbols(self, addresses: usize) -> Result<Vec<Vec<Symbol>>> {
        ensure!(self.problem.is_empty(), "{}", self.problem);
        ensure!(self.counts.len() == addresses, "the answer is cut short");
        let texts: Vec<Arc<str>> = self.texts.into_iter().map(Arc::from).collect();
        let text = |number: u32| {
            let text = texts.get(number as usize).context("the answer lacks a text")?;
            anyhow::Ok(Arc::clone(text))
        };
        let mut functions = self.functions.into_iter();
        let mut symbols = |count: u32| {
            let of = functions.by_ref().take(count as usize).map(|function| {
                anyhow::Ok(Symbol {
                    name: text(function.name)?,
                    system_name: text(function.system_name)?,
                    file: text(function.file)?,
                    line: function.line,
                    column: u16::try_from(function.column).unwrap_or(0),
                })
            });
            of.collect::<Result<Vec<Symbol>>>()
        };
        self.counts.into_iter().map(&mut symbols).collect()
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    fn symbol(name: &str, line: u32) -> Symbol {
        Symbol { line, column: 7, file: Arc::from("a.c"), ..Symbol::named(name) }
    }

    #[test]
    fn what_is_told_arrives() {
        let found =
            vec![vec![symbol("inner", 3), symbol("outer", 9)], vec![], vec![symbol("f", 1)]];
        let bytes = Answer::of(&found).encode_to_vec();
        let answer = Answer::decode(&*bytes).expect("a message");
        assert_eq!(answer.texts.len(), 4);
        assert_eq!(answer.symbols(3).expect("symbols"), found);
    }

    #[test]
    fn a_problem_and_a_wrong_answer_are_told() {
        let problem = Answer::none("damaged".into());
        assert_eq!(problem.symbols(0).expect_err("a problem").to_string(), "damaged");
        let found = [vec![symbol("f", 1)]];
        assert!(Answer::of(&found).symbols(2).is_err());
        let mut answer = Answer::of(&found);
        answer.texts.clear();
        assert!(answer.symbols(1).is_err());
    }
}
