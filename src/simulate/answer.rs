//! Answers in the form of either generation: envelopes, rows, and the looser forms that have been
//! seen in the wild.
//!
//! A row is written straight from the domain's row, field by field; one that it lacks is not
//! written. Deliberately absent: which rows (the registry's), and HTTP.

use std::{fmt, sync::Arc};

use jiff::{Timestamp, tz::Offset};
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq as _},
};
use serde_json::{Value, json};

use crate::domain::entry::{Row, WallTime};

use super::{enterprise::log_row, gate::Generation, refusal::Refusal};

/// The names of a row's fields in one generation.
struct Names {
    repo: &'static str,
    tag: &'static str,
    trigger: &'static str,
    source: &'static str,
    action: &'static str,
    time: &'static str,
    condition: &'static str,
    method: &'static str,
    expr: &'static str,
    para: &'static str,
    app: &'static str,
    cluster: &'static str,
    namespace: &'static str,
    service: &'static str,
    container: &'static str,
    region: &'static str,
    result: &'static str,
    code: &'static str,
    message: &'static str,
}

const TWO: Names = Names {
    repo: "repoName",
    tag: "tagName",
    trigger: "triggerName",
    source: "invokeSource",
    action: "invokeAction",
    time: "invokeTime",
    condition: "invokeCondition",
    method: "invokeMethod",
    expr: "invokeExpr",
    para: "invokePara",
    app: "appId",
    cluster: "clusterId",
    namespace: "namespace",
    service: "serviceName",
    container: "containerName",
    region: "clusterRegion",
    result: "invokeResult",
    code: "returnCode",
    message: "returnMsg",
};

const THREE: Names = Names {
    repo: "RepoName",
    tag: "TagName",
    trigger: "TriggerName",
    source: "InvokeSource",
    action: "InvokeAction",
    time: "InvokeTime",
    condition: "InvokeCondition",
    method: "InvokeMethod",
    expr: "InvokeExpr",
    para: "InvokePara",
    app: "AppId",
    cluster: "ClusterId",
    namespace: "Namespace",
    service: "ServiceName",
    container: "ContainerName",
    region: "ClusterRegion",
    result: "InvokeResult",
    code: "ReturnCode",
    message: "ReturnMsg",
};

/// How the answer to one request is written.
#[derive(Debug, Clone)]
pub(super) struct Style {
    pub(super) generation: Generation,
    /// Numbers as text, `[]` for objects that are not there, and so on.
    pub(super) loose: bool,
    /// What API 3.0 calls the request.
    pub(super) request_id: String,
}

impl Style {
    const fn names(&self) -> &'static Names {
        match self.generation {
            Generation::Two => &TWO,
            Generation::Three => &THREE,
        }
    }

    /// A page of a trigger log.
    pub(super) fn trigger_log(&self, total: usize, rows: &[Arc<Row>]) -> Vec<u8> {
        let total_count = Number { value: total as i64, loose: self.loose };
        let list = List { rows, names: self.names(), loose: self.loose };
        let log_info = (!self.loose || !rows.is_empty()).then_some(list);
        match self.generation {
            Generation::Two if self.loose => bytes(&LogFlat { code: "0", log_info, total_count }),
            Generation::Two => self.success(&LogTwo { total_count, log_info }),
            Generation::Three => self.success(&LogThree { total_count, log_info }),
        }
    }

    /// Triggers: API 2.0 alone has them.
    pub(super) fn triggers(&self, total: usize, rows: &[(Arc<str>, Arc<Row>)]) -> Vec<u8> {
        let info = |(repo, row): &(Arc<str>, Arc<Row>)| {
            json!({
                "repoName": &**repo,
                "triggerName": row.trigger,
                "invokeSource": row.invoke_source,
                "invokeAction": row.invoke_action,
                "invokeCondition": {"invokeMethod": row.invoke_method, "invokeExpr": row.invoke_expr},
                "invokePara": {
                    "appId": row.app_id,
                    "clusterId": row.cluster_id,
                    "namespace": row.namespace,
                    "serviceName": row.service,
                    "containerName": row.container,
                    "clusterRegion": row.cluster_region,
                },
            })
        };
        let list: Vec<Value> = rows.iter().map(info).collect();
        self.success(&json!({"totalCount": total, "triggerInfo": list}))
    }

    /// A page of the enterprise edition's log.
    pub(super) fn webhook_log(&self, total: usize, rows: &[(u64, Arc<Row>)]) -> Vec<u8> {
        let logs: Vec<Value> = rows.iter().map(|(id, row)| log_row(*id, row)).collect();
        bytes(&json!({"Response": {
            "TotalCount": total, "Logs": logs, "RequestId": self.request_id,
        }}))
    }

    /// A page of the enterprise edition's namespaces.
    pub(super) fn namespaces(&self, total: usize, names: &[String]) -> Vec<u8> {
        let namespace = |name: &String| json!({"Name": name, "Public": false});
        let list: Vec<Value> = names.iter().map(namespace).collect();
        bytes(&json!({"Response": {
            "TotalCount": total, "NamespaceList": list, "RequestId": self.request_id,
        }}))
    }

    /// Repositories; `partial` says that the account does not see all of them.
    pub(super) fn repos(&self, total: usize, repos: &[Arc<str>], partial: bool) -> Vec<u8> {
        match self.generation {
            Generation::Two => {
                let list: Vec<Value> = repos
                    .iter()
                    .map(|repo| json!({"reponame": &**repo, "repotype": "", "public": 0}))
                    .collect();
                self.success(&json!({
                    "totalCount": total, "repoInfo": list, "privilegeFiltered": partial,
                }))
            }
            Generation::Three => {
                let list: Vec<Value> =
                    repos.iter().map(|repo| json!({"RepoName": &**repo, "Public": 0})).collect();
                self.success(&json!({"TotalCount": total, "RepoInfo": list}))
            }
        }
    }

    /// A refusal.
    pub(super) fn refusal(&self, refusal: &Refusal) -> Vec<u8> {
        match self.generation {
            Generation::Two => bytes(&json!({
                "code": refusal.code,
                "message": refusal.message,
                "codeDesc": refusal.code_desc,
            })),
            Generation::Three => bytes(&json!({"Response": {
                "Error": {"Code": refusal.code3, "Message": refusal.message},
                "RequestId": self.request_id,
            }})),
        }
    }

    fn success(&self, data: &impl Serialize) -> Vec<u8> {
        match self.generation {
            Generation::Two => bytes(&Two { code: 0, message: "", code_desc: "Success", data }),
            Generation::Three => {
                bytes(&Three { response: Response { data, request_id: &self.request_id } })
            }
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Two<'a, D> {
    code: u32,
    message: &'a str,
    code_desc: &'a str,
    data: &'a D,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Three<'a, D> {
    response: Response<'a, D>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Response<'a, D> {
    data: &'a D,
    request_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogTwo<'a> {
    total_count: Number,
    log_info: Option<List<'a>>,
}

/// As the 2.0 document's parameter table has it, against its own sample.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogFlat<'a> {
    code: &'a str,
    log_info: Option<List<'a>>,
    total_count: Number,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct LogThree<'a> {
    total_count: Number,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_info: Option<List<'a>>,
}

/// A number, as text where the answer is loose.
struct Number {
    value: i64,
    loose: bool,
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.loose { to.collect_str(&self.value) } else { to.serialize_i64(self.value) }
    }
}

/// Rows, written one by one without a tree between.
struct List<'a> {
    rows: &'a [Arc<Row>],
    names: &'static Names,
    loose: bool,
}

impl Serialize for List<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(Some(self.rows.len()))?;
        for row in self.rows {
            list.serialize_element(&WireRow { row, names: self.names, loose: self.loose })?;
        }
        list.end()
    }
}

struct WireRow<'a> {
    row: &'a Row,
    names: &'static Names,
    loose: bool,
}

impl Serialize for WireRow<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (row, names) = (self.row, self.names);
        let mut map = to.serialize_map(None)?;
        entry(&mut map, names.repo, row.repo.as_deref())?;
        entry(&mut map, names.tag, row.tag.as_deref())?;
        entry(&mut map, names.trigger, row.trigger.as_deref())?;
        entry(&mut map, names.source, row.invoke_source.as_deref())?;
        entry(&mut map, names.action, row.invoke_action.as_deref())?;
        map.serialize_entry(names.time, &LogTime(row.wall_time))?;
        self.object(&mut map, names.condition, &Condition(self))?;
        self.object(&mut map, names.para, &Para(self))?;
        self.object(&mut map, names.result, &Outcome(self))?;
        map.end()
    }
}

/// An object within a row: whether it has anything in it, and what.
trait Part: Serialize {
    fn is_there(&self) -> bool;
}

impl WireRow<'_> {
    fn object<M: SerializeMap>(
        &self,
        map: &mut M,
        name: &'static str,
        part: &impl Part,
    ) -> Result<(), M::Error> {
        match (part.is_there(), self.loose) {
            (true, _) => map.serialize_entry(name, part),
            // An empty array of PHP, which does not know that it is an object.
            (false, true) => map.serialize_entry::<_, [(); 0]>(name, &[]),
            (false, false) => Ok(()),
        }
    }

    fn number(&self, value: Option<i64>) -> Option<Number> {
        value.map(|value| Number { value, loose: self.loose })
    }
}

struct Condition<'a>(&'a WireRow<'a>);

impl Part for Condition<'_> {
    fn is_there(&self) -> bool {
        let row = self.0.row;
        row.invoke_method.is_some() || row.invoke_expr.is_some()
    }
}

impl Serialize for Condition<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        entry(&mut map, self.0.names.method, self.0.row.invoke_method.as_deref())?;
        entry(&mut map, self.0.names.expr, self.0.row.invoke_expr.as_deref())?;
        map.end()
    }
}

struct Para<'a>(&'a WireRow<'a>);

impl Part for Para<'_> {
    fn is_there(&self) -> bool {
        let row = self.0.row;
        let texts = [&row.app_id, &row.cluster_id, &row.namespace, &row.service, &row.container];
        row.cluster_region.is_some() || texts.iter().any(|text| text.is_some())
    }
}

impl Serialize for Para<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (row, names) = (self.0.row, self.0.names);
        let mut map = to.serialize_map(None)?;
        entry(&mut map, names.app, row.app_id.as_deref())?;
        entry(&mut map, names.cluster, row.cluster_id.as_deref())?;
        entry(&mut map, names.namespace, row.namespace.as_deref())?;
        entry(&mut map, names.service, row.service.as_deref())?;
        entry(&mut map, names.container, row.container.as_deref())?;
        entry(&mut map, names.region, self.0.number(row.cluster_region))?;
        map.end()
    }
}

struct Outcome<'a>(&'a WireRow<'a>);

impl Part for Outcome<'_> {
    fn is_there(&self) -> bool {
        self.0.row.has_result()
    }
}

impl Serialize for Outcome<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        entry(&mut map, self.0.names.code, self.0.number(self.0.row.return_code))?;
        entry(&mut map, self.0.names.message, self.0.row.return_msg.as_deref())?;
        map.end()
    }
}

fn entry<M: SerializeMap>(
    map: &mut M,
    name: &'static str,
    value: Option<impl Serialize>,
) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(name, &value))
}

/// `YYYY-MM-DD HH:MM:SS`, on the log's own clock, no zone.
pub(super) struct LogTime(pub(super) WallTime);

impl fmt::Display for LogTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = Timestamp::from_second(self.0.0).unwrap_or(Timestamp::MIN);
        let time = Offset::UTC.to_datetime(instant);
        let (hour, minute, second) = (time.hour(), time.minute(), time.second());
        write!(f, "{} {hour:02}:{minute:02}:{second:02}", time.date())
    }
}

impl Serialize for LogTime {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

fn bytes(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("no map here has keys other than text, and none fails")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Row {
        let mut row = Row::at(WallTime(1_532_387_607), Timestamp::UNIX_EPOCH);
        row.repo = Some("kubetest/kubetest".into());
        row.tag = Some("latest".into());
        row.trigger = Some("trigger_test".into());
        row.invoke_source = Some("IMAGE_PUSH".into());
        row.invoke_action = Some("SERVICE_UPDATE".into());
        row.invoke_method = Some("regex".into());
        row.invoke_expr = Some("test*".into());
        row.app_id = Some("1254119589".into());
        row.cluster_id = Some("cls-666666".into());
        row.namespace = Some("default".into());
        row.service = Some("nginx-test".into());
        row.container = Some("nginx-test".into());
        row.cluster_region = Some(1);
        row.return_code = Some(0);
        row.return_msg = Some("ok".into());
        row
    }

    fn written(generation: Generation, loose: bool, rows: &[Arc<Row>]) -> Value {
        let style = Style { generation, loose, request_id: "r".to_owned() };
        serde_json::from_slice(&style.trigger_log(1, rows)).unwrap()
    }

    #[test]
    fn the_official_sample_is_written_as_the_document_has_it() {
        let document = json!({"code":0,"message":"","codeDesc":"Success","data":{"logInfo":[{"repoName":"kubetest/kubetest","tagName":"latest","triggerName":"trigger_test","invokeSource":"IMAGE_PUSH","invokeAction":"SERVICE_UPDATE","invokeTime":"2018-07-23 23:13:27","invokeCondition":{"invokeMethod":"regex","invokeExpr":"test*"},"invokePara":{"appId":"1254119589","clusterId":"cls-666666","namespace":"default","serviceName":"nginx-test","containerName":"nginx-test","clusterRegion":1},"invokeResult":{"returnCode":0,"returnMsg":"ok"}}],"totalCount":1}});
        assert_eq!(written(Generation::Two, false, &[Arc::new(sample())]), document);
    }

    #[test]
    fn the_third_generation_has_the_same_with_capitals() {
        let answer = written(Generation::Three, false, &[Arc::new(sample())]);
        assert_eq!(answer.pointer("/Response/Data/TotalCount"), Some(&json!(1)));
        let row = answer.pointer("/Response/Data/LogInfo/0").unwrap();
        assert_eq!(row.pointer("/InvokePara/ClusterRegion"), Some(&json!(1)));
        assert_eq!(row.pointer("/InvokeResult/ReturnMsg"), Some(&json!("ok")));
        assert_eq!(row.pointer("/InvokeTime"), Some(&json!("2018-07-23 23:13:27")));
    }

    #[test]
    fn what_a_row_lacks_is_not_written_or_loosely_an_array() {
        let row = [Arc::new(Row::at(WallTime(0), Timestamp::UNIX_EPOCH))];
        let strict = written(Generation::Two, false, &row);
        assert_eq!(
            strict.pointer("/data/logInfo/0"),
            Some(&json!({"invokeTime": "1970-01-01 00:00:00"}))
        );
        let loose = written(Generation::Two, true, &row);
        assert_eq!(loose["totalCount"], json!("1"));
        assert_eq!(loose.pointer("/logInfo/0/invokeResult"), Some(&json!([])));
        assert!(written(Generation::Three, true, &[])["Response"]["Data"].get("LogInfo").is_none());
    }
}
