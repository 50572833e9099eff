//! Who speaks.

use serde::Serialize;

use crate::names::{UserId, UserName};

/// A user, as everyone in a room sees them: `{"id":…,"name":…}`, and `"guest":true` for a guest.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct User {
    /// What identifies them for good.
    pub id: UserId,
    /// What they are called now.
    pub name: UserName,
    /// Whether they came in by a name alone, without an account.
    #[serde(skip_serializing_if = "is_false")]
    pub guest: bool,
}

/// For fields that say something only when they are true.
pub(crate) fn is_false(flag: &bool) -> bool {
    !flag
}
