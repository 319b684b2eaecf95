//! Answers that list repositories, of both generations and the enterprise edition.
//!
//! An answer is a hundred short items at most, so it is read as a tree; tolerant as `decode` is.
//! Deliberately absent: which action gives which list, and what the list is for.

use serde_json::{Map, Value};

use super::{
    decode::{Refusal, Unread},
    scalar::same_name,
};
use crate::ports::{Listed, Listing};

/// The longest name that is believed to be a repository's.
const NAME_LIMIT_BYTES: usize = 512;

/// Where an answer's list stands, and which of an item's fields matter. The names are those of
/// API 2.0; API 3.0 writes the first letter of each in upper case.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// The list.
    pub(super) list: &'static str,
    /// The repository's name in an item.
    pub(super) repo: &'static str,
    /// What tells an item from others of its repository.
    pub(super) mark: Option<&'static str>,
}

/// The triggers of API 2.0, `ListTrigger`.
pub(super) const TRIGGERS: Shape =
    Shape { list: "triggerInfo", repo: "repoName", mark: Some("triggerName") };

/// The repositories of API 2.0, `SearchUserRepository`.
pub(super) const REPOSITORIES: Shape = Shape { list: "repoInfo", repo: "reponame", mark: None };

/// The repositories of API 3.0, `DescribeRepositoryOwnerPersonal`.
pub(super) const OWNED: Shape = Shape { list: "repoInfo", repo: "repoName", mark: None };

/// Reads a listing.
///
/// # Errors
/// The text is a refusal, or not such a listing.
pub(super) fn decode_listing(text: &str, shape: Shape) -> Result<Listing, Unread> {
    let answer = Opened::read(text)?;
    let empty = Vec::new();
    let items = match answer.find(shape.list) {
        None | Some(Value::Null) => &empty,
        Some(Value::Array(items)) => items,
        Some(_) => return Err(garbled(&format!("{} is no list", shape.list))),
    };
    let name = |item: &Value| {
        let text = field(item.as_object()?, shape.repo)?.as_str()?;
        (!text.is_empty() && text.len() <= NAME_LIMIT_BYTES).then(|| Box::<str>::from(text))
    };
    let mark = |item: &Value| {
        let mark = field(item.as_object()?, shape.mark?)?;
        Some(mark.as_str().map_or_else(|| mark.to_string(), str::to_owned).into_boxed_str())
    };
    let listed = |item: &Value| Some(Listed { repo: name(item)?, mark: mark(item) });
    Ok(Listing {
        items: items.iter().filter_map(listed).collect(),
        len: u32::try_from(items.len()).unwrap_or(u32::MAX),
        total: answer.find("totalCount").and_then(number),
        partial: answer.find("privilegeFiltered").and_then(truth),
    })
}

/// A successful answer, its envelope taken off.
pub(super) struct Opened {
    /// The objects that an answer's own fields can stand in, the innermost first.
    levels: Vec<Map<String, Value>>,
}

impl Opened {
    /// Takes the envelope off, whichever generation's it is.
    ///
    /// # Errors
    /// It is a refusal, or no answer.
    pub(super) fn read(text: &str) -> Result<Self, Unread> {
        let tree: Value = serde_json::from_str(text)
            .map_err(|error| Unread::Garbled(format!("the answer is not whole JSON: {error}")))?;
        let Value::Object(top) = tree else { return Err(garbled("it is no object")) };
        let mut levels = vec![top];
        for name in ["response", "data"] {
            let inner = levels.last_mut().and_then(|level| take(level, name));
            if let Some(Value::Object(inner)) = inner {
                levels.push(inner);
            }
        }
        levels.reverse();
        let this = Self { levels };
        if let Some(refusal) = this.refusal() {
            return Err(Unread::Refused(refusal));
        }
        let answers = this.find("code").is_some() || this.levels.len() > 1;
        if answers { Ok(this) } else { Err(garbled("it has neither a code nor a Response")) }
    }

    /// A field, wherever of those places it stands.
    pub(super) fn find(&self, name: &str) -> Option<&Value> {
        self.levels.iter().find_map(|level| field(level, name))
    }

    fn refusal(&self) -> Option<Refusal> {
        let text = |value: Option<&Value>| match value {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        };
        if let Some(Value::Object(error)) = self.find("error") {
            let (code, message) = (text(field(error, "code")), text(field(error, "message")));
            return Some(Refusal { code, code_desc: None, message });
        }
        let code = self.levels.last().and_then(|top| field(top, "code"));
        match code {
            None | Some(Value::Null) => None,
            Some(code) if number(code) == Some(0) => None,
            Some(code) => Some(Refusal {
                code: text(Some(code)),
                code_desc: self.find("codeDesc").map(|desc| text(Some(desc))),
                message: text(self.find("message")),
            }),
        }
    }
}

fn garbled(what: &str) -> Unread {
    Unread::Garbled(format!("the answer can't be understood: {what}"))
}

/// A field of an object.
pub(super) fn field<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.iter().find(|(key, _)| same_name(key, name)).map(|(_, value)| value)
}

fn take(object: &mut Map<String, Value>, name: &str) -> Option<Value> {
    let key = object.keys().find(|key| same_name(key, name))?.clone();
    object.remove(&key)
}

/// A whole number from 0, or text that is one.
pub(super) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    }
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        Value::String(text) => text.parse().ok(),
        other => other.as_u64().map(|number| number != 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(listing: &Listing) -> Vec<&str> {
        listing.items.iter().map(|item| &*item.repo).collect()
    }

    #[test]
    fn listings_of_each_kind_are_read_wherever_their_fields_stand() {
        let triggers = r#"{"code":0,"message":"","codeDesc":"Success","data":{"totalCount":"3",
            "triggerInfo":[{"repoName":"a/b","triggerName":"one"},{"repoName":"a/b",
            "triggerName":"two"},{"triggerName":"lost"},7]}}"#;
        let listing = decode_listing(triggers, TRIGGERS).unwrap();
        assert_eq!((names(&listing), listing.len, listing.total), (vec!["a/b"; 2], 4, Some(3)));
        assert_ne!(listing.items[0], listing.items[1]);

        let found = r#"{"code":"0","totalCount":1,"repoInfo":[{"reponame":"a/b"}],
            "data":{"privilegeFiltered":1}}"#;
        let listing = decode_listing(found, REPOSITORIES).unwrap();
        assert_eq!((names(&listing), listing.partial), (vec!["a/b"], Some(true)));

        let owned = r#"{"Response":{"Data":{"TotalCount":1,"RepoInfo":[{"RepoName":"a/b"}]},
            "RequestId":"x"}}"#;
        assert_eq!(names(&decode_listing(owned, OWNED).unwrap()), ["a/b"]);
        let empty = r#"{"code":0,"data":[]}"#;
        assert_eq!(decode_listing(empty, TRIGGERS).unwrap(), Listing::default());
    }

    #[test]
    fn refusals_and_garbage_are_told_apart() {
        let refused = |text| match decode_listing(text, TRIGGERS) {
            Err(Unread::Refused(refusal)) => refusal.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            refused(r#"{"code":4100,"message":"no","codeDesc":"AuthFailure"}"#),
            "4100 AuthFailure: no"
        );
        assert_eq!(
            refused(r#"{"Response":{"Error":{"Code":"AuthFailure","Message":"no"}}}"#),
            "AuthFailure: no"
        );
        for text in ["", "[]", "{}", r#"{"code":0,"data":{"triggerInfo":7}}"#, r#"{"code":0"#] {
            assert!(matches!(decode_listing(text, TRIGGERS), Err(Unread::Garbled(_))), "{text}");
        }
    }
}
