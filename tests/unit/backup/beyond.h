/* A life with backups, an archive and a log on the disk, and directories that are made of all three. */
#ifndef PD_TESTS_UNIT_BACKUP_BEYOND_H
#define PD_TESTS_UNIT_BACKUP_BEYOND_H

#include "archive/archive.h"
#include "vault.h"

#define ARCHIVE "/archive"

/* A world in which every actor's hash is noted after each record, with a place for an archive. */
struct world *beyond_begin(uint64_t seed);
void beyond_end(struct world *world);
/* An archive that follows the log, until it is freed; wait until it has everything. */
struct pd_archive *beyond_follow(struct world *world);
void beyond_settle(struct world *world, struct pd_archive *archive);
/* What is there by now is archived, and no more. */
void beyond_archive_all(struct world *world);
void beyond_back_up(struct world *world, enum pd_backup_kind kind);
/* So many records of 3000 bytes, each durable; their hashes are not noted. */
void beyond_bulk(struct world *world, unsigned count);

enum { FROM_ARCHIVE = 1, FROM_LOG = 2 };

/* A restore into TARGET, of the newest backup that reaches back and of these. */
struct ask {
	unsigned from;
	const struct pd_moment_name *at;
	const char *data; /* of the dead server; NULL: "data" */
	bool only_plan;
	/* What came of it. */
	struct pd_backup_restored restored;
	uint64_t given[2]; /* records, by archive and log */
	uint64_t planned_lsn, planned_bytes;
	struct pd_error err;
};

/* Returns the code. */
int beyond_try(struct world *world, struct ask *ask);
/* The same; without an error there is TARGET alone, and with one nothing. */
int beyond_restore(struct world *world, struct ask *ask);
void beyond_must(struct world *world, struct ask *ask); /* without an error */
/* To that LSN; *ask is filled in. */
int beyond_restore_at(struct world *world, unsigned from, uint64_t lsn, struct ask *ask);
void beyond_remove_target(struct world *world);
/* TARGET is as it was after that record, actor by actor; it is removed. */
void beyond_expect_record(struct world *world, uint64_t lsn, const struct ask *ask);

#endif
