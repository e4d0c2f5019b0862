/* What a backup consists of. README.md has the text.
 *
 * Threads: as the repository, where there is one. */
#ifndef PD_BACKUP_MANIFEST_H
#define PD_BACKUP_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backup/piece.h"
#include "backup/repository.h"
#include "base/buffer.h"
#include "base/hash.h"
#include "log/log.h"

#define PD_BACKUP_FORMAT_VERSION 2   /* of some actors; 1: of a whole directory */
#define PD_BACKUP_ID_MAX         64u /* with the NUL */

enum pd_backup_kind {
	PD_BACKUP_FULL,
	PD_BACKUP_INCREMENTAL,
	PD_BACKUP_DIFFERENTIAL,
	PD_BACKUP_LOG,
	PD_BACKUP_KIND_COUNT, /* those of a whole directory, of which one can be made again; */
	/* and of some actors, as they were at a moment: actors.h. Their manifests lie in a folder of their own, so that none is ever taken for one of
	 * the others. */
	PD_BACKUP_ACTORS = PD_BACKUP_KIND_COUNT,
};
const char *pd_backup_kind_name(enum pd_backup_kind kind); /* "full" */
/* Of what kind is it, by its name? */
bool pd_backup_is_of_actors(const char *id);

enum pd_backup_part {
	PD_BACKUP_FILE,     /* of a checkpoint */
	PD_BACKUP_LOG_FILE, /* a segment of the log, or what is wanted of it */
	PD_BACKUP_INDEX,    /* the actors: no file of a data directory */
	PD_BACKUP_LINES, /* of exports of actors, one piece: a stretch of all of them one behind the other */
};

struct pd_backup_file {
	enum pd_backup_part part;
	char *name; /* in the data directory: "log/0000/0000000003.seg"; NULL of the index and of lines */
	uint64_t size;
	uint64_t stored; /* bytes of the objects of its pieces */
	char hash[33];   /* of a checkpoint's file, as the checkpoint has it; "-": it has none */
	uint64_t epoch, first_lsn, last_lsn; /* of a log file, */
	bool sealed;                         /* which has its footer */
	size_t first_piece, piece_count;
};

struct pd_backup_moment {
	uint64_t epoch, lsn, time_us;
};

struct pd_backup_manifest {
	char id[PD_BACKUP_ID_MAX];
	char parent[PD_BACKUP_ID_MAX]; /* "": none */
	enum pd_backup_kind kind;
	uint8_t repository_id[PD_REPOSITORY_ID_SIZE];
	uint8_t cluster_id[PD_CLUSTER_ID_SIZE];
	uint32_t shard;
	uint64_t lease;
	char tool[32];
	uint64_t begun_us, ended_us;
	struct pd_backup_moment base, end; /* base.lsn 0: no checkpoint, the log has all */
	bool has_state;
	char state[33]; /* the hash as text */
	uint64_t actors, keys, bytes;
	char *tenant, *match; /* of some actors: whose they are, and which of those, as in KEYS; NULL: all */
	uint64_t sent;        /* bytes that the repository has got for it: the rest was there */
	struct pd_backup_file *files;
	size_t file_count, file_capacity;
	struct pd_piece *pieces;
	size_t piece_count, piece_capacity;
};

void pd_backup_manifest_init(struct pd_backup_manifest *manifest);
void pd_backup_manifest_done(struct pd_backup_manifest *manifest);
/* Bytes of all its files. */
uint64_t pd_backup_manifest_bytes(const struct pd_backup_manifest *manifest);
/* Bytes of their pieces' objects. */
uint64_t pd_backup_manifest_stored(const struct pd_backup_manifest *manifest);
/* The size of the nth piece of a file. */
size_t pd_backup_piece_size(const struct pd_backup_file *file, size_t n);

/* The next piece of the file that was added last. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_backup_add_piece(struct pd_backup_manifest *manifest, const struct pd_piece *piece);
/* A file without pieces yet; `name` is copied. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_backup_add_file(struct pd_backup_manifest *manifest, enum pd_backup_part part,
				     struct pd_slice name, struct pd_backup_file **ret_file);
/* Is this the name of a file that a backup can have: somewhere in a data directory, and nowhere else? */
bool pd_backup_name_fits(enum pd_backup_part part, struct pd_slice name);
/* Is this what a backup can be called? */
bool pd_backup_id_fits(const char *id);

/* PD_NO_MEMORY, PD_TOO_LARGE. */
PD_MUST_CHECK int pd_backup_manifest_format(const struct pd_backup_manifest *manifest,
					    struct pd_buffer *text);
/* `what` is for messages. PD_CORRUPT, PD_NEWER_FORMAT, PD_NO_MEMORY. What was filled in stays, to be given back. */
PD_MUST_CHECK int pd_backup_manifest_parse(struct pd_slice text, const char *what,
					   struct pd_backup_manifest *manifest, struct pd_error *err);

/* ---- in a repository ---- */
#define PD_BACKUP_PREFIX        "backup/"
#define PD_BACKUP_ACTORS_PREFIX "actors/"
const char *pd_backup_prefix(enum pd_backup_kind kind);
/* PD_EXISTS: there is another of that id. Durable when: it returns 0. */
PD_MUST_CHECK int pd_backup_manifest_put(struct pd_repository *repository,
					 const struct pd_backup_manifest *manifest, struct pd_error *err);
/* `manifest` is initialized, and given back whatever comes of it. PD_NOT_FOUND: no backup has that id. PD_CORRUPT also where it is of
 * another repository. */
PD_MUST_CHECK int pd_backup_manifest_get(struct pd_repository *repository, const char *id,
					 struct pd_backup_manifest *manifest, struct pd_error *err);
/* Ids of all backups of a whole directory, in the order of their bytes; manifests may be damaged. Free with pd_os_names_done(). */
PD_MUST_CHECK int pd_backup_list(struct pd_repository *repository, struct pd_os_names *ret_ids,
				 struct pd_error *err);
/* The same of those of some actors. */
PD_MUST_CHECK int pd_backup_list_actors(struct pd_repository *repository, struct pd_os_names *ret_ids,
					struct pd_error *err);

#endif
