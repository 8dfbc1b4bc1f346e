//! The list of users.

use poem::http::{Method, StatusCode};
use serde_json::Value;

use super::world::World;
use crate::users::model::Role;

#[tokio::test]
async fn the_list_is_read_page_by_page() {
    let world = World::new().await;
    let (_, admin) = world.user("root@example.org", Role::Admin).await;
    for number in 0..4 {
        world.user(&format!("Ada{number}@example.org"), Role::User).await;
    }
    let first = world.request(Method::GET, "/users?limit=3&q=ADA&x=1").token(&admin).send().await;
    let emails = |body: &Value| {
        let items = body["items"].as_array().unwrap().iter();
        items.map(|user| user["email"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // All users of this world are called Ada.
    assert_eq!(emails(&first.body), ["root@example.org", "Ada0@example.org", "Ada1@example.org"]);
    let link = first.header("link");
    let path = link.strip_prefix("<https://example.org").unwrap();
    let path = path.strip_suffix(">; rel=\"next\"").unwrap();
    let second = world.request(Method::GET, path).token(&admin).send().await;
    assert_eq!(emails(&second.body), ["Ada2@example.org", "Ada3@example.org"]);
    assert_eq!((&second.body["next"], second.header("link")), (&Value::Null, ""));
    let one = world.request(Method::GET, "/users?email=aDA2%40example.org").token(&admin);
    assert_eq!(emails(&one.send().await.body), ["Ada2@example.org"]);
}

#[tokio::test]
async fn the_list_refuses_what_it_cannot_use() {
    let world = World::new().await;
    let (_, admin) = world.user("root@example.org", Role::Admin).await;
    for (query, status) in
        [("limit=0", 422), ("limit=101", 422), ("limit=x", 400), ("after=x", 400), ("q=%00", 422)]
    {
        let request = world.request(Method::GET, &format!("/users?{query}"));
        assert_eq!(request.token(&admin).send().await.status, status, "{query}");
    }
    let (_, user) = world.user("ada@example.org", Role::User).await;
    assert_eq!(world.request(Method::GET, "/users").token(&user).send().await.status, 403);
    let anonymous = world.request(Method::GET, "/users?limit=x").send().await;
    assert_eq!(anonymous.status, StatusCode::UNAUTHORIZED);
    assert_eq!(anonymous.header("www-authenticate"), "Bearer");
}
