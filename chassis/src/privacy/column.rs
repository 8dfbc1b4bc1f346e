//! `Pii` as a column of a table: stored like the text itself.

use sea_orm::sea_query::{ArrayType, ColumnType, Nullable, ValueType, ValueTypeErr};
use sea_orm::{ActiveValue, ColIdx, IntoActiveValue, QueryResult, TryGetError, TryGetable, Value};

use super::Pii;

impl From<Pii<String>> for Value {
    fn from(text: Pii<String>) -> Self {
        text.into_exposed().into()
    }
}

impl TryGetable for Pii<String> {
    fn try_get_by<I: ColIdx>(result: &QueryResult, index: I) -> Result<Self, TryGetError> {
        String::try_get_by(result, index).map(Self::new)
    }
}

impl ValueType for Pii<String> {
    fn try_from(value: Value) -> Result<Self, ValueTypeErr> {
        <String as ValueType>::try_from(value).map(Self::new)
    }

    fn type_name() -> String {
        String::type_name()
    }

    fn array_type() -> ArrayType {
        String::array_type()
    }

    fn column_type() -> ColumnType {
        String::column_type()
    }
}

impl Nullable for Pii<String> {
    fn null() -> Value {
        String::null()
    }
}

impl IntoActiveValue<Self> for Pii<String> {
    fn into_active_value(self) -> ActiveValue<Self> {
        ActiveValue::Set(self)
    }
}
