/* A trace: every call of one process that changed a file below one directory, in one order, with its data, as record.c
 * (LD_PRELOAD) writes it and states.c reads it.
 *
 *     file  := entry*
 *     entry := struct record_entry, payload, 1 to 8 zeros up to a multiple of 8
 *
 * Paths are relative to the directory, "" is the directory itself. What cannot be recorded (shared writable mappings,
 * O_TMPFILE, …) stops the process. Numbers are the machine's own. */
#ifndef PD_TESTS_CRASH_RECORD_H
#define PD_TESTS_CRASH_RECORD_H

#include <stdint.h>

#define RECORD_DIRECTORY_VARIABLE "PERDURE_RECORD_DIR"
#define RECORD_TRACE_VARIABLE     "PERDURE_RECORD_TRACE"

enum record_kind {
	RECORD_OPEN = 1, /* payload: path; creates what is not there with RECORD_CREATE */
	RECORD_WRITE,    /* payload: the data, at `offset` */
	RECORD_RESIZE,   /* to `offset` bytes */
	RECORD_GROW,     /* to `offset` bytes, if it is shorter */
	RECORD_ZERO,     /* `length` bytes from `offset` */
	RECORD_SYNC,     /* of a file or a directory */
	RECORD_SYNC_ALL,
	RECORD_MKDIR, /* payload: path; so for the next two */
	RECORD_RMDIR,
	RECORD_UNLINK,
	RECORD_RENAME, /* payload: path, NUL, path; so for the next one */
	RECORD_LINK,
	RECORD_MARK, /* payload: what the process has promised, or is about to do */
};

enum record_flags {
	RECORD_CREATE = 1,
	RECORD_TRUNCATE = 2,
	RECORD_SYNCED = 4, /* each write is on stable storage when it returns */
};

struct record_entry {
	uint32_t size; /* with payload and padding */
	uint16_t kind, flags;
	uint32_t handle; /* 1, 2, … for one open() after the other */
	uint32_t payload_size;
	uint64_t offset, length;
};

/* Put a mark into the trace. NULL while nobody records. An acknowledged write is marked after its reply. */
__attribute__((weak)) void pd_record_mark(const char *text);

#endif
