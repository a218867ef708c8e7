//! XML of strangers, read in one pass with bounds: no DOCTYPE, no entities but the predefined ones, no recursion.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

/// Elements inside one another. WeCom's deepest callback has six.
pub const DEPTH_MAX: usize = 16;
/// Attributes of one element. WeCom sends none.
pub const ATTRIBUTES_MAX: usize = 16;

/// Why an XML text is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not well-formed, or cut off.
    #[error("not well-formed XML")]
    Syntax,
    /// It has a DOCTYPE, the door to entity bombs.
    #[error("DOCTYPE is not accepted")]
    Doctype,
    /// An entity that is not one of the five predefined.
    #[error("unknown entity")]
    Entity,
    /// Deeper than [`DEPTH_MAX`].
    #[error("too deep")]
    Depth,
    /// More than [`ATTRIBUTES_MAX`] attributes.
    #[error("too many attributes")]
    Attributes,
}

/// Calls `visit(path, text)` for each element without children, in order. The path leaves the root out: `From/UserId`.
/// Texts are as written: CDATA taken whole, references resolved, line ends and white space kept.
pub fn leaves<'a>(text: &'a str, mut visit: impl FnMut(&str, Cow<'a, str>)) -> Result<(), Malformed> {
    let mut reader = Reader::from_str(text);
    let mut place = Place::default();
    let mut content = Cow::Borrowed("");
    loop {
        match reader.read_event().map_err(|_| Malformed::Syntax)? {
            Event::Start(start) => {
                place.enter(&start)?;
                content = Cow::Borrowed("");
            }
            Event::Empty(start) => {
                place.enter(&start)?;
                place.leave(|path| visit(path, Cow::Borrowed("")));
            }
            Event::End(_) => {
                let text = std::mem::take(&mut content);
                place.leave(|path| visit(path, text));
            }
            Event::Text(text) => append(&mut content, text.into_inner()),
            Event::CData(text) => append(&mut content, text.into_inner()),
            Event::GeneralRef(reference) => append(&mut content, Cow::Owned(resolve(&reference)?.into())),
            Event::DocType(_) => return Err(Malformed::Doctype),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => return if place.is_outside() { Ok(()) } else { Err(Malformed::Syntax) },
        }
    }
}

/// Where the reader is: the path as one text, with the length to fall back to at each level.
#[derive(Default)]
struct Place {
    path: String,
    lengths: Vec<usize>,
    is_leaf: bool,
    had_root: bool,
}

impl Place {
    fn enter(&mut self, start: &BytesStart<'_>) -> Result<(), Malformed> {
        if self.lengths.len() == DEPTH_MAX {
            return Err(Malformed::Depth);
        }
        if !start.attributes_raw().is_empty() && start.attributes().with_checks(false).take(ATTRIBUTES_MAX + 1).count() > ATTRIBUTES_MAX {
            return Err(Malformed::Attributes);
        }
        self.lengths.push(self.path.len());
        self.is_leaf = true;
        if self.lengths.len() == 1 {
            self.had_root = true;
            return Ok(());
        }
        if self.lengths.len() > 2 {
            self.path.push('/');
        }
        self.path.push_str(start.name().into_inner());
        Ok(())
    }

    fn leave(&mut self, visit: impl FnOnce(&str)) {
        if self.is_leaf && self.lengths.len() > 1 {
            visit(&self.path);
        }
        self.is_leaf = false;
        self.path.truncate(self.lengths.pop().unwrap_or(0));
    }

    fn is_outside(&self) -> bool {
        self.had_root && self.lengths.is_empty()
    }
}

fn append<'a>(content: &mut Cow<'a, str>, more: Cow<'a, str>) {
    if content.is_empty() {
        *content = more;
    } else {
        content.to_mut().push_str(&more);
    }
}

fn resolve(reference: &BytesRef<'_>) -> Result<char, Malformed> {
    match &**reference {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "apos" => Ok('\''),
        "quot" => Ok('"'),
        _ => reference.resolve_char_ref().ok().flatten().ok_or(Malformed::Entity),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, Malformed> {
        let mut found = Vec::new();
        leaves(text, |path, text| found.push((path.to_owned(), text.into_owned())))?;
        Ok(found)
    }

    fn pairs(found: &[(&str, &str)]) -> Vec<(String, String)> {
        found.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect()
    }

    #[test]
    fn leaves_come_with_their_paths() {
        let found = read("<xml>\n<A><![CDATA[签 到]]></A>\n<From><UserId>aming</UserId><Name/></From><B>1&lt;2&#x7b7e;</B></xml>").unwrap();
        assert_eq!(found, pairs(&[("A", "签 到"), ("From/UserId", "aming"), ("From/Name", ""), ("B", "1<2签")]));
    }

    #[test]
    fn a_cdata_end_inside_a_text_is_two_sections() {
        assert_eq!(read("<xml><A><![CDATA[a]]]]><![CDATA[>b]]></A></xml>").unwrap(), pairs(&[("A", "a]]>b")]));
    }

    #[test]
    fn nul_and_line_ends_survive() {
        assert_eq!(read("<xml><A><![CDATA[a\0b\r\nc]]></A></xml>").unwrap(), pairs(&[("A", "a\0b\r\nc")]));
    }

    #[test]
    fn bombs_are_refused() {
        assert_eq!(read("<!DOCTYPE x [<!ENTITY a \"b\">]><xml><A>&a;</A></xml>"), Err(Malformed::Doctype));
        assert_eq!(read("<xml><A>&a;</A></xml>"), Err(Malformed::Entity));
        assert_eq!(read("<xml><A>&#0;</A></xml>"), Err(Malformed::Entity));
        assert_eq!(read(&"<a>".repeat(100_000)), Err(Malformed::Depth));
        let attributes: String = (0..ATTRIBUTES_MAX + 1).map(|n| format!(" a{n}='1'")).collect();
        assert_eq!(read(&format!("<xml{attributes}/>")), Err(Malformed::Attributes));
    }

    #[test]
    fn half_a_document_is_refused() {
        for text in ["", "签到", "<xml>", "<xml><A></xml>", "<xml><A>x</A>", "</xml>", "<xml><A>a & b</A></xml>"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn depth_is_counted_and_not_the_number_of_elements() {
        let text = format!("<xml>{}</xml>", "<A>1</A>".repeat(10_000));
        assert_eq!(read(&text).unwrap().len(), 10_000);
        let deep = format!("{}1{}", "<a>".repeat(DEPTH_MAX), "</a>".repeat(DEPTH_MAX));
        assert_eq!(read(&deep).unwrap().len(), 1);
    }
}
