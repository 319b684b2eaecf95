//! What WeCom's group robots and apps say to a payload (`receivers` 2.1 and 2.2).
//!
//! Lengths are in **bytes** of UTF-8. The wording of messages is in the manner of the real ones.
//! Deliberately absent: the rate, the key and the token, which are the wall's; files, images and voice, which
//! need an upload first.

use serde_json::{Value, json};

const TEXT_MAX_BYTES: usize = 2_048;

/// The most bytes of a markdown message to a robot.
pub(super) const ROBOT: usize = 4_096;
/// The most bytes of a markdown message to an app.
pub(super) const APP: usize = 2_048;

const ARTICLES_MAX: usize = 8;

/// A WeCom answer that is not `ok`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Errcode {
    pub(super) errcode: i64,
    pub(super) errmsg: String,
}

impl Errcode {
    pub(super) fn new(errcode: i64, what: &str) -> Self {
        let errmsg = format!(
            "{what}, hint: [{errcode}], more info at https://open.work.weixin.qq.com/devtool/query?e={errcode}"
        );
        Self { errcode, errmsg }
    }

    /// The answer's body.
    pub(super) fn body(&self) -> Value {
        json!({"errcode": self.errcode, "errmsg": self.errmsg})
    }
}

/// Accepts a payload, or refuses it in WeCom's words. `markdown` is the most bytes of such a one.
pub(super) fn judge(body: &[u8], markdown: usize) -> Result<Value, Errcode> {
    if std::str::from_utf8(body).is_err() {
        return Err(Errcode::new(40033, "invalid charset"));
    }
    let payload: Value =
        serde_json::from_slice(body).map_err(|_| Errcode::new(40035, "invalid parameter"))?;
    let kind = payload.get("msgtype").and_then(Value::as_str).unwrap_or_default();
    let part = payload.get(kind).filter(|part| part.is_object());
    match kind {
        "text" => content(kind, part, TEXT_MAX_BYTES)?,
        "markdown" | "markdown_v2" => content(kind, part, markdown)?,
        "template_card" => card(part)?,
        "news" => news(part)?,
        _ => return Err(Errcode::new(40008, "invalid message type")),
    }
    Ok(payload)
}

fn content(kind: &str, part: Option<&Value>, max: usize) -> Result<(), Errcode> {
    let part = part.ok_or_else(|| Errcode::new(40063, "some parameters are empty"))?;
    let content = match part.get("content") {
        None | Some(Value::Null) => "",
        Some(Value::String(content)) => content,
        Some(_) => return Err(Errcode::new(40035, "invalid parameter")),
    };
    if content.trim().is_empty() {
        return Err(Errcode::new(44004, "empty content"));
    }
    if content.len() > max {
        let what = format!("{kind}.content exceed max length {max}. invalid Request Parameter");
        return Err(Errcode::new(40058, &what));
    }
    let lists = ["mentioned_list", "mentioned_mobile_list"];
    let texts = |list: &Value| list.as_array().is_some_and(|l| l.iter().all(Value::is_string));
    if lists.iter().filter_map(|name| part.get(*name)).any(|list| !texts(list)) {
        return Err(Errcode::new(40035, "invalid parameter"));
    }
    Ok(())
}

fn card(part: Option<&Value>) -> Result<(), Errcode> {
    let invalid = || Errcode::new(40058, "invalid Request Parameter");
    let part = part.ok_or_else(|| Errcode::new(40063, "some parameters are empty"))?;
    let text = |pointer: &str| part.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    if !["text_notice", "news_notice"].contains(&text("/card_type")) {
        return Err(invalid());
    }
    let titled = !text("/main_title/title").is_empty() || !text("/sub_title_text").is_empty();
    if !titled || part.get("card_action").is_none() {
        return Err(invalid());
    }
    Ok(())
}

fn news(part: Option<&Value>) -> Result<(), Errcode> {
    let articles = part.and_then(|part| part.get("articles")).and_then(Value::as_array);
    match articles.map(Vec::len) {
        None | Some(0) => Err(Errcode::new(40063, "some parameters are empty")),
        Some(1..=ARTICLES_MAX) => Ok(()),
        Some(_) => Err(Errcode::new(45008, "article count out of limit")),
    }
}
