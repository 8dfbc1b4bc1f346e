//! Macros for the texts and the bodies of requests: parsed by `chassis::http::input`, described for the
//! `OpenAPI` document where they are declared.

/// Declares a text with rules: parsed once, then trusted. Such texts are personal data, and kept so.
macro_rules! text_type {
    (
        $(#[doc = $doc:literal])+
        $name:ident, check: $check:expr, schema: { $($key:ident: $value:expr),+ $(,)? }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(::chassis::privacy::Pii<String>);

        impl $name {
            /// The text as it is, or what is allowed instead.
            pub fn parse(text: String) -> Result<Self, String> {
                $check(&text)?;
                Ok(Self(::chassis::privacy::Pii::new(text)))
            }

            /// The text.
            pub fn expose(&self) -> &str {
                self.0.expose()
            }

            /// The text, as it is kept.
            pub fn into_pii(self) -> ::chassis::privacy::Pii<String> {
                self.0
            }
        }

        impl ::chassis::http::input::Field for $name {
            fn parse(value: ::serde_json::Value) -> Result<Self, String> {
                <String as ::chassis::http::input::Field>::parse(value).and_then(Self::parse)
            }
        }

        ::chassis::schema_type!($name, "string", ::poem_openapi::registry::MetaSchema {
            $($key: Some($value.into()),)+
            ..::poem_openapi::registry::MetaSchema::new("string")
        });
    };
}

/// Declares the object of a request body, with the description of each field.
///
/// Behind each field stands whether it is `required`, `optional` (absent and null mean the same),
/// `replaced` (may be absent, not null) or `patched` (may be absent; null removes): the method of
/// `Fields` that takes it. With `read_only`, the members that requests may not set, `FromFields` is
/// implemented so; types with a rule from the settings leave it out and take their fields themselves.
macro_rules! request_object {
    (
        $(#[doc = $doc:literal])+
        pub struct $name:ident {
            $($(#[doc = $about:literal])+ pub $field:ident: $type:ty = $presence:ident,)+
        }
        $(read_only: $read_only:expr,)?
        example: $example:tt
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug)]
        pub struct $name {
            $($(#[doc = $about])+ pub $field: $type,)+
        }

        impl ::poem_openapi::types::Type for $name {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> ::std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn schema_ref() -> ::poem_openapi::registry::MetaSchemaRef {
                ::poem_openapi::registry::MetaSchemaRef::Reference(stringify!($name).to_owned())
            }

            fn register(registry: &mut ::poem_openapi::registry::Registry) {
                use ::poem_openapi::registry::MetaSchema;
                registry.create_schema::<Self, _>(stringify!($name).to_owned(), |_| MetaSchema {
                    description: Some(concat!($($doc),+).trim()),
                    required: [$($crate::schema::request_object!(@required $presence $field)),+]
                        .into_iter()
                        .flatten()
                        .collect(),
                    properties: vec![$((
                        stringify!($field),
                        <$type as ::poem_openapi::types::Type>::schema_ref().merge(MetaSchema {
                            description: Some(concat!($($about),+).trim()),
                            nullable: $crate::schema::request_object!(@nullable $presence),
                            ..MetaSchema::ANY
                        }),
                    )),+],
                    example: Some(::serde_json::json!($example)),
                    ..MetaSchema::new("object")
                });
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(std::iter::once(self))
            }
        }

        $crate::schema::request_object!(@from_fields $name [$($read_only)?] $($field $presence)+);
    };
    (@from_fields $name:ident [] $($field:ident $presence:ident)+) => {};
    (@from_fields $name:ident [$read_only:expr] $($field:ident $presence:ident)+) => {
        impl ::chassis::http::input::FromFields for $name {
            const READ_ONLY: &'static [&'static str] = $read_only;

            fn from_fields(fields: &mut ::chassis::http::input::Fields) -> Option<Self> {
                // All are taken before any is missed: callers hear of every one.
                $(let $field = fields.$presence(stringify!($field));)+
                Some(Self { $($field: $field?),+ })
            }
        }
    };
    (@required required $field:ident) => { Some(stringify!($field)) };
    (@required $presence:ident $field:ident) => { None };
    (@nullable optional) => { true };
    (@nullable patched) => { true };
    (@nullable $presence:ident) => { false };
}

pub(crate) use {request_object, text_type};

#[cfg(test)]
mod tests;
