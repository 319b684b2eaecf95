//! The enterprise registry's log: what its rows become, and where its offsets lead.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};
use triggerbell::{
    domain::entry::{Row, WallTime},
    ports::{Page, PageRequest, Source},
    simulate::{Offsets, RegistrySettings},
};

use super::{
    fake::{Answer, Fake, patient, tcr_settings, zone},
    listing::{enterprise, registry},
};

/// The row of the service's own documents.
fn documented() -> Value {
    let detail = json!({
        "type": "pushImage", "occur_at": 1_586_774_843, "operator": "332133",
        "event_data": {
            "resources": [{"digest": "sha256:7ac7", "tag": "v1", "resource_url": "x"}],
            "repository": {"name": "nginx", "namespace": "some-ns",
                "repo_full_name": "some-ns/nginx", "repo_type": "private"},
        },
    });
    json!({
        "Id": 2, "TriggerId": 25, "EventType": "pushImage", "NotifyType": "http",
        "Status": "finished", "Detail": detail.to_string(),
        "CreationTime": "2020-04-13T18:47:23Z", "UpdateTime": "2020-04-13T18:47:23Z",
    })
}

fn answer(rows: &[Value]) -> Answer {
    let response = json!({"TotalCount": rows.len(), "Logs": rows, "RequestId": "x"});
    Answer::ok(json!({ "Response": response }).to_string())
}

async fn read(rows: &[Value]) -> Page {
    let fake = Fake::answering([answer(rows)]).await;
    let settings = triggerbell::adapters::source::TcrEnterpriseSettings {
        account: tcr_settings(&format!("http://{}", fake.authority)),
        registry_id: "tcr-ab12345".to_owned(),
    };
    let source = triggerbell::adapters::source::TcrEnterpriseSource::new(
        settings,
        zone(),
        patient(),
        super::fake::Ticking::from(1_772_413_200),
    );
    let page = source.page(PageRequest { repo: "some-ns", offset: 0, limit: 100 }).await.unwrap();
    let asked = fake.asked().pop().unwrap();
    assert_eq!(asked.header("x-tc-action"), "DescribeWebhookTriggerLog");
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    let wanted = json!({
        "RegistryId": "tcr-ab12345", "Namespace": "some-ns", "Limit": 100, "Offset": 0,
    });
    assert_eq!(body, wanted);
    page
}

#[tokio::test]
async fn the_documented_row_is_read_by_its_event_s_own_time() {
    let page = read(&[documented()]).await;
    assert_eq!((page.len, page.total, page.rejected.len()), (1, Some(1), 0));
    let row = &page.rows[0];
    let texts = [&row.repo, &row.tag, &row.trigger, &row.invoke_source, &row.invoke_action];
    let texts = texts.map(|text| text.as_deref().unwrap());
    assert_eq!(texts, ["some-ns/nginx", "v1", "25", "pushImage", "http"]);
    assert_eq!((row.return_code, row.return_msg.as_deref()), (Some(0), Some("finished")));
    assert_eq!(row.time.as_second(), 1_586_774_843);
    assert_eq!(row.mark.as_deref(), Some("2"));
}

#[tokio::test]
async fn what_is_out_of_tolerance_is_one_row_s_own_trouble_and_is_kept() {
    let with = |name: &str, value: Value| {
        let mut row = documented();
        row[name] = value;
        row
    };
    let running = with("Status", json!("running"));
    let failed = with("Status", json!("error"));
    let textual = with("Id", json!("17"));
    let nested =
        with("Detail", serde_json::from_str(documented()["Detail"].as_str().unwrap()).unwrap());
    let page = read(&[
        running,
        failed,
        textual,
        nested,
        with("Detail", json!("{half")),
        with("Detail", Value::Null),
        with("Id", Value::Null),
        json!("nonsense"),
    ])
    .await;
    assert_eq!((page.len, page.rows.len()), (8, 4));
    let results: Vec<_> = page.rows.iter().map(|row| row.return_code).collect();
    assert_eq!(results, [None, Some(1), Some(0), Some(0)]);
    assert!(page.rows[0].return_msg.is_none(), "what is not over has no result");
    let reasons: Vec<_> = page.rejected.iter().map(|rejected| &*rejected.reason).collect();
    let said =
        ["Detail is not whole JSON", "Detail is missing", "Id is missing", "the row is no object"];
    assert_eq!(reasons, said);
    assert!(page.rejected[0].raw.contains("{half"));
}

fn row(number: i64) -> Row {
    let at = 1_772_413_200 + number;
    Row {
        repo: Some("shop/api".into()),
        tag: Some(format!("v{number}").into()),
        return_code: Some(0),
        ..Row::at(WallTime(at + 28_800), Timestamp::from_second(at).unwrap())
    }
}

fn tags(page: &Page) -> Vec<String> {
    page.rows.iter().map(|row| row.tag.as_deref().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn offsets_lead_to_the_same_rows_whatever_they_count() {
    for offsets in [Offsets::Rows, Offsets::Pages { first: 0 }, Offsets::Pages { first: 1 }] {
        let settings = RegistrySettings { offsets, ..RegistrySettings::default() };
        let registry = registry(&["shop/api".to_owned()], settings).await;
        for number in 0..250 {
            registry.world().push(row(number));
        }
        let source = enterprise(&registry);
        let mut requests = Vec::new();
        for (offset, rows) in
            [(0, 100), (99, 100), (100, 100), (7, 100), (200, 50), (240, 10), (300, 0)]
        {
            let before = registry.requests().answered;
            let page = source.page(PageRequest { repo: "shop", offset, limit: 100 }).await.unwrap();
            let wanted: Vec<_> = (0..250)
                .rev()
                .skip(usize::try_from(offset).unwrap())
                .take(100)
                .map(|n| format!("v{n}"))
                .collect();
            assert_eq!(tags(&page), wanted, "{offsets:?} from {offset}");
            assert_eq!((page.rows.len(), page.total), (rows, Some(250)));
            let asked = registry.requests().answered - before;
            assert_eq!(asked, u64::from(page.extra_requests) + 1, "each request is accounted for");
            requests.push(asked);
        }
        // Found out once, with three requests; then one each, or two where a page must be joined.
        let once =
            if offsets == Offsets::Rows { [1, 4, 1, 1, 1, 1, 1] } else { [1, 5, 1, 2, 1, 1, 1] };
        assert_eq!(requests, once, "{offsets:?}");
    }
}

#[tokio::test]
async fn rows_that_come_while_it_is_read_are_never_lost_between_two_pages() {
    for offsets in [Offsets::Rows, Offsets::Pages { first: 0 }] {
        let settings = RegistrySettings { offsets, ..RegistrySettings::default() };
        let registry = registry(&["shop/api".to_owned()], settings).await;
        for number in 0..500 {
            registry.world().push(row(number));
        }
        let source = enterprise(&registry);
        let mut seen = BTreeSet::new();
        let mut offset = 0;
        let mut number = 500;
        loop {
            let page = source.page(PageRequest { repo: "shop", offset, limit: 100 }).await.unwrap();
            let count = page.rows.len();
            seen.extend(tags(&page));
            if count < 100 {
                break;
            }
            offset += count as u64 - 1;
            registry.world().push(row(number));
            number += 1;
        }
        let missing = (0..500).filter(|number| !seen.contains(&format!("v{number}"))).count();
        assert_eq!(missing, 0, "{offsets:?}");
    }
}
