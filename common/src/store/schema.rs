//! The schema's version, counted up by numbered steps that only go forward, and for which binaries it still
//! serves.
//!
//! Old and new binaries run side by side while an upgrade is under way: a step that only adds keeps serving the
//! binaries of the steps before, and says so. What it serves stands in the store beside its version, because an
//! old binary cannot know the steps that came after it.

use super::Error;
use super::column::millis;
use super::session::Session;
use jiff::Timestamp;

/// One step of the schema.
#[derive(Clone, Copy)]
pub(super) struct Step {
    /// The version that it leads to.
    pub(super) version: u32,
    /// The oldest version whose binaries can still work on the schema after it.
    pub(super) serves: u32,
    /// What SQLite does.
    pub(super) sqlite: Option<&'static str>,
    /// What PostgreSQL does.
    pub(super) postgres: Option<&'static str>,
}

const fn sqlite_only(version: u32, sql: &'static str) -> Step {
    Step { version, serves: version, sqlite: Some(sql), postgres: None }
}

/// Every step. What is in a step that was released is never edited: add the next.
pub(super) const STEPS: &[Step] = &[
    sqlite_only(1, include_str!("sqlite/migrations/0001_foundation.sql")),
    sqlite_only(2, include_str!("sqlite/migrations/0002_identities.sql")),
    sqlite_only(3, include_str!("sqlite/migrations/0003_cursors.sql")),
    sqlite_only(4, include_str!("sqlite/migrations/0004_retention.sql")),
    sqlite_only(5, include_str!("sqlite/migrations/0005_touches.sql")),
    sqlite_only(6, include_str!("sqlite/migrations/0006_attempts.sql")),
    Step {
        version: 7,
        serves: 7,
        sqlite: Some(include_str!("sqlite/migrations/0007_pauses.sql")),
        postgres: Some(include_str!("postgres/migrations/0007_foundation.sql")),
    },
    Step {
        version: 8,
        serves: 8,
        sqlite: Some(include_str!("sqlite/migrations/0008_leases.sql")),
        postgres: Some(include_str!("postgres/migrations/0008_leases.sql")),
    },
    // It only adds a table.
    Step {
        version: 9,
        serves: 8,
        sqlite: Some(include_str!("sqlite/migrations/0009_pixel_approvals.sql")),
        postgres: Some(include_str!("postgres/migrations/0009_pixel_approvals.sql")),
    },
    // A table and an index that older binaries need not know.
    Step {
        version: 10,
        serves: 8,
        sqlite: Some(include_str!("sqlite/migrations/0010_pixel_reports.sql")),
        postgres: Some(include_str!("postgres/migrations/0010_pixel_reports.sql")),
    },
    // Columns that older binaries leave empty, and without which they tell only the reason.
    Step {
        version: 11,
        serves: 8,
        sqlite: Some(include_str!("sqlite/migrations/0011_passed_by.sql")),
        postgres: Some(include_str!("postgres/migrations/0011_passed_by.sql")),
    },
];

/// The version that this binary was made for.
pub(super) const CURRENT: u32 = STEPS[STEPS.len() - 1].version;

/// From here on SQLite, too, keeps what each step serves.
const RECORDED: u32 = 8;

/// What a store says of its schema.
struct Found {
    version: u32,
    serves: u32,
    /// The release that first knew what `serves` names.
    release: Option<String>,
}

fn found(session: &Session<'_>) -> Result<Found, Error> {
    let version = match session {
        Session::Sqlite(_) => session.one("PRAGMA user_version", (), |row| row.get(0))?,
        Session::Postgres(_) => {
            let made = "SELECT 1 FROM pg_catalog.pg_class WHERE oid = to_regclass('schema_steps')";
            let newest = "SELECT coalesce(max(version), 0) FROM schema_steps";
            if session.exists(made, ())? { session.one(newest, (), |row| row.get(0))? } else { 0 }
        }
    };
    if version < RECORDED {
        return Ok(Found { version, serves: version, release: None });
    }
    let serves = "SELECT serves FROM schema_steps WHERE version = ?1";
    let serves = session.first(serves, [version], |row| row.get(0))?.unwrap_or(version);
    let release = "SELECT release FROM schema_steps WHERE version = ?1";
    let release = session.first(release, [serves], |row| row.get(0))?;
    Ok(Found { version, serves, release })
}

fn too_new(found: Found, known: u32) -> Error {
    let release = found.release.unwrap_or_else(|| "a newer release".to_owned());
    Error::TooNew { found: found.version, known, serves: found.serves, release }
}

/// Refuses a schema that does not serve this binary.
pub(super) fn require(session: &Session<'_>) -> Result<(), Error> {
    require_for(session, CURRENT)
}

/// Refuses a schema that does not serve a binary that was made for version `known`.
pub(super) fn require_for(session: &Session<'_>, known: u32) -> Result<(), Error> {
    match found(session)? {
        found if found.version < known => Err(Error::TooOld { found: found.version, known }),
        found if found.serves > known => Err(too_new(found, known)),
        _ => Ok(()),
    }
}

/// Takes the next of these steps within the transaction that is under way, and says from which version to
/// which: to the same where there is none left, or where the schema is newer and still serves us.
pub(super) fn take_step(
    session: &Session<'_>,
    steps: &[Step],
    sql: impl Fn(&Step) -> Option<&'static str>,
) -> Result<(u32, u32), Error> {
    let known = steps.last().map_or(0, |step| step.version);
    let found = found(session)?;
    let at = found.version;
    if found.serves > known {
        return Err(too_new(found, known));
    }
    let next = steps.iter().filter(|step| step.version > at).find_map(|step| Some((step, sql(step)?)));
    let Some((step, sql)) = next else { return Ok((at, at)) };
    session.batch(sql)?;
    if matches!(session, Session::Sqlite(_)) {
        session.batch(&format!("PRAGMA user_version = {}", step.version))?;
    }
    if step.version >= RECORDED || matches!(session, Session::Postgres(_)) {
        let sql = "INSERT INTO schema_steps (version, serves, release, taken_at) VALUES (?1, ?2, ?3, ?4)";
        let now = millis(Timestamp::now());
        session.execute(sql, (step.version, step.serves, env!("CARGO_PKG_VERSION"), now))?;
    }
    Ok((at, step.version))
}
