//! A macro that gives a type its place in the `OpenAPI` document.
//!
//! poem-openapi's derives parse and describe at once, and stop at the first error; types whose
//! values are parsed by [`http::input`](crate::http::input) or by hand need the description alone.

/// Implements poem-openapi's `Type` with a schema of its own, written out wherever the type is used:
/// `schema_type!(Version, "integer_version", MetaSchema::new("integer"))`.
#[macro_export]
macro_rules! schema_type {
    ($name:ty, $label:literal, $schema:expr) => {
        impl ::poem_openapi::types::Type for $name {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> ::std::borrow::Cow<'static, str> {
                $label.into()
            }

            fn schema_ref() -> ::poem_openapi::registry::MetaSchemaRef {
                ::poem_openapi::registry::MetaSchemaRef::Inline(::std::boxed::Box::new($schema))
            }

            fn as_raw_value(&self) -> ::std::option::Option<&Self> {
                ::std::option::Option::Some(self)
            }

            fn raw_element_iter<'a>(
                &'a self,
            ) -> ::std::boxed::Box<dyn ::std::iter::Iterator<Item = &'a Self> + 'a> {
                ::std::boxed::Box::new(::std::iter::once(self))
            }
        }
    };
}
