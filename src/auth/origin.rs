//! Where a request comes from, as far as guesses at passwords are counted by it.

use std::sync::Arc;

use chassis::http::exchange::Exchange;
use poem::{Request, RequestBody, Result};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

/// The caller's network: its IPv4 address or its IPv6 /64, found as the rate limit finds it.
pub(super) struct Origin(Option<String>);

impl Origin {
    /// The network in words; none on a listener without addresses.
    pub(super) fn network(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl<'a> ApiExtractor<'a> for Origin {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::PoemExtractor];
    type ParamType = ();
    type ParamRawType = ();

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        let exchange: Option<Arc<Exchange>> = Exchange::of(request);
        let network = exchange.and_then(|exchange| exchange.client.network());
        Ok(Self(network.map(|network| network.to_string())))
    }
}
