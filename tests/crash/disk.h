/* A disk on which the steps of a trace are done: what is stable, and beside it, in order, every change that a power cut
 * may still take back.
 *
 *     nodes[]  files and directories, each as it is stable; directories also as the process sees them
 *     units[]  what was not synced, the oldest first:
 *                a part of a file within one block | a size | a name added, removed or moved
 *
 * What may survive a power cut is any set of units that is closed under `disk_needs()`; the models differ in that rule:
 *
 *     ordered   a journalling file system such as ext4 with data=ordered, or XFS: names are journalled in one order, and a
 *               sync of anything commits them; a file grows only over data that is there
 *     lenient   names in order within each directory, and made stable by a sync of that directory only
 *     free      names in any order, except those of one file; a sync of a file makes its own names stable too (as on Btrfs)
 *     posix     as free, but a sync of a file is of its data only, and a file may grow before its data is there (as ext4
 *               with data=writeback does): the least that can be asked for, and less than any file system in use gives
 *
 * In all of them a block holds its writes up to some moment, and each sector of one torn block up to its own. */
#ifndef PD_TESTS_CRASH_DISK_H
#define PD_TESTS_CRASH_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

#include "trace.h"

enum disk_model { DISK_ORDERED, DISK_LENIENT, DISK_FREE, DISK_POSIX, DISK_MODELS };
extern const char *const disk_model_names[DISK_MODELS];

/* Calls to sync that do nothing, as if the process had forgotten them: a bit for each kind. */
enum disk_lie_kind { DISK_LIE_FILE = 1, DISK_LIE_DIRECTORY = 2 };

struct disk_lie {
	unsigned kinds;
	const char
		*on; /* a pattern as for fnmatch(): only of files or directories of this name; NULL: of all */
};

#define DISK_SECTOR 512u
#define DISK_BLOCK  4096u

struct disk_name {
	const char *text;
	uint32_t node;
};

struct disk_names {
	struct disk_name *items;
	size_t count, room;
};

struct disk_node {
	bool directory;
	struct disk_names stable, seen; /* of a directory */
	uint8_t *data;                  /* of a file, as is stable */
	size_t size, room;
	size_t seen_size;
	bool hashed;
	struct pd_hash128 hash; /* of the stable data */
};

enum disk_unit_kind { UNIT_DATA, UNIT_SIZE, UNIT_ADD, UNIT_REMOVE, UNIT_MOVE };

struct disk_unit {
	enum disk_unit_kind kind;
	uint32_t node;         /* the file; of names: what the name stands for */
	uint32_t directory;    /* UNIT_ADD, UNIT_REMOVE; UNIT_MOVE: from where */
	uint32_t to_directory; /* UNIT_MOVE */
	const char *name, *to_name;
	uint64_t offset, size; /* UNIT_DATA: a range; UNIT_SIZE: from `offset` to `size` bytes */
	const uint8_t *data;   /* UNIT_DATA; NULL: zeros */
	bool appends;          /* UNIT_DATA: beyond what was the stable size */
	bool directory_synced, to_directory_synced;
};

struct disk {
	const struct trace *trace;
	enum disk_model model;
	struct disk_lie lie;
	size_t steps;            /* done */
	struct disk_node *nodes; /* 0 is none, 1 the directory itself */
	size_t node_count, node_room;
	struct disk_unit *units;
	size_t unit_count, unit_room;
	uint32_t *handles;  /* node by handle */
	const char **paths; /* by handle: as it was opened */
	char **texts;       /* names of the base */
	size_t text_count, text_room;
};

#define DISK_ROOT 1u

/* `base`: what is on the disk, all of it stable, before the first step; NULL: an empty directory. */
void disk_init(struct disk *disk, const struct trace *trace, enum disk_model model, struct disk_lie lie,
	       const char *base, const char *const *ignored);
void disk_done(struct disk *disk);
/* Forward only. */
void disk_go(struct disk *disk, size_t steps);

/* May `unit` only survive with `earlier` (which comes before it)? */
bool disk_needs(const struct disk *disk, const struct disk_unit *unit, const struct disk_unit *earlier);

/* ---- changes, as an image makes them too ---- */
void disk_names_put(struct disk_names *names, const char *text, uint32_t node);
/* Only if it stands for that node. */
void disk_names_remove(struct disk_names *names, const char *text, uint32_t node);

#endif
