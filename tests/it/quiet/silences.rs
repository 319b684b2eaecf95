//! Silences: what they hold, and how they end.

use triggerbell::domain::{
    decision::Input,
    memory::{At, Subject},
    silence::{SilenceWish, Until},
};

use super::stage::{START, Stage, after};

const CHANGE: &str = "
  - name: failed
    match: {returnCode: {not: 0}}
    notify: change
";

fn until(when: &str) -> Until {
    Until::At(At::from(START + after(when)))
}

#[test]
fn a_silence_holds_what_it_matches_and_sums_up_at_its_end() {
    let mut stage = Stage::new(CHANGE);
    stage.silence(1, "{service: api}", until("1h")).fails("api").at("1m").fails("web");
    stage.at("2m").works("api").at("3m").fails("api").at("2h").works("api");
    assert_eq!(
        stage.all(),
        [
            "0s failing api held by silenced",
            "1m failing web",
            "2m recovered api held by silenced",
            "3m failing api held by silenced",
            "1h summary api x3",
            "2h recovered api"
        ]
    );
    assert!(stage.state.silences().is_empty());
}

#[test]
fn a_silence_until_the_next_success_ends_with_it() {
    let mut stage = Stage::new(CHANGE);
    stage.silence(1, "{returnCode: {not: 0}, service: api}", Until::NextSuccess);
    stage.fails("api").at("1m").works("web").at("2m").fails("api").at("3m").works("api");
    assert_eq!(
        stage.told(),
        ["3m summary api x2"],
        "a success of another service ends nothing; the one that does is in the summary"
    );
    stage.at("4m").fails("api");
    assert_eq!(stage.told(), ["4m failing api"]);
}

#[test]
fn a_silence_that_held_nothing_ends_without_a_word() {
    let mut stage = Stage::new(CHANGE);
    stage.silence(1, "{service: api}", until("1h")).at("2h");
    assert_eq!(stage.all(), [""; 0]);
}

#[test]
fn silences_are_extended_and_ended_early_and_count_what_they_held() {
    let mut stage = Stage::new(CHANGE);
    let id = Subject([1; 16]);
    stage.silence(1, "{service: [api, web]}", until("1h")).fails("api");
    stage.decide(Input::Silence(&SilenceWish::Extend(id, until("3h"))));
    stage.restart().at("2h").fails("web");
    let (known, silence) = stage.state.silences().remove(0);
    assert_eq!((known, silence.held, &*silence.author), (id, 2, "mei"));
    stage.decide(Input::Silence(&SilenceWish::End(id)));
    assert_eq!(stage.told(), ["2h summary x2"]);
    stage.at("4h").works("web");
    assert_eq!(stage.told(), ["4h recovered web"]);
}

#[test]
fn an_incident_that_was_told_of_before_is_over_in_the_summary() {
    let mut stage = Stage::new(CHANGE);
    stage.fails("api").at("1m").silence(1, "{service: api}", until("1h")).at("2m").works("api");
    stage.at("2h");
    assert_eq!(stage.told(), ["0s failing api", "1h summary api"]);
}
