//! Pages of users, oldest first, at a cost that does not grow with the directory.
//!
//! A page begins behind an id and follows the primary key from there. Only a prefix leaves a choice:
//! few users have it, and its indexes name them at once, or many have it, and the walk along the
//! primary key soon meets enough of them. Planners make that choice by statistics, which may be stale,
//! or for all values alike, as with prepared statements; the wrong one reads the whole table. So it is
//! made here, by asking the indexes, and each statement has one sensible plan.

use belvedere_entity::user::{self, Column, Entity};
use sea_orm::sea_query::{Alias, Expr, ExprTrait, Func, Query, SelectStatement, UnionType};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, Order, QueryFilter, QueryOrder,
    QuerySelect,
};
use uuid::Uuid;

use super::key;
use crate::users::model::Prefix;
use crate::users::{Cursor, PageQuery, UserError};

/// The most users that a prefix can have and count as rare. With one more, evenly spread, a page of
/// twenty of a million users is met within some 20,000 steps of the walk; both take about 10 ms.
const RARE: u64 = 1000;

/// Rows of one page, oldest first.
pub struct Page {
    /// At most as many as were asked for.
    pub rows: Vec<user::Model>,
    /// Where the next page begins, if there is one.
    pub next: Option<Cursor>,
}

/// One page of the users that `query` asks for.
pub async fn page(db: &impl ConnectionTrait, query: &PageQuery) -> Result<Page, UserError> {
    // One user at most has the address, and its index finds them.
    if query.email.is_none()
        && let Some(prefix) = &query.q
        && let Some(ids) = rare(db, prefix).await?
    {
        return among(db, query, ids).await;
    }
    // One more than asked for tells whether there is a next page.
    let select = Entity::find().filter(wanted(query)).limit(query.limit + 1);
    let mut rows = select.order_by_asc(Column::Id).all(db).await?;
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().map(|row| Cursor(row.id));
    Ok(Page { rows, next: last.filter(|_| more) })
}

/// The users whose name or address begins so, in the order of their creation, unless there are many.
async fn rare(db: &impl ConnectionTrait, prefix: &Prefix) -> Result<Option<Vec<Uuid>>, UserError> {
    let found = db.query_all(&candidates(prefix)).await?;
    if found.len() as u64 > RARE {
        return Ok(None);
    }
    let ids = found.iter().map(|row| row.try_get_by_index(0));
    let mut ids = ids.collect::<Result<Vec<Uuid>, _>>()?;
    ids.sort_unstable();
    ids.dedup();
    Ok(Some(ids))
}

/// The page of `query`, which wants some of the users with these ids and nobody else.
async fn among(
    db: &impl ConnectionTrait,
    query: &PageQuery,
    mut ids: Vec<Uuid>,
) -> Result<Page, UserError> {
    if let Some(Cursor(after)) = query.after {
        ids.drain(..ids.partition_point(|id| *id <= after));
    }
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let more = ids.len() > limit;
    ids.truncate(limit);
    let Some(last) = ids.last().copied() else {
        return Ok(Page { rows: Vec::new(), next: None });
    };
    // A text for each number of ids would push others out of the cache of prepared statements.
    ids.resize(limit, last);
    // Who was renamed in between is not shown.
    let select = Entity::find().filter(Column::Id.is_in(ids)).filter(wanted(query));
    let mut rows = select.all(db).await?;
    rows.sort_unstable_by_key(|row| row.id);
    Ok(Page { rows, next: Some(Cursor(last)).filter(|_| more) })
}

/// What `query` wants. No index can serve the prefix as it is written here, so none is tried.
fn wanted(query: &PageQuery) -> Condition {
    let mut wanted = Condition::all();
    if let Some(Cursor(id)) = query.after {
        wanted = wanted.add(Column::Id.gt(id));
    }
    if let Some(email) = &query.email {
        wanted = wanted.add(Column::EmailKey.eq(key(email.expose())));
    }
    if let Some(prefix) = &query.q {
        let first = key(prefix.expose());
        let either = Condition::any().add(starts(Column::NameKey, &first));
        wanted = wanted.add(either.add(starts(Column::EmailKey, &first)));
    }
    wanted
}

fn starts(column: Column, first: &str) -> Expr {
    let length = i32::try_from(first.chars().count()).unwrap_or(i32::MAX);
    let start = Func::cust("substr").args([Expr::col(column), 1.into(), length.into()]);
    Expr::from(start).eq(first)
}

/// Ids of users that `prefix` finds, by name and by address, one more than are rare at most.
fn candidates(prefix: &Prefix) -> SelectStatement {
    let by_email = first_of(Column::EmailKey, prefix, "by_email");
    let mut either = first_of(Column::NameKey, prefix, "by_name");
    either.union(UnionType::All, by_email).limit(RARE + 1).take()
}

/// In a subquery, because SQLite has a limit for a whole union only.
fn first_of(column: Column, prefix: &Prefix, name: &'static str) -> SelectStatement {
    let mut range = Query::select();
    range.column(Column::Id).from(Entity).cond_where(begins(column, prefix));
    // In the order of the index, so that a planner has no reason to read the table.
    range.order_by(column, Order::Asc).limit(RARE + 1);
    Query::select().column(Column::Id).from_subquery(range, Alias::new(name)).take()
}

/// As a range, which an index serves and in which no character has a meaning of its own.
fn begins(column: Column, prefix: &Prefix) -> Condition {
    let first = key(prefix.expose());
    let beyond = beyond(&first);
    let mut range = Condition::all().add(Expr::col(column).gte(first));
    if let Some(beyond) = beyond {
        range = range.add(Expr::col(column).lt(beyond));
    }
    range
}

/// The first text in code point order that is past all texts with this prefix, if there is one.
fn beyond(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // A range of `char` steps over the surrogates.
        if let Some(next) = (last..=char::MAX).nth(1) {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_ends_behind_all_texts_with_the_prefix() {
        assert_eq!(beyond("ad").as_deref(), Some("ae"));
        assert_eq!(beyond("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(beyond("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(beyond("\u{10ffff}"), None);
    }
}
