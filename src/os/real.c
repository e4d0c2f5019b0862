/* The real machine: Linux. Names, locks, clocks, chance and threads; files are in real_file.c, writes in flight
 * in real_queue.c, memory and room in real_machine.c. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/memory.h"
#include "os/real_private.h"

struct real {
	struct pd_os base;
};

struct real_lock {
	struct pd_os_lock base;
	int fd;
};

struct real_task {
	struct pd_os_task base;
	pthread_t thread;
	void (*run)(void *argument);
	void *argument;
	atomic_bool finished;
};

static void real_free(struct pd_os *os)
{
	pd_free(os);
}

/* ---- names ---- */

static int real_info(struct pd_os *os, const char *path, struct pd_os_file_info *ret_info,
		     struct pd_error *err)
{
	struct stat info;

	(void)os;
	if (stat(path, &info) != 0)
		return pd_error_system(err, errno, "cannot look at '%s'", path);
	*ret_info = (struct pd_os_file_info){ .size = (uint64_t)info.st_size,
					      .id = (uint64_t)info.st_ino,
					      .is_directory = S_ISDIR(info.st_mode),
					      .is_special = !S_ISDIR(info.st_mode) && !S_ISREG(info.st_mode),
					      .mode = (unsigned)info.st_mode & 07777 };
	return 0;
}

static int real_rename(struct pd_os *os, const char *from, const char *to, struct pd_error *err)
{
	(void)os;
	if (rename(from, to) != 0)
		return pd_error_system(err, errno, "cannot rename '%s' to '%s'", from, to);
	return 0;
}

static int real_link(struct pd_os *os, const char *from, const char *to, struct pd_error *err)
{
	(void)os;
	if (link(from, to) != 0)
		return pd_error_system(err, errno, "cannot link '%s' to '%s'", from, to);
	return 0;
}

static int real_unlink(struct pd_os *os, const char *path, struct pd_error *err)
{
	(void)os;
	return unlink(path) == 0 ? 0 : pd_error_system(err, errno, "cannot remove '%s'", path);
}

static int real_mkdir(struct pd_os *os, const char *path, struct pd_error *err)
{
	(void)os;
	return mkdir(path, 0700) == 0 ? 0 : pd_error_system(err, errno, "cannot make directory '%s'", path);
}

static int real_rmdir(struct pd_os *os, const char *path, struct pd_error *err)
{
	(void)os;
	return rmdir(path) == 0 ? 0 : pd_error_system(err, errno, "cannot remove directory '%s'", path);
}

static int open_retrying(const char *path, int flags, mode_t mode)
{
	int fd;

	do
		fd = open(path, flags | O_CLOEXEC, mode);
	while (fd < 0 && errno == EINTR);
	return fd;
}

static int real_sync_directory(struct pd_os *os, const char *path, struct pd_error *err)
{
	int fd = open_retrying(path, O_RDONLY | O_DIRECTORY, 0), errnum;

	(void)os;
	if (fd < 0)
		return pd_error_system(err, errno, "cannot open directory '%s'", path);
	do
		errnum = fsync(fd) == 0 ? 0 : errno;
	while (errnum == EINTR);
	(void)close(fd);
	return errnum == 0 ? 0 : pd_error_system(err, errnum, "cannot sync directory '%s'", path);
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* 0 or an errno. */
static int read_names(DIR *directory, struct pd_os_names *names)
{
	size_t capacity = 0;
	struct dirent *entry;
	char **grown;

	for (;;) {
		errno = 0;
		entry = readdir(directory);
		if (entry == NULL)
			return errno;
		if (is_dots(entry->d_name))
			continue;
		grown = pd_grow(names->names, names->count, &capacity, sizeof *grown, 16);
		if (grown == NULL)
			return ENOMEM;
		names->names = grown;
		names->names[names->count] = pd_strdup(entry->d_name);
		if (names->names[names->count] == NULL)
			return ENOMEM;
		names->count++;
	}
}

static int real_list(struct pd_os *os, const char *path, struct pd_os_names *ret_names, struct pd_error *err)
{
	struct pd_os_names names = { 0 };
	DIR *directory = opendir(path);
	int errnum;

	(void)os;
	if (directory == NULL)
		return pd_error_system(err, errno, "cannot list '%s'", path);
	errnum = read_names(directory, &names);
	(void)closedir(directory);
	if (errnum != 0) {
		pd_os_names_done(&names);
		return pd_error_system(err, errnum, "cannot list '%s'", path);
	}
	if (names.count > 1)
		qsort(names.names, names.count, sizeof *names.names, pd_os_compare_names);
	*ret_names = names;
	return 0;
}

/* ---- the lock ---- */

static int busy(const char *path, int fd, struct pd_error *err)
{
	char text[32] = "";
	ssize_t got = pread(fd, text, sizeof text - 1, 0);
	long holder = got > 0 ? strtol(text, NULL, 10) : 0;

	if (holder <= 0) /* it has the lock and has not come to writing its id */
		return pd_error_set(err, PD_BUSY,
				    "%s is in use by another process; stop it or choose another data "
				    "directory",
				    path);
	return pd_error_set(err, PD_BUSY,
			    "%s is in use by process %ld; stop it or choose another data directory", path,
			    holder);
}

/* The id is for people only: the lock is the kernel's, so a stale id harms nobody. 0 or an errno. */
static int write_process_id(int fd)
{
	char text[32];
	int size = snprintf(text, sizeof text, "%ld\n", (long)getpid());

	if (ftruncate(fd, 0) != 0)
		return errno;
	return pwrite(fd, text, (size_t)size, 0) == size ? 0 : errno;
}

static int real_lock(struct pd_os *os, const char *path, struct pd_os_lock **ret_lock, struct pd_error *err)
{
	struct real_lock *lock = pd_malloc(sizeof *lock);
	int fd = -1, errnum, rc;

	if (lock == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "cannot lock '%s': out of memory", path);
	fd = open_retrying(path, O_RDWR | O_CREAT | O_NOCTTY, 0600);
	if (fd < 0) {
		rc = pd_error_system(err, errno, "cannot open the lock file '%s'", path);
		goto fail;
	}
	/* flock() and not fcntl(F_SETLK): that one is lost when any handle of the file is closed, and does
	 * not hold between two handles of one process. */
	do
		errnum = flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
	while (errnum == EINTR);
	if (errnum == EWOULDBLOCK) {
		rc = busy(path, fd, err);
		goto fail;
	}
	if (errnum == 0)
		errnum = write_process_id(fd);
	if (errnum != 0) {
		rc = pd_error_system(err, errnum, "cannot lock '%s'", path);
		goto fail;
	}
	*lock = (struct real_lock){ .base.os = os, .fd = fd };
	*ret_lock = &lock->base;
	return 0;
fail:
	if (fd >= 0)
		(void)close(fd);
	pd_free(lock);
	return rc;
}

/* The file stays: to remove it would let two processes lock two files of one name. */
static void real_unlock(struct pd_os_lock *base)
{
	struct real_lock *lock = (struct real_lock *)base;

	(void)close(lock->fd);
	pd_free(lock);
}

/* ---- clock and chance ---- */

static uint64_t real_real_us(struct pd_os *os)
{
	struct timespec now;

	(void)os;
	PD_ASSERT(clock_gettime(CLOCK_REALTIME, &now) == 0);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t real_monotonic_ns(struct pd_os *os)
{
	struct timespec now;

	(void)os;
	PD_ASSERT(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void real_sleep_us(struct pd_os *os, uint64_t us)
{
	struct timespec left = { .tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000 * 1000) };

	(void)os;
	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
		;
}

/* No randomness, no service: ids and keys made without it would collide. */
static void real_random(struct pd_os *os, void *data, size_t size)
{
	size_t done = 0;

	(void)os;
	while (done < size) {
		ssize_t got = getrandom((uint8_t *)data + done, size - done, 0);

		PD_ASSERT(got > 0 || (got < 0 && errno == EINTR));
		if (got > 0)
			done += (size_t)got;
	}
}

/* ---- work beside the caller ---- */

static void *task_main(void *argument)
{
	struct real_task *task = argument;

	task->run(task->argument);
	atomic_store_explicit(&task->finished, true, memory_order_release);
	return NULL;
}

static int real_task_start(struct pd_os *os, void (*run)(void *argument), void *argument,
			   struct pd_os_task **ret_task, struct pd_error *err)
{
	struct real_task *task = pd_malloc(sizeof *task);
	sigset_t all, old;
	int errnum;

	if (task == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "cannot start a helper thread: out of memory");
	task->base.os = os;
	task->run = run;
	task->argument = argument;
	atomic_init(&task->finished, false);
	/* Signals are for the threads that asked for them. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	errnum = pthread_create(&task->thread, NULL, task_main, task);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (errnum != 0) {
		pd_free(task);
		if (errnum == EAGAIN)
			return pd_error_set(err, PD_AGAIN,
					    "cannot start a helper thread: the system's limit is reached; "
					    "raise it (ulimit -u) or try later");
		return pd_error_system(err, errnum, "cannot start a helper thread");
	}
	*ret_task = &task->base;
	return 0;
}

static bool real_task_finished(struct pd_os_task *base)
{
	struct real_task *task = (struct real_task *)base;

	return atomic_load_explicit(&task->finished, memory_order_acquire);
}

static void real_task_join(struct pd_os_task *base)
{
	struct real_task *task = (struct real_task *)base;

	PD_ASSERT(pthread_join(task->thread, NULL) == 0);
	pd_free(task);
}

/* struct sched_attr of linux/sched/types.h, which cannot be included beside sched.h everywhere. */
struct scheduling {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

/* Not as far back as one can: what gets nothing on a busy machine never ends. A tenth of what one that serves gets is little for it, even from several of them. */
static void real_task_give_way(struct pd_os *os)
{
	const int who_thread = 1, best_effort_last = (2 << 13) | 7; /* linux/ioprio.h */
	int nice = getpriority(PRIO_PROCESS, 0) + 10;
	/* For so long whoever wakes up to serve may have to wait for it (Linux 6.12; the others overlook it). */
	struct scheduling attributes = { .size = sizeof attributes,
					 .policy = SCHED_OTHER,
					 .nice = nice < 19 ? nice : 19,
					 .runtime = 250 * 1000 };

	(void)os;
	/* Of the calling thread, on Linux; whatever the process itself has been given. */
	if (sched_getscheduler(0) != SCHED_OTHER || syscall(SYS_sched_setattr, 0, &attributes, 0) != 0)
		(void)setpriority(PRIO_PROCESS, 0, nice);
	(void)syscall(SYS_ioprio_set, who_thread, 0, best_effort_last);
}

static const struct pd_os_ops real_ops = {
	.abi = PD_OS_ABI,
	.name = "linux",
	.free = real_free,
	.open = pd_real_open,
	.close = pd_real_close,
	.read = pd_real_read,
	.write = pd_real_write,
	.datasync = pd_real_datasync,
	.allocate = pd_real_allocate,
	.resize = pd_real_resize,
	.alignment = pd_real_alignment,
	.hint = pd_real_hint,
	.is_cached = pd_real_is_cached,
	.info = real_info,
	.rename = real_rename,
	.link = real_link,
	.unlink = real_unlink,
	.mkdir = real_mkdir,
	.rmdir = real_rmdir,
	.sync_directory = real_sync_directory,
	.list = real_list,
	.lock = real_lock,
	.unlock = real_unlock,
	.process_memory = pd_real_process_memory,
	.machine_memory = pd_real_machine_memory,
	.disk_free = pd_real_disk_free,
	.real_us = real_real_us,
	.monotonic_ns = real_monotonic_ns,
	.sleep_us = real_sleep_us,
	.random = real_random,
	.task_start = real_task_start,
	.task_finished = real_task_finished,
	.task_join = real_task_join,
	.task_give_way = real_task_give_way,
	.queue_new = pd_real_queue_new,
	.queue_free = pd_real_queue_free,
	.queue_write = pd_real_queue_write,
	.queue_reap = pd_real_queue_reap,
	.queue_descriptor = pd_real_queue_descriptor,
};

int pd_os_real_new(struct pd_os **ret_os, struct pd_error *err)
{
	struct real *real = pd_malloc(sizeof *real);

	if (real == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "cannot open the operating system: out of memory");
	pd_os_init(&real->base, &real_ops);
	*ret_os = &real->base;
	return 0;
}
