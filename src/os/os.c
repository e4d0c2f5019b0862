#include "os/os.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "base/plant.h"
#include "os/os_private.h"

enum {
	OPEN_FLAGS_ALL = PD_OS_READ | PD_OS_WRITE | PD_OS_CREATE | PD_OS_EXCLUSIVE | PD_OS_DIRECT |
			 PD_OS_SYNCED
};

void pd_os_init(struct pd_os *os, const struct pd_os_ops *ops)
{
	PD_ASSERT(ops->abi == PD_OS_ABI);
	PD_ASSERT(ops->name != NULL && ops->free != NULL);
	PD_ASSERT(ops->open != NULL && ops->close != NULL && ops->read != NULL && ops->write != NULL);
	PD_ASSERT(ops->datasync != NULL && ops->allocate != NULL && ops->resize != NULL);
	PD_ASSERT(ops->alignment != NULL && ops->hint != NULL && ops->is_cached != NULL);
	PD_ASSERT(ops->info != NULL && ops->rename != NULL);
	PD_ASSERT(ops->unlink != NULL && ops->mkdir != NULL && ops->sync_directory != NULL);
	PD_ASSERT(ops->list != NULL && ops->lock != NULL && ops->unlock != NULL);
	PD_ASSERT(ops->link != NULL && ops->rmdir != NULL && ops->process_memory != NULL);
	PD_ASSERT(ops->machine_memory != NULL && ops->disk_free != NULL);
	PD_ASSERT(ops->real_us != NULL && ops->monotonic_ns != NULL && ops->sleep_us != NULL);
	PD_ASSERT(ops->random != NULL && ops->task_start != NULL && ops->task_finished != NULL);
	PD_ASSERT(ops->task_join != NULL && ops->queue_new != NULL && ops->queue_free != NULL);
	PD_ASSERT(ops->queue_write != NULL && ops->queue_reap != NULL && ops->queue_descriptor != NULL);
	os->ops = ops;
}

int pd_os_compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void pd_os_free(struct pd_os *os)
{
	if (os != NULL)
		os->ops->free(os);
}

/* ---- files ---- */

int pd_os_open(struct pd_os *os, const char *path, int flags, struct pd_os_file **ret_file,
	       struct pd_error *err)
{
	PD_ASSERT(path != NULL && ret_file != NULL);
	PD_ASSERT((flags & ~OPEN_FLAGS_ALL) == 0);
	PD_ASSERT((flags & (PD_OS_READ | PD_OS_WRITE)) != 0);
	PD_ASSERT((flags & PD_OS_EXCLUSIVE) == 0 || (flags & PD_OS_CREATE) != 0);
	return os->ops->open(os, path, flags, ret_file, err);
}

void pd_os_close(struct pd_os_file *file)
{
	if (file == NULL)
		return;
	/* A queued write still refers to the file: reap it or free the queue first. */
	PD_ASSERT(file->in_flight == 0);
	file->os->ops->close(file);
}

/* Direct I/O with a wrong alignment is a broken invariant of the caller, not an operating error. */
static void check_transfer(const struct pd_os_file *file, const void *data, size_t size, uint64_t offset)
{
	size_t alignment = pd_os_alignment(file);

	PD_ASSERT(data != NULL || size == 0);
	PD_ASSERT(offset <= INT64_MAX && size <= INT64_MAX - offset);
	PD_ASSERT((uintptr_t)data % alignment == 0);
	PD_ASSERT(size % alignment == 0 && offset % alignment == 0);
}

int pd_os_read(struct pd_os_file *file, void *data, size_t size, uint64_t offset, size_t *ret_size,
	       struct pd_error *err)
{
	PD_ASSERT((file->flags & PD_OS_READ) != 0 && ret_size != NULL);
	check_transfer(file, data, size, offset);
	return file->os->ops->read(file, data, size, offset, ret_size, err);
}

int pd_os_write(struct pd_os_file *file, const void *data, size_t size, uint64_t offset, struct pd_error *err)
{
	PD_ASSERT((file->flags & PD_OS_WRITE) != 0);
	check_transfer(file, data, size, offset);
	return file->os->ops->write(file, data, size, offset, err);
}

int pd_os_datasync(struct pd_os_file *file, struct pd_error *err)
{
	return file->os->ops->datasync(file, err);
}

int pd_os_allocate(struct pd_os_file *file, uint64_t size, struct pd_error *err)
{
	PD_ASSERT((file->flags & PD_OS_WRITE) != 0 && size <= INT64_MAX);
	return file->os->ops->allocate(file, size, err);
}

int pd_os_resize(struct pd_os_file *file, uint64_t size, struct pd_error *err)
{
	PD_ASSERT((file->flags & PD_OS_WRITE) != 0 && size <= INT64_MAX);
	return file->os->ops->resize(file, size, err);
}

size_t pd_os_alignment(const struct pd_os_file *file)
{
	return file->os->ops->alignment(file);
}

void pd_os_hint(struct pd_os_file *file, enum pd_os_hint hint, uint64_t offset, uint64_t size)
{
	PD_ASSERT(offset <= INT64_MAX && size <= INT64_MAX - offset);
	if (size > 0)
		file->os->ops->hint(file, hint, offset, size);
}

bool pd_os_is_cached(struct pd_os_file *file, uint64_t offset, uint64_t size)
{
	PD_ASSERT(offset <= INT64_MAX && size <= INT64_MAX - offset);
	return size > 0 && file->os->ops->is_cached(file, offset, size);
}

/* ---- names ---- */

int pd_os_info(struct pd_os *os, const char *path, struct pd_os_file_info *ret_info, struct pd_error *err)
{
	PD_ASSERT(path != NULL && ret_info != NULL);
	return os->ops->info(os, path, ret_info, err);
}

int pd_os_rename(struct pd_os *os, const char *from, const char *to, struct pd_error *err)
{
	PD_ASSERT(from != NULL && to != NULL);
	return os->ops->rename(os, from, to, err);
}

int pd_os_link(struct pd_os *os, const char *from, const char *to, struct pd_error *err)
{
	PD_ASSERT(from != NULL && to != NULL);
	return os->ops->link(os, from, to, err);
}

int pd_os_unlink(struct pd_os *os, const char *path, struct pd_error *err)
{
	PD_ASSERT(path != NULL);
	return os->ops->unlink(os, path, err);
}

int pd_os_mkdir(struct pd_os *os, const char *path, struct pd_error *err)
{
	PD_ASSERT(path != NULL);
	return os->ops->mkdir(os, path, err);
}

int pd_os_rmdir(struct pd_os *os, const char *path, struct pd_error *err)
{
	PD_ASSERT(path != NULL);
	return os->ops->rmdir(os, path, err);
}

static int remove_contents(struct pd_os *os, const char *path, struct pd_error *err)
{
	struct pd_os_names names;
	int rc = pd_os_list(os, path, &names, err);

	if (rc != 0)
		return rc;
	for (size_t i = 0; i < names.count && rc == 0; i++) {
		char *child = pd_asprintf("%s/%s", path, names.names[i]);

		if (child == NULL)
			rc = pd_error_set(err, PD_NO_MEMORY, "cannot remove '%s': out of memory", path);
		else
			rc = pd_os_remove_tree(os, child, err);
		pd_free(child);
	}
	pd_os_names_done(&names);
	return rc;
}

/* Unlinking is tried first: it never follows a symbolic link out of the tree, as looking first would. */
int pd_os_remove_tree(struct pd_os *os, const char *path, struct pd_error *err)
{
	struct pd_os_file_info info;
	int rc = pd_os_unlink(os, path, err);

	if (rc == PD_NOT_FOUND)
		return 0;
	if (rc == 0 || pd_os_info(os, path, &info, NULL) != 0 || !info.is_directory)
		return rc;
	rc = remove_contents(os, path, err);
	return rc == 0 ? pd_os_rmdir(os, path, err) : rc;
}

int pd_os_sync_directory(struct pd_os *os, const char *path, struct pd_error *err)
{
	int result;

	PD_ASSERT(path != NULL);
	result = os->ops->sync_directory(os, path, err);
	return pd_plant(PD_PLANT_NAME_SYNC_IGNORED) ? 0 : result;
}

int pd_os_list(struct pd_os *os, const char *path, struct pd_os_names *ret_names, struct pd_error *err)
{
	PD_ASSERT(path != NULL && ret_names != NULL);
	return os->ops->list(os, path, ret_names, err);
}

void pd_os_names_done(struct pd_os_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		pd_free(names->names[i]);
	pd_free(names->names);
	*names = (struct pd_os_names){ 0 };
}

int pd_os_lock(struct pd_os *os, const char *path, struct pd_os_lock **ret_lock, struct pd_error *err)
{
	PD_ASSERT(path != NULL && ret_lock != NULL);
	return os->ops->lock(os, path, ret_lock, err);
}

void pd_os_unlock(struct pd_os_lock *lock)
{
	if (lock != NULL)
		lock->os->ops->unlock(lock);
}

/* ---- memory and room ---- */

uint64_t pd_os_process_memory(struct pd_os *os)
{
	return os->ops->process_memory(os);
}

uint64_t pd_os_machine_memory(struct pd_os *os)
{
	return os->ops->machine_memory(os);
}

int pd_os_disk_free(struct pd_os *os, const char *path, uint64_t *ret_bytes, struct pd_error *err)
{
	PD_ASSERT(path != NULL && ret_bytes != NULL);
	return os->ops->disk_free(os, path, ret_bytes, err);
}

/* ---- clock and chance ---- */

uint64_t pd_os_real_us(struct pd_os *os)
{
	return os->ops->real_us(os);
}

uint64_t pd_os_monotonic_ns(struct pd_os *os)
{
	return os->ops->monotonic_ns(os);
}

void pd_os_sleep_us(struct pd_os *os, uint64_t us)
{
	os->ops->sleep_us(os, us);
}

void pd_os_random(struct pd_os *os, void *data, size_t size)
{
	PD_ASSERT(data != NULL || size == 0);
	os->ops->random(os, data, size);
}

/* ---- work beside the caller ---- */

int pd_os_task_start(struct pd_os *os, void (*run)(void *argument), void *argument,
		     struct pd_os_task **ret_task, struct pd_error *err)
{
	PD_ASSERT(run != NULL && ret_task != NULL);
	return os->ops->task_start(os, run, argument, ret_task, err);
}

bool pd_os_task_finished(struct pd_os_task *task)
{
	return task->os->ops->task_finished(task);
}

void pd_os_task_join(struct pd_os_task *task)
{
	if (task != NULL)
		task->os->ops->task_join(task);
}

void pd_os_task_give_way(struct pd_os *os)
{
	os->ops->task_give_way(os);
}

/* ---- writes in flight ---- */

int pd_os_queue_new(struct pd_os *os, unsigned depth, struct pd_os_queue **ret_queue, struct pd_error *err)
{
	PD_ASSERT(depth > 0 && ret_queue != NULL);
	if (depth > PD_OS_QUEUE_DEPTH_MAX)
		return pd_error_set(err, PD_INVALID, "a queue takes at most %d writes, not %u",
				    PD_OS_QUEUE_DEPTH_MAX, depth);
	return os->ops->queue_new(os, depth, ret_queue, err);
}

void pd_os_queue_free(struct pd_os_queue *queue)
{
	if (queue != NULL)
		queue->os->ops->queue_free(queue);
}

int pd_os_queue_write(struct pd_os_queue *queue, struct pd_os_file *file, const void *data, size_t size,
		      uint64_t offset, uint64_t token, struct pd_error *err)
{
	PD_ASSERT(queue->os == file->os);
	PD_ASSERT((file->flags & PD_OS_WRITE) != 0 && size > 0);
	check_transfer(file, data, size, offset);
	PD_ASSERT(queue->in_flight <= queue->depth);
	if (queue->in_flight == queue->depth)
		return pd_error_set(err, PD_AGAIN, "%u writes are in flight already; reap some first",
				    queue->depth);
	return queue->os->ops->queue_write(queue, file, data, size, offset, token, err);
}

int pd_os_queue_reap(struct pd_os_queue *queue, struct pd_os_completion *completions, unsigned max, bool wait,
		     unsigned *ret_count, struct pd_error *err)
{
	PD_ASSERT(completions != NULL && max > 0 && ret_count != NULL);
	return queue->os->ops->queue_reap(queue, completions, max, wait, ret_count, err);
}

int pd_os_queue_descriptor(struct pd_os_queue *queue)
{
	return queue->os->ops->queue_descriptor(queue);
}
