//! What flame's own measurements ask of its insides; no part of the library's surface.

pub use crate::unwind::measuring::{TableFigures, table_figures};
