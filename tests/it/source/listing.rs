//! Which repositories there are, as each source finds out, from the stand-in registry that checks
//! signatures; and what an account that may not see everything is told.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use triggerbell::{
    adapters::{
        secret::Secret,
        source::{
            Account, CcrSettings, CcrSource, TcrEnterpriseSettings, TcrEnterpriseSource,
            TcrPersonalSource,
        },
    },
    engine::intake::list_all,
    ports::{ListingRequest, Source},
    simulate::{Offsets, REGISTRY_ID, Registry, RegistrySettings, World},
};

use super::fake::{Answer, Fake, patient, zone};
use crate::support::stand::Stand;

struct Now;

impl triggerbell::ports::Clock for Now {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
}

fn account(registry: &Registry) -> Account {
    let credentials = registry.credentials();
    Account {
        endpoint: registry.url().parse().unwrap(),
        region: "ap-guangzhou".to_owned(),
        secret_id: Secret::inline(credentials.secret_id.clone()),
        secret_key: Secret::inline(credentials.secret_key.clone()),
        token: None,
    }
}

fn ccr(registry: &Registry) -> CcrSource {
    let account = account(registry);
    let endpoint = registry.ccr_endpoint().parse().unwrap();
    let settings = CcrSettings::new(endpoint, account.secret_id, account.secret_key);
    CcrSource::new(settings, zone(), patient(), Arc::new(Now))
}

pub(super) fn enterprise(registry: &Registry) -> TcrEnterpriseSource {
    let settings =
        TcrEnterpriseSettings { account: account(registry), registry_id: REGISTRY_ID.to_owned() };
    TcrEnterpriseSource::new(settings, zone(), patient(), Arc::new(Now))
}

pub(super) async fn registry(repos: &[String], settings: RegistrySettings) -> Registry {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = Arc::new(World::new(repos));
    Registry::start(listener, world, settings, &CancellationToken::new()).unwrap()
}

async fn names(source: &dyn Source) -> Vec<String> {
    list_all(source).await.unwrap().iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn hundreds_of_repositories_are_listed_in_pages_by_each_api() {
    let repos: Vec<String> = (0..1234).map(|index| format!("shop/r{index:05}")).collect();
    let registry = registry(&repos, RegistrySettings::default()).await;
    let account = account(&registry);
    let personal = TcrPersonalSource::new(account, zone(), patient(), Arc::new(Now));
    assert_eq!(names(&personal).await, repos);
    assert_eq!(registry.requests().answered, 13, "pages of a hundred, each with one of the last");
    // Triggers are what makes a log, and there are none.
    assert_eq!(names(&ccr(&registry)).await, [""; 0]);
    assert_eq!(registry.requests().refused, 0);
}

#[tokio::test]
async fn api_2_lists_those_that_have_a_trigger_and_asks_whether_it_sees_all() {
    let stand = Stand::start_with(
        &["shop/api", "shop/web", "shop/never"],
        RegistrySettings { partial: true, ..RegistrySettings::default() },
    )
    .await;
    stand.push("shop/api", 3);
    stand.push("shop/web", 3);
    let source = ccr(&stand.registry);
    assert_eq!(names(&source).await, ["shop/api", "shop/web"]);
    assert_eq!(source.sees_some_only().await.unwrap(), Some(true));
    stand.world.remove_repo("shop/web");
    assert_eq!(names(&source).await, ["shop/api"]);
}

#[tokio::test]
async fn where_triggers_may_not_be_listed_repositories_are() {
    let fake = Fake::judging(|asked| {
        let searches = asked.parameter("Action").as_deref() == Some("SearchUserRepository");
        Answer::ok(if searches {
            r#"{"code":0,"data":{"totalCount":1,"repoInfo":[{"reponame":"a/b"}],
                "privilegeFiltered":true}}"#
        } else {
            r#"{"code":4102,"message":"no permission","codeDesc":"AuthFailure"}"#
        })
    })
    .await;
    let source = fake.ccr();
    let first = ListingRequest { offset: 0, limit: 100 };
    let listing = source.repositories(first).await.unwrap();
    assert_eq!((&*listing.items[0].repo, listing.partial), ("a/b", Some(true)));
    let next = ListingRequest { offset: 99, limit: 100 };
    source.repositories(next).await.unwrap();
    let asked = fake.asked();
    let actions: Vec<_> = asked.iter().map(|asked| asked.parameter("Action").unwrap()).collect();
    assert_eq!(actions, ["ListTrigger", "SearchUserRepository", "SearchUserRepository"]);

    let refused = Fake::answering([Answer::ok(
        r#"{"code":4102,"message":"no permission","codeDesc":"AuthFailure"}"#,
    )])
    .await;
    let error = refused.ccr().repositories(first).await.unwrap_err();
    assert!(error.message.contains("refused the credentials"), "{error}");
}

#[tokio::test]
async fn namespaces_are_listed_whatever_offsets_count() {
    let repos: Vec<String> = (0..333).map(|index| format!("ns{index:04}/app")).collect();
    let wanted: Vec<String> = (0..333).map(|index| format!("ns{index:04}")).collect();
    for offsets in [Offsets::Rows, Offsets::Pages { first: 0 }, Offsets::Pages { first: 1 }] {
        let settings = RegistrySettings { offsets, ..RegistrySettings::default() };
        let registry = registry(&repos, settings).await;
        assert_eq!(names(&enterprise(&registry)).await, wanted, "{offsets:?}");
    }
}
