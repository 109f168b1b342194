//! Chance, and what it makes of a file.

/// What a disk writes at once.
const SECTOR: usize = 512;

/// xorshift64*: the same disks every time.
#[derive(Debug)]
pub struct Dice(u64);

impl Default for Dice {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Dice {
    /// A number below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }
}

/// A file as a disk may hold it that lost power after `old` was synced and before `new` was: the one or the other in
/// whole, or sector by sector, some torn unless they must not be, and of the one's length or the other's. A sector that the
/// file grew by and that was never written reads as zeros.
pub(super) fn mixed(old: &[u8], new: &[u8], may_tear: bool, dice: &mut Dice) -> Vec<u8> {
    match dice.roll(4) {
        0 => return old.to_vec(),
        1 => return new.to_vec(),
        _ => {}
    }
    let length = if dice.roll(2) == 0 { old.len() } else { new.len() };
    let mut bytes = vec![0; length.next_multiple_of(SECTOR)];
    let written = new.len();
    let [old, new] = [old, new].map(|file| [file, &vec![0; bytes.len().saturating_sub(file.len())]].concat());
    for (at, sector) in (0..).step_by(SECTOR).zip(bytes.chunks_mut(SECTOR)) {
        // How many of its bytes are new; none of a sector that was cut off.
        let cut = match dice.roll(8) {
            _ if at >= written => 0,
            0 if may_tear => usize::try_from(dice.roll(SECTOR as u64)).expect("it fits"),
            0..=3 => SECTOR,
            _ => 0,
        };
        sector[..cut].copy_from_slice(&new[at..at + cut]);
        sector[cut..].copy_from_slice(&old[at + cut..at + SECTOR]);
    }
    bytes.truncate(length);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_are_old_new_torn_or_never_written() {
        let (old, new) = ([1; 64 * SECTOR], [2; 96 * SECTOR]);
        let mut dice = Dice::default();
        for may_tear in [true, false] {
            let disks: Vec<_> = (0..50).map(|_| mixed(&old, &new, may_tear, &mut dice)).collect();
            assert!(disks.iter().any(|disk| *disk == old) && disks.iter().any(|disk| *disk == new));
            let grown = disks.iter().find(|disk| disk.len() == new.len() && **disk != new).expect("one that grew");
            let sectors: Vec<_> = grown.chunks(SECTOR).collect();
            let whole = |byte: u8| sectors.iter().filter(|sector| sector.iter().all(|own| *own == byte)).count();
            assert!(whole(1) > 10 && whole(2) > 10 && whole(0) > 5);
            assert_eq!(whole(0) + whole(1) + whole(2) == sectors.len(), !may_tear);
        }
    }

    #[test]
    fn what_was_cut_off_is_there_or_not_and_never_zeros() {
        let (old, new) = ([1; 9 * SECTOR + 7], [2; 5]);
        let mut dice = Dice::default();
        let disks: Vec<_> = (0..50).map(|_| mixed(&old, &new, true, &mut dice)).collect();
        assert!(disks.iter().all(|disk| [old.len(), new.len()].contains(&disk.len())));
        assert!(disks.iter().flat_map(|disk| disk.iter().skip(SECTOR)).all(|byte| *byte == 1));
    }
}
