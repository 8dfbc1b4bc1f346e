//! Headers of requests as parameters of an operation.

/// Makes a type an optional header in the OpenAPI document, read from the request by an expression that
/// may fail with a problem. poem-openapi's own `Header` drops values that are not ASCII, and with them the
/// precondition or the key.
macro_rules! header_parameter {
    ($name:ident, $schema:expr, $request:ident => $read:expr) => {
        impl<'a> poem_openapi::ApiExtractor<'a> for $name {
            const TYPES: &'static [poem_openapi::ApiExtractorType] =
                &[poem_openapi::ApiExtractorType::Parameter];
            type ParamType = ();
            type ParamRawType = ();

            fn param_in() -> Option<poem_openapi::registry::MetaParamIn> {
                Some(poem_openapi::registry::MetaParamIn::Header)
            }

            fn param_schema_ref() -> Option<poem_openapi::registry::MetaSchemaRef> {
                Some(poem_openapi::registry::MetaSchemaRef::Inline(Box::new($schema)))
            }

            async fn from_request(
                $request: &'a poem::Request,
                _: &mut poem::RequestBody,
                _: poem_openapi::ExtractParamOptions<()>,
            ) -> poem::Result<Self> {
                Ok($read?)
            }
        }
    };
}

pub(crate) use header_parameter;
