//! Which requests the service knows: a table made once, from the `OpenAPI` document and the pages
//! beside it.
//!
//! It is asked before anything else happens, so that the route's template names the span and the
//! metrics also where the router never ran (a panic, a timeout, a refusal), and so that `Allow`,
//! `OPTIONS` and `406` come from one place. poem's router knows templates only as `/users/:param0`
//! and tells no methods.

use std::collections::BTreeSet;
use std::sync::Arc;

use poem::http::{HeaderValue, Method};
use serde_json::Value;

/// One path template and what can be done with it.
#[derive(Debug)]
pub struct Route {
    template: Arc<str>,
    methods: Vec<Operation>,
    allow: HeaderValue,
}

#[derive(Debug)]
struct Operation {
    method: Method,
    /// Whether its requests have a body.
    takes_body: bool,
    /// Parameters of the query that have one value.
    single: Vec<String>,
    /// Media types of its successful answers; empty when they have no body.
    produces: Vec<String>,
}

/// Finds the route of a path.
#[derive(Debug, Default)]
pub struct Routes {
    tree: matchit::Router<Arc<Route>>,
    /// Those of any route.
    methods: BTreeSet<String>,
}

/// Two routes that cannot both be reached, or a template that is not one.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// The template clashes with one that is already there.
    #[error("the route {0} cannot be added")]
    Insert(String, #[source] matchit::InsertError),
    /// The `OpenAPI` document is not what this module expects.
    #[error("the OpenAPI document cannot be read")]
    Document(#[from] serde_json::Error),
}

impl Route {
    /// The template in the document's own spelling, such as `/users/{user_id}`.
    pub fn template(&self) -> &Arc<str> {
        &self.template
    }

    /// The value of `Allow`.
    pub fn allow(&self) -> &HeaderValue {
        &self.allow
    }

    /// Whether the method can be used; HEAD can where GET can.
    pub fn allows(&self, method: &Method) -> bool {
        self.operation(method).is_some()
    }

    /// The media types that the method answers with.
    pub fn produces(&self, method: &Method) -> &[String] {
        self.operation(method).map_or(&[], |operation| &operation.produces)
    }

    /// Whether requests of this method have a body that anybody reads.
    pub fn takes_body(&self, method: &Method) -> bool {
        self.operation(method).is_some_and(|operation| operation.takes_body)
    }

    /// The parameters of the query that the method takes one value of.
    pub fn single_parameters(&self, method: &Method) -> &[String] {
        self.operation(method).map_or(&[], |operation| &operation.single)
    }

    fn operation(&self, method: &Method) -> Option<&Operation> {
        let asked = if method == Method::HEAD { &Method::GET } else { method };
        self.methods.iter().find(|operation| operation.method == *asked)
    }
}

impl Routes {
    /// Adds every path of an `OpenAPI` document (JSON).
    pub fn add_document(&mut self, document: &str) -> Result<(), RouteError> {
        let document: Value = serde_json::from_str(document)?;
        let paths = document["paths"].as_object().into_iter().flatten();
        for (template, item) in paths {
            let operations = item.as_object().into_iter().flatten();
            let methods = operations.filter_map(|(name, operation)| {
                let method = Method::from_bytes(name.to_ascii_uppercase().as_bytes()).ok()?;
                Some(Operation {
                    method,
                    takes_body: operation["requestBody"].is_object(),
                    single: single_parameters(operation),
                    produces: produces(operation),
                })
            });
            self.add(template, methods.collect())?;
        }
        Ok(())
    }

    /// Adds a page that is read with GET.
    pub fn add_page(&mut self, template: &str, media_type: &str) -> Result<(), RouteError> {
        let produces = vec![media_type.to_owned()];
        let (method, single) = (Method::GET, Vec::new());
        self.add(template, vec![Operation { method, takes_body: false, single, produces }])
    }

    /// The route of a path as it stands in the request line; a slash at its end makes no difference.
    pub fn find(&self, path: &str) -> Option<&Arc<Route>> {
        let found = self.tree.at(without_slash(path)).ok()?;
        Some(found.value)
    }

    /// The value of `Allow` for the service as a whole.
    pub fn allow(&self) -> HeaderValue {
        allow(&self.methods.iter().map(String::as_str).collect())
    }

    fn add(&mut self, template: &str, methods: Vec<Operation>) -> Result<(), RouteError> {
        let names = methods.iter().map(|operation| operation.method.as_str());
        self.methods.extend(names.clone().map(str::to_owned));
        let allow = allow(&names.collect());
        let route = Arc::new(Route { template: template.into(), allow, methods });
        let inserted = self.tree.insert(template, route);
        inserted.map_err(|error| RouteError::Insert(template.to_owned(), error))
    }
}

/// The same path without the slash at its end, which routes do not have. Two of them are another path.
pub fn without_slash(path: &str) -> &str {
    match path.strip_suffix('/') {
        Some(trimmed) if !trimmed.is_empty() && !trimmed.ends_with('/') => trimmed,
        _ => path,
    }
}

fn single_parameters(operation: &Value) -> Vec<String> {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let single = parameters
        .filter(|parameter| parameter["in"] == "query" && parameter["schema"]["type"] != "array");
    single.filter_map(|parameter| parameter["name"].as_str()).map(str::to_owned).collect()
}

fn produces(operation: &Value) -> Vec<String> {
    let responses = operation["responses"].as_object().into_iter().flatten();
    let successes = responses.filter(|(status, _)| status.starts_with('2'));
    let contents = successes.filter_map(|(_, response)| response["content"].as_object());
    let types: BTreeSet<&String> = contents.flat_map(serde_json::Map::keys).collect();
    types.into_iter().cloned().collect()
}

fn allow(methods: &BTreeSet<&str>) -> HeaderValue {
    let mut names = methods.clone();
    if names.contains("GET") {
        names.insert("HEAD");
    }
    names.insert("OPTIONS");
    let list: Vec<&str> = names.into_iter().collect();
    // Method names are tokens, which header values may hold (RFC 9110, section 9.1).
    HeaderValue::from_str(&list.join(", ")).unwrap_or(HeaderValue::from_static("OPTIONS"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"{"paths": {
        "/users": {"get": {"responses": {"200": {"content": {"application/json; charset=utf-8": {}}}}},
                   "post": {"responses": {"201": {}}}},
        "/users/me": {"get": {"responses": {}}},
        "/users/{user_id}": {"delete": {"responses": {"204": {}, "404": {"content": {"text/plain": {}}}}}}
    }}"#;

    fn routes() -> Routes {
        let mut routes = Routes::default();
        routes.add_document(DOCUMENT).unwrap();
        routes
    }

    #[test]
    fn a_path_finds_the_template_of_the_document() {
        let routes = routes();
        let template = |path| routes.find(path).map(|route| route.template().to_string());
        assert_eq!(template("/users/7"), Some("/users/{user_id}".to_owned()));
        assert_eq!(template("/users/me"), Some("/users/me".to_owned()));
        assert_eq!(template("/users/"), Some("/users".to_owned()));
        assert_eq!(template("/users/7/shoes"), None);
        assert_eq!(template("/"), None);
        assert_eq!(template("/users//"), None);
    }

    #[test]
    fn allow_lists_what_the_document_lists_with_head_and_options() {
        let routes = routes();
        assert_eq!(routes.find("/users").unwrap().allow(), "GET, HEAD, OPTIONS, POST");
        assert_eq!(routes.find("/users/7").unwrap().allow(), "DELETE, OPTIONS");
        assert!(routes.find("/users").unwrap().allows(&Method::HEAD));
        assert!(!routes.find("/users/7").unwrap().allows(&Method::GET));
        assert_eq!(routes.allow(), "DELETE, GET, HEAD, OPTIONS, POST");
    }

    #[test]
    fn only_successful_answers_say_what_is_produced() {
        let routes = routes();
        let users = routes.find("/users").unwrap();
        assert_eq!(users.produces(&Method::HEAD), ["application/json; charset=utf-8"]);
        assert!(routes.find("/users/7").unwrap().produces(&Method::DELETE).is_empty());
    }

    #[test]
    fn parameters_of_the_query_are_single_unless_they_are_lists() {
        let mut routes = Routes::default();
        let parameters = r#"[{"in": "query", "name": "limit", "schema": {"type": "integer"}},
            {"in": "query", "name": "tag", "schema": {"type": "array"}},
            {"in": "path", "name": "id"}, {"in": "header", "name": "if-match"}]"#;
        let document =
            format!(r#"{{"paths": {{"/x": {{"get": {{"parameters": {parameters}}}}}}}}}"#);
        routes.add_document(&document).unwrap();
        let route = routes.find("/x").unwrap();
        assert_eq!(route.single_parameters(&Method::HEAD), ["limit"]);
        assert!(route.single_parameters(&Method::POST).is_empty());
    }

    #[test]
    fn two_templates_for_one_path_are_refused() {
        let mut routes = routes();
        let error = routes.add_page("/users/{id}", "text/html").unwrap_err();
        assert_eq!(error.to_string(), "the route /users/{id} cannot be added");
    }
}
