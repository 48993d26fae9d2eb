//! Parameters as the OpenAPI document describes them.

use serde_json::json;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{RefOr, Required};

/// A parameter; only one in the path is required.
pub(crate) fn parameter(
    place: ParameterIn,
    name: &str,
    description: &str,
    schema: RefOr<Schema>,
) -> Parameter {
    let required = if place == ParameterIn::Path { Required::True } else { Required::False };
    let parameter = ParameterBuilder::new().name(name).parameter_in(place).required(required);
    let description = Some(description).filter(|description| !description.is_empty());
    parameter.description(description).schema(Some(schema)).build()
}

/// Text; one of some words where there are any.
pub(crate) fn text(words: &[&str]) -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
    let words = Some(words.iter().map(|word| json!(word))).filter(|_| !words.is_empty());
    text.enum_values(words).into()
}

/// A UUID.
pub(crate) fn uuid() -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
    text.format(Some(SchemaFormat::Custom("uuid".to_owned()))).into()
}

/// A number from 1 to `max`.
pub(crate) fn up_to(max: usize) -> RefOr<Schema> {
    let number = ObjectBuilder::new().schema_type(SchemaType::Type(Type::Integer));
    number.minimum(Some(1)).maximum(Some(max)).into()
}

/// Describes a set of parameters in the order in which they are given.
macro_rules! parameters {
    ($(#[$meta:meta])* $name:ident { $($place:ident $parameter:literal, $description:expr, $schema:expr;)+ }) => {
        $(#[$meta])*
        pub(crate) struct $name;

        impl utoipa::IntoParams for $name {
            fn into_params(
                _: impl Fn() -> Option<utoipa::openapi::path::ParameterIn>,
            ) -> Vec<utoipa::openapi::path::Parameter> {
                use utoipa::openapi::path::ParameterIn;
                use $crate::wire::parameter::parameter;
                vec![$(parameter(ParameterIn::$place, $parameter, $description, $schema)),+]
            }
        }
    };
}
pub(crate) use parameters;
