//! Texts within a message's bytes: one text becomes several messages, and the last ends with «…» where more would be needed.
//!
//! Cut between graphemes, at a line's end where one is near. A grapheme longer than a whole message (combining marks without end) is
//! cut between its characters.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;

const ELLIPSIS: &str = "…";

/// The text as at most `count_max` messages of at most `bytes_max` bytes, in order; pieces of nothing but white space are left out.
///
/// `bytes_max` must have room for any character and the ellipsis (8).
pub fn split(text: &str, bytes_max: usize, count_max: usize) -> Vec<Cow<'_, str>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while rest.len() > bytes_max && pieces.len() + 1 < count_max {
        let (piece, more) = rest.split_at(end_of_piece(rest, bytes_max));
        pieces.push(Cow::Borrowed(piece.trim_end()));
        rest = more.trim_start_matches('\n');
    }
    pieces.push(fit(rest, bytes_max));
    pieces.retain(|piece| !piece.trim().is_empty());
    pieces
}

/// The text within so many bytes, with «…» at its end if it is longer.
pub fn fit(text: &str, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{}{ELLIPSIS}", &text[..end_of_grapheme(text, bytes_max - ELLIPSIS.len())]))
}

/// Where a piece ends: after a line in its second half, else after a grapheme.
fn end_of_piece(text: &str, room: usize) -> usize {
    let end = end_of_grapheme(text, room);
    text[..end].rfind('\n').map(|at| at + 1).filter(|at| *at > end / 2).unwrap_or(end)
}

/// The end of the last grapheme within `room`, or of the last character where the first grapheme is longer than that.
/// Looks at no more text than that, however long a grapheme is.
fn end_of_grapheme(text: &str, room: usize) -> usize {
    let chars = text.floor_char_boundary(room);
    let next = text[chars..].chars().next().map_or(0, char::len_utf8);
    let starts = text[..chars + next].grapheme_indices(true).map(|(at, _)| at);
    starts.rev().find(|at| (1..=room).contains(at)).unwrap_or(chars)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn long_texts_are_cut_between_graphemes() {
        assert_eq!(fit("签到", 6), "签到");
        assert_eq!(fit("签到了", 8), "签…");
        let families = "👨‍👩‍👧‍👦".repeat(200);
        let cut = fit(&families, 2048);
        assert!(cut.len() <= 2048 && cut.ends_with("👦…"), "{}", cut.len());
        assert_eq!(fit(&"e\u{301}".repeat(2000), 10), "e\u{301}e\u{301}…");
    }

    #[test]
    fn a_long_text_becomes_several_messages_in_order_and_nothing_is_lost() {
        let text = "签到成功,".repeat(200);
        let pieces = split(&text, 1024, 5);
        assert_eq!(pieces.len(), 3);
        assert_eq!(pieces.concat(), text);
    }

    #[test]
    fn a_cut_prefers_the_end_of_a_line() {
        assert_eq!(split("第一行\n第二行\n第三", 22, 5), ["第一行\n第二行", "第三"]);
    }

    #[test]
    fn the_last_message_shows_that_more_was_meant() {
        let text = "签到".repeat(1000);
        let pieces = split(&text, 300, 3);
        assert_eq!(pieces.len(), 3);
        assert!(pieces[2].ends_with("签…") || pieces[2].ends_with("到…"), "{}", pieces[2]);
    }

    #[test]
    fn a_grapheme_longer_than_a_message_is_cut_between_its_characters() {
        let endless = format!("e{}", "\u{301}".repeat(1_000_000));
        let pieces = split(&endless, 2048, 5);
        assert_eq!(pieces.len(), 5);
        assert!(pieces.iter().all(|piece| (1..=2048).contains(&piece.len())));
        let joined = "👨\u{200d}".repeat(5_000);
        assert!(split(&joined, 2048, 5).iter().all(|piece| piece.len() <= 2048));
    }

    #[test]
    fn white_space_alone_is_no_message() {
        assert!(split(&" ".repeat(5_000), 2048, 2).iter().all(|piece| piece.ends_with('…')));
        assert!(split("\n\n", 2048, 2).is_empty());
    }

    proptest! {
        #[test]
        fn any_text_is_cut_within_its_bounds(text in "(\\PC|\\n|\u{301}|\u{200d}|👨|🇨){0,300}", room in 8usize..64, count in 1usize..6) {
            let pieces = split(&text, room, count);
            prop_assert!(pieces.len() <= count);
            prop_assert!(pieces.iter().all(|piece| piece.len() <= room));
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace() && *c != '…').collect::<String>();
            prop_assert!(letters(&text).starts_with(&letters(&pieces.concat())));
        }
    }
}
