//! What is understood of an answer, and what is set aside.

use jiff::Timestamp;
use serde_json::{Value, json};
use triggerbell::{
    adapters::source::{Unread, decode_page},
    domain::entry::{Row, WallTime},
    ports::{Page, Source as _},
};

use super::fake::{Answer, Fake, SAMPLE, SAMPLE_3, first_page, zone};

/// The row of the official sample, as an entry should have it.
fn sample_row() -> Row {
    let time: Timestamp = "2018-07-23T23:13:27+08:00".parse().unwrap();
    Row {
        repo: Some("kubetest/kubetest".into()),
        tag: Some("latest".into()),
        trigger: Some("trigger_test".into()),
        invoke_source: Some("IMAGE_PUSH".into()),
        invoke_action: Some("SERVICE_UPDATE".into()),
        invoke_method: Some("regex".into()),
        invoke_expr: Some("test*".into()),
        app_id: Some("1254119589".into()),
        service: Some("nginx-test".into()),
        cluster_id: Some("cls-666666".into()),
        namespace: Some("default".into()),
        container: Some("nginx-test".into()),
        cluster_region: Some(1),
        return_code: Some(0),
        return_msg: Some("ok".into()),
        ..Row::at(WallTime(1_532_387_607), time)
    }
}

fn decode(answer: &Value) -> Page {
    decode_page(&answer.to_string(), &zone()).unwrap()
}

/// An API 2.0 answer with that one row.
fn around(row: &Value) -> Value {
    json!({"code": 0, "data": {"totalCount": 1, "logInfo": [row]}})
}

fn sample() -> Value {
    serde_json::from_str::<Value>(SAMPLE).unwrap()["data"]["logInfo"][0].clone()
}

#[tokio::test]
async fn the_official_sample_arrives_whole_from_either_api() {
    // 23:13:27 on the log's clock is 15:13:27 UTC, and the wall time is what the log wrote.
    assert_eq!(sample_row().time.as_second(), 1_532_387_607 - 8 * 3600);
    for body in [SAMPLE, SAMPLE_3] {
        let registry = Fake::answering([Answer::ok(body)]).await;
        for page in [first_page(&registry.ccr()).await, first_page(&registry.tcr()).await] {
            let page = page.unwrap();
            assert_eq!(page.rows, [sample_row()]);
            assert_eq!((page.len, page.total), (1, Some(1)));
            assert!(page.rejected.is_empty());
        }
    }
}

#[tokio::test]
async fn a_source_shows_the_logs_clock() {
    let registry = Fake::answering([Answer::ok(SAMPLE)]).await;
    let source = registry.ccr();
    assert_eq!(source.wall_time(sample_row().time), sample_row().wall_time);
    assert_eq!((source.kind(), source.page_limit()), ("ccr", 100));
    assert_eq!((registry.tcr().kind(), registry.tcr().page_limit()), ("tcr_personal", 100));
}

#[tokio::test]
async fn a_deprecation_is_passed_on() {
    let body = json!({"Response": {"Data": {"TotalCount": 0}, "RequestId": "r",
        "DeprecatedWarning": "This action\nwill go"}});
    let registry = Fake::answering([Answer::ok(body.to_string())]).await;
    let page = first_page(&registry.tcr()).await.unwrap();
    assert_eq!(page.deprecated.as_deref(), Some("This action will go"));
    assert_eq!((page.len, page.total), (0, Some(0)));
}

#[test]
fn rows_are_found_wherever_the_documents_put_them() {
    let row = sample();
    let answers = [
        around(&row),
        json!({"code": "0", "totalCount": "1", "logInfo": [row]}),
        json!({"code": 0, "totalCount": 1, "logInfo": [], "data": {"logInfo": [row]}}),
        json!({"code": 0, "totalCount": 1, "logInfo": [row], "data": []}),
        json!({"Response": {"Data": {"TotalCount": "1", "LogInfo": [row]}}}),
        json!({"Response": {"Error": null, "Data": {"TotalCount": 1, "LogInfo": [row]}}}),
        json!({"code": 0, "message": null, "more": {"code": 1}, "data": {"TotalCount": 1,
            "LogInfo": [row], "error": "no"}}),
    ];
    for answer in answers {
        let page = decode(&answer);
        assert_eq!(page.rows, [sample_row()], "{answer}");
        assert_eq!(page.total, Some(1), "{answer}");
    }
}

#[test]
fn an_empty_log_has_many_forms() {
    for answer in [
        json!({"code": 0}),
        json!({"code": 0, "data": null}),
        json!({"code": 0, "data": []}),
        json!({"code": 0, "data": {}}),
        json!({"code": 0, "data": {"logInfo": null, "totalCount": null}}),
        json!({"code": 0, "data": {"logInfo": [], "totalCount": -1}}),
        json!({"Response": {"RequestId": "r"}}),
        json!({"Response": {"Data": [], "RequestId": "r"}}),
        json!({"Response": {"Data": {"LogInfo": null}}}),
    ] {
        let page = decode(&answer);
        assert_eq!((page.len, page.total, page.rows.len()), (0, None, 0), "{answer}");
    }
    let page = decode(&json!({"Response": {"Data": {"TotalCount": 7}}}));
    assert_eq!((page.len, page.total), (0, Some(7)), "rows may be missing though some are counted");
}

#[test]
fn absent_is_not_empty_and_unknown_passes() {
    let bare = json!({"invokeTime": "2018-07-23 23:13:27"});
    let empty = Row::at(sample_row().wall_time, sample_row().time);
    assert_eq!(decode(&around(&bare)).rows, std::slice::from_ref(&empty));
    assert!(!empty.has_result(), "a missing result is unknown, not failed");
    for nothing in [json!(null), json!([]), json!({})] {
        let row = json!({"invokeTime": "2018-07-23 23:13:27", "repoName": null,
            "invokeCondition": nothing, "invokePara": nothing, "invokeResult": nothing});
        assert_eq!(decode(&around(&row)).rows, std::slice::from_ref(&empty), "{row}");
    }

    let row = json!({"invokeTime": "2018-07-23 23:13:27", "tagName": "", "invokeSource": "NEW_ONE",
        "later": {"deep": [1, {"x": null}]}, "invokePara": {"later": 1.5},
        "invokeResult": {"returnMsg": "", "returnCode": "-404"}});
    let read = decode(&around(&row)).rows.remove(0);
    assert_eq!(read.tag.as_deref(), Some(""));
    assert_eq!(read.return_msg.as_deref(), Some(""));
    assert_eq!(read.return_code, Some(-404));
    assert_eq!(read.invoke_source.as_deref(), Some("NEW_ONE"));
    assert_eq!(read.repo, None);
}

#[test]
fn a_row_out_of_tolerance_is_set_aside_with_its_field_named_and_the_others_go_on() {
    let table: &[(&str, Value, &str)] = &[
        ("/invokeTime", json!(null), "invokeTime is missing"),
        ("/invokeTime", json!(1_532_358_807), "invokeTime is a number, where text"),
        ("/invokeTime", json!(""), "invokeTime is \"\", which is no time"),
        ("/invokeTime", json!("0000-00-00 00:00:00"), "invokeTime is"),
        ("/invokeTime", json!("2018-02-30 00:00:00"), "invokeTime is"),
        ("/invokeTime", json!("2018-07-23T23:13:27"), "invokeTime is"),
        ("/invokeTime", json!("2018-07-23 23:13:27Z"), "invokeTime is"),
        ("/invokeTime", json!("2018-07-23 23:13"), "invokeTime is"),
        ("/invokeTime", json!("2018-07-23 2a:13:27"), "invokeTime is"),
        ("/repoName", json!(7), "repoName is a number, where text"),
        ("/tagName", json!(1.1), "tagName is a fraction, where text"),
        ("/triggerName", json!({"a": 1}), "triggerName is an object, where text"),
        ("/invokeCondition", json!("all"), "invokeCondition is text, where an object"),
        ("/invokeCondition/invokeExpr", json!([]), "invokeCondition.invokeExpr is an empty list"),
        ("/invokePara", json!([1]), "invokePara is a list, where an object"),
        ("/invokePara/appId", json!(1.5), "invokePara.appId is a fraction"),
        ("/invokePara/appId", json!(true), "invokePara.appId is a boolean"),
        (
            "/invokePara/clusterRegion",
            json!("gz"),
            "invokePara.clusterRegion is \"gz\", where a whole",
        ),
        ("/invokeResult/returnCode", json!(0.0), "invokeResult.returnCode is a fraction"),
        ("/invokeResult/returnCode", json!(""), "invokeResult.returnCode is \"\""),
        ("/invokeResult/returnCode", json!("+1"), "invokeResult.returnCode is \"+1\""),
        (
            "/invokeResult/returnCode",
            json!(u64::MAX),
            "invokeResult.returnCode is a number too large",
        ),
        ("/invokeResult/returnMsg", json!(false), "invokeResult.returnMsg is a boolean"),
        ("", json!("row"), "the row is text, where an object"),
        ("", json!(null), "the row is null, where an object"),
        ("", json!([]), "invokeTime is missing"),
    ];
    for (pointer, value, reason) in table {
        let mut bad = sample();
        *bad.pointer_mut(pointer).unwrap() = value.clone();
        let answer = json!({"code": 0, "data": {"totalCount": 3,
            "logInfo": [sample(), bad, sample()]}});
        let page = decode(&answer);
        assert_eq!(page.rows, [sample_row(), sample_row()], "{reason}");
        assert_eq!(page.len, 3, "offsets count what is not understood too");
        assert_eq!(page.rejected.len(), 1, "{reason}");
        assert_eq!(page.rejected[0].raw, bad.to_string());
        let said = &page.rejected[0].reason;
        assert!(said.starts_with(reason), "{reason:?} in {said:?}");
    }
}

#[test]
fn a_whole_number_beyond_64_bits_is_called_that() {
    for (number, reason) in [
        ("18446744073709551616", "a number beyond 64 bits"),
        ("-9223372036854775809", "a number beyond 64 bits"),
        ("1e300", "a number beyond 64 bits"),
        ("9223372036854775808", "a number too large"),
        ("0.5", "a fraction"),
    ] {
        let marked = json!({"code": 0, "data": {"totalCount": 2, "logInfo": [
            {"invokeTime": "2018-07-23 23:13:27", "invokeResult": {"returnCode": "HERE"}}, sample()]}});
        let text = marked.to_string().replace("\"HERE\"", number);
        let page = decode_page(&text, &zone()).unwrap();
        assert_eq!(page.rows, [sample_row()], "{number}");
        let wanted =
            format!("invokeResult.returnCode is {reason}, where a whole number was expected");
        assert_eq!(page.rejected[0].reason, wanted, "{number}");
    }
}

#[test]
fn broken_text_inside_a_row_spoils_that_row_only() {
    for (broken, reason) in [
        (r#""\ud800""#, "returnMsg can't be read: "),
        ("1e999", "returnMsg can't be read: number out of range"),
    ] {
        let bad = format!(
            r#"{{"invokeTime":"2018-07-23 23:13:27","invokeResult":{{"returnMsg":{broken}}}}}"#
        );
        let answer = format!(r#"{{"code":0,"data":{{"logInfo":[{bad},{}]}}}}"#, sample());
        let page = decode_page(&answer, &zone()).unwrap();
        assert_eq!(page.rows, [sample_row()]);
        assert_eq!(page.rejected[0].raw, bad);
        let said = &page.rejected[0].reason;
        assert!(said.starts_with(reason), "{said}");
        assert!(!said.contains("line 1"), "{said}");
    }
}

#[test]
fn what_is_kept_of_a_row_is_bounded_and_stays_text() {
    let mut bad = sample();
    bad["invokeTime"] = json!("never");
    bad["invokeResult"]["returnMsg"] = json!("失败".repeat(20_000));
    let page = decode(&around(&bad));
    let raw = &page.rejected[0].raw;
    assert!((64 * 1024 - 3..=64 * 1024).contains(&raw.len()), "{}", raw.len());
    assert!(bad.to_string().starts_with(raw.as_str()));
}

#[test]
fn an_hour_that_a_zone_repeats_or_leaves_out_is_still_a_time() {
    let zone = jiff::tz::TimeZone::get("America/New_York").unwrap();
    for (naive, utc, wall) in [
        ("2026-03-08 02:30:00", "2026-03-08T07:30:00Z", 1_772_937_000),
        ("2026-11-01 01:30:00", "2026-11-01T05:30:00Z", 1_793_496_600),
    ] {
        let answer = around(&json!({"invokeTime": naive})).to_string();
        let page = decode_page(&answer, &zone).unwrap();
        assert_eq!(page.rows[0].time.to_string(), utc);
        assert_eq!(page.rows[0].wall_time, WallTime(wall), "{naive}");
    }
}

#[test]
fn a_refusal_keeps_the_services_words() {
    let answer = r#"{"code":"4000","codeDesc":"InvalidParameter","message":"(100004)projectId"}"#;
    let Err(Unread::Refused(refusal)) = decode_page(answer, &zone()) else {
        panic!("not a refusal")
    };
    assert_eq!(refusal.to_string(), "4000 InvalidParameter: (100004)projectId");
}
