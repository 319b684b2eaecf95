//! How the stand-in registry says no: one list for both generations of the API.
//!
//! Codes are the contract's (`trigger-log-api` 1.4 and 2.2). What the documents leave open, the
//! `codeDesc` of most 2.0 codes and the wording of messages, is made up here and marked by nothing:
//! clients must not depend on either.

/// A refusal, in both languages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The number of API 2.0.
    pub(super) code: u32,
    /// The word that goes with it.
    pub(super) code_desc: &'static str,
    /// The code of API 3.0.
    pub(super) code3: &'static str,
    /// A sentence.
    pub(super) message: String,
}

macro_rules! refusals {
    ($($name:ident $code:literal $desc:literal $code3:literal,)*) => {
        impl Refusal {
            $(pub(super) fn $name(message: impl Into<String>) -> Self {
                Self { code: $code, code_desc: $desc, code3: $code3, message: message.into() }
            })*
        }
    };
}

refusals! {
    bad_parameter 4000 "InvalidParameter" "InvalidParameter",
    missing_parameter 4000 "InvalidParameter" "MissingParameter",
    unknown_parameter 4000 "InvalidParameter" "UnknownParameter",
    unknown_action 4000 "InvalidParameter" "InvalidAction",
    unknown_version 6100 "VersionNotSupported" "NoSuchVersion",
    unknown_region 4000 "InvalidParameter" "UnsupportedRegion",
    no_authorization 4100 "AuthFailure" "AuthFailure.InvalidAuthorization",
    bad_signature 4100 "AuthFailure" "AuthFailure.SignatureFailure",
    unknown_secret_id 4104 "AuthFailure" "AuthFailure.SecretIdNotFound",
    bad_token 4105 "AuthFailure" "AuthFailure.TokenFailure",
    expired 4200 "RequestExpired" "AuthFailure.SignatureExpire",
    replayed 4500 "ReplayAttack" "AuthFailure.SignatureExpire",
    retired 4300 "AccessDenied" "ActionOffline",
    throttled 4400 "QuotaExceeded" "RequestLimitExceeded",
    no_registry 5000 "ResourceNotFound" "ResourceNotFound",
    no_repo 5000 "ResourceNotFound" "ResourceNotFound.ErrNoRepo",
}
