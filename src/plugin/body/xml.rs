//! XML and SOAP as values: elements by their local name, repeated ones as a list. No document type, no entities beyond the five.

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};
use serde_json::{Map, Value as Json};

use super::charset;
use super::limits::{Budget, MAX_DEPTH, ParseError, too_deep, unreadable};
use crate::error::Code;

/// The most attributes of one element.
const MAX_ATTRIBUTES: usize = 256;

fn bad(detail: impl Into<String>) -> ParseError {
    unreadable(Code::BadXml, detail)
}

/// One XML document; elements called like one of `lists` are lists though there be only one of them.
pub fn decode(body: &[u8], declared: Option<&str>, lists: &[String]) -> Result<Json, ParseError> {
    let own = own_charset(body);
    let text = charset::text(body, declared.or(own.as_deref()))?;
    if let Some(at) = text.bytes().position(|b| b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r')) {
        return Err(bad(format!("a character that XML does not have, at byte {at}")));
    }
    let mut reader = Reader::from_str(text.trim_start());
    let mut tree = Tree { open: Vec::new(), root: Map::new(), lists, budget: Budget::new() };
    loop {
        let event = reader.read_event().map_err(|error| bad(error.to_string()))?;
        match event {
            Event::Eof => return tree.finish(),
            Event::DocType(_) => return Err(bad("a document type is not read")),
            Event::Start(start) => tree.start(&start)?,
            Event::Empty(start) => {
                tree.start(&start)?;
                tree.end()?;
            }
            Event::End(_) => tree.end()?,
            Event::Text(text) => tree.text(&text.xml_content(XmlVersion::Implicit1_0))?,
            Event::CData(text) => tree.text(&text.xml_content(XmlVersion::Implicit1_0))?,
            Event::GeneralRef(name) => {
                let text = unescape(&format!("&{};", &*name)).map_err(|_| bad(format!("the entity `{}` is not one of the five", short(&name))))?.into_owned();
                tree.text(legal(&text)?)?;
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

/// What a character reference may not bring in.
fn legal(text: &str) -> Result<&str, ParseError> {
    match text.chars().any(|c| (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}')) {
        true => Err(bad("a reference to a character that XML does not have")),
        false => Ok(text),
    }
}

/// The charset of the document's own first line.
fn own_charset(body: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
    let declaration = head.trim_start().strip_prefix("<?xml")?.split_once("?>")?.0;
    let after = declaration.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    after[1..].split_once(quote).map(|(name, _)| name.to_owned())
}

/// An element that is not closed yet.
struct Element {
    name: String,
    children: Map<String, Json>,
    text: String,
    nil: bool,
}

struct Tree<'a> {
    open: Vec<Element>,
    root: Map<String, Json>,
    lists: &'a [String],
    budget: Budget,
}

impl Tree<'_> {
    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), ParseError> {
        if self.open.is_empty() && !self.root.is_empty() {
            return Err(bad("more than one document"));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep());
        }
        let name = start.local_name().as_ref().to_owned();
        self.budget.member(name.len())?;
        if self.open.last().is_some_and(|parent| parent.children.is_empty()) {
            self.budget.object()?;
        }
        let mut element = Element { name, children: Map::new(), text: String::new(), nil: false };
        for (count, attribute) in start.attributes().with_checks(false).enumerate() {
            let attribute = attribute.map_err(|error| bad(error.to_string()))?;
            if count >= MAX_ATTRIBUTES {
                return Err(unreadable(Code::TooManyValues, format!("more than {MAX_ATTRIBUTES} attributes")));
            }
            let key: &str = attribute.key.as_ref();
            if key == "xmlns" || key.starts_with("xmlns:") {
                continue;
            }
            let value = unescape(&attribute.value).map_err(|error| bad(short(&error.to_string())))?;
            let value = legal(&value)?;
            let local = attribute.key.local_name();
            if local.as_ref() == "nil" && matches!(value.trim(), "true" | "1") {
                element.nil = true;
                continue;
            }
            if element.children.is_empty() {
                self.budget.object()?;
            }
            self.budget.member(value.len())?;
            element.children.insert(format!("@{}", local.as_ref()), value.into());
        }
        self.open.push(element);
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), ParseError> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err(bad("text outside the document")),
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), ParseError> {
        let Some(mut element) = self.open.pop() else { return Err(bad("an element is closed that was not open")) };
        let value = match (element.children.is_empty(), element.nil) {
            (true, true) => Json::Null,
            (true, false) => Json::String(element.text),
            _ => {
                let text = element.text.trim();
                if !text.is_empty() {
                    element.children.insert("#text".to_owned(), text.into());
                }
                Json::Object(element.children)
            }
        };
        let list = self.lists.contains(&element.name);
        let parent = self.open.last_mut().map_or(&mut self.root, |parent| &mut parent.children);
        match parent.get_mut(&element.name) {
            Some(Json::Array(list)) => list.push(value),
            Some(old) => *old = Json::Array(vec![old.take(), value]),
            None => {
                parent.insert(element.name, if list { Json::Array(vec![value]) } else { value });
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Json, ParseError> {
        match (self.open.last(), self.root.is_empty()) {
            (Some(element), _) => Err(bad(format!("the element `{}` is not closed", short(&element.name)))),
            (None, true) => Err(bad("no element")),
            (None, false) => Ok(Json::Object(self.root)),
        }
    }
}
