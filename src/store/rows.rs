//! The rows of the state file: how the desired state is spelled there, and read back.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, Row, Transaction, params};

use super::change::Actor;
use super::desired::{Mark, Marks, Override};
use super::history::{Event, EventKind, NewEvent};
use super::journal::Saved;
use crate::model::{BackendName, Revision, RouteName, RuleId, RuleName, Weight, Weights};

/// Writes what is different between `old`, which is on the disk, and `new`.
pub(super) fn write(to: &Transaction<'_>, old: &Saved, new: &Saved) -> rusqlite::Result<()> {
    let set = "INSERT OR REPLACE INTO state (key, value) VALUES (?1, ?2)";
    if old.revision != new.revision {
        to.prepare_cached(set)?
            .execute(params!["revision", number(new.revision)])?;
    }
    if old.text != new.text {
        to.prepare_cached(set)?
            .execute(params!["base", new.text.as_deref()])?;
    }
    let layers = [
        (&old.overrides, &new.overrides, false),
        (&old.parked, &new.parked, true),
    ];
    // First what goes, then what comes: an override that is parked changes layers.
    for (old, new, _) in layers {
        let gone = old.keys().filter(|id| !new.contains_key(*id));
        for id in gone {
            let sql = "DELETE FROM overrides WHERE route = ?1 AND rule = ?2";
            to.prepare_cached(sql)?
                .execute([id.route.as_str(), id.rule.as_str()])?;
        }
    }
    for (old, new, parked) in layers {
        let fresh = new.iter().filter(|(id, over)| old.get(*id) != Some(*over));
        for (id, over) in fresh {
            write_override(to, id, over, parked)?;
        }
    }
    let gone = old.marks.keys().filter(|id| !new.marks.contains_key(*id));
    for id in gone {
        let sql = "DELETE FROM splits WHERE route = ?1 AND rule = ?2";
        to.prepare_cached(sql)?
            .execute([id.route.as_str(), id.rule.as_str()])?;
    }
    let fresh = new
        .marks
        .iter()
        .filter(|(id, mark)| old.marks.get(*id) != Some(*mark));
    for (id, mark) in fresh {
        let sql = "INSERT OR REPLACE INTO splits (route, rule, revision, weights)
                   VALUES (?1, ?2, ?3, ?4)";
        let (route, rule) = (id.route.as_str(), id.rule.as_str());
        let values = params![route, rule, number(mark.revision), &*mark.weights];
        to.prepare_cached(sql)?.execute(values)?;
    }
    Ok(())
}

fn write_override(
    to: &Transaction<'_>,
    id: &RuleId,
    over: &Override,
    parked: bool,
) -> rusqlite::Result<()> {
    let weights: BTreeMap<&str, u32> = over
        .weights
        .iter()
        .map(|(backend, weight)| (backend.as_str(), weight.get()))
        .collect();
    let weights = serde_json::to_string(&weights).expect("a map of texts to numbers is JSON");
    let sql = "INSERT OR REPLACE INTO overrides
               (route, rule, weights, actor, reason, since, expires_at, parked)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    to.prepare_cached(sql)?.execute(params![
        id.route.as_str(),
        id.rule.as_str(),
        weights,
        over.actor.as_str(),
        over.reason,
        over.since.to_string(),
        over.expires_at.map(|at| at.to_string()),
        parked,
    ])?;
    Ok(())
}

pub(super) fn record(
    to: &Transaction<'_>,
    event: NewEvent,
    revision: Revision,
    now: Timestamp,
) -> rusqlite::Result<Event> {
    let sql = "INSERT INTO events (time, revision, kind, actor, route, rule, message, reason)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    to.prepare_cached(sql)?.execute(params![
        now.to_string(),
        number(revision),
        event.kind.as_str(),
        event.actor.as_str(),
        event.rule.as_ref().map(|id| id.route.as_str()),
        event.rule.as_ref().map(|id| id.rule.as_str()),
        event.message,
        event.reason,
    ])?;
    let NewEvent {
        kind,
        actor,
        rule,
        message,
        reason,
    } = event;
    let id = to.last_insert_rowid().cast_unsigned();
    Ok(Event {
        id,
        time: now,
        revision,
        kind,
        actor,
        rule,
        message,
        reason,
    })
}

/// SQLite's integers are signed; revisions never come near the difference.
fn number(revision: Revision) -> i64 {
    revision.get().cast_signed()
}

#[derive(Debug)]
pub(super) enum LoadError {
    Sqlite(rusqlite::Error),
    /// A row that Pointsman cannot have written.
    Content(String),
}

impl From<rusqlite::Error> for LoadError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error::{FromSqlConversionFailure, InvalidColumnType};
        if matches!(error, InvalidColumnType(..) | FromSqlConversionFailure(..)) {
            return Self::Content(error.to_string());
        }
        Self::Sqlite(error)
    }
}

pub(super) fn load(from: &Connection) -> Result<Saved, LoadError> {
    let mut saved = Saved::default();
    let mut state = from.prepare("SELECT key, value FROM state")?;
    let mut rows = state.query([])?;
    while let Some(row) = rows.next()? {
        match &*row.get::<_, String>(0)? {
            "revision" => saved.revision = Revision::new(row.get::<_, i64>(1)?.cast_unsigned()),
            "base" => saved.text = Some(Arc::from(row.get::<_, String>(1)?)),
            other => {
                return Err(LoadError::Content(format!(
                    "it says {other:?}, whatever that is"
                )));
            }
        }
    }
    let sql =
        "SELECT route, rule, weights, actor, reason, since, expires_at, parked FROM overrides";
    let mut statement = from.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, over) = read_override(row)?;
        let parked: bool = row.get(7)?;
        let layer = if parked {
            &mut saved.parked
        } else {
            &mut saved.overrides
        };
        layer.insert(id, over);
    }
    let mut marks = Marks::new();
    let mut statement = from.prepare("SELECT route, rule, revision, weights FROM splits")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let revision = Revision::new(row.get::<_, i64>(2)?.cast_unsigned());
        let weights = row.get::<_, String>(3)?.into_boxed_str();
        marks.insert(
            read_rule(&row.get::<_, String>(0)?, &row.get::<_, String>(1)?)?,
            Mark { revision, weights },
        );
    }
    saved.marks = Arc::new(marks);
    Ok(saved)
}

fn read_rule(route: &str, rule: &str) -> Result<RuleId, LoadError> {
    let bad = |text: &str| LoadError::Content(format!("{text:?} is no name"));
    Ok(RuleId {
        route: RouteName::parse(route).map_err(|_| bad(route))?,
        rule: RuleName::parse(rule).map_err(|_| bad(rule))?,
    })
}

fn read_override(row: &Row<'_>) -> Result<(RuleId, Override), LoadError> {
    let id = read_rule(&row.get::<_, String>(0)?, &row.get::<_, String>(1)?)?;
    let bad = |what: &str| LoadError::Content(format!("the override of {id} has {what}"));
    let json: BTreeMap<String, u64> = serde_json::from_str(&row.get::<_, String>(2)?)
        .map_err(|_| bad("weights that are none"))?;
    let pair = |(backend, weight): (&String, &u64)| {
        Some((
            BackendName::parse(backend).ok()?,
            Weight::new(*weight).ok()?,
        ))
    };
    let weights = json
        .iter()
        .map(pair)
        .collect::<Option<Weights>>()
        .ok_or_else(|| bad("weights that are none"))?;
    let actor = Actor::parse(&row.get::<_, String>(3)?).ok_or_else(|| bad("no actor"))?;
    let time = |text: String| {
        text.parse::<Timestamp>()
            .map_err(|_| bad("a time that is none"))
    };
    let since = time(row.get(5)?)?;
    let expires_at = row.get::<_, Option<String>>(6)?.map(time).transpose()?;
    let reason = row.get(4)?;
    Ok((
        id.clone(),
        Override {
            weights,
            actor,
            reason,
            since,
            expires_at,
        },
    ))
}

/// `None` for a row that does not read: one odd line must not hide the rest of the history.
pub(super) fn read_event(row: &Row<'_>) -> rusqlite::Result<Option<Event>> {
    let (route, rule): (Option<String>, Option<String>) = (row.get(5)?, row.get(6)?);
    let rule = route
        .zip(rule)
        .and_then(|(route, rule)| read_rule(&route, &rule).ok());
    let known = (
        row.get::<_, String>(1)?.parse().ok(),
        EventKind::parse(&row.get::<_, String>(3)?),
        Actor::parse(&row.get::<_, String>(4)?),
    );
    let (Some(time), Some(kind), Some(actor)) = known else {
        return Ok(None);
    };
    Ok(Some(Event {
        id: row.get::<_, i64>(0)?.cast_unsigned(),
        time,
        revision: Revision::new(row.get::<_, i64>(2)?.cast_unsigned()),
        kind,
        actor,
        rule,
        message: row.get(7)?,
        reason: row.get(8)?,
    }))
}
