/* What only the real machine can show: modes, other processes, devices that are full. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "os/os.h"
#include "os/real_private.h"

struct fixture {
	struct pd_os *os;
	char *root;
	char path[300]; /* a file in it */
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	const char *directory = getenv("TMPDIR");

	assert_non_null(fixture);
	fixture->root = pd_asprintf("%s/perdure-os-XXXXXX", directory != NULL ? directory : "/tmp");
	assert_non_null(mkdtemp(fixture->root));
	(void)snprintf(fixture->path, sizeof fixture->path, "%s/f", fixture->root);
	assert_int_equal(pd_os_real_new(&fixture->os, NULL), 0);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	(void)unlink(fixture->path);
	(void)rmdir(fixture->path);
	assert_int_equal(rmdir(fixture->root), 0);
	pd_os_free(fixture->os);
	pd_free(fixture->root);
	free(fixture);
	return 0;
}

static void files_are_private(void **state)
{
	const struct fixture *fixture = *state;
	mode_t old = umask(0);
	struct pd_os_file *file;
	struct stat info;
	int fd;

	assert_int_equal(pd_os_mkdir(fixture->os, fixture->path, NULL), 0);
	assert_int_equal(stat(fixture->path, &info), 0);
	assert_int_equal(info.st_mode & 07777, 0700);
	assert_int_equal(rmdir(fixture->path), 0);
	assert_int_equal(pd_os_open(fixture->os, fixture->path, PD_OS_WRITE | PD_OS_CREATE, &file, NULL), 0);
	(void)umask(old);
	assert_int_equal(stat(fixture->path, &info), 0);
	assert_int_equal(info.st_mode & 07777, 0600);
	/* No descriptor goes to programs that are started. */
	for (fd = 3; fd < 32; fd++)
		if (fcntl(fd, F_GETFD) >= 0) {
			struct stat other;

			assert_int_equal(fstat(fd, &other), 0);
			if (other.st_ino == info.st_ino && other.st_dev == info.st_dev)
				assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
		}
	pd_os_close(file);
}

static void make_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/* A tree as /sys/fs/cgroup has it, in the fixture's directory. */
static void control_groups_limit_memory(void **state)
{
	const struct fixture *fixture = *state;
	char path[400];

	assert_int_equal(pd_real_control_group_limit(fixture->root, "0::/a/b\n"), UINT64_MAX);
	for (unsigned i = 0; i < 2; i++) {
		(void)snprintf(path, sizeof path, "%s%s", fixture->root, i == 0 ? "/a" : "/a/b");
		assert_int_equal(mkdir(path, 0700), 0);
	}
	(void)snprintf(path, sizeof path, "%s/a/b/memory.max", fixture->root);
	make_file(path, "max\n");
	assert_int_equal(pd_real_control_group_limit(fixture->root, "0::/a/b\n"), UINT64_MAX);
	(void)snprintf(path, sizeof path, "%s/a/memory.max", fixture->root);
	make_file(path, "5000000\n");
	assert_int_equal(pd_real_control_group_limit(fixture->root, "0::/a/b\n"), 5000000);
	assert_int_equal(pd_real_control_group_limit(fixture->root, "4:memory:/x\n0::/a/b\n"), 5000000);
	assert_int_equal(pd_real_control_group_limit(fixture->root, "0::/a"), 5000000);
	assert_int_equal(pd_real_control_group_limit(fixture->root, "0::/\n"), UINT64_MAX);
	assert_int_equal(pd_real_control_group_limit(fixture->root, "4:memory:/a\n"), UINT64_MAX);
	assert_int_equal(pd_real_control_group_limit(fixture->root, ""), UINT64_MAX);
	(void)snprintf(path, sizeof path, "%s/a/b/memory.max", fixture->root);
	make_file(path, "4000000\n");
	assert_int_equal(pd_real_control_group_limit(fixture->root, "0::/a/b\n"), 4000000);
	(void)snprintf(path, sizeof path, "%s/memory.max", fixture->root);
	make_file(path, "3000000\n");
	assert_int_equal(pd_real_control_group_limit(fixture->root, "0::/a/b\n"), 3000000);
	(void)snprintf(path, sizeof path, "%s/a", fixture->root);
	assert_int_equal(pd_os_remove_tree(fixture->os, path, NULL), 0);
	(void)snprintf(path, sizeof path, "%s/memory.max", fixture->root);
	assert_int_equal(unlink(path), 0);
}

static void the_memory_in_use_grows(void **state)
{
	const struct fixture *fixture = *state;
	uint64_t before = pd_os_process_memory(fixture->os), after;
	enum { SIZE = 32 << 20 };
	volatile uint8_t *memory = malloc(SIZE); /* else the compiler finds that nobody reads it */

	for (size_t i = 0; i < SIZE; i += 512)
		memory[i] = 1;
	after = pd_os_process_memory(fixture->os);
	/* Sanitizers have shadows of it. */
	assert_true(after > before + SIZE / 2 && after < before + (PD_MEMORY_WATCHED ? 8ULL : 4ULL) * SIZE);
	free((void *)(uintptr_t)memory);
	assert_true(pd_os_machine_memory(fixture->os) <=
		    (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE));
}

static void a_full_device_is_no_space(void **state)
{
	const struct fixture *fixture = *state;
	struct pd_os_completion completion = { 0 };
	struct pd_os_queue *queue;
	struct pd_os_file *file;
	struct pd_error err;
	unsigned count = 0;

	assert_int_equal(pd_os_open(fixture->os, "/dev/full", PD_OS_WRITE, &file, &err), 0);
	assert_int_equal(pd_os_write(file, "x", 1, 0, &err), PD_NO_SPACE);
	assert_non_null(strstr(err.text, "/dev/full"));
	assert_non_null(strstr(err.text, strerror(ENOSPC)));
	if (pd_os_queue_new(fixture->os, 1, &queue, &err) == 0) {
		assert_int_equal(pd_os_queue_write(queue, file, "x", 1, 0, 42, &err), 0);
		assert_int_equal(pd_os_queue_reap(queue, &completion, 1, true, &count, &err), 0);
		assert_int_equal(count, 1);
		assert_int_equal(completion.token, 42);
		assert_int_equal(completion.result, PD_NO_SPACE);
		assert_int_equal(completion.errnum, ENOSPC);
		pd_os_queue_free(queue);
	}
	pd_os_close(file);
}

/* RLIMIT_FSIZE cuts a write short at the limit, and the rest fails: the short one must have been gone on with. */
static void a_short_write_goes_on(void **state)
{
	const struct fixture *fixture = *state;
	struct rlimit old, small = { 0 };
	struct pd_os_completion completion = { 0 };
	struct pd_os_queue *queue;
	struct pd_os_file *file;
	uint8_t data[3000] = { 1 };
	struct stat info;
	unsigned count;

	assert_int_equal(pd_os_open(fixture->os, fixture->path, PD_OS_WRITE | PD_OS_CREATE, &file, NULL), 0);
	assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 2000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(pd_os_write(file, data, sizeof data, 0, NULL), PD_IO);
	assert_int_equal(stat(fixture->path, &info), 0);
	assert_int_equal(info.st_size, 2000);
	if (pd_os_queue_new(fixture->os, 2, &queue, NULL) == 0) {
		assert_int_equal(pd_os_queue_write(queue, file, data, sizeof data, 0, 1, NULL), 0);
		assert_int_equal(pd_os_queue_reap(queue, &completion, 1, true, &count, NULL), 0);
		assert_int_equal(count, 1);
		assert_int_equal(completion.result, PD_IO);
		assert_int_equal(completion.errnum, EFBIG);
		pd_os_queue_free(queue);
	}
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	pd_os_close(file);
}

/* Another process takes the lock and says so through the pipe; then it sleeps until it is killed. */
static pid_t start_holder(const struct fixture *fixture)
{
	int ends[2];
	char byte;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct pd_os_lock *lock;

		if (pd_os_lock(fixture->os, fixture->path, &lock, NULL) != 0 || write(ends[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			(void)pause();
	}
	(void)close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	(void)close(ends[0]);
	return child;
}

static void a_lock_ends_with_its_process(void **state)
{
	const struct fixture *fixture = *state;
	pid_t holder = start_holder(fixture);
	struct pd_os_lock *lock;
	struct pd_error err;
	char expected[64];
	int status;

	(void)snprintf(expected, sizeof expected, "is in use by process %ld;", (long)holder);
	assert_int_equal(pd_os_lock(fixture->os, fixture->path, &lock, &err), PD_BUSY);
	assert_non_null(strstr(err.text, expected));
	assert_int_equal(kill(holder, SIGKILL), 0);
	assert_int_equal(waitpid(holder, &status, 0), holder);
	assert_int_equal(pd_os_lock(fixture->os, fixture->path, &lock, &err), 0);
	pd_os_unlock(lock);
}

/* How far behind a task is, and one that it has started. */
struct behind {
	struct pd_os *os;
	struct behind *next; /* NULL: it starts none */
	int nice;
};

static void fall_behind(void *argument)
{
	struct behind *behind = argument;
	struct pd_os_task *task;

	if (behind->next != NULL)
		pd_os_task_give_way(behind->os);
	behind->nice = getpriority(PRIO_PROCESS, 0); /* of this thread, on Linux */
	if (behind->next == NULL)
		return;
	assert_int_equal(pd_os_task_start(behind->os, fall_behind, behind->next, &task, NULL), 0);
	pd_os_task_join(task);
}

static void a_task_gives_way(void **state)
{
	int before = getpriority(PRIO_PROCESS, 0);
	struct behind second = { 0 }, first = { .next = &second };
	struct pd_os_task *task;
	struct pd_os *os;

	(void)state;
	assert_int_equal(pd_os_real_new(&os, NULL), 0);
	first.os = second.os = os;
	assert_int_equal(pd_os_task_start(os, fall_behind, &first, &task, NULL), 0);
	pd_os_task_join(task);
	assert_int_equal(first.nice, before + 10 < 19 ? before + 10 : 19);
	assert_int_equal(second.nice, first.nice);
	assert_int_equal(getpriority(PRIO_PROCESS, 0), before);
	pd_os_free(os);
}

static void never(void *argument)
{
	(void)argument;
	abort();
}

static void allocations_that_fail_are_reported(void **state)
{
	const struct fixture *fixture = *state;
	struct pd_os_names untouched = { .count = 77 };
	struct pd_os_file *file;
	struct pd_os_lock *lock;
	struct pd_os_task *task;
	struct pd_os_queue *queue;
	struct pd_os *os;

	assert_int_equal(pd_os_open(fixture->os, fixture->path, PD_OS_WRITE | PD_OS_CREATE, &file, NULL), 0);
	pd_os_close(file);
	pd_memory_fail(1, 1);
	assert_int_equal(pd_os_real_new(&os, NULL), PD_NO_MEMORY);
	assert_int_equal(pd_os_open(fixture->os, fixture->path, PD_OS_READ, &file, NULL), PD_NO_MEMORY);
	assert_int_equal(pd_os_list(fixture->os, fixture->root, &untouched, NULL), PD_NO_MEMORY);
	assert_int_equal(pd_os_lock(fixture->os, fixture->path, &lock, NULL), PD_NO_MEMORY);
	assert_int_equal(pd_os_task_start(fixture->os, never, NULL, &task, NULL), PD_NO_MEMORY);
	assert_int_equal(pd_os_queue_new(fixture->os, 1, &queue, NULL), PD_NO_MEMORY);
	pd_memory_fail(2, 0);
	assert_int_equal(pd_os_list(fixture->os, fixture->root, &untouched, NULL), PD_NO_MEMORY);
	pd_memory_fail(0, 0);
	assert_int_equal(untouched.count, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(files_are_private, setup, teardown),
		cmocka_unit_test_setup_teardown(control_groups_limit_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(the_memory_in_use_grows, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_device_is_no_space, setup, teardown),
		cmocka_unit_test_setup_teardown(a_short_write_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(a_lock_ends_with_its_process, setup, teardown),
		cmocka_unit_test(a_task_gives_way),
		cmocka_unit_test_setup_teardown(allocations_that_fail_are_reported, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
