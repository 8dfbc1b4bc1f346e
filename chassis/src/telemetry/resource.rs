//! The resource: the attributes that say which service, version and instance speaks, after
//! OpenTelemetry's resource conventions. Lines, spans and `target_info` all take them from here.

use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use uuid::Uuid;

use super::catalogue::metrics as rows;
use super::otel_environment::OtelEnvironment;
use super::{Identity, Metrics};

pub(super) const SERVICE_NAME: &str = "service.name";
pub(super) const SERVICE_VERSION: &str = "service.version";
pub(super) const DEPLOYMENT_ENVIRONMENT: &str = "deployment.environment.name";
const SERVICE_INSTANCE: &str = "service.instance.id";

/// Lowest to highest: the identity, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SERVICE_NAME`.
pub(super) fn describe(identity: &Identity, otel: &OtelEnvironment) -> Resource {
    let given = otel.resource_attributes.iter();
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes([
            KeyValue::new(SERVICE_NAME, identity.name.clone()),
            KeyValue::new(SERVICE_VERSION, identity.version.clone()),
            KeyValue::new(DEPLOYMENT_ENVIRONMENT, identity.environment.as_str()),
            KeyValue::new(SERVICE_INSTANCE, Uuid::now_v7().to_string()),
        ])
        .with_attributes(given.map(|(key, value)| KeyValue::new(key.clone(), value.clone())))
        .with_attributes(otel.service_name.clone().map(|n| KeyValue::new(SERVICE_NAME, n)))
        .build()
}

/// The attribute as text; empty where it is not set.
pub(super) fn attribute(resource: &Resource, key: &'static str) -> String {
    resource.get(&Key::from_static_str(key)).map(|value| value.to_string()).unwrap_or_default()
}

/// Adds `build_info` and `target_info`, which carry the resource into Prometheus.
pub(super) fn register_info(metrics: &Metrics, resource: &Resource) -> prometheus::Result<()> {
    let mut labels: Vec<(String, String)> =
        resource.iter().map(|(key, value)| (label(key.as_str()), value.to_string())).collect();
    labels.sort();
    // Two attributes may have the same spelling in Prometheus; a label may stand only once.
    labels.dedup_by(|a, b| a.0 == b.0);
    metrics.registrar().info(&rows::TARGET_INFO, &labels)?;
    let version = attribute(resource, SERVICE_VERSION);
    metrics.registrar().info(&rows::BUILD_INFO, &build(version))
}

fn build(version: String) -> Vec<(String, String)> {
    // Whoever builds says which commit it is.
    let revision = option_env!("GIT_COMMIT").unwrap_or_default().to_owned();
    let compiler = env!("CHASSIS_RUSTC_VERSION").to_owned();
    let facts = [("version", version), ("revision", revision), ("rustc_version", compiler)];
    facts.map(|(label, fact)| (label.to_owned(), fact)).to_vec()
}

fn label(key: &str) -> String {
    let text = key.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return format!("_{text}");
    }
    text
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

    use super::*;
    use crate::settings::{Environ, Environment};
    use crate::telemetry::exposition::Format;

    fn identity() -> Identity {
        Identity {
            name: "belvedere".to_owned(),
            version: "0.1.0".to_owned(),
            environment: Environment::Development,
        }
    }

    fn described<const N: usize>(environ: [(&str, &str); N]) -> Resource {
        describe(&identity(), &OtelEnvironment::read(&Environ::from(environ)))
    }

    #[test]
    fn the_identity_stands_where_nothing_else_is_given() {
        let resource = described([]);
        assert_eq!(attribute(&resource, SERVICE_NAME), "belvedere");
        assert_eq!(attribute(&resource, DEPLOYMENT_ENVIRONMENT), "development");
        assert!(Uuid::parse_str(&attribute(&resource, SERVICE_INSTANCE)).is_ok());
        assert_eq!(attribute(&resource, "telemetry.sdk.language"), "rust");
    }

    #[test]
    fn the_service_name_variable_beats_the_attributes_which_beat_the_identity() {
        let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=b,service.version=2");
        let resource = described([attributes]);
        assert_eq!(attribute(&resource, SERVICE_NAME), "b");
        assert_eq!(attribute(&resource, SERVICE_VERSION), "2");
        let resource = described([attributes, ("OTEL_SERVICE_NAME", "c")]);
        assert_eq!(attribute(&resource, SERVICE_NAME), "c");
    }

    #[test]
    fn info_labels_are_valid_and_unique() {
        let metrics = Metrics::new().unwrap();
        let resource = described([("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod=a,k8s_pod=b,1st=c,é=d")]);
        register_info(&metrics, &resource).unwrap();
        let text = super::super::exposition::expose(&metrics, Format::Text).unwrap();
        let text = String::from_utf8(text.body).unwrap();
        let build = text.lines().find(|line| line.starts_with("build_info{")).unwrap();
        assert!(build.contains("version=\"0.1.0\"") && build.ends_with(" 1"), "{build}");
        let revision = option_env!("GIT_COMMIT").unwrap_or_default();
        assert!(build.contains(&format!("revision=\"{revision}\"")), "{build}");
        assert!(build.contains("rustc_version=\"1."), "{build}");
        assert!(text.contains("service_name=\"belvedere\""), "{text}");
        assert!(text.contains("_1st=\"c\""), "{text}");
        assert_eq!(text.matches("k8s_pod=").count(), 1, "{text}");
    }
}
