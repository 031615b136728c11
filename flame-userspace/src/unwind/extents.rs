//! Free room in an array, first come first served.

use std::collections::BTreeMap;

/// The free parts of an array.
#[derive(Debug)]
pub(super) struct Extents {
    /// Length by start.
    free: BTreeMap<u32, u32>,
}

impl Extents {
    /// An array that is all free from `first` on.
    pub(super) fn new(first: u32, end: u32) -> Self {
        Self { free: BTreeMap::from([(first, end.saturating_sub(first))]) }
    }

    /// Takes the first free part in which `length` elements fit.
    pub(super) fn take(&mut self, length: u32) -> Option<u32> {
        self.take_with(|_| length)
    }

    /// Takes the first free part that is long enough for what would be put at its start: `length`
    /// tells it by the start.
    pub(super) fn take_with(&mut self, length: impl Fn(u32) -> u32) -> Option<u32> {
        let (start, room, length) = self.free.iter().find_map(|(&start, &room)| {
            let length = length(start);
            (length <= room).then_some((start, room, length))
        })?;
        if length > 0 {
            self.free.remove(&start);
            if room > length {
                self.free.insert(start + length, room - length);
            }
        }
        Some(start)
    }

    /// Gives a part back.
    pub(super) fn give_back(&mut self, mut start: u32, mut length: u32) {
        if length == 0 {
            return;
        }
        if let Some((&before, &room)) = self.free.range(..start).next_back()
            && before + room == start
        {
            self.free.remove(&before);
            start = before;
            length += room;
        }
        if let Some(room) = self.free.remove(&(start + length)) {
            length += room;
        }
        self.free.insert(start, length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_can_be_taken_again_as_a_whole() {
        let mut room = Extents::new(2, 12);
        let parts = [room.take(3), room.take(3), room.take(4)];
        assert_eq!(parts, [Some(2), Some(5), Some(8)]);
        assert_eq!(room.take(1), None);
        for (start, length) in [(2, 3), (8, 4), (5, 3)] {
            room.give_back(start, length);
        }
        assert_eq!(room.take(10), Some(2));
    }

    #[test]
    fn nothing_takes_no_room() {
        let mut room = Extents::new(0, 1);
        assert_eq!(room.take(0), Some(0));
        assert_eq!(room.take(1), Some(0));
    }
}
