use super::*;

#[test]
fn every_text_is_read_as_it_was_written_and_two_are_two() {
    let table = [
        ("plain", "plain"),
        ("a\0b", "a\u{10ffff}0b"),
        ("\u{10ffff}", "\u{10ffff}1"),
        ("\0\0", "\u{10ffff}0\u{10ffff}0"),
        ("\u{10ffff}0", "\u{10ffff}10"),
        ("\u{10ffff}\0\u{10ffff}1", "\u{10ffff}1\u{10ffff}0\u{10ffff}11"),
    ];
    for (text, stored) in table {
        assert_eq!(escaped(text), stored, "{text:?}");
        assert_eq!(unescaped(stored), text, "{stored:?}");
    }
    assert_eq!(unescaped("a\u{10ffff}"), "a\u{10ffff}", "of somebody else's hand");
}
