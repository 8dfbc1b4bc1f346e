//! What was promised holds, whatever happens to the process.

use chassis::testing::Client;

use crate::support::new_user;
use crate::support::process::Binary;

#[tokio::test]
async fn users_whose_creation_was_answered_survive_a_kill() {
    let binary = Binary::with_database().await.variable("APP_RATE_LIMIT__ENABLED", "false");
    let mut process = binary.serve();
    let client = Client::new(process.ready().await);
    let mut created = Vec::new();
    for number in 0..20 {
        let user = new_user(&format!("user-{number}@example.org"));
        let answer = client.post("/users").json(&user).send().await.expect(201);
        created.push(answer.header("location").to_owned());
    }
    process.signal("KILL");
    assert_eq!(process.end().await.code, None, "a signal ended it");

    let binary = binary.variable("APP_AUTH__MODE", "off");
    let mut process = binary.serve();
    let client = Client::new(process.ready().await);
    for user in created {
        let _ = client.get(&user).send().await.expect(200);
    }
}
