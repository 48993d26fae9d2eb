//! Describes one operation at a time.

use serde_json::json;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{HttpMethod, Ref, RefOr, Required, Response};

/// Every status with which a request can be refused.
pub(super) const REFUSALS: [u16; 14] = [400, 401, 403, 404, 408, 409, 413, 414, 415, 422, 429, 431, 500, 503];

/// What a request can meet wherever it goes.
const ALWAYS: [u16; 6] = [400, 414, 415, 431, 500, 503];

/// What one that needs a key can meet besides.
const WITH_KEY: [u16; 3] = [401, 403, 429];

/// What one whose body is read can meet besides.
const WITH_BODY: [u16; 3] = [408, 413, 422];

/// An operation that is being described.
pub(super) struct Described {
    pub(super) path: &'static str,
    pub(super) method: HttpMethod,
    pub(super) operation: OperationBuilder,
}

/// Begins with an address and what stands there, under a heading.
pub(super) fn describe(
    (method, path): (HttpMethod, &'static str),
    tag: &str,
    id: &str,
    summary: &str,
) -> Described {
    let operation = OperationBuilder::new().tag(tag).operation_id(Some(id)).summary(Some(summary));
    let described = Described { path, method, operation }.problems(&ALWAYS);
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names.fold(described, |described, name| described.parameter(ParameterIn::Path, name, "", uuid()))
}

impl Described {
    pub(super) fn because(self, description: &str) -> Self {
        self.with(|operation| operation.description(Some(description)))
    }

    /// It needs an API key.
    pub(super) fn keyed(self) -> Self {
        self.problems(&WITH_KEY)
            .with(|operation| operation.security(SecurityRequirement::new("key", [] as [&str; 0])))
    }

    pub(super) fn parameter(
        self,
        place: ParameterIn,
        name: &str,
        description: &str,
        schema: impl Into<RefOr<Schema>>,
    ) -> Self {
        let required = if place == ParameterIn::Path { Required::True } else { Required::False };
        let parameter = ParameterBuilder::new().name(name).parameter_in(place).required(required);
        let description = Some(description).filter(|description| !description.is_empty());
        let parameter = parameter.description(description).schema(Some(schema));
        self.with(|operation| operation.parameter(parameter))
    }

    /// What it reads: a schema by its name, in some media types.
    pub(super) fn body(self, schema: impl Into<RefOr<Schema>>, media_types: &[&str]) -> Self {
        let schema = schema.into();
        let body = RequestBodyBuilder::new().required(Some(Required::True));
        let body = media_types.iter().fold(body, |body, media_type| {
            body.content(*media_type, ContentBuilder::new().schema(Some(schema.clone())).build())
        });
        self.problems(&WITH_BODY).with(|operation| operation.request_body(Some(body.build())))
    }

    /// What it answers when all is well; `headers` are names and what they say.
    pub(super) fn answers(
        self,
        status: u16,
        description: &str,
        content: Option<(&str, RefOr<Schema>)>,
        headers: &[(&str, &str)],
    ) -> Self {
        let mut response = ResponseBuilder::new().description(description);
        if let Some((media_type, schema)) = content {
            response = response.content(media_type, ContentBuilder::new().schema(Some(schema)).build());
        }
        for (name, says) in headers {
            let header = HeaderBuilder::new().schema(Some(text(&[]))).description(Some(*says));
            response = response.header(*name, header.build());
        }
        self.with(|operation| operation.response(status.to_string(), response))
    }

    /// JSON of a schema.
    pub(super) fn tells(self, description: &str, schema: &str, headers: &[(&str, &str)]) -> Self {
        self.answers(200, description, Some(("application/json", of(schema))), headers)
    }

    /// The ways it can be refused.
    pub(super) fn problems(self, statuses: &[u16]) -> Self {
        statuses.iter().fold(self, |described, status| {
            let response = Ref::from_response_name(refused(*status));
            described.with(|operation| operation.response(status.to_string(), response))
        })
    }

    fn with(self, change: impl FnOnce(OperationBuilder) -> OperationBuilder) -> Self {
        Self { operation: change(self.operation), ..self }
    }
}

/// The name of the response with a status other than 2xx.
pub(super) fn refused(status: u16) -> String {
    format!("Refused{status}")
}

/// That response.
pub(super) fn refusal(status: u16) -> Response {
    let content = || ContentBuilder::new().schema(Some(of("Problem"))).build();
    let response = ResponseBuilder::new().description(meaning(status));
    response.content("application/json", content()).content("application/problem+json", content()).build()
}

/// What a status means here, and the names that go with it.
fn meaning(status: u16) -> &'static str {
    match status {
        400 => "It cannot be read: `validation_error`, or `invalid_idempotency_key`.",
        401 => "An API key is needed: `missing_api_key`, or one that may do more: `restricted_api_key`.",
        403 => "The key is not valid or may not do this: `invalid_api_key`, `invalid_access`.",
        404 => "There is no such thing, or it is somebody else's: `not_found`.",
        408 => "The body did not come in time: `request_timeout`.",
        409 => {
            "`invalid_idempotent_request`: the key was used with another body. `concurrent_idempotent_requests`: the first \
             request with this key is still in progress; see Retry-After. `invalid_state`: where the message \
             stands does not allow it."
        }
        413 => "It is too large: `payload_too_large`.",
        414 => "The address is too long: `uri_too_long`.",
        415 => "It is not in a format that is read here: `unsupported_media_type`.",
        422 => "Fields are wrong; `errors` points at each: `validation_error`.",
        429 => "Too many requests; see Retry-After: `rate_limit_exceeded`.",
        431 => "The header fields are too large: `header_fields_too_large`.",
        503 => "Not now; see Retry-After: `service_unavailable`.",
        _ => "Something is wrong here; nothing was kept: `application_error`.",
    }
}

/// A reference to a schema of the document.
pub(super) fn of(schema: &str) -> RefOr<Schema> {
    Ref::from_schema_name(schema).into()
}

/// A list of a schema.
pub(super) fn list_of(schema: &str, most: usize) -> RefOr<Schema> {
    ArrayBuilder::new().items(of(schema)).min_items(Some(1)).max_items(Some(most)).into()
}

/// Text, one of some words where there are any.
pub(super) fn text(words: &[&str]) -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
    let words = Some(words.iter().map(|word| json!(word))).filter(|_| !words.is_empty());
    text.enum_values(words).into()
}

/// A UUID.
pub(super) fn uuid() -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
    text.format(Some(SchemaFormat::Custom("uuid".to_owned()))).into()
}

/// A number from 1 to 100.
pub(super) fn limit() -> RefOr<Schema> {
    let number = ObjectBuilder::new().schema_type(SchemaType::Type(Type::Integer));
    number.minimum(Some(1)).maximum(Some(100)).into()
}
