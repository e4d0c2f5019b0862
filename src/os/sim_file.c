/* Handles of the simulated machine and what is done through them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/memory.h"
#include "os/sim_private.h"

struct sim_lock {
	struct pd_os_lock base;
	struct pd_sim_node *node;
	uint64_t process;
};

/* The ids of simulated processes. */
enum { FIRST_PROCESS_ID = 1000 };

static struct pd_sim_file *sim_file(struct pd_os_file *file)
{
	return (struct pd_sim_file *)file;
}

static struct pd_sim *machine(const struct pd_sim_file *file)
{
	return pd_sim_of(file->base.os);
}

/* A handle of a process that died says so, whoever asks. */
static enum pd_sim_verdict begin(struct pd_sim_file *file, enum pd_os_operation operation, uint64_t a,
				 uint64_t b, int *ret_errnum)
{
	struct pd_sim *sim = machine(file);

	if (file->process != sim->process)
		return PD_SIM_DEAD;
	return pd_sim_begin(sim, operation, file->node->id, a, b, ret_errnum);
}

/* Find the file, creating it if that is wanted. */
static int find(struct pd_sim *sim, const char *path, int flags, struct pd_sim_node **ret_node)
{
	int rc = pd_sim_lookup(sim, path, ret_node);

	if (rc == ENOENT && (flags & PD_OS_CREATE) != 0)
		return pd_sim_create(sim, path, false, ret_node);
	if (rc == 0 && (flags & PD_OS_EXCLUSIVE) != 0)
		return EEXIST;
	if (rc == 0 && (*ret_node)->is_directory)
		return EISDIR;
	return rc;
}

int pd_sim_open(struct pd_os *os, const char *path, int flags, struct pd_os_file **ret_file,
		struct pd_error *err)
{
	struct pd_sim *sim = pd_sim_of(os);
	size_t path_size = strlen(path) + 1;
	struct pd_sim_node *node;
	struct pd_sim_file *file;
	int rc;
	enum pd_sim_verdict verdict = pd_sim_begin(sim, PD_OS_OP_OPEN, pd_sim_trace_string(path),
						   (uint64_t)flags, 0, &rc);

	if (verdict != PD_SIM_GO)
		return pd_sim_refuse(sim, verdict, rc, err, "open", path);
	if ((flags & PD_OS_DIRECT) != 0 && sim->options.direct_alignment == 0)
		return pd_error_set(err, PD_NOT_SUPPORTED,
				    "the file system of '%s' has no direct I/O; use buffered I/O there",
				    path);
	file = pd_malloc(sizeof *file + path_size);
	if (file == NULL)
		return pd_sim_end(sim, ENOMEM, err, "open", path);
	rc = find(sim, path, flags, &node);
	if (rc != 0) {
		pd_free(file);
		return pd_sim_end(sim, rc, err, "open", path);
	}
	pd_sim_node_hold(node);
	file->base = (struct pd_os_file){ .os = os, .flags = flags, .alignment = 1 };
	if ((flags & PD_OS_DIRECT) != 0)
		file->base.alignment = sim->options.direct_alignment;
	file->node = node;
	file->process = sim->process;
	memcpy(file->path, path, path_size);
	*ret_file = &file->base;
	return pd_sim_end(sim, 0, err, "open", path);
}

void pd_sim_close(struct pd_os_file *base)
{
	struct pd_sim_file *file = sim_file(base);

	pd_sim_node_release(machine(file), file->node);
	pd_free(file);
}

int pd_sim_read(struct pd_os_file *base, void *data, size_t size, uint64_t offset, size_t *ret_size,
		struct pd_error *err)
{
	struct pd_sim_file *file = sim_file(base);
	struct pd_sim *sim = machine(file);
	int rc;
	enum pd_sim_verdict verdict = begin(file, PD_OS_OP_READ, size, offset, &rc);

	if (verdict != PD_SIM_GO)
		return pd_sim_refuse(sim, verdict, rc, err, "read", file->path);
	if (pd_sim_random_chance(&sim->random, sim->options.read_error_ppm))
		return pd_sim_end(sim, EIO, err, "read", file->path);
	*ret_size = pd_sim_content_read(&file->node->content, data, size, offset);
	pd_sim_trace(sim, *ret_size);
	return pd_sim_end(sim, 0, err, "read", file->path);
}

/* Where a misdirected write lands: another place of the file that it fits in. False: there is none. */
static bool misdirect(struct pd_sim *sim, const struct pd_sim_content *content, size_t size, uint64_t offset,
		      uint64_t *ret_offset)
{
	uint64_t places, pick;

	if (content->size < size)
		return false;
	places = (content->size - size) / PD_SIM_SECTOR + 1;
	pick = pd_sim_random_below(&sim->random, places) * PD_SIM_SECTOR;
	if (pick == offset)
		pick = pick >= PD_SIM_SECTOR ? pick - PD_SIM_SECTOR : pick + PD_SIM_SECTOR;
	if (size > content->size - (pick < content->size ? pick : content->size))
		return false;
	*ret_offset = pick;
	return true;
}

/* A drive that says "done" and did not. Through the page cache the process goes on seeing its write until the
 * power goes; past the cache it is gone at once. The file grows in either case: that is the file system's
 * journal, which was not lost. */
static int put_lost(struct pd_sim_file *file, const void *data, size_t size, uint64_t offset)
{
	struct pd_sim *sim = machine(file);
	struct pd_sim_content *content = &file->node->content;

	sim->astray++;
	if ((file->base.flags & PD_OS_DIRECT) == 0)
		return pd_sim_content_write(&sim->disk, content, data, size, offset, PD_SIM_WRITE_LOST);
	if (offset + size > content->size)
		return pd_sim_content_resize(&sim->disk, content, offset + size);
	return 0;
}

/* Reaching stable storage takes time. Drawn only where asked for, so that other seeds stay as they were. */
static void take_time(struct pd_sim *sim)
{
	if (sim->options.sync_us_max > 0)
		pd_sim_advance_us(&sim->base,
				  pd_sim_random_below(&sim->random, sim->options.sync_us_max + 1));
}

int pd_sim_file_put(struct pd_sim_file *file, const void *data, size_t size, uint64_t offset)
{
	struct pd_sim *sim = machine(file);
	struct pd_sim_content *content = &file->node->content;
	bool synced = (file->base.flags & PD_OS_SYNCED) != 0 && !sim->options.lying_sync;
	enum pd_sim_write_kind kind = synced ? PD_SIM_WRITE_STABLE : PD_SIM_WRITE_CACHED;
	uint64_t elsewhere;
	int rc;

	if ((file->base.flags & PD_OS_SYNCED) != 0)
		take_time(sim);
	if (pd_sim_random_chance(&sim->random, sim->options.write_error_ppm)) {
		pd_sim_file_put_part(file, data, size, offset, PD_SIM_PART_ANY);
		return EIO;
	}
	if (pd_sim_random_chance(&sim->random, sim->options.lost_write_ppm))
		return put_lost(file, data, size, offset);
	if (pd_sim_random_chance(&sim->random, sim->options.misdirected_write_ppm) &&
	    misdirect(sim, content, size, offset, &elsewhere)) {
		rc = pd_sim_content_write(&sim->disk, content, data, size, elsewhere, kind);
		return rc != 0 ? rc : put_lost(file, data, size, offset);
	}
	return pd_sim_content_write(&sim->disk, content, data, size, offset, kind);
}

void pd_sim_file_put_part(struct pd_sim_file *file, const void *data, size_t size, uint64_t offset,
			  enum pd_sim_part part)
{
	pd_sim_content_write_part(&machine(file)->disk, &file->node->content, data, size, offset, part);
}

void pd_sim_file_tear(struct pd_sim_file *file, const void *data, size_t size, uint64_t offset,
		      enum pd_sim_part part)
{
	struct pd_sim *sim = machine(file);
	struct pd_sim_tear *tear = pd_malloc(sizeof *tear + size);

	if (tear == NULL)
		return; /* nothing of it is there */
	*tear = (struct pd_sim_tear){ .node = file->node, .offset = offset, .size = size, .part = part };
	memcpy(tear->data, data, size);
	tear->node->references++;
	*sim->last_tear = tear;
	sim->last_tear = &tear->next;
}

void pd_sim_tears_free(struct pd_sim *sim)
{
	while (sim->tears != NULL) {
		struct pd_sim_tear *tear = sim->tears;

		sim->tears = tear->next;
		pd_sim_node_unref(sim, tear->node);
		pd_free(tear);
	}
	sim->last_tear = &sim->tears;
}

void pd_sim_tears_decide(struct pd_sim *sim)
{
	for (const struct pd_sim_tear *tear = sim->tears; tear != NULL; tear = tear->next) {
		pd_sim_content_write_part(&sim->disk, &tear->node->content, tear->data, tear->size,
					  tear->offset, tear->part);
		/* Nobody holds it any more. */
		if (tear->node->names == 0 && tear->node->handles == 0)
			pd_sim_content_uncharge(&sim->disk, &tear->node->content);
	}
	pd_sim_tears_free(sim);
}

int pd_sim_write(struct pd_os_file *base, const void *data, size_t size, uint64_t offset,
		 struct pd_error *err)
{
	struct pd_sim_file *file = sim_file(base);
	struct pd_sim *sim = machine(file);
	int rc = 0;
	enum pd_sim_verdict verdict = begin(file, PD_OS_OP_WRITE, size, offset, &rc);

	if (verdict == PD_SIM_DIES)
		pd_sim_file_tear(file, data, size, offset,
				 (base->flags & (PD_OS_DIRECT | PD_OS_SYNCED)) == 0 ? PD_SIM_PART_FRONT
										    : PD_SIM_PART_ANY);
	else if (verdict == PD_SIM_FAIL)
		pd_sim_file_put_part(file, data, size, offset, PD_SIM_PART_ANY);
	if (verdict != PD_SIM_GO)
		return pd_sim_refuse(sim, verdict, rc, err, "write", file->path);
	pd_sim_trace(sim, pd_hash64(pd_slice(data, size), 0));
	return pd_sim_end(sim, pd_sim_file_put(file, data, size, offset), err, "write", file->path);
}

int pd_sim_datasync(struct pd_os_file *base, struct pd_error *err)
{
	struct pd_sim_file *file = sim_file(base);
	struct pd_sim *sim = machine(file);
	int rc = 0;
	enum pd_sim_verdict verdict = begin(file, PD_OS_OP_DATASYNC, 0, 0, &rc);

	if (verdict == PD_SIM_FAIL)
		pd_sim_content_sync_failed(&sim->disk, &file->node->content);
	if (verdict != PD_SIM_GO)
		return pd_sim_refuse(sim, verdict, rc, err, "sync", file->path);
	take_time(sim);
	if (pd_sim_random_chance(&sim->random, sim->options.sync_error_ppm)) {
		pd_sim_content_sync_failed(&sim->disk, &file->node->content);
		return pd_sim_end(sim, EIO, err, "sync", file->path);
	}
	if (!sim->options.lying_sync)
		pd_sim_content_sync(&sim->disk, &file->node->content);
	return pd_sim_end(sim, 0, err, "sync", file->path);
}

int pd_sim_allocate(struct pd_os_file *base, uint64_t size, struct pd_error *err)
{
	struct pd_sim_file *file = sim_file(base);
	struct pd_sim *sim = machine(file);
	int rc;
	enum pd_sim_verdict verdict = begin(file, PD_OS_OP_ALLOCATE, size, 0, &rc);

	if (verdict != PD_SIM_GO)
		return pd_sim_refuse(sim, verdict, rc, err, "reserve space for", file->path);
	rc = pd_sim_content_allocate(&sim->disk, &file->node->content, size);
	return pd_sim_end(sim, rc, err, "reserve space for", file->path);
}

int pd_sim_resize(struct pd_os_file *base, uint64_t size, struct pd_error *err)
{
	struct pd_sim_file *file = sim_file(base);
	struct pd_sim *sim = machine(file);
	int rc;
	enum pd_sim_verdict verdict = begin(file, PD_OS_OP_RESIZE, size, 0, &rc);

	if (verdict != PD_SIM_GO)
		return pd_sim_refuse(sim, verdict, rc, err, "resize", file->path);
	rc = pd_sim_content_resize(&sim->disk, &file->node->content, size);
	return pd_sim_end(sim, rc, err, "resize", file->path);
}

size_t pd_sim_alignment(const struct pd_os_file *file)
{
	return file->alignment;
}

/* Nothing may depend on it. */
void pd_sim_hint(struct pd_os_file *file, enum pd_os_hint hint, uint64_t offset, uint64_t size)
{
	(void)file, (void)hint, (void)offset, (void)size;
}

bool pd_sim_is_cached(struct pd_os_file *file, uint64_t offset, uint64_t size)
{
	(void)file, (void)offset, (void)size;
	return false;
}

/* ---- the lock ---- */

static int write_process_id(struct pd_sim *sim, struct pd_sim_node *node)
{
	char text[32];
	int size = snprintf(text, sizeof text, "%llu\n",
			    (unsigned long long)(FIRST_PROCESS_ID + sim->process));
	int rc = pd_sim_content_resize(&sim->disk, &node->content, 0);

	if (rc == 0)
		rc = pd_sim_content_write(&sim->disk, &node->content, text, (size_t)size, 0,
					  PD_SIM_WRITE_CACHED);
	return rc;
}

int pd_sim_lock(struct pd_os *os, const char *path, struct pd_os_lock **ret_lock, struct pd_error *err)
{
	struct pd_sim *sim = pd_sim_of(os);
	struct pd_sim_node *node;
	struct sim_lock *lock;
	int rc;
	enum pd_sim_verdict verdict = pd_sim_begin(sim, PD_OS_OP_LOCK, pd_sim_trace_string(path), 0, 0, &rc);

	if (verdict != PD_SIM_GO)
		return pd_sim_refuse(sim, verdict, rc, err, "lock", path);
	rc = find(sim, path, PD_OS_CREATE, &node);
	if (rc == 0 && node->locked_by == sim->process)
		return pd_error_set(err, PD_BUSY,
				    "%s is in use by process %llu; stop it or choose another data directory",
				    path, (unsigned long long)(FIRST_PROCESS_ID + sim->process));
	if (rc == 0)
		rc = write_process_id(sim, node);
	if (rc != 0)
		return pd_sim_end(sim, rc, err, "lock", path);
	node->is_lock = true;
	lock = pd_malloc(sizeof *lock);
	if (lock == NULL)
		return pd_sim_end(sim, ENOMEM, err, "lock", path);
	pd_sim_node_hold(node);
	node->locked_by = sim->process;
	*lock = (struct sim_lock){ .base.os = os, .node = node, .process = sim->process };
	*ret_lock = &lock->base;
	return pd_sim_end(sim, 0, err, "lock", path);
}

void pd_sim_unlock(struct pd_os_lock *base)
{
	struct sim_lock *lock = (struct sim_lock *)base;

	/* A lock of a dead process went with it; the file may be another process's by now. */
	if (lock->node->locked_by == lock->process)
		lock->node->locked_by = 0;
	pd_sim_node_release(pd_sim_of(base->os), lock->node);
	pd_free(lock);
}
