//! A page of a list.

/// Declares the body of a response that lists something.
macro_rules! list {
    ($(#[$meta:meta])* $name:ident<$entry:ty>) => {
        $(#[$meta])*
        #[derive(serde::Serialize, utoipa::ToSchema)]
        pub(super) struct $name<'r> {
            /// Always `list`.
            object: &'static str,
            /// Whether more follow in the direction asked for.
            has_more: bool,
            data: Vec<$entry>,
        }

        impl<'r> $name<'r> {
            fn new(has_more: bool, data: Vec<$entry>) -> Self {
                Self { object: "list", has_more, data }
            }
        }
    };
}
pub(super) use list;
