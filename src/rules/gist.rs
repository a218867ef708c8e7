//! The gist of a text: 64 bits of which few differ between near copies (simhash over pairs of letters). Keyed, as fingerprints are, so that
//! nobody can tell texts from it.

use crate::model::ids::FingerprintKey;

/// Letters below which a text has no gist: of so few, one that differs makes another sentence, and only the same words are a copy.
pub const LETTERS_MIN: usize = 8;

/// The gist of a folded text; 0 for one that is too short to have any.
pub fn of(folded: &str, key: &FingerprintKey) -> u64 {
    let letters: Vec<char> = folded.chars().filter(|c| c.is_alphanumeric()).collect();
    if letters.len() < LETTERS_MIN {
        return 0;
    }
    let seed = key.of("gist");
    let mut sums = [0_i32; 64];
    for pair in letters.windows(2) {
        let hash = mixed(seed ^ (u64::from(u32::from(pair[0])) << 32 | u64::from(u32::from(pair[1]))));
        for (bit, sum) in sums.iter_mut().enumerate() {
            *sum += if hash >> bit & 1 == 1 { 1 } else { -1 };
        }
    }
    // A sum of nothing is decided by the place, so that the gist is never 0.
    let bits = sums.iter().enumerate().map(|(bit, sum)| u64::from(*sum > 0 || (*sum == 0 && bit % 2 == 0)) << bit);
    bits.fold(0, |gist, bit| gist | bit).max(1)
}

/// Whether two texts are alike to so many percent (the cosine between what they are made of, as their gists tell it).
pub fn alike(one: u64, other: u64, percent: u32) -> bool {
    one != 0 && other != 0 && (one ^ other).count_ones() <= bits_apart(percent)
}

/// Bits that may differ: the angle between the texts, of the half turn that 64 bits stand for.
fn bits_apart(percent: u32) -> u32 {
    let angle = (f64::from(percent.min(100)) / 100.0).acos();
    (64.0 * angle / std::f64::consts::PI).floor() as u32
}

/// The last step of splitmix64: every bit of the result hangs on every bit of the number.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::text::fold;

    fn is_near(one: &str, other: &str) -> bool {
        let key = FingerprintKey::new(b"test");
        let gist = |text: &str| of(fold(text).as_str(), &key);
        alike(gist(one), gist(other), 85)
    }

    #[test]
    fn a_copy_with_a_number_behind_it_is_near_and_another_sentence_is_not() {
        assert!(is_near("今天骑了二十公里路很顺", "今天骑了二十公里路很顺 2"));
        assert!(is_near("推荐大家试试这款面霜真的很好用哦", "推荐大家试试这款面霜真的很好用啊"));
        assert!(!is_near("今天骑了二十公里路很顺", "明天早上七点老地方集合吧"));
        assert!(!is_near("推荐大家试试这款面霜真的很好用", "这款面霜我用了两周觉得有一点油"));
    }

    #[test]
    fn short_texts_have_no_gist() {
        assert_eq!(of("今天骑了车", &FingerprintKey::new(b"test")), 0);
        assert!(!alike(0, 0, 50));
    }

    #[test]
    fn a_hundred_percent_is_the_same_gist_only() {
        assert_eq!((bits_apart(100), bits_apart(85), bits_apart(0)), (0, 11, 32));
    }
}
