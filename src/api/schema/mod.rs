//! The forms of what the API answers, for its description. Values are made elsewhere (`view`, and the
//! ports' own types); an independent tool holds what is answered to these.
//!
//! Words and fields are taken from the lists that the rest of the program walks.

#![expect(dead_code, reason = "forms are described and never made")]

mod entry;
mod notification;
mod quiet;
mod rule;
mod status;

pub(crate) use entry::*;
pub(crate) use notification::*;
pub(crate) use quiet::*;
pub(crate) use rule::*;
pub(crate) use status::*;

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Object, ObjectBuilder, RefOr, Schema,
        schema::{KnownFormat, SchemaFormat, SchemaType, Type},
    },
};

use crate::{
    domain::{
        field::{Field, FieldKind},
        notification::{HeldBy, NotificationState, Reason},
        outcome::{Flag, Scope},
        rule::{Mode, Severity},
        verdict::Truth,
    },
    ports::{AlarmKind, SourceState},
};

/// Describes words by the list that declares them.
macro_rules! words {
    ($($name:ident $words:expr;)+) => {
        $(
            pub(crate) struct $name;

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    text().enum_values(Some($words)).build().into()
                }
            }

            impl ToSchema for $name {}
        )+
    };
}

words! {
    ReasonWord Reason::ALL.iter().map(|word| word.name());
    StateWord NotificationState::ALL.iter().map(|word| word.name());
    HeldByWord HeldBy::ALL.iter().map(|word| word.name());
    SeverityWord Severity::ALL.iter().map(|word| word.name());
    ModeWord Mode::ALL.iter().map(|word| word.name());
    ScopeWord Scope::ALL.iter().map(|word| word.name());
    FlagWord Flag::ALL.iter().map(|word| word.name());
    ClassWord ["delivered", "retry", "permanent"];
    TruthWord [Truth::True, Truth::False, Truth::Unknown].map(|truth| serde_json::json!(truth));
    SourceStateWord SourceState::ALL.iter().map(|word| word.name());
    AlarmKindWord AlarmKind::ALL.iter().map(|word| word.name());
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// 32 hexadecimal digits.
pub(crate) struct Id;

impl PartialSchema for Id {
    fn schema() -> RefOr<Schema> {
        text().pattern(Some("^[0-9a-fA-F]{32}$")).build().into()
    }
}

impl ToSchema for Id {}

/// The fields of an entry; one that the row lacked is absent.
pub(crate) struct Fields;

impl PartialSchema for Fields {
    fn schema() -> RefOr<Schema> {
        let of = |field: Field| -> Object {
            let builder = match field.kind() {
                FieldKind::Number => ObjectBuilder::new().schema_type(Type::Integer),
                FieldKind::Time => {
                    text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
                }
                // A region whose name is not known is its number.
                _ if field == Field::Region => ObjectBuilder::new()
                    .schema_type(SchemaType::from_iter([Type::String, Type::Integer])),
                _ => text(),
            };
            builder.build()
        };
        let fields = Field::ALL.iter();
        let object = fields
            .fold(ObjectBuilder::new().schema_type(Type::Object), |object, &field| {
                object.property(field.name(), of(field))
            });
        ["repo", "source", "time"].into_iter().fold(object, ObjectBuilder::required).build().into()
    }
}

impl ToSchema for Fields {}

/// Problem details (RFC 9457).
#[derive(ToSchema)]
pub(crate) struct Problem {
    r#type: String,
    title: String,
    status: u16,
    /// What is wrong and what to do.
    detail: String,
}
