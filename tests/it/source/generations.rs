//! The two generations of the API, and all that is tolerated, give the same row the same identity.

use jiff::{Timestamp, tz::TimeZone};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use triggerbell::{
    adapters::source::{decode_page, read_entries},
    domain::entry::{Row, WallTime},
};

use super::fake::zone;

type Text = Option<Box<str>>;

fn text() -> impl Strategy<Value = Text> {
    let some =
        prop_oneof!["[a-z0-9./:_-]{1,12}", "\\PC{0,6}", Just(String::new()), "[ -~\\n\\t]{0,8}"];
    prop::option::weighted(0.8, some.prop_map(Into::into))
}

fn account() -> impl Strategy<Value = Text> {
    prop::option::of((1_u64..9_999_999_999).prop_map(|id| id.to_string().into()))
}

fn row() -> impl Strategy<Value = Row> {
    let texts = prop::array::uniform11(text());
    let numbers = (prop::option::of(any::<i64>()), prop::option::of(-2_i64..20));
    (946_684_800_i64..4_102_444_800, texts, account(), numbers).prop_map(
        |(wall, texts, app_id, (return_code, cluster_region))| {
            let time = Timestamp::from_second(wall - 8 * 3600).unwrap();
            let [repo, tag, trigger, source, action, method, expr, service, cluster, space, msg] =
                texts;
            Row {
                repo,
                tag,
                trigger,
                invoke_source: source,
                invoke_action: action,
                invoke_method: method,
                invoke_expr: expr,
                app_id,
                service: service.clone(),
                cluster_id: cluster,
                namespace: space,
                container: service,
                cluster_region,
                return_code,
                return_msg: msg,
                ..Row::at(WallTime(wall), time)
            }
        },
    )
}

/// Choices drawn from bytes, one after another.
struct Whims(Vec<u8>, usize);

impl Whims {
    fn one_of(&mut self, count: u8) -> u8 {
        self.1 += 1;
        self.0[self.1 % self.0.len()] % count
    }
}

/// A service's way of writing a row: naive on purpose, and by other means than the reader's.
struct Writer {
    upper: bool,
    whims: Whims,
}

impl Writer {
    fn key(&self, name: &str) -> String {
        let (first, rest) = name.split_at(1);
        if self.upper { format!("{}{rest}", first.to_uppercase()) } else { name.to_owned() }
    }

    fn put(&mut self, object: &mut Map<String, Value>, name: &str, value: Option<Value>) {
        if self.whims.one_of(6) == 0 {
            object.insert(format!("unknown{}", object.len()), json!({"code": [1, null]}));
        }
        let value = match (value, self.whims.one_of(2)) {
            (None, 0) => return,
            (None, _) => Value::Null,
            (Some(value), _) => value,
        };
        object.insert(self.key(name), value);
    }

    fn text(&mut self, text: Option<&str>) -> Option<Value> {
        // Empty and absent are one to the identity, and either API writes either.
        match text {
            None | Some("") => (self.whims.one_of(2) == 0).then(|| json!("")),
            Some(text) => Some(json!(text)),
        }
    }

    fn number(&mut self, number: Option<i64>) -> Option<Value> {
        let as_text = self.whims.one_of(2) == 0;
        number.map(|number| if as_text { json!(number.to_string()) } else { json!(number) })
    }

    fn nested(&mut self, object: &mut Map<String, Value>, name: &str, inside: Map<String, Value>) {
        let said = inside.values().any(|value| !value.is_null() && value != "");
        let value = match self.whims.one_of(4) {
            0 if !said => None,
            1 if !said => Some(json!([])),
            2 if !said => Some(Value::Null),
            _ => Some(Value::Object(inside)),
        };
        self.put(object, name, value);
    }

    fn row(&mut self, row: &Row) -> Value {
        let mut object = Map::new();
        let civil = TimeZone::UTC.to_datetime(Timestamp::from_second(row.wall_time.0).unwrap());
        let time = civil.strftime("%Y-%m-%d %H:%M:%S").to_string();
        self.put(&mut object, "invokeTime", Some(json!(time)));
        for (name, value) in [
            ("repoName", &row.repo),
            ("tagName", &row.tag),
            ("triggerName", &row.trigger),
            ("invokeSource", &row.invoke_source),
            ("invokeAction", &row.invoke_action),
        ] {
            let value = self.text(value.as_deref());
            self.put(&mut object, name, value);
        }
        let mut condition = Map::new();
        for (name, value) in
            [("invokeMethod", &row.invoke_method), ("invokeExpr", &row.invoke_expr)]
        {
            let value = self.text(value.as_deref());
            self.put(&mut condition, name, value);
        }
        self.nested(&mut object, "invokeCondition", condition);
        let mut para = Map::new();
        let app_id = match (row.app_id.as_deref(), self.whims.one_of(2)) {
            (Some(id), 0) => Some(json!(id.parse::<u64>().unwrap())),
            (id, _) => self.text(id),
        };
        self.put(&mut para, "appId", app_id);
        for (name, value) in [
            ("serviceName", &row.service),
            ("clusterId", &row.cluster_id),
            ("namespace", &row.namespace),
            ("containerName", &row.container),
        ] {
            let value = self.text(value.as_deref());
            self.put(&mut para, name, value);
        }
        let region = self.number(row.cluster_region);
        self.put(&mut para, "clusterRegion", region);
        self.nested(&mut object, "invokePara", para);
        let mut result = Map::new();
        let (code, message) = (self.number(row.return_code), self.text(row.return_msg.as_deref()));
        self.put(&mut result, "returnCode", code);
        self.put(&mut result, "returnMsg", message);
        self.nested(&mut object, "invokeResult", result);
        Value::Object(object)
    }

    fn answer(&mut self, rows: Vec<Value>) -> Value {
        let total = self.number(i64::try_from(rows.len()).ok()).unwrap();
        let mut data = Map::new();
        self.put(&mut data, "totalCount", Some(total));
        self.put(&mut data, "logInfo", Some(Value::Array(rows)));
        let code = self.number(Some(0));
        match self.whims.one_of(3) {
            0 => json!({"code": code, "message": "", "data": data}),
            1 => {
                data.insert("code".to_owned(), code.unwrap());
                Value::Object(data)
            }
            _ => json!({"Response": {"RequestId": "r", "Data": data}}),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_row_is_the_same_row_however_it_is_written(
        rows in prop::collection::vec(row(), 0..6),
        upper: bool,
        whims in prop::collection::vec(any::<u8>(), 97),
        pretty: bool,
    ) {
        let mut writer = Writer { upper, whims: Whims(whims, 0) };
        let written = rows.iter().map(|row| writer.row(row)).collect();
        let answer = writer.answer(written);
        let text =
            if pretty { format!("{answer:#}") } else { answer.to_string() };
        let page = decode_page(&text, &zone()).unwrap();
        prop_assert!(page.rejected.is_empty(), "{:?}", page.rejected);
        prop_assert_eq!(page.len as usize, rows.len());
        prop_assert_eq!(page.total, Some(rows.len() as u64));
        for (read, row) in page.rows.iter().zip(&rows) {
            prop_assert_eq!(read.identity(), row.identity(), "{:?} {:?}", read, row);
            prop_assert_eq!(read.time, row.time);
            prop_assert_eq!(read.has_result() || !row.has_result()
                || row.return_msg.as_deref() == Some(""), true);
        }
        // A file that holds the answer gives the same rows.
        let from_file = read_entries(text.as_bytes(), &zone(), None);
        prop_assert!(from_file.rejected.is_empty(), "{:?}", from_file.rejected);
        prop_assert_eq!(from_file.rows, page.rows);
    }

    #[test]
    fn damaged_answers_are_refused_or_read_but_never_fatal(
        row in row(),
        upper: bool,
        whims in prop::collection::vec(any::<u8>(), 97),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        end in any::<prop::sample::Index>(),
    ) {
        let mut writer = Writer { upper, whims: Whims(whims, 0) };
        let row = writer.row(&row);
        let mut bytes = writer.answer(vec![row]).to_string().into_bytes();
        for (index, byte) in damage {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(end.index(bytes.len() * 2));
        if let Ok(text) = std::str::from_utf8(&bytes)
            && let Ok(page) = decode_page(text, &zone())
        {
            prop_assert_eq!(page.rows.len() + page.rejected.len(), page.len as usize);
        }
        let entries = read_entries(&bytes, &zone(), None);
        let said = bytes.iter().any(|byte| !byte.is_ascii_whitespace());
        let empty = entries.rows.is_empty() && entries.rejected.is_empty();
        // Nothing is dropped without a word, but for an answer that holds no rows.
        prop_assert!(!said || !empty || decode_page(&String::from_utf8_lossy(&bytes), &zone()).is_ok());
    }
}
