//! The command line: what each command prints, and its exit code.

mod config;
mod debug_header;
mod health;
mod migrate;
mod openapi;
mod terminal;
mod users;

use crate::support::process::Binary;

#[tokio::test]
async fn unusable_arguments_are_told_from_failures() {
    let binary = Binary::new();
    for arguments in [
        &["dance"][..],
        &["--nonsense"],
        &["migrate", "down", "two"],
        &["users", "create"],
        &["openapi", "--format", "xml"],
    ] {
        let end = binary.run(arguments).await.expect(2);
        end.complains_of(&["error:", "--help"]);
        assert_eq!(end.stdout, "");
    }
}

#[tokio::test]
async fn the_version_is_the_packages() {
    let end = Binary::new().run(&["--version"]).await.expect(0);
    let version = concat!("belvedere ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(end.stdout, version);
}

#[tokio::test]
async fn the_settings_file_may_be_named_before_and_after_the_command() {
    let binary = Binary::new();
    let file = binary.file("a.toml", "auth.issuer = \"somebody\"\n");
    let file = file.to_str().unwrap();
    for arguments in [["--config", file, "config"], ["config", "--config", file]] {
        let end = binary.run(&arguments).await.expect(0);
        assert!(end.stdout.contains("issuer = \"somebody\""), "{}", end.stdout);
    }
}

#[tokio::test]
async fn no_command_is_serve() {
    let binary = Binary::new();
    let mut process = binary.start(&[], "");
    process.ready().await;
    process.stop().await.expect(0);
}
