/* The contract of os.h, run over every implementation: what holds on the real machine holds on the simulated one
 * and the other way round. Names are in test_os_names.c. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "lib/os_fixture.h"

/* ---- files ---- */

static void opening_fails_as_promised(void **state)
{
	const struct fixture *fixture = *state;
	struct pd_os_file *untouched = (struct pd_os_file *)state, *file = untouched;
	struct pd_error err;

	assert_int_equal(pd_os_open(fixture->os, path_of(fixture, "missing"), PD_OS_READ, &file, &err),
			 PD_NOT_FOUND);
	assert_int_equal(err.code, PD_NOT_FOUND);
	assert_non_null(strstr(err.text, path_of(fixture, "missing")));
	assert_int_equal(pd_os_open(fixture->os, path_of(fixture, "no/file"), READ_WRITE_CREATE, &file, NULL),
			 PD_NOT_FOUND);
	create_with(fixture, "there", "x");
	assert_int_equal(pd_os_open(fixture->os, path_of(fixture, "there"),
				    READ_WRITE_CREATE | PD_OS_EXCLUSIVE, &file, &err),
			 PD_EXISTS);
	expect_file(fixture, "there", "x");
	assert_int_equal(pd_os_open(fixture->os, path_of(fixture, "there/below"), PD_OS_READ, &file, &err),
			 PD_IO);
	assert_int_equal(pd_os_open(fixture->os, fixture->root, PD_OS_READ, &file, &err), PD_IO);
	assert_ptr_equal(file, untouched);
	pd_os_close(NULL);
}

static void creating_keeps_what_is_there(void **state)
{
	const struct fixture *fixture = *state;
	struct pd_os_file *file = open_file(fixture, "f", READ_WRITE_CREATE | PD_OS_EXCLUSIVE);

	assert_int_equal(pd_os_alignment(file), 1);
	write_text(file, "kept", 0);
	pd_os_close(file);
	file = open_file(fixture, "f", READ_WRITE_CREATE);
	expect_text(file, "kept");
	pd_os_close(file);
}

static void hints_change_nothing(void **state)
{
	const struct fixture *fixture = *state;
	struct pd_os_file *file = open_file(fixture, "f", READ_WRITE_CREATE);

	write_text(file, "kept", 0);
	for (enum pd_os_hint hint = PD_OS_HINT_READ_SOON; hint <= PD_OS_HINT_FORGET; hint++) {
		pd_os_hint(file, hint, 0, 4);
		pd_os_hint(file, hint, 2, 1000 * 1000);
		pd_os_hint(file, hint, 1000, 0);
		/* Whatever it says. */
		(void)pd_os_is_cached(file, 0, 4);
		(void)pd_os_is_cached(file, 2, 1000 * 1000);
		assert_false(pd_os_is_cached(file, 1000, 0));
		expect_text(file, "kept");
	}
	pd_os_close(file);
}

static void bytes_come_back(void **state)
{
	const struct fixture *fixture = *state;
	struct pd_os_file *file = open_file(fixture, "f", READ_WRITE_CREATE);
	enum { SIZE = 300 * 1000 };
	uint8_t *wrote = malloc(SIZE), *got = malloc(SIZE);
	size_t size;

	for (size_t i = 0; i < SIZE; i++)
		wrote[i] = (uint8_t)(i * 31 + i / 4096);
	check(pd_os_write(file, wrote, SIZE, 12345, why));
	assert_int_equal(size_of(fixture, "f"), 12345 + SIZE);
	check(pd_os_read(file, got, SIZE, 12345, &size, why));
	assert_int_equal(size, SIZE);
	assert_memory_equal(got, wrote, SIZE);
	/* The hole before it is zeros. */
	check(pd_os_read(file, got, 12345, 0, &size, why));
	assert_int_equal(size, 12345);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(got[i], 0);
	/* Fewer only at the end, nothing beyond it. */
	check(pd_os_read(file, got, SIZE, 12345 + SIZE - 100, &size, why));
	assert_int_equal(size, 100);
	assert_memory_equal(got, wrote + SIZE - 100, 100);
	check(pd_os_read(file, got, SIZE, 12345 + SIZE, &size, why));
	assert_int_equal(size, 0);
	check(pd_os_read(file, got, SIZE, 1 << 30, &size, why));
	assert_int_equal(size, 0);
	check(pd_os_write(file, NULL, 0, 0, why));
	pd_os_close(file);
	free(wrote);
	free(got);
}

static void overwriting_touches_nothing_else(void **state)
{
	const struct fixture *fixture = *state;
	struct pd_os_file *file = open_file(fixture, "f", READ_WRITE_CREATE);
	uint8_t model[9000], got[9000], patch[1500];
	size_t size;

	memset(model, 'a', sizeof model);
	check(pd_os_write(file, model, sizeof model, 0, why));
	for (unsigned i = 0; i < 50; i++) {
		size_t at = i * 733 % 7400, length = 1 + i * 977 % sizeof patch;

		memset(patch, 'b' + (int)i % 20, sizeof patch);
		memcpy(model + at, patch, length);
		check(pd_os_write(file, patch, length, at, why));
		if (i % 7 == 0)
			check(pd_os_datasync(file, why));
	}
	check(pd_os_read(file, got, sizeof got, 0, &size, why));
	assert_int_equal(size, sizeof got);
	assert_memory_equal(got, model, sizeof model);
	pd_os_close(file);
}

static void handles_of_a_file_see_the_same(void **state)
{
	const struct fixture *fixture = *state;
	struct pd_os_file *writer = open_file(fixture, "f", PD_OS_WRITE | PD_OS_CREATE | PD_OS_SYNCED);
	struct pd_os_file *reader = open_file(fixture, "f", PD_OS_READ);

	write_text(writer, "hello", 0);
	expect_text(reader, "hello");
	write_text(writer, "J", 0);
	expect_text(reader, "Jello");
	check(pd_os_datasync(reader, why));
	check(pd_os_datasync(writer, why));
	pd_os_close(writer);
	expect_text(reader, "Jello");
	pd_os_close(reader);
}

static void resizing_cuts_and_fills_with_zeros(void **state)
{
	const struct fixture *fixture = *state;
	struct pd_os_file *file = open_file(fixture, "f", READ_WRITE_CREATE);
	uint8_t got[10000];
	size_t size;

	memset(got, 'x', sizeof got);
	check(pd_os_write(file, got, sizeof got, 0, why));
	check(pd_os_resize(file, 3, why));
	expect_text(file, "xxx");
	check(pd_os_resize(file, sizeof got, why));
	check(pd_os_read(file, got, sizeof got, 0, &size, why));
	assert_int_equal(size, sizeof got);
	assert_memory_equal(got, "xxx", 3);
	for (size_t i = 3; i < size; i++)
		assert_int_equal(got[i], 0);
	check(pd_os_resize(file, 0, why));
	expect_text(file, "");
	pd_os_close(file);
}

static void allocating_extends_and_never_cuts(void **state)
{
	const struct fixture *fixture = *state;
	struct pd_os_file *file = open_file(fixture, "f", READ_WRITE_CREATE);
	uint8_t got[64];
	size_t size;

	check(pd_os_allocate(file, 0, why));
	assert_int_equal(size_of(fixture, "f"), 0);
	write_text(file, "text", 0);
	check(pd_os_allocate(file, 1000000, why));
	assert_int_equal(size_of(fixture, "f"), 1000000);
	check(pd_os_allocate(file, 10, why));
	assert_int_equal(size_of(fixture, "f"), 1000000);
	check(pd_os_read(file, got, sizeof got, 0, &size, why));
	assert_int_equal(size, sizeof got);
	assert_memory_equal(got, "text\0\0\0\0", 8);
	check(pd_os_read(file, got, sizeof got, 1000000 - 10, &size, why));
	assert_int_equal(size, 10);
	assert_memory_equal(got, "\0\0\0\0\0\0\0\0\0", 10);
	pd_os_close(file);
}

static void direct_files_work_or_are_refused_cleanly(void **state)
{
	const struct fixture *fixture = *state;
	int flags = READ_WRITE_CREATE | PD_OS_EXCLUSIVE;
	struct pd_os_file *file = NULL, *buffered;
	struct pd_error err = { 0 };
	uint8_t *block;
	size_t alignment, size;
	int rc = pd_os_open(fixture->os, path_of(fixture, "f"), flags | PD_OS_DIRECT | PD_OS_SYNCED, &file,
			    &err);

	if (rc == PD_NOT_SUPPORTED) {
		assert_non_null(strstr(err.text, "direct"));
		assert_null(file);
		/* It left nothing behind: the caller does the same without. */
		pd_os_close(open_file(fixture, "f", flags));
		return;
	}
	assert_int_equal(rc, 0);
	alignment = pd_os_alignment(file);
	assert_true(alignment == 512 || alignment == 4096);
	block = pd_malloc_aligned(4096, 4 * alignment);
	memset(block, 'd', 4 * alignment);
	check(pd_os_write(file, block, 2 * alignment, alignment, why));
	buffered = open_file(fixture, "f", PD_OS_READ | PD_OS_WRITE);
	write_text(buffered, "b", 0);
	check(pd_os_read(file, block, 4 * alignment, 0, &size, why));
	assert_int_equal(size, 3 * alignment);
	assert_int_equal(block[0], 'b');
	assert_int_equal(block[1], 0);
	assert_int_equal(block[alignment], 'd');
	assert_int_equal(block[3 * alignment - 1], 'd');
	write_text(buffered, "end", 3 * alignment); /* it need not end where the alignment says */
	check(pd_os_datasync(buffered, why));
	check(pd_os_read(file, block, 4 * alignment, 0, &size, why));
	assert_int_equal(size, 3 * alignment + 3);
	assert_int_equal(block[3 * alignment + 2], 'd');
	check(pd_os_datasync(file, why));
	pd_os_close(buffered);
	pd_os_close(file);
	/* Again, now that there is something to probe the alignment with. */
	file = open_file(fixture, "f", PD_OS_READ | PD_OS_DIRECT);
	check(pd_os_read(file, block, pd_os_alignment(file), 0, &size, why));
	assert_int_equal(block[0], 'b');
	pd_os_close(file);
	pd_free(block);
}

/* ---- memory and room ---- */

static void memory_and_room_are_told(void **state)
{
	const struct fixture *fixture = *state;
	uint64_t machine = pd_os_machine_memory(fixture->os), process = pd_os_process_memory(fixture->os);
	uint64_t bytes = 0;

	assert_true(machine >= 1 << 20);
	assert_true(process < machine && (fixture->simulated || process > 64 * 1024));
	check(pd_os_disk_free(fixture->os, fixture->root, &bytes, why));
	assert_true(bytes > 0);
	assert_int_equal(pd_os_disk_free(fixture->os, path_of(fixture, "none"), &bytes, NULL), PD_NOT_FOUND);
}

/* ---- clock and chance, tasks ---- */

static void clocks_run_and_sleep_passes(void **state)
{
	const struct fixture *fixture = *state;
	uint64_t real = pd_os_real_us(fixture->os), before = pd_os_monotonic_ns(fixture->os), after;

	assert_true(real > 1735689600000000U); /* 2025 */
	pd_os_sleep_us(fixture->os, 2000);
	after = pd_os_monotonic_ns(fixture->os);
	assert_true(after - before >= 2000 * 1000);
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t now = pd_os_monotonic_ns(fixture->os);

		assert_true(now >= after);
		after = now;
	}
}

static void random_bytes_differ(void **state)
{
	const struct fixture *fixture = *state;
	uint8_t a[33], b[33];

	memset(a, 0, sizeof a);
	memset(b, 0, sizeof b);
	pd_os_random(fixture->os, a, 32);
	pd_os_random(fixture->os, b, 32);
	assert_memory_not_equal(a, b, 32);
	assert_int_equal(a[32], 0); /* no more than was asked for */
	pd_os_random(fixture->os, NULL, 0);
}

static void count_up(void *argument)
{
	++*(int *)argument;
}

static void tasks_run_once(void **state)
{
	const struct fixture *fixture = *state;
	struct pd_os_task *tasks[8];
	int counts[8] = { 0 };

	for (unsigned i = 0; i < 8; i++)
		check(pd_os_task_start(fixture->os, count_up, &counts[i], &tasks[i], why));
	while (!pd_os_task_finished(tasks[0]))
		pd_os_sleep_us(fixture->os, 100);
	for (unsigned i = 0; i < 8; i++) {
		pd_os_task_join(tasks[i]);
		assert_int_equal(counts[i], 1);
	}
	pd_os_task_join(NULL);
}

/* ---- writes in flight ---- */

enum { DEPTH = 5, BLOCK = 4096 };

/* NULL where the machine has no queues: the test is over then. */
static struct pd_os_queue *queue_of(const struct fixture *fixture)
{
	struct pd_os_queue *queue = NULL;
	struct pd_error err = { 0 };
	int rc = pd_os_queue_new(fixture->os, DEPTH, &queue, &err);

	if (rc == PD_NOT_SUPPORTED) {
		assert_true(strlen(err.text) > 0);
		assert_null(queue);
		return NULL;
	}
	if (rc != 0)
		fail_msg("%s", err.text);
	return queue;
}

static void expect_blocks(struct pd_os_file *file, unsigned count)
{
	uint8_t got[BLOCK];
	size_t size;

	for (unsigned i = 0; i < count; i++) {
		check(pd_os_read(file, got, BLOCK, (uint64_t)i * BLOCK, &size, why));
		assert_int_equal(size, BLOCK);
		for (unsigned j = 0; j < BLOCK; j++)
			assert_int_equal(got[j], (uint8_t)(i + 1));
	}
}

static void queued_writes_complete_each_once(void **state)
{
	const struct fixture *fixture = *state;
	struct pd_os_queue *queue = queue_of(fixture);
	enum { COUNT = 100 };
	struct pd_os_completion completions[3];
	static uint8_t blocks[COUNT][BLOCK];
	bool done[COUNT] = { false };
	unsigned started = 0, finished = 0, count;
	struct pd_os_file *file;

	if (queue == NULL)
		return;
	assert_int_equal(pd_os_queue_new(fixture->os, 4097, &queue, NULL), PD_INVALID);
	file = open_file(fixture, "f", READ_WRITE_CREATE | PD_OS_SYNCED);
	check(pd_os_queue_reap(queue, completions, 3, true, &count, why)); /* none in flight: no waiting */
	assert_int_equal(count, 0);
	while (finished < COUNT) {
		int rc = 0;

		for (; started < COUNT && rc == 0; started += rc == 0) {
			memset(blocks[started], (int)started + 1, BLOCK);
			rc = pd_os_queue_write(queue, file, blocks[started], BLOCK, (uint64_t)started * BLOCK,
					       started, NULL);
		}
		assert_true(rc == 0 || rc == PD_AGAIN);
		assert_true(started - finished <= DEPTH);
		assert_true(started == COUNT || started - finished == DEPTH);
		check(pd_os_queue_reap(queue, completions, 3, true, &count, why));
		assert_in_range(count, 1, 3);
		for (unsigned i = 0; i < count; i++) {
			assert_int_equal(completions[i].result, 0);
			assert_int_equal(completions[i].errnum, 0);
			assert_in_range(completions[i].token, 0, COUNT - 1);
			assert_false(done[completions[i].token]);
			done[completions[i].token] = true;
			memset(blocks[completions[i].token], 0xff, BLOCK); /* ours again */
		}
		finished += count;
	}
	check(pd_os_queue_reap(queue, completions, 3, true, &count, why));
	assert_int_equal(count, 0);
	expect_blocks(file, COUNT);
	pd_os_queue_free(queue);
	pd_os_close(file);
}

static void freeing_a_queue_waits(void **state)
{
	const struct fixture *fixture = *state;
	struct pd_os_queue *queue = queue_of(fixture);
	uint8_t blocks[DEPTH][BLOCK];
	struct pd_os_file *file;

	if (queue == NULL)
		return;
	file = open_file(fixture, "f", READ_WRITE_CREATE);
	for (unsigned i = 0; i < DEPTH; i++) {
		memset(blocks[i], (int)i + 1, BLOCK);
		check(pd_os_queue_write(queue, file, blocks[i], BLOCK, (uint64_t)i * BLOCK, i, why));
	}
	pd_os_queue_free(queue);
	expect_blocks(file, DEPTH);
	pd_os_close(file);
	pd_os_queue_free(NULL);
}

static bool readable(int descriptor, int timeout_ms)
{
	struct pollfd wanted = { .fd = descriptor, .events = POLLIN };

	return poll(&wanted, 1, timeout_ms) == 1;
}

static void the_descriptor_tells_of_completions(void **state)
{
	const struct fixture *fixture = *state;
	struct pd_os_queue *queue = queue_of(fixture);
	struct pd_os_completion completion;
	uint8_t block[BLOCK];
	struct pd_os_file *file;
	unsigned left = DEPTH, count;
	int descriptor;

	if (queue == NULL)
		return;
	file = open_file(fixture, "f", READ_WRITE_CREATE);
	memset(block, 1, BLOCK);
	descriptor = pd_os_queue_descriptor(queue);
	if (descriptor >= 0)
		assert_false(readable(descriptor, 0));
	for (unsigned i = 0; i < DEPTH; i++)
		check(pd_os_queue_write(queue, file, block, BLOCK, 0, i, why));
	while (left > 0) {
		/* One at a time: what is left must keep the descriptor readable. */
		if (descriptor >= 0)
			assert_true(readable(descriptor, 10000));
		check(pd_os_queue_reap(queue, &completion, 1, false, &count, why));
		left -= count;
	}
	check(pd_os_queue_reap(queue, &completion, 1, false, &count, why));
	assert_int_equal(count, 0);
	if (descriptor >= 0)
		assert_false(readable(descriptor, 0));
	pd_os_queue_free(queue);
	pd_os_close(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ALL_MACHINES(opening_fails_as_promised),
		ALL_MACHINES(creating_keeps_what_is_there),
		ALL_MACHINES(hints_change_nothing),
		ALL_MACHINES(bytes_come_back),
		ALL_MACHINES(overwriting_touches_nothing_else),
		ALL_MACHINES(handles_of_a_file_see_the_same),
		ALL_MACHINES(resizing_cuts_and_fills_with_zeros),
		ALL_MACHINES(allocating_extends_and_never_cuts),
		ALL_MACHINES(direct_files_work_or_are_refused_cleanly),
		ALL_MACHINES(memory_and_room_are_told),
		ALL_MACHINES(clocks_run_and_sleep_passes),
		ALL_MACHINES(random_bytes_differ),
		ALL_MACHINES(tasks_run_once),
		ALL_MACHINES(queued_writes_complete_each_once),
		ALL_MACHINES(freeing_a_queue_waits),
		ALL_MACHINES(the_descriptor_tells_of_completions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
