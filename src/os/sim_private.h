/* The simulated machine's inside, shared by its files:
 *
 *   sim.c        options, crashes, clocks, chance, tasks, the trace
 *   sim_names.c  the tree of names, seen and stable; locks
 *   sim_file.c   handles and their operations
 *   sim_queue.c  writes in flight
 *   sim_copy.c   a machine that is made like another
 *   sim_disk.c   the bytes */
#ifndef PD_OS_SIM_PRIVATE_H
#define PD_OS_SIM_PRIVATE_H

#include "os/os_private.h"
#include "os/sim.h"
#include "os/sim_disk.h"
#include "os/sim_random.h"

enum { PD_SIM_NAME_MAX = 255 };

struct pd_sim_entry {
	char *name;
	struct pd_sim_node *node; /* one reference */
};

/* Names of a directory, sorted by strcmp(). */
struct pd_sim_entries {
	struct pd_sim_entry *items;
	size_t count, capacity;
};

/* A file or a directory. */
struct pd_sim_node {
	struct pd_sim_node *next, *previous; /* all nodes of the machine */
	uint64_t id;
	unsigned references; /* entries, changes, handles */
	unsigned names;      /* entries that are seen */
	unsigned handles;
	bool is_directory;
	bool pinned;                        /* while a power cut walks the nodes */
	bool is_lock;                       /* its bytes say who holds it, and nothing else */
	struct pd_sim_node *twin;           /* while the machine is copied: in the copy */
	uint64_t locked_by;                 /* the process, 0 when it is not locked */
	struct pd_sim_content content;      /* of a file */
	struct pd_sim_entries seen, stable; /* of a directory */
};

enum pd_sim_change_kind {
	PD_SIM_CHANGE_CREATE, /* or link: the name leads to the node */
	PD_SIM_CHANGE_UNLINK, /* of a file, or an empty directory */
	PD_SIM_CHANGE_RENAME,
};

/* One change of names that was not synced yet. */
struct pd_sim_change {
	enum pd_sim_change_kind kind;
	struct pd_sim_node *node;
	struct pd_sim_node *directory, *to_directory; /* the second of a rename only */
	char *name, *to_name;
	bool synced, to_synced; /* of a rename between directories: which of them was synced */
};

/* A write that was under way when the process died: what of it is there is decided when the crash is. */
struct pd_sim_tear {
	struct pd_sim_tear *next;
	struct pd_sim_node *node; /* one reference */
	uint64_t offset;
	size_t size;
	enum pd_sim_part part;
	uint8_t data[];
};

struct pd_sim {
	struct pd_os base;
	struct pd_sim_options options;
	struct pd_sim_random random; /* decides what happens to the disk */
	struct pd_sim_random keys;   /* pd_os_random(): apart, so that it does not change what happens */
	struct pd_sim_disk disk;
	struct pd_sim_node *nodes, *root;
	uint64_t next_id;
	struct pd_sim_change *changes; /* in the order in which they were made */
	size_t change_count, change_capacity;
	struct pd_sim_queue *queues;
	struct pd_sim_tear *tears, **last_tear; /* in the order in which they are decided */
	uint64_t process; /* counts up at every crash: handles of an earlier one are void */
	bool crashed;
	uint64_t crash_in; /* operations until the crash, 0: none is planned */
	uint64_t fail_in[PD_OS_OP_COUNT];
	int fail_errnum[PD_OS_OP_COUNT];
	uint64_t fail_any_in; /* operations until the one that fails, 0: none is planned */
	int fail_any_errnum;
	bool fail_any_for_good;
	uint64_t operations;
	uint64_t shape;
	uint8_t *effects; /* see pd_sim_note_effects() */
	size_t effects_size;
	uint64_t effects_from;
	uint64_t astray; /* writes that were lost or misdirected */
	uint64_t real_us, monotonic_ns;
	uint64_t trace;
	uint8_t *shown; /* for pd_sim_content() */
	size_t shown_capacity;
};

static inline struct pd_sim *pd_sim_of(struct pd_os *os)
{
	return (struct pd_sim *)os;
}

/* ---- sim.c ---- */

/* What becomes of an operation. */
enum pd_sim_verdict {
	PD_SIM_GO,
	PD_SIM_FAIL, /* with the errno given */
	PD_SIM_DIES, /* the process dies in the midst of it */
	PD_SIM_DEAD, /* it is dead already */
};

/* Count the operation, mix it into the trace and decide. */
enum pd_sim_verdict pd_sim_begin(struct pd_sim *sim, enum pd_os_operation operation, uint64_t subject,
				 uint64_t a, uint64_t b, int *ret_errnum);
void pd_sim_trace(struct pd_sim *sim, uint64_t number);
void pd_sim_take_options(struct pd_sim *sim, const struct pd_sim_options *options);
uint64_t pd_sim_trace_string(const char *string);
/* Mix the result into the trace and word it: "cannot <verb> '<path>'". errnum 0 is success. */
int pd_sim_end(struct pd_sim *sim, int errnum, struct pd_error *err, const char *verb, const char *path);
/* The same for an operation that never ran. */
int pd_sim_refuse(struct pd_sim *sim, enum pd_sim_verdict verdict, int errnum, struct pd_error *err,
		  const char *verb, const char *path);

/* ---- sim_names.c ---- */

int pd_sim_tree_new(struct pd_sim *sim); /* 0 or ENOMEM */
void pd_sim_tree_free(struct pd_sim *sim);
void pd_sim_tree_power_cut(struct pd_sim *sim);
/* Of the names seen from this directory on, and the bytes behind them. */
uint64_t pd_sim_tree_hash(const struct pd_sim_node *directory, uint64_t hash);
/* 0, ENOENT, ENOTDIR, ENAMETOOLONG, EINVAL (".."). */
int pd_sim_lookup(struct pd_sim *sim, const char *path, struct pd_sim_node **ret_node);
/* Create an empty file or directory. 0, EEXIST, ENOMEM and those of a lookup. */
int pd_sim_create(struct pd_sim *sim, const char *path, bool is_directory, struct pd_sim_node **ret_node);
void pd_sim_node_unref(struct pd_sim *sim, struct pd_sim_node *node);
/* A handle is opened or closed. */
void pd_sim_node_hold(struct pd_sim_node *node);
void pd_sim_node_release(struct pd_sim *sim, struct pd_sim_node *node);

int pd_sim_info(struct pd_os *os, const char *path, struct pd_os_file_info *ret_info, struct pd_error *err);
int pd_sim_rename(struct pd_os *os, const char *from, const char *to, struct pd_error *err);
int pd_sim_link(struct pd_os *os, const char *from, const char *to, struct pd_error *err);
int pd_sim_unlink(struct pd_os *os, const char *path, struct pd_error *err);
int pd_sim_mkdir(struct pd_os *os, const char *path, struct pd_error *err);
int pd_sim_rmdir(struct pd_os *os, const char *path, struct pd_error *err);
int pd_sim_sync_directory(struct pd_os *os, const char *path, struct pd_error *err);
int pd_sim_list(struct pd_os *os, const char *path, struct pd_os_names *ret_names, struct pd_error *err);

/* ---- sim_file.c ---- */

struct pd_sim_file {
	struct pd_os_file base;
	struct pd_sim_node *node;
	uint64_t process;
	char path[]; /* for error texts */
};

int pd_sim_open(struct pd_os *os, const char *path, int flags, struct pd_os_file **ret_file,
		struct pd_error *err);
void pd_sim_close(struct pd_os_file *file);
int pd_sim_read(struct pd_os_file *file, void *data, size_t size, uint64_t offset, size_t *ret_size,
		struct pd_error *err);
int pd_sim_write(struct pd_os_file *file, const void *data, size_t size, uint64_t offset,
		 struct pd_error *err);
int pd_sim_datasync(struct pd_os_file *file, struct pd_error *err);
int pd_sim_allocate(struct pd_os_file *file, uint64_t size, struct pd_error *err);
int pd_sim_resize(struct pd_os_file *file, uint64_t size, struct pd_error *err);
size_t pd_sim_alignment(const struct pd_os_file *file);
void pd_sim_hint(struct pd_os_file *file, enum pd_os_hint hint, uint64_t offset, uint64_t size);
bool pd_sim_is_cached(struct pd_os_file *file, uint64_t offset, uint64_t size);
int pd_sim_lock(struct pd_os *os, const char *path, struct pd_os_lock **ret_lock, struct pd_error *err);
void pd_sim_unlock(struct pd_os_lock *lock);
/* Carry a write out, faults of the drive included. 0 or an errno; after one, any part may be there. */
int pd_sim_file_put(struct pd_sim_file *file, const void *data, size_t size, uint64_t offset);
/* The process dies in the midst of a write. */
void pd_sim_file_tear(struct pd_sim_file *file, const void *data, size_t size, uint64_t offset,
		      enum pd_sim_part part);
/* What of these writes is there? */
void pd_sim_tears_decide(struct pd_sim *sim);
void pd_sim_tears_free(struct pd_sim *sim);
/* Carry a random part of a write out. */
void pd_sim_file_put_part(struct pd_sim_file *file, const void *data, size_t size, uint64_t offset,
			  enum pd_sim_part part);

/* ---- sim_queue.c ---- */

int pd_sim_queue_new(struct pd_os *os, unsigned depth, struct pd_os_queue **ret_queue, struct pd_error *err);
void pd_sim_queue_free(struct pd_os_queue *queue);
int pd_sim_queue_write(struct pd_os_queue *queue, struct pd_os_file *file, const void *data, size_t size,
		       uint64_t offset, uint64_t token, struct pd_error *err);
int pd_sim_queue_reap(struct pd_os_queue *queue, struct pd_os_completion *completions, unsigned max,
		      bool wait, unsigned *ret_count, struct pd_error *err);
int pd_sim_queue_descriptor(struct pd_os_queue *queue);
/* The process is gone: of every write in flight, any part may be there. */
void pd_sim_queues_abandon(struct pd_sim *sim);

#endif
