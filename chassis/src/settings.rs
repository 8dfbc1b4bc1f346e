//! Settings: sections that stand beside the code they configure, filled from built-in defaults, a TOML file and the
//! environment, lowest to highest.
//!
//! Here are the declaration of sections and the names shared by all; what a key means and allows beyond its type belongs to
//! the module that declares it, the composition of all sections to the service.
//!
//! ```
//! use chassis::settings::{Environ, Sources};
//! use std::time::Duration;
//!
//! chassis::settings! {
//!     /// Mail to users.
//!     pub struct MailSettings {
//!         /// How long the mail server may take to answer.
//!         pub timeout: Duration = Duration::from_secs(10),
//!     }
//! }
//! chassis::settings! {
//!     /// All settings of the service.
//!     pub struct Settings {
//!         /// Mail to users.
//!         pub mail: MailSettings = MailSettings::default(),
//!     }
//! }
//!
//! let environ = Environ::from([("APP_MAIL__TIMEOUT", "250ms")]);
//! let sources = Sources { file: None, environ, prefix: "APP_", aliases: &[] };
//! let loaded = sources.load::<Settings>(|settings, report| {
//!     if settings.mail.timeout.is_zero() {
//!         report.reject("mail.timeout", "a duration above zero");
//!     }
//! })?;
//! assert_eq!(loaded.settings.mail.timeout, Duration::from_millis(250));
//! assert_eq!(loaded.to_toml(), "[mail]\ntimeout = \"250ms\"  # environment APP_MAIL__TIMEOUT\n");
//! # Ok::<(), chassis::settings::SettingsError>(())
//! ```

mod environ;
mod layers;
mod report;
pub(crate) mod secret;
mod sources;
mod table;
#[cfg(test)]
mod tests;
mod value;

pub use crate::privacy::Secret;
pub use bytesize::ByteSize;
pub use environ::Environ;
pub use ipnet::IpNet;
pub use report::{Problem, Report, SettingsError, Source, without_userinfo};
pub use sources::{Loaded, Sources};
pub use table::table;
pub use toml::Value as Toml;
pub use value::{Raw, Value};

/// Declares a section: a struct whose fields are keys ([`Value`]s) or further sections, each with its default.
///
/// The struct is `Clone`, `Debug` and `Default`. The documentation of a field is the documentation of the key, see
/// [`known_keys`](crate::settings::known_keys).
#[macro_export]
macro_rules! settings {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident {
            $(
                $(#[doc = $doc:literal])*
                $field_visibility:vis $field:ident : $type:ty = $default:expr
            ),* $(,)?
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug)]
        $visibility struct $name {
            $( $(#[doc = $doc])* $field_visibility $field: $type, )*
        }

        impl ::core::default::Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        impl $crate::settings::Section for $name {}

        impl $crate::settings::Node for $name {
            fn visit<V: $crate::settings::Visitor>(&mut self, at: &str, _doc: &'static str, visitor: &mut V) {
                $(
                    let name = $crate::settings::join(at, ::core::stringify!($field));
                    let doc = ::core::concat!($($doc),*);
                    $crate::settings::Node::visit(&mut self.$field, &name, doc, visitor);
                )*
            }
        }
    };
}

/// Declares an enum that is written as one of a few words, a [`Value`] with `as_str()`.
///
/// ```
/// chassis::one_of! {
///     /// Who may create users.
///     pub enum Registration {
///         /// Anyone.
///         Open = "open",
///         /// Administrators only.
///         Admin = "admin",
///     }
/// }
/// assert_eq!(Registration::Admin.as_str(), "admin");
/// ```
#[macro_export]
macro_rules! one_of {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $name:ident {
            $( $(#[$variant_attribute:meta])* $variant:ident = $text:literal ),+ $(,)?
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $visibility enum $name {
            $( $(#[$variant_attribute])* $variant, )+
        }

        impl $name {
            /// The word that stands for it in settings.
            pub fn as_str(self) -> &'static str {
                match self {
                    $( Self::$variant => $text, )+
                }
            }
        }

        impl $crate::settings::Value for $name {
            fn allowed() -> ::std::string::String {
                ::std::format!("one of {}", [$( ::core::concat!("\"", $text, "\"") ),+].join(", "))
            }

            fn read(raw: $crate::settings::Raw<'_>) -> ::core::option::Option<Self> {
                match raw.text()? {
                    $( $text => ::core::option::Option::Some(Self::$variant), )+
                    _ => ::core::option::Option::None,
                }
            }

            fn render(&self) -> ::core::option::Option<$crate::settings::Toml> {
                ::core::option::Option::Some(self.as_str().into())
            }
        }
    };
}

/// Makes a type with `FromStr` and `Display` a [`Value`] that is written as text.
///
/// The second argument says what is allowed: it completes the sentence "expected …".
///
/// ```
/// # use std::{fmt, num::ParseFloatError, str::FromStr};
/// #[derive(Clone, Debug)]
/// pub struct Share(f64);
/// # impl FromStr for Share {
/// #     type Err = ParseFloatError;
/// #     fn from_str(text: &str) -> Result<Self, Self::Err> { text.parse().map(Self) }
/// # }
/// # impl fmt::Display for Share {
/// #     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
/// # }
///
/// chassis::text_value!(Share, "a share such as \"0.25\"");
/// ```
#[macro_export]
macro_rules! text_value {
    ($type:ty, $allowed:expr) => {
        impl $crate::settings::Value for $type {
            fn allowed() -> ::std::string::String {
                $allowed.into()
            }

            fn read(raw: $crate::settings::Raw<'_>) -> ::core::option::Option<Self> {
                raw.text()?.parse().ok()
            }

            fn render(&self) -> ::core::option::Option<$crate::settings::Toml> {
                ::core::option::Option::Some(::std::string::ToString::to_string(self).into())
            }
        }
    };
}

crate::one_of! {
    /// Where the service runs, as in OpenTelemetry's `deployment.environment.name`.
    pub enum Environment {
        /// A developer's machine: comfortable defaults, loopback only.
        Development = "development",
        /// Anywhere else: nothing is generated and nothing is open by default.
        Production = "production",
    }
}

/// A group of keys, declared by [`settings!`](crate::settings!).
pub trait Section: Node + Clone + Default {}

/// A key or a group of keys; implemented for every [`Value`] and by [`settings!`](crate::settings!).
#[doc(hidden)]
pub trait Node {
    fn visit<V: Visitor>(&mut self, name: &str, doc: &'static str, visitor: &mut V);
}

/// Is shown every key of a section, in the order of declaration.
#[doc(hidden)]
pub trait Visitor {
    fn key<T: Value>(&mut self, name: &str, doc: &'static str, value: &mut T);
}

/// A key that a section knows, for documents and their tests.
#[derive(Clone, Debug)]
pub struct Key {
    /// The full name, `section.key`.
    pub name: String,
    /// Whether the value is a secret, which may also be given as `<name>_file`.
    pub secret: bool,
    /// What a value may be, as in errors.
    pub allowed: String,
    /// The default as TOML; none where the key is optional and unset.
    pub default: Option<String>,
    /// The documentation of the key, on one line.
    pub doc: &'static str,
}

/// Every key of the section, in the order of declaration.
pub fn known_keys<S: Section>() -> Vec<Key> {
    let mut keys = Vec::new();
    S::default().visit("", "", &mut keys);
    keys
}

/// The full name of a key that stands in the section `at`; at the top `at` is empty.
#[doc(hidden)]
pub fn join(at: &str, key: &str) -> String {
    if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") }
}

impl<T: Value> Node for T {
    fn visit<V: Visitor>(&mut self, name: &str, doc: &'static str, visitor: &mut V) {
        visitor.key(name, doc, self);
    }
}

impl Visitor for Vec<Key> {
    fn key<T: Value>(&mut self, name: &str, doc: &'static str, value: &mut T) {
        self.push(Key {
            name: name.to_owned(),
            secret: T::SECRET,
            allowed: T::allowed(),
            default: value.render().map(|value| value.to_string()),
            doc: doc.trim(),
        });
    }
}
