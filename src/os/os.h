/* The one door to the operating system: files, directories, locks, clocks, randomness, helper threads and
 * writes in flight. Two implementations stand behind it: the real machine (pd_os_real_new) and a simulated
 * one (os/sim.h) whose disk forgets, reorders and tears whatever was not synced.
 *
 * Threads: the clock, random and memory functions may be called from any thread; a file, a queue and the directory
 * functions from one thread at a time, except that a pd_os_datasync() may run beside other calls on its file.
 *
 * Errors: every function returns 0 or a negative pd_code and, given one, fills `err` with what failed, on which
 * path, and the system's words. EINTR and short transfers are dealt with inside and never seen. */
#ifndef PD_OS_OS_H
#define PD_OS_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct pd_os;
struct pd_os_file;
struct pd_os_lock;
struct pd_os_task;
struct pd_os_queue;

enum pd_os_open_flags {
	PD_OS_READ = 1 << 0,
	PD_OS_WRITE = 1 << 1,
	/* With mode 0600 if it is not there; its name is durable after pd_os_sync_directory(). */
	PD_OS_CREATE = 1 << 2,
	/* With PD_OS_CREATE: PD_EXISTS if it is there. */
	PD_OS_EXCLUSIVE = 1 << 3,
	/* Past the page cache: buffers, offsets and sizes are multiples of the alignment. Refused by some file systems:
	 * PD_NOT_SUPPORTED, then open without it. */
	PD_OS_DIRECT = 1 << 4,
	/* Each write is on stable storage when it returns (O_DSYNC). It says nothing of earlier writes through another
	 * handle. */
	PD_OS_SYNCED = 1 << 5,
};

struct pd_os_file_info {
	uint64_t size; /* bytes */
	uint64_t
		id; /* the same under all names of a file, another for every other that is there on the file system */
	bool is_directory;
	bool is_special; /* a pipe, a device, a socket: opening or reading it may wait for ever */
	unsigned mode;   /* permission bits, as chmod has them */
};

/* A name in a directory listing. */
struct pd_os_names {
	char **names; /* sorted by strcmp() */
	size_t count;
};

/* One finished write of a queue. */
struct pd_os_completion {
	uint64_t token; /* as given to pd_os_queue_write() */
	int result;     /* 0 or a negative pd_code */
	int errnum;     /* the system's errno when result is not 0 */
};

/* What is coming, so that the system can begin early. */
enum pd_os_hint {
	PD_OS_HINT_READ_SOON, /* this part of the file is read next */
	PD_OS_HINT_WRITE_OUT, /* what was written of this part is complete: a sync later on has less to do */
	PD_OS_HINT_FORGET, /* nobody will read this part soon: what others read is not to make room for it */
};

/* Facts about a disk operation, for traces and fault injection in tests. */
enum pd_os_operation {
	PD_OS_OP_OPEN,
	PD_OS_OP_READ,
	PD_OS_OP_WRITE,
	PD_OS_OP_DATASYNC,
	PD_OS_OP_ALLOCATE,
	PD_OS_OP_RESIZE,
	PD_OS_OP_RENAME,
	PD_OS_OP_UNLINK,
	PD_OS_OP_MKDIR,
	PD_OS_OP_SYNC_DIRECTORY,
	PD_OS_OP_LIST,
	PD_OS_OP_LOCK,
	PD_OS_OP_LINK,
	PD_OS_OP_RMDIR,
	PD_OS_OP_COUNT,
};

/* The contract. Wrapped by the functions below, which carry the asserts: call those. */
struct pd_os_ops {
	int abi; /* PD_OS_ABI */
	const char *name;
	void (*free)(struct pd_os *os);

	int (*open)(struct pd_os *os, const char *path, int flags, struct pd_os_file **ret_file,
		    struct pd_error *err);
	void (*close)(struct pd_os_file *file);
	int (*read)(struct pd_os_file *file, void *data, size_t size, uint64_t offset, size_t *ret_size,
		    struct pd_error *err);
	int (*write)(struct pd_os_file *file, const void *data, size_t size, uint64_t offset,
		     struct pd_error *err);
	int (*datasync)(struct pd_os_file *file, struct pd_error *err);
	int (*allocate)(struct pd_os_file *file, uint64_t size, struct pd_error *err);
	int (*resize)(struct pd_os_file *file, uint64_t size, struct pd_error *err);
	size_t (*alignment)(const struct pd_os_file *file);
	void (*hint)(struct pd_os_file *file, enum pd_os_hint hint, uint64_t offset, uint64_t size);
	bool (*is_cached)(struct pd_os_file *file, uint64_t offset, uint64_t size);

	int (*info)(struct pd_os *os, const char *path, struct pd_os_file_info *ret_info,
		    struct pd_error *err);
	int (*rename)(struct pd_os *os, const char *from, const char *to, struct pd_error *err);
	int (*link)(struct pd_os *os, const char *from, const char *to, struct pd_error *err);
	int (*unlink)(struct pd_os *os, const char *path, struct pd_error *err);
	int (*mkdir)(struct pd_os *os, const char *path, struct pd_error *err);
	int (*rmdir)(struct pd_os *os, const char *path, struct pd_error *err);
	int (*sync_directory)(struct pd_os *os, const char *path, struct pd_error *err);
	int (*list)(struct pd_os *os, const char *path, struct pd_os_names *ret_names, struct pd_error *err);
	int (*lock)(struct pd_os *os, const char *path, struct pd_os_lock **ret_lock, struct pd_error *err);
	void (*unlock)(struct pd_os_lock *lock);

	uint64_t (*process_memory)(struct pd_os *os);
	uint64_t (*machine_memory)(struct pd_os *os);
	int (*disk_free)(struct pd_os *os, const char *path, uint64_t *ret_bytes, struct pd_error *err);

	uint64_t (*real_us)(struct pd_os *os);
	uint64_t (*monotonic_ns)(struct pd_os *os);
	void (*sleep_us)(struct pd_os *os, uint64_t us);
	void (*random)(struct pd_os *os, void *data, size_t size);

	int (*task_start)(struct pd_os *os, void (*run)(void *argument), void *argument,
			  struct pd_os_task **ret_task, struct pd_error *err);
	bool (*task_finished)(struct pd_os_task *task);
	void (*task_join)(struct pd_os_task *task);
	void (*task_give_way)(struct pd_os *os);

	int (*queue_new)(struct pd_os *os, unsigned depth, struct pd_os_queue **ret_queue,
			 struct pd_error *err);
	void (*queue_free)(struct pd_os_queue *queue);
	int (*queue_write)(struct pd_os_queue *queue, struct pd_os_file *file, const void *data, size_t size,
			   uint64_t offset, uint64_t token, struct pd_error *err);
	int (*queue_reap)(struct pd_os_queue *queue, struct pd_os_completion *completions, unsigned max,
			  bool wait, unsigned *ret_count, struct pd_error *err);
	int (*queue_descriptor)(struct pd_os_queue *queue);
};
#define PD_OS_ABI 5

/* First member of every implementation. */
struct pd_os {
	const struct pd_os_ops *ops;
};

/* The real machine. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_os_real_new(struct pd_os **ret_os, struct pd_error *err);
void pd_os_free(struct pd_os *os);

/* ---- files ---- */
/* `flags`: enum pd_os_open_flags. PD_NOT_FOUND; PD_EXISTS with PD_OS_EXCLUSIVE; PD_NOT_SUPPORTED: no direct I/O there. */
PD_MUST_CHECK int pd_os_open(struct pd_os *os, const char *path, int flags, struct pd_os_file **ret_file,
			     struct pd_error *err);
/* Closing syncs nothing. NULL is fine. */
void pd_os_close(struct pd_os_file *file);
/* Read up to `size` bytes; fewer only at the end of the file. */
PD_MUST_CHECK int pd_os_read(struct pd_os_file *file, void *data, size_t size, uint64_t offset,
			     size_t *ret_size, struct pd_error *err);
/* Write all of it or fail; after a failure any part may have been written. Extends the file as needed.
 * Durable when: pd_os_datasync() has returned 0 after it, or at once with PD_OS_SYNCED. */
PD_MUST_CHECK int pd_os_write(struct pd_os_file *file, const void *data, size_t size, uint64_t offset,
			      struct pd_error *err);
/* Everything written to this file before, through any handle, and the size needed to read it, is on stable
 * storage when it returns 0. After an error nothing may be assumed, and a repeated call proves nothing. */
PD_MUST_CHECK int pd_os_datasync(struct pd_os_file *file, struct pd_error *err);
/* Reserve space so that writing the first `size` bytes cannot meet a full disk. Extends the file with zeros. */
PD_MUST_CHECK int pd_os_allocate(struct pd_os_file *file, uint64_t size, struct pd_error *err);
/* Cut it off or extend it with zeros. Durable when: pd_os_datasync() has returned 0 after it. */
PD_MUST_CHECK int pd_os_resize(struct pd_os_file *file, uint64_t size, struct pd_error *err);
/* What buffers, offsets and sizes must be multiples of: 1 without PD_OS_DIRECT, else 512 or 4096. */
size_t pd_os_alignment(const struct pd_os_file *file);
/* Nothing is promised by it, and nothing depends on it: what cannot be had is not done. */
void pd_os_hint(struct pd_os_file *file, enum pd_os_hint hint, uint64_t offset, uint64_t size);
/* Is most of this part of the file in the system's memory? Then it is read faster from there, and what is not, is with PD_OS_DIRECT. A hint in the
 * other direction: it may have changed by now, and where nobody knows it is false. */
bool pd_os_is_cached(struct pd_os_file *file, uint64_t offset, uint64_t size);

/* ---- names ---- */
PD_MUST_CHECK int pd_os_info(struct pd_os *os, const char *path, struct pd_os_file_info *ret_info,
			     struct pd_error *err);
/* Atomic; replaces `to`. Durable when: the directory (both, if they differ) has been synced. */
PD_MUST_CHECK int pd_os_rename(struct pd_os *os, const char *from, const char *to, struct pd_error *err);
/* A second name for the file `from`, on the same file system: one content, which lives as long as any of its names.
 * PD_EXISTS if there is something of the name `to`. Durable when: its directory has been synced. */
PD_MUST_CHECK int pd_os_link(struct pd_os *os, const char *from, const char *to, struct pd_error *err);
/* Open handles and other names stay good. Durable when: the directory has been synced. */
PD_MUST_CHECK int pd_os_unlink(struct pd_os *os, const char *path, struct pd_error *err);
/* Mode 0700; PD_EXISTS if there is something of that name. */
PD_MUST_CHECK int pd_os_mkdir(struct pd_os *os, const char *path, struct pd_error *err);
/* Remove an empty directory; PD_IO if there is something in it. Durable when: its parent has been synced. */
PD_MUST_CHECK int pd_os_rmdir(struct pd_os *os, const char *path, struct pd_error *err);
/* Remove a file or a directory with all that is in it; 0 also if it is not there. Symbolic links are removed, not
 * followed. Stops at the first error, with any part gone. Durable when: the parent has been synced. */
PD_MUST_CHECK int pd_os_remove_tree(struct pd_os *os, const char *path, struct pd_error *err);
/* Names created, linked, renamed and removed in this directory are durable when it returns 0. */
PD_MUST_CHECK int pd_os_sync_directory(struct pd_os *os, const char *path, struct pd_error *err);
/* All names but "." and "..". Free with pd_os_names_done(). */
PD_MUST_CHECK int pd_os_list(struct pd_os *os, const char *path, struct pd_os_names *ret_names,
			     struct pd_error *err);
void pd_os_names_done(struct pd_os_names *names);

/* Take the lock file at `path` (created if missing, this process's id written into it) without waiting.
 * PD_BUSY, with the holder's process id in the text, when another process has it. The kernel frees it when the
 * process ends, however it ends. */
PD_MUST_CHECK int pd_os_lock(struct pd_os *os, const char *path, struct pd_os_lock **ret_lock,
			     struct pd_error *err);
void pd_os_unlock(struct pd_os_lock *lock);

/* ---- memory and room ---- */
/* Bytes of memory that this process has in use (its resident set); 0 where nobody knows: simulated, or no /proc. */
uint64_t pd_os_process_memory(struct pd_os *os);
/* Bytes of memory that this process may come to use: the machine's, or less where a control group (v2) says so. */
uint64_t pd_os_machine_memory(struct pd_os *os);
/* Bytes that can still be written to the file system of `path`, which is there. */
PD_MUST_CHECK int pd_os_disk_free(struct pd_os *os, const char *path, uint64_t *ret_bytes,
				  struct pd_error *err);

/* ---- clock and chance ---- */
uint64_t pd_os_real_us(struct pd_os *os);      /* microseconds since 1970, UTC; may jump both ways */
uint64_t pd_os_monotonic_ns(struct pd_os *os); /* never goes back; no meaning across processes */
void pd_os_sleep_us(struct pd_os *os, uint64_t us);
void pd_os_random(struct pd_os *os, void *data, size_t size); /* fit for keys on the real machine */

/* ---- work beside the caller ---- */
/* Run run(argument) on another thread. The simulated machine runs it inside this call, or later. */
PD_MUST_CHECK int pd_os_task_start(struct pd_os *os, void (*run)(void *argument), void *argument,
				   struct pd_os_task **ret_task, struct pd_error *err);
bool pd_os_task_finished(struct pd_os_task *task);
void pd_os_task_join(struct pd_os_task *task); /* waits for its end, then frees it; NULL is fine */
/* Called in a task: it, and those that it starts from here on, come behind what serves, for processors and for disks. As far as the system lets them: work is
 * done all the same. */
void pd_os_task_give_way(struct pd_os *os);

/* ---- writes in flight ---- */
/* A queue of at most `depth` (1 to 4096) writes that the device may carry out in any order (io_uring on Linux).
 * PD_NOT_SUPPORTED where the kernel or a container refuses: write synchronously then. */
PD_MUST_CHECK int pd_os_queue_new(struct pd_os *os, unsigned depth, struct pd_os_queue **ret_queue,
				  struct pd_error *err);
/* Waits for what is in flight. NULL is fine. */
void pd_os_queue_free(struct pd_os_queue *queue);
/* Start one write, of at least a byte. `data` must stay as it is, and `file` open, until the completion is reaped
 * or the queue is freed. PD_AGAIN when `depth` writes are in flight. On a file opened with PD_OS_SYNCED each is
 * durable when its own completion says 0. */
PD_MUST_CHECK int pd_os_queue_write(struct pd_os_queue *queue, struct pd_os_file *file, const void *data,
				    size_t size, uint64_t offset, uint64_t token, struct pd_error *err);
/* Collect finished writes, in the order they finished; with `wait`, at least one unless none is in flight. */
PD_MUST_CHECK int pd_os_queue_reap(struct pd_os_queue *queue, struct pd_os_completion *completions,
				   unsigned max, bool wait, unsigned *ret_count, struct pd_error *err);
/* A file descriptor that is readable while there is something to reap, -1 when there is none to offer. */
int pd_os_queue_descriptor(struct pd_os_queue *queue);

#endif
