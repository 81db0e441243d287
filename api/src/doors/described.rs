//! The doors in the description of the interface: how a key is sent, and what every route may answer besides.

use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr};

use axum::http::Method;

use super::rules::{self, Need};

/// Adds the schemes, and to every route what it needs and how it refuses: errors are problem documents.
pub(crate) fn describe(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("iso_<id>_<secret>")
        .description(Some("Where the service asks for keys; `isopleth keys create` makes one."))
        .build();
    let in_header = ApiKey::Header(ApiKeyValue::new("X-API-Key"));
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    components.add_security_scheme("key", SecurityScheme::ApiKey(in_header));
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            describe_one(operation, rules::need(&method, path, false));
        }
    }
}

/// Those that a path has.
pub(crate) fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let all = [
        (Method::GET, &mut item.get),
        (Method::PUT, &mut item.put),
        (Method::POST, &mut item.post),
        (Method::DELETE, &mut item.delete),
        (Method::PATCH, &mut item.patch),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

fn describe_one(operation: &mut Operation, need: Need) {
    for (status, answer) in &mut operation.responses.responses {
        if let RefOr::T(answer) = answer
            && status.as_str() >= "400"
            && answer.content.is_empty()
        {
            *answer = problem(&answer.description);
        }
    }
    if need == Need::Nothing {
        return;
    }
    let answers = &mut operation.responses.responses;
    let mut may = |status: &str, what: &str| {
        answers.entry(status.to_owned()).or_insert_with(|| problem(what).into());
    };
    may("414", "Path and query are too long");
    may("429", "More than the client may ask for; see Retry-After and x-ratelimit-reset");
    if let Need::Key(scope) = need {
        may("401", "A key is needed, or it is not known");
        may("403", &format!("The key has not scope `{}`", scope.name()));
        let none: [String; 0] = [];
        operation.security = Some(vec![
            SecurityRequirement::default(),
            SecurityRequirement::new("bearer", none.clone()),
            SecurityRequirement::new("key", none),
        ]);
    }
}

fn problem(what: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(what).content("application/problem+json", content).build()
}
