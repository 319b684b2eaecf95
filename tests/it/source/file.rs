//! Files and standard input as logs.

use std::{fs, path::Path, time::Duration};

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;
use triggerbell::{
    adapters::source::{Entries, FileInput, FileSettings, FileSource, decode_page, read_entries},
    domain::entry::{Row, WallTime},
    ports::{Page, PageRequest, Source as _, SourceErrorKind},
};

use super::fake::{SAMPLE, SAMPLE_3, zone};

fn read(text: impl AsRef<[u8]>) -> Entries {
    read_entries(text.as_ref(), &zone(), None)
}

fn tags(rows: &[Row]) -> Vec<&str> {
    rows.iter().map(|row| row.tag.as_deref().unwrap_or("-")).collect()
}

fn source(path: &Path) -> FileSource {
    FileSource::new(FileSettings { input: FileInput::Path(path.to_owned()) }, zone())
}

async fn page(source: &FileSource, repo: &str, offset: u64, limit: u32) -> Page {
    source.page(PageRequest { repo, offset, limit }).await.unwrap()
}

fn line(repo: &str, tag: &str, second: u32) -> String {
    json!({"repo": repo, "tag": tag, "time": format!("2026-03-02 09:00:{second:02}")}).to_string()
}

#[test]
fn answers_of_both_generations_stand_in_files_whole_and_one_after_another() {
    let sample = decode_page(SAMPLE, &zone()).unwrap().rows.remove(0);
    let pretty =
        |text: &str| format!("{:#}", serde_json::from_str::<serde_json::Value>(text).unwrap());
    let row = serde_json::from_str::<serde_json::Value>(SAMPLE_3).unwrap();
    let row = &row["Response"]["Data"]["LogInfo"][0];
    for (text, rows) in [
        (SAMPLE.to_owned(), 1),
        (pretty(SAMPLE), 1),
        (format!("\u{feff}{SAMPLE}"), 1),
        (format!("{SAMPLE}{SAMPLE_3}"), 2),
        (format!("{}\n\n{}\r\n{row}\n", pretty(SAMPLE), pretty(SAMPLE_3)), 3),
        (format!("{row}\n{row}"), 2),
        (format!("[{row},{row}] {row}"), 3),
        (json!({"items": [], "next": null}).to_string(), 0),
    ] {
        let entries = read(&text);
        assert_eq!(entries.rejected, [], "{text}");
        assert_eq!(entries.rows, vec![sample.clone(); rows], "{text}");
    }
}

#[test]
fn exports_under_the_names_that_rules_use_are_rows() {
    let sample = decode_page(SAMPLE, &zone()).unwrap().rows.remove(0);
    let export = json!({"id": "x", "source": "shop", "repo": "kubetest/kubetest", "tag": "latest",
        "trigger": "trigger_test", "invokeSource": "IMAGE_PUSH", "invokeAction": "SERVICE_UPDATE",
        "time": "2018-07-23T23:13:27+08:00", "invokeMethod": "regex", "invokeExpr": "test*",
        "appId": 1_254_119_589, "clusterId": "cls-666666", "namespace": "default",
        "service": "nginx-test", "container": "nginx-test", "clusterRegion": "1",
        "region": "Guangzhou", "returnCode": 0, "returnMsg": "ok"});
    for time in ["2018-07-23T15:13:27Z", "2018-07-23 23:13:27", "2018-07-23T23:13:27"] {
        let mut export = export.clone();
        export["time"] = json!(time);
        for text in [
            export.to_string(),
            json!({"entry": export}).to_string(),
            json!({"id": "x", "fields": export}).to_string(),
            json!({"items": [export], "next": "y"}).to_string(),
            json!([export]).to_string(),
        ] {
            let entries = read(&text);
            assert_eq!(entries.rejected, [], "{text}");
            assert_eq!(entries.rows, std::slice::from_ref(&sample), "{text}");
        }
    }
    // A row as the store keeps it is one too.
    assert_eq!(read(serde_json::to_string(&sample).unwrap()).rows, [sample]);
}

#[test]
fn a_row_without_a_time_takes_the_given_one() {
    let text = r#"{"repo": "shop/api", "returnCode": 1}"#;
    assert_eq!(read(text).rejected[0].reason, "line 1: the time is missing");
    let now: Timestamp = "2026-03-02T01:00:00Z".parse().unwrap();
    let entries = read_entries(text.as_bytes(), &zone(), Some(now));
    assert_eq!(entries.rows[0].time, now);
    assert_eq!(entries.rows[0].wall_time, WallTime(now.as_second() + 8 * 3600));
    assert_eq!(entries.rows[0].return_code, Some(1));
}

#[test]
fn what_is_malformed_is_said_with_its_line_and_costs_only_that() {
    let good = |tag| line("shop/api", tag, 1);
    let mut text = String::new();
    for part in [
        good("a").as_str(),
        "not json",
        r#"{"repo":"shop/api""#,
        &good("b"),
        r#"{"repo":"cut in text"#,
        "",
        &good("c"),
        "12",
        r#"{"code":4100,"message":"no","codeDesc":"AuthFailure"}"#,
        r#"{"repo":"shop/api","time":"yesterday"}"#,
        r#"{"repo":7,"time":"2026-03-02 09:00:00"}"#,
        &good("d"),
        r#"{"code":0,"data":{"logInfo":[{"#,
    ] {
        text.push_str(part);
        text.push('\n');
    }
    let entries = read(&text);
    assert_eq!(tags(&entries.rows), ["a", "b", "c", "d"]);
    let reasons: Vec<_> = entries.rejected.iter().map(|r| r.reason.as_str()).collect();
    let expected = [
        "line 2: is not a JSON object",
        "line 3: is not JSON: ",
        "line 5: is not JSON: ",
        "line 8: is not a JSON object",
        "line 9: holds no rows: 4100 AuthFailure: no",
        "line 10: time is \"yesterday\", which is no time",
        "line 11: repo is a number, where text was expected",
        "line 13: is not JSON: EOF",
    ];
    assert_eq!(reasons.len(), expected.len(), "{reasons:?}");
    for (reason, expected) in reasons.iter().zip(expected) {
        assert!(reason.starts_with(expected), "{expected:?} in {reason:?}");
    }
    assert_eq!(entries.rejected[1].raw, r#"{"repo":"shop/api""#);
}

#[test]
fn a_bad_row_inside_a_long_answer_is_said_with_its_own_line() {
    let text = format!(
        "{}\n{{\"code\":0,\n\"data\":{{\"logInfo\":[\n{},\n{{\"invokeTime\":\"never\"}},\n{}\n]}}}}",
        line("shop/api", "first", 1),
        r#"{"invokeTime":"2026-03-02 09:00:02","tagName":"second"}"#,
        r#"{"invokeTime":"2026-03-02 09:00:03","tagName":"third"}"#,
    );
    let entries = read(&text);
    assert_eq!(tags(&entries.rows), ["first", "second", "third"]);
    assert_eq!(entries.rejected.len(), 1);
    assert_eq!(entries.rejected[0].reason, "line 5: invokeTime is \"never\", which is no time");
}

#[test]
fn a_long_answer_cut_short_gives_the_rows_that_stand_on_a_line() {
    let whole = format!(
        "{{\"code\":0,\"data\":{{\"logInfo\":[\n{},\n{},\n",
        r#"{"invokeTime":"2026-03-02 09:00:02","tagName":"one"}"#,
        r#"{"invokeTime":"2026-03-02 09:00:03","tagName":"two"}"#,
    );
    let entries = read(&whole);
    assert_eq!(tags(&entries.rows), ["one", "two"]);
    assert_eq!(entries.rejected.len(), 1, "{:?}", entries.rejected);
    // Written over many lines there is nothing to save, and it is one piece, not hundreds.
    let pretty = format!("{:#}", serde_json::from_str::<serde_json::Value>(SAMPLE).unwrap());
    let entries = read(&pretty[..pretty.len() - 10]);
    assert_eq!((entries.rows.len(), entries.rejected.len()), (0, 1), "{:?}", entries.rejected);
}

#[test]
fn lines_that_are_not_utf_8_are_rejected_and_the_others_read() {
    let mut text = line("shop/api", "a", 1).into_bytes();
    text.extend(b"\n{\"repo\": \"\xff\xfe\"}\n");
    text.extend(line("shop/api", "b", 2).as_bytes());
    text.extend(b"\nbad");
    let entries = read(&text);
    assert_eq!(tags(&entries.rows), ["a", "b"]);
    assert_eq!(entries.rejected.len(), 2);
    assert_eq!(entries.rejected[0].reason, "line 2: is not UTF-8");
    assert_eq!(entries.rejected[1].reason, "line 4: is not a JSON object");
}

#[test]
fn hostile_text_takes_one_pass_and_little_room() {
    for text in ["[\n", "{\"a\":\n", "[", "x\n", "  }\n", "{}\n", "{\"a\":[\n]x\n"] {
        let begun = std::time::Instant::now();
        let entries = read(text.repeat(100_000));
        assert!(entries.rejected.len() <= 1_001, "{text:?}");
        let kept: usize = entries.rejected.iter().map(|r| r.raw.len()).sum();
        assert!(kept < 5 * 1024 * 1024, "{text:?}: {kept}");
        // A pass takes well under a second; one for each line would take minutes.
        assert!(begun.elapsed() < Duration::from_secs(20), "{text:?}");
    }
    let many = read("x\n".repeat(2_500));
    assert_eq!(many.rejected[1_000].reason, "1500 more could not be understood");
    let long = read(("x".repeat(64 * 1024) + "\n").repeat(100));
    assert_eq!(long.rejected.len(), 65);
    assert_eq!(long.rejected[64].reason, "36 more could not be understood");
}

#[tokio::test]
async fn a_file_is_a_log_newest_first_page_by_page() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let lines: Vec<_> = (0..7).map(|n| line("shop/api", &format!("v{n}"), n)).collect();
    fs::write(&path, lines.join("\n") + "\nnonsense\n").unwrap();
    let source = source(&path);
    assert_eq!(source.kind(), "file");

    let first = page(&source, "shop/api", 0, 3).await;
    assert_eq!(tags(&first.rows), ["v6", "v5", "v4"]);
    assert_eq!((first.len, first.total), (3, Some(7)));
    assert_eq!(first.rejected[0].reason, "line 8: is not a JSON object");
    let second = page(&source, "shop/api", 3, 3).await;
    assert_eq!(tags(&second.rows), ["v3", "v2", "v1"]);
    assert!(second.rejected.is_empty(), "told once");
    assert_eq!(tags(&page(&source, "shop/api", 6, 3).await.rows), ["v0"]);
    assert_eq!(page(&source, "shop/api", 7, 3).await.len, 0);
    assert_eq!(page(&source, "shop/api", u64::MAX, 3).await.len, 0);
}

#[tokio::test]
async fn rows_of_one_second_are_in_the_order_of_the_file_whichever_way_that_goes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let mut lines =
        [("a", 1), ("b", 5), ("c", 5), ("d", 9)].map(|(tag, at)| line("shop/api", tag, at));
    for _ in 0..2 {
        fs::write(&path, lines.join("\n")).unwrap();
        let rows = page(&source(&path), "*", 0, 9).await.rows;
        assert_eq!(tags(&rows), ["d", "c", "b", "a"], "{lines:?}");
        lines.reverse();
    }
}

#[tokio::test]
async fn a_file_is_read_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let source = source(&path);
    let missing = source.page(PageRequest { repo: "*", offset: 0, limit: 10 }).await.unwrap_err();
    assert_eq!(missing.kind, SourceErrorKind::Configuration);
    assert!(missing.message.contains("log.jsonl can't be read"), "{}", missing.message);

    fs::write(&path, line("shop/api", "old", 1)).unwrap();
    assert_eq!(tags(&page(&source, "*", 0, 10).await.rows), ["old"]);

    // Of the same length: the time of change tells.
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, line("shop/api", "new", 1)).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(before + Duration::from_secs(2)).unwrap();
    assert_eq!(tags(&page(&source, "*", 0, 10).await.rows), ["new"]);

    // Of the same time: the length tells.
    fs::write(&path, line("shop/api", "longer", 1)).unwrap();
    file.set_modified(before + Duration::from_secs(2)).unwrap();
    assert_eq!(tags(&page(&source, "*", 0, 10).await.rows), ["longer"]);

    // Neither changed: what was read stands, so it was not read again.
    fs::write(&path, line("shop/api", "unseen", 1)).unwrap();
    file.set_modified(before + Duration::from_secs(2)).unwrap();
    assert_eq!(tags(&page(&source, "*", 0, 10).await.rows), ["longer"]);

    // Away while another is put in its place: to be tried again, and no mistake of anybody's.
    fs::remove_file(&path).unwrap();
    let away = source.page(PageRequest { repo: "*", offset: 0, limit: 10 }).await.unwrap_err();
    assert_eq!(away.kind, SourceErrorKind::Unavailable);
    fs::write(&path, line("shop/api", "rotated", 1)).unwrap();
    assert_eq!(tags(&page(&source, "*", 0, 10).await.rows), ["rotated"]);
}

#[tokio::test]
async fn a_repository_has_its_rows_and_those_of_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let nobody = r#"{"tag":"n","time":"2026-03-02 09:00:03"}"#;
    let text = [line("shop/api", "a", 1), line("shop/web", "w", 2), nobody.to_owned()].join("\n");
    fs::write(&path, text).unwrap();
    let source = source(&path);
    assert_eq!(tags(&page(&source, "shop/api", 0, 10).await.rows), ["n", "a"]);
    assert_eq!(tags(&page(&source, "shop/web", 0, 10).await.rows), ["n", "w"]);
    assert_eq!(tags(&page(&source, "*", 0, 10).await.rows), ["n", "w", "a"]);
    assert_eq!(page(&source, "shop/web", 0, 10).await.total, Some(2));
}

#[tokio::test]
async fn a_folder_is_a_mistake_of_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path());
    let error = source.page(PageRequest { repo: "*", offset: 0, limit: 1 }).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Configuration);
}

#[test]
fn a_dash_is_standard_input() {
    assert_eq!(FileInput::of("-"), FileInput::Stdin);
    assert_eq!(FileInput::of("./-"), FileInput::Path("./-".into()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn of_json_lines_the_good_are_read_in_order_and_the_bad_are_told_by_their_lines(
        lines in prop::collection::vec(0_u8..8, 0..40),
        crlf: bool,
    ) {
        let mut text = String::new();
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for (index, kind) in lines.iter().enumerate() {
            let tag = format!("t{index}");
            let whole = line("shop/api", &tag, 5);
            match kind {
                0..=3 => text.push_str(&whole),
                4 => text.push_str(&whole[..whole.len() - 1]),
                5 => text.push_str(&whole[..20]),
                6 => text.push_str("oops"),
                _ => {}
            }
            match kind {
                0..=3 => good.push(tag),
                4..=6 => bad.push(index + 1),
                _ => {}
            }
            text.push_str(if crlf { "\r\n" } else { "\n" });
        }
        let entries = read(&text);
        prop_assert_eq!(tags(&entries.rows), good);
        let told: Vec<usize> = entries
            .rejected
            .iter()
            .map(|r| r.reason[5..].split(':').next().unwrap().parse().unwrap())
            .collect();
        prop_assert_eq!(told, bad);
    }
}
