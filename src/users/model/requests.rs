//! The bodies of requests about users: which fields they have, and which must be there.

use belvedere_entity::user;
use chassis::http::input::Fields;
use chassis::password::{Known, PasswordSettings};
use poem_openapi::types::MaybeUndefined;

use super::{Address, Email, Name, NewPassword, Password, PhoneNumber, READ_ONLY, Role, Status};
use crate::schema::request_object;

request_object! {
    /// A user to be created.
    pub struct NewUser {
        /// What the person is called.
        pub name: Name = required,
        /// The address to sign in with; unique without regard to case.
        pub email: Email = required,
        /// 15 to 256 characters of any kind, unless the operator set other limits; taken exactly as sent.
        /// Refused where it is commonly used, or made of such passwords, repetitions, rows of keys, or the
        /// user's name or address.
        pub password: NewPassword = required,
        /// E.164.
        pub phone_number: Option<PhoneNumber> = optional,
        /// Postal address.
        pub address: Option<Address> = optional,
    }
    example: {
        "name": "Ada Lovelace",
        "email": "ada@example.org",
        "password": "a quiet bench above the river",
        "phone_number": "+442071838750"
    }
}

request_object! {
    /// What a user is to be from now on; a field that is left out is emptied.
    pub struct UserChange {
        /// What the person is called.
        pub name: Name = required,
        /// The address to sign in with; unique without regard to case.
        pub email: Email = required,
        /// E.164.
        pub phone_number: Option<PhoneNumber> = optional,
        /// Postal address.
        pub address: Option<Address> = optional,
    }
    read_only: READ_ONLY,
    example: { "name": "Ada King", "email": "ada@example.org", "address": "12 St James's Square\nLondon" }
}

request_object! {
    /// A JSON Merge Patch (RFC 7396): fields that are left out stay, null removes.
    pub struct UserPatch {
        /// What the person is called.
        pub name: Option<Name> = replaced,
        /// The address to sign in with; unique without regard to case.
        pub email: Option<Email> = replaced,
        /// E.164.
        pub phone_number: MaybeUndefined<PhoneNumber> = patched,
        /// Postal address.
        pub address: MaybeUndefined<Address> = patched,
    }
    read_only: READ_ONLY,
    example: { "name": "Ada King", "phone_number": null }
}

request_object! {
    /// A new password, and the present one as proof.
    pub struct PasswordChange {
        /// The password until now.
        pub current_password: Option<Password> = required,
        /// 15 to 256 characters of any kind, unless the operator set other limits; taken exactly as sent.
        /// Refused where it is commonly used, or made of such passwords, repetitions, rows of keys, or the
        /// user's name or address.
        pub new_password: Option<NewPassword> = required,
    }
    example: {
        "current_password": "a quiet bench above the river",
        "new_password": "seven quiet lamps under the bridge"
    }
}

request_object! {
    /// A new role.
    pub struct RoleChange {
        /// What the user may do from now on.
        pub role: Role = required,
    }
    read_only: &[],
    example: { "role": "admin" }
}

request_object! {
    /// Whether a user may sign in.
    pub struct StatusChange {
        /// Whether the user may sign in from now on.
        pub status: Status = required,
    }
    read_only: &[],
    example: { "status": "disabled" }
}

impl NewUser {
    /// Takes the fields; the password is held against the operator's limits and the other fields.
    pub fn from_fields(fields: &mut Fields, limits: &PasswordSettings) -> Option<Self> {
        let name: Option<Name> = fields.required("name");
        let email: Option<Email> = fields.required("email");
        let known = known(name.as_ref().map(Name::expose), email.as_ref().map(Email::expose));
        let password = new_password(fields, "password", limits, &known);
        let phone_number = fields.optional("phone_number");
        let address = fields.optional("address");
        Some(Self {
            name: name?,
            email: email?,
            password: password?,
            phone_number: phone_number?,
            address: address?,
        })
    }
}

impl NewUser {
    /// All but the password, in an order that stays.
    pub fn open_fields(&self) -> [Option<&str>; 4] {
        [
            Some(self.name.expose()),
            Some(self.email.expose()),
            self.phone_number.as_ref().map(PhoneNumber::expose),
            self.address.as_ref().map(Address::expose),
        ]
    }
}

impl PasswordChange {
    /// Takes the fields as far as they are acceptable; the new password is held against the operator's
    /// limits and what is known of the user. The proof is to be verified also where the new password is
    /// refused: callers hear of both.
    pub fn from_fields(fields: &mut Fields, limits: &PasswordSettings, row: &user::Model) -> Self {
        let known = known(Some(row.name.expose()), Some(row.email.expose()));
        Self {
            current_password: fields.required("current_password"),
            new_password: new_password(fields, "new_password", limits, &known),
        }
    }
}

impl UserPatch {
    /// Whether it leaves everything as it is.
    pub fn is_empty(&self) -> bool {
        self.name.is_none()
            && self.email.is_none()
            && self.phone_number.is_undefined()
            && self.address.is_undefined()
    }
}

/// To replace everything is to patch everything.
impl From<UserChange> for UserPatch {
    fn from(change: UserChange) -> Self {
        Self {
            name: Some(change.name),
            email: Some(change.email),
            phone_number: Some(change.phone_number).into(),
            address: Some(change.address).into(),
        }
    }
}

/// What no password may be made of: the user's own name and address, as far as they are acceptable
/// themselves, and the name of the service.
fn known<'a>(name: Option<&'a str>, email: Option<&'a str>) -> Vec<Known<'a>> {
    let known = [
        (name, "the user's name"),
        (email, "the user's e-mail address"),
        (Some(env!("CARGO_PKG_NAME")), "the name of this service"),
    ];
    let known = known.into_iter().filter_map(|(text, what)| Some(Known { text: text?, what }));
    known.collect()
}

fn new_password(
    fields: &mut Fields,
    name: &'static str,
    limits: &PasswordSettings,
    known: &[Known<'_>],
) -> Option<NewPassword> {
    let password: Password = fields.required(name)?;
    match NewPassword::parse(password.0, limits, known) {
        Ok(password) => Some(password),
        Err(allowed) => fields.reject(name, allowed),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use chassis::testing::hold;
    use serde_json::{Map, Value, json};

    use super::*;

    #[test]
    fn a_patch_tells_absent_from_null() {
        let patch: UserPatch =
            Fields::check(members(&json!({ "name": "Ada", "address": null }))).unwrap();
        assert_eq!(patch.name.as_ref().map(Name::expose), Some("Ada"));
        assert!(patch.email.is_none());
        assert!(patch.phone_number.is_undefined());
        assert!(patch.address.is_null());
    }

    #[test]
    fn an_empty_patch_is_one() {
        let patch: UserPatch = Fields::check(Map::new()).unwrap();
        assert!(patch.is_empty());
    }

    #[test]
    fn a_patch_cannot_remove_a_name() {
        let result: Result<UserPatch, _> = Fields::check(members(&json!({ "name": null })));
        assert!(format!("{result:?}").contains("/name"));
    }

    #[test]
    fn replacing_empties_what_is_left_out() {
        let change: UserChange =
            Fields::check(members(&json!({ "name": "Ada", "email": "ada@example.org" }))).unwrap();
        let patch = UserPatch::from(change);
        assert!(patch.phone_number.is_null());
        assert!(patch.address.is_null());
    }

    #[test]
    fn every_unacceptable_field_is_named() {
        let body = json!({ "name": 7, "email": "ada", "role": "admin", "nick": "a" });
        let result: Result<UserChange, _> = Fields::check(members(&body));
        let text = format!("{result:?}");
        for pointer in ["/name", "/email", "/role", "/nick"] {
            assert!(text.contains(pointer), "{pointer} in {text}");
        }
    }

    fn members(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    /// RFC 7396, section 2, for an object of texts: null removes, a value replaces, all else stays.
    fn merged(mut target: Map<String, Value>, patch: Map<String, Value>) -> Map<String, Value> {
        for (name, value) in patch {
            if value.is_null() {
                target.remove(&name);
            } else {
                target.insert(name, value);
            }
        }
        target
    }

    #[test]
    fn the_model_is_that_of_the_rfc() {
        // Of appendix A, the cases whose targets and patches are flat objects.
        for (target, patch, result) in [
            (json!({ "a": "b" }), json!({ "a": "c" }), json!({ "a": "c" })),
            (json!({ "a": "b" }), json!({ "b": "c" }), json!({ "a": "b", "b": "c" })),
            (json!({ "a": "b" }), json!({ "a": null }), json!({})),
            (json!({ "a": "b", "b": "c" }), json!({ "a": null }), json!({ "b": "c" })),
            (json!({ "e": null }), json!({ "a": 1 }), json!({ "e": null, "a": 1 })),
        ] {
            assert_eq!(Value::from(merged(members(&target), members(&patch))), result);
        }
    }

    #[test]
    fn a_patch_does_what_the_rfc_says() {
        let before = json!({
            "name": "Ada", "email": "ada@example.org", "phone_number": "+12", "address": "Here"
        });
        let given = |text| proptest::option::of(text);
        let removable = |text| proptest::option::of(given(text));
        let patches = (
            given("[a-z]{1,9}"),
            given("[a-z]{1,9}@[a-z]{1,9}\\.org"),
            removable("\\+[1-9][0-9]{1,14}"),
            removable("[a-z]{1,9}"),
        );
        hold(patches, |(name, email, phone_number, address)| {
            let mut patch = Map::new();
            let members_given = [
                ("name", name.map(Some)),
                ("email", email.map(Some)),
                ("phone_number", phone_number),
                ("address", address),
            ];
            for (member, value) in members_given {
                if let Some(value) = value {
                    patch.insert(member.to_owned(), json!(value));
                }
            }
            let expected = merged(members(&before), patch.clone());
            let parsed: UserPatch = Fields::check(patch).unwrap();
            assert_eq!(applied(&before, &parsed), expected);
        });
    }

    /// What the store makes of a patch: absent stays, null is emptied, a value is set.
    fn applied(before: &Value, patch: &UserPatch) -> Map<String, Value> {
        let mut after = members(before);
        if let Some(name) = &patch.name {
            after["name"] = json!(name.expose());
        }
        if let Some(email) = &patch.email {
            after["email"] = json!(email.expose());
        }
        for (member, change) in [
            ("phone_number", patch.phone_number.as_ref().map_value(PhoneNumber::expose)),
            ("address", patch.address.as_ref().map_value(Address::expose)),
        ] {
            match change {
                MaybeUndefined::Undefined => {}
                MaybeUndefined::Null => drop(after.remove(member)),
                MaybeUndefined::Value(text) => after[member] = json!(text),
            }
        }
        after
    }

    #[test]
    fn no_object_is_a_panic() {
        let values =
            proptest::collection::vec(("[a-z_]{0,12}|name|email|address", "[ -~]{0,9}"), 0..6);
        hold(values, |pairs| {
            let members = || {
                pairs.iter().map(|(name, value)| {
                    let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
                    (name.clone(), value)
                })
            };
            let _: Result<UserPatch, _> = Fields::check(members().collect());
            let _: Result<UserChange, _> = Fields::check(members().collect());
        });
    }
}
