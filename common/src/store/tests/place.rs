//! Where a test has its store: a file in a folder of its own, or a schema of its own on a server.

use super::*;
use crate::store::postgres::{Link, Url, apart};
use crate::store::session::Session;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Where a test's store is. It goes with the test.
pub struct Place {
    pub settings: Settings,
    kind: Kind,
}

enum Kind {
    File(TempDir),
    Schema { name: String, server: Box<Url> },
}

impl Place {
    pub fn file() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { settings: Settings::Sqlite(folder.path().join("state/carom.db")), kind: Kind::File(folder) }
    }

    pub fn schema() -> Self {
        let server = std::env::var("CAROM_TEST_POSTGRES_URL")
            .expect("CAROM_TEST_POSTGRES_URL names no PostgreSQL server: run the tests by deploy/test");
        let name = format!("test_{}", uuid::Uuid::new_v4().simple());
        let mark = if server.contains('?') { '&' } else { '?' };
        let own: Url = format!("{server}{mark}options=-csearch_path%3D{name}").parse().unwrap();
        let server: Box<Url> = Box::new(server.parse().unwrap());
        apart(|| Link::open(&server).unwrap().batch(&format!("CREATE SCHEMA {name}")).unwrap());
        Self { settings: Settings::Postgres(Box::new(own)), kind: Kind::Schema { name, server } }
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.settings.file().unwrap().clone()
    }

    /// The server, with the schema.
    pub fn url(&self) -> &Url {
        match &self.settings {
            Settings::Postgres(url) => url,
            Settings::Sqlite(_) => panic!("there is no server"),
        }
    }

    /// Everything that the store has, as text.
    pub fn raw(&self) -> String {
        match &self.kind {
            Kind::File(folder) => {
                let files = std::fs::read_dir(folder.path().join("state")).unwrap();
                let bytes: Vec<u8> =
                    files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
            Kind::Schema { name, .. } => apart(|| {
                let link = Link::open(self.url()).unwrap();
                let session = Session::Postgres(&link);
                let tables = "SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = ?1";
                let tables: Vec<String> = session.rows(tables, [name.as_str()], |row| row.get(0)).unwrap();
                let rows = tables.iter().flat_map(|table| {
                    let sql = format!("SELECT t::text FROM {table} t");
                    session.rows(&sql, (), |row| row.get::<_, String>(0)).unwrap()
                });
                rows.collect()
            }),
        }
    }

    /// How many rows a table has, for others to see.
    pub fn count(&self, table: &str) -> i64 {
        match &self.settings {
            Settings::Sqlite(path) => rows(path, table),
            Settings::Postgres(url) => apart(|| {
                let link = Link::open(url).unwrap();
                let sql = format!("SELECT count(*) FROM {table}");
                Session::Postgres(&link).one(&sql, (), |row| row.get(0)).unwrap()
            }),
        }
    }
}

/// How many rows a table in a file has.
pub fn rows(path: &Path, table: &str) -> i64 {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Kind::Schema { name, server } = &self.kind {
            // Where a store is still open, this does not wait for it: the server goes with the run anyway.
            let drop = format!("SET lock_timeout = '1s'; DROP SCHEMA {name} CASCADE");
            apart(|| Link::open(server).and_then(|link| link.batch(&drop)).ok());
        }
    }
}
