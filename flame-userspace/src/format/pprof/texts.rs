//! A file's string table, and the two ways out of it: handles, and copies within a budget.

use std::borrow::Cow;

use super::{ReadError, proto};
use crate::profile::{Builder, SampleType, StringId};

/// The least that [`ReadError::TooMuchText`] allows, so that a small file may repeat itself.
const MIN_TEXT_BUDGET: u64 = 1 << 20;

/// The file's string table, and the handles of the texts that were asked for.
pub(super) struct Texts<'a> {
    table: &'a [&'a [u8]],
    handles: Vec<Option<StringId>>,
}

impl<'a> Texts<'a> {
    pub(super) fn new(table: &'a [&'a [u8]]) -> Self {
        Self { table, handles: vec![None; table.len()] }
    }

    pub(super) fn get(&self, index: i64, owner: &'static str) -> Result<Cow<'a, str>, ReadError> {
        let text = usize::try_from(index).ok().and_then(|row| self.table.get(row));
        let text = text.ok_or(ReadError::MissingText { owner, index, texts: self.table.len() })?;
        Ok(String::from_utf8_lossy(text))
    }

    pub(super) fn intern(
        &mut self,
        builder: &mut Builder,
        index: i64,
        owner: &'static str,
    ) -> Result<StringId, ReadError> {
        // A long text may be referred to very often: it is looked at once.
        let row = usize::try_from(index).unwrap_or(usize::MAX);
        if let Some(Some(handle)) = self.handles.get(row) {
            return Ok(*handle);
        }
        let handle = builder.string(&self.get(index, owner)?);
        self.handles[row] = Some(handle);
        Ok(handle)
    }
}

/// Copies texts as long as there is budget for them.
pub(super) struct Copier<'t, 'a> {
    texts: &'t Texts<'a>,
    limit: u64,
    left: u64,
}

impl<'t, 'a> Copier<'t, 'a> {
    /// A copier for a file of `message_length` bytes.
    pub(super) fn new(texts: &'t Texts<'a>, message_length: u64) -> Self {
        let limit = message_length.max(MIN_TEXT_BUDGET);
        Self { texts, limit, left: limit }
    }

    pub(super) fn text(&mut self, index: i64, owner: &'static str) -> Result<String, ReadError> {
        let text = self.texts.get(index, owner)?;
        self.left = self
            .left
            .checked_sub(text.len() as u64)
            .ok_or(ReadError::TooMuchText { limit: self.limit })?;
        Ok(text.into_owned())
    }

    pub(super) fn sample_type(&mut self, value: proto::ValueType) -> Result<SampleType, ReadError> {
        let kind = self.text(value.r#type, "sample type")?;
        let unit = self.text(value.unit, "unit")?;
        Ok(SampleType::new(kind, unit.as_str()))
    }
}
