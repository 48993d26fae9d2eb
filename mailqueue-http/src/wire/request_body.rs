//! Request bodies: one struct says what is read and what the OpenAPI document tells.

use std::collections::BTreeMap;

use super::json::{self, Json, Members};

/// A member of an object that knows how it is read.
pub(crate) trait Member: Sized {
    /// Takes the member out; every fault of it is noted.
    fn take(members: &mut Members<'_, '_>, name: &'static str) -> Self;
}

/// An object within a body.
pub(crate) trait Object: Sized {
    /// Takes all members out; every fault of theirs is noted.
    fn read(members: &mut Members<'_, '_>) -> Self;
}

impl Member for String {
    fn take(members: &mut Members<'_, '_>, name: &'static str) -> Self {
        members.required_text(name)
    }
}

impl Member for Option<String> {
    fn take(members: &mut Members<'_, '_>, name: &'static str) -> Self {
        members.text(name)
    }
}

impl Member for Option<bool> {
    fn take(members: &mut Members<'_, '_>, name: &'static str) -> Self {
        Some(members.truth(name))
    }
}

impl Member for Option<BTreeMap<String, String>> {
    fn take(members: &mut Members<'_, '_>, name: &'static str) -> Self {
        let Json::Object(object) = members.take(name)? else {
            members.fault(name, "must be an object of names and values");
            return None;
        };
        let place = members.place(name);
        let mut map = BTreeMap::new();
        for (key, value) in object {
            let text = json::text(value, || json::member(&place, &key), members.faults());
            map.extend(text.map(|value| (key, value)));
        }
        Some(map)
    }
}

impl<T: Object> Member for Option<Vec<T>> {
    fn take(members: &mut Members<'_, '_>, name: &'static str) -> Self {
        let Json::List(items) = members.take(name)? else {
            members.fault(name, "must be a list of objects");
            return None;
        };
        let place = members.place(name);
        let mut objects = Vec::new();
        for (n, item) in items.into_iter().enumerate() {
            if let Some(mut object) = Members::of(item, &format!("{place}/{n}"), members.faults()) {
                objects.push(T::read(&mut object));
                object.finish();
            }
        }
        Some(objects)
    }
}

/// Declares a struct with its schema and with a reader that takes its members in their order.
macro_rules! request_body {
    ($(#[$meta:meta])* struct $name:ident { $($(#[$note:meta])* $field:ident: $type:ty,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, utoipa::ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name { $($(#[$note])* pub(super) $field: $type,)+ }

        impl $crate::wire::request_body::Object for $name {
            fn read(members: &mut $crate::wire::json::Members<'_, '_>) -> Self {
                Self { $($field: $crate::wire::request_body::Member::take(members, stringify!($field)),)+ }
            }
        }
    };
}
pub(crate) use request_body;
