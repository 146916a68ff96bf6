//! The state on disk: overrides and history, in SQLite.
//!
//! A commit is on the disk when it returns: write-ahead log with `synchronous=FULL`, both read back
//! from SQLite at start. The file is made under another name and renamed when it is whole, so a
//! state file that is empty or lacks its tables is damage and never a fresh start.
//!
//! What is written is the difference between the state on disk and the state wanted, whatever
//! change led there: one way to write, for a weight, a reload and a start alike.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use super::desired::{Desired, Marks, Override};
use super::directory::{Directory, StoreError};
use super::history::{Event, HISTORY_MAX, History, NewEvent};
use super::rows::{LoadError, load, read_event, record, write};
use crate::model::{Revision, RuleId};

/// Format of the state file. A file with a higher one is refused, never guessed at.
const FORMAT: i64 = 1;
/// `poin`, so that tools tell the file from other SQLite files.
const APPLICATION: i64 = 0x706f_696e;
/// How long a reader of the file (a backup) may hold us up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

const TABLES: &str = "
CREATE TABLE state (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE overrides (
    route TEXT NOT NULL, rule TEXT NOT NULL, weights TEXT NOT NULL, actor TEXT NOT NULL,
    reason TEXT, since TEXT NOT NULL, expires_at TEXT, parked INTEGER NOT NULL,
    PRIMARY KEY (route, rule)
) STRICT, WITHOUT ROWID;
CREATE TABLE splits (
    route TEXT NOT NULL, rule TEXT NOT NULL, revision INTEGER NOT NULL, weights TEXT NOT NULL,
    PRIMARY KEY (route, rule)
) STRICT, WITHOUT ROWID;
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, revision INTEGER NOT NULL,
    kind TEXT NOT NULL, actor TEXT NOT NULL, route TEXT, rule TEXT, message TEXT NOT NULL,
    reason TEXT
) STRICT;";

/// What the disk holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Saved {
    pub(super) revision: Revision,
    /// The text of the base that was served last.
    pub(super) text: Option<Arc<str>>,
    pub(super) overrides: BTreeMap<RuleId, Override>,
    pub(super) parked: BTreeMap<RuleId, Override>,
    pub(super) marks: Arc<Marks>,
}

/// The open state file.
#[derive(Debug)]
pub(super) struct Journal {
    connection: Connection,
    /// As on the disk.
    saved: Saved,
    path: PathBuf,
    /// `None`: in memory.
    _directory: Option<Directory>,
}

impl Journal {
    /// Opens the state in `directory`, or an empty one in memory.
    ///
    /// # Errors
    /// Says what is wrong with the directory or the file, and what to do about it.
    pub(super) fn open(directory: Option<&Path>) -> Result<Self, StoreError> {
        let Some(directory) = directory else {
            return Self::in_memory();
        };
        let directory = Directory::take(directory)?;
        let path = directory.database();
        if !path.exists() {
            create(&directory, &path)?;
        }
        let fail = failure(path.clone());
        let connection =
            Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(&fail)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(&fail)?;
        check_format(&connection, &path)?;
        check_health(&connection, &path)?;
        make_durable(&connection, &path)?;
        let saved = load(&connection).map_err(|error| match error {
            // The tables are ours and whole: what does not read was not written by us.
            LoadError::Sqlite(error) => fail(error),
            LoadError::Content(why) => damaged(&path, why),
        })?;
        Ok(Self {
            connection,
            saved,
            path,
            _directory: Some(directory),
        })
    }

    fn in_memory() -> Result<Self, StoreError> {
        let path = PathBuf::from(":memory:");
        let connection = Connection::open_in_memory().map_err(failure(path.clone()))?;
        connection
            .execute_batch(TABLES)
            .map_err(failure(path.clone()))?;
        let saved = Saved::default();
        Ok(Self {
            connection,
            saved,
            path,
            _directory: None,
        })
    }

    pub(super) fn saved(&self) -> &Saved {
        &self.saved
    }

    /// Makes `next` and its events durable. When this returns, both survive a power cut.
    ///
    /// # Errors
    /// When SQLite could not write; then the disk still holds the state before.
    pub(super) fn commit(
        &mut self,
        next: &Desired,
        events: Vec<NewEvent>,
        now: Timestamp,
    ) -> rusqlite::Result<Vec<Event>> {
        let text = match &self.saved.text {
            Some(text) if **text == *next.base.text() => Arc::clone(text),
            Some(_) | None => Arc::from(next.base.text()),
        };
        let wanted = Saved {
            revision: next.revision,
            text: Some(text),
            overrides: next.overrides.clone(),
            parked: next.parked.clone(),
            marks: Arc::clone(&next.marks),
        };
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        write(&transaction, &self.saved, &wanted)?;
        let mut written = Vec::with_capacity(events.len());
        for event in events {
            written.push(record(&transaction, event, next.revision, now)?);
        }
        if let Some(newest) = written.last() {
            let gone = newest.id.saturating_sub(HISTORY_MAX);
            transaction.execute("DELETE FROM events WHERE id <= ?1", [gone.cast_signed()])?;
        }
        transaction.commit()?;
        self.saved = wanted;
        Ok(written)
    }

    /// Up to `limit` events behind `after`, or the newest ones.
    pub(super) fn history(&self, after: Option<u64>, limit: u64) -> rusqlite::Result<History> {
        let ends = "SELECT min(id), max(id) FROM events";
        let kept = self.connection.query_row(ends, [], |row| {
            let (oldest, newest): (Option<i64>, Option<i64>) = (row.get(0)?, row.get(1)?);
            Ok(oldest
                .zip(newest)
                .map(|(a, b)| (a.cast_unsigned(), b.cast_unsigned())))
        })?;
        let after = after.unwrap_or_else(|| kept.map_or(0, |(_, b)| b.saturating_sub(limit)));
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let sql = "SELECT id, time, revision, kind, actor, route, rule, message, reason
                   FROM events WHERE id > ?1 ORDER BY id LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![after, limit.cast_signed()], read_event)?;
        let events = rows
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()?;
        Ok(History { events, kept })
    }

    #[cfg(test)]
    pub(super) fn durability(&self) -> rusqlite::Result<(String, i64)> {
        durability(&self.connection)
    }

    pub(super) fn failed(&self, why: &rusqlite::Error) -> StoreError {
        StoreError::Failed {
            path: self.path.clone(),
            why: why.to_string(),
        }
    }

    /// Folds the log into the file, for people who copy it. Losing this loses nothing.
    pub(super) fn close(self) {
        let folded = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        if let Err(why) = folded {
            tracing::debug!(path = %self.path.display(), %why, "the state's log was not folded");
        }
    }
}

/// Makes a whole, empty state file, then gives it its name.
fn create(directory: &Directory, path: &Path) -> Result<(), StoreError> {
    let side = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    if side("-wal").exists() {
        let why = "its log (-wal) is there, but the file itself is missing";
        return Err(damaged(path, why.to_owned()));
    }
    let new = side(".new");
    let unusable = |why| StoreError::Unusable {
        path: path.to_path_buf(),
        why,
    };
    for stale in [new.clone(), side(".new-journal")] {
        match std::fs::remove_file(&stale) {
            Err(why) if why.kind() != std::io::ErrorKind::NotFound => return Err(unusable(why)),
            Ok(()) | Err(_) => {}
        }
    }
    let connection = Connection::open(&new).map_err(failure(path))?;
    let marks = format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT};");
    let script = format!("BEGIN;{marks}{TABLES}COMMIT;");
    connection.execute_batch(&script).map_err(failure(path))?;
    connection
        .close()
        .map_err(|(_, error)| failure(path)(error))?;
    let mut mode = std::fs::metadata(&new).map_err(unusable)?.permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o600);
    std::fs::set_permissions(&new, mode).map_err(unusable)?;
    std::fs::File::open(&new)
        .and_then(|file| file.sync_all())
        .map_err(unusable)?;
    std::fs::rename(&new, path).map_err(unusable)?;
    directory.sync().map_err(unusable)
}

fn check_format(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let read = |pragma: &str| -> rusqlite::Result<i64> {
        connection.pragma_query_value(None, pragma, |row| row.get(0))
    };
    let fail = failure(path);
    let found = read("user_version").map_err(&fail)?;
    if read("application_id").map_err(&fail)? != APPLICATION || found < 1 {
        return Err(damaged(
            path,
            "it is not a state file of Pointsman".to_owned(),
        ));
    }
    if found > FORMAT {
        return Err(StoreError::Newer {
            path: path.to_path_buf(),
            found,
            known: FORMAT,
        });
    }
    Ok(())
}

fn check_health(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let verdict: String = connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(failure(path))?;
    if verdict == "ok" {
        Ok(())
    } else {
        Err(damaged(path, verdict))
    }
}

/// Asks for durability and makes sure that it was granted.
fn make_durable(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let script = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA fullfsync = 1; \
                  PRAGMA checkpoint_fullfsync = 1; PRAGMA trusted_schema = 0;";
    connection.execute_batch(script).map_err(failure(path))?;
    let weak = |pragma, wanted, found| {
        Err(StoreError::Weak {
            pragma,
            wanted,
            found,
        })
    };
    match durability(connection).map_err(failure(path))? {
        (mode, 2) if mode == "wal" => Ok(()),
        (mode, level) if mode == "wal" => weak("synchronous", "2 (FULL)", level.to_string()),
        (mode, _) => weak("journal_mode", "wal", mode),
    }
}

/// What SQLite says that it does, not what it was told.
fn durability(connection: &Connection) -> rusqlite::Result<(String, i64)> {
    let mode = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    let level = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
    Ok((mode, level))
}

fn damaged(path: &Path, why: String) -> StoreError {
    StoreError::Damaged {
        path: path.to_path_buf(),
        why,
    }
}

/// Sorts SQLite's errors into damage and the rest.
fn failure(path: impl Into<PathBuf>) -> impl Fn(rusqlite::Error) -> StoreError {
    let path = path.into();
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    move |error| {
        let why = error.to_string();
        match error.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => damaged(&path, why),
            _ if why.contains("no such table") || why.contains("no such column") => {
                damaged(&path, why)
            }
            _ => StoreError::Failed {
                path: path.clone(),
                why,
            },
        }
    }
}
