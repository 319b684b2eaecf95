//! The fields of an entry that rules, templates, the API and the command line can name.
//!
//! One list, [`Field::ALL`], is what they all walk: a field added here is known everywhere.
//! Deliberately absent: how a clause on a field is compiled (see `clause`).

use std::fmt;

/// A field of an entry, under the same name everywhere a person writes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Field {
    /// The row's repository, else the one that was asked for.
    Repo,
    /// The image's tag.
    Tag,
    /// The result code of the service update; 0 is success, absent is unknown.
    ReturnCode,
    /// The result's free text.
    ReturnMsg,
    /// The service that was updated.
    Service,
    /// Its namespace.
    Namespace,
    /// Its cluster.
    ClusterId,
    /// The container whose image was replaced.
    Container,
    /// The trigger's name.
    Trigger,
    /// The name of `clusterRegion`.
    Region,
    /// The cluster's region as the registry numbers it.
    ClusterRegion,
    /// The trigger's condition: `all`, `taglist` or `regex`.
    InvokeMethod,
    /// What the condition compares with.
    InvokeExpr,
    /// What fired the trigger; documented as always `IMAGE_PUSH`.
    InvokeSource,
    /// What the trigger did; documented as always `SERVICE_UPDATE`.
    InvokeAction,
    /// The account.
    AppId,
    /// The configured source that the entry came from.
    Source,
    /// When the trigger fired.
    Time,
}

/// What a bare scalar means in a clause on a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldKind {
    /// A glob; `*` stops at `/`, `**` does not.
    Glob,
    /// A regular expression, anchored at both ends.
    Regex,
    /// A whole number.
    Number,
    /// Contained text.
    Contains,
    /// Exactly this text.
    Exact,
    /// An instant, which takes only `min`, `max` and `since`.
    Time,
}

impl Field {
    /// Every field, in the order in which lists of them are printed.
    pub const ALL: &'static [Self] = &[
        Self::Repo,
        Self::Tag,
        Self::ReturnCode,
        Self::ReturnMsg,
        Self::Service,
        Self::Namespace,
        Self::ClusterId,
        Self::Container,
        Self::Trigger,
        Self::Region,
        Self::ClusterRegion,
        Self::InvokeMethod,
        Self::InvokeExpr,
        Self::InvokeSource,
        Self::InvokeAction,
        Self::AppId,
        Self::Source,
        Self::Time,
    ];

    /// The name a person writes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Repo => "repo",
            Self::Tag => "tag",
            Self::ReturnCode => "returnCode",
            Self::ReturnMsg => "returnMsg",
            Self::Service => "service",
            Self::Namespace => "namespace",
            Self::ClusterId => "clusterId",
            Self::Container => "container",
            Self::Trigger => "trigger",
            Self::Region => "region",
            Self::ClusterRegion => "clusterRegion",
            Self::InvokeMethod => "invokeMethod",
            Self::InvokeExpr => "invokeExpr",
            Self::InvokeSource => "invokeSource",
            Self::InvokeAction => "invokeAction",
            Self::AppId => "appId",
            Self::Source => "source",
            Self::Time => "time",
        }
    }

    /// The field of that name, matched case-sensitively.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|field| field.name() == name)
    }

    /// What a bare scalar means in a clause on this field.
    pub const fn kind(self) -> FieldKind {
        match self {
            Self::Repo
            | Self::Service
            | Self::Namespace
            | Self::ClusterId
            | Self::Container
            | Self::Trigger
            | Self::Region => FieldKind::Glob,
            Self::Tag => FieldKind::Regex,
            Self::ReturnCode | Self::ClusterRegion => FieldKind::Number,
            Self::ReturnMsg | Self::InvokeExpr => FieldKind::Contains,
            Self::AppId
            | Self::Source
            | Self::InvokeSource
            | Self::InvokeAction
            | Self::InvokeMethod => FieldKind::Exact,
            Self::Time => FieldKind::Time,
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
