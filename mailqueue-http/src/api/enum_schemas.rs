//! The words that stand for states, as the OpenAPI document describes them.

use std::borrow::Cow;

use mailqueue_core::domain;
use mailqueue_core::domain::recipient::RecipientStatus as Recipient;
use serde_json::json;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

/// A schema whose values are those that a type of the core serializes to.
macro_rules! words {
    ($name:ident, $values:expr, $description:literal) => {
        pub(super) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let words = $values.map(|value| json!(value));
                let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
                text.description(Some($description)).enum_values(Some(words)).into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    };
}

words!(Lane, domain::lane::Lane::ALL, "How urgent it is: sign-in codes, everything else, newsletters.");
words!(Status, domain::status::Status::ALL, "Where a message stands. The last four are final.");
words!(
    RecipientStatus,
    [Recipient::Queued, Recipient::Sent, Recipient::Failed, Recipient::Cancelled, Recipient::Unknown],
    "Where one recipient stands."
);
