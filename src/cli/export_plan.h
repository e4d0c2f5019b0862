/* What an export of the archive consists of, stretch by stretch of the log: a plan says which files one has, and what is in them. It is put before them, under a name that only the
 * stretch can have: so whoever goes on, or looks whether all is there, knows. docs/format/jsonl.md has every byte.
 *
 * Threads: any. */
#ifndef PD_CLI_EXPORT_PLAN_H
#define PD_CLI_EXPORT_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/format.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"
#include "crypto/digest.h"

#define PD_EXPORT_FORMAT_VERSION 1
#define PD_EXPORT_PLANS          "export/"
#define PD_EXPORT_FILES          "archive/"
#define PD_EXPORT_NAME_SIZE      64
#define PD_EXPORT_PATH_SIZE      320
#define PD_EXPORT_PLAN_MAX       ((size_t)256 * 1024 * 1024)
#define PD_EXPORT_DATA           ".jsonl.gz"
#define PD_EXPORT_CHECKSUM       ".checksum"

/* A name that a record of the stretch has given. */
struct pd_export_name {
	uint64_t id;
	uint64_t tenant; /* of an actor; 0: it is a tenant */
	char *text;
	size_t size;
};

struct pd_export_file {
	char path[PD_EXPORT_PATH_SIZE]; /* archive/tenant_X/2026-11-21/segment_000001 */
	uint64_t first_lsn, last_lsn;
	uint64_t lines, bytes; /* before compression */
	uint8_t sha256[PD_SHA256_SIZE];
};

struct pd_export_plan {
	struct pd_archive_log log;
	uint64_t from_lsn, to_lsn; /* both inclusive */
	uint64_t
		after_lsn; /* with which the one before ended; 0: there is none. Not from_lsn - 1: what is between was never archived */
	uint64_t internal; /* records that are no tenant's */
	struct pd_export_name *names;
	size_t name_count, name_capacity;
	struct pd_export_file *files;
	size_t file_count, file_capacity;
};

void pd_export_plan_done(struct pd_export_plan *plan);
/* PD_NO_MEMORY. `text` is copied. */
PD_MUST_CHECK int pd_export_plan_add_name(struct pd_export_plan *plan, uint64_t id, uint64_t tenant,
					  struct pd_slice text);
/* NULL: no memory. Valid until the next. */
struct pd_export_file *pd_export_plan_add_file(struct pd_export_plan *plan);

/* PD_NO_MEMORY, PD_TOO_LARGE. */
PD_MUST_CHECK int pd_export_plan_format(const struct pd_export_plan *plan, struct pd_buffer *text);
/* PD_CORRUPT, PD_NEWER_FORMAT, PD_NO_MEMORY; nothing is left then. */
PD_MUST_CHECK int pd_export_plan_parse(struct pd_slice text, struct pd_export_plan *ret_plan);

/* export/LSN */
void pd_export_plan_name(uint64_t from_lsn, char name[PD_EXPORT_NAME_SIZE]);
/* archive/tenant_NAME; a name of size 0 is not known. What an object's name cannot have is there as =2F; where that is too long, its SHA-256 stands for it. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_export_directory(struct pd_slice tenant, uint64_t id, char path[PD_EXPORT_PATH_SIZE]);
/* DIRECTORY/2026-11-21/segment_000001. The day is that of the time, in UTC. */
void pd_export_path(const char *directory, uint64_t time_us, uint32_t number, char path[PD_EXPORT_PATH_SIZE]);
/* The other way round: the number, and how much of the path is the directory, and the directory and the day. false: it is none. */
bool pd_export_path_parse(const char *path, uint32_t *ret_number, size_t *ret_directory, size_t *ret_day);

#endif
