//! `If-Match` and `If-None-Match` on what reads, changes and deletes a user (RFC 9110, section 13).

use std::sync::Arc;

use chassis::testing::Call;
use poem::http::Method;
use serde_json::json;
use uuid::Uuid;

use crate::support::{App, Person};

#[tokio::test]
async fn a_change_counts_only_for_the_versions_that_the_caller_names() {
    let app = App::start().await;
    let ada = at_second_version(&app).await;
    for holds_not in
        ["\"1\"", "\"1\", \"3\"", "W/\"2\"", "W/\"1\", W/\"2\"", "\"02\"", "\"x\"", "\"\""]
    {
        for call in writes(&ada) {
            let refused = call.header("if-match", holds_not).send().await;
            let problem = refused.problem(412);
            assert_eq!(problem["type"], "/problems/precondition-failed", "{holds_not}");
        }
    }
    let found = ada.client.get(&ada.path()).send().await.expect(200);
    assert_eq!(found.header("etag"), "\"2\"");
}

#[tokio::test]
async fn any_of_the_versions_that_the_caller_names_will_do() {
    for holds in ["\"2\"", "\"1\", \"2\"", "W/\"1\", \"2\"", ",\"2\" ,", "*"] {
        let app = App::start().await;
        let ada = at_second_version(&app).await;
        let put = json!({ "name": "Ada", "email": ada.email });
        let put = ada.client.put(&ada.path()).json(&put);
        let answer = put.header("if-match", holds).send().await.expect(200);
        assert_eq!(answer.header("etag"), "\"3\"", "{holds}");
        let two_lines = ada.client.patch(&ada.path()).json(&json!({ "name": "A" }));
        let two_lines = two_lines.header("if-match", "\"7\"");
        let answer = two_lines.header("if-match", "\"3\"").send().await;
        assert_eq!(answer.expect(200).header("etag"), "\"4\"");
        let delete = ada.client.delete(&ada.path());
        let _ = delete.header("if-match", "\"4\"").send().await.expect(204);
    }
}

#[tokio::test]
async fn a_change_does_not_count_for_versions_that_the_caller_excludes() {
    let app = App::start().await;
    let ada = at_second_version(&app).await;
    for excludes in ["*", "\"2\"", "W/\"2\"", "\"1\", W/\"2\""] {
        for call in writes(&ada) {
            let problem = call.header("if-none-match", excludes).send().await.problem(412);
            assert_eq!(problem["type"], "/problems/precondition-failed", "{excludes}");
        }
        // Not even where the other header holds.
        for call in writes(&ada) {
            let call = call.header("if-match", "\"2\"").header("if-none-match", excludes);
            call.send().await.problem(412);
        }
    }
    for call in writes(&ada) {
        call.header("if-none-match", "2").send().await.problem(400);
    }
    let found = ada.client.get(&ada.path()).send().await.expect(200);
    assert_eq!(found.header("etag"), "\"2\"");
    for (excludes, status) in [("\"1\"", 200), ("\"2\", \"x\"", 200), ("\"4\"", 412)] {
        let put = json!({ "name": "Ada", "email": ada.email });
        let put = ada.client.put(&ada.path()).json(&put).header("if-none-match", excludes);
        let _ = put.send().await.expect(status);
    }
    let delete = ada.client.delete(&ada.path()).header("if-none-match", "\"3\"");
    let _ = delete.send().await.expect(204);
}

#[tokio::test]
async fn a_user_is_read_only_at_a_version_that_the_caller_names() {
    let app = App::start().await;
    let ada = at_second_version(&app).await;
    for path in [ada.path(), "/users/me".to_owned()] {
        for method in [Method::GET, Method::HEAD] {
            let read = || ada.client.call(method.clone(), &path);
            for holds in ["\"2\"", "\"1\", \"2\"", "*"] {
                let answer = read().header("if-match", holds).send().await.expect(200);
                assert_eq!(answer.header("etag"), "\"2\"", "{holds}");
                let known = read().header("if-match", holds).header("if-none-match", "\"2\"");
                let _ = known.send().await.expect(304);
            }
            for holds_not in ["\"1\"", "W/\"2\"", "\"02\""] {
                let _ = read().header("if-match", holds_not).send().await.expect(412);
                // The first of the two is looked at first, RFC 9110, section 13.2.2.
                let known = read().header("if-match", holds_not).header("if-none-match", "\"2\"");
                let _ = known.send().await.expect(412);
            }
            let _ = read().header("if-match", "2").send().await.expect(400);
        }
    }
    let gone = format!("/users/{}", Uuid::now_v7());
    let admin = app.admin().await.client;
    for client in [&ada.client, &admin] {
        client.get(&gone).header("if-match", "\"1\"").send().await.problem(404);
    }
}

#[tokio::test]
async fn a_role_and_a_status_change_only_at_a_version_that_the_caller_names() {
    let app = App::start().await;
    let admin = app.admin().await.client;
    let ada = at_second_version(&app).await;
    let (role, status) = (format!("{}/role", ada.path()), format!("{}/status", ada.path()));
    let role = |to: &str| admin.put(&role).json(&json!({ "role": to }));
    let status = |to: &str| admin.put(&status).json(&json!({ "status": to }));
    let calls = || [role("admin"), role("user"), status("disabled"), status("active")];
    for holds_not in ["\"1\"", "W/\"2\"", "\"3\""] {
        for call in calls() {
            call.header("if-match", holds_not).send().await.problem(412);
        }
    }
    for excludes in ["*", "W/\"2\""] {
        for call in calls() {
            call.header("if-none-match", excludes).send().await.problem(412);
        }
    }
    for call in calls() {
        call.header("if-match", "2").send().await.problem(400);
    }
    // Nothing has come of it: the session lives, and what may be seen is as it was.
    let me = ada.client.get("/users/me").send().await.expect(200);
    assert_eq!((me.header("etag"), &me.json()["role"]), ("\"2\"", &json!("user")));

    let same = role("user").header("if-match", "\"2\"").send().await.expect(200);
    assert_eq!(same.header("etag"), "\"2\"");
    let promoted = role("admin").header("if-match", "\"2\"").send().await.expect(200);
    assert_eq!(promoted.header("etag"), "\"3\"");
    role("user").header("if-match", "\"2\"").send().await.problem(412);
    for to in ["disabled", "active"] {
        let told = status(to).header("if-match", "\"3\"").header("if-none-match", "\"2\"");
        assert_eq!(told.send().await.expect(200).json()["status"], to);
    }
}

#[tokio::test]
async fn an_empty_patch_asks_whether_the_version_still_holds() {
    let app = App::start().await;
    let ada = at_second_version(&app).await;
    for (tag, status) in [("\"1\"", 412), ("\"2\"", 200), ("*", 200)] {
        let patch = ada.client.patch(&ada.path()).json(&json!({}));
        let answer = patch.header("if-match", tag).send().await.expect(status);
        assert!(["", "\"2\""].contains(&answer.header("etag")));
    }
}

#[tokio::test]
async fn what_is_no_list_of_tags_is_a_bad_request() {
    let app = App::start().await;
    let ada = at_second_version(&app).await;
    for tags in ["2", "", "\"2", "\"2\" \"3\"", "*, \"2\"", "w/\"2\""] {
        for call in writes(&ada) {
            let problem = call.header("if-match", tags).send().await.problem(400);
            assert!(problem["detail"].as_str().unwrap().contains("if-match"));
        }
    }
}

#[tokio::test]
async fn nothing_can_be_expected_of_a_user_that_is_gone() {
    let app = App::start().await;
    let (ada, admin) = (app.person().await, app.admin().await);
    let _ = ada.client.delete(&ada.path()).send().await.expect(204);
    let gone = Person { client: admin.client, ..ada };
    for call in writes(&gone) {
        call.header("if-match", "*").send().await.problem(404);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_change_one_version_at_once_one_does() {
    let app = App::start().await;
    let conditions = [("if-match", "\"1\""), ("if-none-match", "\"2\"")];
    for (round, (header, tag)) in (1..=6).zip(conditions.into_iter().cycle()) {
        let ada = app.person().await;
        let patch = |name: &str| {
            let patch = ada.client.patch(&ada.path()).json(&json!({ "name": name }));
            tokio::spawn(patch.header(header, tag).send())
        };
        let (first, second) = tokio::join!(patch("First"), patch("Second"));
        let (first, second) = (first.unwrap(), second.unwrap());
        let mut statuses = [first.status.as_u16(), second.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412], "round {round}");
        let done = if first.status == 200 { first } else { second };
        let found = ada.client.get(&ada.path()).send().await.expect(200);
        assert_eq!((found.json(), found.header("etag")), (done.json(), "\"2\""));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_change_one_version_at_once_one_does_on_any_replica() {
    let app = App::start().await;
    let other = App::on(Arc::clone(&app.database), |_| {}).await;
    let ada = app.person().await;
    let elsewhere = other.signed_in(&ada.email).await;
    let changes = (0..16).map(|number| {
        let client = if number % 2 == 0 { &ada.client } else { &elsewhere };
        let patch = client.patch(&ada.path()).json(&json!({ "name": format!("Ada {number}") }));
        tokio::spawn(patch.header("if-match", "\"1\"").send())
    });
    let mut done = Vec::new();
    for change in changes.collect::<Vec<_>>() {
        let answer = change.await.unwrap();
        if answer.status == 200 {
            done.push(answer);
        } else {
            answer.problem(412);
        }
    }
    assert_eq!(done.len(), 1);
    let found = ada.client.get(&ada.path()).send().await.expect(200);
    assert_eq!((found.json(), found.header("etag")), (done[0].json(), "\"2\""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_insist_on_nothing_all_count() {
    let app = App::start().await;
    let ada = app.person().await;
    let changes = (0..16).map(|number| {
        let patch = ada.client.patch(&ada.path()).json(&json!({ "name": format!("Ada {number}") }));
        tokio::spawn(patch.send())
    });
    for change in changes.collect::<Vec<_>>() {
        let _ = change.await.unwrap().expect(200);
    }
    let found = ada.client.get(&ada.path()).send().await.expect(200);
    assert_eq!(found.header("etag"), "\"17\"");
}

/// Somebody whose version is `"2"`.
async fn at_second_version(app: &App) -> Person {
    let ada = app.person().await;
    let patch = ada.client.patch(&ada.path()).json(&json!({ "name": "Ada" }));
    assert_eq!(patch.send().await.expect(200).header("etag"), "\"2\"");
    ada
}

/// Everything that takes `If-Match`, ready to be sent.
fn writes(person: &Person) -> [Call; 3] {
    let (client, path) = (&person.client, person.path());
    [
        client.put(&path).json(&json!({ "name": "Ada", "email": person.email })),
        client.patch(&path).json(&json!({ "name": "Eve" })),
        client.delete(&path),
    ]
}
