//! Handles: an index into one table, which cannot be mistaken for an index into another.

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u32);

        impl $name {
            /// The row of the table that this handle names.
            pub fn index(self) -> usize {
                self.0 as usize
            }

            /// The handle of a row. Panics past `u32::MAX` rows, which no table may reach.
            pub(crate) fn new(index: usize) -> Self {
                Self(u32::try_from(index).expect("a profile table holds fewer than 2^32 rows"))
            }
        }
    };
}

id!(
    /// A text of the profile's string table.
    StringId
);
id!(
    /// A row of [`Profile::mappings`](super::Profile::mappings).
    MappingId
);
id!(
    /// A row of [`Profile::functions`](super::Profile::functions).
    FunctionId
);
id!(
    /// A row of [`Profile::locations`](super::Profile::locations).
    LocationId
);
id!(
    /// A node of [`Profile::stacks`](super::Profile::stacks).
    StackId
);
id!(
    /// A row of [`Profile::label_sets`](super::Profile::label_sets).
    LabelSetId
);
