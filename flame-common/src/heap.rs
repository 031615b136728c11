//! What an allocator's functions do with their arguments, as the kernel programs read them at a
//! function's entry: which of them is a size, which a block that is given up, where the new block
//! comes out. No state and no sampling.

/// What a hooked function does. `arg0` to `arg2` are its first three arguments and `ret` what it
/// returns, each as a 64-bit register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum Role {
    /// `malloc(size)` and its like: `valloc`, `pvalloc`, jemalloc's `mallocx`, operator new.
    /// `arg0` bytes; `ret` is the block or null.
    Malloc = 1,
    /// `calloc(count, size)`: `arg0` × `arg1` bytes; `ret` is the block or null.
    Calloc = 2,
    /// `realloc(old, size)` and jemalloc's `rallocx`: gives up `arg0` for `arg1` bytes; `ret` is
    /// the new block. Null means that the old one stays, unless `arg1` is 0: then it was freed.
    Realloc = 3,
    /// `reallocarray(old, count, size)`: as `realloc` of `arg1` × `arg2` bytes.
    ReallocArray = 4,
    /// `memalign(alignment, size)` and `aligned_alloc`: `arg1` bytes; `ret` is the block or null.
    Memalign = 5,
    /// `posix_memalign(out, alignment, size)`: `arg2` bytes; the block is at `*arg0` if `ret`, an
    /// `int`, is 0.
    PosixMemalign = 6,
    /// `free(block)` and its like: `cfree`, `free_sized`, jemalloc's `dallocx` and `sdallocx`,
    /// operator delete. Gives up `arg0`; null is allowed and means nothing.
    Free = 7,
    /// jemalloc's `xallocx(block, size, extra, flags)`: the block stays at `arg0`, and `ret` is its
    /// real size now, whether that is what was asked for or not.
    InPlace = 8,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 8] = [
        Self::Malloc,
        Self::Calloc,
        Self::Realloc,
        Self::ReallocArray,
        Self::Memalign,
        Self::PosixMemalign,
        Self::Free,
        Self::InPlace,
    ];

    /// How many bytes are asked for. `None` for a function that only frees, and for a product
    /// that no size can hold: such a call fails.
    #[inline(always)]
    pub const fn size(self, arg0: u64, arg1: u64, arg2: u64) -> Option<u64> {
        match self {
            Self::Malloc => Some(arg0),
            Self::Calloc => product(arg0, arg1),
            Self::Realloc | Self::Memalign | Self::InPlace => Some(arg1),
            Self::ReallocArray => product(arg1, arg2),
            Self::PosixMemalign => Some(arg2),
            Self::Free => None,
        }
    }

    /// Whether `arg0` is a block that the call gives up, for good or (`realloc`) if it succeeds.
    #[inline(always)]
    pub const fn gives_up(self) -> bool {
        matches!(self, Self::Realloc | Self::ReallocArray | Self::Free)
    }

    /// Whether a call may make a block.
    #[inline(always)]
    pub const fn makes(self) -> bool {
        !matches!(self, Self::Free | Self::InPlace)
    }

    /// The number of arguments that matter, counted from the first.
    pub const fn arguments(self) -> usize {
        match self {
            Self::Malloc | Self::Free => 1,
            Self::Calloc | Self::Realloc | Self::Memalign | Self::InPlace => 2,
            Self::ReallocArray | Self::PosixMemalign => 3,
        }
    }
}

/// The product of two numbers, if 64 bits hold it. By halves: the BPF machine has no wider
/// multiplication, by which `checked_mul` would find out.
#[inline(always)]
const fn product(a: u64, b: u64) -> Option<u64> {
    let (large, small) = if a > b { (a, b) } else { (b, a) };
    if small >> 32 != 0 {
        return None;
    }
    let high = (large >> 32) * small;
    if high >> 32 != 0 {
        return None;
    }
    (high << 32).checked_add((large & 0xffff_ffff) * small)
}

/// In which registers a function's first three arguments are when its probe fires: at the entry
/// where the calling convention puts them, a few instructions later perhaps elsewhere. Registers
/// are numbered as x86-64 encodes them: rax 0, rcx 1, rdx 2, rbx 3, rsp 4, rbp 5, rsi 6, rdi 7, and
/// r8 to r15.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Arguments(pub [u8; 3]);

impl Arguments {
    /// rdi, rsi, rdx: the calling convention of x86-64.
    pub const AT_ENTRY: Self = Self([7, 6, 2]);

    /// The three in 12 bits, for a probe's cookie.
    #[inline(always)]
    pub const fn pack(self) -> u32 {
        let [first, second, third] = self.0;
        (first & 15) as u32 | ((second & 15) as u32) << 4 | ((third & 15) as u32) << 8
    }

    /// Whether what [`Arguments::pack`] packed is [`Arguments::AT_ENTRY`]; bits above the twelfth do
    /// not matter.
    #[inline(always)]
    pub const fn are_at_entry(bits: u32) -> bool {
        bits & 0xfff == Self::AT_ENTRY.pack()
    }

    /// What [`Arguments::pack`] packed; bits above the twelfth do not matter.
    #[inline(always)]
    pub const fn unpack(bits: u32) -> Self {
        Self([(bits & 15) as u8, (bits >> 4 & 15) as u8, (bits >> 8 & 15) as u8])
    }
}

/// A number that is no [`Role`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRole(pub u32);

impl TryFrom<u32> for Role {
    type Error = NoRole;

    #[inline(always)]
    fn try_from(number: u32) -> Result<Self, NoRole> {
        Ok(match number {
            1 => Self::Malloc,
            2 => Self::Calloc,
            3 => Self::Realloc,
            4 => Self::ReallocArray,
            5 => Self::Memalign,
            6 => Self::PosixMemalign,
            7 => Self::Free,
            8 => Self::InPlace,
            _ => return Err(NoRole(number)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_comes_back_from_its_number_and_no_other_number_does() {
        for role in Role::ALL {
            assert_eq!(Role::try_from(role as u32), Ok(role));
        }
        for number in [0, 9, u32::MAX] {
            assert_eq!(Role::try_from(number), Err(NoRole(number)));
        }
    }

    #[test]
    fn sizes_come_from_the_right_arguments() {
        assert_eq!(Role::Malloc.size(0, 2, 3), Some(0));
        assert_eq!(Role::Calloc.size(7, 3, 9), Some(21));
        assert_eq!(Role::Realloc.size(9, 3, 5), Some(3));
        assert_eq!(Role::ReallocArray.size(9, 3, 5), Some(15));
        assert_eq!(Role::Memalign.size(64, 3, 5), Some(3));
        assert_eq!(Role::PosixMemalign.size(9, 64, 5), Some(5));
        assert_eq!(Role::InPlace.size(9, 3, 5), Some(3));
        assert_eq!(Role::Free.size(9, 3, 5), None);
    }

    #[test]
    fn arguments_come_back_from_their_bits() {
        for arguments in [Arguments::AT_ENTRY, Arguments([0, 15, 8]), Arguments([15, 0, 15])] {
            assert_eq!(Arguments::unpack(arguments.pack() | 0xffff_f000), arguments);
            let at_entry = arguments == Arguments::AT_ENTRY;
            assert_eq!(Arguments::are_at_entry(arguments.pack()), at_entry);
            // In a probe's cookie other bits follow.
            assert_eq!(Arguments::are_at_entry(arguments.pack() | 0x5a5a_5000), at_entry);
        }
    }

    #[test]
    fn a_product_that_no_size_can_hold_is_no_allocation() {
        assert_eq!(Role::Calloc.size(1 << 33, 1 << 33, 0), None);
        assert_eq!(Role::Calloc.size(u64::MAX, 1, 0), Some(u64::MAX));
        assert_eq!(Role::ReallocArray.size(0, u64::MAX, 2), None);
        for (a, b) in [(3, u64::MAX / 3), (3, u64::MAX / 3 + 1), (u64::MAX, 0), (1 << 32, 1 << 31)]
        {
            assert_eq!(Role::Calloc.size(a, b, 0), a.checked_mul(b));
            assert_eq!(Role::Calloc.size(b, a, 0), b.checked_mul(a));
        }
    }
}
