//! `type` of a problem is a link that works.

use std::collections::BTreeSet;

use belvedere::users;
use chassis::problem::{CHASSIS_TYPES, ProblemType};

use super::tour::{small_bodies, tour};
use crate::support::App;

#[tokio::test]
async fn every_type_has_a_page_that_explains_it() {
    let app = App::start().await;
    for kind in known() {
        let page = app.client.get(&kind.uri()).send().await.expect(200);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        let text = page.text();
        assert!(text.contains(kind.title) && text.contains(kind.about), "{text}");
        assert!(text.contains(kind.status.as_str()), "{text}");
    }
}

#[tokio::test]
async fn every_type_that_is_answered_has_one() {
    let app = App::with(small_bodies).await;
    let mut types = BTreeSet::new();
    for stop in tour(&app).await.iter().filter(|stop| stop.status() >= 400) {
        let problem = stop.answer.problem(stop.status());
        let kind = known().find(|kind| problem["type"] == kind.uri());
        let kind = kind.unwrap_or_else(|| panic!("{}: {problem}", stop.name()));
        assert_eq!(problem["title"], kind.title);
        assert_eq!(stop.answer.status, kind.status);
        types.insert(kind.uri());
    }
    assert!(types.contains("/problems/address-taken"), "{types:?}");
    for uri in types {
        let _ = app.client.get(&uri).send().await.expect(200);
    }
}

#[tokio::test]
async fn a_type_that_does_not_exist_is_a_problem_itself() {
    let app = App::start().await;
    let answer = app.client.get("/problems/made-up").send().await;
    assert_eq!(answer.problem(404)["type"], "/problems/not-found");
}

#[test]
fn no_two_types_share_a_page() {
    let slugs: BTreeSet<&str> = known().map(|kind| kind.slug).collect();
    assert_eq!(slugs.len(), known().count());
}

fn known() -> impl Iterator<Item = &'static ProblemType> {
    CHASSIS_TYPES.iter().chain(users::PROBLEM_TYPES).copied()
}
