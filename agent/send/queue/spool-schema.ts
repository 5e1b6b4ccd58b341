// Tables of the queue's index. The files in `spool/queue` hold mail and envelope; the index holds what became of them.
// What combinations of file and row are legal stands in README.md.

export const spoolSchema = `
CREATE TABLE spool (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE mail (
  id TEXT PRIMARY KEY,
  sender TEXT NOT NULL,
  user TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  offset_bytes INTEGER NOT NULL,
  eight_bit INTEGER,
  accepted_at INTEGER NOT NULL,
  accepted_ms INTEGER NOT NULL,
  delayed INTEGER NOT NULL DEFAULT 0,
  done INTEGER NOT NULL DEFAULT 0,
  problem TEXT NOT NULL DEFAULT '',
  wishes TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX mail_age ON mail (accepted_ms) WHERE done = 0;
CREATE TABLE recipient (
  mail TEXT NOT NULL REFERENCES mail (id) ON DELETE CASCADE,
  number INTEGER NOT NULL,
  address TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('queued', 'sending', 'sent', 'failed', 'held', 'unknown')),
  due_ms INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  unknowns INTEGER NOT NULL DEFAULT 0,
  last_reply TEXT NOT NULL DEFAULT '',
  dsn TEXT NOT NULL DEFAULT '',
  tried_at INTEGER NOT NULL DEFAULT 0,
  reason TEXT NOT NULL DEFAULT '',
  relay TEXT NOT NULL DEFAULT '',
  lane INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (mail, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX recipient_due ON recipient (relay, lane, due_ms, mail) WHERE state IN ('queued', 'unknown');
CREATE TABLE notice (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  mail TEXT NOT NULL REFERENCES mail (id) ON DELETE CASCADE,
  kind TEXT NOT NULL CHECK (kind IN ('failed', 'delayed', 'relayed', 'warned')),
  report TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  due_ms INTEGER NOT NULL,
  tries INTEGER NOT NULL DEFAULT 0,
  summed INTEGER NOT NULL DEFAULT 0,
  whom TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX notice_mail ON notice (mail);
CREATE TABLE told (
  whom TEXT NOT NULL,
  what TEXT NOT NULL,
  at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX told_whom ON told (whom, what, at_ms);
CREATE TABLE operator_note (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  subject TEXT NOT NULL,
  text TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  due_ms INTEGER NOT NULL,
  tries INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE budget_use (
  relay TEXT NOT NULL,
  slot INTEGER NOT NULL,
  mails INTEGER NOT NULL,
  recipients INTEGER NOT NULL,
  PRIMARY KEY (relay, slot)
) STRICT, WITHOUT ROWID;
CREATE TABLE submitted (
  who TEXT NOT NULL,
  slot INTEGER NOT NULL,
  mails INTEGER NOT NULL,
  PRIMARY KEY (who, slot)
) STRICT, WITHOUT ROWID`;
