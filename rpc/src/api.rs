//! The registry of methods, one file a namespace. Each row gives a name, what it takes, what it answers
//! and the scope that it needs; from the rows come the trait that a node implements, the dispatch, the
//! access rules, the typed client and the OpenRPC document, so that none of them can disagree.

use crate::feeds::SUBSCRIPTIONS;
use crate::tokens::Scope;
use jsonrpsee::RpcModule;
use jsonrpsee::types::error::{INVALID_PARAMS_CODE, INVALID_PARAMS_MSG};
use jsonrpsee::types::{ErrorObjectOwned, Params};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;

/// One row of the registry.
#[derive(Clone, Copy)]
pub struct Method {
    /// The name on the wire.
    pub name: &'static str,
    /// What it does: its doc comment, a line of which begins with a space.
    pub about: &'static [&'static str],
    /// What a caller must be allowed.
    pub scope: Scope,
    /// The schema of its parameters.
    pub params: fn(&mut SchemaGenerator) -> Schema,
    /// The names of its parameters, in the order in which they go by position.
    pub fields: fn() -> &'static [&'static str],
    /// The schema of its result; of a subscription, what its notifications bring.
    pub result: fn(&mut SchemaGenerator) -> Schema,
    /// Whether a text is such a result; if not, why.
    pub reads: fn(&str) -> Result<(), String>,
}

/// A namespace: what stands before the `_` of its methods.
#[derive(Debug, Clone, Copy)]
pub struct Namespace {
    /// Its name.
    pub name: &'static str,
    /// What its methods are about.
    pub about: &'static str,
    /// Its methods.
    pub methods: &'static [Method],
}

impl Method {
    /// What it does, as one text.
    #[must_use]
    pub fn text(&self) -> String {
        let lines: Vec<&str> = self.about.iter().map(|line| line.trim()).collect();
        lines.join(" ")
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Method").field(&self.name).finish()
    }
}

/// One macro, because five hand-written lists of the same hundred methods would drift apart.
macro_rules! methods {
    (
        #[doc = $about:literal]
        $api:ident: $namespace:literal;
        $($(#[doc = $doc:literal])+ $wire:literal $name:ident($params:ty) -> $result:ty, $scope:ident;)+
    ) => {
        #[doc = $about]
        pub trait $api: Send + Sync + 'static {
            $($(#[doc = $doc])+
            fn $name(&self, params: $params)
                -> impl Future<Output = Result<$result, $crate::errors::RpcError>> + Send;)+
        }

        /// This namespace.
        pub const NAMESPACE: $crate::api::Namespace = $crate::api::Namespace {
            name: $namespace,
            about: $about,
            methods: &[$($crate::api::Method {
                name: $wire,
                about: &[$($doc),+],
                scope: $crate::tokens::Scope::$scope,
                params: $crate::api::schema::<$params>,
                fields: serde_aux::serde_introspection::serde_introspect::<$params>,
                result: $crate::api::schema::<$result>,
                reads: $crate::api::reads::<$result>,
            },)+],
        };

        /// Adds this namespace's methods.
        pub(crate) fn register<A: $api>(module: &mut jsonrpsee::RpcModule<A>) {
            $(module
                .register_async_method($wire, async |
                    params: jsonrpsee::types::Params<'static>,
                    api: std::sync::Arc<A>,
                    _: jsonrpsee::Extensions,
                | {
                    let result: Result<$result, jsonrpsee::types::ErrorObjectOwned> =
                        match $crate::api::read(&params) {
                            Ok(params) => api.$name(params).await.map_err(Into::into),
                            Err(refused) => Err(refused),
                        };
                    result
                })
                .expect("names are distinct");)+
        }

        impl $crate::client::Client {
            $($(#[doc = $doc])+
            ///
            /// # Errors
            /// [`ClientError`](crate::ClientError) if the node cannot be asked or refuses.
            pub async fn $name(&self, params: &$params) -> Result<$result, $crate::client::ClientError> {
                self.call($wire, params).await
            })+
        }
    };
}
use methods;

macro_rules! namespaces {
    ($($module:ident: $api:ident),+ $(,)?) => {
        $(pub mod $module;
        pub use $module::$api;)+

        /// What a node implements: all namespaces.
        pub trait Api: $($api +)+ {}
        impl<A: $($api +)+> Api for A {}

        /// All namespaces that a node implements, in order.
        pub const NAMESPACES: &[Namespace] = &[$($module::NAMESPACE),+];

        /// Every method of `api`, ready to be served.
        ///
        /// # Panics
        /// If two rows share a name, which the tests would show.
        pub fn dispatch<A: Api>(api: Arc<A>) -> RpcModule<A> {
            let mut module = RpcModule::from_arc(api);
            $($module::register(&mut module);)+
            module
        }
    };
}

namespaces! {
    node: NodeMethods,
    chain: ChainMethods,
    ledger: LedgerMethods,
    tx: TxMethods,
    wallet: WalletMethods,
    market: MarketMethods,
    provider: ProviderMethods,
    renter: RenterMethods,
    backup: BackupMethods,
    share: ShareMethods,
    device: DeviceMethods,
    network: NetworkMethods,
    friend: FriendMethods,
    job: JobMethods,
}

pub mod auth;
pub use auth::AuthMethods;

/// The namespaces whose methods the server answers itself, and those of the node.
pub fn namespaces() -> impl Iterator<Item = &'static Namespace> {
    std::iter::once(&auth::NAMESPACE).chain(NAMESPACES)
}

/// Every method and subscription.
pub fn all() -> impl Iterator<Item = &'static Method> {
    let subscriptions = SUBSCRIPTIONS
        .iter()
        .map(|subscription| &subscription.method);
    namespaces().flat_map(|n| n.methods).chain(subscriptions)
}

pub(crate) fn reads<T: DeserializeOwned>(text: &str) -> Result<(), String> {
    let read = serde_json::from_str::<T>(text);
    read.map(drop).map_err(|e| e.to_string())
}

pub(crate) fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Reads parameters, named or positional; none at all is an empty list.
pub(crate) fn read<P: DeserializeOwned>(params: &Params<'_>) -> Result<P, ErrorObjectOwned> {
    serde_json::from_str(params.as_str().unwrap_or("[]")).map_err(|e| {
        ErrorObjectOwned::owned(INVALID_PARAMS_CODE, INVALID_PARAMS_MSG, Some(e.to_string()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::{Empty, PageParams};

    #[test]
    fn names_are_those_of_the_surface() {
        let mut generator = SchemaGenerator::default();
        for namespace in namespaces() {
            for method in namespace.methods {
                let name = method.name;
                let (area, verb) = name.split_once('_').unwrap();
                assert_eq!(area, namespace.name);
                assert!(area.bytes().all(|b| b.is_ascii_lowercase()), "{name}");
                assert!(verb.bytes().all(|b| b.is_ascii_alphabetic()), "{name}");
                assert!(method.text().ends_with('.'), "{name}");
                assert!((method.params)(&mut generator).as_object().is_some());
                assert!((method.result)(&mut generator).as_object().is_some());
            }
        }
    }

    #[test]
    fn parameters_are_named_or_positional_and_unknown_ones_are_refused() {
        let limit = |text: &str| read::<PageParams>(&Params::new(Some(text))).map(|p| p.limit);
        assert_eq!(limit("{\"limit\":5}"), Ok(Some(5)));
        assert_eq!(limit("[null,5]"), Ok(Some(5)));
        assert_eq!(limit("[]"), Ok(None));
        assert_eq!(read::<Empty>(&Params::new(None)), Ok(Empty {}));
        for bad in ["{\"limits\":5}", "[null,5,6]", "5", "{\"limit\":-1}"] {
            assert!(limit(bad).is_err(), "{bad}");
        }
        assert!(read::<Empty>(&Params::new(Some("[1]"))).is_err());
    }
}
