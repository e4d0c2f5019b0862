/* A recorded trace, as the steps of a disk. A crash point is a number of steps that were done: 0 is before all of them. */
#ifndef PD_TESTS_CRASH_TRACE_H
#define PD_TESTS_CRASH_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum step_kind {
	STEP_OPEN,
	STEP_WRITE,
	STEP_RESIZE,
	STEP_GROW,
	STEP_ZERO,
	STEP_SYNC,
	STEP_SYNC_RANGE, /* what a write with O_DSYNC promises when it returns */
	STEP_SYNC_ALL,
	STEP_MKDIR,
	STEP_REMOVE, /* of a file or an empty directory */
	STEP_RENAME,
	STEP_LINK,
};

struct step {
	enum step_kind kind;
	uint32_t handle;
	bool create, truncate;
	const char *path, *to_path;
	const uint8_t *data;
	uint64_t offset, length;
};

struct mark {
	const char *text;
	size_t step; /* made when so many steps were done */
};

struct trace {
	uint8_t *bytes;
	size_t size;
	struct step *steps;
	size_t step_count, step_room;
	struct mark *marks;
	size_t mark_count, mark_room;
	size_t handle_count;
};

/* `ignored`: patterns as for fnmatch(), up to a NULL, of names without meaning (information logs). What is done to them is
 * left out. */
void trace_load(struct trace *trace, const char *path, const char *const *ignored);
void trace_done(struct trace *trace);
bool trace_ignores(const char *const *ignored, const char *path);

/* While `crash` steps were done, at least so many marks were made, and at most so many. */
size_t trace_marks_begun(const struct trace *trace, size_t crash); /* the least */
size_t trace_marks_known(const struct trace *trace, size_t crash); /* the most */

#endif
